//! What the demo came to, held against `fixtures/expected.toml`, which was written from the words alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aftercall_core::attempt::AttemptState;
use aftercall_core::finding::Polarity;
use aftercall_core::patient::Patient;
use aftercall_core::plan::{Step, StepState};
use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::store::Store;
use crate::store::attempt::AttemptRow;
use crate::store::page::PageRequest;
use crate::store::work_order::WorkOrderFilter;

/// `expected.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    #[expect(
        dead_code,
        reason = "read so that a later format is refused by its number"
    )]
    version: u32,
    patient: BTreeMap<String, Case>,
}

/// What one patient's call must come to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    day: u16,
    rung: bool,
    /// Code of the plan's reason, where `rung` is false.
    refused: Option<String>,
    disposition: Option<String>,
    answered_by: Option<String>,
    #[serde(default)]
    findings: BTreeSet<String>,
    work_order: Option<String>,
    #[serde(default)]
    causes: BTreeSet<String>,
}

impl Expected {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing or broken; names the place.
    pub fn load(path: &Path) -> anyhow::Result<Expected> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// A patient as the store has it.
struct Found {
    patient: Patient,
    step: Option<Step>,
    attempt: Option<AttemptRow>,
}

async fn found(store: &Store, expected: &Expected) -> anyhow::Result<BTreeMap<String, Found>> {
    let all = PageRequest {
        limit: 200,
        after: None,
    };
    let mut found = BTreeMap::new();
    for patient in store.patients(&all).await?.items {
        let number = patient.number.expose().clone();
        let Some(case) = expected.patient.get(&number) else {
            continue;
        };
        let steps = store.steps(Some(&patient.id), &all).await?.items;
        let step = steps.into_iter().find(|step| step.day == case.day);
        let attempts = store.attempts(Some(&patient.id), &all).await?.items;
        // The list begins with the latest; the demo judges the first.
        let attempt = attempts.into_iter().next_back();
        found.insert(
            number,
            Found {
                patient,
                step,
                attempt,
            },
        );
    }
    Ok(found)
}

/// Patients whose call has not ended and was not refused.
///
/// # Errors
/// When the database refuses.
pub async fn unsettled(store: &Store, expected: &Expected) -> anyhow::Result<Vec<String>> {
    let found = found(store, expected).await?;
    let open = found.iter().filter(|(_, found)| {
        let ended = found
            .attempt
            .as_ref()
            .is_some_and(|row| row.attempt.state == AttemptState::Ended);
        let decided = found
            .step
            .as_ref()
            .is_some_and(|step| !step.reason.is_empty() && step.state != StepState::Calling);
        !(ended || found.attempt.is_none() && decided)
    });
    let missing = expected
        .patient
        .keys()
        .filter(|number| !found.contains_key(*number))
        .cloned();
    Ok(open
        .map(|(number, _)| number.clone())
        .chain(missing)
        .collect())
}

/// Whether every patient was rung once or refused.
///
/// # Errors
/// When the database refuses.
pub async fn is_settled(store: &Store, expected: &Expected) -> anyhow::Result<bool> {
    Ok(unsettled(store, expected).await?.is_empty())
}

/// One line of the summary.
struct Line {
    number: String,
    day: u16,
    outcome: String,
    findings: String,
    order: String,
    differs: Vec<String>,
}

/// The whole summary.
pub struct Summary {
    lines: Vec<Line>,
}

/// Reads what came of each patient and compares it.
///
/// # Errors
/// When the database refuses.
pub async fn summary(store: &Store, expected: &Expected) -> anyhow::Result<Summary> {
    let found = found(store, expected).await?;
    let mut lines = Vec::new();
    for (number, case) in &expected.patient {
        let line = match found.get(number) {
            Some(found) => line(store, number, case, found).await?,
            None => Line {
                number: number.clone(),
                day: case.day,
                outcome: "not imported".to_owned(),
                findings: String::new(),
                order: String::new(),
                differs: vec!["the patient is not in the store".to_owned()],
            },
        };
        lines.push(line);
    }
    Ok(Summary { lines })
}

async fn line(store: &Store, number: &str, case: &Case, found: &Found) -> anyhow::Result<Line> {
    let reason = found
        .step
        .as_ref()
        .map(|step| step.reason.clone())
        .unwrap_or_default();
    let Some(row) = &found.attempt else {
        let mut differs = Vec::new();
        let code = reason.split(':').next().unwrap_or_default().to_owned();
        differ(
            &mut differs,
            "refused",
            case.refused.clone().unwrap_or_else(|| "rung".to_owned()),
            code,
        );
        return Ok(Line {
            number: number.to_owned(),
            day: case.day,
            outcome: format!("not rung: {reason}"),
            findings: String::new(),
            order: String::new(),
            differs,
        });
    };
    let ending = row.attempt.ending.clone();
    let disposition = ending
        .as_ref()
        .map_or("none".to_owned(), |ending| ending.disposition.to_string());
    let answered_by = ending
        .as_ref()
        .map_or("nobody".to_owned(), |ending| ending.answered_by.to_string());
    let findings: BTreeSet<String> = store
        .findings(&row.attempt.id)
        .await?
        .iter()
        .filter(|placed| placed.finding.polarity != Polarity::Absent)
        .map(|placed| format!("{} {}", placed.finding.concept, placed.finding.polarity))
        .collect();
    let (order, causes) = work_order(store, found).await?;
    let mut differs = Vec::new();
    differ(
        &mut differs,
        "rung",
        case.rung.to_string(),
        "true".to_owned(),
    );
    differ(
        &mut differs,
        "disposition",
        case.disposition.clone().unwrap_or_default(),
        disposition.clone(),
    );
    differ(
        &mut differs,
        "answered by",
        case.answered_by.clone().unwrap_or_default(),
        answered_by.clone(),
    );
    differ(
        &mut differs,
        "findings",
        list(&case.findings),
        list(&findings),
    );
    differ(
        &mut differs,
        "work order",
        case.work_order.clone().unwrap_or_default(),
        order.clone(),
    );
    differ(&mut differs, "causes", list(&case.causes), list(&causes));
    Ok(Line {
        number: number.to_owned(),
        day: case.day,
        outcome: format!("{disposition} ({answered_by})"),
        findings: list(&findings),
        order,
        differs,
    })
}

/// Urgency of the patient's order, `none` where there is none, and its causes' kinds.
async fn work_order(store: &Store, found: &Found) -> anyhow::Result<(String, BTreeSet<String>)> {
    let filter = WorkOrderFilter {
        state: None,
        patient: Some(found.patient.id.clone()),
        ..WorkOrderFilter::default()
    };
    let orders = store
        .work_orders(&filter, &PageRequest::default())
        .await?
        .items;
    let Some(order) = orders.first() else {
        return Ok(("none".to_owned(), BTreeSet::new()));
    };
    let mut causes = BTreeSet::new();
    for cause in &order.causes {
        let value = serde_json::to_value(cause)?;
        causes.insert(value["kind"].as_str().unwrap_or_default().to_owned());
    }
    Ok((order.urgency.to_string(), causes))
}

fn differ(differs: &mut Vec<String>, what: &str, want: String, got: String) {
    if want != got {
        let named = |text: String| {
            if text.is_empty() {
                "nothing".to_owned()
            } else {
                text
            }
        };
        differs.push(format!(
            "{what}: expected {}, came to {}",
            named(want),
            named(got)
        ));
    }
}

fn list(set: &BTreeSet<String>) -> String {
    set.iter().cloned().collect::<Vec<_>>().join(", ")
}

impl Summary {
    /// Patients that differ.
    pub fn differences(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| !line.differs.is_empty())
            .count()
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header([
            "patient",
            "day",
            "outcome",
            "findings",
            "work order",
            "as expected",
        ]);
        for line in &self.lines {
            table.add_row([
                line.number.clone(),
                line.day.to_string(),
                line.outcome.clone(),
                line.findings.clone(),
                line.order.clone(),
                if line.differs.is_empty() {
                    "yes".to_owned()
                } else {
                    format!("NO: {}", line.differs.join("; "))
                },
            ]);
        }
        table.to_string()
    }

    /// One line for people.
    pub fn verdict(&self) -> String {
        match self.differences() {
            0 => format!(
                "all {} patients came to what the fixtures expect",
                self.lines.len()
            ),
            n => format!(
                "{n} of {} patients differ from what the fixtures expect",
                self.lines.len()
            ),
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                json!({
                    "patient": line.number,
                    "day": line.day,
                    "outcome": line.outcome,
                    "findings": line.findings,
                    "work_order": line.order,
                    "differences": line.differs,
                })
            })
            .collect();
        json!({ "patients": lines, "differences": self.differences() })
    }
}
