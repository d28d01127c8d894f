//! The decision: may this step be dialled now, and if not, why and when.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};

use super::callee::{Candidate, candidates, next};
use super::hours::Hours;
use super::learn::{AgeBand, HourOfWeek};
use super::policy::{Cap, Layer, Rule, Wishes, Within};
use super::retry::{After, after};
use super::{CallingPolicy, DialOrder, NextStep, PastAttempt, Reason, Step, StepState};
use crate::patient::{ConsentBasis, Episode, EpisodeState, Hearing, Life, Patient};
use crate::phone::PhoneNumber;
use crate::rota::Rota;
use crate::time::{self, Timestamp, start_of_day};

/// Everything the decision looks at. What is not in here cannot make a telephone ring.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    pub step: &'a Step,
    pub patient: &'a Patient,
    pub episode: &'a Episode,
    /// Attempts of this step, oldest first.
    pub attempts: &'a [PastAttempt],
    /// Every number that may be rung for the patient: her own and her contacts'.
    pub numbers: &'a [NumberFacts],
    /// The hours that the patient wished for.
    pub wishes: Option<&'a Wishes>,
    /// The hours that a person closed because few are reached in them.
    pub closed: &'a [HourOfWeek],
    pub standing: Standing,
    /// Who looks after which ward; `None`: the policy's hours of duty hold for all.
    pub rota: Option<&'a Rota>,
    pub policy: &'a CallingPolicy,
}

/// What is known of one number, whoever shares it.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberFacts {
    pub number: PhoneNumber,
    /// Attempts on it in the last eight days at least, by any step of anybody.
    pub attempts: Vec<PastAttempt>,
    /// It is on the do-not-call list.
    pub suppressed: bool,
}

/// How things stand at the moment of the decision. A change of it is not foreseen: it is looked at again soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When the stay became known.
    pub enrolled_at: Option<Timestamp>,
    /// When life, stay and number were last confirmed.
    pub record_seen_at: Option<Timestamp>,
    /// An emergent order of the ward is past the last rung of its ladder.
    pub ward_unanswered: bool,
    /// An admin has stopped dialling.
    pub paused: bool,
}

/// How soon a step is asked again while the number is in another call.
const LIVE_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// How soon what stands against it at the moment is looked at again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// More constraints in a row than can bind one after the other before a step lapses.
const MAX_HOLDS: usize = 300;
/// Calls at an hour the patient named that may pass the hospital's caps, of one step.
const ASKED_FOR_AT_MOST: usize = 2;

/// Decides one step. `Wait { until }` is the first instant at which, nothing else changing, it may be dialled; what
/// stands against it at the moment alone ([`Standing`], a live call) is looked at again after some minutes.
pub fn next_step(input: &PlanInput<'_>, now: Timestamp) -> NextStep {
    let (all, zone) = match gate(input, now) {
        Ok(open) => open,
        Err(closed) => return closed,
    };
    let callee = match next(&all, input.numbers, input.attempts) {
        Ok(callee) => callee,
        Err(why) => return NextStep::Finished(StepState::Blocked, why),
    };
    let birth = *input.patient.birth_date.expose();
    let band = AgeBand::of(birth, zone.to_datetime(now).date());
    let closed = input.closed.iter().filter(|closed| closed.band == band);
    let learnt = Hours::without(closed.map(|closed| (closed.weekday, closed.hour)));
    let rules = input.policy.rules(
        &input.episode.department,
        callee.number,
        &zone,
        learnt.as_ref(),
        input.wishes,
    );
    let mut holds = Holds {
        input,
        zone: &zone,
        rules,
        number: callee.number,
        retry: None,
        exempt: Exempt::No,
    };
    match after(input, &holds.rules, callee.number, &zone) {
        Some(After::Over(state, reason)) => return NextStep::Finished(state, reason),
        Some(After::Again { not_before, why }) => {
            if why == Reason::AskedFor && asked_for(input) <= ASKED_FOR_AT_MOST {
                holds.exempt = Exempt::AskedFor;
            }
            holds.retry = Some((not_before, why));
        }
        Some(After::Recall { not_before, until }) => {
            holds.exempt = Exempt::Recall;
            return holds.recall(callee, now, not_before, until);
        }
        None => {}
    }
    holds.decide(callee, now)
}

