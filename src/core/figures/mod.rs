//! The figures of a follow-up programme: what was due, dialled, reached, completed, found and answered in a period.
//!
//! Facts come in as plain rows, one a call, an order and a patient who was due; what each figure is made of stands at its
//! field. A share keeps its two counts, so that a reader sees how much it rests on. The catalogue that pages and metrics
//! print (names and definitions) is theirs; the names of the fields are the names of the figures.

mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, ToSpan as _};
use serde::{Deserialize, Serialize};

use crate::attempt::{AnsweredBy, Disposition};
use crate::audit::was_true;
use crate::finding::Urgency;
use crate::id::{AttemptId, ConceptId, PatientId};
use crate::plan::learn::AgeBand;
use crate::rota::{Calendar, Rota};
use crate::statistics::wilson;
use crate::time::Timestamp;
use crate::work_order::{Outcome, Rung};

pub use words::{Figure, Unit, Value};

/// Whose a fact is, for grouping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Of {
    /// By the hospital's calendar: the call's, the order's or the step's due day.
    pub day: Date,
    /// Empty where there is no stay.
    pub ward: String,
    /// Empty where there is no call.
    pub script: String,
    pub band: Option<AgeBand>,
    /// As the patient's record has it; empty where it has none.
    pub dialect: String,
    /// With whom the call was, where that is known: the patient, or a listed contact. None of a step that is due.
    pub party: Option<Party>,
}

/// Whom a call was with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, derive_more::Display)]
pub enum Party {
    #[display("patient")]
    Patient,
    #[display("proxy")]
    Proxy,
}

impl Party {
    /// `None`: nobody was identified.
    pub fn of(answered_by: AnsweredBy) -> Option<Self> {
        match answered_by {
            AnsweredBy::Patient => Some(Party::Patient),
            AnsweredBy::Proxy => Some(Party::Proxy),
            AnsweredBy::Nobody | AnsweredBy::Unsure | AnsweredBy::Human | AnsweredBy::Machine => {
                None
            }
        }
    }
}

/// One call that the robot dialled and that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallFact {
    pub of: Of,
    pub attempt: AttemptId,
    pub started_at: Timestamp,
    /// The step, which is one touch of a patient however often it is tried; the call itself without a step.
    pub touch: String,
    pub disposition: Disposition,
    pub answered_by: AnsweredBy,
    pub identified: bool,
    pub screened: bool,
    pub talk_ms: u64,
    /// The most urgent finding that alerts (P0 emergent, P1 urgent, P2 same day).
    pub alert: Option<Urgency>,
    /// 0 to 10, of the node `satisfaction`.
    pub satisfaction: Option<f64>,
    /// 0 to 10, of the node `recommend`.
    pub recommend: Option<f64>,
}

/// A patient of whom a step was due, once for each group that a step is in.
#[derive(Clone, Debug, PartialEq)]
pub struct DueFact {
    pub of: Of,
    pub patient: PatientId,
    /// At least one attempt of the step was made.
    pub attempted: bool,
}

/// One work order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderFact {
    pub of: Of,
    pub raised_at: Timestamp,
    /// What was found; empty where something else raised it.
    pub concepts: BTreeSet<ConceptId>,
    pub acknowledged_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    /// It climbed the ladder before somebody acknowledged it: the deadline had passed.
    pub late: bool,
}

/// Everything of a period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub calls: Vec<CallFact>,
    pub due: Vec<DueFact>,
    pub orders: Vec<OrderFact>,
}

/// What figures are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Day,
    Ward,
    Script,
    AgeBand,
    Dialect,
    Party,
}

impl Of {
    /// The group's name; empty where it is not known.
    pub fn group(&self, by: By) -> String {
        match by {
            By::Day => self.day.to_string(),
            By::Ward => self.ward.clone(),
            By::Script => self.script.clone(),
            By::AgeBand => self.band.map(|band| band.to_string()).unwrap_or_default(),
            By::Dialect => self.dialect.clone(),
            By::Party => self
                .party
                .map(|party| party.to_string())
                .unwrap_or_default(),
        }
    }
}

/// `part` of `of`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    pub part: u64,
    pub of: u64,
}

