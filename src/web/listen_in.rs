//! Listening in to a call in progress by WebRTC, and taking the patient over: the browser's offer comes in, the answer goes back at once (no trickling).

use std::time::Duration;

use aftercall_core::attempt::AttemptState;
use aftercall_core::id::AttemptId;
use aftercall_core::staff::Right;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{error, warn};
use utoipa::ToSchema;
use uuid::Uuid;

use super::extract::{Body, Id};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::jobs::next_round;
use crate::monitor::{ListenError, Monitor, Seat, Who};
use crate::store::{Store, StoreError};
use crate::trunk::driver::{ListenerId, Release};

/// How often it is looked whether who listens still may.
const LOOK: Duration = Duration::from_secs(5);

/// A browser's offer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferBody {
    /// Its session description (RFC 8866): one audio track with PCMA. Its candidates are not needed.
    pub sdp: String,
}

/// A connection that was agreed on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListenerView {
    /// Of this connection.
    pub id: String,
    /// The answer's session description, with the one address where the browser finds us.
    pub sdp: String,
}

/// Begins to listen in to a call that somebody has answered: both sides in one track. It ends with the call, by
/// `DELETE`, or when the browser closes the connection. Every listen is in the audit log before it is heard.
#[utoipa::path(post, path = "/calls/{id}/listeners", tag = "calls",
    params(("id" = String, Path, description = "attempt")),
    request_body = OfferBody,
    responses(
    (status = CREATED, body = ListenerView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json",
        description = "`not_talking`: the call has ended, nobody has answered, or another engine holds it"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn begin(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(offer): Body<OfferBody>,
) -> Result<(StatusCode, Json<ListenerView>), Problem> {
    let attempt = state.store.attempt(&AttemptId(id)).await?.attempt;
    if attempt.state == AttemptState::Ended {
        return Err(ListenError::NotHere.into());
    }
    let monitor = monitor(&state)?;
    state
        .audit(&caller, "call.listen_in", &attempt.id.0, "")
        .await?;
    let listening = monitor.listen(attempt.id, who(caller), offer.sdp).await?;
    let view = ListenerView {
        id: listening.listener.to_string(),
        sdp: listening.answer,
    };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Ends a connection; one that has ended by itself is no mistake.
#[utoipa::path(delete, path = "/calls/{id}/listeners/{listener}", tag = "calls",
    params(("id" = String, Path, description = "attempt"),
           ("listener" = String, Path, description = "as it was given")),
    responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn end(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, listener)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let seat = seat(caller, id, &listener)?;
    monitor(&state)?.leave(seat)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the patient over who is heard: the robot falls silent, and who listens there speaks with them. The microphone is to
/// send before. One at a time; nothing is forgotten of what the robot has heard. Where the connection is lost, the robot
/// asks again what it asked last.
#[utoipa::path(post, path = "/calls/{id}/listeners/{listener}/take-over", tag = "calls",
    params(("id" = String, Path, description = "attempt"),
           ("listener" = String, Path, description = "one's own connection")),
    responses(
    (status = NO_CONTENT),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json",
        description = "`taken_over`: somebody else has them; `no_microphone`: no sound comes yet; `not_now`: nobody is on the line"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn take_over(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, listener)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    state.audit(&caller, "call.take_over", &id, "").await?;
    let seat = seat(caller, id, &listener)?;
    monitor(&state)?.take_over(seat).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hands the patient back: the robot asks again what it asked last. Listening goes on.
#[utoipa::path(post, path = "/calls/{id}/listeners/{listener}/hand-back", tag = "calls",
    params(("id" = String, Path, description = "attempt"),
           ("listener" = String, Path, description = "one's own connection")),
    responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn hand_back(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, listener)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    state.audit(&caller, "call.hand_back", &id, "").await?;
    let seat = seat(caller, id, &listener)?;
    monitor(&state)?.release(seat, Release::HandBack).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the call of a patient whom one has taken over.
#[utoipa::path(post, path = "/calls/{id}/listeners/{listener}/hang-up", tag = "calls",
    params(("id" = String, Path, description = "attempt"),
           ("listener" = String, Path, description = "one's own connection")),
    responses(
    (status = NO_CONTENT),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn hang_up(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, listener)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    state.audit(&caller, "call.hang_up", &id, "").await?;
    let seat = seat(caller, id, &listener)?;
    monitor(&state)?.release(seat, Release::HangUp).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The connection that a path names: the caller's own, to that call.
fn seat(caller: Caller, attempt: String, listener: &str) -> Result<Seat, Problem> {
    let id = Uuid::parse_str(listener).map_err(|_| Problem::not_found("listener"))?;
    Ok(Seat {
        listener: ListenerId(id),
        attempt: AttemptId(attempt),
        who: who(caller),
    })
}

fn who(caller: Caller) -> Who {
    match caller.session {
        Some(_) => Who::Account(caller.name),
        None => Who::Token(caller.name),
    }
}

/// Lets go, until shutdown, who may listen no more: their account or token ended, or lost the right or the ward meanwhile.
/// Where the database does not say, they listen on.
pub async fn watch(store: Store, monitor: Monitor, mut shutdown: watch::Receiver<bool>) {
    while next_round(LOOK, &mut shutdown).await {
        let Ok(seats) = monitor.seats().await else {
            return;
        };
        for seat in seats {
            match store.answered(may_listen(&store, &seat)).await {
                Ok(true) => {}
                Ok(false) => {
                    warn!(attempt.id = %seat.attempt, "who listened in may do so no more");
                    if monitor.leave(seat).is_err() {
                        return;
                    }
                }
                Err(error) => error!(%error, "it is not seen who may still listen in"),
            }
        }
    }
}

async fn may_listen(store: &Store, seat: &Seat) -> Result<bool, StoreError> {
    let rights = match &seat.who {
        Who::Account(name) => {
            let known = store.credentials(name).await?;
            let staff = known.map(|known| known.staff);
            let staff = staff.filter(|staff| staff.active);
            staff.map(|staff| (staff.roles, staff.wards))
        }
        Who::Token(name) => {
            let tokens = store.tokens().await?.into_iter();
            let mut valid = tokens.filter(|token| token.revoked_at.is_none());
            let token = valid.find(|token| token.name == *name);
            token.map(|token| (token.roles, token.wards))
        }
    };
    let Some((roles, wards)) = rights else {
        return Ok(false);
    };
    let of_call = store.wards_of_attempt(&seat.attempt.0).await?;
    let of_call = of_call.unwrap_or_default();
    Ok(roles.iter().any(|role| role.may(Right::Listen))
        && wards.see(of_call.iter().map(String::as_str)))
}

fn monitor(state: &AppState) -> Result<&Monitor, Problem> {
    state.monitor.as_ref().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "listening_is_off",
            "the engine does not know by which address browsers reach it: set web.listen_in.address",
        )
    })
}

impl From<ListenError> for Problem {
    fn from(error: ListenError) -> Self {
        let (status, code) = match error {
            ListenError::NotHere => (StatusCode::CONFLICT, "not_talking"),
            ListenError::NoPort(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_port"),
            ListenError::Offer(_) => (StatusCode::BAD_REQUEST, "bad_offer"),
            ListenError::Ended => (StatusCode::SERVICE_UNAVAILABLE, "listening_is_off"),
            ListenError::NoSeat => (StatusCode::NOT_FOUND, "not_found"),
            ListenError::NoMicrophone => (StatusCode::CONFLICT, "no_microphone"),
            ListenError::Held { .. } => (StatusCode::CONFLICT, "taken_over"),
            ListenError::NotNow => (StatusCode::CONFLICT, "not_now"),
        };
        Problem::new(status, code, error.to_string())
    }
}
