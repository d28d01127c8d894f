//! Calls that are listened to once more after their end.

use aftercall_core::finding::PlacedFinding;
use aftercall_core::id::AttemptId;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;

use super::call::put_finding;
use super::row::Columns;
use super::sealed::Seal;
use super::work_order::{Raise, Raised, raise_or_join};
use super::{Store, StoreError, ms};

/// What was heard longer ago is no news to a nurse.
const NEWS_FOR: SignedDuration = SignedDuration::from_hours(24);
/// An engine that lost its lease may still write the end of a call which another closed.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// What listening again to a call came to.
#[derive(Clone, Debug)]
pub struct SecondLook {
    pub attempt: AttemptId,
    /// Names the ear.
    pub ear: String,
    /// How many stretches of speech were listened to.
    pub replies: u32,
    /// What it adds to the findings of the call.
    pub adds: Vec<PlacedFinding>,
    pub raise: Option<Raise>,
}

impl Store {
    /// The identified call of an engine that ended first of those nobody has listened to again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_second_look(
        &self,
        engine: &str,
        now: Timestamp,
    ) -> Result<Option<AttemptId>, StoreError> {
        let before = |span| now.saturating_sub(span).unwrap_or(Timestamp::MIN);
        let row = sqlx::query(
            "select id from attempt where state = 'ended' and engine = $1 and identified = 1 and ended_at_ms > $2 \
             and (disposition <> 'interrupted' or ended_at_ms < $3) \
             and not exists (select 1 from second_look s where s.attempt_id = attempt.id) \
             order by ended_at_ms, id limit 1",
        )
        .bind(engine)
        .bind(ms(before(NEWS_FOR)))
        .bind(ms(before(SETTLED_AFTER)))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(AttemptId(Columns(&row).text("id")?)))
            .transpose()
    }

    /// Keeps what listening again added, with its order, in one transaction; nothing where it was kept before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn save_second_look(
        &self,
        look: &SecondLook,
        now: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let mut tx = self.begin().await?;
        let kept = sqlx::query(
            "insert into second_look (attempt_id, at_ms, ear, replies, findings) values ($1, $2, $3, $4, $5) \
             on conflict (attempt_id) do nothing",
        )
        .bind(&look.attempt.0)
        .bind(ms(now))
        .bind(&look.ear)
        .bind(i64::from(look.replies))
        .bind(i64::try_from(look.adds.len()).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() == 0 {
            return Ok(None);
        }
        let row = sqlx::query(
            "select coalesce(max(position) + 1, 0) as free from finding where attempt_id = $1",
        )
        .bind(&look.attempt.0)
        .fetch_one(&mut *tx)
        .await?;
        let free: u32 = Columns(&row).count("free")?;
        let seal = Seal::of_attempt(&mut tx, &self.keys, &look.attempt.0).await?;
        for (position, placed) in (free..).zip(&look.adds) {
            put_finding(&mut tx, &seal, &look.attempt, position, placed).await?;
        }
        let raised = match &look.raise {
            Some(raise) => raise_or_join(&mut tx, &self.keys, raise, now).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(raised)
    }
}
