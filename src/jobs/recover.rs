//! Closes what a crash left live, before anybody is rung again.

use std::time::Duration;

use aftercall_core::attempt::{AnsweredBy, CallRecord, Disposition, Ending};
use aftercall_core::finding::{Confirmation, Polarity, Suppressed};
use aftercall_core::id::AttemptId;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::settle::finish;
use super::{Rules, RulesNow, next_round};
use crate::store::attempt::AttemptRow;
use crate::store::{Store, StoreError};

/// An attempt that was closed, and the dialog by which its far end can still be sent BYE or CANCEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupted {
    pub attempt: AttemptId,
    pub dialog: Option<String>,
}

/// Closes every attempt that this engine's earlier run, or a dead engine, left live, and frees its leases, of steps and of notices.
/// An identified call that broke before its emergency screen ended gets its `Incomplete` order here.
///
/// # Errors
/// When the database refuses: then nothing may be dialled.
pub async fn at_start(store: &Store, rules: &Rules) -> Result<Vec<Interrupted>, StoreError> {
    let closed = close_orphans(store, rules, Some(&rules.engine)).await?;
    store.answered(store.release_steps(&rules.engine)).await?;
    store.answered(store.release_outbox(&rules.engine)).await?;
    Ok(closed)
}

/// Closes the attempts of engines that fell silent: their leases ran out.
///
/// # Errors
/// When the database refuses; the rest is closed in the next round.
pub async fn take_over(store: &Store, rules: &Rules) -> Result<Vec<Interrupted>, StoreError> {
    close_orphans(store, rules, None).await
}

/// Takes over from engines that fell silent, until shutdown.
pub async fn run(store: Store, rules: RulesNow, mut shutdown: watch::Receiver<bool>) {
    let every = Duration::try_from(rules.get().lease / 2).unwrap_or(Duration::from_secs(30));
    while next_round(every, &mut shutdown).await {
        if let Err(error) = take_over(&store, &rules.get()).await {
            error!(%error, "attempts of silent engines not closed");
        }
    }
}

async fn close_orphans(
    store: &Store,
    rules: &Rules,
    restarted: Option<&str>,
) -> Result<Vec<Interrupted>, StoreError> {
    let now = rules.clock.now();
    let mut closed = Vec::new();
    let orphans = store.orphaned_attempts(restarted, now);
    for row in store.answered(orphans).await? {
        let id = row.attempt.id.clone();
        let record = store.answered(what_is_left(store, &row)).await?;
        let identified = record.progress.identified;
        match store.answered(finish(store, rules, &id, record, now)).await {
            Ok(_) => {
                info!(attempt.id = %id, identified, "attempt closed as interrupted");
                closed.push(Interrupted {
                    attempt: id,
                    dialog: row.dialog,
                });
            }
            // Another engine closed it in the same moment.
            Err(StoreError::Conflict { .. }) => {
                warn!(attempt.id = %id, "attempt was closed by another engine")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(closed)
}

/// The record of a call that broke: what was committed while it lived. Whether it rang is in doubt: it did.
async fn what_is_left(store: &Store, row: &AttemptRow) -> Result<CallRecord, StoreError> {
    let id = &row.attempt.id;
    let answered_by = match (row.attempt.answered_at, row.attempt.progress.identified) {
        (_, true) => AnsweredBy::Human,
        (Some(_), false) => AnsweredBy::Unsure,
        (None, false) => AnsweredBy::Nobody,
    };
    let mut findings = store.findings(id).await?;
    let mut suppressed = store.suppressed(id).await?;
    for placed in &mut findings {
        let finding = &mut placed.finding;
        match finding.confirmation {
            // The confirming question was never answered: a human gets it, unconfirmed.
            Confirmation::Due => {
                finding.confirmation = Confirmation::Unclear;
                finding.polarity = Polarity::Uncertain;
            }
            Confirmation::Denied => suppressed.push(Suppressed {
                concept: finding.concept.clone(),
                why: "denied when asked to confirm".to_owned(),
                evidence: finding.evidence.clone(),
            }),
            Confirmation::NotNeeded | Confirmation::Confirmed | Confirmation::Unclear => {}
        }
    }
    Ok(CallRecord {
        ending: Ending {
            disposition: Disposition::Interrupted,
            sip_status: None,
            q850_cause: None,
            early_media: None,
            met: None,
            answered_by,
            rang: !row.inbound,
            talk_ms: 0,
        },
        progress: row.attempt.progress,
        turns: store.turns(id).await?,
        findings,
        suppressed,
        line: None,
        notes: store.notes(id).await?,
    })
}
