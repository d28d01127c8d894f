//! Reviews of calls: one a person and call, not changed once another person's stands beside it.

use aftercall_core::id::AttemptId;
use aftercall_core::review::Review;
use aftercall_core::time::Timestamp;
use sqlx::any::AnyRow;

use super::row::{Columns, json};
use super::{Store, StoreError, ms, new_id};

/// One person's review of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct ReviewRow {
    pub attempt: AttemptId,
    pub reviewer: String,
    pub at: Timestamp,
    pub review: Review,
}

const REVIEW: &str = "select attempt_id, reviewer, body, at_ms from review";

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
        sqlx::query(
            "insert into review (id, attempt_id, reviewer, body, at_ms) values ($1, $2, $3, $4, $5) \
             on conflict (attempt_id, reviewer) do update set body = excluded.body, at_ms = excluded.at_ms",
        )
        .bind(new_id())
        .bind(&attempt.0)
        .bind(reviewer)
        .bind(json(review))
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
        let sql = format!("{REVIEW} where attempt_id = $1 order by at_ms, id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&attempt.0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Every review, call by call, the oldest of a call first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn all_reviews(&self) -> Result<Vec<ReviewRow>, StoreError> {
        let sql = format!("{REVIEW} order by attempt_id, at_ms, id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<ReviewRow, StoreError> {
    let row = Columns(row);
    Ok(ReviewRow {
        attempt: AttemptId(row.text("attempt_id")?),
        reviewer: row.text("reviewer")?,
        at: row.time("at_ms")?,
        review: row.json("body")?,
    })
}
