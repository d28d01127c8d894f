//! The decision: may this step be dialled now, and if not, why and when.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};

use super::calendar::start_of_day;
use super::retry::{After, after};
use super::{CallingPolicy, DialOrder, NextStep, PastAttempt, Reason, ReasonCode, Step, StepState};
use crate::attempt::Disposition;
use crate::patient::{ConsentBasis, Episode, EpisodeState, Hearing, Life, Patient};
use crate::phone::PhoneNumber;
use crate::time::{self, Timestamp};

/// Everything the decision looks at. What is not in here cannot make a telephone ring.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    pub step: &'a Step,
    pub patient: &'a Patient,
    pub episode: &'a Episode,
    /// Attempts of this step, oldest first.
    pub attempts: &'a [PastAttempt],
    /// Attempts on the number in the last 48 h at least, by any step of anybody, this step's included.
    pub number_attempts: &'a [PastAttempt],
    /// The number, or the patient, is on the do-not-call list.
    pub suppressed: bool,
    /// Another step's call to the number is live.
    pub live_on_number: bool,
    pub policy: &'a CallingPolicy,
}

/// How soon a step is asked again while the number is in another call.
const LIVE_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// More constraints in a row than can bind one after the other before a step lapses.
const MAX_HOLDS: usize = 200;

/// Decides one step. `Wait { until }` is the first instant at which, nothing else changing, it may be dialled;
/// while a call to the number is live it is the next look, a minute later.
pub fn next_step(input: &PlanInput<'_>, now: Timestamp) -> NextStep {
    let (number, zone) = match gate(input) {
        Ok(open) => open,
        Err(closed) => return closed,
    };
    let retry = match after(input.step, input.attempts, input.policy, &zone) {
        Some(After::Over(state, reason)) => return NextStep::Finished(state, reason),
        Some(After::Again { not_before, words }) => Some((not_before, words)),
        Some(After::Recall {
            not_before,
            until,
            words,
        }) => return recall(input, number, &zone, now, (not_before, until, words)),
        None => None,
    };
    let holds = Holds {
        input,
        zone: &zone,
        retry,
        recall: false,
    };
    let lapse = start_of_day(input.step.lapses_on, &zone);
    if now >= lapse {
        return lapsed(
            input,
            format!(
                "{} was the first day on which it is too late",
                input.step.lapses_on
            ),
        );
    }
    let mut at = now;
    let mut first: Option<Reason> = None;
    if is_live(input) {
        at = now + LIVE_WAIT;
        first = Some(Reason::new(
            ReasonCode::LiveOnNumber,
            "a call to the number is live",
        ));
    }
    for _ in 0..MAX_HOLDS {
        let Some(hold) = holds.at(at) else {
            return match first {
                None => NextStep::DialNow(order(input, number)),
                Some(why) => NextStep::Wait { until: at, why },
            };
        };
        let why = first.get_or_insert(hold.why);
        if hold.until >= lapse {
            let words = format!(
                "no hour is left before {}: {}",
                input.step.lapses_on, why.words
            );
            return lapsed(input, words);
        }
        at = hold.until;
    }
    lapsed(input, "no open hour was found".to_owned())
}

/// The emergency's one re-call is given the rest after the call that dropped, and nothing else: hours and caps hold.
/// What they forbid within its few minutes is left to the human who has the order.
fn recall(
    input: &PlanInput<'_>,
    number: &PhoneNumber,
    zone: &TimeZone,
    now: Timestamp,
    (not_before, until, words): (Timestamp, Timestamp, String),
) -> NextStep {
    let holds = Holds {
        input,
        zone,
        retry: Some((not_before, words)),
        recall: true,
    };
    let at = now.max(not_before);
    if at > until || is_live(input) || holds.at(at).is_some() {
        let words = "the line dropped in an emergency and may not be called again in time; a human has the work order";
        return NextStep::Finished(
            StepState::Unreached,
            Reason::new(ReasonCode::AttemptsUsed, words),
        );
    }
    match holds.at(now) {
        None => NextStep::DialNow(order(input, number)),
        Some(hold) => NextStep::Wait {
            until: at,
            why: hold.why,
        },
    }
}

