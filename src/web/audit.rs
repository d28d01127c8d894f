//! The audit sample: what QA is to listen to again, its verdicts, and what they say of the field.

use aftercall_core::audit::{Decided, Estimate, Figures, Subject, Tally, Verdict, figures};
use aftercall_core::id::ConceptId;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Id, List, Params, page_request};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::redflags::is_concept;
use crate::store::audit_item::{AuditItem, AuditState, Decision, Period};

/// Something drawn for QA. The words and the recording are those of the call.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditItemView {
    pub id: String,
    /// The call: `/calls/{id}` has its turns and what it suppressed, `/calls/{id}/recording` its sound.
    pub attempt: String,
    /// `call`: nothing in it alerted. `suppressed`: one finding that was not counted.
    #[schema(example = "call")]
    pub kind: &'static str,
    /// The place of the finding among the call's suppressed ones, from 0.
    pub suppressed: Option<u32>,
    /// The suppressed finding's concept.
    pub concept: Option<String>,
    /// The share it was drawn by, 0 to 1: its weight in the figures is the inverse.
    pub share: f64,
    #[schema(value_type = String, format = DateTime)]
    pub drawn_at: Timestamp,
    #[schema(value_type = String, example = "open")]
    pub state: AuditState,
    #[schema(value_type = Option<String>, example = "right")]
    pub verdict: Option<Verdict>,
    /// What should have alerted.
    pub missed: Option<String>,
    pub note: Option<String>,
    pub decided_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decided_at: Option<Timestamp>,
}

/// Which items, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// `open` or `decided`; both when it is left out.
    #[param(value_type = Option<String>)]
    pub state: Option<AuditState>,
    /// Rows of the page, 1–200; 50 when it is left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// What QA says of an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictBody {
    /// `right`: it is as written down. `wrong`: it is not, but nothing that should have alerted was lost.
    /// `missed`: something should have alerted and did not.
    #[schema(value_type = String, example = "missed")]
    pub verdict: Verdict,
    /// What should have alerted, with `missed`; left out, it is that of the suppressed finding.
    #[schema(example = "chest_pain")]
    #[serde(default)]
    pub concept: Option<String>,
    #[serde(default)]
    pub note: String,
}

/// Which calls the figures speak of, by the time of their end.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PeriodQuery {
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Not included.
    #[param(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

/// How well red flags are found in the field, with the counts behind it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditFiguresView)]
pub struct FiguresView {
    /// True calls that alerted, of all true calls; quiet calls count by the inverse of the share they were drawn by.
    pub sensitivity: Option<EstimateView>,
    /// True calls, of those whose alert a nurse closed as true or false.
    pub ppv: Option<EstimateView>,
    /// Calls with something missed, of the quiet ones.
    pub missed: Option<EstimateView>,
    /// Suppressed findings that should have alerted, of all suppressed ones.
    pub suppressed_missed: Option<EstimateView>,
    pub counts: CountsView,
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct EstimateView {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// What the figures are made of.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsView {
    pub alerted_calls: u32,
    pub alerted_true: u32,
    pub alerted_false: u32,
    /// Calls in which nothing alerted, drawn or not.
    pub quiet_calls: u32,
    pub calls: VerdictsView,
    pub suppressed: VerdictsView,
}

/// How often QA gave each verdict.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct VerdictsView {
    pub right: u32,
    pub wrong: u32,
    pub missed: u32,
}

