//! A nurse at a browser takes the patient over, in whole calls.

use std::time::Duration;

use aftercall_core::attempt::{CallNote, Disposition};
use aftercall_core::call::CallEvent;
use aftercall_core::finding::{Confirmation, PlacedFinding};
use aftercall_core::sim::{Leaves, Outcome, Takeover, World};
use aftercall_core::work_order::{Cause, Subject, causes_of};

use crate::whole::{fixture, kit, order};

/// The nurse takes over while this is asked, and talks for ten seconds.
fn run(name: &str, node: &str, leaves: Leaves) -> Outcome {
    run_after(name, node, 200, leaves)
}

fn run_after(name: &str, node: &str, after_ms: u64, leaves: Leaves) -> Outcome {
    let fixture = fixture(name);
    let (order, kit) = (order(&fixture), kit(fixture.prompt_ms));
    let takeover = Takeover {
        node: node.to_owned(),
        after: Duration::from_millis(after_ms),
        talks: Duration::from_secs(10),
        leaves,
    };
    World::new(fixture, order, kit, [42; 32])
        .with_takeover(takeover)
        .run()
}

/// From when to when she had the patient.
fn spans(outcome: &Outcome) -> Vec<(u64, u64)> {
    let notes = outcome.record.notes.iter();
    let spans = notes.filter_map(|note| match note {
        CallNote::TakenOver { by, from_ms, to_ms } if by == "li.na" => Some((*from_ms, *to_ms)),
        _ => None,
    });
    spans.collect()
}

fn causes(outcome: &Outcome) -> Vec<Cause> {
    let subject = Subject {
        patient: None,
        episode: None,
        attempt: None,
        high_risk: false,
    };
    causes_of(&outcome.record, &subject)
}

/// When each question of this node began.
fn asked(outcome: &Outcome, node: &str) -> Vec<u64> {
    let events = outcome.events.iter().zip(&outcome.event_ms);
    let asked = events
        .filter(|(event, _)| matches!(event, CallEvent::Asked { node: own, .. } if own.0 == node));
    asked.map(|(_, at_ms)| *at_ms).collect()
}

fn at(outcome: &Outcome, is: impl Fn(&CallEvent) -> bool) -> u64 {
    let place = outcome.events.iter().position(is);
    outcome.event_ms[place.unwrap_or_else(|| panic!("{:#?}", outcome.trace))]
}

#[test]
fn handed_back_the_robot_asks_again_and_goes_on_to_the_end() {
    let outcome = run("good_cardiac_zh.toml", "screen_faint", Leaves::HandsBack);
    let trace = outcome.trace.join("\n");
    assert_eq!(
        outcome.record.ending.disposition,
        Disposition::Completed,
        "{trace}"
    );
    let spans = spans(&outcome);
    assert_eq!(spans.len(), 1, "{trace}");
    assert_eq!(spans[0].1 - spans[0].0, 10_000, "{trace}");
    let back = at(&outcome, |event| matches!(event, CallEvent::HandedBack));
    let asked = asked(&outcome, "screen_faint");
    assert_eq!(asked.len(), 2, "{trace}");
    assert_eq!(asked[1], back, "at once: {trace}");
    // Her voice is on the robot's side of the recording: syllables with pauses, without a gap at the start.
    assert!(
        outcome.nurse_said_ms > 7_000,
        "{} ms\n{trace}",
        outcome.nurse_said_ms
    );
    assert!(causes(&outcome).is_empty(), "{:?}", causes(&outcome));
}

#[test]
fn what_the_robot_heard_stands_and_she_ends_the_call() {
    let outcome = run("chest_tightness.toml", "emergency", Leaves::HangsUp);
    let trace = outcome.trace.join("\n");
    assert!(outcome.bye_received, "{trace}");
    // She has the patient: the robot does not ring once more for the line that was cut.
    assert_eq!(
        outcome.record.ending.disposition,
        Disposition::TakenOver,
        "{trace}"
    );
    assert_eq!(spans(&outcome).len(), 1, "{trace}");
    let finding = |cause: &Cause| matches!(cause, Cause::Finding { finding, .. } if finding.finding.concept.0 == "chest_pain");
    assert!(causes(&outcome).iter().any(finding), "{trace}");
}

