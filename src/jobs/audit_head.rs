//! Sends the head of the audit chain outside, so that whoever cuts the log's tail or writes another is found.

use std::time::Duration;

use aftercall_core::audit_chain::sign_head;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;
use tracing::{error, info};

use super::{Rules, RulesNow, next_round};
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(60);
/// How often a head goes out, where anything was written since the last one.
pub const EVERY: Duration = Duration::from_secs(3600);
/// The variable with the base64 of the 32 bytes of an Ed25519 key (RFC 8032).
pub const KEY: &str = "AFTERCALL_AUDIT_KEY";

/// The key that heads are signed with.
pub type HeadKey = [u8; 32];

/// The key in the environment; none where the variable is not set.
///
/// # Errors
/// A value that is no such key.
pub fn key_from_environment() -> anyhow::Result<Option<HeadKey>> {
    let Ok(text) = std::env::var(KEY) else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(text.trim()).ok();
    let key = bytes.and_then(|bytes| HeadKey::try_from(bytes).ok());
    key.map(Some)
        .with_context(|| format!("{KEY} is not the base64 of 32 bytes"))
}

/// Runs until shutdown.
pub async fn run(
    store: Store,
    rules: RulesNow,
    key: Option<HeadKey>,
    mut shutdown: watch::Receiver<bool>,
) {
    while next_round(ROUND, &mut shutdown).await {
        if let Err(error) = once(&store, &rules.get(), key.as_ref()).await {
            error!(%error, "the head of the audit log was not sent: the database did not answer");
        }
    }
}

/// One round; true when a head was put into the outbox. It stands in our own log too, which is shipped elsewhere.
///
/// # Errors
/// When the database refuses.
pub async fn once(store: &Store, rules: &Rules, key: Option<&HeadKey>) -> Result<bool, StoreError> {
    let sign = |head: &_| key.map(|key| sign_head(head, key));
    let Some(head) = store
        .post_audit_head(EVERY, sign, rules.clock.now())
        .await?
    else {
        return Ok(false);
    };
    info!(audit.seq = head.seq, audit.hash = %head.hash, "head of the audit log");
    Ok(true)
}
