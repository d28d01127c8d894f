//! What an attempt's outcome means for the step: over, or again and when.
//!
//! The one place with retry rules. The trunk, the call and the jobs never retry by themselves.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::calendar::start_of_day;
use super::{CallingPolicy, PastAttempt, Reason, ReasonCode, Step, StepState};
use crate::attempt::Disposition;

/// What follows from the attempts made so far.
#[derive(Clone, Debug, PartialEq)]
pub enum After {
    /// Again, but not before this instant; `words` say why then.
    Again {
        not_before: Timestamp,
        words: String,
    },
    /// The line dropped in an emergency: once more and soon, or never.
    Recall {
        not_before: Timestamp,
        until: Timestamp,
        words: String,
    },
    Over(StepState, Reason),
}

/// A part of the day: who did not answer in one may in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, derive_more::Display)]
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

/// Reads the attempts of one step, oldest first; `None` when there was none.
pub fn after(
    step: &Step,
    attempts: &[PastAttempt],
    policy: &CallingPolicy,
    zone: &TimeZone,
) -> Option<After> {
    let last = attempts.last()?;
    if let Some(over) = attempts
        .iter()
        .find_map(|past| past.disposition.and_then(settles))
    {
        return Some(over);
    }
    if let Some(over) = gives_up(attempts, policy.caps().max_attempts) {
        return Some(over);
    }
    let retry = Retry {
        step,
        attempts,
        last,
        ended: last.ended_at.unwrap_or(last.started_at),
        policy,
        zone,
    };
    Some(retry.when())
}

/// Dispositions after which the step needs no further call, whatever came before or after.
fn settles(disposition: Disposition) -> Option<After> {
    let (state, code, words) = match disposition {
        Disposition::Completed => (
            StepState::Done,
            ReasonCode::Settled,
            "the call was completed",
        ),
        Disposition::AskedForPerson => (
            StepState::Done,
            ReasonCode::Settled,
            "asked for a person; a human has the work order",
        ),
        Disposition::OptedOut => (
            StepState::Blocked,
            ReasonCode::ConsentWithdrawn,
            "refused further calls on the telephone",
        ),
        Disposition::ReportedDeath => (
            StepState::Blocked,
            ReasonCode::ReportedDead,
            "a death was reported; a human must confirm it",
        ),
        Disposition::ReportedReadmission => (
            StepState::Blocked,
            ReasonCode::ReportedReadmitted,
            "a new stay in hospital was reported; a human must confirm it",
        ),
        Disposition::InvalidNumber => (
            StepState::Blocked,
            ReasonCode::InvalidNumber,
            "the number does not exist; a human must find another",
        ),
        Disposition::Partial
        | Disposition::CutInEmergency
        | Disposition::Unidentified
        | Disposition::WrongParty
        | Disposition::NotNow
        | Disposition::Machine
        | Disposition::NoAnswer
        | Disposition::Busy
        | Disposition::Declined
        | Disposition::Unreachable
        | Disposition::TrunkFailure
        | Disposition::Interrupted => return None,
    };
    Some(After::Over(state, Reason::new(code, words)))
}

/// Outcomes that may happen once or a few times, but not for ever.
fn gives_up(attempts: &[PastAttempt], max_attempts: u32) -> Option<After> {
    let count = |wanted| {
        attempts
            .iter()
            .filter(|past| past.disposition == Some(wanted))
            .count()
    };
    if count(Disposition::WrongParty) >= 2 {
        let words =
            "two people said that the number is not the patient's; a human must find another";
        return Some(After::Over(
            StepState::Blocked,
            Reason::new(ReasonCode::WrongParty, words),
        ));
    }
    let cut = |past: &PastAttempt| past.disposition == Some(Disposition::CutInEmergency);
    let recalled = attempts.iter().rev().skip(1).any(cut)
        && attempts
            .last()
            .is_some_and(|last| last.disposition.is_some());
    if recalled {
        let words = "an emergency was called back once; a human has the work order";
        return Some(After::Over(
            StepState::Unreached,
            Reason::new(ReasonCode::AttemptsUsed, words),
        ));
    }
    if count(Disposition::Partial) >= 2 {
        let words = "the conversation broke off twice; a human takes over";
        return Some(After::Over(
            StepState::Unreached,
            Reason::new(ReasonCode::AttemptsUsed, words),
        ));
    }
    let rang = attempts.iter().filter(|past| past.rang).count();
    if rang >= usize::try_from(max_attempts).unwrap_or(usize::MAX) {
        let words = format!("{rang} of {max_attempts} attempts were used; a human takes over");
        return Some(After::Over(
            StepState::Unreached,
            Reason::new(ReasonCode::AttemptsUsed, words),
        ));
    }
    None
}

struct Retry<'a> {
    step: &'a Step,
    attempts: &'a [PastAttempt],
    last: &'a PastAttempt,
    ended: Timestamp,
    policy: &'a CallingPolicy,
    zone: &'a TimeZone,
}