/// Lists what was drawn, the oldest first.
#[utoipa::path(get, path = "/audit/items", tag = "audit", params(AuditQuery), responses(
    (status = OK, body = List<AuditItemView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<List<AuditItemView>>, Problem> {
    let request = page_request(query.limit, query.cursor.as_deref())?;
    let page = state.store.audit_items(query.state, &request).await?;
    let rows = format!("{} rows", page.items.len());
    state.audit(&caller, "audit_item.list", "", &rows).await?;
    Ok(Json(List::of(page, |item| AuditItemView::of(&item))))
}

/// Gives an item its verdict. Of two who try, one gets 409 `already_decided`.
#[utoipa::path(post, path = "/audit/items/{id}/verdict", tag = "audit", params(("id" = String, Path)),
    request_body = VerdictBody, responses(
    (status = OK, body = AuditItemView),
    (status = CONFLICT, body = Problem, content_type = "application/problem+json"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn decide(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<VerdictBody>,
) -> Result<Json<AuditItemView>, Problem> {
    let decision = decision(body.verdict, body.concept, body.note)
        .map_err(|fault| Problem::field("concept", fault))?;
    let item = state
        .store
        .decide_audit_item(&id, &decision, &caller.name, state.now())
        .await?;
    let verdict = decision.verdict.to_string();
    state
        .audit(&caller, "audit_item.decide", &item.id, &verdict)
        .await?;
    tracing::info!(audit.item = %item.id, attempt.id = %item.attempt, %verdict, "audit item decided");
    Ok(Json(AuditItemView::of(&item)))
}

/// Sensitivity and positive predictive value in the field, each with its 95 % interval.
#[utoipa::path(get, path = "/audit/figures", tag = "audit", params(PeriodQuery), responses(
    (status = OK, body = FiguresView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn show_figures(
    State(state): State<AppState>,
    Params(query): Params<PeriodQuery>,
) -> Result<Json<FiguresView>, Problem> {
    let period = Period {
        since: query.since,
        until: query.until,
    };
    Ok(Json(FiguresView::of(
        &state.store.audit_tally(&period).await?,
    )))
}

/// Holds a verdict to what can be meant.
///
/// # Errors
/// What is wrong with the concept.
pub fn decision(
    verdict: Verdict,
    concept: Option<String>,
    note: String,
) -> Result<Decision, String> {
    match &concept {
        Some(id) if verdict != Verdict::Missed => {
            Err(format!("nothing was missed, so {id} was not"))
        }
        Some(id) if !is_concept(id) => {
            Err("no such concept; they are listed in dialogs/redflags/concepts.tsv".to_owned())
        }
        Some(_) | None => Ok(Decision {
            verdict,
            missed: concept.map(ConceptId),
            note,
        }),
    }
}

impl AuditItemView {
    pub fn of(item: &AuditItem) -> Self {
        let (kind, suppressed) = match item.subject {
            Subject::Call => ("call", None),
            Subject::Suppressed(position) => ("suppressed", Some(position)),
        };
        Self {
            id: item.id.clone(),
            attempt: item.attempt.0.clone(),
            kind,
            suppressed,
            concept: item.concept.as_ref().map(|concept| concept.0.clone()),
            share: item.share,
            drawn_at: item.drawn_at,
            state: item.state,
            verdict: item.verdict,
            missed: item.missed.as_ref().map(|concept| concept.0.clone()),
            note: item.note.clone(),
            decided_by: item.decided_by.clone(),
            decided_at: item.decided_at,
        }
    }
}

impl FiguresView {
    pub fn of(tally: &Tally) -> Self {
        let Figures {
            sensitivity,
            ppv,
            missed,
            suppressed_missed,
        } = figures(tally);
        Self {
            sensitivity: sensitivity.map(EstimateView::of),
            ppv: ppv.map(EstimateView::of),
            missed: missed.map(EstimateView::of),
            suppressed_missed: suppressed_missed.map(EstimateView::of),
            counts: CountsView {
                alerted_calls: tally.alerted_calls,
                alerted_true: tally.alerted_true,
                alerted_false: tally.alerted_false,
                quiet_calls: tally.quiet_calls,
                calls: VerdictsView::of(&tally.calls),
                suppressed: VerdictsView::of(&tally.suppressed),
            },
        }
    }
}

impl EstimateView {
    fn of(estimate: Estimate) -> Self {
        let Estimate { value, low, high } = estimate;
        Self { value, low, high }
    }
}

impl VerdictsView {
    fn of(decided: &[Decided]) -> Self {
        let mut view = Self::default();
        for group in decided {
            let count = match group.verdict {
                Verdict::Right => &mut view.right,
                Verdict::Wrong => &mut view.wrong,
                Verdict::Missed => &mut view.missed,
            };
            *count += group.items;
        }
        view
    }
}
