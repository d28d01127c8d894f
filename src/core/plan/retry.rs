//! What an attempt's outcome means for the step: over, or again and when.
//!
//! The one place with retry rules. The trunk, the call and the jobs never retry by themselves.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::hours::at_local;
use super::policy::Rule;
use super::{PastAttempt, PlanInput, Reason, Step, StepState};
use crate::attempt::Disposition;
use crate::phone::PhoneNumber;
use crate::time::start_of_day;

/// What follows from the attempts made so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum After {
    /// Again, but not before this instant.
    Again {
        not_before: Timestamp,
        why: Reason,
    },
    /// The line dropped in an emergency: once more and soon, or never.
    Recall {
        not_before: Timestamp,
        until: Timestamp,
    },
    Over(StepState, Reason),
}

/// A part of the day: who did not answer in one may in another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    #[display("morning")]
    Morning,
    #[display("afternoon")]
    Afternoon,
    #[display("evening")]
    Evening,
}

impl Band {
    /// Morning ends at 12:00 local, the evening begins at 17:00.
    pub fn of(local: Time) -> Self {
        match local.hour() {
            ..12 => Band::Morning,
            12..17 => Band::Afternoon,
            17.. => Band::Evening,
        }
    }
}

/// How long another part of the day is looked for before any open hour will do.
const OTHER_BAND_WITHIN: SignedDuration = SignedDuration::from_hours(36);
/// Rest after a person or nobody answered, before another part of the day is tried.
const REST: SignedDuration = SignedDuration::from_hours(2);

/// After a line that dropped in an emergency: time to call 120 or to hang up by mistake, and not longer.
const RECALL_AFTER: SignedDuration = SignedDuration::from_mins(2);
const RECALL_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Reads the attempts of the step, oldest first; `None` when there was none. `number` is rung next, `rules` are the
/// layers over it.
pub(super) fn after(
    input: &PlanInput<'_>,
    rules: &[Rule<'_>],
    number: &PhoneNumber,
    zone: &TimeZone,
) -> Option<After> {
    let attempts = input.attempts;
    let last = attempts.last()?;
    let ends = |past: &PastAttempt| past.disposition.and_then(settles);
    if let Some(over) = attempts.iter().find_map(ends) {
        return Some(over);
    }
    if let Some(over) = gives_up(attempts, input.policy.caps().max_attempts) {
        return Some(over);
    }
    let retry = Retry {
        step: input.step,
        attempts,
        last,
        ended: last.ended_at.unwrap_or(last.started_at),
        goes_on: last.number.as_ref().is_some_and(|rung| rung != number),
        rules,
        zone,
    };
    Some(retry.when())
}

/// Dispositions after which the step needs no further call, whatever came before or after.
fn settles(by: Disposition) -> Option<After> {
    let state = match by {
        Disposition::Completed | Disposition::AskedForPerson | Disposition::TakenOver => {
            StepState::Done
        }
        Disposition::OptedOut | Disposition::ReportedDeath | Disposition::ReportedReadmission => {
            StepState::Blocked
        }
        // Which numbers are left is the callee's matter.
        Disposition::InvalidNumber
        | Disposition::WrongParty
        | Disposition::Partial
        | Disposition::CutInEmergency
        | Disposition::Unidentified
        | Disposition::NotNow
        | Disposition::Machine
        | Disposition::NoAnswer
        | Disposition::Busy
        | Disposition::Declined
        | Disposition::Unreachable
        | Disposition::TrunkFailure
        | Disposition::Interrupted => return None,
    };
    Some(After::Over(state, Reason::Settled { by }))
}

/// Outcomes that may happen once or a few times, but not for ever.
fn gives_up(attempts: &[PastAttempt], max_attempts: u32) -> Option<After> {
    let over = |reason| Some(After::Over(StepState::Unreached, reason));
    let cut = |past: &PastAttempt| past.disposition == Some(Disposition::CutInEmergency);
    let recalled = attempts.iter().rev().skip(1).any(cut)
        && attempts
            .last()
            .is_some_and(|last| last.disposition.is_some());
    if recalled {
        return over(Reason::Recalled);
    }
    let partial = |past: &&PastAttempt| past.disposition == Some(Disposition::Partial);
    if attempts.iter().filter(partial).count() >= 2 {
        return over(Reason::BrokeOffTwice);
    }
    let rang = attempts.iter().filter(|past| past.rang).count();
    let rang = u32::try_from(rang).unwrap_or(u32::MAX);
    // The one re-call of an emergency is not counted against it.
    if rang >= max_attempts && !attempts.last().is_some_and(cut) {
        return over(Reason::AttemptsUsed {
            rang,
            allowed: max_attempts,
        });
    }
    None
}

struct Retry<'a> {
    step: &'a Step,
    attempts: &'a [PastAttempt],
    last: &'a PastAttempt,
    ended: Timestamp,
    /// The next number is another than the last.
    goes_on: bool,
    rules: &'a [Rule<'a>],
    zone: &'a TimeZone,
}

