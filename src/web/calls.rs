//! Attempts, and calls with their turns and findings.

use aftercall_core::attempt::{AnsweredBy, AttemptState, Disposition, LineRecord, Turn};
use aftercall_core::finding::{
    About, Confirmation, PlacedFinding, Polarity, Suppressed, Urgency, When,
};
use aftercall_core::id::{AttemptId, PatientId};
use aftercall_core::lang::Lang;
use aftercall_core::question::{QuestionKind, Respondent};
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::extract::{Id, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::attempt::AttemptRow;

/// One INVITE and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    pub id: String,
    pub step: Option<String>,
    pub episode: Option<String>,
    pub patient: Option<String>,
    /// They rang us.
    pub inbound: bool,
    /// Counted from 1 within the step.
    pub number: u32,
    #[schema(value_type = String, example = "ended")]
    pub state: AttemptState,
    pub trunk: String,
    pub script: String,
    pub script_hash: String,
    pub day: u16,
    #[schema(value_type = String, example = "zh")]
    pub lang: Lang,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub answered_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    pub identified: bool,
    /// Every question of the emergency screen was answered, or handed to a human.
    pub screened: bool,
    pub closing_spoken: bool,
    /// Null while the call runs.
    pub ending: Option<EndingView>,
    /// Why the line ended, its codec, its packets and what RTCP said of them.
    #[schema(value_type = Option<Object>)]
    pub line: Option<LineRecord>,
}

/// How an attempt ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndingView {
    #[schema(value_type = String, example = "completed")]
    pub disposition: Disposition,
    pub sip_status: Option<u16>,
    pub q850_cause: Option<u16>,
    /// Class of an announcement in early media.
    pub early_media: Option<String>,
    #[schema(value_type = String, example = "patient")]
    pub answered_by: AnsweredBy,
    /// Who was held to have answered, why, and since when.
    pub met: Option<MetView>,
    pub rang: bool,
    pub talk_ms: u64,
}

/// The verdict on who answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetView {
    /// `human`, `silence`, `unsure`, or which machine: `voicemail`, `assistant`, `fax`, an announcement's class.
    #[schema(example = "human")]
    pub who: String,
    /// `greeting`, `doubt`, `answer`, `picked_up`, `said`, `beep`, `fax_tone`, `nothing_heard`.
    #[schema(example = "answer")]
    pub evidence: String,
    /// Milliseconds from the answer.
    pub at_ms: u64,
    /// What a machine was told: `name`, `message` or `part_of_message`.
    pub told: Option<String>,
}

/// One prompt and its reply, with its place in the recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct TurnView {
    pub index: u32,
    pub node: String,
    pub prompt: String,
    #[schema(value_type = Option<String>)]
    pub kind: Option<QuestionKind>,
    /// The concepts asked for.
    pub asks: Vec<String>,
    #[schema(value_type = String, example = "patient")]
    pub respondent: Respondent,
    pub prompt_from_ms: u64,
    pub prompt_to_ms: u64,
    pub reply: Option<ReplyView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ReplyView {
    pub text: String,
    pub logprob: f32,
    pub keys: String,
    pub meaning: String,
    pub from_ms: u64,
    pub to_ms: u64,
    pub latency_ms: Option<u32>,
}

/// A red-flag concept heard, with the audio interval that caused it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingView {
    pub concept: String,
    pub detail: Option<String>,
    #[schema(value_type = String, example = "present")]
    pub polarity: Polarity,
    #[schema(value_type = String, example = "emergent")]
    pub urgency: Urgency,
    #[schema(value_type = String, example = "confirmed")]
    pub confirmation: Confirmation,
    #[schema(value_type = String, example = "now")]
    pub when: When,
    /// The patient, or her newborn.
    #[schema(value_type = String, example = "patient")]
    pub subject: About,
    pub turn: u32,
    pub node: String,
    pub from_ms: u64,
    pub to_ms: u64,
    /// Where it was denied afterwards; the order stays as urgent as it was.
    #[schema(value_type = Option<Object>)]
    pub denied: Option<serde_json::Value>,
    /// The reply, the span of it that matched, the term and the rules that fired.
    #[schema(value_type = Object)]
    pub evidence: serde_json::Value,
}

/// Matched and then masked, negated or denied: for the audit sample.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuppressedView {
    pub concept: String,
    pub why: String,
    #[schema(value_type = Object)]
    pub evidence: serde_json::Value,
}

/// One call; it grows while the call runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallView {
    pub attempt: AttemptView,
    pub turns: Vec<TurnView>,
    pub findings: Vec<FindingView>,
    pub suppressed: Vec<SuppressedView>,
    /// What the conversation noted for a human.
    #[schema(value_type = Vec<Object>)]
    pub notes: serde_json::Value,
    /// Whether `/calls/{id}/recording` has anything.
    pub recorded: bool,
}

