//! Hands recordings of calls that are over to the object store, where one keeps them. What lies in the folder is what is left
//! to do, so a crash leaves nothing undone and nothing lost.

use std::time::Duration;

use aftercall_core::attempt::AttemptState;
use aftercall_core::id::AttemptId;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{Rules, next_round};
use crate::recording::{RecordingError, Recordings};
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(60);
/// The recorder may be behind a slow disk when the call has ended: long after it, nobody writes any more.
const CLOSED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Whose recordings go where.
#[derive(Clone, Debug)]
pub struct HandOver {
    pub store: Store,
    pub rules: Rules,
    pub recordings: Recordings,
}

impl HandOver {
    /// Runs until shutdown.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        while next_round(ROUND, &mut shutdown).await {
            match self.once().await {
                Ok(0) => {}
                Ok(recordings) => info!(recordings, "handed over to the object store"),
                Err(error) => warn!("recordings stay here for another minute: {error:#}"),
            }
        }
    }

    /// One round: how many went.
    ///
    /// # Errors
    /// When the database, the disk or the object store refuses; what is left waits here for the next round.
    pub async fn once(&self) -> anyhow::Result<u32> {
        let mut gone = 0;
        if !self.recordings.has_remote() {
            return Ok(gone);
        }
        let recordings = self.recordings.clone();
        for attempt in spawn_blocking(move || recordings.here()).await?? {
            if !self.is_over(&attempt, self.rules.clock.now()).await? {
                continue;
            }
            if self.apart(&attempt, Recordings::hand_over).await? {
                gone += 1;
            }
            // Retention or an erasure may have passed meanwhile.
            if self.store.is_audio_gone(&attempt).await? {
                self.apart(&attempt, Recordings::remove).await?;
            }
        }
        Ok(gone)
    }

    /// Calls that no plan made (`aftercall call --record`) stay here.
    async fn is_over(&self, attempt: &AttemptId, now: Timestamp) -> anyhow::Result<bool> {
        match self.store.attempt(attempt).await {
            Ok(row) => Ok(row.attempt.state == AttemptState::Ended
                && row
                    .attempt
                    .ended_at
                    .is_some_and(|ended| now.duration_since(ended) >= CLOSED_AFTER)),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Off the async threads.
    async fn apart(
        &self,
        attempt: &AttemptId,
        work: fn(&Recordings, &AttemptId) -> Result<bool, RecordingError>,
    ) -> anyhow::Result<bool> {
        let (recordings, attempt) = (self.recordings.clone(), attempt.clone());
        Ok(spawn_blocking(move || work(&recordings, &attempt)).await??)
    }
}
