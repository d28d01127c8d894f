//! Discharge lists and do-not-call lists: bytes of a file in, rows of the store out.
//!
//! What a row means is `core::import`'s; here a file is cut into records, and what is good is saved. A broken
//! row is reported and the rest goes on.

mod encoding;
mod save;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::import::{
    Defaults, Header, Mapping, Problem, Record, Stated, contradictions, listed_number,
};
use aftercall_core::patient::{Episode, Patient};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::Case;
use aftercall_core::time::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

pub(crate) use save::change;
pub use save::{preview, save_discharges};

use crate::store::{Store, StoreError, new_id};

/// What a discharge list holds.
#[derive(Clone, Debug, PartialEq)]
pub struct DischargeList {
    pub rows: Vec<Row>,
    pub problems: Vec<Problem>,
    /// Records read, good and bad, without the header.
    pub records: u64,
    /// The encoding that was found, or the sheet that was read.
    pub source: String,
    /// Headings that the mapping does not name.
    pub skipped: Vec<String>,
    /// The columns that the list has.
    pub stated: Stated,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counted from 1, as the file's reader shows it.
    pub line: u64,
    pub patient: Patient,
    pub episode: Episode,
    /// `None`: nothing is said of diagnosis and risk, and the plan of a known stay moves with its discharge alone.
    pub case: Option<Case>,
}

/// A do-not-call list: columns `phone` and, if wanted, `reason`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DoNotCallList {
    pub numbers: Vec<(PhoneNumber, String)>,
    pub problems: Vec<Problem>,
}

/// What an import did, or in a dry run would do. Names fields and lines, never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
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
    pub do_not_call: u64,
    /// Consents of which is not on record which text was agreed to.
    pub consents_without_text: u64,
    /// Headings that the mapping does not name.
    pub not_read: Vec<String>,
    #[serde(serialize_with = "as_lines")]
    pub problems: Vec<Problem>,
    /// Row by row; not kept in the database.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowReport>,
}

/// What becomes of one row: `new`, `changed` or `known`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowReport {
    pub line: u64,
    pub patient: &'static str,
    pub stay: &'static str,
    /// Columns whose stored value differs.
    pub changed: Vec<&'static str>,
    /// Day of the plan and date of each step that is planned or moved.
    pub steps: Vec<(u16, Date)>,
}

fn as_lines<S: serde::Serializer>(problems: &[Problem], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(problems.iter().map(ToString::to_string))
}

/// A title above the table is passed over where the header is found within so many lines.
const TITLES: usize = 10;

/// Reads a discharge list. With a broken header no row is read.
pub fn read_discharges(
    bytes: &[u8],
    defaults: &Defaults,
    mapping: Option<&Mapping>,
) -> DischargeList {
    let mut list = DischargeList {
        rows: Vec::new(),
        problems: Vec::new(),
        records: 0,
        source: String::new(),
        skipped: Vec::new(),
        stated: Stated::ALL,
    };
    let table = match table::read(bytes) {
        Ok(table) => table,
        Err(problem) => {
            list.problems.push(problem);
            return list;
        }
    };
    list.source.clone_from(&table.source);
    let Some(place) = header_place(&table, mapping) else {
        list.problems.extend(
            table
                .records
                .into_iter()
                .filter_map(|(_, record)| record.err()),
        );
        if list.problems.is_empty() {
            list.problems.push(problem(
                1,
                "(all)",
                "the file is empty",
                "begin it with a header line",
            ));
        }
        return list;
    };
    let mut records = table.records.into_iter().skip(place);
    let header = match records.next() {
        Some((line, Ok(fields))) => Header::read(
            line,
            &fields.iter().collect::<Vec<_>>(),
            mapping,
            table.is_sheet,
        ),
        Some((_, Err(problem))) => Err(vec![problem]),
        None => Err(Vec::new()),
    };
    let header = match header {
        Ok(header) => header,
        Err(problems) => {
            list.problems.extend(problems);
            return list;
        }
    };
    list.skipped = header.skipped().to_vec();
    list.stated = header.stated();
    for (line, record) in records {
        list.records += 1;
        let ids = (PatientId(new_id()), EpisodeId(new_id()));
        let read = record.map_err(|problem| vec![problem]).and_then(|fields| {
            header.record(line, &fields.iter().collect::<Vec<_>>(), ids, defaults)
        });
        match read {
            Ok(Record {
                patient,
                episode,
                case,
            }) => list.rows.push(Row {
                line,
                patient,
                episode,
                case: Some(case),
            }),
            Err(problems) => list.problems.extend(problems),
        }
    }
    refuse_contradictions(&mut list);
    list
}

