//! Bearer tokens (RFC 6750): who calls, for the audit log.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::AppState;
use super::problem::Problem;

/// Who made this request: the name of the token.
#[derive(Clone, Debug)]
pub struct Caller(pub String);

/// Lets a request through whose token is in force.
pub async fn require_token(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let secret = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    let Some(secret) = secret else {
        return Err(Problem::unauthorised());
    };
    let Some(token) = state.store.verify_token(secret).await? else {
        return Err(Problem::unauthorised());
    };
    request.extensions_mut().insert(Caller(token.name));
    Ok(next.run(request).await)
}

/// The scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(Problem::unauthorised)
    }
}
