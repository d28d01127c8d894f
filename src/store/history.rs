//! What the calls and the readings of a stay told, as trends are judged from them.

use aftercall_core::attempt::Progress;
use aftercall_core::id::{AttemptId, PatientId, StepId};
use aftercall_core::patient::Episode;
use aftercall_core::reading::Measure;
use aftercall_core::script::EarlierCall;
use aftercall_core::time::{self, Timestamp};
use aftercall_core::trend::{History, Outside, PastCall};
use jiff::tz::TimeZone;

use super::observation::{Observation, ObservationKind};
use super::row::Columns;
use super::{Store, StoreError};

/// Millimoles of glucose a litre in one mg/dL.
const MG_DL: f64 = 1.0 / 18.0;

impl Store {
    /// The identified calls of a stay that have ended, but for the one that ends now, and what was measured since
    /// the discharge.
    ///
    /// # Errors
    /// When the database refuses, or has no such patient.
    pub async fn history(
        &self,
        episode: &Episode,
        but: Option<&AttemptId>,
    ) -> Result<History, StoreError> {
        let calls = self.calls_of(episode, but).await?;
        let since = episode.discharged_at;
        let zone = self.zone_of(&episode.patient).await?;
        let day = |at: Timestamp| {
            let date = |at: Timestamp| zone.as_ref().map(|zone| zone.to_datetime(at).date());
            let days = date(at)
                .zip(date(since))
                .map(|(at, from)| (at - from).get_days());
            u16::try_from(days.unwrap_or_default()).unwrap_or_default()
        };
        let observed = self.observations_since(&episode.patient, since).await?;
        let outside = observed.iter().flat_map(measured);
        let outside = outside.map(|(measure, value, at)| Outside {
            measure,
            value,
            day: day(at),
            at,
        });
        Ok(History {
            calls,
            outside: outside.collect(),
        })
    }

    /// The identified calls of a step that have ended, whoever rang, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn earlier_calls(
        &self,
        step: &StepId,
    ) -> Result<Vec<(AttemptId, EarlierCall)>, StoreError> {
        let rows = sqlx::query(
            "select id, started_at_ms, script_hash, disposition, identified, screened, closing_spoken from attempt \
             where step_id = $1 and identified = 1 and state = 'ended' order by started_at_ms, id",
        )
        .bind(&step.0)
        .fetch_all(&self.pool)
        .await?;
        let mut calls = Vec::with_capacity(rows.len());
        for row in &rows {
            let row = Columns(row);
            let id = AttemptId(row.text("id")?);
            let call = EarlierCall {
                started_at: row.time("started_at_ms")?,
                script_hash: row.text("script_hash")?,
                ended: row.word("disposition")?,
                progress: Progress {
                    identified: row.flag("identified")?,
                    screened: row.flag("screened")?,
                    closing_spoken: row.flag("closing_spoken")?,
                },
                notes: self.notes(&id).await?,
                turns: self.turns(&id).await?,
                findings: self.findings(&id).await?,
            };
            calls.push((id, call));
        }
        Ok(calls)
    }

    async fn calls_of(
        &self,
        episode: &Episode,
        but: Option<&AttemptId>,
    ) -> Result<Vec<PastCall>, StoreError> {
        let but = but.map_or("", |id| id.0.as_str());
        let rows = sqlx::query(
            "select id, day, started_at_ms from attempt where patient_id = $1 and episode_id = $2 and identified = 1 \
             and state = 'ended' and id <> $3 order by started_at_ms, id",
        )
        .bind(&episode.patient.0)
        .bind(&episode.id.0)
        .bind(but)
        .fetch_all(&self.pool)
        .await?;
        // A stay has four calls, and a few more that broke off.
        let mut calls = Vec::with_capacity(rows.len());
        for row in &rows {
            let row = Columns(row);
            let id = AttemptId(row.text("id")?);
            calls.push(PastCall {
                day: row.count("day")?,
                at: row.time("started_at_ms")?,
                turns: self.turns(&id).await?,
                findings: self.findings(&id).await?,
            });
        }
        Ok(calls)
    }

    async fn zone_of(&self, patient: &PatientId) -> Result<Option<TimeZone>, StoreError> {
        Ok(time::zone(&self.patient(patient).await?.zone))
    }
}

fn measured(observation: &Observation) -> Vec<(Measure, f64, Timestamp)> {
    let at = observation.taken_at;
    let value = observation.value;
    match observation.kind {
        ObservationKind::Weight => vec![(Measure::Weight, value, at)],
        ObservationKind::Glucose if observation.unit == "mg/dL" => {
            vec![(Measure::Glucose, value * MG_DL, at)]
        }
        ObservationKind::Glucose => vec![(Measure::Glucose, value, at)],
        ObservationKind::BloodPressure => {
            let mut both = vec![(Measure::Systolic, value, at)];
            both.extend(
                observation
                    .second_value
                    .map(|low| (Measure::Diastolic, low, at)),
            );
            both
        }
    }
}
