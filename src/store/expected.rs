//! Readings that patients are to send from home: which period is over, and whether one came in it.

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::plan::{ExpectedReading, ReadingKind};
use aftercall_core::time::{self, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::AnyConnection;

use super::row::{Columns, word};
use super::work_order::{Raise, raise_or_join};
use super::{Store, StoreError, ms};

/// An awaited reading whose period is over.
#[derive(Clone, Debug, PartialEq)]
pub struct DueReading {
    pub expected: ExpectedReading,
    pub episode: EpisodeId,
    pub patient: PatientId,
    /// The first day after the period.
    pub period_ends_on: Date,
    pub ended_at: Timestamp,
    /// Periods in a row without a reading, without this one.
    pub missed: u32,
}

/// How an awaited reading goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Awaited {
    /// The next period's end; `None`: nothing is awaited any more.
    pub next: Option<(Date, Timestamp)>,
    pub missed: u32,
    pub raise: Option<Raise>,
}

impl Store {
    /// Awaited readings whose period is over, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due_readings(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueReading>, StoreError> {
        let rows = sqlx::query(
            "select episode_id, patient_id, kind, every_days, begins_on, until_on, period_ends_on, next_at_ms, missed \
             from expected_reading where state = 'expected' and next_at_ms <= $1 \
             order by next_at_ms, episode_id, kind limit $2",
        )
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let read = |row| {
            let row = Columns(row);
            Ok(DueReading {
                expected: ExpectedReading {
                    kind: row.word("kind")?,
                    every_days: row.count("every_days")?,
                    begins_on: row.word("begins_on")?,
                    until_on: row.word("until_on")?,
                },
                episode: EpisodeId(row.text("episode_id")?),
                patient: PatientId(row.text("patient_id")?),
                period_ends_on: row.word("period_ends_on")?,
                ended_at: row.time("next_at_ms")?,
                missed: row.count("missed")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Whether a reading of the kind was taken between two instants, whoever sent it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn has_reading(
        &self,
        patient: &PatientId,
        kind: ReadingKind,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "select count(*) as readings from observation where patient_id = $1 and kind = $2 and taken_at_ms >= $3 \
             and taken_at_ms < $4",
        )
        .bind(&patient.0)
        .bind(word(&kind))
        .bind(ms(from))
        .bind(ms(to))
        .fetch_one(&self.pool)
        .await?;
        Ok(Columns(&row).int("readings")? > 0)
    }

    /// Ends a period with what it asks for, in one transaction; false when another engine was faster.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_period(
        &self,
        due: &DueReading,
        then: &Awaited,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let (ends_on, next_at) = then.next.unwrap_or((due.period_ends_on, due.ended_at));
        let state = if then.next.is_some() {
            "expected"
        } else {
            "over"
        };
        let done = sqlx::query(
            "update expected_reading set period_ends_on = $4, next_at_ms = $5, missed = $6, state = $7 \
             where episode_id = $1 and kind = $2 and next_at_ms = $3 and state = 'expected'",
        )
        .bind(&due.episode.0)
        .bind(word(&due.expected.kind))
        .bind(ms(due.ended_at))
        .bind(word(&ends_on))
        .bind(ms(next_at))
        .bind(i64::from(then.missed))
        .bind(state)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(raise) = &then.raise {
            raise_or_join(&mut tx, &self.keys, raise, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Awaits the readings of a stay. A known one goes on as it is, unless its days have changed.
pub(super) async fn upsert_readings(
    connection: &mut AnyConnection,
    (patient, zone): (&PatientId, &str),
    episode: &EpisodeId,
    readings: &[ExpectedReading],
) -> Result<(), StoreError> {
    let zone = time::zone(zone).unwrap_or(TimeZone::UTC);
    for reading in readings {
        let Some(ends_on) = reading.period_from(reading.begins_on) else {
            continue;
        };
        sqlx::query(
            "insert into expected_reading (episode_id, patient_id, kind, every_days, begins_on, until_on, period_ends_on, \
             next_at_ms, state) values ($1, $2, $3, $4, $5, $6, $7, $8, 'expected') \
             on conflict (episode_id, kind) do update set every_days = excluded.every_days, begins_on = excluded.begins_on, \
             until_on = excluded.until_on, period_ends_on = excluded.period_ends_on, next_at_ms = excluded.next_at_ms, \
             missed = 0, state = 'expected' where expected_reading.begins_on <> excluded.begins_on \
             or expected_reading.until_on <> excluded.until_on or expected_reading.every_days <> excluded.every_days",
        )
        .bind(&episode.0)
        .bind(&patient.0)
        .bind(word(&reading.kind))
        .bind(i64::from(reading.every_days))
        .bind(word(&reading.begins_on))
        .bind(word(&reading.until_on))
        .bind(word(&ends_on))
        .bind(ms(time::start_of_day(ends_on, &zone)))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
