//! Work orders: by urgency and age; a nurse acknowledges, hands over, speaks and closes, and only one of two gets it.

use aftercall_core::finding::Urgency;
use aftercall_core::id::WorkOrderId;
use aftercall_core::plan::ReasonCode;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{
    Act, Cause, Deadlines, Event, Outcome, Rung, What, WorkOrder, WorkOrderState,
};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::calls::{FindingView, value};
use super::extract::{Body, Id, List, Params, page_request};
use super::problem::Problem;
use super::rota::must_be_known;
use super::trends::{TrendView, of_episode};
use super::{AppState, Caller};
use crate::store::work_order::WorkOrderFilter;

/// What a nurse owns until it is closed.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkOrderView {
    pub id: String,
    pub patient: Option<String>,
    pub episode: Option<String>,
    /// The call that raised it.
    pub attempt: Option<String>,
    #[schema(value_type = String, example = "emergent")]
    pub urgency: Urgency,
    #[schema(value_type = String, example = "open")]
    pub state: WorkOrderState,
    pub causes: Vec<CauseView>,
    /// Worse, the same or better over the calls of the stay, the worse ones first; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trends: Option<Vec<TrendView>>,
    #[schema(value_type = String, format = DateTime)]
    pub raised_at: Timestamp,
    /// The stay's ward; empty without a stay.
    pub ward: String,
    /// Whose it is: by the rota, by hand-over, or by their own word.
    pub owner: Option<String>,
    /// When it climbs; acknowledged: when it comes back, or the robot's promise is broken.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// Steps of the ladder climbed.
    pub level: u32,
    /// Who is told at `due_at`; null when it is closed.
    #[schema(value_type = Option<String>, example = "charge_nurse")]
    pub next_rung: Option<Rung>,
    /// Every step was told and had its time, and nobody has answered.
    pub exhausted: bool,
    /// By when a person has to have spoken with the patient, because the robot said that one would; null where nothing
    /// was promised. Without `spoken_at` it cannot be closed, but as `unreachable` or `readmitted`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub promised_by: Option<Timestamp>,
    /// Who has spoken with the patient since.
    pub spoken_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub spoken_at: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    pub closed_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    pub outcome: Option<Outcome>,
    pub note: Option<String>,
}

/// Why a human is needed.
#[derive(Debug, Serialize, ToSchema)]
pub struct CauseView {
    #[schema(example = "finding")]
    pub kind: String,
    /// The call whose recording has the second that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<FindingView>,
    /// What was worse than on the call before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend: Option<TrendView>,
    /// What a condition, or signs together, make more urgent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackView>,
    /// The question that was not assessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When to call back, in the words spoken; of a task its name: a step of the pathway, `letter`, `missed_readings`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Why no robot may call, or could in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "deaf")]
    pub reason: Option<ReasonCode>,
}

/// A rule of a pack that raised the order's urgency.
#[derive(Debug, Serialize, ToSchema)]
pub struct PackView {
    #[schema(example = "cardiac")]
    pub pack: String,
    #[schema(example = "cardiac-swelling")]
    pub rule: String,
    /// The clinician's reason.
    pub why: String,
    #[schema(value_type = String, example = "urgent")]
    pub urgency: Urgency,
    /// What it rests on.
    pub concepts: Vec<String>,
}

/// Which orders, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WorkOrderQuery {
    /// `open`, `acknowledged` or `closed`; all that are not closed when it is left out.
    #[param(value_type = Option<String>)]
    pub state: Option<WorkOrderState>,
    /// Only of this ward.
    pub ward: Option<String>,
    /// `emergent`, `urgent`, `same_day` or `routine`.
    #[param(value_type = Option<String>)]
    pub urgency: Option<Urgency>,
    /// True: only those whose owner is the caller.
    #[serde(default)]
    pub mine: bool,
    /// Rows of the page, 1–200; 50 when it is left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A change of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The person's name, or `aftercall`.
    pub who: String,
    /// `raised`, `joined`, `urgency_raised`, `assigned`, `acknowledged`, `handed_over`, `spoken`, `closed`, `reopened`,
    /// `escalated`, `promise_broken` or `came_back`.
    #[schema(value_type = String, example = "handed_over")]
    pub what: What,
    #[schema(value_type = Option<String>, example = "acknowledged")]
    pub from: Option<WorkOrderState>,
    #[schema(value_type = String, example = "open")]
    pub to: WorkOrderState,
    /// Whose it is from then on, where that changed.
    pub owner: Option<String>,
    /// Steps of the ladder climbed by then.
    pub level: u32,
    pub note: String,
}

