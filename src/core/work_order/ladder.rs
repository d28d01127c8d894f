//! Deadlines, and whom to tell when one passes. An order nobody acknowledges never goes silent: the last rung is told
//! again and again, and one that was acknowledged and not closed comes back.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Serialize};

use super::{Cause, What, WorkOrder, WorkOrderState};
use crate::finding::Urgency;
use crate::plan::Holidays;
use crate::time::Timestamp;

/// Who is told when an order climbs.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    #[display("ward_nurse")]
    WardNurse,
    #[display("charge_nurse")]
    ChargeNurse,
    #[display("duty_doctor")]
    DutyDoctor,
    #[display("switchboard")]
    Switchboard,
}

impl Rung {
    pub const ALL: [Rung; 4] = [
        Rung::WardNurse,
        Rung::ChargeNurse,
        Rung::DutyDoctor,
        Rung::Switchboard,
    ];
}

/// How long a step of a ladder waits for somebody to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    After {
        in_hours: Duration,
        out_of_hours: Duration,
    },
    /// Until this local time of the next working day.
    NextWorkingDay(Time),
}

/// One step: who is told, by what, and how often before the order climbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub tell: Rung,
    /// Channels by name, as the configuration has them; empty: every one the person has.
    pub by: Vec<String>,
    /// At least 1.
    pub times: u32,
    pub wait: Wait,
}

impl Step {
    fn new(tell: Rung, wait: Wait) -> Self {
        Self {
            tell,
            by: Vec::new(),
            times: 1,
            wait,
        }
    }
}

/// The steps for orders of one urgency. The last repeats for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    steps: Vec<Step>,
    /// An acknowledged order that is not closed after so long comes back.
    come_back: Duration,
}

/// Why a ladder was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    #[error("has no step, so nobody would be told")]
    Empty,
    #[error("step {0} tells nobody: times is 0")]
    Never(usize),
    #[error("step {0} waits no time, so the next would be told at once")]
    NoWait(usize),
    #[error("come_back_minutes is 0")]
    ComeBack,
}

impl Ladder {
    /// # Errors
    /// No step, or one that tells nobody or waits no time.
    pub fn new(steps: Vec<Step>, come_back: Duration) -> Result<Self, LadderError> {
        if steps.is_empty() {
            return Err(LadderError::Empty);
        }
        if come_back.is_zero() {
            return Err(LadderError::ComeBack);
        }
        for (at, step) in steps.iter().enumerate() {
            if step.times == 0 {
                return Err(LadderError::Never(at + 1));
            }
            let waits = match step.wait {
                Wait::After {
                    in_hours,
                    out_of_hours,
                } => !in_hours.is_zero() && !out_of_hours.is_zero(),
                Wait::NextWorkingDay(_) => true,
            };
            if !waits {
                return Err(LadderError::NoWait(at + 1));
            }
        }
        Ok(Self { steps, come_back })
    }

    /// Every rung after the same wait.
    fn even(wait: Wait, come_back_minutes: u64) -> Self {
        Self {
            steps: Rung::ALL.map(|rung| Step::new(rung, wait)).to_vec(),
            come_back: minutes(come_back_minutes),
        }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn come_back(&self) -> Duration {
        self.come_back
    }

    /// The step that is told at a level; a step that is told three times takes three levels.
    pub fn step(&self, level: u32) -> &Step {
        let mut first = 0_u32;
        let found = self.steps.iter().find(|step| {
            first = first.saturating_add(step.times);
            level < first
        });
        found
            .or(self.steps.last())
            .expect("a ladder without steps was refused")
    }

    /// The level at which the last step is told for the first time.
    pub fn last_level(&self) -> u32 {
        let before = self.steps.len().saturating_sub(1);
        let levels = self.steps.iter().take(before).map(|step| step.times);
        levels.fold(0, u32::saturating_add)
    }
}

/// The ladders, and what a robot's promise to be called by a person is worth in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Deadlines {
    pub emergent: Ladder,
    pub urgent: Ladder,
    pub same_day: Ladder,
    pub routine: Ladder,
    /// By when a person has spoken with whom the robot told so: after an emergency, and otherwise.
    pub promise_emergent: Duration,
    pub promise: Duration,
    /// Local hours of working days, half open.
    pub hours: (Time, Time),
    /// `None`: Monday to Friday are worked.
    pub holidays: Option<Holidays>,
    /// The hospital's.
    pub zone: TimeZone,
}

