//! The way to the telephone network, and how it stands.

use std::collections::BTreeMap;

use aftercall_core::attempt::Disposition;
use aftercall_core::plan::Breaker;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::extract::List;
use super::problem::Problem;
use crate::trunk::config::Trunk;

/// How many of the last calls health is told from.
const LAST: u32 = 100;

/// A trunk as its file has it, and its last calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrunkView {
    #[schema(example = "carrier")]
    pub name: String,
    /// Only the demo's telephone network.
    pub loopback: bool,
    /// Most calls at once.
    pub lines: usize,
    pub calls_per_second: Option<f64>,
    /// Where INVITEs go, in order.
    pub targets: Vec<String>,
    /// Calls that this engine has now.
    pub live: i64,
    /// `ok`, `failing` (the last calls failed on the line), `resting` (it is given rest) or `unused`.
    #[schema(example = "ok")]
    pub health: &'static str,
    /// Calls in a row that the line failed, the newest first.
    pub failed_in_a_row: u32,
    /// Of how many of the last calls is spoken.
    pub last: u64,
    /// How those ended, by disposition.
    pub endings: BTreeMap<String, u64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_call_at: Option<Timestamp>,
}

/// Lists the trunks of this engine with their health: one.
#[utoipa::path(get, path = "/trunks", tag = "system", responses(
    (status = OK, body = List<TrunkView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(State(state): State<AppState>) -> Result<Json<List<TrunkView>>, Problem> {
    let file = state.config.trunk.file.clone();
    let read = tokio::task::spawn_blocking(move || Trunk::load(&file)).await;
    let Ok(Ok(trunk)) = read else {
        let said = "the trunk's file cannot be read";
        return Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            said,
        ));
    };
    let ended = state.store.endings_of_trunk(&trunk.name, LAST).await?;
    let breaker = Breaker::of(&ended);
    let mut endings: BTreeMap<String, u64> = BTreeMap::new();
    for (_, disposition) in &ended {
        *endings.entry(disposition.to_string()).or_default() += 1;
    }
    let failed = |(_, ended): &(Timestamp, Disposition)| *ended == Disposition::TrunkFailure;
    let health = match breaker.room(0, state.now()) {
        _ if ended.is_empty() => "unused",
        Some(_) => "resting",
        None if ended.first().is_some_and(failed) => "failing",
        None => "ok",
    };
    let view = TrunkView {
        loopback: trunk.is_loopback(),
        lines: trunk
            .lines
            .min(usize::try_from(state.config.trunk.lines).unwrap_or(usize::MAX)),
        calls_per_second: trunk.calls_per_second,
        targets: trunk.targets.iter().map(ToString::to_string).collect(),
        live: state.metrics.calls_live.get(),
        health,
        failed_in_a_row: breaker.failed(),
        last: ended.len() as u64,
        endings,
        last_call_at: ended.first().map(|(at, _)| *at),
        name: trunk.name,
    };
    Ok(Json(List {
        items: vec![view],
        next_cursor: None,
    }))
}
