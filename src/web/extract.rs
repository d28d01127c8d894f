//! What requests carry, with failures that name the field.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::store::page::{Cursor, Page, PageRequest};

/// A JSON body; a failure names the path of the field (`contacts[0].relation`).
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_type(request.headers(), "application/json")?;
        let bytes = bytes(request, state).await?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            Problem {
                field: (path != ".").then_some(path),
                ..bad_json(error.inner())
            }
        })?;
        json.end().map_err(|error| bad_json(&error))?;
        Ok(Self(value))
    }
}

fn bad_json(error: &serde_json::Error) -> Problem {
    let code = if error.is_data() {
        "invalid_body"
    } else {
        "invalid_json"
    };
    Problem::new(StatusCode::BAD_REQUEST, code, error.to_string())
}

/// A list as CSV or a workbook, as bytes: its reader finds the faults by line.
#[derive(Debug)]
pub struct Sheet(pub Bytes);

/// What an .xlsx file is called on the wire.
const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

impl<S: Send + Sync> FromRequest<S> for Sheet {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        expect_type(request.headers(), WORKBOOK)
            .or_else(|_| expect_type(request.headers(), "text/csv"))?;
        Ok(Self(bytes(request, state).await?))
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection: BytesRejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is larger than this route takes",
            ),
            _ => Problem::new(
                StatusCode::BAD_REQUEST,
                "broken_body",
                "the body ended early",
            ),
        })
}

fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let sent = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail = format!("send `Content-Type: {expected}`");
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        detail,
    ))
}

/// The id in the path.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = Path::<BTreeMap<String, String>>::from_request_parts(parts, state).await;
        let id = params.ok().and_then(|Path(mut params)| params.remove("id"));
        // Ids are ours: letters, digits, dashes and dots. A database refuses other bytes in its own words.
        let known = |id: &String| {
            id.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        id.filter(known)
            .map(Self)
            .ok_or_else(|| Problem::not_found("id"))
    }
}

/// The query of a request.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_query",
                rejection.body_text(),
            )),
        }
    }
}

/// Which page of a list.
#[derive(Debug, serde::Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Rows of the page, 1–200; 50 when it is left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    pub fn request(&self) -> Result<PageRequest, Problem> {
        page_request(self.limit, self.cursor.as_deref())
    }
}

pub fn page_request(limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        let wrong = Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_query",
            "limit is 1 to 200",
        );
        return Err(Problem {
            field: Some("limit".to_owned()),
            ..wrong
        });
    }
    Ok(PageRequest {
        limit,
        after: cursor.map(Cursor::parse).transpose()?,
    })
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> List<T> {
    pub fn of<R>(page: Page<R>, view: impl FnMut(R) -> T) -> Self {
        let next_cursor = page.next.as_ref().map(Cursor::to_text);
        Self {
            items: page.items.into_iter().map(view).collect(),
            next_cursor,
        }
    }
}
