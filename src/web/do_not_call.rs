//! The do-not-call list. Numbers travel in bodies, never in a URL.

use aftercall_core::import::listed_number;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::suppression::SuppressedNumber;

/// A number that no robot rings, whoever shares it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuppressedNumberView {
    /// Null once the patient was erased whose number it is: it is still not rung.
    pub phone: Option<String>,
    pub why: String,
    pub added_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub added_at: Timestamp,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSuppression {
    #[schema(example = "+8613800138000")]
    pub phone: String,
    #[schema(example = "complaint")]
    pub why: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    pub phone: String,
}

/// Lists the numbers in the order added.
#[utoipa::path(get, path = "/do-not-call", tag = "do not call", params(Paging), responses(
    (status = OK, body = List<SuppressedNumberView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<List<SuppressedNumberView>>, Problem> {
    let page = state.store.suppressed_numbers(&paging.request()?).await?;
    state
        .audit(
            &caller,
            "do_not_call.list",
            "",
            &format!("{} rows", page.items.len()),
        )
        .await?;
    Ok(Json(List::of(page, SuppressedNumberView::from)))
}

/// Puts a number on the list, at once: also a step that is being claimed does not ring it.
#[utoipa::path(post, path = "/do-not-call", tag = "do not call", request_body = NewSuppression, responses(
    (status = CREATED), (status = NO_CONTENT, description = "it was there"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn add(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<NewSuppression>,
) -> Result<StatusCode, Problem> {
    let number = listed(&state, &body.phone)?;
    let new = state
        .store
        .suppress_number(&number, &body.why, &caller.name, state.now())
        .await?;
    state.audit(&caller, "do_not_call.add", "", "").await?;
    Ok(if new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    })
}

/// Takes a number off the list.
#[utoipa::path(post, path = "/do-not-call/remove", tag = "do not call", request_body = Removal, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<Removal>,
) -> Result<StatusCode, Problem> {
    let number = listed(&state, &body.phone)?;
    if !state.store.unsuppress_number(&number).await? {
        return Err(Problem::not_found("number on the list"));
    }
    state.audit(&caller, "do_not_call.remove", "", "").await?;
    Ok(StatusCode::NO_CONTENT)
}

fn listed(state: &AppState, text: &str) -> Result<PhoneNumber, Problem> {
    listed_number(text, &state.defaults.country)
        .map_err(|fault| Problem::field("phone", fault.to_string()))
}

impl From<SuppressedNumber> for SuppressedNumberView {
    fn from(number: SuppressedNumber) -> Self {
        Self {
            phone: number.phone.map(String::from),
            why: number.why,
            added_by: number.added_by,
            added_at: number.added_at,
        }
    }
}
