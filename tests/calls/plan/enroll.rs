//! `fixtures/plan/enroll.toml`.

use aftercall_core::plan::{Cadence, StepState, enroll};
use aftercall_core::time;
use serde::Deserialize;

use super::{episode, patient};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    zone: String,
    discharged: String,
    due: Vec<String>,
    lapses: Vec<String>,
}

#[test]
fn the_days_of_a_plan_are_local_to_the_patient() {
    let file: File = toml::from_str(include_str!("../../../fixtures/plan/enroll.toml"))
        .expect("the fixture parses");
    assert_eq!(file.version, 1);
    for case in file.case {
        let zone = time::zone(&case.zone).expect("a known zone");
        let discharged = case.discharged.parse().expect("an instant");
        let steps = enroll(
            &patient(&case.zone),
            &episode(discharged),
            &Cadence::default(),
        );
        let due: Vec<String> = steps.iter().map(|step| step.due_on.to_string()).collect();
        let lapses: Vec<String> = steps
            .iter()
            .map(|step| step.lapses_on.to_string())
            .collect();
        assert_eq!((due, lapses), (case.due, case.lapses), "{}", case.name);
        for step in &steps {
            assert_eq!(
                zone.to_datetime(step.next_at).date(),
                step.due_on,
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn enrolling_twice_gives_the_same_steps() {
    let discharged = "2026-03-02T03:00:00Z".parse().expect("an instant");
    let plan = || {
        enroll(
            &patient("Asia/Shanghai"),
            &episode(discharged),
            &Cadence::default(),
        )
    };
    assert_eq!(plan(), plan());
}

#[test]
fn an_unknown_zone_blocks_the_steps_and_says_so() {
    let discharged = "2026-03-02T03:00:00Z".parse().expect("an instant");
    let steps = enroll(
        &patient("Mars/Base"),
        &episode(discharged),
        &Cadence::default(),
    );
    assert_eq!(steps.len(), 4);
    for step in steps {
        assert_eq!(step.state, StepState::Blocked);
        assert!(step.reason.starts_with("unknown_zone: "), "{}", step.reason);
    }
}
