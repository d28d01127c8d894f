//! The life of an order as one machine: what people may do from which state, and the row that each change leaves.
//!
//! ```text
//! raise ─▶ open ─acknowledge─▶ acknowledged ─close─▶ closed
//!           ▲ ▲◀── hand over, comes back, joined ──┘      │
//!           └────────────────── reopen ───────────────────┘
//! ```
//! That somebody spoke with the patient is recorded in either state that is not closed.

use serde::{Deserialize, Serialize};

use super::{Deadlines, Escalation, Joined, Outcome, WorkOrder, WorkOrderState};
use crate::time::Timestamp;

/// Whom events name that no person did.
pub const ROBOT: &str = "aftercall";

/// What a person does with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Says "mine".
    Acknowledge,
    /// Gives it to a named person, who has to say "mine".
    HandOver {
        to: String,
    },
    /// Has spoken with the patient, or with who answers for them.
    Speak,
    Close {
        outcome: Outcome,
    },
    Reopen,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum What {
    #[display("raised")]
    Raised,
    /// Later causes came to it.
    #[display("joined")]
    Joined,
    #[display("urgency_raised")]
    UrgencyRaised,
    /// The rota says whose it is.
    #[display("assigned")]
    Assigned,
    #[display("acknowledged")]
    Acknowledged,
    #[display("handed_over")]
    HandedOver,
    #[display("spoken")]
    Spoken,
    #[display("closed")]
    Closed,
    #[display("reopened")]
    Reopened,
    /// Nobody acknowledged it in time.
    #[display("escalated")]
    Escalated,
    /// It was acknowledged, and nobody has spoken with the patient by the time that the robot promised.
    #[display("promise_broken")]
    PromiseBroken,
    /// It was acknowledged and not closed in time.
    #[display("came_back")]
    CameBack,
}

/// A row of an order's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Timestamp,
    /// The person's name, or [`ROBOT`].
    pub who: String,
    pub what: What,
    /// `None` where it was raised.
    pub from: Option<WorkOrderState>,
    pub to: WorkOrderState,
    /// Whose it is from then on, where that changed.
    pub owner: Option<String>,
    /// Rungs climbed by then.
    pub level: u32,
    pub note: String,
}

/// Why a person may not do that now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is closed")]
    Closed,
    #[error("it is not closed")]
    NotClosed,
    #[error("somebody has acknowledged it")]
    AlreadyAcknowledged,
    #[error("nobody has acknowledged it")]
    NotAcknowledged,
    /// The robot said that a person would call.
    #[error("nobody has spoken with the patient yet")]
    NotSpoken,
}

impl WorkOrder {
    /// The robot said that a person would speak with the patient, and none has by now.
    pub fn is_promise_broken(&self, now: Timestamp) -> bool {
        self.promise().is_some_and(|by| by <= now)
    }

    /// By when a person has to speak with the patient; `None` where nothing was promised, or one has.
    pub fn promise(&self) -> Option<Timestamp> {
        self.promised_by.filter(|_| self.spoken_at.is_none())
    }

    /// Does what a person asks, or says why not.
    ///
    /// # Errors
    /// What the state does not allow; the order is then as it was.
    pub fn act(
        &mut self,
        act: &Act,
        by: &str,
        note: &str,
        deadlines: &Deadlines,
        now: Timestamp,
    ) -> Result<Event, Refusal> {
        let from = self.state;
        let what = match (act, from) {
            (Act::Acknowledge, WorkOrderState::Open) => {
                self.acknowledge(by, deadlines, now);
                What::Acknowledged
            }
            (Act::Acknowledge, WorkOrderState::Acknowledged) => {
                return Err(Refusal::AlreadyAcknowledged);
            }
            (Act::HandOver { to }, WorkOrderState::Open | WorkOrderState::Acknowledged) => {
                self.open(deadlines, now);
                self.owner = Some(to.clone());
                What::HandedOver
            }
            (Act::Speak, WorkOrderState::Open | WorkOrderState::Acknowledged) => {
                self.spoken_by = Some(by.to_owned());
                self.spoken_at = Some(now);
                if let (WorkOrderState::Acknowledged, Some(since)) = (from, self.acknowledged_at) {
                    self.due_at = deadlines.comes_back_at(self.urgency, since).max(now);
                    self.exhausted = false;
                }
                What::Spoken
            }
            (Act::Close { outcome }, WorkOrderState::Acknowledged) => {
                if self.promise().is_some() && !outcome.goes_without_talk() {
                    return Err(Refusal::NotSpoken);
                }
                self.state = WorkOrderState::Closed;
                self.closed_by = Some(by.to_owned());
                self.closed_at = Some(now);
                self.outcome = Some(*outcome);
                self.note = Some(note.to_owned());
                self.exhausted = false;
                What::Closed
            }
            (Act::Close { .. }, WorkOrderState::Open) => return Err(Refusal::NotAcknowledged),
            (Act::Reopen, WorkOrderState::Closed) => {
                self.open(deadlines, now);
                (self.closed_by, self.closed_at) = (None, None);
                (self.outcome, self.note) = (None, None);
                What::Reopened
            }
            (Act::Reopen, WorkOrderState::Open | WorkOrderState::Acknowledged) => {
                return Err(Refusal::NotClosed);
            }
            (
                Act::Acknowledge | Act::HandOver { .. } | Act::Speak | Act::Close { .. },
                WorkOrderState::Closed,
            ) => return Err(Refusal::Closed),
        };
        let owner = match act {
            Act::Acknowledge | Act::HandOver { .. } => self.owner.clone(),
            Act::Speak | Act::Close { .. } | Act::Reopen => None,
        };
        Ok(Event {
            at: now,
            who: by.to_owned(),
            what,
            from: Some(from),
            to: self.state,
            owner,
            level: self.level,
            note: note.to_owned(),
        })
    }

