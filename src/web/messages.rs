//! Messages to patients: what was written, and what the program that sends them says became of each.

use aftercall_core::id::PatientId;
use aftercall_core::plan::message::MessageKind;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Id, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::jobs::messages::{letter, subject_of};
use crate::store::message::{Delivery, MessageState, PatientMessage};

/// A message to a patient. Its words are the hospital's neutral name, its numbers and an hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    pub id: String,
    pub patient: String,
    pub episode: String,
    /// The step or task that it is about.
    pub step: String,
    /// `prewarm`, `missed_call`, `education` or `form`.
    #[schema(value_type = String, example = "prewarm")]
    pub kind: MessageKind,
    /// What the sender's templates call it.
    pub template: String,
    /// From when on the call comes that it announces.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub call_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, example = "delivered")]
    pub state: MessageState,
    /// Why it was withheld, or has failed; empty otherwise.
    pub reason: String,
    /// `sms`, `wechat`, `app`, as the sender says.
    pub channel: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reported_at: Option<Timestamp>,
}

/// What became of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryBody {
    pub state: Reported,
    /// By what it went: `sms`, `wechat`, `app`.
    #[schema(example = "sms")]
    pub channel: Option<String>,
    /// Why it failed, in a word or two of the sender's: no name and no number.
    #[serde(default)]
    pub reason: String,
}

/// What a sender can say of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    Sent,
    Delivered,
    Failed,
}

/// Longest word of a report, in characters.
const LONGEST: usize = 80;

/// Lists the messages about a patient, newest first.
#[utoipa::path(get, path = "/patients/{id}/messages", tag = "messages", params(("id" = String, Path), Paging), responses(
    (status = OK, body = List<MessageView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn of_patient(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<Json<List<MessageView>>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?.id;
    let page = state.store.messages(&patient, &paging.request()?).await?;
    state.audit(&caller, "message.list", &patient.0, "").await?;
    Ok(Json(List::of(page, MessageView::from)))
}

/// Keeps what became of a message: for the token of the program that sends them. The same report, or an older one that comes
/// later, changes nothing; a form that failed becomes a letter, which is a person's task.
#[utoipa::path(post, path = "/messages/{id}/delivery", tag = "messages", params(("id" = String, Path)),
    request_body = DeliveryBody, responses(
    (status = OK, body = MessageView, description = "what is known of it now"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn report(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<DeliveryBody>,
) -> Result<Json<MessageView>, Problem> {
    let words = [
        ("channel", body.channel.as_deref()),
        ("reason", Some(body.reason.as_str())),
    ];
    for (field, word) in words {
        let is_long = |word: &str| word.chars().count() > LONGEST;
        if word.is_some_and(is_long) {
            return Err(Problem::field(
                field,
                format!("has more than {LONGEST} characters"),
            ));
        }
    }
    let message = state.store.message(&id).await?;
    let subject = subject_of(&state.store, &message).await?;
    let delivery = Delivery {
        state: match body.state {
            Reported::Sent => MessageState::Sent,
            Reported::Delivered => MessageState::Delivered,
            Reported::Failed => MessageState::Failed,
        },
        channel: body.channel,
        reason: body.reason,
    };
    let letter = letter(&state.deadlines, subject);
    let now = state.now();
    let known = state
        .store
        .report_delivery(&id, &delivery, &caller.name, &letter, now)
        .await?;
    state.audit(&caller, "message.report", &id, "").await?;
    Ok(Json(MessageView::from(known)))
}

impl From<PatientMessage> for MessageView {
    fn from(message: PatientMessage) -> Self {
        Self {
            id: message.id,
            patient: message.patient.0,
            episode: message.episode.0,
            step: message.step.0,
            kind: message.kind,
            template: message.template,
            call_at: message.call_at,
            created_at: message.created_at,
            state: message.state,
            reason: message.reason,
            channel: message.channel,
            reported_at: message.reported_at,
        }
    }
}
