//! Health, metrics, and the answers of no route.

use aftercall_core::staff::Right;
use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::{AppState, auth};
use crate::metrics::HttpLabels;

/// Whether the server can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    pub status: &'static str,
    pub version: &'static str,
    /// What was looked at.
    #[schema(value_type = Vec<String>, example = json!(["database", "ladder", "clock", "disk", "trunk", "ears"]))]
    pub checks: Vec<&'static str>,
}

/// Answers 200 while calls are safe: database, ladder, clock, disk, trunk and ears, each found well. Else 503 with the code of
/// the first fault (`database_unavailable`, `work_orders_unanswered`, `ladder_late`, `clock_wrong`, `disk_full`,
/// `trunk_down`, `ears_behind`) and all of them in words. Needs no token and says nothing of patients.
#[utoipa::path(get, path = "/health", tag = "system", security(()), responses(
    (status = OK, body = Health),
    (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json")
))]
pub async fn health(State(state): State<AppState>) -> Result<Json<Health>, Problem> {
    let checks = state.health.look(&state.store, state.now()).await;
    let faults = checks.iter().filter_map(|check| check.fault.as_ref());
    let faults: Vec<&(&'static str, String)> = faults.collect();
    let Some((code, _)) = faults.first() else {
        return Ok(Json(Health {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
            checks: checks.iter().map(|check| check.name).collect(),
        }));
    };
    let words: Vec<&str> = faults.iter().map(|(_, words)| words.as_str()).collect();
    Err(Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        code,
        words.join("; "),
    ))
}

/// Counts for Prometheus (OpenMetrics text); no PHI. Open to this machine; from elsewhere it needs a token that may read the
/// system's state or figures.
#[utoipa::path(get, path = "/metrics", tag = "system", security((), ("token" = [])), responses(
    (status = OK, body = String, content_type = "application/openmetrics-text"),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json")
))]
pub async fn metrics(
    State(state): State<AppState>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, Problem> {
    let client = state.limits.client(&headers, &extensions);
    if !client.is_some_and(|client| client.is_loopback()) {
        let caller = auth::known(&state, &Method::GET, &headers).await?;
        if !caller.may(Right::ReadSystem) && !caller.may(Right::ReadFigures) {
            let detail = "none of your roles may do this";
            return Err(Problem::new(StatusCode::FORBIDDEN, "not_allowed", detail));
        }
    }
    let zone = state.config.zone();
    let page = state.metrics.page(&state.store, zone, state.now()).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], page).into_response())
}

/// Counts a request by its route's pattern: the path itself may have ids.
pub async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let method = known_method(request.method());
    let response = next.run(request).await;
    let labels = HttpLabels {
        route: route.unwrap_or_else(|| "none".to_owned()),
        method,
        status: u32::from(response.status().as_u16()),
    };
    state.metrics.http_requests.get_or_create(&labels).inc();
    response
}

/// A closed set: a client may send any word as its method.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

pub async fn no_route() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_route",
        "there is no such route; /openapi.json lists them",
    )
}

pub async fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the route does not take this method",
    )
}
