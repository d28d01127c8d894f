//! The header line: which field of a record is which column, and what stands for the columns that are missing.

use std::collections::BTreeMap;

use super::mapping::{column_of, plain};
use super::row::Row;
use super::{Column, Defaults, Mapping, Problem};
use crate::id::{EpisodeId, PatientId};
use crate::patient::{Episode, Patient};
use crate::plan::Case;

/// Where each column of a record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// In the order of [`Column::ALL`].
    sources: Vec<Source>,
    width: usize,
    /// In a spreadsheet a problem names the cell.
    is_sheet: bool,
    skipped: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Source {
    place: Option<usize>,
    heading: String,
    fixed: Option<String>,
    words: BTreeMap<String, String>,
}

/// What one row says.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub patient: Patient,
    pub episode: Episode,
    /// What chooses a pathway, where the stay names none.
    pub case: Case,
}

/// The columns about which a list says anything: what it does not say, it does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated(u32);

impl Stated {
    pub const ALL: Stated = Stated(u32::MAX);

    pub fn of(columns: impl Iterator<Item = Column>) -> Self {
        Self(columns.fold(0, |bits, column| bits | 1 << column as u32))
    }

    pub fn has(self, column: Column) -> bool {
        self.0 & 1 << column as u32 != 0
    }
}

impl Header {
    /// Reads the header line. With a mapping, headings that it does not name are not read.
    ///
    /// # Errors
    /// An unknown, repeated or missing column, each with its cure.
    pub fn read(
        line: u64,
        fields: &[&str],
        mapping: Option<&Mapping>,
        is_sheet: bool,
    ) -> Result<Self, Vec<Problem>> {
        let mut header = Self {
            sources: vec![Source::default(); Column::ALL.len()],
            width: fields.len(),
            is_sheet,
            skipped: Vec::new(),
        };
        let mut problems = Vec::new();
        for (place, field) in fields.iter().enumerate() {
            let heading = field.trim();
            let Some(column) = column(heading, mapping) else {
                match mapping {
                    Some(_) => header
                        .skipped
                        .extend(Some(heading.to_owned()).filter(|heading| !heading.is_empty())),
                    None => problems.push(header.problem(
                        line,
                        Some(place),
                        heading,
                        "is not a known column",
                        &unknown(heading),
                    )),
                }
                continue;
            };
            let source = &mut header.sources[column as usize];
            if source.place.replace(place).is_some() {
                problems.push(header.problem(
                    line,
                    Some(place),
                    heading,
                    "stands twice",
                    "keep one of them",
                ));
            } else {
                source.heading = heading.to_owned();
            }
        }
        if let Some(mapping) = mapping {
            header.apply(mapping);
        }
        for column in Column::ALL
            .into_iter()
            .filter(|column| column.is_required())
        {
            let source = &header.sources[column as usize];
            if source.place.is_none() && source.fixed.is_none() {
                let cure = "add the column to the header line, or map a heading to it";
                problems.push(header.problem(line, None, column.name(), "is missing", cure));
            }
        }
        if problems.is_empty() {
            Ok(header)
        } else {
            Err(problems)
        }
    }

    /// How many of the fields are headings: a title above the table has none.
    pub fn likeness(fields: &[&str], mapping: Option<&Mapping>) -> usize {
        let known =
            |field: &&&str| column(field.trim(), mapping).is_some() || column_of(field).is_some();
        fields.iter().filter(known).count()
    }

    /// Headings that the mapping does not name.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// What the list says anything about.
    pub fn stated(&self) -> Stated {
        let said = |column: &Column| {
            let source = &self.sources[*column as usize];
            source.place.is_some() || source.fixed.is_some()
        };
        Stated::of(Column::ALL.into_iter().filter(said))
    }

    /// Reads one record. `ids` are used where the patient and the stay are new.
    ///
    /// # Errors
    /// Everything that is wrong with the record, so that one look mends it.
    pub fn record(
        &self,
        line: u64,
        fields: &[&str],
        ids: (PatientId, EpisodeId),
        defaults: &Defaults,
    ) -> Result<Record, Vec<Problem>> {
        if fields.len() != self.width {
            let fault = format!(
                "the row has {} fields and the header {}",
                fields.len(),
                self.width
            );
            let cure = "put text with a comma between double quotes, and keep empty fields";
            return Err(vec![self.problem(line, None, "(all)", &fault, cure)]);
        }
        Row::new(self, line, fields).read(ids, defaults)
    }

    /// The trimmed field in our words; what is fixed or nothing where the column is not in the file.
    pub(super) fn text<'a>(&'a self, fields: &[&'a str], column: Column) -> &'a str {
        let source = &self.sources[column as usize];
        let field = source
            .place
            .and_then(|place| fields.get(place))
            .map(|field| field.trim());
        let text = field.or(source.fixed.as_deref()).unwrap_or_default();
        source.words.get(text).map_or(text, String::as_str)
    }

    /// A problem of a column, under the file's own heading too.
    pub(super) fn problem_of(&self, line: u64, column: Column, fault: &str, cure: &str) -> Problem {
        let source = &self.sources[column as usize];
        let named = match source.heading.as_str() {
            "" => column.name().to_owned(),
            heading if heading == column.name() => heading.to_owned(),
            heading => format!("{heading} ({})", column.name()),
        };
        self.problem(line, source.place, &named, fault, cure)
    }

    fn problem(
        &self,
        line: u64,
        place: Option<usize>,
        column: &str,
        fault: &str,
        cure: &str,
    ) -> Problem {
        let cell = place
            .filter(|_| self.is_sheet)
            .map(|place| cell_name(place, line));
        Problem {
            line,
            cell,
            column: column.to_owned(),
            fault: fault.to_owned(),
            cure: cure.to_owned(),
        }
    }

    fn apply(&mut self, mapping: &Mapping) {
        for (column, text) in &mapping.fixed {
            self.sources[*column as usize].fixed = Some(text.clone());
        }
        for (column, words) in &mapping.words {
            self.sources[*column as usize].words.clone_from(words);
        }
    }
}

fn column(heading: &str, mapping: Option<&Mapping>) -> Option<Column> {
    if let Some(mapped) = mapping.and_then(|mapping| mapping.column(heading)) {
        return Some(mapped);
    }
    Column::ALL
        .into_iter()
        .find(|column| column.name() == heading)
}

fn unknown(heading: &str) -> String {
    match column_of(heading) {
        Some(column) => format!(
            "it looks like {}: save a mapping (`aftercall import mapping suggest FILE`)",
            column.name()
        ),
        None if plain(heading).is_empty() => "give the column a name, or delete it".to_owned(),
        None => {
            let names: Vec<&str> = Column::ALL.into_iter().map(Column::name).collect();
            format!(
                "known are {}; or save a mapping (`aftercall import mapping suggest FILE`)",
                names.join(", ")
            )
        }
    }
}

/// The name of a spreadsheet's cell, its column counted from 0 and its line from 1: A1 to Z1, AA1, AB1.
pub fn cell_name(place: usize, line: u64) -> String {
    let mut rest = place + 1;
    let mut letters = Vec::new();
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + u8::try_from(rest % 26).unwrap_or(0)));
        rest /= 26;
    }
    let letters: String = letters.iter().rev().collect();
    format!("{letters}{line}")
}
