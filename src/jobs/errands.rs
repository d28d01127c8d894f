//! Hands out what a plan leaves to a person, and the messages that go without a call.

use std::time::Duration;

use aftercall_core::patient::{Episode, EpisodeState, Life, Patient};
use aftercall_core::plan::{ReasonCode, StepState, What};
use aftercall_core::time;
use aftercall_core::work_order::{Cause, Subject};
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tracing::{error, info};

use super::{Rules, next_round};
use crate::store::errand::{DueErrand, ErrandEnd};
use crate::store::work_order::Raise;
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(10);
const AT_ONCE: u32 = 100;

/// Runs until shutdown.
pub async fn run(store: Store, rules: Rules, mut shutdown: watch::Receiver<bool>) {
    while next_round(ROUND, &mut shutdown).await {
        if let Err(error) = once(&store, &rules).await {
            error!(%error, "tasks and messages wait: the database did not answer");
        }
    }
}

/// One round; returns how many errands ended.
///
/// # Errors
/// When the database refuses.
pub async fn once(store: &Store, rules: &Rules) -> Result<u32, StoreError> {
    let now = rules.clock.now();
    let mut ended = 0;
    for due in store.due_errands(now, AT_ONCE).await? {
        let patient = store.patient(&due.patient).await?;
        let episode = store.episode(&due.episode).await?;
        let zone = time::zone(&patient.zone).unwrap_or(TimeZone::UTC);
        let is_late = zone.to_datetime(now).date() >= due.errand.lapses_on;
        let end = end(rules, &due, &patient, &episode, is_late);
        if store.end_errand(&due, &end, now).await? {
            ended += 1;
            info!(errand.id = %due.errand.id, "errand handed out or closed");
        }
    }
    Ok(ended)
}

/// The dead, the readmitted and those still in hospital get neither.
fn end(
    rules: &Rules,
    due: &DueErrand,
    patient: &Patient,
    episode: &Episode,
    is_late: bool,
) -> ErrandEnd {
    let refusal = match (patient.life, episode.state) {
        (Life::Dead, _) => Some(ReasonCode::Dead),
        (Life::ReportedDead, _) => Some(ReasonCode::ReportedDead),
        (Life::Alive, EpisodeState::Readmitted) => Some(ReasonCode::Readmitted),
        (Life::Alive, EpisodeState::ReportedReadmitted) => Some(ReasonCode::ReportedReadmitted),
        (Life::Alive, EpisodeState::Cancelled) => Some(ReasonCode::DischargeCancelled),
        (Life::Alive, EpisodeState::Discharged) => None,
    };
    if let Some(code) = refusal {
        return ErrandEnd::Closed(StepState::Blocked, code.to_string());
    }
    if is_late {
        return ErrandEnd::Closed(StepState::Lapsed, ReasonCode::Lapsed.to_string());
    }
    match &due.errand.what {
        What::Education(_) | What::Call => ErrandEnd::Sent,
        What::Task(task) => ErrandEnd::Raised(Box::new(Raise {
            subject: Subject {
                patient: Some(patient.id.clone()),
                episode: Some(episode.id.clone()),
                attempt: None,
                high_risk: episode.high_risk,
            },
            causes: vec![Cause::Task { task: task.clone() }],
            deadlines: rules.deadlines.clone(),
        })),
    }
}