impl Share {
    fn count<T>(of: impl IntoIterator<Item = T>, part: impl Fn(&T) -> bool) -> Self {
        let mut share = Share::default();
        for one in of {
            share.of += 1;
            share.part += u64::from(part(&one));
        }
        share
    }

    /// `None` of nothing.
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.part as f64 / self.of as f64)
    }

    /// The 95 % interval (Wilson); `None` of nothing, and of what is no share (more parts than wholes).
    pub fn interval(self) -> Option<(f64, f64)> {
        (self.of > 0 && self.part <= self.of).then(|| wilson(self.part as f64, self.of as f64))
    }
}

/// How long something took: seconds below which so many parts of a hundred lie (nearest rank).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    pub count: u64,
    pub p50_s: Option<f64>,
    pub p90_s: Option<f64>,
    pub p99_s: Option<f64>,
}

impl Times {
    fn of(spans: impl Iterator<Item = SignedDuration>) -> Self {
        let mut seconds: Vec<f64> = spans.map(|span| span.as_secs_f64().max(0.0)).collect();
        seconds.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let at = (seconds.len() * percent).div_ceil(100);
            seconds.get(at.checked_sub(1)?).copied()
        };
        Times {
            count: seconds.len() as u64,
            p50_s: rank(50),
            p90_s: rank(90),
            p99_s: rank(99),
        }
    }
}

/// Answers on a scale from 0 to 10.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    pub answers: u64,
    pub mean: Option<f64>,
}

/// What a hospital says its time and lines cost. Money in its own currency; `None`: it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Of the line, a minute of talk.
    pub line_minute: Option<f64>,
    /// Of machines and power, a call that was dialled.
    pub call: Option<f64>,
    pub nurse_hour: Option<f64>,
    /// A nurse's work on one closed order.
    pub order_minutes: Option<f64>,
    /// What a nurse needs for the same call.
    pub nurse_call_minutes: Option<f64>,
}

/// Shifts that somebody stood, and above how many orders in one a page warns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub nurse_shifts: u64,
    pub warn_above: f64,
}

/// The figures of a period or of one group in it. Definitions: `kpis.md`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Patients with at least one attempt, of patients due.
    pub coverage: Share,
    /// Attempts that a confirmed human answered, of attempts dialled.
    pub reach: Share,
    /// The same by touch: steps reached at least once, of steps dialled.
    pub reach_touch: Share,
    /// Identity or a permitted proxy confirmed, of human answers.
    pub right_party: Share,
    /// Emergency screen and condition block answered, of right-party calls.
    pub completion: Share,
    /// All P0 questions answered, of right-party calls.
    pub screen_completion: Share,
    /// Calls with at least one P0–P2 finding, of completed calls: more than one each may be.
    pub alert_rate: Share,
    /// The same by the call's most urgent finding.
    pub alert_by_tier: BTreeMap<Urgency, Share>,
    /// Alerts whose outcome says that it was so, of closed alerts. One order is one alert.
    pub ppv: Share,
    /// The same by concept; an order of two concepts counts in both.
    pub ppv_by_concept: BTreeMap<ConceptId, Share>,
    pub orders: u64,
    /// From the order to its acknowledgement.
    pub acknowledge: Times,
    /// From the order to its closing.
    pub close: Times,
    /// Orders that climbed before they were acknowledged, of all.
    pub late: Share,
    pub satisfaction: Score,
    /// Who answered 9 or 10 less who answered 0 to 6, in hundredths of all who were asked whether they would recommend.
    pub nps: Option<f64>,
    pub nps_answers: u64,
    /// Line, machines and nurses' minutes, by completed calls.
    pub cost_per_completed: Option<f64>,
    /// What nurses would have needed for the completed calls, less what they needed for the orders.
    pub nurse_hours_saved: Option<f64>,
    /// Orders by nurse and shift; `None` where the group has no shifts.
    pub orders_per_shift: Option<f64>,
    pub too_many_orders: bool,
}

impl Figures {
    /// Below it the alarm is due: too few are reached (`kpis.md`).
    pub const REACH_ALARM: f64 = 0.6;
    /// What emergency-screen completion is to come to.
    pub const SCREEN_TARGET: f64 = 0.95;

