//! From the discharge to the days of the plan.

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Reason, Step, StepState};
use crate::id::StepId;
use crate::patient::{Episode, Patient};
use crate::time::{self, start_of_day};

/// One follow-up of a pathway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CadenceDay {
    /// Days after the local date of discharge.
    pub day: u16,
    /// How many days late a call is still useful: 0 means on that day only.
    pub grace_days: u16,
}

/// The days on which an episode is followed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence(pub Vec<CadenceDay>);

impl Default for Cadence {
    /// Day 3, 7, 14 and 30 (AHRQ RED tool 5 and common practice); no step's grace reaches the next one.
    fn default() -> Self {
        let days = [(3, 2), (7, 3), (14, 4), (30, 7)];
        Self(
            days.into_iter()
                .map(|(day, grace_days)| CadenceDay { day, grace_days })
                .collect(),
        )
    }
}

/// Plans the steps of an episode. Day 0 is the local date of discharge in the patient's zone.
///
/// The same episode gives the same step ids, so enrolling twice changes nothing. A patient whose zone is
/// unknown gets her steps blocked, with the reason, and not silently none.
pub fn enroll(patient: &Patient, episode: &Episode, cadence: &Cadence) -> Vec<Step> {
    let known = time::zone(&patient.zone);
    let zone = known.clone().unwrap_or(TimeZone::UTC);
    let day_zero = day_zero(patient, episode);
    cadence
        .0
        .iter()
        .map(|day| step(episode, *day, day_zero, &zone, known.is_some()))
        .collect()
}

/// The local date of discharge in the patient's zone; in UTC where that is unknown.
pub(super) fn day_zero(patient: &Patient, episode: &Episode) -> Date {
    let zone = time::zone(&patient.zone).unwrap_or(TimeZone::UTC);
    episode.discharged_at.to_zoned(zone).date()
}

fn step(
    episode: &Episode,
    cadence: CadenceDay,
    day_zero: Date,
    zone: &TimeZone,
    zone_known: bool,
) -> Step {
    let due_on = days_after(day_zero, cadence.day);
    Step {
        id: StepId(format!("{}.d{}", episode.id, cadence.day)),
        episode: episode.id.clone(),
        patient: episode.patient.clone(),
        day: cadence.day,
        script: episode.pathway.clone(),
        due_on,
        lapses_on: days_after(due_on, cadence.grace_days.saturating_add(1)),
        state: if zone_known {
            StepState::Planned
        } else {
            StepState::Blocked
        },
        next_at: start_of_day(due_on, zone),
        reason: if zone_known {
            String::new()
        } else {
            Reason::UnknownZone.to_string()
        },
    }
}

pub(super) fn days_after(date: Date, days: u16) -> Date {
    date.saturating_add(Span::new().days(i64::from(days)))
}
