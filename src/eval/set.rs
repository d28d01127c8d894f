//! Labelled sets, read where they lie: JSON lines of items, our own rows (`rows.zh.tsv`), or target spans of NegEx.

use std::fs;
use std::path::{Path, PathBuf};

use aftercall_core::lang::Lang;
use aftercall_core::question::Question;
use aftercall_core::redflag::rows::{self, Row};
use aftercall_core::redflag::{Assessment, Concept, Lexicon, Reply, assess};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::negex::{self, Span};
use super::score::{Expected, Item, Prediction};
use crate::cli::assess::Frame;

/// Where our own labelled replies lie in the project.
pub const OWN: [&str; 2] = [
    "fixtures/redflag/rows.zh.tsv",
    "fixtures/redflag/rows.en.tsv",
];

/// What one file holds.
pub enum Set {
    /// Replies with the concepts they say and whether they raise an alert.
    Replies(Vec<Item>),
    /// Targets in clinical notes, with negation, time and experiencer.
    Spans(Vec<Span>),
}

/// One line of a set of items.
#[derive(Deserialize)]
struct Line {
    id: String,
    lang: Lang,
    #[serde(default)]
    question: String,
    reply: String,
    #[serde(default)]
    context: Frame,
    expected: Vec<Expected>,
    alert: bool,
    #[serde(default)]
    category: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    labelled_by: Option<String>,
}

/// Path and text of the table beside the clips that `make_speech.py` made.
///
/// # Errors
/// No table.
pub(super) fn table(folder: &Path, set: &str) -> anyhow::Result<(PathBuf, String)> {
    let path = folder.join(format!("{set}.tsv"));
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}; make the clips first: python fixtures/speech/make_speech.py {set} --out {}",
            path.display(),
            folder.display()
        )
    })?;
    Ok((path, text))
}

/// The items of one half (`frozen` or `tuning`), and how many of them make up `share` (0-1).
///
/// # Errors
/// A half without items.
pub fn half<'a, T>(
    all: &'a [T],
    half_of: impl Fn(&T) -> &str,
    half: &str,
    share: f64,
) -> anyhow::Result<(Vec<&'a T>, usize)> {
    let items: Vec<&T> = all.iter().filter(|item| half_of(item) == half).collect();
    ensure!(!items.is_empty(), "{half}: no such half of the set");
    let part = (items.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
    Ok((items, part))
}

/// Reads a set; the name tells rows (`.tsv`) from JSON lines, the first line tells items from spans.
///
/// # Errors
/// A file that cannot be read, and every line of it that says nothing readable, with file and line.
pub fn load(path: &Path, concepts: &[Concept]) -> anyhow::Result<Set> {
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    if path.extension().is_some_and(|end| end == "tsv") {
        return Ok(Set::Replies(own(path, &text, concepts)?));
    }
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let spans = lines
        .clone()
        .next()
        .is_some_and(|(_, line)| line.contains("\"sentence\""));
    let at = |nth: usize| format!("{name}:{}", nth + 1);
    if spans {
        let read = lines.map(|(nth, line)| negex::read(line).with_context(|| at(nth)));
        return Ok(Set::Spans(read.collect::<anyhow::Result<_>>()?));
    }
    let read = lines.try_fold(Vec::new(), |mut items, (nth, line)| {
        items.push(item(line, concepts).with_context(|| at(nth))?);
        anyhow::Ok(items)
    });
    Ok(Set::Replies(read?))
}

fn own(path: &Path, text: &str, concepts: &[Concept]) -> anyhow::Result<Vec<Item>> {
    let name = path.display();
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let lang = stem
        .and_then(|stem| stem.rsplit('.').next())
        .and_then(Lang::parse)
        .with_context(|| format!("{name}: the language must end the name, as in rows.zh.tsv"))?;
    match rows::read(&name.to_string(), lang, text, concepts) {
        Ok(rows) => Ok(rows.into_iter().map(of_row).collect()),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bail!("{} broken rows:\n{}", lines.len(), lines.join("\n"))
        }
    }
}

fn of_row(row: Row) -> Item {
    let expected = row.expected.into_iter();
    Item {
        id: row.id,
        category: row.category,
        source: "authored".to_owned(),
        question: row.question,
        reply: row.reply,
        expected: expected
            .map(|(concept, polarity)| Expected { concept, polarity })
            .collect(),
        alert: row.alert,
        note: String::new(),
        labelled_by: None,
    }
}

fn item(line: &str, concepts: &[Concept]) -> anyhow::Result<Item> {
    let line: Line = serde_json::from_str(line)?;
    for label in &line.expected {
        let known = concepts.iter().any(|concept| concept.id == label.concept);
        ensure!(known, "unknown concept `{}`", label.concept);
    }
    Ok(Item {
        id: line.id,
        category: line.category,
        source: line.source,
        question: Question {
            lang: line.lang,
            text: line.question,
            kind: line.context.kind,
            asks: line.context.asks,
            respondent: line.context.respondent,
        },
        reply: line.reply,
        expected: line.expected,
        alert: line.alert,
        note: line.note,
        labelled_by: line.labelled_by,
    })
}

/// Judges every item as a call would judge it.
pub fn judged(lexicon: &Lexicon, items: Vec<Item>) -> Vec<(Item, Prediction)> {
    let judge = |item: Item| {
        let reply = Reply {
            text: &item.reply,
            logprob: None,
        };
        let prediction = predicted(&assess(lexicon, &item.question, &reply));
        (item, prediction)
    };
    items.into_iter().map(judge).collect()
}

fn predicted(assessment: &Assessment) -> Prediction {
    let findings = assessment.findings.iter().map(|finding| Expected {
        concept: finding.concept.clone(),
        polarity: finding.polarity,
    });
    Prediction {
        findings: findings.collect(),
        alert: assessment.alert,
    }
}
