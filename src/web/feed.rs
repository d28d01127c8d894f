//! Messages of the hospital's bus that could not be applied, and applying one again. What a message says is health data, and is
//! shown by `aftercall feed show` alone.

use aftercall_core::feed::Fault;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Id, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::feed::{FeedMessage, MessageState};

/// A message of the bus, without what it says.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedMessageView {
    pub id: String,
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// MSH-3, MSH-4 and MSH-10.
    pub application: String,
    pub facility: String,
    pub control_id: String,
    #[schema(example = "A03")]
    pub event: String,
    #[schema(value_type = String, example = "dead")]
    pub state: MessageState,
    /// Segment and field that are at fault: `PID-7`.
    pub field: Option<String>,
    pub fault: Option<String>,
}

/// Which messages, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FeedQuery {
    /// `dead` when it is left out: those that wait for a person.
    #[param(value_type = Option<String>)]
    pub state: Option<MessageState>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Lists the messages that could not be applied, oldest first.
#[utoipa::path(get, path = "/feed/messages", tag = "feed", params(FeedQuery), responses(
    (status = OK, body = List<FeedMessageView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    Params(query): Params<FeedQuery>,
) -> Result<Json<List<FeedMessageView>>, Problem> {
    let paging = Paging {
        limit: query.limit,
        cursor: query.cursor,
    };
    let wanted = query.state.unwrap_or(MessageState::Dead);
    let page = state
        .store
        .feed_messages(Some(wanted), &paging.request()?)
        .await?;
    Ok(Json(List::of(page, FeedMessageView::from)))
}

/// Applies a message again, after its cause was mended. One that was applied already stays as it is.
#[utoipa::path(post, path = "/feed/messages/{id}/replay", tag = "feed", params(("id" = String, Path)), responses(
    (status = OK, body = FeedMessageView, description = "as it stands now: still `dead` where it is still at fault"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<FeedMessageView>, Problem> {
    let known = state.store.feed_message(&id).await?;
    state.audit(&caller, "feed.replay", &known.id, "").await?;
    let replayed = state.feed.replay(&known.id, &caller.name).await?;
    Ok(Json(FeedMessageView::from(replayed)))
}

impl From<FeedMessage> for FeedMessageView {
    fn from(message: FeedMessage) -> Self {
        let fault = message.fault;
        Self {
            id: message.id,
            received_at: message.received_at,
            application: message.application,
            facility: message.facility,
            control_id: message.control_id,
            event: message.event,
            state: message.state,
            field: fault.as_ref().map(Fault::place),
            fault: fault.map(|fault| fault.fault),
        }
    }
}
