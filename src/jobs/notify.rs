//! Delivers the outbox, at least once, with the event's id as idempotency key. The channel of this version is the log.

use std::time::Duration;

use tokio::sync::watch;
use tracing::{error, info};

use super::{Rules, next_round};
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(1);
const AT_ONCE: u32 = 100;

/// Runs until shutdown.
pub async fn run(store: Store, rules: Rules, mut shutdown: watch::Receiver<bool>) {
    while next_round(ROUND, &mut shutdown).await {
        if let Err(error) = once(&store, &rules).await {
            error!(%error, "delivery paused: the database did not answer");
        }
    }
}

/// One round; returns how many events were delivered.
///
/// # Errors
/// When the database refuses; what was delivered and not marked is delivered again.
pub async fn once(store: &Store, rules: &Rules) -> Result<u32, StoreError> {
    let now = rules.clock.now();
    let mut delivered = 0;
    for event in store
        .claim_outbox(now, AT_ONCE, rules.lease_until(now), &rules.engine)
        .await?
    {
        info!(event.id = %event.id, event = %event.event, subject = %event.subject, tries = event.tries, "event");
        store.outbox_delivered(&event.id, now).await?;
        delivered += 1;
    }
    Ok(delivered)
}
