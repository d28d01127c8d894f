//! What went over the line of each call, without what is personal.

use aftercall_core::id::AttemptId;
use aftercall_core::sip::trace::Kept;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;

use super::row::{Columns, json};
use super::{Store, StoreError, ms};

/// A line that failed is asked about within days.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Store {
    /// Keeps a call's trace in the place of an earlier one, and drops those that are older than 30 days.
    ///
    /// # Errors
    /// When there is no such attempt.
    pub async fn save_trace(
        &self,
        attempt: &AttemptId,
        trace: &Kept,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into attempt_trace (attempt_id, saved_at_ms, trace) values ($1, $2, $3) \
             on conflict (attempt_id) do update set saved_at_ms = excluded.saved_at_ms, trace = excluded.trace",
        )
        .bind(&attempt.0)
        .bind(ms(now))
        .bind(json(trace))
        .execute(&self.pool)
        .await?;
        let oldest = now.saturating_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        sqlx::query("delete from attempt_trace where saved_at_ms < $1")
            .bind(ms(oldest))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The trace of a call; `None` where none was kept, or not any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such attempt.
    pub async fn trace(&self, attempt: &AttemptId) -> Result<Option<Kept>, StoreError> {
        let row = sqlx::query("select trace from attempt_trace where attempt_id = $1")
            .bind(&attempt.0)
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => Columns(&row).json_or_null("trace"),
            None => self.attempt(attempt).await.map(|_| None),
        }
    }
}
