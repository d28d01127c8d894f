//! Deadlines, and whom to tell when one passes. An order nobody acknowledges never goes silent.

use std::time::Duration;

use jiff::civil::{Weekday, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Serialize};

use super::{WorkOrder, WorkOrderState};
use crate::finding::Urgency;
use crate::time::Timestamp;

/// How long an order of each urgency may stand unacknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Deadlines {
    /// 5 min by default.
    pub emergent: Duration,
    /// 30 min by default.
    pub urgent: Duration,
    /// 4 h by default.
    pub same_day: Duration,
    /// The hospital's zone: a routine order is due at 17:00 of its next working day, Monday to Friday.
    pub zone: TimeZone,
}

impl Deadlines {
    /// The deadlines of `clinical/calls.md`'s tiers.
    pub fn usual(zone: TimeZone) -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            emergent: minutes(5),
            urgent: minutes(30),
            same_day: minutes(240),
            zone,
        }
    }

    /// When an order of this urgency must climb if nobody has acknowledged it.
    pub fn due_at(&self, urgency: Urgency, now: Timestamp) -> Timestamp {
        let after = match urgency {
            Urgency::Emergent => self.emergent,
            Urgency::Urgent => self.urgent,
            Urgency::SameDay => self.same_day,
            Urgency::Routine => return self.next_working_day(now),
        };
        let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
        now.saturating_add(after).unwrap_or(Timestamp::MAX)
    }

    fn next_working_day(&self, now: Timestamp) -> Timestamp {
        let today = self.zone.to_datetime(now).date();
        let days = (1..=7).map(|days| today.saturating_add(Span::new().days(days)));
        let works = |weekday: Weekday| !matches!(weekday, Weekday::Saturday | Weekday::Sunday);
        let next = days
            .into_iter()
            .find(|day| works(day.weekday()))
            .unwrap_or(today);
        self.zone
            .to_timestamp(next.to_datetime(time(17, 0, 0, 0)))
            .unwrap_or(Timestamp::MAX)
    }
}

/// Who is told when an order climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
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
    /// The rung of a level; from the third on it is the switchboard, again and again.
    pub fn of(level: u32) -> Self {
        match level {
            0 => Rung::WardNurse,
            1 => Rung::ChargeNurse,
            2 => Rung::DutyDoctor,
            3.. => Rung::Switchboard,
        }
    }
}

/// One climb: the order's new level and deadline, and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    pub level: u32,
    pub tell: Rung,
    pub due_at: Timestamp,
}

/// The climb that is due now, if any: one at a time, however late the look is.
pub fn due_step(order: &WorkOrder, deadlines: &Deadlines, now: Timestamp) -> Option<Escalation> {
    match order.state {
        WorkOrderState::Open => {}
        WorkOrderState::Acknowledged | WorkOrderState::Closed => return None,
    }
    if now < order.due_at {
        return None;
    }
    let level = order.level.saturating_add(1);
    Some(Escalation {
        level,
        tell: Rung::of(level),
        due_at: deadlines.due_at(order.urgency, now),
    })
}