impl Deadlines {
    /// The deadlines of `clinical/calls.md`'s tiers: emergent 5 min, urgent 30 min in hours and 2 h out of hours, same
    /// day 4 h, routine at 17:00 of the next working day.
    pub fn usual(zone: TimeZone) -> Self {
        let after = |in_hours, out_of_hours| Wait::After {
            in_hours: minutes(in_hours),
            out_of_hours: minutes(out_of_hours),
        };
        Self {
            emergent: Ladder::even(after(5, 5), 60),
            urgent: Ladder::even(after(30, 120), 240),
            same_day: Ladder::even(after(240, 240), 720),
            routine: Ladder::even(Wait::NextWorkingDay(time(17, 0, 0, 0)), 4320),
            promise_emergent: minutes(15),
            promise: minutes(120),
            hours: (time(8, 0, 0, 0), time(18, 0, 0, 0)),
            holidays: None,
            zone,
        }
    }

    pub fn ladder(&self, urgency: Urgency) -> &Ladder {
        match urgency {
            Urgency::Emergent => &self.emergent,
            Urgency::Urgent => &self.urgent,
            Urgency::SameDay => &self.same_day,
            Urgency::Routine => &self.routine,
        }
    }

    /// When a fresh order of this urgency must climb if nobody has acknowledged it.
    pub fn due_at(&self, urgency: Urgency, now: Timestamp) -> Timestamp {
        self.after(self.ladder(urgency).step(0).wait, now)
    }

    /// When an order comes back that was acknowledged now.
    pub fn comes_back_at(&self, urgency: Urgency, now: Timestamp) -> Timestamp {
        later(now, self.ladder(urgency).come_back)
    }

    /// By when a person has to have spoken with the patient, because the robot said that one would. Without an
    /// emergency the time counts from the next hour in which somebody works.
    pub fn promised_by(&self, causes: &[Cause], now: Timestamp) -> Option<Timestamp> {
        let promised = causes.iter().filter_map(|cause| match promise_of(cause)? {
            Promise::AtOnce => Some(later(now, self.promise_emergent)),
            Promise::CallBack => Some(later(self.next_open(now), self.promise)),
        });
        promised.min()
    }

    fn after(&self, wait: Wait, from: Timestamp) -> Timestamp {
        match wait {
            Wait::After {
                in_hours,
                out_of_hours,
            } => {
                let wait = if self.is_open(from) {
                    in_hours
                } else {
                    out_of_hours
                };
                later(from, wait)
            }
            Wait::NextWorkingDay(at) => {
                let today = self.zone.to_datetime(from).date();
                self.local(self.working_day(today, 1), at)
            }
        }
    }

    fn is_open(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let (from, to) = self.hours;
        self.is_worked(local.date()) && (from..to).contains(&local.time())
    }

    /// The first instant from `at` on that is in hours.
    fn next_open(&self, at: Timestamp) -> Timestamp {
        if self.is_open(at) {
            return at;
        }
        let local = self.zone.to_datetime(at);
        let ahead = i64::from(local.time() >= self.hours.0);
        self.local(self.working_day(local.date(), ahead), self.hours.0)
    }

    fn is_worked(&self, day: Date) -> bool {
        match &self.holidays {
            Some(holidays) => holidays.is_worked(day),
            None => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
        }
    }

