//! From the discharge to the days of the plan, and the hours of a week in which a telephone may ring.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::{Reason, ReasonCode, Step, StepState};
use crate::id::StepId;
use crate::patient::{Episode, Patient};
use crate::time;

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
    let day_zero = episode.discharged_at.to_zoned(zone.clone()).date();
    cadence
        .0
        .iter()
        .map(|day| step(episode, *day, day_zero, &zone, known.is_some()))
        .collect()
}

fn step(
    episode: &Episode,
    cadence: CadenceDay,
    day_zero: Date,
    zone: &TimeZone,
    zone_known: bool,
) -> Step {
    let due_on = days_after(day_zero, cadence.day);
    let reason = Reason::new(
        ReasonCode::UnknownZone,
        "the time zone of the telephone is not known",
    );
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
            reason.to_string()
        },
    }
}

fn days_after(date: Date, days: u16) -> Date {
    date.saturating_add(Span::new().days(i64::from(days)))
}

/// The first instant of a local day; where midnight falls in a gap, the first after it.
pub(super) fn start_of_day(date: Date, zone: &TimeZone) -> Timestamp {
    at_local(date, Time::midnight(), zone)
}

/// The instant of a local time: in a gap the one as much later as the gap is long, in a fold the earlier.
pub(super) fn at_local(date: Date, time: Time, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(date.to_datetime(time))
        .unwrap_or(Timestamp::MAX)
}

/// Local hours on some weekdays, half open: `to` itself is outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub days: Vec<Weekday>,
    pub from: Time,
    pub to: Time,
}

/// The open hours of each weekday, Monday first: sorted, non-empty, half open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Week([Vec<(Time, Time)>; 7]);

/// How far ahead an opening is looked for: longer than any week with holidays.
const HORIZON_DAYS: i64 = 15;

impl Week {
    /// Cuts the windows to `earliest..latest` and takes `rest` out of them.
    pub(super) fn new(windows: &[Window], law: (Time, Time), rest: Option<(Time, Time)>) -> Self {
        let mut week: [Vec<(Time, Time)>; 7] = Default::default();
        for window in windows {
            for day in &window.days {
                let lawful = (window.from.max(law.0), window.to.min(law.1));
                let parts = match rest {
                    Some((from, to)) => {
                        vec![(lawful.0, lawful.1.min(from)), (lawful.0.max(to), lawful.1)]
                    }
                    None => vec![lawful],
                };
                let open = &mut week[usize::from(day.to_monday_zero_offset().unsigned_abs())];
                open.extend(parts.into_iter().filter(|(from, to)| from < to));
            }
        }
        for open in &mut week {
            open.sort_unstable();
        }
        Self(week)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    pub(super) fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        let local = zone.to_datetime(at);
        self.of(local.date())
            .iter()
            .any(|(from, to)| (*from..*to).contains(&local.time()))
    }

    /// The first open instant at or after `from`.
    pub(super) fn next_open(&self, zone: &TimeZone, from: Timestamp) -> Option<Timestamp> {
        if self.is_open(zone, from) {
            return Some(from);
        }
        self.openings(zone, from).find(|at| *at >= from)
    }

    /// Every start of an open stretch from the day of `from` on, in order.
    pub(super) fn openings<'a>(
        &'a self,
        zone: &'a TimeZone,
        from: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + 'a {
        let today = zone.to_datetime(from).date();
        (0..HORIZON_DAYS)
            .map(move |days| today.saturating_add(Span::new().days(days)))
            .flat_map(move |date| {
                self.of(date)
                    .iter()
                    .map(move |(start, _)| at_local(date, *start, zone))
            })
            .filter(move |at| self.is_open(zone, *at))
    }

    fn of(&self, date: Date) -> &[(Time, Time)] {
        &self.0[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())]
    }
}
