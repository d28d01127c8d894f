//! Failures as RFC 9457 problem details: a `code` for machines, words for people, no PHI.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::recording::RecordingError;
use crate::store::StoreError;

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem, as `code` does.
    #[schema(example = "urn:aftercall:problem:already_acknowledged")]
    pub r#type: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    /// Stable: programs may compare it.
    #[schema(example = "already_acknowledged")]
    pub code: &'static str,
    /// The field of the body or the query that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            r#type: format!("urn:aftercall:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            field: None,
        }
    }

    /// A field that breaks a rule.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_body", detail)
        }
    }

    pub fn unauthorised() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorised",
            "sign in by POST /session, or send `Authorization: Bearer TOKEN`",
        )
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {what}"),
        )
    }

    /// Our fault; the words go to the log, not to the caller.
    fn ours(error: &dyn std::error::Error) -> Self {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%error, %cause, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed; its log says why",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"aftercall\""),
            );
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { what, .. } => Self::not_found(what),
            StoreError::Conflict { what, state, .. } => {
                let code = match state.as_str() {
                    "acknowledged" => "already_acknowledged",
                    "closed" => "already_closed",
                    "decided" => "already_decided",
                    "compared" => "already_compared",
                    "open" => "not_acknowledged",
                    "not closed" => "not_closed",
                    "not spoken" => "not_spoken",
                    "superseded" => "superseded",
                    _ => "conflict",
                };
                let detail = match code {
                    "not_spoken" => "the robot promised a call: speak with the patient first, or close it as unreachable or readmitted".to_owned(),
                    "superseded" => "the stay has another order that is not closed: add to that one".to_owned(),
                    "already_compared" => "another's review stands beside it: both stay as they were given".to_owned(),
                    _ => format!("the {what} is {state} by now"),
                };
                Self::new(StatusCode::CONFLICT, code, detail)
            }
            StoreError::Kept { why, .. } => Self::new(StatusCode::CONFLICT, "kept", *why),
            StoreError::Destroyed { .. } => Self::new(
                StatusCode::GONE,
                "erased",
                "its key was destroyed: nobody can read it any more",
            ),
            StoreError::Cursor => Self {
                field: Some("cursor".to_owned()),
                ..Self::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_cursor",
                    "send the `next_cursor` of this list",
                )
            },
            error if error.may_pass() => {
                tracing::error!(%error, "the database cannot be used");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "database_unavailable",
                    "try again in a minute",
                )
            }
            StoreError::Scheme
            | StoreError::File { .. }
            | StoreError::Open(_)
            | StoreError::Migrate(_)
            | StoreError::Newer { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Database(_)
            | StoreError::Vault(_)
            | StoreError::Journal(_)
            | StoreError::Refused { .. } => Self::ours(&error),
        }
    }
}

impl From<RecordingError> for Problem {
    fn from(error: RecordingError) -> Self {
        match &error {
            RecordingError::Id | RecordingError::None(_) => Self::not_found("recording"),
            RecordingError::Away { .. } => {
                tracing::error!(%error, "the object store cannot be used");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "recordings_unavailable",
                    "try again in a minute",
                )
            }
            RecordingError::Exists(_)
            | RecordingError::Changed { .. }
            | RecordingError::NoList(_)
            | RecordingError::Io { .. } => Self::ours(&error),
        }
    }
}