    /// Counts facts, all of them.
    pub fn of(facts: &Facts, rates: &Rates, load: Option<Load>) -> Self {
        Self::count(
            &facts.calls.iter().collect::<Vec<_>>(),
            &facts.due.iter().collect::<Vec<_>>(),
            &facts.orders.iter().collect::<Vec<_>>(),
            rates,
            load,
        )
    }

    /// Counts facts group by group; `load` says what stood in each.
    pub fn by(
        facts: &Facts,
        by: By,
        rates: &Rates,
        load: impl Fn(&str) -> Option<Load>,
    ) -> BTreeMap<String, Self> {
        type Group<'a> = (Vec<&'a CallFact>, Vec<&'a DueFact>, Vec<&'a OrderFact>);
        let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
        for call in &facts.calls {
            groups.entry(call.of.group(by)).or_default().0.push(call);
        }
        for due in &facts.due {
            groups.entry(due.of.group(by)).or_default().1.push(due);
        }
        for order in &facts.orders {
            groups.entry(order.of.group(by)).or_default().2.push(order);
        }
        let counted = groups.into_iter().map(|(name, (calls, due, orders))| {
            let figures = Self::count(&calls, &due, &orders, rates, load(&name));
            (name, figures)
        });
        counted.collect()
    }

    fn count(
        calls: &[&CallFact],
        due: &[&DueFact],
        orders: &[&OrderFact],
        rates: &Rates,
        load: Option<Load>,
    ) -> Self {
        let right_party: Vec<&&CallFact> = calls.iter().filter(|call| call.identified).collect();
        let completed = calls.iter().filter(|call| call.is_completed()).count() as u64;
        let alerts = |tier: Option<Urgency>| Share {
            part: calls
                .iter()
                .filter(|call| call.alert.is_some() && (tier.is_none() || call.alert == tier))
                .count() as u64,
            of: completed,
        };
        let tiers = [Urgency::Emergent, Urgency::Urgent, Urgency::SameDay];
        let closed: Vec<&&OrderFact> = orders
            .iter()
            .filter(|order| order.is_closed_alert())
            .collect();
        let nurse_shifts = load.map_or(0, |load| load.nurse_shifts);
        let orders_per_shift =
            (nurse_shifts > 0).then(|| orders.len() as f64 / nurse_shifts as f64);
        let nps = nps(calls);
        Self {
            coverage: coverage(due),
            reach: Share::count(calls, |call| call.is_reached()),
            reach_touch: touches(calls),
            right_party: Share::count(calls.iter().filter(|call| call.is_reached()), |call| {
                call.identified
            }),
            completion: Share::count(&right_party, |call| call.is_completed()),
            screen_completion: Share::count(&right_party, |call| call.screened),
            alert_rate: alerts(None),
            alert_by_tier: tiers.map(|tier| (tier, alerts(Some(tier)))).into(),
            ppv: Share::count(&closed, |order| order.was_true()),
            ppv_by_concept: by_concept(&closed),
            orders: orders.len() as u64,
            acknowledge: Times::of(orders.iter().filter_map(|o| o.took(o.acknowledged_at))),
            close: Times::of(orders.iter().filter_map(|o| o.took(o.closed_at))),
            late: Share::count(orders, |order| order.late),
            satisfaction: satisfaction(calls),
            nps: nps.0,
            nps_answers: nps.1,
            cost_per_completed: cost(calls, orders, rates)
                .filter(|_| completed > 0)
                .map(|cost| cost / completed as f64),
            nurse_hours_saved: saved(completed, orders, rates),
            orders_per_shift,
            too_many_orders: orders_per_shift
                .zip(load)
                .is_some_and(|(orders, load)| orders > load.warn_above),
        }
    }
}

impl CallFact {
    /// A confirmed human answered.
    pub fn is_reached(&self) -> bool {
        matches!(
            self.answered_by,
            AnsweredBy::Human | AnsweredBy::Patient | AnsweredBy::Proxy
        )
    }

    /// Screen and condition block were answered, and the call came to its closing.
    pub fn is_completed(&self) -> bool {
        self.disposition == Disposition::Completed
    }
}

