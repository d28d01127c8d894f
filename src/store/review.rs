//! Reviews of calls: one a person and call, not changed once another person's stands beside it.

use aftercall_core::id::AttemptId;
use aftercall_core::review::Review;
use aftercall_core::time::Timestamp;
use sqlx::any::AnyRow;

use super::row::Columns;
use super::sealed::{KEY_OF_ATTEMPT, Seal, read_each};
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

/// One person's review of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct ReviewRow {
    pub attempt: AttemptId,
    pub reviewer: String,
    pub at: Timestamp,
    pub review: Review,
}

const REVIEW: &str = "select r.attempt_id, r.reviewer, r.body, r.at_ms, \
     k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped from review r join attempt a on a.id = r.attempt_id";

impl Store {
    /// Saves a review. It may be replaced until somebody else's is there: then the two are compared as they were given.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was given, and so was another's.
    pub async fn save_review(
        &self,
        attempt: &AttemptId,
        reviewer: &str,
        review: &Review,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query("select reviewer from review where attempt_id = $1")
            .bind(&attempt.0)
            .fetch_all(&mut *tx)
            .await?;
        let names = rows
            .iter()
            .map(|row| Columns(row).text("reviewer"))
            .collect::<Result<Vec<_>, _>>()?;
        if names.len() > 1 && names.iter().any(|name| name == reviewer) {
            return Err(StoreError::Conflict {
                what: "review",
                id: attempt.0.clone(),
                state: "compared".to_owned(),
            });
        }
        let seal = Seal::of_attempt(&mut tx, &self.keys, &attempt.0).await?;
        sqlx::query(
            "insert into review (id, attempt_id, reviewer, body, at_ms) values ($1, $2, $3, $4, $5) \
             on conflict (attempt_id, reviewer) do update set body = excluded.body, at_ms = excluded.at_ms",
        )
        .bind(new_id())
        .bind(&attempt.0)
        .bind(reviewer)
        .bind(seal.json(&body_of(attempt, reviewer), review)?)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The reviews of a call, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reviews(&self, attempt: &AttemptId) -> Result<Vec<ReviewRow>, StoreError> {
        let of_call = "where r.attempt_id = $1 order by r.at_ms, r.id";
        let sql = format!("{REVIEW} {KEY_OF_ATTEMPT} {of_call}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&attempt.0)
            .fetch_all(&self.pool)
            .await?;
        self.read_reviews(&rows).await
    }

    /// Every review, call by call, the oldest of a call first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn all_reviews(&self) -> Result<Vec<ReviewRow>, StoreError> {
        let sql = format!("{REVIEW} {KEY_OF_ATTEMPT} order by r.attempt_id, r.at_ms, r.id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?;
        self.read_reviews(&rows).await
    }

    async fn read_reviews(&self, rows: &[AnyRow]) -> Result<Vec<ReviewRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        read_each(&mut connection, &self.keys, rows, Class::Record, read).await
    }
}

/// Where the sealed body of a review stands.
fn body_of(attempt: &AttemptId, reviewer: &str) -> String {
    format!("review/{attempt}/{reviewer}")
}

fn read(row: &AnyRow, seal: &Seal) -> Result<ReviewRow, StoreError> {
    let row = Columns(row);
    let attempt = AttemptId(row.text("attempt_id")?);
    let reviewer = row.text("reviewer")?;
    Ok(ReviewRow {
        review: seal.open_json(&row, "body", &body_of(&attempt, &reviewer))?,
        attempt,
        reviewer,
        at: row.time("at_ms")?,
    })
}
