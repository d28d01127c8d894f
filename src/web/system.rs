//! Health, metrics, and the answers of no route.

use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::problem::Problem;
use crate::metrics::HttpLabels;

/// Whether the server can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    pub status: &'static str,
    pub version: &'static str,
}

/// How long the database may take to say that it lives.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers 200 when the database answers and no work order is left unanswered by its whole ladder; needs no token and
/// says nothing of patients.
#[utoipa::path(get, path = "/health", tag = "system", security(()), responses(
    (status = OK, body = Health),
    (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json")
))]
pub async fn health(State(state): State<AppState>) -> Result<Json<Health>, Problem> {
    match tokio::time::timeout(PATIENCE, state.store.exhausted_work_orders()).await {
        Ok(Ok(0)) => Ok(Json(Health {
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
        })),
        Ok(Ok(orders)) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "work_orders_unanswered",
            format!(
                "{orders} work orders were told to everybody on their ladder, and nobody has answered"
            ),
        )),
        Ok(Err(_)) | Err(_) => {
            let detail = "the database does not answer";
            Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "database_unavailable",
                detail,
            ))
        }
    }
}

/// Counts for Prometheus (OpenMetrics text); no PHI.
#[utoipa::path(get, path = "/metrics", tag = "system", security(()), responses(
    (status = OK, body = String, content_type = "application/openmetrics-text"),
    (status = SERVICE_UNAVAILABLE, body = Problem, content_type = "application/problem+json")
))]
pub async fn metrics(State(state): State<AppState>) -> Result<Response, Problem> {
    let page = state.metrics.page(&state.store).await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], page).into_response())
}

/// Counts a request by its route's pattern: the path itself may have ids.
pub async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let method = request.method().to_string();
    let response = next.run(request).await;
    let labels = HttpLabels {
        route: route.unwrap_or_else(|| "none".to_owned()),
        method,
        status: u32::from(response.status().as_u16()),
    };
    state.metrics.http_requests.get_or_create(&labels).inc();
    response
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