/// How often the patient named an hour to be called at.
fn asked_for(input: &PlanInput<'_>) -> usize {
    let asked = |past: &&PastAttempt| past.asked_for.is_some();
    input.attempts.iter().filter(asked).count()
}

fn is_live(past: &PastAttempt) -> bool {
    past.disposition.is_none()
}

/// Too late. A patient who was rung in vain goes to a human, and so does one who never was: the step says why.
fn lapsed(input: &PlanInput<'_>, because: Option<Reason>) -> NextStep {
    let tried = input.attempts.iter().any(|past| past.rang);
    let state = if tried {
        StepState::Unreached
    } else {
        StepState::Lapsed
    };
    let why = Reason::Lapsed {
        on: input.step.lapses_on,
        because: because.map(Box::new),
    };
    NextStep::Finished(state, why)
}

/// What no hour of the day can cure. The dead and the readmitted come first: nothing is worse than ringing them.
fn gate<'a>(
    input: &PlanInput<'a>,
    now: Timestamp,
) -> Result<(Vec<Candidate<'a>>, TimeZone), NextStep> {
    let blocked = |why| NextStep::Finished(StepState::Blocked, why);
    if input.step.state.is_closed() {
        let state = input.step.state;
        return Err(NextStep::Finished(state, Reason::AlreadyClosed { state }));
    }
    if let Some(why) = refusal(input) {
        return Err(blocked(why));
    }
    let zone = time::zone(&input.patient.zone).ok_or_else(|| blocked(Reason::UnknownZone))?;
    let today = zone.to_datetime(now).date();
    let all = candidates(input.patient, input.policy.minors(), today).map_err(blocked)?;
    Ok((all, zone))
}

fn refusal(input: &PlanInput<'_>) -> Option<Reason> {
    match input.patient.life {
        Life::Dead => return Some(Reason::Dead),
        Life::ReportedDead => return Some(Reason::ReportedDead),
        Life::Alive => {}
    }
    match input.episode.state {
        EpisodeState::Readmitted => return Some(Reason::Readmitted),
        EpisodeState::ReportedReadmitted => return Some(Reason::ReportedReadmitted),
        EpisodeState::Cancelled => return Some(Reason::DischargeCancelled),
        EpisodeState::Discharged => {}
    }
    let basis = input.patient.consent.basis;
    match basis {
        ConsentBasis::None => return Some(Reason::NoConsent),
        ConsentBasis::Withdrawn => return Some(Reason::ConsentWithdrawn),
        ConsentBasis::Written | ConsentBasis::Verbal => {}
    }
    if let Some(layer) = input.policy.refuses_consent(basis) {
        return Some(Reason::ConsentNotAccepted { layer });
    }
    // Whoever took the patient's own number off the list of numbers to call meant the patient.
    let own = input.patient.phone.as_ref();
    let is_suppressed = |known: &NumberFacts| known.suppressed && Some(&known.number) == own;
    if input.numbers.iter().any(is_suppressed) {
        return Some(Reason::DoNotCall);
    }
    match input.patient.hearing {
        Hearing::Deaf => Some(Reason::Deaf),
        Hearing::Normal | Hearing::Hard => None,
    }
}

/// Which rules a call may pass, for a reason of its own that has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exempt {
    No,
    /// At the hour that the patient named: the hospital's caps do not count it, and the law's allow one more.
    AskedFor,
    /// An emergency's one re-call within minutes: only the law's hours hold, and its caps allow one more.
    Recall,
}

/// What a later hour cures, one constraint after the other.
struct Holds<'a> {
    input: &'a PlanInput<'a>,
    zone: &'a TimeZone,
    rules: Vec<Rule<'a>>,
    number: &'a PhoneNumber,
    retry: Option<(Timestamp, Reason)>,
    exempt: Exempt,
}

/// The step must not be dialled before `until`.
struct Hold {
    until: Timestamp,
    why: Reason,
}