    /// The first working day that lies at least so many days after a date. No holiday is longer than a month.
    fn working_day(&self, date: Date, ahead: i64) -> Date {
        let mut days = (ahead..ahead + 31).map(|days| date.saturating_add(Span::new().days(days)));
        let next = days.find(|day| self.is_worked(*day));
        next.unwrap_or_else(|| date.saturating_add(Span::new().days(1)))
    }

    fn local(&self, date: Date, at: Time) -> Timestamp {
        let at = self.zone.to_timestamp(date.to_datetime(at));
        at.unwrap_or(Timestamp::MAX)
    }
}

/// What the robot said that a person would do (`dialogs/common/prompts`).
enum Promise {
    /// `emergency_leave`, `crisis_leave`: a nurse will call right away.
    AtOnce,
    /// `person_ok`, `ring_call_back`, `move_on`: somebody will call back, a nurse will ask again.
    CallBack,
}

fn promise_of(cause: &Cause) -> Option<Promise> {
    match cause {
        Cause::Finding { finding, .. } => {
            (finding.finding.urgency == Urgency::Emergent).then_some(Promise::AtOnce)
        }
        Cause::AskedForPerson | Cause::NotAssessed { .. } => Some(Promise::CallBack),
        Cause::Trend { .. }
        | Cause::Pack { .. }
        | Cause::Incomplete
        | Cause::IdentityFailed
        | Cause::Unreachable
        | Cause::CallBackAt { .. }
        | Cause::OptedOut
        | Cause::ReportedDeath
        | Cause::ReportedReadmission
        | Cause::InvalidNumber
        | Cause::NotCalled { .. }
        | Cause::Task { .. } => None,
    }
}

/// One climb or return: the order's new state, level and deadline, and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    pub what: What,
    pub state: WorkOrderState,
    pub level: u32,
    pub tell: Rung,
    pub due_at: Timestamp,
    /// Every step was told and had its time: nobody is left above.
    pub exhausted: bool,
}

/// What is due now, if anything. However late the look is, no rung is left out: climbs that were missed keep the times
/// at which they should have been, so they follow at once, one after the other; the last rung begins afresh.
pub fn due_step(order: &WorkOrder, deadlines: &Deadlines, now: Timestamp) -> Option<Escalation> {
    if now < order.due_at {
        return None;
    }
    let up = order.level.saturating_add(1);
    let since = order.acknowledged_at.unwrap_or(order.raised_at);
    let comes_back_at = deadlines.comes_back_at(order.urgency, since);
    let (what, state, level) = match (order.state, order.is_promise_broken(now)) {
        (WorkOrderState::Closed, _) => return None,
        (WorkOrderState::Open, _) => (What::Escalated, WorkOrderState::Open, up),
        // An acknowledgement does not keep the robot's word.
        (WorkOrderState::Acknowledged, true) if now < comes_back_at => {
            (What::PromiseBroken, WorkOrderState::Acknowledged, up)
        }
        (WorkOrderState::Acknowledged, true) => (What::CameBack, WorkOrderState::Open, up),
        (WorkOrderState::Acknowledged, false) => (What::CameBack, WorkOrderState::Open, 0),
    };
    let ladder = deadlines.ladder(order.urgency);
    let step = ladder.step(level);
    let is_last = level >= ladder.last_level();
    let from = if level == 0 { now } else { order.due_at };
    let mut due_at = deadlines.after(step.wait, from);
    if is_last && due_at <= now {
        due_at = deadlines.after(step.wait, now);
    }
    if what == What::PromiseBroken {
        due_at = due_at.min(comes_back_at);
    }
    Some(Escalation {
        what,
        state,
        level,
        tell: step.tell,
        due_at,
        exhausted: level > ladder.last_level(),
    })
}

impl WorkOrder {
    /// Who is told at `due_at`; `None` when it is closed.
    pub fn next_rung(&self, deadlines: &Deadlines) -> Option<Rung> {
        Some(due_step(self, deadlines, self.due_at)?.tell)
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}