/// Every change of one order, the first first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Life {
    pub items: Vec<EventView>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandingOver {
    /// The name of who gets it.
    #[schema(example = "li.mei")]
    pub to: String,
    #[serde(default)]
    pub note: String,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    #[serde(default)]
    pub note: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// `true`, `false`, `already_known`, `unreachable`, `sent_to_emergency` or `readmitted`.
    #[schema(value_type = String, example = "sent_to_emergency")]
    pub outcome: Outcome,
    #[serde(default)]
    pub note: String,
}

/// Lists orders, the most urgent first, then the oldest.
#[utoipa::path(get, path = "/work-orders", tag = "work orders", params(WorkOrderQuery), responses(
    (status = OK, body = List<WorkOrderView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<WorkOrderQuery>,
) -> Result<Json<List<WorkOrderView>>, Problem> {
    let filter = WorkOrderFilter {
        state: query.state,
        patient: None,
        ward: query.ward,
        urgency: query.urgency,
        owner: query.mine.then(|| caller.name.clone()),
        wards: caller.wards.clone(),
    };
    let page = state
        .store
        .work_orders(
            &filter,
            &page_request(query.limit, query.cursor.as_deref())?,
        )
        .await?;
    state
        .audit(
            &caller,
            "work_order.list",
            "",
            &format!("{} rows", page.items.len()),
        )
        .await?;
    Ok(Json(List::of(page, |order| {
        WorkOrderView::of(&order, &state.deadlines)
    })))
}

