//! What an event of a visit does to the stays that are known, in whatever order messages come.
//!
//! Each visit has a [`Mark`]: the newest event that was told of it, so that an older one, which comes late or again, opens
//! nothing. What stops calls is believed sooner than what allows them.

use serde::{Deserialize, Serialize};

use super::{Event, Fault, Visit, code};
use crate::id::EpisodeId;
use crate::patient::{Episode, EpisodeState};
use crate::time::Timestamp;

/// The newest that was told of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub encounter: String,
    pub told_at: Timestamp,
    pub state: VisitState,
    pub admitted_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitState {
    Admitted,
    AdmissionCancelled,
    Discharged,
    DischargeCancelled,
}

/// What becomes of the stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitChange {
    /// The stay is followed up from this discharge.
    Discharge {
        /// It was cancelled before.
        again: bool,
        /// The patient is in hospital again by now.
        readmitted: bool,
    },
    /// The discharge of this stay did not take place.
    Cancel(EpisodeId),
    /// The patient of this stay is back in hospital.
    Readmit(EpisodeId),
    /// The patient of this stay was not admitted after all.
    AtHome(EpisodeId),
    /// Nothing that is planned.
    Nothing,
    /// Something newer was told before.
    Stale,
    /// Which of two messages is the newer cannot be said.
    Unclear(Fault),
}

/// What an event does, and what is remembered of the visit.
pub fn visit_change(
    event: Event,
    visit: &Visit,
    at: Timestamp,
    marks: &[Mark],
    stays: &[Episode],
) -> (VisitChange, Option<Mark>) {
    let known = marks.iter().find(|mark| mark.encounter == visit.encounter);
    if known.is_some_and(|known| known.told_at > at) {
        return (VisitChange::Stale, None);
    }
    let state = match event {
        Event::Admitted => VisitState::Admitted,
        Event::Discharged => VisitState::Discharged,
        Event::AdmissionCancelled => VisitState::AdmissionCancelled,
        Event::DischargeCancelled => VisitState::DischargeCancelled,
        Event::Updated if in_hospital(visit, known, stays) => VisitState::Admitted,
        Event::Updated => return (updated(visit, known, stays), None),
        Event::Merged => return (VisitChange::Nothing, None),
    };
    if known.is_some_and(|known| known.told_at == at && opens(known.state, state)) {
        let fault = "is the moment of a message that says the opposite";
        let fault = Fault::new("EVN", 2, code::SEQUENCE, fault);
        return (VisitChange::Unclear(fault), None);
    }
    let admitted_at = visit
        .admitted_at
        .or_else(|| known.and_then(|known| known.admitted_at))
        .or((state == VisitState::Admitted).then_some(at));
    let mark = Mark {
        encounter: visit.encounter.clone(),
        told_at: at,
        state,
        admitted_at,
    };
    let stay = stays.iter().find(|stay| stay.encounter == visit.encounter);
    let change = match state {
        VisitState::Discharged => discharged(visit, at, known, (marks, stay)),
        VisitState::DischargeCancelled => match stay {
            Some(stay) if stay.state != EpisodeState::Cancelled => {
                VisitChange::Cancel(stay.id.clone())
            }
            Some(_) | None => VisitChange::Nothing,
        },
        VisitState::Admitted => match last(stays) {
            Some(stay) if admitted_at.is_some_and(|admitted| admitted > stay.discharged_at) => {
                match stay.state {
                    EpisodeState::Discharged | EpisodeState::ReportedReadmitted => {
                        VisitChange::Readmit(stay.id.clone())
                    }
                    EpisodeState::Readmitted | EpisodeState::Cancelled => VisitChange::Nothing,
                }
            }
            Some(_) | None => VisitChange::Nothing,
        },
        VisitState::AdmissionCancelled => cancelled_admission(known, marks, stays),
    };
    (change, Some(mark))
}

/// Whether the second of two events of one moment would allow calls that the first forbids.
fn opens(before: VisitState, after: VisitState) -> bool {
    matches!(
        (before, after),
        (VisitState::DischargeCancelled, VisitState::Discharged)
            | (VisitState::Admitted, VisitState::AdmissionCancelled)
    )
}

/// An update of a visit that was never told to begin, is not over, and began after the last discharge.
fn in_hospital(visit: &Visit, known: Option<&Mark>, stays: &[Episode]) -> bool {
    let after = |stay: &Episode| visit.admitted_at.is_some_and(|at| at > stay.discharged_at);
    known.is_none()
        && visit.counts
        && visit.discharged_at.is_none()
        && stays.iter().all(|stay| stay.encounter != visit.encounter)
        && last(stays).is_some_and(after)
}

/// A corrected discharge of a stay that is followed up.
fn updated(visit: &Visit, known: Option<&Mark>, stays: &[Episode]) -> VisitChange {
    let stay = stays.iter().find(|stay| stay.encounter == visit.encounter);
    let is_over = known.is_none_or(|known| known.state == VisitState::Discharged);
    match stay {
        Some(stay) if stay.state != EpisodeState::Cancelled && is_over => VisitChange::Discharge {
            again: false,
            readmitted: false,
        },
        Some(_) | None => VisitChange::Nothing,
    }
}

fn discharged(
    visit: &Visit,
    at: Timestamp,
    known: Option<&Mark>,
    (marks, stay): (&[Mark], Option<&Episode>),
) -> VisitChange {
    let on = visit.discharged_at.unwrap_or(at);
    let again = match stay {
        Some(stay) if stay.state == EpisodeState::Cancelled => {
            // Who cancelled it otherwise is believed until a later discharge is told.
            let by_message =
                known.is_some_and(|known| known.state == VisitState::DischargeCancelled);
            if !by_message && on <= stay.discharged_at {
                return VisitChange::Nothing;
            }
            true
        }
        Some(_) | None => false,
    };
    let readmitted = marks.iter().any(|mark| {
        mark.encounter != visit.encounter
            && mark.state == VisitState::Admitted
            && mark.admitted_at.is_some_and(|admitted| admitted > on)
    });
    VisitChange::Discharge { again, readmitted }
}

fn cancelled_admission(known: Option<&Mark>, marks: &[Mark], stays: &[Episode]) -> VisitChange {
    let Some(known) = known.filter(|known| known.state == VisitState::Admitted) else {
        return VisitChange::Nothing;
    };
    let is_in =
        |mark: &Mark| mark.encounter != known.encounter && mark.state == VisitState::Admitted;
    match last(stays) {
        Some(stay)
            if stay.state == EpisodeState::Readmitted
                && !marks.iter().any(is_in)
                && known.admitted_at.is_some_and(|at| at > stay.discharged_at) =>
        {
            VisitChange::AtHome(stay.id.clone())
        }
        Some(_) | None => VisitChange::Nothing,
    }
}

/// The stay whose discharge is the last that took place.
fn last(stays: &[Episode]) -> Option<&Episode> {
    let real = stays
        .iter()
        .filter(|stay| stay.state != EpisodeState::Cancelled);
    real.max_by_key(|stay| stay.discharged_at)
}
