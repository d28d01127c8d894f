//! Recordings that are to be no more.

use aftercall_core::id::AttemptId;
use sqlx::any::AnyRow;

use super::row::Columns;
use super::{Store, StoreError};

impl Store {
    /// Whether a call's recording has been let go, or its patient erased.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_audio_gone(&self, attempt: &AttemptId) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "select 1 as gone from attempt a where a.id = $1 and (a.audio_removed_at_ms is not null \
             or exists (select 1 from erasure x where x.patient_id = a.patient_id))",
        )
        .bind(&attempt.0)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }

    /// Calls of patients who were erased, whose recordings nobody has seen go yet.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audio_of_the_erased(&self, limit: u32) -> Result<Vec<AttemptId>, StoreError> {
        let rows = sqlx::query(
            "select a.id from attempt a join erasure x on x.patient_id = a.patient_id \
             where a.state = 'ended' and a.audio_removed_at_ms is null order by a.id limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let id = |row: &AnyRow| Ok(AttemptId(Columns(row).text("id")?));
        rows.iter().map(id).collect()
    }
}