/// Shows one order, with the trends of its stay as they are by now.
#[utoipa::path(get, path = "/work-orders/{id}", tag = "work orders", params(("id" = String, Path)), responses(
    (status = OK, body = WorkOrderView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<WorkOrderView>, Problem> {
    let order = state.store.work_order(&WorkOrderId(id)).await?;
    state
        .audit(&caller, "work_order.read", &order.id.0, "")
        .await?;
    let trends = match &order.episode {
        Some(episode) => of_episode(&state, &state.store.episode(episode).await?).await?,
        None => Vec::new(),
    };
    Ok(Json(WorkOrderView {
        trends: Some(trends),
        ..WorkOrderView::of(&order, &state.deadlines)
    }))
}

/// Takes an open order. Of two who try, one gets 409 `already_acknowledged`.
#[utoipa::path(post, path = "/work-orders/{id}/acknowledge", tag = "work orders", params(("id" = String, Path)),
    responses(
    (status = OK, body = WorkOrderView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn acknowledge(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<WorkOrderView>, Problem> {
    act(&state, &caller, id, Act::Acknowledge, "").await
}

/// Gives an order to a named person: it is open until they acknowledge it.
#[utoipa::path(post, path = "/work-orders/{id}/hand-over", tag = "work orders", params(("id" = String, Path)),
    request_body = HandingOver, responses(
    (status = OK, body = WorkOrderView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn hand_over(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<HandingOver>,
) -> Result<Json<WorkOrderView>, Problem> {
    let to = body.to.trim().to_owned();
    if to.is_empty() {
        return Err(Problem::field("to", "name the person who gets it"));
    }
    must_be_known(&state, &to).await?;
    act(&state, &caller, id, Act::HandOver { to }, &body.note).await
}

/// Records that a person has spoken with the patient: what the robot promised is kept.
#[utoipa::path(post, path = "/work-orders/{id}/spoken", tag = "work orders", params(("id" = String, Path)),
    request_body = Note, responses(
    (status = OK, body = WorkOrderView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn spoken(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<Note>,
) -> Result<Json<WorkOrderView>, Problem> {
    act(&state, &caller, id, Act::Speak, &body.note).await
}

/// Opens a closed order again.
#[utoipa::path(post, path = "/work-orders/{id}/reopen", tag = "work orders", params(("id" = String, Path)),
    request_body = Note, responses(
    (status = OK, body = WorkOrderView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn reopen(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<Note>,
) -> Result<Json<WorkOrderView>, Problem> {
    act(&state, &caller, id, Act::Reopen, &body.note).await
}

/// Lists every change of an order.
#[utoipa::path(get, path = "/work-orders/{id}/events", tag = "work orders", params(("id" = String, Path)), responses(
    (status = OK, body = Life),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Life>, Problem> {
    let order = state.store.work_order(&WorkOrderId(id)).await?;
    state
        .audit(&caller, "work_order.events", &order.id.0, "")
        .await?;
    let events = state.store.work_order_events(&order.id).await?;
    Ok(Json(Life {
        items: events.into_iter().map(EventView::of).collect(),
    }))
}

/// Closes an acknowledged order with what was found.
#[utoipa::path(post, path = "/work-orders/{id}/close", tag = "work orders", params(("id" = String, Path)),
    request_body = Closing, responses(
    (status = OK, body = WorkOrderView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn close(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<Closing>,
) -> Result<Json<WorkOrderView>, Problem> {
    let outcome = body.outcome;
    act(&state, &caller, id, Act::Close { outcome }, &body.note).await
}

async fn act(
    state: &AppState,
    caller: &Caller,
    id: String,
    act: Act,
    note: &str,
) -> Result<Json<WorkOrderView>, Problem> {
    let (id, by) = (WorkOrderId(id), &caller.name);
    let acted = state
        .store
        .act_on_work_order(&id, &act, by, note, &state.deadlines, state.now());
    let order = acted.await?;
    let what = match act {
        Act::Acknowledge => "work_order.acknowledge",
        Act::HandOver { .. } => "work_order.hand_over",
        Act::Speak => "work_order.spoken",
        Act::Close { .. } => "work_order.close",
        Act::Reopen => "work_order.reopen",
    };
    state.audit(caller, what, &order.id.0, "").await?;
    tracing::info!(work_order.id = %order.id, urgency = %order.urgency, what, "work order");
    Ok(Json(WorkOrderView::of(&order, &state.deadlines)))
}

impl EventView {
    fn of(event: Event) -> Self {
        Self {
            at: event.at,
            who: event.who,
            what: event.what,
            from: event.from,
            to: event.to,
            owner: event.owner,
            level: event.level,
            note: event.note,
        }
    }
}

impl WorkOrderView {
    fn of(order: &WorkOrder, deadlines: &Deadlines) -> Self {
        Self {
            id: order.id.0.clone(),
            patient: order.patient.as_ref().map(|id| id.0.clone()),
            episode: order.episode.as_ref().map(|id| id.0.clone()),
            attempt: order.attempt.as_ref().map(|id| id.0.clone()),
            urgency: order.urgency,
            state: order.state,
            causes: order.causes.iter().map(CauseView::of).collect(),
            trends: None,
            raised_at: order.raised_at,
            ward: order.ward.clone(),
            owner: order.owner.clone(),
            due_at: order.due_at,
            level: order.level,
            next_rung: order.next_rung(deadlines),
            exhausted: order.exhausted,
            promised_by: order.promised_by,
            spoken_by: order.spoken_by.clone(),
            spoken_at: order.spoken_at,
            acknowledged_by: order.acknowledged_by.clone(),
            acknowledged_at: order.acknowledged_at,
            closed_by: order.closed_by.clone(),
            closed_at: order.closed_at,
            outcome: order.outcome,
            note: order.note.clone(),
        }
    }
}

impl CauseView {
    fn of(cause: &Cause) -> Self {
        // The kind is the word that the core's own JSON uses.
        let kind = value(cause)
            .get("kind")
            .and_then(|kind| kind.as_str().map(str::to_owned))
            .unwrap_or_default();
        let bare = Self {
            kind,
            attempt: None,
            finding: None,
            trend: None,
            pack: None,
            node: None,
            words: None,
            reason: None,
        };
        match cause {
            Cause::Finding { finding, attempt } => Self {
                attempt: attempt.as_ref().map(|id| id.0.clone()),
                finding: Some(FindingView::of(finding)),
                ..bare
            },
            Cause::Trend { trend, attempt } => Self {
                attempt: attempt.as_ref().map(|id| id.0.clone()),
                trend: Some(TrendView::of(trend)),
                ..bare
            },
            Cause::Pack {
                pack,
                rule,
                why,
                urgency,
                concepts,
                attempt,
            } => Self {
                attempt: attempt.as_ref().map(|id| id.0.clone()),
                pack: Some(PackView {
                    pack: pack.0.clone(),
                    rule: rule.clone(),
                    why: why.clone(),
                    urgency: *urgency,
                    concepts: concepts.iter().map(|concept| concept.0.clone()).collect(),
                }),
                ..bare
            },
            Cause::NotAssessed { node } => Self {
                node: Some(node.clone()),
                ..bare
            },
            Cause::CallBackAt { words } | Cause::Task { task: words } => Self {
                words: Some(words.clone()),
                ..bare
            },
            Cause::Incomplete
            | Cause::IdentityFailed
            | Cause::Unreachable
            | Cause::AskedForPerson
            | Cause::OptedOut
            | Cause::ReportedDeath
            | Cause::ReportedReadmission
            | Cause::InvalidNumber => bare,
            Cause::NotCalled { reason } => Self {
                reason: Some(*reason),
                ..bare
            },
        }
    }
}
