//! Closing an hour that reaches few and opening it again, on figures that are kept; setting the hours of a week. All by a named
//! person.

use std::collections::BTreeSet;

use aftercall_core::plan::learn::{HourOfWeek, Proposal, Reach, proposals, reach};
use aftercall_core::plan::{CallingPolicy, PolicyError, SetHours};
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use tracing::info;

use crate::store::reach::ClosedHour;
use crate::store::{Store, StoreError};

/// Why an hour stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum Unchanged {
    #[error(
        "{0} is not proposed: its interval does not exclude the rate of its age band, or it is closed (aftercall windows propose)"
    )]
    NotProposed(HourOfWeek),
    #[error("{0} was closed meanwhile")]
    ClosedMeanwhile(HourOfWeek),
    #[error("{0} was not closed")]
    NotClosed(HourOfWeek),
    #[error("{0}")]
    Refused(#[from] PolicyError),
    #[error("no patient of the department `{0}` is known")]
    UnknownDepartment(String),
    #[error("the configuration's hours hold already")]
    NotSet,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was tried in the last `days`, and the hours that are closed.
///
/// # Errors
/// When the database refuses.
pub async fn look_back(
    store: &Store,
    days: u16,
    now: Timestamp,
) -> Result<(Reach, Vec<ClosedHour>), StoreError> {
    let since = now - SignedDuration::from_hours(24 * i64::from(days));
    Ok((
        reach(&store.tried_since(since).await?),
        store.closed_hours().await?,
    ))
}

/// The hours alone.
pub fn hours_of(closed: &[ClosedHour]) -> BTreeSet<HourOfWeek> {
    closed.iter().map(|closed| closed.hour).collect()
}

/// What spoke for closing it, as it is kept and shown.
pub fn figures(proposal: &Proposal) -> serde_json::Value {
    serde_json::json!({
        "hour": proposal.cell,
        "band": proposal.today,
        "effect": proposal.effect,
    })
}

/// Closes an hour that is proposed; `by` stands in the audit log with the figures.
///
/// # Errors
/// Nothing speaks for closing it, or somebody was faster.
pub async fn close(
    store: &Store,
    days: u16,
    hour: HourOfWeek,
    by: &str,
    now: Timestamp,
) -> Result<(), Unchanged> {
    let (found, closed) = look_back(store, days, now).await?;
    let proposed = proposals(&found, &hours_of(&closed));
    let proposal = proposed.iter().find(|proposal| proposal.close == hour);
    let figures = figures(proposal.ok_or(Unchanged::NotProposed(hour))?).to_string();
    let subject = hour.to_string();
    store
        .audit(by, "windows.accept", &subject, &figures, now)
        .await?;
    let closed = ClosedHour {
        hour,
        figures,
        by: by.to_owned(),
        at: now,
    };
    match store.close_hour(&closed).await? {
        true => Ok(()),
        false => Err(Unchanged::ClosedMeanwhile(hour)),
    }
}

/// Opens a closed hour again.
///
/// # Errors
/// It was not closed.
pub async fn open(
    store: &Store,
    hour: HourOfWeek,
    by: &str,
    now: Timestamp,
) -> Result<(), Unchanged> {
    let subject = hour.to_string();
    store.audit(by, "windows.open", &subject, "", now).await?;
    match store.open_hour(hour, now).await? {
        true => Ok(()),
        false => Err(Unchanged::NotClosed(hour)),
    }
}

/// Sets the hours of the hospital or a department in place of the configuration's; `by` stands in the audit log with them.
///
/// # Errors
/// Hours that the law does not allow, a department that nobody was in.
pub async fn set_hours(
    store: &Store,
    policy: &CallingPolicy,
    hours: &SetHours,
    by: &str,
    now: Timestamp,
) -> Result<(), Unchanged> {
    policy.check_hours(hours)?;
    if let Some(department) = &hours.department
        && !store.knows_department(department).await?
    {
        return Err(Unchanged::UnknownDepartment(department.clone()));
    }
    let week = serde_json::json!(hours.week).to_string();
    let subject = subject(hours.department.as_deref());
    store
        .audit(by, "calling_hours.set", subject, &week, now)
        .await?;
    store.change_hours(hours, by, now).await?;
    Ok(())
}

/// Says in the log which hours hold in place of the configuration's: whoever edits that would wonder why nothing changes.
///
/// # Errors
/// When the database refuses.
pub async fn log_set_hours(store: &Store) -> Result<(), StoreError> {
    for set in store.hours_in_force().await? {
        let of = subject(set.hours.department.as_deref());
        info!(of, by = set.by, since = %set.at, "calling hours that an admin set hold, not the configuration's");
    }
    Ok(())
}

/// Lets the configuration's hours hold again.
///
/// # Errors
/// None were set.
pub async fn reset_hours(
    store: &Store,
    department: Option<&str>,
    by: &str,
    now: Timestamp,
) -> Result<(), Unchanged> {
    store
        .audit(by, "calling_hours.reset", subject(department), "", now)
        .await?;
    match store.reset_hours(department, now).await? {
        true => Ok(()),
        false => Err(Unchanged::NotSet),
    }
}

fn subject(department: Option<&str>) -> &str {
    department.unwrap_or("hospital")
}
