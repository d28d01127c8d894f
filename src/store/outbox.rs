//! The outbox: events written with what caused them, delivered at least once, their id the idempotency key.

use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;

use super::row::{Columns, json};
use super::{Store, StoreError, ms, new_id};

/// An event that waits for delivery. Its payload has ids only, no PHI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// The idempotency key.
    pub id: String,
    /// `call.finished`, `work_order.raised`, `work_order.joined`, `work_order.acknowledged`, …
    pub event: String,
    /// The id of what it is about.
    pub subject: String,
    pub payload: String,
    pub created_at: Timestamp,
    /// Deliveries tried before this one.
    pub tries: u32,
}

impl Store {
    /// Leases up to `limit` undelivered events to `engine`, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_outbox(
        &self,
        now: Timestamp,
        limit: u32,
        lease_until: Timestamp,
        engine: &str,
    ) -> Result<Vec<OutboxEvent>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "select id, event, subject, payload, created_at_ms, tries from outbox \
             where delivered_at_ms is null and next_at_ms <= $1 and (leased_until_ms is null or leased_until_ms <= $1) \
             order by next_at_ms, id limit $2",
        )
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let row = Columns(row);
            let event = OutboxEvent {
                id: row.text("id")?,
                event: row.text("event")?,
                subject: row.text("subject")?,
                payload: row.text("payload")?,
                created_at: row.time("created_at_ms")?,
                tries: row.count("tries")?,
            };
            let done = sqlx::query(
                "update outbox set leased_by = $2, leased_until_ms = $3, tries = tries + 1 where id = $1 \
                 and delivered_at_ms is null and (leased_until_ms is null or leased_until_ms <= $4)",
            )
            .bind(&event.id)
            .bind(engine)
            .bind(ms(lease_until))
            .bind(ms(now))
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 1 {
                claimed.push(event);
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// Marks an event as delivered.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_delivered(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "update outbox set delivered_at_ms = $2, leased_by = null, leased_until_ms = null \
             where id = $1 and delivered_at_ms is null",
        )
        .bind(id)
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Puts an event off after a failed delivery.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_failed(
        &self,
        id: &str,
        error: &str,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update outbox set next_at_ms = $2, last_error = $3, leased_by = null, leased_until_ms = null \
             where id = $1 and delivered_at_ms is null",
        )
        .bind(id)
        .bind(ms(next_at))
        .bind(error)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Events that wait for delivery, for metrics.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_waiting(&self) -> Result<u64, StoreError> {
        let row =
            sqlx::query("select count(*) as events from outbox where delivered_at_ms is null")
                .fetch_one(&self.pool)
                .await?;
        Columns(&row).count("events")
    }
}

/// Adds an event to the transaction of what caused it.
pub(super) async fn post(
    connection: &mut AnyConnection,
    event: &str,
    subject: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    post_with(connection, event, subject, serde_json::Map::new(), now).await
}

/// The same, with more in its payload: ids and names of ours, no PHI.
pub(super) async fn post_with(
    connection: &mut AnyConnection,
    event: &str,
    subject: &str,
    mut payload: serde_json::Map<String, serde_json::Value>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = new_id();
    let about = [
        ("id", id.clone()),
        ("event", event.to_owned()),
        ("subject", subject.to_owned()),
        ("at", now.to_string()),
    ];
    payload.extend(about.map(|(key, value)| (key.to_owned(), value.into())));
    let payload = json(&payload);
    sqlx::query(
        "insert into outbox (id, event, subject, payload, created_at_ms, next_at_ms) values ($1, $2, $3, $4, $5, $5)",
    )
    .bind(&id)
    .bind(event)
    .bind(subject)
    .bind(payload)
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(())
}