/// The headings of a list.
///
/// # Errors
/// A file that cannot be read, or an empty one.
pub fn headings(bytes: &[u8]) -> Result<Vec<String>, Problem> {
    let mut table = table::read(bytes)?;
    let place = header_place(&table, None);
    let Some(place) = place else {
        return Err(problem(
            1,
            "(all)",
            "the file is empty",
            "begin it with a header line",
        ));
    };
    let (_, record) = table.records.swap_remove(place);
    Ok(record?
        .iter()
        .map(|heading| heading.trim().to_owned())
        .collect())
}

/// The line most like a header among the first; the first of all where none is like one.
fn header_place(table: &table::Table, mapping: Option<&Mapping>) -> Option<usize> {
    let likeness = |(place, (_, record)): (usize, &(u64, Result<csv::StringRecord, Problem>))| {
        let fields = record
            .as_ref()
            .map(|fields| fields.iter().collect::<Vec<_>>())
            .unwrap_or_default();
        (Header::likeness(&fields, mapping), std::cmp::Reverse(place))
    };
    let lines = table.records.iter().take(TITLES).enumerate();
    lines.map(likeness).max().map(|(_, place)| place.0)
}

/// Two rows that contradict each other about one patient: neither is believed, nor any other of that number.
fn refuse_contradictions(list: &mut DischargeList) {
    let found = contradictions(list.rows.iter().map(|row| (&row.patient, &row.episode)));
    let mut lines: BTreeMap<u64, (u64, String)> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for contradiction in found {
        let (Some(row), Some(earlier)) = (
            list.rows.get(contradiction.row),
            list.rows.get(contradiction.earlier),
        ) else {
            continue;
        };
        let columns: Vec<&str> = contradiction
            .columns
            .iter()
            .map(|column| column.name())
            .collect();
        let columns = columns.join(", ");
        refused.insert(row.patient.number.clone());
        lines
            .entry(earlier.line)
            .or_insert_with(|| (row.line, columns.clone()));
        lines.insert(row.line, (earlier.line, columns));
    }
    for row in list
        .rows
        .iter()
        .filter(|row| refused.contains(&row.patient.number))
    {
        let (other, columns) = lines
            .get(&row.line)
            .cloned()
            .unwrap_or_else(|| (row.line, "hospital_number".to_owned()));
        let fault = match other == row.line {
            true => "is of a patient whose other rows contradict each other".to_owned(),
            false => format!("contradicts line {other}, which has the same hospital number"),
        };
        list.problems
            .push(problem(row.line, &columns, &fault, "keep what is true"));
    }
    list.rows
        .retain(|row| !refused.contains(&row.patient.number));
    list.problems.sort_by_key(|problem| problem.line);
}

/// Reads a do-not-call list. A number that is none of its country is kept as it stands: a refusal is never lost.
pub fn read_do_not_call(bytes: &[u8], country: &str) -> DoNotCallList {
    let mut list = DoNotCallList::default();
    let mut places: Option<(usize, Option<usize>)> = None;
    let table = match table::read(bytes) {
        Ok(table) => table,
        Err(problem) => {
            list.problems.push(problem);
            return list;
        }
    };
    for (line, record) in table.records {
        let fields = match record {
            Ok(fields) => fields,
            Err(problem) => {
                list.problems.push(problem);
                continue;
            }
        };
        let Some((phone, reason)) = places else {
            let place = |name: &str| fields.iter().position(|field| field.trim() == name);
            let Some(phone) = place("phone") else {
                list.problems.push(problem(
                    line,
                    "phone",
                    "is missing",
                    "add the column to the header line",
                ));
                return list;
            };
            places = Some((phone, place("reason")));
            continue;
        };
        let field = |place: usize| fields.get(place).map_or("", str::trim);
        let reason = reason.map_or("", field);
        match listed_number(field(phone), country) {
            Ok(number) => list.numbers.push((number, reason.to_owned())),
            Err(error) => list.problems.push(problem(
                line,
                "phone",
                &error.to_string(),
                "correct the number",
            )),
        }
    }
    list
}

