//! What reach is counted from, and the hours that were closed for it.

use aftercall_core::attempt::{AnsweredBy, Disposition};
use aftercall_core::plan::learn::{AgeBand, HourOfWeek, Tried};
use aftercall_core::time::{self, Timestamp};
use sqlx::any::AnyRow;

use super::hours::wake;
use super::row::Columns;
use super::{Store, StoreError, ms};

/// An hour that was closed, by whom and on what figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedHour {
    pub hour: HourOfWeek,
    /// JSON.
    pub figures: String,
    pub by: String,
    pub at: Timestamp,
}

impl Store {
    /// The calls since `since` that were put through, each by its hour at the patient's place and her age: reached is who
    /// answered in person. Patients whose zone is not known are left out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tried_since(&self, since: Timestamp) -> Result<Vec<Tried>, StoreError> {
        let rows = sqlx::query(
            "select a.started_at_ms, a.disposition, a.answered_by, a.number, p.zone, p.birth_year, \
             (select count(*) from patient_message m where m.step_id = a.step_id and m.kind = 'prewarm' \
             and m.state = 'delivered' and m.reported_at_ms <= a.started_at_ms) as announced \
             from attempt a join patient p on p.id = a.patient_id where a.state = 'ended' and a.direction = 'outbound' and a.started_at_ms >= $1",
        )
        .bind(ms(since))
        .fetch_all(&self.pool)
        .await?;
        let tried = rows.iter().filter_map(|row| tried(row).transpose());
        tried.collect()
    }

    /// The hours that are closed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn closed_hours(&self) -> Result<Vec<ClosedHour>, StoreError> {
        let rows = sqlx::query(
            "select hour, figures, closed_by, closed_at_ms from closed_hour order by hour",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            let hour = row.text("hour")?;
            Ok(ClosedHour {
                hour: hour
                    .parse()
                    .map_err(|_| StoreError::Corrupt { column: "hour" })?,
                figures: row.text("figures")?,
                by: row.text("closed_by")?,
                at: row.time("closed_at_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Closes an hour; true where it was open.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn close_hour(&self, closed: &ClosedHour) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into closed_hour (hour, figures, closed_by, closed_at_ms) values ($1, $2, $3, $4) \
             on conflict do nothing",
        )
        .bind(closed.hour.to_string())
        .bind(&closed.figures)
        .bind(&closed.by)
        .bind(ms(closed.at))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Opens an hour again; true where it was closed. Steps that waited for it are looked at again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_hour(&self, hour: HourOfWeek, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("delete from closed_hour where hour = $1")
            .bind(hour.to_string())
            .execute(&mut *tx)
            .await?;
        wake(&mut tx, now).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

fn tried(row: &AnyRow) -> Result<Option<Tried>, StoreError> {
    let row = Columns(row);
    let disposition: Disposition = row.word("disposition")?;
    // What never rang says nothing of the hour.
    if matches!(
        disposition,
        Disposition::TrunkFailure | Disposition::Interrupted | Disposition::InvalidNumber
    ) {
        return Ok(None);
    }
    let Some(zone) = time::zone(&row.text("zone")?) else {
        return Ok(None);
    };
    let local = zone.to_datetime(row.time("started_at_ms")?);
    let answered_by: Option<AnsweredBy> = row.word_or_null("answered_by")?;
    let reached = matches!(
        answered_by,
        Some(AnsweredBy::Human | AnsweredBy::Patient | AnsweredBy::Proxy)
    );
    let birth = row.mid_year_or_null("birth_year")?;
    let birth = birth.ok_or(StoreError::Corrupt {
        column: "birth_year",
    })?;
    Ok(Some(Tried {
        at: HourOfWeek {
            band: AgeBand::of(birth, local.date()),
            weekday: local.date().weekday(),
            hour: local.hour(),
        },
        reached,
        announced: (row.int("number")? == 1)
            .then(|| row.int("announced"))
            .transpose()?
            .map(|messages| messages > 0),
    }))
}
