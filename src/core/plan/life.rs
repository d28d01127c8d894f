//! What happens to a patient, and what it does to what is planned. A live call is left to end, and is not tried again.

use crate::id::{EpisodeId, StepId};
use crate::patient::{Episode, EpisodeState};
use crate::time::Timestamp;

use super::{Reason, ReasonCode, Step, StepState};

/// An event of the hospital's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    Died,
    /// The record of a death was wrong.
    DeathDenied,
    /// A new stay has begun.
    Admitted,
    /// The admission was a mistake: the patient is at home.
    AdmissionCancelled,
    /// Home again; the stay that ends now has a plan of its own.
    Discharged {
        stay: EpisodeId,
    },
    /// The patient is still in hospital.
    DischargeCancelled {
        stay: EpisodeId,
    },
    /// The records of this patient and another became one: what both had planned for one day is done once.
    Merged,
    NumberChanged,
}

/// What becomes of one planned step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChange {
    pub step: StepId,
    pub state: StepState,
    /// When the step is looked at next.
    pub next_at: Timestamp,
    pub reason: Reason,
}

/// The event of a discharge that holds again; `None` where a later one holds, whose plan and readmission stay as they are.
pub fn discharged(stay: &EpisodeId, stays: &[Episode]) -> Option<LifeEvent> {
    let on = |stay: &EpisodeId| {
        let of = stays.iter().find(|known| known.id == *stay);
        of.map(|known| known.discharged_at)
    };
    let is_later = |known: &&Episode| {
        known.id != *stay
            && known.state != EpisodeState::Cancelled
            && Some(known.discharged_at) > on(stay)
    };
    let stay = stay.clone();
    (!stays.iter().any(|known| is_later(&known))).then_some(LifeEvent::Discharged { stay })
}

/// The changes that an event makes to the steps of one patient, in the order of the steps; steps that are done, and
/// those in a call, are left alone.
pub fn life_event(event: &LifeEvent, steps: &[Step], now: Timestamp) -> Vec<PlanChange> {
    let effects = steps.iter().map(|step| match event {
        LifeEvent::Died => block(step, Reason::Dead),
        LifeEvent::DeathDenied => reopen(step, &[ReasonCode::Dead, ReasonCode::ReportedDead], now),
        LifeEvent::Admitted => block(step, Reason::Readmitted),
        LifeEvent::AdmissionCancelled => reopen(
            step,
            &[ReasonCode::Readmitted, ReasonCode::ReportedReadmitted],
            now,
        ),
        LifeEvent::Discharged { stay } if step.episode != *stay => block(step, Reason::Superseded),
        LifeEvent::Discharged { .. } => reopen(
            step,
            &[ReasonCode::DischargeCancelled, ReasonCode::Readmitted],
            now,
        ),
        LifeEvent::DischargeCancelled { stay } if step.episode == *stay => {
            block(step, Reason::DischargeCancelled)
        }
        LifeEvent::DischargeCancelled { .. } => None,
        LifeEvent::Merged if has_twin(step, steps) => block(step, Reason::Superseded),
        LifeEvent::Merged => None,
        LifeEvent::NumberChanged => {
            let codes = [
                ReasonCode::NoPhone,
                ReasonCode::Extension,
                ReasonCode::InvalidNumber,
                ReasonCode::WrongParty,
            ];
            reopen(step, &codes, now)
        }
    });
    effects.flatten().collect()
}

fn block(step: &Step, reason: Reason) -> Option<PlanChange> {
    (step.state == StepState::Planned).then(|| PlanChange {
        step: step.id.clone(),
        state: StepState::Blocked,
        next_at: step.next_at,
        reason,
    })
}

/// A step that was blocked for one of these reasons is planned again; whether it is too late `next_step` says.
fn reopen(step: &Step, codes: &[ReasonCode], now: Timestamp) -> Option<PlanChange> {
    let held = |code: &ReasonCode| step.reason.starts_with(&format!("{code}:"));
    (step.state == StepState::Blocked && codes.iter().any(held)).then(|| PlanChange {
        step: step.id.clone(),
        state: StepState::Planned,
        next_at: step.next_at.max(now),
        reason: Reason::NotDue { on: step.due_on },
    })
}

/// Whether another step does the same on the same day, and was begun or comes first.
fn has_twin(step: &Step, steps: &[Step]) -> bool {
    steps
        .iter()
        .filter(|other| !is_refused(other))
        .any(|other| {
            let begun = other.state != StepState::Planned;
            let same = other.due_on == step.due_on && other.script == step.script;
            other.id != step.id && same && (begun || other.id < step.id)
        })
}

fn is_refused(step: &Step) -> bool {
    matches!(step.state, StepState::Blocked | StepState::Lapsed)
}
