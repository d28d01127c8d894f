//! Observations from outside: weight, blood pressure, glucose.

use aftercall_core::id::PatientId;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Id, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::new_id;
use crate::store::observation::{Observation, ObservationKind};

/// A reading as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewObservation {
    pub kind: ObservationKind,
    /// Systolic for a blood pressure.
    pub value: f64,
    /// Diastolic; a blood pressure must have it, nothing else may.
    pub second_value: Option<f64>,
    /// `kg` for a weight, `mm[Hg]` for a blood pressure, `mmol/L` or `mg/dL` for glucose.
    #[schema(example = "kg")]
    pub unit: String,
    #[schema(value_type = String, format = DateTime)]
    pub taken_at: Timestamp,
    /// Who measured or sent it.
    #[schema(example = "mini_program")]
    pub source: String,
}

/// A reading.
#[derive(Debug, Serialize, ToSchema)]
pub struct ObservationView {
    pub id: String,
    pub patient: String,
    pub kind: ObservationKind,
    pub value: f64,
    pub second_value: Option<f64>,
    pub unit: String,
    #[schema(value_type = String, format = DateTime)]
    pub taken_at: Timestamp,
    pub source: String,
}

/// Lists the readings of a patient, newest first.
#[utoipa::path(get, path = "/patients/{id}/observations", tag = "observations",
    params(("id" = String, Path), Paging), responses(
    (status = OK, body = List<ObservationView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<Json<List<ObservationView>>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?.id;
    let page = state
        .store
        .observations(&patient, &paging.request()?)
        .await?;
    state
        .audit(&caller, "observation.list", &patient.0, "")
        .await?;
    Ok(Json(List::of(page, ObservationView::from)))
}

/// Saves a reading; the same one sent again changes nothing.
#[utoipa::path(post, path = "/patients/{id}/observations", tag = "observations", params(("id" = String, Path)),
    request_body = NewObservation, responses(
    (status = CREATED, body = ObservationView),
    (status = OK, body = ObservationView, description = "it was known"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn save(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<NewObservation>,
) -> Result<(StatusCode, Json<ObservationView>), Problem> {
    check(&body, state.now())?;
    let observation = Observation {
        id: new_id(),
        patient: state.store.patient(&PatientId(id)).await?.id,
        kind: body.kind,
        value: body.value,
        second_value: body.second_value,
        unit: body.unit,
        taken_at: body.taken_at,
        source: body.source,
    };
    let new = state
        .store
        .save_observation(&observation, state.now())
        .await?;
    state
        .audit(&caller, "observation.save", &observation.patient.0, "")
        .await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(ObservationView::from(observation))))
}

/// Refuses what no scale or cuff can show: a slip of the unit must not become a trend.
fn check(body: &NewObservation, now: Timestamp) -> Result<(), Problem> {
    let (units, range): (&[&str], _) = match body.kind {
        ObservationKind::Weight => (&["kg"], 1.0..=400.0),
        ObservationKind::BloodPressure => (&["mm[Hg]"], 30.0..=300.0),
        ObservationKind::Glucose if body.unit == "mg/dL" => (&["mg/dL"], 10.0..=1200.0),
        ObservationKind::Glucose => (&["mmol/L", "mg/dL"], 0.5..=70.0),
    };
    if !units.contains(&body.unit.as_str()) {
        return Err(Problem::field(
            "unit",
            format!("is one of: {}", units.join(", ")),
        ));
    }
    if !range.contains(&body.value) {
        return Err(Problem::field(
            "value",
            format!(
                "is between {} and {} {}",
                range.start(),
                range.end(),
                body.unit
            ),
        ));
    }
    match (body.kind, body.second_value) {
        (ObservationKind::BloodPressure, Some(low)) if (10.0..body.value).contains(&low) => {}
        (ObservationKind::BloodPressure, Some(_) | None) => {
            return Err(Problem::field(
                "second_value",
                "is the diastolic pressure, below the systolic",
            ));
        }
        (ObservationKind::Weight | ObservationKind::Glucose, Some(_)) => {
            return Err(Problem::field(
                "second_value",
                "belongs to a blood pressure only",
            ));
        }
        (ObservationKind::Weight | ObservationKind::Glucose, None) => {}
    }
    if body.source.trim().is_empty() {
        return Err(Problem::field("source", "must not be empty"));
    }
    if body.taken_at > now + jiff::SignedDuration::from_mins(5) {
        return Err(Problem::field("taken_at", "lies in the future"));
    }
    Ok(())
}

impl From<Observation> for ObservationView {
    fn from(observation: Observation) -> Self {
        Self {
            id: observation.id,
            patient: observation.patient.0,
            kind: observation.kind,
            value: observation.value,
            second_value: observation.second_value,
            unit: observation.unit,
            taken_at: observation.taken_at,
            source: observation.source,
        }
    }
}