/// Saves a do-not-call list; returns how many numbers were new on it.
///
/// # Errors
/// When the database refuses.
pub async fn save_do_not_call(
    store: &Store,
    list: &DoNotCallList,
    by: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut added = 0;
    for (number, reason) in &list.numbers {
        let why = if reason.is_empty() {
            "imported"
        } else {
            reason
        };
        added += u64::from(store.suppress_number(number, why, by, now).await?);
    }
    Ok(added)
}

fn problem(line: u64, column: &str, fault: &str, cure: &str) -> Problem {
    Problem {
        line,
        cell: None,
        column: column.to_owned(),
        fault: fault.to_owned(),
        cure: cure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aftercall_core::import::Defaults;

    use super::{read_discharges, read_do_not_call};

    fn defaults() -> Defaults {
        let base = Some("2026-11-23T02:00:00Z".parse().expect("an instant"));
        Defaults {
            hospital: "main".into(),
            zone: "Asia/Shanghai".into(),
            country: "CN".into(),
            base,
        }
    }

    #[test]
    fn the_demos_lists_have_no_broken_row() {
        let list = read_discharges(
            include_bytes!("../../fixtures/patients.csv"),
            &defaults(),
            None,
        );
        assert_eq!(list.problems, []);
        assert!(list.rows.len() >= 16);
        let blocked = read_do_not_call(include_bytes!("../../fixtures/do_not_call.csv"), "CN");
        assert_eq!((blocked.numbers.len(), blocked.problems.len()), (2, 0));
    }

    #[test]
    fn a_broken_row_is_named_and_the_rest_goes_on() {
        let mut bytes = b"hospital_number,name,birth_date,phone,language,pathway,discharged,encounter,consent\n".to_vec();
        bytes.extend_from_slice("1,李,1950-01-01,,en,general,2026-11-01,e1,written\n".as_bytes());
        bytes.extend_from_slice(b"2,B,1950-01-01,,fr,general,2026-11-01,e2,written\n");
        bytes.extend_from_slice(b"3,\xb0\xa1,1950-01-01,,zh,general,2026-11-01,e3,written\n");
        bytes.extend_from_slice(b"4,D,1950-01-01,en\n");
        bytes.extend_from_slice(b"5,E,1950-01-01,,en,general,2026-11-01,e5,verbal\n");
        let list = read_discharges(&bytes, &defaults(), None);
        assert_eq!(
            list.rows.iter().map(|row| row.line).collect::<Vec<_>>(),
            [2, 6]
        );
        let problems: Vec<String> = list.problems.iter().map(ToString::to_string).collect();
        assert!(
            problems[0].starts_with("line 3, column language: is not a known value"),
            "{problems:?}"
        );
        assert_eq!(
            problems[1],
            "line 4, column (all): is not UTF-8; save the file as UTF-8"
        );
        assert!(
            problems[2].starts_with("line 5, column (all): the row has 4 fields"),
            "{problems:?}"
        );
    }

    #[test]
    fn an_empty_file_and_an_unknown_column_are_named() {
        assert_eq!(
            read_discharges(b"", &defaults(), None).problems[0].fault,
            "the file is empty"
        );
        assert!(
            !read_discharges(b"hospital_number,foo\n", &defaults(), None)
                .problems
                .is_empty()
        );
        assert_eq!(
            read_do_not_call(b"number\n1000\n", "CN").problems[0].column,
            "phone"
        );
    }
}
