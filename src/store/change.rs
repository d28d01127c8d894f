//! What changed lately, for pages that are open: events of the outbox, and calls that go on. Ids only.

use std::collections::BTreeMap;

use super::row::Columns;
use super::{Store, StoreError};

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The event's id, which grows with time.
    pub id: String,
    /// `work_order.raised`, `call.finished`, …
    pub event: String,
    /// The id of what it is about.
    pub subject: String,
}

impl Store {
    /// Events behind an id, oldest first. Ids begin with the time: any prefix will do.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn changes_after(&self, id: &str, limit: u32) -> Result<Vec<Changed>, StoreError> {
        let rows =
            sqlx::query("select id, event, subject from outbox where id > $1 and channel is null order by id limit $2")
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| {
                let row = Columns(row);
                Ok(Changed {
                    id: row.text("id")?,
                    event: row.text("event")?,
                    subject: row.text("subject")?,
                })
            })
            .collect()
    }

    /// Calls that have not ended, each with its state and how many replies it has.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn live_calls(&self) -> Result<BTreeMap<String, (String, u32)>, StoreError> {
        let rows = sqlx::query(
            "select a.id as id, a.state as state, (select count(*) from turn t where t.attempt_id = a.id \
             and t.reply is not null) as replies from attempt a where a.state <> 'ended'",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let row = Columns(row);
                Ok((row.text("id")?, (row.text("state")?, row.count("replies")?)))
            })
            .collect()
    }
}
