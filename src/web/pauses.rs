//! What an admin has stopped: dialling for everybody, or for a ward.

use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::Body;
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::decision::Pause;

#[derive(Debug, Serialize, ToSchema)]
pub struct PausesView {
    pub items: Vec<PauseView>,
    /// Wards that can be stopped.
    pub wards: Vec<String>,
}

/// Dialling is stopped.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseView {
    /// Null: for everybody.
    pub ward: Option<String>,
    pub why: String,
    pub by: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPause {
    /// One ward; null or left out: everybody.
    #[serde(default)]
    pub ward: Option<String>,
    /// The reason, which the audit log keeps.
    #[schema(example = "the ward moves")]
    pub why: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndOfPause {
    #[serde(default)]
    pub ward: Option<String>,
}

/// Lists what is stopped, of the wards that the caller sees, and for everybody.
#[utoipa::path(get, path = "/pauses", tag = "plans", responses(
    (status = OK, body = PausesView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<PausesView>, Problem> {
    let pauses = state.store.pauses().await?.into_iter().map(PauseView::of);
    let is_seen = |ward: &str| caller.wards.see(std::iter::once(ward));
    let mut wards = state.store.wards_of_stays().await?;
    wards.retain(|ward| is_seen(ward));
    Ok(Json(PausesView {
        items: pauses
            .filter(|pause| pause.ward.as_deref().is_none_or(is_seen))
            .collect(),
        wards,
    }))
}

/// Stops dialling. Live calls go on; an emergency's one re-call is made all the same.
#[utoipa::path(post, path = "/pauses", tag = "plans", request_body = NewPause, responses(
    (status = CREATED), (status = NO_CONTENT, description = "it was stopped"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn begin(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<NewPause>,
) -> Result<StatusCode, Problem> {
    if body.why.trim().is_empty() {
        return Err(Problem::field("why", "must not be empty"));
    }
    let pause = Pause {
        scope: scope(&caller, body.ward.as_deref())?,
        why: body.why,
        by: caller.name.clone(),
        at: state.now(),
    };
    state
        .audit(&caller, "dialling.pause", &pause.scope, &pause.why)
        .await?;
    Ok(match state.store.pause(&pause).await? {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    })
}

/// Goes on: steps that waited for it are looked at at once.
#[utoipa::path(post, path = "/pauses/end", tag = "plans", request_body = EndOfPause, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn end(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<EndOfPause>,
) -> Result<StatusCode, Problem> {
    let scope = scope(&caller, body.ward.as_deref())?;
    state.audit(&caller, "dialling.resume", &scope, "").await?;
    match state.store.resume(&scope, state.now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("pause")),
    }
}

/// Who sees some wards stops those, and not the whole hospital.
fn scope(caller: &Caller, ward: Option<&str>) -> Result<String, Problem> {
    let may = match ward {
        Some(ward) => caller.wards.see(std::iter::once(ward)),
        None => caller.wards.names().is_none(),
    };
    if !may {
        let said = "this is for who sees every ward of it";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not_allowed", said));
    }
    Ok(ward.map_or_else(String::new, |ward| format!("ward/{ward}")))
}

impl PauseView {
    fn of(pause: Pause) -> Self {
        Self {
            ward: pause.scope.strip_prefix("ward/").map(str::to_owned),
            why: pause.why,
            by: pause.by,
            at: pause.at,
        }
    }
}
