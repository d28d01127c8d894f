//! Labelled replies of our own (`fixtures/redflag/rows.*.tsv`), read for the evaluation and for the tests alike.
//!
//! One reply a line, parted by tabs, `#` for comments, the first row names the columns. The label of the alert must
//! agree with the labels of the concepts: a row that contradicts itself is refused, with its file and line.

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::Concept;
use crate::finding::{Polarity, Urgency};
use crate::id::ConceptId;
use crate::lang::Lang;
use crate::question::Question;

/// The columns, in their order.
pub const COLUMNS: [&str; 9] = [
    "id",
    "category",
    "question",
    "type",
    "asks",
    "respondent",
    "reply",
    "expected",
    "alert",
];

/// One reply with what it says, as a person labelled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line in its file, counted from 1.
    pub line: usize,
    pub id: String,
    /// What makes the reply hard: `negation`, `numbers`, …
    pub category: String,
    pub question: Question,
    pub reply: String,
    pub expected: Vec<(ConceptId, Polarity)>,
    pub alert: bool,
}

/// A row that cannot be read, or that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct RowError {
    pub file: String,
    pub line: usize,
    pub problem: String,
}

/// Reads one file of labelled replies in one language.
///
/// # Errors
/// Every broken line at once: missing columns, unknown words, an id used twice, an alert that its labels deny.
pub fn read(
    file: &str,
    lang: Lang,
    text: &str,
    concepts: &[Concept],
) -> Result<Vec<Row>, Vec<RowError>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut errors = Vec::new();
    let lines = text.lines().enumerate();
    let kept = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    for (nth, (at, line)) in kept.enumerate() {
        let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
        let read = match nth {
            0 if cells != COLUMNS => Err(format!("the columns must be: {}", COLUMNS.join(" "))),
            0 => continue,
            _ => row(at + 1, lang, &cells, concepts),
        };
        match read {
            Ok(row) if rows.iter().any(|other| other.id == row.id) => {
                errors.push((at, format!("the id `{}` stands here a second time", row.id)))
            }
            Ok(row) => rows.push(row),
            Err(problem) => errors.push((at, problem)),
        }
    }
    if errors.is_empty() {
        return Ok(rows);
    }
    let named = errors.into_iter().map(|(at, problem)| RowError {
        file: file.to_owned(),
        line: at + 1,
        problem,
    });
    Err(named.collect())
}

fn row(line: usize, lang: Lang, cells: &[&str], concepts: &[Concept]) -> Result<Row, String> {
    let [
        id,
        category,
        question,
        kind,
        asks,
        respondent,
        reply,
        expected,
        alert,
    ] = cells
    else {
        return Err(format!(
            "expected {} columns parted by tabs, found {}",
            COLUMNS.len(),
            cells.len()
        ));
    };
    if id.is_empty() || category.is_empty() || reply.is_empty() {
        return Err("id, category and reply must not be empty".to_owned());
    }
    let asks = listed(asks)
        .map(|id| Ok(concept(id, concepts)?.id.clone()))
        .collect::<Result<Vec<_>, String>>()?;
    let expected = listed(expected)
        .map(|label| {
            let (id, polarity) = label
                .split_once(' ')
                .ok_or_else(|| format!("`{label}` is not a concept and a polarity"))?;
            Ok((concept(id, concepts)?, word::<Polarity>(polarity.trim())?))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let raises = expected.iter().any(|(concept, polarity)| {
        concept.urgency != Urgency::Routine
            && matches!(polarity, Polarity::Present | Polarity::Uncertain)
    });
    let alert = match *alert {
        "yes" => true,
        "no" => false,
        other => return Err(format!("alert is `{other}`; use yes or no")),
    };
    if alert != raises {
        return Err(format!(
            "the alert is labelled {alert}, but the concepts say {raises}"
        ));
    }
    Ok(Row {
        line,
        id: (*id).to_owned(),
        category: (*category).to_owned(),
        question: Question {
            lang,
            text: (*question).to_owned(),
            kind: word(kind)?,
            asks,
            respondent: word(respondent)?,
        },
        reply: (*reply).to_owned(),
        expected: expected
            .into_iter()
            .map(|(concept, polarity)| (concept.id.clone(), polarity))
            .collect(),
        alert,
    })
}

/// The members of a cell, parted by commas; `-` or nothing for none.
fn listed(cell: &str) -> impl Iterator<Item = &str> {
    let members = cell.split(',').map(str::trim);
    members.filter(|member| !matches!(*member, "" | "-"))
}

fn concept<'a>(id: &str, concepts: &'a [Concept]) -> Result<&'a Concept, String> {
    let known = concepts.iter().find(|concept| concept.id.0 == id);
    known.ok_or_else(|| format!("unknown concept `{id}`"))
}

/// A word of one of our own enums, as it is written everywhere else.
fn word<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    T::deserialize(StrDeserializer::<Error>::new(text)).map_err(|error| error.to_string())
}
