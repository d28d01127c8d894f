//! The audit log for auditors: who looked at what, and whether the chain holds.

use aftercall_core::audit_chain::Head;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{List, Params, page_request};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::store::audit::{AuditEntry, AuditFilter};

/// One line of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntryView {
    /// Its place in the chain, from 1.
    pub seq: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(example = "li.na")]
    pub who: String,
    #[schema(example = "recording.listen")]
    pub what: String,
    /// The id of the record.
    pub subject: String,
    pub detail: String,
    pub reason: Option<String>,
    /// SHA-256 over this line and the hash before it.
    pub hash: String,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditLogQuery {
    /// The id of one record; all when it is left out.
    pub subject: Option<String>,
    /// The name of an account or a token.
    pub who: Option<String>,
    /// What was done.
    #[param(example = "recording.listen")]
    pub what: Option<String>,
    /// The newest first; else in the order written.
    #[serde(default)]
    #[param(inline, required = false)]
    pub newest: bool,
    /// Rows of the page, 1–200; 50 when it is left out.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Whether the chain holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainView {
    pub intact: bool,
    /// Where it is broken, in words.
    pub fault: Option<String>,
    /// Number and hash of the last line as the database has them.
    pub seq: u64,
    pub hash: String,
}

/// A head that was kept outside, to hold the log against.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ChainQuery {
    pub seq: Option<u64>,
    pub hash: Option<String>,
}

/// Lists the log.
#[utoipa::path(get, path = "/audit/log", tag = "audit", params(AuditLogQuery), responses(
    (status = OK, body = List<AuditEntryView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<AuditLogQuery>,
) -> Result<Json<List<AuditEntryView>>, Problem> {
    let request = page_request(query.limit, query.cursor.as_deref())?;
    let filter = AuditFilter {
        subject: query.subject.as_deref(),
        who: query.who.as_deref(),
        what: query.what.as_deref(),
        newest_first: query.newest,
    };
    let page = state.store.audit_log_of(&filter, &request).await?;
    let rows = format!("{} rows", page.items.len());
    state.audit(&caller, "audit_log.list", "", &rows).await?;
    Ok(Json(List::of(page, AuditEntryView::from)))
}

/// Walks the whole chain; with `seq` and `hash` of an older head also whether the log still goes on from that one.
#[utoipa::path(get, path = "/audit/chain", tag = "audit", params(ChainQuery), responses(
    (status = OK, body = ChainView),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<ChainQuery>,
) -> Result<Json<ChainView>, Problem> {
    let known = match (query.seq, query.hash) {
        (Some(seq), Some(hash)) => Some(Head { seq, hash }),
        (None, None) => None,
        (Some(_), None) => return Err(Problem::field("hash", "goes with `seq`")),
        (None, Some(_)) => return Err(Problem::field("seq", "goes with `hash`")),
    };
    let head = state.store.audit_head().await?;
    let walked = state.store.verify_audit(known, |_| {}).await?;
    let fault = walked.err().map(|fault| fault.to_string());
    let verdict = fault.as_deref().unwrap_or("intact");
    state
        .audit(&caller, "audit_log.verify", "", verdict)
        .await?;
    if let Some(fault) = &fault {
        tracing::error!(fault, "the audit log's chain is broken");
    }
    Ok(Json(ChainView {
        intact: fault.is_none(),
        fault,
        seq: head.seq,
        hash: head.hash,
    }))
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            at: entry.at,
            who: entry.who,
            what: entry.what,
            subject: entry.subject,
            detail: entry.detail,
            reason: entry.reason,
            hash: entry.hash,
        }
    }
}