fn is_live(input: &PlanInput<'_>) -> bool {
    let live = |past: &PastAttempt| past.disposition.is_none();
    input.live_on_number
        || input.attempts.iter().any(live)
        || input.number_attempts.iter().any(live)
}

fn order(input: &PlanInput<'_>, number: &PhoneNumber) -> DialOrder {
    let attempt = u32::try_from(input.attempts.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    DialOrder {
        step: input.step.id.clone(),
        number: number.clone(),
        attempt,
    }
}

/// Too late. A patient who was rung in vain goes to a human; one who never was has only missed a step.
fn lapsed(input: &PlanInput<'_>, words: String) -> NextStep {
    let tried = input.attempts.iter().any(|past| past.rang);
    let state = if tried {
        StepState::Unreached
    } else {
        StepState::Lapsed
    };
    NextStep::Finished(state, Reason::new(ReasonCode::Lapsed, words))
}

/// What no hour of the day can cure. The dead and the readmitted come first: nothing is worse than ringing them.
fn gate<'a>(input: &PlanInput<'a>) -> Result<(&'a PhoneNumber, TimeZone), NextStep> {
    if input.step.state.is_closed() {
        let words = format!("the step is {}", input.step.state);
        return Err(NextStep::Finished(
            input.step.state,
            Reason::new(ReasonCode::AlreadyClosed, words),
        ));
    }
    if let Some((code, words)) = refusal(input) {
        return Err(NextStep::Finished(
            StepState::Blocked,
            Reason::new(code, words),
        ));
    }
    let Some(number) = &input.patient.phone else {
        let words = "the record has no telephone number";
        return Err(NextStep::Finished(
            StepState::Blocked,
            Reason::new(ReasonCode::NoPhone, words),
        ));
    };
    let Some(zone) = time::zone(&input.patient.zone) else {
        let words = "the time zone of the telephone is not known, so no hour is known to be lawful";
        return Err(NextStep::Finished(
            StepState::Blocked,
            Reason::new(ReasonCode::UnknownZone, words),
        ));
    };
    Ok((number, zone))
}

fn refusal(input: &PlanInput<'_>) -> Option<(ReasonCode, &'static str)> {
    match input.patient.life {
        Life::Dead => {
            return Some((
                ReasonCode::Dead,
                "the record says that the patient has died",
            ));
        }
        Life::ReportedDead => {
            return Some((
                ReasonCode::ReportedDead,
                "a death was reported; a human must confirm it",
            ));
        }
        Life::Alive => {}
    }
    match input.episode.state {
        EpisodeState::Readmitted => {
            return Some((ReasonCode::Readmitted, "the patient is in hospital again"));
        }
        EpisodeState::ReportedReadmitted => {
            let words = "a new stay in hospital was reported; a human must confirm it";
            return Some((ReasonCode::ReportedReadmitted, words));
        }
        EpisodeState::Cancelled => {
            return Some((
                ReasonCode::DischargeCancelled,
                "the discharge was cancelled",
            ));
        }
        EpisodeState::Discharged => {}
    }
    match input.patient.consent.basis {
        ConsentBasis::None => {
            return Some((
                ReasonCode::NoConsent,
                "the record holds no consent to be called",
            ));
        }
        ConsentBasis::Withdrawn => {
            return Some((
                ReasonCode::ConsentWithdrawn,
                "the consent to be called was withdrawn",
            ));
        }
        ConsentBasis::Written | ConsentBasis::Verbal => {}
    }
    if input.suppressed {
        return Some((
            ReasonCode::DoNotCall,
            "the number is on the do-not-call list",
        ));
    }
    match input.patient.hearing {
        Hearing::Deaf => Some((
            ReasonCode::Deaf,
            "the patient is deaf: a message or a person, never a voice",
        )),
        Hearing::Normal | Hearing::Hard => None,
    }
}

/// What a later hour cures, one constraint after the other.
struct Holds<'a> {
    input: &'a PlanInput<'a>,
    zone: &'a TimeZone,
    retry: Option<(Timestamp, String)>,
    /// An emergency's re-call does not rest from the call that dropped.
    recall: bool,
}

/// The step must not be dialled before `until`.
struct Hold {
    until: Timestamp,
    why: Reason,
}