impl Holds<'_> {
    fn decide(&self, callee: Candidate<'_>, now: Timestamp) -> NextStep {
        let input = self.input;
        let lapse = start_of_day(input.step.lapses_on, self.zone);
        if now >= lapse {
            return lapsed(input, None);
        }
        let mut at = now;
        let mut first: Option<Reason> = None;
        if self.is_live() {
            at = now + LIVE_WAIT;
            first = Some(Reason::LiveOnNumber);
        }
        for _ in 0..MAX_HOLDS {
            let Some(hold) = self.at(at) else {
                return match first.or_else(|| self.against(now)) {
                    None => NextStep::DialNow(self.order(callee)),
                    Some(why) => NextStep::Wait {
                        until: at.max(now + self.look_again(&why)),
                        why,
                    },
                };
            };
            let why = first.get_or_insert(hold.why);
            if hold.until >= lapse {
                return lapsed(input, Some(why.clone()));
            }
            at = hold.until;
        }
        lapsed(input, first)
    }

    fn look_again(&self, why: &Reason) -> SignedDuration {
        match why {
            Reason::StaleRecord { .. } | Reason::WardUnanswered | Reason::Paused => LOOK_AGAIN,
            _ => SignedDuration::ZERO,
        }
    }

    /// The emergency's one re-call. What the law forbids within its few minutes is left to the human who has the order.
    fn recall(
        &self,
        callee: Candidate<'_>,
        now: Timestamp,
        not_before: Timestamp,
        until: Timestamp,
    ) -> NextStep {
        let at = now.max(not_before);
        if at > until || self.is_live() || self.at(at).is_some() {
            return NextStep::Finished(StepState::Unreached, Reason::NoRecall);
        }
        if now < not_before {
            return NextStep::Wait {
                until: at,
                why: Reason::Recall,
            };
        }
        NextStep::DialNow(self.order(callee))
    }

    fn order(&self, callee: Candidate<'_>) -> DialOrder {
        let attempt = u32::try_from(self.input.attempts.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        DialOrder {
            step: self.input.step.id.clone(),
            number: callee.number.clone(),
            whom: callee.whom,
            attempt,
        }
    }

    fn is_live(&self) -> bool {
        self.input.attempts.iter().any(is_live) || self.past().iter().any(is_live)
    }

    /// What stands against any call at this moment.
    fn against(&self, now: Timestamp) -> Option<Reason> {
        let standing = self.input.standing;
        if standing.paused {
            return Some(Reason::Paused);
        }
        if standing.ward_unanswered {
            return Some(Reason::WardUnanswered);
        }
        let allowed = self.input.policy.record_max_age()?;
        let age = standing.record_seen_at.map(|seen| now.duration_since(seen));
        if age.is_some_and(|age| age <= allowed) {
            return None;
        }
        let hours = |span: SignedDuration| u32::try_from(span.as_hours()).unwrap_or(u32::MAX);
        Some(Reason::StaleRecord {
            age_hours: age.map(hours),
            allowed_hours: hours(allowed),
        })
    }

    /// The first constraint that forbids a ring at this instant.
    fn at(&self, at: Timestamp) -> Option<Hold> {
        if self.exempt == Exempt::Recall {
            return self.by_rules(at);
        }
        self.due(at)
            .or_else(|| self.retried(at))
            .or_else(|| self.rest(at))
            .or_else(|| self.by_rules(at))
            .or_else(|| self.duty(at))
    }

    fn due(&self, at: Timestamp) -> Option<Hold> {
        let on = self.input.step.due_on;
        let due = start_of_day(on, self.zone);
        (at < due).then_some(Hold {
            until: due,
            why: Reason::NotDue { on },
        })
    }

    fn retried(&self, at: Timestamp) -> Option<Hold> {
        let (not_before, why) = self.retry.as_ref()?;
        (at < *not_before).then(|| Hold {
            until: *not_before,
            why: why.clone(),
        })
    }

    fn rest(&self, at: Timestamp) -> Option<Hold> {
        let rest = self.rules.iter().map(|rule| rule.rest).max()?;
        let gap = SignedDuration::try_from(rest).unwrap_or(SignedDuration::MAX);
        let ended = |past: &PastAttempt| {
            past.ended_at
                .unwrap_or(past.started_at)
                .max(past.started_at)
        };
        let last = self.rung().map(ended).max()?;
        let until = last.saturating_add(gap).unwrap_or(Timestamp::MAX);
        let minutes = u32::try_from(rest.as_secs() / 60).unwrap_or(u32::MAX);
        (at < until).then_some(Hold {
            until,
            why: Reason::Rest { minutes },
        })
    }

    /// Layer by layer: caps and hours.
    fn by_rules(&self, at: Timestamp) -> Option<Hold> {
        let is_law = |rule: &&Rule<'_>| matches!(rule.layer, Layer::Law(_));
        self.rules.iter().find_map(|rule| {
            let (caps, more, hours) = match self.exempt {
                Exempt::No => (true, 0, true),
                Exempt::AskedFor => (is_law(&rule), 1, true),
                Exempt::Recall => (is_law(&rule), 1, is_law(&rule)),
            };
            let held = caps
                .then(|| {
                    rule.caps
                        .iter()
                        .find_map(|cap| self.capped(rule, *cap, more, at))
                })
                .flatten();
            held.or_else(|| hours.then(|| self.closed(rule, at)).flatten())
        })
    }

    fn capped(&self, rule: &Rule<'_>, cap: Cap, more: u32, at: Timestamp) -> Option<Hold> {
        let calls = usize::try_from(cap.calls.saturating_add(more)).unwrap_or(usize::MAX);
        let (rang, until) = match cap.within {
            Within::Day => {
                let today = self.zone.to_datetime(at).date();
                let of_today =
                    |past: &&PastAttempt| self.zone.to_datetime(past.started_at).date() == today;
                let rang = self.rung().filter(of_today).count();
                if rang < calls {
                    return None;
                }
                let tomorrow = today.saturating_add(Span::new().days(1));
                (rang, start_of_day(tomorrow, self.zone))
            }
            Within::Hours(hours) => {
                let span = SignedDuration::from_hours(hours.into());
                let starts = self.rung().map(|past| past.started_at);
                let mut recent: Vec<Timestamp> = starts
                    .filter(|start| at.duration_since(*start) < span)
                    .collect();
                recent.sort_unstable();
                let leaves = *recent.get(recent.len().checked_sub(calls)?)?;
                let until = leaves.saturating_add(span).unwrap_or(Timestamp::MAX);
                (recent.len(), until)
            }
        };
        let why = Reason::CapReached {
            layer: rule.layer.clone(),
            rang: u32::try_from(rang).unwrap_or(u32::MAX),
            calls: cap.calls,
            within: cap.within,
        };
        Some(Hold { until, why })
    }

    fn closed(&self, rule: &Rule<'_>, at: Timestamp) -> Option<Hold> {
        let hours = rule.hours?;
        if hours.is_open(rule.zone, rule.holidays, at) {
            return None;
        }
        let local = rule.zone.to_datetime(at);
        let layer = rule.layer.clone();
        Some(match hours.next_open(rule.zone, rule.holidays, at) {
            Some(until) if hours.is_doubtful(rule.zone, rule.holidays, at) => Hold {
                until,
                why: Reason::HolidayUnknown {
                    layer,
                    on: local.date(),
                },
            },
            Some(until) => Hold {
                until,
                why: Reason::OutsideWindow { layer, local },
            },
            None => Hold {
                until: Timestamp::MAX,
                why: Reason::NoWindow { layer, local },
            },
        })
    }

    fn duty(&self, at: Timestamp) -> Option<Hold> {
        let policy = self.input.policy;
        let (rota, ward) = (self.input.rota, &self.input.episode.ward);
        if policy.is_staffed(rota, ward, at) {
            return None;
        }
        Some(Hold {
            until: policy
                .next_staffed(rota, ward, at)
                .unwrap_or(Timestamp::MAX),
            why: Reason::NobodyOnDuty {
                local: policy.zone().to_datetime(at),
            },
        })
    }

    fn past(&self) -> &[PastAttempt] {
        let known = self.input.numbers.iter();
        let own = known.filter(|known| known.number == *self.number);
        own.map(|known| known.attempts.as_slice())
            .next()
            .unwrap_or_default()
    }

    /// Attempts that count: those that may have rung, and live ones.
    fn rung(&self) -> impl Iterator<Item = &PastAttempt> {
        self.past().iter().filter(|past| past.rang || is_live(past))
    }
}