impl Retry<'_> {
    fn when(&self) -> After {
        let Some(disposition) = self.last.disposition else {
            return self.again(self.ended, "an attempt is live".to_owned());
        };
        match disposition {
            Disposition::Busy => self.soon(10, 15, "the line was busy"),
            Disposition::Interrupted => self.soon(
                10,
                15,
                "the attempt was interrupted by a stop of the engine",
            ),
            Disposition::CutInEmergency => After::Recall {
                not_before: self.ended + RECALL_AFTER,
                until: self.ended + RECALL_WITHIN,
                words: "the line dropped in an emergency; once more at once".to_owned(),
            },
            Disposition::Partial => self.soon(10, 15, "the conversation broke off"),
            Disposition::Unreachable => {
                self.soon(120, 240, "the telephone was off or out of reach")
            }
            Disposition::TrunkFailure => self.backed_off(),
            Disposition::NoAnswer => self.other_band(self.ended + REST, "nobody answered"),
            Disposition::Machine => self.other_band(self.ended + REST, "a machine answered"),
            Disposition::Unidentified => {
                self.other_band(self.ended + REST, "the person was not identified")
            }
            Disposition::WrongParty => self.other_band(self.ended + REST, "somebody else answered"),
            Disposition::Declined => self.other_band(self.next_day(), "the call was declined"),
            Disposition::NotNow => self.as_asked(),
            Disposition::Completed
            | Disposition::OptedOut
            | Disposition::AskedForPerson
            | Disposition::ReportedDeath
            | Disposition::ReportedReadmission
            | Disposition::InvalidNumber => {
                // `settles` answered these; should it ever not, a further call is refused.
                After::Over(
                    StepState::Done,
                    Reason::new(ReasonCode::Settled, "the step is settled"),
                )
            }
        }
    }

    fn again(&self, not_before: Timestamp, words: String) -> After {
        After::Again { not_before, words }
    }

    /// Between `least` and `most` minutes from the end, spread so that steps do not come back together.
    fn soon(&self, least: u32, most: u32, what: &str) -> After {
        let minutes = least + spread(&self.step.id.0, self.attempts.len()) % (most - least + 1);
        let not_before = self.ended + SignedDuration::from_mins(minutes.into());
        self.again(not_before, format!("{what}; again after {minutes} minutes"))
    }

    /// 5, 10, 20, 40, then every 60 minutes while the trunk goes on failing.
    fn backed_off(&self) -> After {
        let failed = |past: &&PastAttempt| past.disposition == Some(Disposition::TrunkFailure);
        let failures = self.attempts.iter().rev().take_while(failed).count();
        let minutes = 5i64
            .saturating_mul(1 << failures.saturating_sub(1).min(4))
            .min(60);
        let not_before = self.ended + SignedDuration::from_mins(minutes);
        self.again(
            not_before,
            format!("the trunk failed; again after {minutes} minutes"),
        )
    }

    fn as_asked(&self) -> After {
        match self.last.asked_for {
            Some(at) if at > self.ended => {
                self.again(at, "was asked to ring later, at a stated time".to_owned())
            }
            Some(_) | None => self.other_band(self.ended + REST, "it was not convenient"),
        }
    }

    fn next_day(&self) -> Timestamp {
        let local = self.zone.to_datetime(self.ended).date();
        start_of_day(local.saturating_add(Span::new().days(1)), self.zone)
    }

    /// The first open instant in a part of the day that was not tried; failing that, in another than the last.
    fn other_band(&self, from: Timestamp, what: &str) -> After {
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
        match found {
            Some(at) => {
                let band = Band::of(self.zone.to_datetime(at).time());
                self.again(at, format!("{what}; again in the {band}"))
            }
            None => self.again(from, format!("{what}; again in the next open hour")),
        }
    }

    fn band(&self, past: &PastAttempt) -> Band {
        Band::of(self.zone.to_datetime(past.started_at).time())
    }

    fn open_outside(&self, avoid: &[Band], from: Timestamp) -> Option<Timestamp> {
        let band_starts = [12, 17].map(|hour| Time::constant(hour, 0, 0, 0));
        let today = self.zone.to_datetime(from).date();
        let days = (0..3).map(|days| today.saturating_add(Span::new().days(days)));
        let starts = days.flat_map(|day| {
            band_starts.map(|time| super::calendar::at_local(day, time, self.zone))
        });
        let mut candidates: Vec<Timestamp> = std::iter::once(from)
            .chain(starts)
            .chain(self.policy.openings(self.zone, from))
            .collect();
        candidates.retain(|at| *at >= from && at.duration_since(from) <= OTHER_BAND_WITHIN);
        candidates.sort_unstable();
        candidates.into_iter().find(|at| {
            self.policy.is_open(self.zone, *at)
                && !avoid.contains(&Band::of(self.zone.to_datetime(*at).time()))
        })
    }
}

/// A number that differs from step to step and try to try, and never for the same two (FNV-1a).
fn spread(step: &str, attempts: usize) -> u32 {
    let bytes = step.bytes().chain(attempts.to_le_bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    }) >> 8
}