impl Hold {
    fn new(until: Timestamp, code: ReasonCode, words: String) -> Self {
        Self {
            until,
            why: Reason::new(code, words),
        }
    }
}

impl Holds<'_> {
    /// The first constraint that forbids a ring at this instant.
    fn at(&self, at: Timestamp) -> Option<Hold> {
        self.due(at)
            .or_else(|| self.retried(at))
            .or_else(|| self.gap(at))
            .or_else(|| self.per_day(at))
            .or_else(|| self.per_24h(at))
            .or_else(|| self.window(at))
    }

    fn due(&self, at: Timestamp) -> Option<Hold> {
        let due = start_of_day(self.input.step.due_on, self.zone);
        let words = || format!("due on {} local", self.input.step.due_on);
        (at < due).then(|| Hold::new(due, ReasonCode::NotDue, words()))
    }

    fn retried(&self, at: Timestamp) -> Option<Hold> {
        let (not_before, words) = self.retry.as_ref()?;
        (at < *not_before).then(|| Hold::new(*not_before, ReasonCode::TooSoon, words.clone()))
    }

    fn gap(&self, at: Timestamp) -> Option<Hold> {
        let gap = self.input.policy.caps().min_gap;
        let minutes = gap.as_secs() / 60;
        let gap = SignedDuration::try_from(gap).unwrap_or(SignedDuration::MAX);
        let emergency = |past: &PastAttempt| {
            self.recall && past.disposition == Some(Disposition::CutInEmergency)
        };
        let last = self
            .rung()
            .filter(|past| !emergency(past))
            .map(|past| {
                past.ended_at
                    .unwrap_or(past.started_at)
                    .max(past.started_at)
            })
            .max()?;
        let until = last.saturating_add(gap).unwrap_or(Timestamp::MAX);
        let words = || format!("the number rang less than {minutes} minutes before");
        (at < until).then(|| Hold::new(until, ReasonCode::TooSoon, words()))
    }

    fn per_day(&self, at: Timestamp) -> Option<Hold> {
        let cap = self.input.policy.caps().per_day;
        let today = self.zone.to_datetime(at).date();
        let rung = self
            .rung()
            .filter(|past| self.zone.to_datetime(past.started_at).date() == today)
            .count();
        if rung < usize::try_from(cap).unwrap_or(usize::MAX) {
            return None;
        }
        let tomorrow = start_of_day(today.saturating_add(Span::new().days(1)), self.zone);
        let words = format!("the number rang {rung} times today; {cap} a day are allowed");
        Some(Hold::new(tomorrow, ReasonCode::CapReached, words))
    }

    fn per_24h(&self, at: Timestamp) -> Option<Hold> {
        let cap = usize::try_from(self.input.policy.caps().per_24h).unwrap_or(usize::MAX);
        let day = SignedDuration::from_hours(24);
        let mut recent: Vec<Timestamp> = self
            .rung()
            .map(|past| past.started_at)
            .filter(|start| at.duration_since(*start) < day)
            .collect();
        recent.sort_unstable();
        let leaves = recent.len().checked_sub(cap)?;
        let until = recent
            .get(leaves)?
            .saturating_add(day)
            .unwrap_or(Timestamp::MAX);
        let words = format!(
            "the number rang {} times in 24 hours; {cap} are allowed",
            recent.len()
        );
        Some(Hold::new(until, ReasonCode::CapReached, words))
    }

    fn window(&self, at: Timestamp) -> Option<Hold> {
        if self.input.policy.is_open(self.zone, at) {
            return None;
        }
        let local = self.zone.to_datetime(at);
        let shown = local.strftime("%A %H:%M");
        Some(match self.input.policy.next_open(self.zone, at) {
            Some(until) => {
                let words = format!("{shown} at the patient's place is outside the calling hours");
                Hold::new(until, ReasonCode::OutsideWindow, words)
            }
            None => {
                let words = format!("{shown} at the patient's place, and no calling hour follows");
                Hold::new(Timestamp::MAX, ReasonCode::NoWindow, words)
            }
        })
    }

    /// Attempts that count: those that may have rung, and live ones.
    fn rung(&self) -> impl Iterator<Item = &PastAttempt> {
        self.input
            .number_attempts
            .iter()
            .filter(|past| past.rang || past.disposition.is_none())
    }
}
