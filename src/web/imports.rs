//! Imports: a discharge list as CSV or a workbook in, a report a row out.

use aftercall_core::import::Mapping;
use aftercall_core::time::Timestamp;
use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{List, Paging, Params, Sheet};
use super::problem::Problem;
use super::{AppState, Caller};
use crate::import::{Report, RowReport, preview, read_discharges, save_discharges};

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

/// What an import did, or would do: each broken row with line, column and cure.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportReport {
    pub dry_run: bool,
    /// The encoding that was found, or the sheet that was read.
    pub source: String,
    pub accepted: u64,
    pub refused: u64,
    pub new_patients: u64,
    pub changed_patients: u64,
    pub new_episodes: u64,
    pub changed_episodes: u64,
    /// Steps that were planned or moved.
    pub steps: u64,
    /// Consents of which is not on record which text was agreed to (column `consent_text`).
    pub consents_without_text: u64,
    /// Headings that the mapping does not name.
    pub not_read: Vec<String>,
    pub problems: Vec<RowProblem>,
    /// Row by row, in a dry run.
    pub rows: Vec<RowView>,
}

/// What to mend, and where.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowProblem {
    /// Counted from 1, as the file's reader shows it.
    pub line: u64,
    /// `C7`, in a workbook.
    pub cell: Option<String>,
    pub column: String,
    pub fault: String,
    pub cure: String,
}

/// What would become of one row.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowView {
    pub line: u64,
    /// `new`, `changed` or `known`.
    pub patient: String,
    pub stay: String,
    /// Columns whose stored value differs.
    pub changed: Vec<String>,
    pub steps: Vec<ImportedStep>,
}

/// A step that would be planned or moved.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportedStep {
    pub day: u16,
    #[schema(value_type = String, format = Date)]
    pub due_on: Date,
}

/// How a list is to be read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Say what would happen, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The saved mapping of the list's own headings.
    pub mapping: Option<String>,
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
#[utoipa::path(post, path = "/imports", tag = "imports", params(Reading),
    request_body(content = String, content_type = "text/csv"), responses(
    (status = OK, body = ImportReport),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Params(reading): Params<Reading>,
    Sheet(bytes): Sheet,
) -> Result<Json<ImportReport>, Problem> {
    let mapping = match &reading.mapping {
        Some(name) => Some(state.store.mapping(name).await?),
        None => None,
    };
    let mapping = mapping
        .map(|saved| Mapping::parse(&saved.content))
        .transpose();
    let mapping = mapping.map_err(|error| Problem::field("mapping", error.to_string()))?;
    let list = read_discharges(&bytes, &state.defaults, mapping.as_ref());
    let mut report = if reading.dry_run {
        preview(&state.store, &list, &state.pathways).await?
    } else {
        save_discharges(
            &state.store,
            &list,
            &state.pathways,
            &caller.name,
            state.now(),
        )
        .await?
    };
    if !reading.dry_run {
        report.rows.clear();
    }
    let what = if reading.dry_run {
        "import.dry_run"
    } else {
        "import"
    };
    state
        .audit(&caller, what, "", &format!("{} accepted", report.accepted))
        .await?;
    Ok(Json(ImportReport::from(report)))
}

impl From<Report> for ImportReport {
    fn from(report: Report) -> Self {
        let problems = report.problems.into_iter().map(|problem| RowProblem {
            line: problem.line,
            cell: problem.cell,
            column: problem.column,
            fault: problem.fault,
            cure: problem.cure,
        });
        Self {
            dry_run: report.dry_run,
            source: report.source,
            accepted: report.accepted,
            refused: report.refused,
            new_patients: report.new_patients,
            changed_patients: report.changed_patients,
            new_episodes: report.new_episodes,
            changed_episodes: report.changed_episodes,
            steps: report.steps,
            consents_without_text: report.consents_without_text,
            not_read: report.not_read,
            problems: problems.collect(),
            rows: report.rows.into_iter().map(RowView::from).collect(),
        }
    }
}

impl From<RowReport> for RowView {
    fn from(row: RowReport) -> Self {
        let step = |(day, due_on)| ImportedStep { day, due_on };
        Self {
            line: row.line,
            patient: row.patient.to_owned(),
            stay: row.stay.to_owned(),
            changed: row.changed.into_iter().map(str::to_owned).collect(),
            steps: row.steps.into_iter().map(step).collect(),
        }
    }
}