impl OrderFact {
    fn is_closed_alert(&self) -> bool {
        self.closed_at.is_some() && !self.concepts.is_empty()
    }

    fn was_true(&self) -> bool {
        self.outcome.and_then(was_true) == Some(true)
    }

    fn took(&self, until: Option<Timestamp>) -> Option<SignedDuration> {
        Some(until?.duration_since(self.raised_at))
    }
}

fn coverage(due: &[&DueFact]) -> Share {
    let mut patients: BTreeMap<&str, bool> = BTreeMap::new();
    for fact in due {
        *patients.entry(&fact.patient.0).or_default() |= fact.attempted;
    }
    Share::count(patients.into_values(), |attempted| *attempted)
}

fn touches(calls: &[&CallFact]) -> Share {
    let mut touches: BTreeMap<&str, bool> = BTreeMap::new();
    for call in calls {
        *touches.entry(&call.touch).or_default() |= call.is_reached();
    }
    Share::count(touches.into_values(), |reached| *reached)
}

fn by_concept(closed: &[&&OrderFact]) -> BTreeMap<ConceptId, Share> {
    let mut found: BTreeMap<ConceptId, Share> = BTreeMap::new();
    for order in closed {
        for concept in &order.concepts {
            let share = found.entry(concept.clone()).or_default();
            share.of += 1;
            share.part += u64::from(order.was_true());
        }
    }
    found
}

fn satisfaction(calls: &[&CallFact]) -> Score {
    let answers: Vec<f64> = calls.iter().filter_map(|call| call.satisfaction).collect();
    let sum: f64 = answers.iter().sum();
    Score {
        answers: answers.len() as u64,
        mean: (!answers.is_empty()).then(|| sum / answers.len() as f64),
    }
}

/// Promoters (9, 10) less detractors (0–6), times 100 (Reichheld 2003), and how many were asked.
fn nps(calls: &[&CallFact]) -> (Option<f64>, u64) {
    let (mut balance, mut answers) = (0_i64, 0_u64);
    for score in calls.iter().filter_map(|call| call.recommend) {
        answers += 1;
        if score >= 9.0 {
            balance += 1;
        } else if score < 7.0 {
            balance -= 1;
        }
    }
    let nps = (answers > 0).then(|| 100.0 * balance as f64 / answers as f64);
    (nps, answers)
}

/// All of it must be known: half a cost misleads.
fn cost(calls: &[&CallFact], orders: &[&OrderFact], rates: &Rates) -> Option<f64> {
    let talk_ms: u64 = calls.iter().map(|call| call.talk_ms).sum();
    let line = rates.line_minute? * talk_ms as f64 / 60_000.0;
    let machines = rates.call? * calls.len() as f64;
    let nurses = rates.nurse_hour? * rates.order_minutes? * closed(orders) / 60.0;
    Some(line + machines + nurses)
}

fn saved(completed: u64, orders: &[&OrderFact], rates: &Rates) -> Option<f64> {
    let calls = rates.nurse_call_minutes? * completed as f64;
    Some((calls - rates.order_minutes? * closed(orders)) / 60.0)
}

fn closed(orders: &[&OrderFact]) -> f64 {
    let closed = orders.iter().filter(|order| order.closed_at.is_some());
    closed.count() as f64
}

/// How many nurses stood a shift for a ward on the days from `first` to `last`, both included: by the rota, and one a
/// shift where it knows nothing of the ward. `starts`: when shifts begin, by the hospital's clock.
pub fn nurse_shifts(
    rota: Option<&Rota>,
    ward: &str,
    (first, last): (Date, Date),
    starts: &[Time],
    calendar: Calendar<'_>,
) -> u64 {
    let rota = rota.filter(|rota| rota.knows(ward));
    let mut shifts = 0;
    for day in first.series(1.day()).take_while(|day| *day <= last) {
        for start in starts {
            let Some(rota) = rota else {
                shifts += 1;
                continue;
            };
            let Ok(begins) = day.to_datetime(*start).to_zoned(calendar.zone.clone()) else {
                continue;
            };
            let on = rota.on_duty(ward, Rung::WardNurse, begins.timestamp(), calendar);
            shifts += on.len() as u64;
        }
    }
    shifts
}
