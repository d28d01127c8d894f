//! The reviewed data of trends: which change of a number is worse, and in which words people say "worse".

use std::collections::BTreeMap;

use crate::finding::Urgency;
use crate::id::ConceptId;
use crate::reading::Measure;

/// The files of `dialogs/redflags` that [`Rules::compile`] wants.
pub const FILES: [&str; 2] = [NUMBERS, WORDS];
const NUMBERS: &str = "trends.tsv";
const WORDS: &str = "trend_words.tsv";
/// The line of the overall question in [`NUMBERS`].
const OVERALL: &str = "overall";

/// Why the data of trends were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error("{file}: the file is missing from the lexicon")]
    Missing { file: String },
    #[error("{file}:{line}: {problem}")]
    Line {
        file: String,
        line: usize,
        problem: String,
    },
}

/// A concept of the lexicon with what makes it a degree of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graded {
    pub id: ConceptId,
    pub family: String,
    pub urgency: Urgency,
}

/// One row of `trends.tsv`: a change of a measure that is worse.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub rule: String,
    pub measure: Measure,
    /// The least change that is worse; below zero where falling is.
    pub worse: f64,
    /// Compared with every reading of so many days, the rate being kept over longer gaps; `None`: with the one before.
    pub within_days: Option<f64>,
    /// A value that is not there yet is healthy, whatever it was.
    pub from: Option<f64>,
    /// The least change back that is better; `None` where no change is.
    pub better: Option<f64>,
    pub concept: ConceptId,
    /// How soon a human must know, from which value.
    pub urgency: Urgency,
    pub order_from: Option<f64>,
}

/// What trends are judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub(super) concepts: Vec<Graded>,
    pub(super) changes: Vec<Change>,
    overall: Option<Urgency>,
    worse: Vec<String>,
    not_worse: Vec<String>,
}

impl Rules {
    /// Reads the files, given as pairs of name and text, against the concepts of the lexicon.
    ///
    /// # Errors
    /// Every broken line of both files, with file and line.
    pub fn compile(
        files: &[(String, String)],
        concepts: Vec<Graded>,
    ) -> Result<Rules, Vec<RulesError>> {
        let mut errors = Vec::new();
        let mut rules = Rules {
            concepts,
            ..Rules::default()
        };
        rows(files, NUMBERS, 10, &mut errors, |cells| {
            rules.read_number(cells)
        });
        rows(files, WORDS, 2, &mut errors, |cells| {
            rules.read_words(cells)
        });
        if errors.is_empty() {
            Ok(rules)
        } else {
            Err(errors)
        }
    }

    /// How soon a human must know that the patient is worse than at the discharge, by the patient's own word.
    pub(super) fn overall_worse(&self) -> Option<Urgency> {
        self.overall
    }

    pub(super) fn graded(&self, id: &ConceptId) -> Option<&Graded> {
        self.concepts.iter().find(|concept| concept.id == *id)
    }

    /// Whether the words say that it has got worse. What denies or fears it counts for nothing.
    pub(super) fn says_worse(&self, words: &str) -> bool {
        let mut rest = words.to_lowercase();
        for phrase in &self.not_worse {
            rest = rest.replace(phrase, "|");
        }
        self.worse.iter().any(|phrase| rest.contains(phrase))
    }

    fn read_number(&mut self, cells: &[&str]) -> Result<(), String> {
        let [
            rule,
            line,
            worse,
            within,
            from,
            better,
            order_from,
            concept,
            urgency,
        ] = cells[..9]
        else {
            return Err("a rule has ten columns".to_owned());
        };
        let urgency = match urgency {
            "emergent" => Urgency::Emergent,
            "urgent" => Urgency::Urgent,
            "same_day" => Urgency::SameDay,
            other => return Err(format!("a trend cannot raise `{other}`")),
        };
        if line == OVERALL {
            self.overall = Some(urgency);
            return Ok(());
        }
        let measure = Measure::named(line).ok_or_else(|| format!("unknown measure `{line}`"))?;
        let concept = ConceptId(concept.to_owned());
        if self.graded(&concept).is_none() {
            return Err(format!("unknown concept `{concept}`"));
        }
        let worse = number(worse)?
            .filter(|worse| *worse != 0.0)
            .ok_or("a rule says which change is worse")?;
        let within_days = number(within)?;
        if within_days.is_some_and(|days| days < 1.0) {
            return Err("a window has one day at least".to_owned());
        }
        self.changes.push(Change {
            rule: rule.to_owned(),
            measure,
            worse,
            within_days,
            from: number(from)?,
            better: number(better)?,
            concept,
            urgency,
            order_from: number(order_from)?,
        });
        Ok(())
    }

    fn read_words(&mut self, cells: &[&str]) -> Result<(), String> {
        let phrases = cells[1]
            .split('|')
            .map(|phrase| phrase.trim().to_lowercase());
        let phrases = phrases.filter(|phrase| !phrase.is_empty());
        match cells[0] {
            "worse" => self.worse.extend(phrases),
            "not_worse" => self.not_worse.extend(phrases),
            other => return Err(format!("unknown kind `{other}`")),
        }
        // The longest first, so that no phrase breaks another.
        self.not_worse
            .sort_by_key(|phrase| (usize::MAX - phrase.len(), phrase.clone()));
        Ok(())
    }
}

fn number(cell: &str) -> Result<Option<f64>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    let read: Result<f64, _> = cell.parse();
    read.map(Some)
        .map_err(|_| format!("`{cell}` is not a number"))
}

/// Calls `take` on every row of one file; `#` begins a comment line, and the first row names the columns.
fn rows(
    files: &[(String, String)],
    file: &str,
    columns: usize,
    errors: &mut Vec<RulesError>,
    mut take: impl FnMut(&[&str]) -> Result<(), String>,
) {
    let by_name: BTreeMap<&str, &str> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let Some(text) = by_name.get(file) else {
        errors.push(RulesError::Missing {
            file: file.to_owned(),
        });
        return;
    };
    let rows = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    for (at, line) in rows.skip(1) {
        let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
        let taken = if cells.len() < columns {
            Err(format!(
                "expected {columns} columns parted by tabs, found {}",
                cells.len()
            ))
        } else {
            take(&cells)
        };
        errors.extend(taken.err().map(|problem| RulesError::Line {
            file: file.to_owned(),
            line: at + 1,
            problem,
        }));
    }
}
