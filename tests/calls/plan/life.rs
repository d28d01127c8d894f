//! What an event of the hospital's records does to what is planned.

use aftercall_core::id::{EpisodeId, StepId};
use aftercall_core::lang::Lang;
use aftercall_core::plan::{Cadence, LifeEvent, Step, StepState, enroll, life_event};
use aftercall_core::time::Timestamp;

use super::{episode, patient};

fn now() -> Timestamp {
    "2026-03-06T03:00:00Z".parse().expect("an instant")
}

/// Day 3 is done, day 7 in a call, day 14 planned; day 30 was blocked for this reason.
fn steps(stay: &str, reason: &str) -> Vec<Step> {
    let discharged = "2026-03-02T03:00:00Z".parse().expect("an instant");
    let mut episode = episode(discharged);
    episode.id = EpisodeId(stay.into());
    let mut steps = enroll(&patient("Asia/Shanghai"), &episode, &Cadence::default());
    let states = [
        StepState::Done,
        StepState::Calling,
        StepState::Planned,
        StepState::Blocked,
    ];
    for (step, state) in steps.iter_mut().zip(states) {
        step.state = state;
    }
    steps[3].reason = format!("{reason}: as it was");
    steps
}

#[test]
fn each_event_changes_what_is_planned_and_nothing_else() {
    let stay = |id: &str| EpisodeId(id.into());
    // Event; why day 30 was blocked; what becomes of day 14 and of day 30, with the code of the reason.
    let rows = [
        (LifeEvent::Died, "no_phone", "d14 blocked dead"),
        (LifeEvent::DeathDenied, "dead", "d30 planned not_due"),
        (LifeEvent::DeathDenied, "no_consent", ""),
        (LifeEvent::Admitted, "no_phone", "d14 blocked readmitted"),
        (
            LifeEvent::AdmissionCancelled,
            "readmitted",
            "d30 planned not_due",
        ),
        (LifeEvent::AdmissionCancelled, "dead", ""),
        (
            LifeEvent::Discharged { stay: stay("new") },
            "readmitted",
            "d14 blocked superseded",
        ),
        (
            LifeEvent::Discharged { stay: stay("s") },
            "discharge_cancelled",
            "d30 planned not_due",
        ),
        (
            LifeEvent::Discharged { stay: stay("s") },
            "consent_withdrawn",
            "",
        ),
        (
            LifeEvent::DischargeCancelled { stay: stay("s") },
            "no_phone",
            "d14 blocked discharge_cancelled",
        ),
        (
            LifeEvent::DischargeCancelled {
                stay: stay("other"),
            },
            "no_phone",
            "",
        ),
        (LifeEvent::Merged, "no_phone", ""),
        (LifeEvent::NumberChanged, "no_phone", "d30 planned not_due"),
        (
            LifeEvent::NumberChanged,
            "wrong_party",
            "d30 planned not_due",
        ),
        (LifeEvent::NumberChanged, "do_not_call", ""),
    ];
    for (event, blocked_for, expected) in rows {
        let changes = life_event(&event, &steps("s", blocked_for), now());
        let said: Vec<String> = changes
            .iter()
            .map(|change| {
                let day = change.step.0.trim_start_matches("s.");
                format!("{day} {} {}", change.state, change.reason.code())
            })
            .collect();
        assert_eq!(said.join(", "), expected, "{event:?} after {blocked_for}");
        assert!(
            changes
                .iter()
                .all(|change| !change.reason.words(Lang::Zh).is_empty())
        );
    }
}

#[test]
fn what_two_merged_records_planned_for_one_day_is_done_once() {
    let (mut a, b) = (steps("a", "no_phone"), steps("b", "no_phone"));
    a.extend(b);
    let changes = life_event(&LifeEvent::Merged, &a, now());
    let said: Vec<&StepId> = changes.iter().map(|change| &change.step).collect();
    assert_eq!(
        said,
        [&StepId("b.d14".into())],
        "the first of two that are planned stays"
    );
}

#[test]
fn a_second_look_finds_nothing_more_to_do() {
    for event in [
        LifeEvent::Died,
        LifeEvent::Admitted,
        LifeEvent::NumberChanged,
        LifeEvent::Merged,
    ] {
        let mut all = steps("s", "no_phone");
        for change in life_event(&event, &all, now()) {
            let step = all
                .iter_mut()
                .find(|step| step.id == change.step)
                .expect("it is there");
            (step.state, step.reason) = (change.state, change.reason.to_string());
        }
        assert_eq!(life_event(&event, &all, now()), [], "{event:?}");
    }
}
