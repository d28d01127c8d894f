//! Who is on duty now, and whom an order can be handed to.

use aftercall_core::work_order::Rung;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::extract::Params;
use super::problem::Problem;

/// Who is on duty for a ward.
#[derive(Debug, Serialize, ToSchema)]
pub struct DutyView {
    pub ward: String,
    /// Every rung of the ladder, the lowest first.
    pub rungs: Vec<RungView>,
    /// Everybody whom the rota knows, by name.
    pub people: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RungView {
    #[schema(value_type = String, example = "ward_nurse")]
    pub rung: Rung,
    /// Who stands on it now, by name; empty where nobody does.
    pub people: Vec<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DutyQuery {
    pub ward: String,
}

/// Shows who is on duty for a ward by the rota; nobody where none was brought in.
#[utoipa::path(get, path = "/rota", tag = "work orders", params(DutyQuery), responses(
    (status = OK, body = DutyView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    Params(query): Params<DutyQuery>,
) -> Result<Json<DutyView>, Problem> {
    let rota = state.store.rota().await?;
    let (now, calendar) = (state.now(), state.policy.calendar());
    let on = |rung| {
        let people = rota
            .as_ref()
            .map(|rota| rota.on_duty(&query.ward, rung, now, calendar));
        let people = people.unwrap_or_default().into_iter();
        people.map(|person| person.name.clone()).collect()
    };
    let rungs = Rung::ALL.map(|rung| RungView {
        rung,
        people: on(rung),
    });
    let people = rota.iter().flat_map(|rota| rota.people());
    Ok(Json(DutyView {
        rungs: rungs.into(),
        people: people.map(|person| person.name.clone()).collect(),
        ward: query.ward,
    }))
}

/// Refuses a name that neither the rota nor an account has, where there is either.
pub(super) async fn must_be_known(state: &AppState, name: &str) -> Result<(), Problem> {
    let rota = state.store.rota().await?;
    if rota
        .as_ref()
        .is_some_and(|rota| rota.person(name).is_some())
    {
        return Ok(());
    }
    let staff = state.store.staff().await?;
    let is_known = staff.iter().any(|member| member.name == name);
    if is_known || (staff.is_empty() && rota.is_none()) {
        return Ok(());
    }
    Err(Problem::field(
        "to",
        "neither the rota nor an account has this name",
    ))
}
