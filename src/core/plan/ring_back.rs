//! Who may ring us about a patient, and which planned call they are asked about.

use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::callee::candidates;
use super::{Minors, Step, StepState};
use crate::patient::Patient;
use crate::phone::PhoneNumber;
use crate::time::{self, Timestamp};

/// A step that was missed so long ago is made up for, where the patient rings.
const RECENTLY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Whether somebody on this telephone may speak of the patient: it is hers, or one that we would ring for her.
pub fn may_ring_back(
    patient: &Patient,
    number: &PhoneNumber,
    minors: Minors,
    now: Timestamp,
) -> bool {
    let zone = time::zone(&patient.zone).unwrap_or(TimeZone::UTC);
    let today = zone.to_datetime(now).date();
    let rung = candidates(patient, minors, today).unwrap_or_default();
    patient.phone.as_ref() == Some(number) || rung.iter().any(|known| known.number == number)
}

/// Whether the plan still has to do with a patient: only then a number that rings is looked at.
pub fn expects_calls(steps: &[Step], now: Timestamp) -> bool {
    let is_open = |step: &Step| !step.state.is_closed() || is_recent(step, now);
    steps.iter().any(is_open)
}

/// The step that is due today, or else the one missed last.
pub fn step_to_resume(steps: &[Step], today: Date, now: Timestamp) -> Option<&Step> {
    let is_due = |step: &&Step| {
        step.state == StepState::Planned && step.due_on <= today && today < step.lapses_on
    };
    let due = steps.iter().filter(is_due).max_by_key(|step| step.due_on);
    let missed = || {
        let recent = steps.iter().filter(|step| is_recent(step, now));
        recent.max_by_key(|step| step.next_at)
    };
    due.or_else(missed)
}

/// Given up or too late, a short while ago. (`next_at` of a closed step is when it was closed.)
fn is_recent(step: &Step, now: Timestamp) -> bool {
    let is_missed = matches!(step.state, StepState::Unreached | StepState::Lapsed);
    is_missed && now.duration_since(step.next_at) <= RECENTLY
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::id::{EpisodeId, PatientId, StepId};

    fn step(day: u16, state: StepState, closed_at: &str) -> Step {
        let due_on = date(2026, 11, 20).saturating_add(jiff::Span::new().days(i64::from(day)));
        Step {
            id: StepId(format!("{day}")),
            episode: EpisodeId("e".to_owned()),
            patient: PatientId("p".to_owned()),
            day,
            script: "cardiac".to_owned(),
            due_on,
            lapses_on: due_on.saturating_add(jiff::Span::new().days(2)),
            state,
            next_at: closed_at.parse().expect("an instant"),
            reason: String::new(),
        }
    }

    #[test]
    fn the_step_that_is_due_comes_before_the_one_that_was_missed() {
        let (recent, long_ago) = ("2026-11-22T02:00:00Z", "2026-11-10T02:00:00Z");
        let now: Timestamp = "2026-11-23T02:00:00Z".parse().expect("an instant");
        let today = date(2026, 11, 23);
        // Day 3 is due on the 23rd, day 7 later.
        for (steps, expected, is_expected) in [
            (
                vec![
                    step(3, StepState::Planned, recent),
                    step(0, StepState::Unreached, recent),
                ],
                Some(3),
                true,
            ),
            (
                vec![
                    step(0, StepState::Unreached, recent),
                    step(7, StepState::Planned, recent),
                ],
                Some(0),
                true,
            ),
            (vec![step(0, StepState::Lapsed, recent)], Some(0), true),
            (
                vec![
                    step(0, StepState::Unreached, long_ago),
                    step(7, StepState::Planned, recent),
                ],
                None,
                true,
            ),
            (vec![step(0, StepState::Unreached, long_ago)], None, false),
            (vec![step(3, StepState::Calling, recent)], None, true),
            (
                vec![
                    step(3, StepState::Done, recent),
                    step(0, StepState::Blocked, recent),
                ],
                None,
                false,
            ),
        ] {
            let found = step_to_resume(&steps, today, now).map(|step| step.day);
            assert_eq!(found, expected, "{steps:?}");
            assert_eq!(expects_calls(&steps, now), is_expected, "{steps:?}");
        }
    }
}
