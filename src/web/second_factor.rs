//! One's own second factor: a secret for an authenticator, shown once, that counts when its first code has come.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::session_key;
use super::extract::Body;
use super::problem::Problem;
use super::session::{check_password, no_session};
use super::{AppState, Caller};
use crate::password;
use crate::store::staff::Session;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// The account's own, once more: an open browser is not enough.
    pub password: String,
}

/// What an authenticator takes in, shown once.
#[derive(Serialize, ToSchema)]
pub struct NewFactor {
    /// Base32 (RFC 4648), to be typed.
    pub secret: String,
    /// `otpauth://totp/…`, to be shown as a QR code.
    pub uri: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstCode {
    #[schema(example = "287082")]
    pub code: String,
}

/// Makes a secret for an authenticator (RFC 6238) and shows it once. It counts after `PUT /session/second-factor`; who has
/// one asks a security admin to take it away first.
#[utoipa::path(post, path = "/session/second-factor", tag = "session", request_body = SetUp, responses(
    (status = CREATED, body = NewFactor),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn begin(
    State(state): State<AppState>,
    caller: Caller,
    Body(set_up): Body<SetUp>,
) -> Result<(StatusCode, Json<NewFactor>), Problem> {
    let session = own(&caller)?;
    check_password(&state, &session.staff.name, set_up.password).await?;
    let issuer = &state.site.name_en;
    let (secret, uri) = password::new_totp(&session.staff.name, issuer);
    state.store.begin_totp(&session.staff.id, &secret).await?;
    Ok((StatusCode::CREATED, Json(NewFactor { secret, uri })))
}

/// Confirms it by a code, and ends the account's other sessions: from now on a code is asked for beside the password.
#[utoipa::path(put, path = "/session/second-factor", tag = "session", request_body = FirstCode, responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn confirm(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Body(first): Body<FirstCode>,
) -> Result<StatusCode, Problem> {
    let session = own(&caller)?;
    let id = &session.staff.id;
    let now = state.now();
    let pending = state.store.pending_totp(id).await?;
    let nothing = || {
        let detail = "no second factor is being set up: begin by POST /session/second-factor";
        Problem::new(StatusCode::CONFLICT, "no_second_factor", detail)
    };
    let pending = pending.ok_or_else(nothing)?;
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let wrong = || Problem::field("code", "is not the authenticator's present code");
    let step = password::totp_step(&pending, &first.code, seconds).ok_or_else(wrong)?;
    let key = session_key(&headers).ok_or_else(no_session)?;
    let confirmed = state.store.confirm_totp(id, (&pending, step), &key, now);
    if !confirmed.await? {
        return Err(nothing());
    }
    state.audit(&caller, "staff.totp", id, "").await?;
    Ok(StatusCode::NO_CONTENT)
}

fn own(caller: &Caller) -> Result<&Session, Problem> {
    caller.session.as_ref().ok_or_else(no_session)
}