impl Retry<'_> {
    fn when(&self) -> After {
        let Some(after) = self.last.disposition else {
            return self.again(self.ended, Reason::LiveAttempt);
        };
        match after {
            _ if self.goes_on => self.soon(10, 15, after),
            Disposition::Busy | Disposition::Interrupted | Disposition::Partial => {
                self.soon(10, 15, after)
            }
            Disposition::CutInEmergency => After::Recall {
                not_before: self.ended + RECALL_AFTER,
                until: self.ended + RECALL_WITHIN,
            },
            Disposition::Unreachable => self.soon(120, 240, after),
            Disposition::TrunkFailure => self.backed_off(),
            Disposition::NoAnswer
            | Disposition::Machine
            | Disposition::Unidentified
            | Disposition::WrongParty => self.other_band(self.ended + REST, after),
            Disposition::Declined => self.other_band(self.next_day(), after),
            Disposition::NotNow => self.as_asked(),
            Disposition::Completed
            | Disposition::OptedOut
            | Disposition::AskedForPerson
            | Disposition::TakenOver
            | Disposition::ReportedDeath
            | Disposition::ReportedReadmission
            | Disposition::InvalidNumber => {
                // Answered before; should one come here all the same, a further call is refused.
                After::Over(StepState::Done, Reason::Settled { by: after })
            }
        }
    }

    fn again(&self, not_before: Timestamp, why: Reason) -> After {
        After::Again { not_before, why }
    }

    /// Between `least` and `most` minutes from the end, spread so that steps do not come back together.
    fn soon(&self, least: u32, most: u32, after: Disposition) -> After {
        let minutes = least + spread(&self.step.id.0, self.attempts.len()) % (most - least + 1);
        self.in_minutes(minutes, after)
    }

    fn in_minutes(&self, minutes: u32, after: Disposition) -> After {
        let not_before = self.ended + SignedDuration::from_mins(minutes.into());
        self.again(not_before, Reason::Again { after, minutes })
    }

    /// 5, 10, 20, 40, then every 60 minutes while the trunk goes on failing.
    fn backed_off(&self) -> After {
        let failed = |past: &&PastAttempt| past.disposition == Some(Disposition::TrunkFailure);
        let failures = self.attempts.iter().rev().take_while(failed).count();
        let minutes = 5u32
            .saturating_mul(1 << failures.saturating_sub(1).min(4))
            .min(60);
        self.in_minutes(minutes, Disposition::TrunkFailure)
    }

    fn as_asked(&self) -> After {
        match self.last.asked_for {
            Some(at) if at > self.ended => self.again(at, Reason::AskedFor),
            Some(_) | None => self.other_band(self.ended + REST, Disposition::NotNow),
        }
    }

    fn next_day(&self) -> Timestamp {
        let local = self.zone.to_datetime(self.ended).date();
        start_of_day(local.saturating_add(Span::new().days(1)), self.zone)
    }

    /// The first open instant in a part of the day that was not tried; failing that, in another than the last.
    fn other_band(&self, from: Timestamp, after: Disposition) -> After {
        let tried: Vec<Band> = self
            .attempts
            .iter()
            .filter(|past| past.rang)
            .map(|past| self.band(past))
            .collect();
        let last = [self.band(self.last)];
        let found = self
            .open_outside(&tried, from)
            .or_else(|| self.open_outside(&last, from));
        let band = found.map(|at| Band::of(self.zone.to_datetime(at).time()));
        let why = Reason::OtherHours { after, band };
        self.again(found.unwrap_or(from), why)
    }

    fn band(&self, past: &PastAttempt) -> Band {
        Band::of(self.zone.to_datetime(past.started_at).time())
    }

    fn open_outside(&self, avoid: &[Band], from: Timestamp) -> Option<Timestamp> {
        let band_starts = [12, 17].map(|hour| Time::constant(hour, 0, 0, 0));
        let today = self.zone.to_datetime(from).date();
        let days = (0..3).map(|days| today.saturating_add(Span::new().days(days)));
        let starts = days.flat_map(|day| band_starts.map(|time| at_local(day, time, self.zone)));
        let mut candidates: Vec<Timestamp> = std::iter::once(from)
            .chain(starts)
            .chain(self.openings(from))
            .collect();
        candidates.retain(|at| *at >= from && at.duration_since(from) <= OTHER_BAND_WITHIN);
        candidates.sort_unstable();
        candidates.into_iter().find(|at| {
            !avoid.contains(&Band::of(self.zone.to_datetime(*at).time())) && self.is_open(*at)
        })
    }

    fn openings(&self, from: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.rules.iter().flat_map(move |rule| {
            let hours = rule.hours.into_iter();
            let until = from + OTHER_BAND_WITHIN;
            hours.flat_map(move |hours| {
                let openings = hours.openings(rule.zone, rule.holidays, from);
                openings.take_while(move |at| *at <= until)
            })
        })
    }

    fn is_open(&self, at: Timestamp) -> bool {
        self.rules.iter().all(|rule| {
            rule.hours
                .is_none_or(|hours| hours.is_open(rule.zone, rule.holidays, at))
        })
    }
}

/// A number that differs from step to step and try to try, and never for the same two (FNV-1a).
pub(super) fn spread(step: &str, attempts: usize) -> u32 {
    let bytes = step.bytes().chain(attempts.to_le_bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    }) >> 8
}
