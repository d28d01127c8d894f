//! Lets go what is kept no longer: recordings by their age or because the patient withdrew, and whole records. Each that goes
//! is written down first.

use std::path::PathBuf;
use std::time::Duration;

use aftercall_core::id::AttemptId;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::{Rules, next_round};
use crate::backup::journal;
use crate::config::Retention;
use crate::recording::Recordings;
use crate::store::Store;
use crate::store::erase::Erasure;

const ROUND: Duration = Duration::from_secs(3600);
const AT_ONCE: u32 = 500;

/// What retention goes by.
#[derive(Clone, Debug)]
pub struct Keeper {
    pub store: Store,
    pub rules: Rules,
    pub recordings: Recordings,
    pub retention: Retention,
    /// The journal of erasures, apart from the data.
    pub journal: PathBuf,
}

/// What one round let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    pub recordings: u32,
    pub patients: u32,
}

impl Keeper {
    /// Runs until shutdown.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        loop {
            match self.once().await {
                Ok(gone) if gone == Gone::default() => {}
                Ok(gone) => info!(
                    recordings = gone.recordings,
                    patients = gone.patients,
                    "retention"
                ),
                Err(error) => error!("what is due stays for another hour: {error:#}"),
            }
            if !next_round(ROUND, &mut shutdown).await {
                return;
            }
        }
    }

    /// One round.
    ///
    /// # Errors
    /// When the database or the disk refuses; what is left is due again in the next round.
    pub async fn once(&self) -> anyhow::Result<Gone> {
        let mut gone = Gone::default();
        let now = self.rules.clock.now();
        // An erasure that an object store held up: nobody can hear these, and they go all the same.
        for attempt in self.store.audio_of_the_erased(AT_ONCE).await? {
            remove(&self.recordings, &attempt).await?;
            self.store.audio_removed(&attempt, now).await?;
        }
        loop {
            let before = self.retention.audio_before(now);
            let due = self
                .store
                .audio_due(before, self.retention.hold_alerts, AT_ONCE);
            let due = due.await?;
            for attempt in &due {
                if self.is_recorded(attempt).await? {
                    let by = &self.rules.engine;
                    self.store
                        .audit(by, "retention.audio", &attempt.0, "", now)
                        .await?;
                    remove(&self.recordings, attempt).await?;
                    gone.recordings += 1;
                }
                self.store.audio_removed(attempt, now).await?;
            }
            if due.is_empty() {
                break;
            }
        }
        if let Some(before) = self.retention.record_before(now) {
            for patient in self.store.records_due(before, AT_ONCE).await? {
                let reason = format!("retention.record_days = {}", self.retention.record_days);
                let erasure = Erasure {
                    patient,
                    at: now,
                    by: self.rules.engine.clone(),
                    reason,
                };
                self.erase(&erasure).await?;
                gone.patients += 1;
            }
        }
        Ok(gone)
    }

    async fn is_recorded(&self, attempt: &AttemptId) -> anyhow::Result<bool> {
        let (recordings, attempt) = (self.recordings.clone(), attempt.clone());
        Ok(spawn_blocking(move || recordings.exists(&attempt)).await?)
    }

    async fn erase(&self, erasure: &Erasure) -> anyhow::Result<()> {
        erase(&self.store, &self.recordings, &self.journal, erasure).await
    }
}

/// Erases a patient: written down, journalled, keys destroyed, recordings removed.
///
/// # Errors
/// What [`Store::erase_patient`] refuses.
pub async fn erase(
    store: &Store,
    recordings: &Recordings,
    to: &std::path::Path,
    erasure: &Erasure,
) -> anyhow::Result<()> {
    let (by, id) = (&erasure.by, &erasure.patient.0);
    let erased = store.erase_patient(erasure, |erasure| journal(to, erasure));
    let erased = erased.await?;
    let detail = format!("{} keys, {} calls", erased.keys, erased.attempts.len());
    store
        .audit(by, "patient.erase", id, &detail, erasure.at)
        .await?;
    for attempt in &erased.attempts {
        match remove(recordings, attempt).await {
            Ok(()) => store.audio_removed(attempt, erasure.at).await?,
            // Its key is destroyed: what is left is noise, and the next round of retention takes it away.
            Err(error) => warn!(attempt.id = %attempt, "a recording goes later: {error:#}"),
        }
    }
    Ok(())
}

/// Off the async threads: an object store may be slow.
async fn remove(recordings: &Recordings, attempt: &AttemptId) -> anyhow::Result<()> {
    let (recordings, attempt) = (recordings.clone(), attempt.clone());
    spawn_blocking(move || recordings.remove(&attempt)).await??;
    Ok(())
}
