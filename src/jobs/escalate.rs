//! Lets orders that nobody acknowledged climb, rung by rung.

use std::time::Duration;

use aftercall_core::work_order::due_step;
use tokio::sync::watch;
use tracing::{error, warn};

use super::{Rules, RulesNow, next_round};
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(1);
const AT_ONCE: u32 = 100;

/// Runs until shutdown.
pub async fn run(store: Store, rules: RulesNow, mut shutdown: watch::Receiver<bool>) {
    while next_round(ROUND, &mut shutdown).await {
        if let Err(error) = once(&store, &rules.get()).await {
            error!(%error, "escalation paused: the database did not answer");
        }
    }
}

/// One round; returns how many rungs were climbed, all that are due: after an outage an order may have several. The outbox row
/// is written with the climb.
///
/// # Errors
/// When the database refuses.
pub async fn once(store: &Store, rules: &Rules) -> Result<u32, StoreError> {
    let mut all = 0;
    loop {
        let climbed = store.answered(climb(store, rules)).await?;
        all += climbed;
        // Each climb puts an order's next hour later, and the last rung's after now.
        if climbed == 0 {
            return Ok(all);
        }
    }
}

/// One rung of each order that is due.
async fn climb(store: &Store, rules: &Rules) -> Result<u32, StoreError> {
    let now = rules.clock.now();
    let mut climbed = 0;
    for order in store.overdue_work_orders(now, AT_ONCE).await? {
        let Some(climb) = due_step(&order, &rules.deadlines, now) else {
            continue;
        };
        // False: somebody acknowledged it, or another engine was faster.
        if store.escalate_work_order(&order, &climb, now).await? {
            climbed += 1;
            warn!(order.id = %order.id, urgency = %order.urgency, level = climb.level, tell = %climb.tell, "work order not acknowledged");
        }
    }
    Ok(climbed)
}
