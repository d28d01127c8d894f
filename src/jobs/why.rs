//! Why somebody was or was not rung, and when the next try comes: the decisions that were kept, and the one that would
//! be made now.

use aftercall_core::attempt::Disposition;
use aftercall_core::id::PatientId;
use aftercall_core::patient::{Consent, Episode};
use aftercall_core::plan::{CallingPolicy, NextStep, Step};
use aftercall_core::time::{self, Timestamp};
use jiff::tz::TimeZone;

use super::settle::Loaded;
use crate::store::decision::{Decision, Pause};
use crate::store::{Store, StoreError};

/// Everything that was decided about one patient.
#[derive(Debug)]
pub struct Why {
    /// The patient's; the hospital's where it is not known.
    pub zone: TimeZone,
    pub consent: Consent,
    pub pauses: Vec<Pause>,
    pub stays: Vec<Stay>,
}

#[derive(Debug)]
pub struct Stay {
    pub episode: Episode,
    pub steps: Vec<Followed>,
}

/// A decision, and the call that came of it.
#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    /// How the call ended: `None` while it is live, and without one.
    pub ended: Option<Disposition>,
    /// They rang us.
    pub inbound: bool,
}

#[derive(Debug)]
pub struct Followed {
    pub step: Step,
    /// Oldest first.
    pub decisions: Vec<Decided>,
    /// What would be decided now; `None` where the step is closed or a call is live.
    pub now: Option<NextStep>,
}

/// Reads it, the newest stay first.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such patient.
pub async fn of_patient(
    store: &Store,
    policy: &CallingPolicy,
    patient: &PatientId,
    now: Timestamp,
) -> Result<Why, StoreError> {
    let record = store.patient(patient).await?;
    let zone = time::zone(&record.zone);
    let mut stays = Vec::new();
    for episode in store.episodes_of(patient).await? {
        let mut steps = Vec::new();
        for step in store.steps_of_episode(&episode.id).await? {
            steps.push(followed(store, policy, step, now).await?);
        }
        stays.push(Stay { episode, steps });
    }
    Ok(Why {
        zone: zone.unwrap_or_else(|| policy.zone().clone()),
        consent: record.consent,
        pauses: store.pauses().await?,
        stays,
    })
}

async fn followed(
    store: &Store,
    policy: &CallingPolicy,
    step: Step,
    now: Timestamp,
) -> Result<Followed, StoreError> {
    let mut decisions = Vec::new();
    for decision in store.decisions(&step.id).await? {
        let call = match &decision.attempt {
            Some(attempt) => Some(store.attempt(attempt).await?),
            None => None,
        };
        let ending = call.as_ref().and_then(|call| call.attempt.ending.as_ref());
        decisions.push(Decided {
            ended: ending.map(|ending| ending.disposition),
            inbound: call.is_some_and(|call| call.inbound),
            decision,
        });
    }
    let mut next = None;
    if !step.state.is_closed() {
        let loaded = Loaded::of(store, step.clone(), now).await?;
        next = Some(loaded.decide(policy, now));
    }
    Ok(Followed {
        step,
        decisions,
        now: next,
    })
}
