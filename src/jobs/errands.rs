//! Hands out what a plan leaves to a person, the messages that go without a call, and a nurse's task where readings that a
//! patient was to send from home did not come.

use std::time::Duration;

use aftercall_core::patient::{Episode, EpisodeState, Life, Patient};
use aftercall_core::plan::message::MessageKind;
use aftercall_core::plan::{ExpectedReading, ReasonCode, StepState, What};
use aftercall_core::time::{self, Timestamp};
use aftercall_core::work_order::{Cause, MISSED_READINGS, Subject};
use jiff::Span;
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tracing::{error, info};

use super::{Rules, RulesNow, next_round};
use crate::store::errand::{DueErrand, ErrandEnd};
use crate::store::expected::Awaited;
use crate::store::message::NewMessage;
use crate::store::work_order::Raise;
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(10);
const AT_ONCE: u32 = 100;

/// Runs until shutdown.
pub async fn run(store: Store, rules: RulesNow, mut shutdown: watch::Receiver<bool>) {
    while next_round(ROUND, &mut shutdown).await {
        if let Err(error) = store.answered(once(&store, &rules.get())).await {
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
        let end = end(rules, now, &due, &patient, &episode, is_late);
        if store.end_errand(&due, &end, now).await? {
            ended += 1;
            info!(errand.id = %due.errand.id, "errand handed out or closed");
        }
    }
    Ok(ended + readings(store, rules, now).await?)
}

/// The dead, the readmitted and those still in hospital get neither.
fn end(
    rules: &Rules,
    now: Timestamp,
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
        What::Education(message) => ErrandEnd::Written(Box::new(NewMessage {
            id: due.errand.id.0.clone(),
            patient: patient.id.clone(),
            episode: episode.id.clone(),
            step: due.errand.id.clone(),
            kind: MessageKind::Education,
            template: message.clone(),
            phone: None,
            announces: None,
            send_at: now,
        })),
        What::Call => ErrandEnd::Closed(StepState::Done, String::new()),
        What::Task(task) => ErrandEnd::Raised(Box::new(Raise {
            causes: vec![Cause::Task { task: task.clone() }],
            subject: subject(episode),
            deadlines: rules.deadlines.clone(),
        })),
    }
}

fn subject(episode: &Episode) -> Subject {
    Subject {
        patient: Some(episode.patient.clone()),
        episode: Some(episode.id.clone()),
        attempt: None,
        high_risk: episode.high_risk,
    }
}

/// Ends the periods of awaited readings; returns how many.
async fn readings(store: &Store, rules: &Rules, now: Timestamp) -> Result<u32, StoreError> {
    let mut ended = 0;
    for due in store.due_readings(now, AT_ONCE).await? {
        let patient = store.patient(&due.patient).await?;
        let episode = store.episode(&due.episode).await?;
        let zone = time::zone(&patient.zone).unwrap_or(TimeZone::UTC);
        let is_home = patient.life == Life::Alive && episode.state == EpisodeState::Discharged;
        let days = Span::new().days(i64::from(due.expected.every_days));
        let began = time::start_of_day(due.period_ends_on.saturating_sub(days), &zone);
        let kind = due.expected.kind;
        let came = store.has_reading(&due.patient, kind, (began, due.ended_at));
        let missed = if came.await? {
            0
        } else {
            due.missed.saturating_add(1)
        };
        let next = due.expected.period_from(due.period_ends_on);
        let is_asked = is_home && ExpectedReading::asks_for_nurse(missed);
        let then = Awaited {
            next: next
                .filter(|_| is_home)
                .map(|ends_on| (ends_on, time::start_of_day(ends_on, &zone))),
            missed,
            raise: is_asked.then(|| Raise {
                subject: subject(&episode),
                causes: vec![Cause::Task {
                    task: MISSED_READINGS.to_owned(),
                }],
                deadlines: rules.deadlines.clone(),
            }),
        };
        if store.end_period(&due, &then, now).await? {
            ended += 1;
            info!(episode.id = %due.episode, missed, "a period of awaited readings is over");
        }
    }
    Ok(ended)
}
