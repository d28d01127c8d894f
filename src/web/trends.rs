//! Trends: what is worse, the same or better over the calls of a stay.

use aftercall_core::finding::Urgency;
use aftercall_core::id::PatientId;
use aftercall_core::patient::Episode;
use aftercall_core::time::Timestamp;
use aftercall_core::trend::{Direction, Line, Trend, Value, trends};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Id, List};
use super::problem::Problem;
use super::{AppState, Caller};

/// One question, measure or concept over the calls of a stay.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrendView {
    /// `overall` (the patient's own comparison with the discharge), `measure` or `concept`.
    #[schema(example = "measure")]
    pub kind: String,
    /// `overall`, the measure or the concept.
    #[schema(example = "weight_kg")]
    pub line: String,
    /// UCUM, for a measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `worse`, `same`, `better`, or `unknown` where the rules cannot tell.
    #[schema(value_type = String, example = "worse")]
    pub direction: Direction,
    /// The rule that decided it.
    #[schema(example = "weight.week")]
    pub rule: String,
    /// How soon a human must know, where it is worse.
    #[schema(value_type = Option<String>)]
    pub urgency: Option<Urgency>,
    /// The oldest first.
    pub points: Vec<PointView>,
    /// The line in words.
    #[schema(example = "weight_kg: 64 (day 3), 66.5 (day 7): worse by weight.week")]
    pub text: String,
}

/// One call or reading on a line: a polarity, an answer or a number.
#[derive(Debug, Serialize, ToSchema)]
pub struct PointView {
    /// Days after discharge.
    pub day: u16,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `present`, `absent`, …, or `worse`, `same`, `better`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// The trends of one stay.
#[derive(Debug, Serialize, ToSchema)]
pub struct StayTrendsView {
    pub episode: String,
    pub encounter: String,
    /// Worse lines first.
    pub trends: Vec<TrendView>,
}

/// Shows the trends of a patient by stay, the newest stay first. A patient's stays fit one page.
#[utoipa::path(get, path = "/patients/{id}/trends", tag = "calls", params(("id" = String, Path)), responses(
    (status = OK, body = List<StayTrendsView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn of_patient(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<List<StayTrendsView>>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?.id;
    state.audit(&caller, "trend.read", &patient.0, "").await?;
    let mut items = Vec::new();
    for episode in state.store.episodes_of(&patient).await? {
        items.push(StayTrendsView {
            trends: of_episode(&state, &episode).await?,
            episode: episode.id.0,
            encounter: episode.encounter,
        });
    }
    Ok(Json(List {
        items,
        next_cursor: None,
    }))
}

/// The lines of one stay as they are by now.
pub(super) async fn of_episode(
    state: &AppState,
    episode: &Episode,
) -> Result<Vec<TrendView>, Problem> {
    let history = state.store.history(episode, None).await?;
    let lines = trends(&state.trends, &history);
    Ok(lines.iter().map(TrendView::of).collect())
}

impl TrendView {
    pub(super) fn of(trend: &Trend) -> Self {
        let (kind, unit) = match &trend.line {
            Line::Overall => ("overall", None),
            Line::Measure { measure } => ("measure", Some(measure.unit().to_owned())),
            Line::Concept { .. } => ("concept", None),
        };
        let points = trend.points.iter().map(|point| {
            let (answer, value) = match point.value {
                Value::Reading(value) => (None, Some(value)),
                Value::Polarity(polarity) => (Some(polarity.to_string()), None),
                Value::Answer(answer) => (Some(answer.to_string()), None),
            };
            PointView {
                day: point.day,
                at: point.at,
                answer,
                value,
            }
        });
        Self {
            kind: kind.to_owned(),
            line: trend.line.to_string(),
            unit,
            direction: trend.direction,
            rule: trend.rule.clone(),
            urgency: trend.urgency,
            points: points.collect(),
            text: trend.to_string(),
        }
    }
}
