//! Calling hours that admins set in place of the configuration's.

use aftercall_core::plan::SetHours;
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::row::{Columns, json};
use super::{Store, StoreError, ms, new_id};

/// Hours in force, by whom and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoursInForce {
    pub hours: SetHours,
    pub by: String,
    pub at: Timestamp,
}

impl Store {
    /// The hours that admins set, of the hospital first and then of departments by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_hours(&self) -> Result<Vec<SetHours>, StoreError> {
        let in_force = self.hours_in_force().await?;
        Ok(in_force.into_iter().map(|set| set.hours).collect())
    }

    /// The same, with who set them and when.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn hours_in_force(&self) -> Result<Vec<HoursInForce>, StoreError> {
        let rows = sqlx::query(
            "select department, week, set_by, set_at_ms from calling_hours where superseded_at_ms is null order by department",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(in_force).collect()
    }

    /// Sets the hours of the hospital or a department from now on. Steps that waited for an hour are looked at again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn change_hours(
        &self,
        hours: &SetHours,
        by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let department = hours.department.as_deref().unwrap_or_default();
        let mut tx = self.begin().await?;
        supersede(&mut tx, department, now).await?;
        sqlx::query(
            "insert into calling_hours (id, department, week, set_by, set_at_ms) values ($1, $2, $3, $4, $5)",
        )
        .bind(new_id())
        .bind(department)
        .bind(json(&hours.week))
        .bind(by)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        wake(&mut tx, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets the configuration's hours hold again; true where others had been set.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reset_hours(
        &self,
        department: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let was_set = supersede(&mut tx, department.unwrap_or_default(), now).await?;
        wake(&mut tx, now).await?;
        tx.commit().await?;
        Ok(was_set)
    }

    /// Whether a stay of this department is known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn knows_department(&self, name: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("select 1 as known from episode where department = $1 limit 1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }
}

async fn supersede(
    connection: &mut AnyConnection,
    department: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update calling_hours set superseded_at_ms = $2 where department = $1 and superseded_at_ms is null",
    )
    .bind(department)
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Steps that waited for an hour are looked at again.
pub(super) async fn wake(connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "update step set next_at_ms = $1 where state = 'planned' and reason like 'outside_window: %' and next_at_ms > $1",
    )
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(())
}

fn in_force(row: &AnyRow) -> Result<HoursInForce, StoreError> {
    let row = Columns(row);
    let department = row.text("department")?;
    Ok(HoursInForce {
        hours: SetHours {
            department: (!department.is_empty()).then_some(department),
            week: row.json("week")?,
        },
        by: row.text("set_by")?,
        at: row.time("set_at_ms")?,
    })
}