    fn acknowledge(&mut self, by: &str, deadlines: &Deadlines, now: Timestamp) {
        self.state = WorkOrderState::Acknowledged;
        self.owner = Some(by.to_owned());
        self.acknowledged_by = Some(by.to_owned());
        self.acknowledged_at = Some(now);
        let comes_back_at = deadlines.comes_back_at(self.urgency, now);
        let word = match self.promise() {
            // Broken: the ladder goes on as it stands.
            Some(by) if by <= now => self.due_at,
            Some(by) => by,
            None => comes_back_at,
        };
        self.exhausted &= self.is_promise_broken(now);
        self.due_at = comes_back_at.min(word);
    }

    /// Somebody has to say "mine" from here on: the ladder begins again.
    pub(super) fn open(&mut self, deadlines: &Deadlines, now: Timestamp) {
        self.state = WorkOrderState::Open;
        self.level = 0;
        self.exhausted = false;
        self.owner = None;
        self.acknowledged_by = None;
        self.acknowledged_at = None;
        self.due_at = deadlines.due_at(self.urgency, now);
        if let Some(by) = self.promise() {
            self.due_at = self.due_at.min(by.max(now));
        }
    }

    /// Does a climb that [`super::due_step`] found.
    pub fn climb(&mut self, climb: &Escalation, now: Timestamp) -> Event {
        let from = self.state;
        self.state = climb.state;
        self.level = climb.level;
        self.due_at = climb.due_at;
        self.exhausted = climb.exhausted;
        if climb.what == What::CameBack {
            self.acknowledged_by = None;
            self.acknowledged_at = None;
        }
        self.event(climb.what, Some(from), now)
    }

    /// Whose it is by the rota, where it is nobody's; a person's word stands.
    pub fn assign(&mut self, to: &str, now: Timestamp) -> Option<Event> {
        if self.state != WorkOrderState::Open || self.owner.is_some() {
            return None;
        }
        self.owner = Some(to.to_owned());
        let event = self.event(What::Assigned, Some(self.state), now);
        Some(Event {
            owner: self.owner.clone(),
            ..event
        })
    }

    /// The rows of a raise.
    pub fn raised(&self) -> Event {
        self.event(What::Raised, None, self.raised_at)
    }

    /// The rows of a join; `before` is the order as it was.
    pub fn joined(&self, before: &WorkOrder, how: Joined, now: Timestamp) -> Vec<Event> {
        let joined = (how != Joined::Nothing).then_some(What::Joined);
        let raised = (self.urgency < before.urgency).then_some(What::UrgencyRaised);
        let mut from = before.state;
        let rows = joined.into_iter().chain(raised);
        rows.map(|what| {
            let row = self.event(what, Some(from), now);
            from = row.to;
            row
        })
        .collect()
    }

    fn event(&self, what: What, from: Option<WorkOrderState>, at: Timestamp) -> Event {
        Event {
            at,
            who: ROBOT.to_owned(),
            what,
            from,
            to: self.state,
            owner: None,
            level: self.level,
            note: String::new(),
        }
    }
}

impl Outcome {
    /// Nobody could be spoken with, or there is nobody at home to speak with.
    fn goes_without_talk(self) -> bool {
        match self {
            Outcome::Unreachable | Outcome::Readmitted => true,
            Outcome::True | Outcome::False | Outcome::AlreadyKnown | Outcome::SentToEmergency => {
                false
            }
        }
    }
}
