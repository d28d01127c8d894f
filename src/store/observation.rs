//! Readings from outside: weight, blood pressure, glucose.

use aftercall_core::id::PatientId;
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::page::{Page, PageRequest};
use super::row::{Columns, word};
use super::{Store, StoreError, ms};

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub id: String,
    pub patient: PatientId,
    pub kind: ObservationKind,
    /// Systolic for a blood pressure.
    pub value: f64,
    /// Diastolic; only a blood pressure has one.
    pub second_value: Option<f64>,
    /// UCUM: `kg`, `mm[Hg]`, `mmol/L`, `mg/dL`.
    pub unit: String,
    pub taken_at: Timestamp,
    /// Who measured or sent it: `mini_program`, `call`, `ward`, …
    pub source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObservationKind {
    Weight,
    BloodPressure,
    Glucose,
}

impl Store {
    /// Saves a reading; true when it is new, false when the same one was sent before.
    ///
    /// # Errors
    /// When there is no such patient.
    pub async fn save_observation(
        &self,
        observation: &Observation,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into observation (id, patient_id, kind, value, second_value, unit, taken_at_ms, source, saved_at_ms) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (patient_id, kind, taken_at_ms, source) do nothing",
        )
        .bind(&observation.id)
        .bind(&observation.patient.0)
        .bind(word(&observation.kind))
        .bind(observation.value)
        .bind(observation.second_value)
        .bind(&observation.unit)
        .bind(ms(observation.taken_at))
        .bind(&observation.source)
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The readings of a patient, newest first.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn observations(
        &self,
        patient: &PatientId,
        page: &PageRequest,
    ) -> Result<Page<Observation>, StoreError> {
        let ([before_ms], before_id) = page.keys::<1>()?.unwrap_or(([i64::MAX], "~"));
        let rows = sqlx::query(
            "select id, patient_id, kind, value, second_value, unit, taken_at_ms, source from observation \
             where patient_id = $1 and (taken_at_ms < $2 or (taken_at_ms = $2 and id < $3)) \
             order by taken_at_ms desc, id desc limit $4",
        )
        .bind(&patient.0)
        .bind(before_ms)
        .bind(before_id)
        .bind(page.fetch())
        .fetch_all(&self.pool)
        .await?;
        let observations = rows
            .iter()
            .map(read_observation)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(observations, |reading| {
            (vec![ms(reading.taken_at)], reading.id.clone())
        }))
    }

    /// The newest thousand readings of a patient since a time, the oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn observations_since(
        &self,
        patient: &PatientId,
        since: Timestamp,
    ) -> Result<Vec<Observation>, StoreError> {
        let rows = sqlx::query(
            "select id, patient_id, kind, value, second_value, unit, taken_at_ms, source from observation \
             where patient_id = $1 and taken_at_ms >= $2 order by taken_at_ms desc, id desc limit 1000",
        )
        .bind(&patient.0)
        .bind(ms(since))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().rev().map(read_observation).collect()
    }
}

fn read_observation(row: &AnyRow) -> Result<Observation, StoreError> {
    let row = Columns(row);
    Ok(Observation {
        id: row.text("id")?,
        patient: PatientId(row.text("patient_id")?),
        kind: row.word("kind")?,
        value: row.double("value")?,
        second_value: row.double_or_null("second_value")?,
        unit: row.text("unit")?,
        taken_at: row.time("taken_at_ms")?,
        source: row.text("source")?,
    })
}
