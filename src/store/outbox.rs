//! The outbox: events written with what caused them, delivered at least once, their id the idempotency key.
//!
//! An event is handed out first: each channel and person whom it concerns gets a row of their own, which is tried by itself
//! until it is delivered or given up. What was given up is a dead letter, and can be played again.

use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::row::{Columns, json};
use super::{Store, StoreError, ms, new_id};

/// How long handing out an event may take: some statements.
const HANDING_OUT: SignedDuration = SignedDuration::from_secs(1);

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
    /// Where it goes; `None`: it has not been handed out.
    pub channel: Option<String>,
    /// The person whom it is for.
    pub recipient: Option<String>,
}

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub channel: String,
    pub recipient: Option<String>,
}

/// What became of a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    AgainAt(Timestamp),
    /// It is given up.
    Died,
}

/// A row that waits, or was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub event: OutboxEvent,
    pub next_at: Timestamp,
    pub died_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

impl Store {
    /// Leases up to `limit` undelivered events to `engine`, oldest first: a row that is sent until `lease_until`, an event that
    /// is only handed out for [`HANDING_OUT`], so that a database that failed meanwhile holds up nobody's notice.
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
            "select id, event, subject, payload, created_at_ms, tries, channel, recipient from outbox \
             where delivered_at_ms is null and died_at_ms is null and next_at_ms <= $1 and (leased_until_ms is null or leased_until_ms <= $1) \
             order by next_at_ms, id limit $2",
        )
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let event = read_event(row)?;
            let done = sqlx::query(
                "update outbox set leased_by = $2, leased_until_ms = $3, tries = tries + 1 where id = $1 \
                 and delivered_at_ms is null and (leased_until_ms is null or leased_until_ms <= $4)",
            )
            .bind(&event.id)
            .bind(engine)
            .bind(ms(match event.channel {
                Some(_) => lease_until,
                None => lease_until.min(now.saturating_add(HANDING_OUT).unwrap_or(now)),
            }))
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

    /// Frees what an earlier run of this engine had claimed: it is sent again, under the same id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release_outbox(&self, engine: &str) -> Result<(), StoreError> {
        sqlx::query(
            "update outbox set leased_by = null, leased_until_ms = null where leased_by = $1 \
             and delivered_at_ms is null and died_at_ms is null",
        )
        .bind(engine)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Marks an event as delivered.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_delivered(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        delivered(&mut *self.pool.acquire().await?, id, now).await
    }

    /// Gives each target a row of its own, and marks the event as handed out. A second time changes nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn hand_out(
        &self,
        event: &OutboxEvent,
        targets: &[Target],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (at, target) in targets.iter().enumerate() {
            sqlx::query(
                "insert into outbox (id, event, subject, payload, created_at_ms, next_at_ms, parent, channel, recipient) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing",
            )
            .bind(format!("{}.{at}", event.id))
            .bind(&event.event)
            .bind(&event.subject)
            .bind(&event.payload)
            .bind(ms(event.created_at))
            .bind(ms(now))
            .bind(&event.id)
            .bind(&target.channel)
            .bind(target.recipient.clone())
            .execute(&mut *tx)
            .await?;
        }
        delivered(&mut tx, &event.id, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts a row off after a failed delivery, or gives it up.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_failed(
        &self,
        id: &str,
        error: &str,
        failed: Failed,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (next_at, died_at) = match failed {
            Failed::AgainAt(at) => (at, None),
            Failed::Died => (now, Some(ms(now))),
        };
        sqlx::query(
            "update outbox set next_at_ms = $2, last_error = $3, died_at_ms = $4, leased_by = null, \
             leased_until_ms = null where id = $1 and delivered_at_ms is null",
        )
        .bind(id)
        .bind(ms(next_at))
        .bind(error)
        .bind(died_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Rows that were given up, or all that are not delivered, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_letters(
        &self,
        only_dead: bool,
        limit: u32,
    ) -> Result<Vec<Letter>, StoreError> {
        let rows = sqlx::query(
            "select id, event, subject, payload, created_at_ms, tries, channel, recipient, next_at_ms, died_at_ms, \
             last_error from outbox where delivered_at_ms is null and ($1 = 0 or died_at_ms is not null) \
             order by created_at_ms, id limit $2",
        )
        .bind(i64::from(only_dead))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let letter = |row| {
            let columns = Columns(row);
            Ok(Letter {
                event: read_event(row)?,
                next_at: columns.time("next_at_ms")?,
                died_at: columns.time_or_null("died_at_ms")?,
                last_error: columns.text_or_null("last_error")?,
            })
        };
        rows.iter().map(letter).collect()
    }

    /// Lets a row that was given up be tried again from now on; all of them where none is named. Returns how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn replay_outbox(&self, id: Option<&str>, now: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "update outbox set died_at_ms = null, next_at_ms = $2, tries = 0 \
             where died_at_ms is not null and ($1 = '' or id = $1)",
        )
        .bind(id.unwrap_or_default())
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// How many rows were given up, for metrics.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_dead(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("select count(*) as events from outbox where died_at_ms is not null")
            .fetch_one(&self.pool)
            .await?;
        Columns(&row).count("events")
    }

    /// How long the oldest event has waited for delivery, for metrics.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_age(&self, now: Timestamp) -> Result<SignedDuration, StoreError> {
        let row = sqlx::query(
            "select min(created_at_ms) as created_at_ms from outbox \
             where delivered_at_ms is null and died_at_ms is null",
        )
        .fetch_one(&self.pool)
        .await?;
        let oldest = Columns(&row).time_or_null("created_at_ms")?;
        Ok(oldest.map_or(SignedDuration::ZERO, |oldest| now.duration_since(oldest)))
    }

    /// Events that wait for delivery, for metrics.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn outbox_waiting(&self) -> Result<u64, StoreError> {
        let row =
            sqlx::query("select count(*) as events from outbox where delivered_at_ms is null and died_at_ms is null")
                .fetch_one(&self.pool)
                .await?;
        Columns(&row).count("events")
    }
}

async fn delivered(
    connection: &mut AnyConnection,
    id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "update outbox set delivered_at_ms = $2, leased_by = null, leased_until_ms = null \
         where id = $1 and delivered_at_ms is null",
    )
    .bind(id)
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(())
}

fn read_event(row: &AnyRow) -> Result<OutboxEvent, StoreError> {
    let row = Columns(row);
    Ok(OutboxEvent {
        id: row.text("id")?,
        event: row.text("event")?,
        subject: row.text("subject")?,
        payload: row.text("payload")?,
        created_at: row.time("created_at_ms")?,
        tries: row.count("tries")?,
        channel: row.text_or_null("channel")?,
        recipient: row.text_or_null("recipient")?,
    })
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
    payload: serde_json::Map<String, serde_json::Value>,
    now: Timestamp,
) -> Result<(), StoreError> {
    post_at(connection, event, subject, payload, (now, now)).await
}

/// The same, to be handed out from the second instant on.
pub(super) async fn post_at(
    connection: &mut AnyConnection,
    event: &str,
    subject: &str,
    mut payload: serde_json::Map<String, serde_json::Value>,
    (now, send_at): (Timestamp, Timestamp),
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
        "insert into outbox (id, event, subject, payload, created_at_ms, next_at_ms) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&id)
    .bind(event)
    .bind(subject)
    .bind(payload)
    .bind(ms(now))
    .bind(ms(send_at))
    .execute(connection)
    .await?;
    Ok(())
}
