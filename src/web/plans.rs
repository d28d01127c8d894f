//! Plans: the steps of a stay, with the reason why one is not rung.

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::patient::{Episode, EpisodeState};
use aftercall_core::plan::{Step, StepState};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Id, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};

/// One planned follow-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    pub id: String,
    pub episode: String,
    pub patient: String,
    /// Days after discharge.
    pub day: u16,
    pub script: String,
    #[schema(value_type = String, format = Date)]
    pub due_on: Date,
    #[schema(value_type = String, format = Date)]
    pub lapses_on: Date,
    #[schema(value_type = String, example = "planned")]
    pub state: StepState,
    #[schema(value_type = String, format = DateTime)]
    pub next_at: Timestamp,
    /// Why it was refused or put off (`code: words`); empty when it was not.
    #[schema(example = "outside_window: the telephone may ring from 09:00")]
    pub reason: String,
}

/// One stay and its plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    pub episode: String,
    pub encounter: String,
    pub pathway: String,
    pub department: String,
    pub ward: String,
    #[schema(value_type = String, format = DateTime)]
    pub discharged_at: Timestamp,
    #[schema(value_type = String, example = "discharged")]
    pub state: EpisodeState,
    pub high_risk: bool,
    pub steps: Vec<StepView>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EpisodeStateBody {
    #[schema(value_type = String, example = "readmitted")]
    pub state: EpisodeState,
}

/// Shows the stays of a patient, newest first, each with its plan. A patient's stays fit one page.
#[utoipa::path(get, path = "/patients/{id}/plans", tag = "plans", params(("id" = String, Path)), responses(
    (status = OK, body = List<PlanView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn of_patient(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<List<PlanView>>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?.id;
    state.audit(&caller, "plan.read", &patient.0, "").await?;
    let mut items = Vec::new();
    for episode in state.store.episodes_of(&patient).await? {
        let steps = state.store.steps_of_episode(&episode.id).await?;
        items.push(PlanView::of(episode, steps));
    }
    Ok(Json(List {
        items,
        next_cursor: None,
    }))
}

/// Lists the steps of all plans.
#[utoipa::path(get, path = "/steps", tag = "plans", params(Paging), responses(
    (status = OK, body = List<StepView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<List<StepView>>, Problem> {
    let page = state
        .store
        .steps_seen(None, &caller.wards, &paging.request()?)
        .await?;
    Ok(Json(List::of(page, StepView::from)))
}

/// Records that a patient is back in hospital, or that a report of it was wrong.
#[utoipa::path(put, path = "/episodes/{id}/state", tag = "plans", params(("id" = String, Path)),
    request_body = EpisodeStateBody, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn set_episode_state(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<EpisodeStateBody>,
) -> Result<StatusCode, Problem> {
    state
        .store
        .set_episode_state(&EpisodeId(id.clone()), body.state, state.now())
        .await?;
    state.audit(&caller, "episode.state", &id, "").await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            id: step.id.0,
            episode: step.episode.0,
            patient: step.patient.0,
            day: step.day,
            script: step.script,
            due_on: step.due_on,
            lapses_on: step.lapses_on,
            state: step.state,
            next_at: step.next_at,
            reason: step.reason,
        }
    }
}

impl PlanView {
    fn of(episode: Episode, steps: Vec<Step>) -> Self {
        Self {
            episode: episode.id.0,
            encounter: episode.encounter,
            pathway: episode.pathway,
            department: episode.department,
            ward: episode.ward,
            discharged_at: episode.discharged_at,
            state: episode.state,
            high_risk: episode.high_risk,
            steps: steps.into_iter().map(StepView::from).collect(),
        }
    }
}