/// Lists attempts, newest first.
#[utoipa::path(get, path = "/attempts", tag = "calls", params(Paging), responses(
    (status = OK, body = List<AttemptView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<List<AttemptView>>, Problem> {
    let page = state
        .store
        .attempts_seen(None, &caller.wards, &paging.request()?)
        .await?;
    Ok(Json(List::of(page, |row| AttemptView::of(&row))))
}

/// Lists the attempts of a patient, newest first.
#[utoipa::path(get, path = "/patients/{id}/attempts", tag = "calls", params(("id" = String, Path), Paging), responses(
    (status = OK, body = List<AttemptView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn of_patient(
    State(state): State<AppState>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<Json<List<AttemptView>>, Problem> {
    let patient = state.store.patient(&PatientId(id)).await?.id;
    let page = state
        .store
        .attempts(Some(&patient), &paging.request()?)
        .await?;
    Ok(Json(List::of(page, |row| AttemptView::of(&row))))
}

/// Shows one call with its turns and findings.
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", params(("id" = String, Path, description = "attempt")),
    responses(
    (status = OK, body = CallView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<CallView>, Problem> {
    let call = state.store.call(&AttemptId(id)).await?;
    let attempt = &call.row.attempt.id;
    state.audit(&caller, "call.read", &attempt.0, "").await?;
    let (recordings, wanted) = (state.recordings.clone(), attempt.clone());
    // In doubt there is one: who wants to listen is told.
    let recorded = spawn_blocking(move || recordings.exists(&wanted)).await;
    Ok(Json(CallView {
        attempt: AttemptView::of(&call.row),
        recorded: recorded.unwrap_or(true),
        turns: call.turns.iter().map(TurnView::of).collect(),
        findings: call.findings.iter().map(FindingView::of).collect(),
        suppressed: call.suppressed.iter().map(SuppressedView::of).collect(),
        notes: value(&call.notes),
    }))
}

impl AttemptView {
    pub(super) fn of(row: &AttemptRow) -> Self {
        let attempt = &row.attempt;
        Self {
            id: attempt.id.0.clone(),
            step: attempt.step.as_ref().map(|id| id.0.clone()),
            episode: row.episode.as_ref().map(|id| id.0.clone()),
            patient: row.patient.as_ref().map(|id| id.0.clone()),
            inbound: row.inbound,
            number: attempt.number,
            state: attempt.state,
            trunk: attempt.trunk.clone(),
            script: attempt.script.clone(),
            script_hash: attempt.script_hash.clone(),
            day: row.day,
            lang: row.lang,
            started_at: attempt.started_at,
            answered_at: attempt.answered_at,
            ended_at: attempt.ended_at,
            identified: attempt.progress.identified,
            screened: attempt.progress.screened,
            closing_spoken: attempt.progress.closing_spoken,
            ending: attempt.ending.as_ref().map(|ending| EndingView {
                disposition: ending.disposition,
                sip_status: ending.sip_status,
                q850_cause: ending.q850_cause,
                early_media: ending.early_media.clone(),
                answered_by: ending.answered_by,
                met: ending.met.as_ref().map(|met| MetView {
                    who: met.who.clone(),
                    evidence: met.evidence.clone(),
                    at_ms: met.at_ms,
                    told: met.told.clone(),
                }),
                rang: ending.rang,
                talk_ms: ending.talk_ms,
            }),
            line: row.line.clone(),
        }
    }
}

impl TurnView {
    fn of(turn: &Turn) -> Self {
        Self {
            index: turn.index,
            node: turn.node.0.clone(),
            prompt: turn.prompt.expose().clone(),
            kind: turn.kind,
            asks: turn.asks.iter().map(|concept| concept.0.clone()).collect(),
            respondent: turn.respondent,
            prompt_from_ms: turn.prompt_from_ms,
            prompt_to_ms: turn.prompt_to_ms,
            reply: turn.reply.as_ref().map(|reply| ReplyView {
                text: reply.heard.expose().text.clone(),
                logprob: reply.heard.expose().logprob,
                keys: reply.keys.expose().clone(),
                meaning: reply.meaning.clone(),
                from_ms: reply.from_ms,
                to_ms: reply.to_ms,
                latency_ms: reply.latency_ms,
            }),
        }
    }
}

impl FindingView {
    pub(super) fn of(placed: &PlacedFinding) -> Self {
        let finding = &placed.finding;
        Self {
            concept: finding.concept.0.clone(),
            detail: finding.detail.clone(),
            polarity: finding.polarity,
            urgency: finding.urgency,
            confirmation: finding.confirmation,
            when: finding.when,
            subject: finding.subject,
            denied: placed.denied.as_ref().map(value),
            turn: placed.turn,
            node: placed.node.0.clone(),
            from_ms: placed.from_ms,
            to_ms: placed.to_ms,
            evidence: value(&finding.evidence),
        }
    }
}

impl SuppressedView {
    fn of(suppressed: &Suppressed) -> Self {
        Self {
            concept: suppressed.concept.0.clone(),
            why: suppressed.why.clone(),
            evidence: value(&suppressed.evidence),
        }
    }
}

/// Nested core values go out as their own JSON.
pub(super) fn value<T: Serialize>(nested: &T) -> serde_json::Value {
    serde_json::to_value(nested).unwrap_or_default()
}
