//! Imports: a discharge list as CSV in, a report a row out.

use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Csv, List, Paging, Params};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::import::{Report, read_discharges, save_discharges};

/// An import that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportView {
    pub id: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub who: String,
    pub accepted: u64,
    pub refused: u64,
}

/// What an import did: each broken row with line, column and cure.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportReport {
    pub accepted: u64,
    pub refused: u64,
    pub new_patients: u64,
    pub new_episodes: u64,
    /// Steps planned for the accepted rows.
    pub steps: u64,
    pub problems: Vec<RowProblem>,
}

/// What to mend, and where.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowProblem {
    /// Counted from 1; the header is line 1.
    pub line: u64,
    pub column: String,
    pub fault: String,
    pub cure: String,
}

/// Lists imports, oldest first.
#[utoipa::path(get, path = "/imports", tag = "imports", params(Paging), responses(
    (status = OK, body = List<ImportView>),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn list(
    State(state): State<AppState>,
    Params(paging): Params<Paging>,
) -> Result<Json<List<ImportView>>, Problem> {
    let page = state.store.imports(&paging.request()?).await?;
    Ok(Json(List::of(page, |import| ImportView {
        id: import.id,
        at: import.at,
        who: import.who,
        accepted: import.accepted,
        refused: import.refused,
    })))
}

/// Imports a discharge list. Good rows are saved whatever the others are; each broken one names line, column and cure.
#[utoipa::path(post, path = "/imports", tag = "imports",
    request_body(content = String, content_type = "text/csv"), responses(
    (status = OK, body = ImportReport),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Csv(bytes): Csv,
) -> Result<Json<ImportReport>, Problem> {
    let list = read_discharges(&bytes, &state.defaults);
    let report =
        save_discharges(&state.store, &list, &state.cadence, &caller.0, state.now()).await?;
    state
        .audit(
            &caller,
            "import",
            "",
            &format!("{} accepted", report.accepted),
        )
        .await?;
    Ok(Json(ImportReport::of(&report, list.problems)))
}

impl ImportReport {
    fn of(report: &Report, problems: Vec<aftercall_core::import::Problem>) -> Self {
        let problems = problems.into_iter().map(|problem| RowProblem {
            line: problem.line,
            column: problem.column,
            fault: problem.fault,
            cure: problem.cure,
        });
        Self {
            accepted: report.accepted,
            refused: report.refused,
            new_patients: report.new_patients,
            new_episodes: report.new_episodes,
            steps: report.steps,
            problems: problems.collect(),
        }
    }
}