#[test]
fn a_call_that_ended_in_her_hands_says_so_and_what_was_not_asked_is_hers_to_close() {
    let outcome = run("good_cardiac_zh.toml", "screen_faint", Leaves::HangsUp);
    let trace = outcome.trace.join("\n");
    assert_eq!(
        outcome.record.ending.disposition,
        Disposition::TakenOver,
        "{trace}"
    );
    assert!(Disposition::TakenOver.is_final() && !outcome.record.progress.screened);
    assert_eq!(causes(&outcome), [Cause::Incomplete], "{trace}");
    let closed = outcome.record.turns.last().expect("turns");
    assert_eq!(
        (closed.node.0.as_str(), &closed.reply),
        ("screen_faint", &None)
    );
}

/// The reply lasts from one second after the question to three; its words are there half a second later.
#[test]
fn what_was_said_before_she_took_over_is_heard_all_the_same() {
    let mut found = Vec::new();
    for after_ms in (1_000..3_800).step_by(100) {
        let outcome = run_after(
            "chest_tightness.toml",
            "screen_chest",
            after_ms,
            Leaves::HangsUp,
        );
        if spans(&outcome).is_empty() {
            continue;
        }
        let alerts = |placed: &&PlacedFinding| placed.finding.alerts();
        found.push((
            after_ms,
            outcome.record.findings.iter().filter(alerts).count(),
        ));
    }
    let first = found
        .iter()
        .position(|(_, count)| *count > 0)
        .expect("found");
    assert!(
        found[first..].iter().all(|(_, count)| *count == 1),
        "{found:?}"
    );
    assert!(found.len() - first > 10, "{found:?}");
}

#[test]
fn who_was_never_identified_is_rung_again() {
    let outcome = run("good_cardiac_zh.toml", "identity", Leaves::HangsUp);
    let trace = outcome.trace.join("\n");
    assert_eq!(
        outcome.record.ending.disposition,
        Disposition::Unidentified,
        "{trace}"
    );
}

#[test]
fn a_nurse_who_is_gone_leaves_nobody_in_silence() {
    let outcome = run("good_cardiac_zh.toml", "screen_faint", Leaves::Vanishes);
    let trace = outcome.trace.join("\n");
    assert_eq!(
        outcome.record.ending.disposition,
        Disposition::Completed,
        "{trace}"
    );
    let spans = spans(&outcome);
    // Ten seconds of talk, and three in which no packet came.
    let had = spans[0].1 - spans[0].0;
    assert!((12_900..=13_200).contains(&had), "{had} ms\n{trace}");
    let asked = asked(&outcome, "screen_faint");
    assert_eq!(asked.len(), 2, "{trace}");
}

#[test]
fn a_doubt_that_she_cut_short_is_raised_as_unconfirmed() {
    let outcome = run(
        "doubtful_confirmed.toml",
        "confirm_chest_pain",
        Leaves::HangsUp,
    );
    let trace = outcome.trace.join("\n");
    let found = outcome.record.findings.iter();
    let mut doubtful = found.filter(|placed| placed.finding.confirmation == Confirmation::Unclear);
    assert!(
        doubtful.any(|placed| placed.finding.alerts()),
        "{:?}\n{trace}",
        outcome.record.findings
    );
    let is_finding = |cause: &Cause| matches!(cause, Cause::Finding { .. });
    assert!(causes(&outcome).iter().any(is_finding), "{trace}");
}

#[test]
fn a_machine_is_not_taken_over() {
    let outcome = run("voicemail.toml", "opening", Leaves::HandsBack);
    assert!(spans(&outcome).is_empty(), "{:#?}", outcome.trace);
}
