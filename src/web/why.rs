//! Why somebody was or was not rung, and what an admin has stopped.

use aftercall_core::id::PatientId;
use aftercall_core::lang::Lang;
use aftercall_core::plan::{NextStep, StepState, Window, Wishes};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Id, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::config::CallingWindow;
use crate::jobs::why::{Followed, Why, of_patient};
use crate::store::decision::Answer;

/// Every decision about a patient's steps, and the one that would be made now.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyView {
    pub steps: Vec<StepWhyView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StepWhyView {
    pub step: String,
    pub episode: String,
    pub day: u16,
    #[schema(value_type = String, example = "planned")]
    pub state: StepState,
    /// Oldest first.
    pub decisions: Vec<DecisionView>,
    /// What would be decided now; left out where the step is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<DecisionView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionView {
    /// Left out for what would be decided now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// dial, wait or finish.
    #[schema(value_type = String, example = "wait")]
    pub answer: Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "outside_window")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// When it is looked at again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// The call is one that they made to us.
    pub inbound: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Of the words: en or zh.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    lang: Option<Lang>,
}

/// The hours in which a patient wants to be called; `null`: any that the others allow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WishesBody {
    #[schema(value_type = Option<Vec<Object>>, example = json!([{"days": ["mon"], "from": "18:00", "to": "20:00"}]))]
    pub windows: Option<Vec<CallingWindow>>,
}

/// Explains in words why a patient was or was not rung, and when the next try comes.
#[utoipa::path(get, path = "/patients/{id}/why", tag = "plans", params(("id" = String, Path), Language), responses(
    (status = OK, body = WhyView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Params(language): Params<Language>,
) -> Result<Json<WhyView>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?.id;
    state.audit(&caller, "plan.why", &patient.0, "").await?;
    let why = of_patient(&state.store, &state.policy, &patient, state.now()).await?;
    let lang = language.lang.unwrap_or(Lang::En);
    Ok(Json(WhyView::of(&why, lang)))
}

/// Keeps the hours in which a patient wants to be called. They only narrow what the law and the hospital allow.
#[utoipa::path(put, path = "/patients/{id}/calling-hours", tag = "plans", params(("id" = String, Path)),
    request_body = WishesBody, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn set_wishes(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<WishesBody>,
) -> Result<StatusCode, Problem> {
    let windows = body.windows.map(|windows| {
        let windows = windows.iter().map(CallingWindow::window);
        windows.collect::<Vec<Window>>()
    });
    if let Some(windows) = &windows {
        Wishes::new(windows).map_err(|error| Problem::field("windows", error.to_string()))?;
    }
    let patient = PatientId(id);
    state
        .store
        .set_wishes(&patient, windows.as_deref(), state.now())
        .await?;
    state
        .audit(&caller, "patient.calling_hours", &patient.0, "")
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl WhyView {
    pub fn of(why: &Why, lang: Lang) -> Self {
        let steps = why.stays.iter().flat_map(|stay| &stay.steps);
        Self {
            steps: steps
                .map(|followed| StepWhyView::of(followed, lang))
                .collect(),
        }
    }
}

impl StepWhyView {
    fn of(followed: &Followed, lang: Lang) -> Self {
        let decisions = followed
            .decisions
            .iter()
            .map(|decided| (&decided.decision, decided.inbound));
        let decisions = decisions.map(|(decision, inbound)| DecisionView {
            at: Some(decision.at),
            answer: decision.answer,
            code: decision.reason.as_ref().map(|why| why.code().to_string()),
            words: decision.reason.as_ref().map(|why| why.words(lang)),
            until: decision.until,
            attempt: decision.attempt.as_ref().map(|id| id.0.clone()),
            inbound,
        });
        let now = followed.now.as_ref().map(|next| {
            let (answer, why, until) = match next {
                NextStep::DialNow(_) => (Answer::Dial, None, None),
                NextStep::Wait { until, why } => (Answer::Wait, Some(why), Some(*until)),
                NextStep::Finished(_, why) => (Answer::Finish, Some(why), None),
            };
            DecisionView {
                at: None,
                answer,
                code: why.map(|why| why.code().to_string()),
                words: why.map(|why| why.words(lang)),
                until,
                attempt: None,
                inbound: false,
            }
        });
        Self {
            step: followed.step.id.0.clone(),
            episode: followed.step.episode.0.clone(),
            day: followed.step.day,
            state: followed.step.state,
            decisions: decisions.collect(),
            now,
        }
    }
}
