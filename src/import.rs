//! Discharge lists and do-not-call lists: bytes of a CSV file in, rows of the store out.
//!
//! What a row means is `core::import`'s; here a file is cut into records, and what is good is saved. A broken
//! row is reported and the rest goes on.

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::import::{Defaults, Header, Problem, phone_number};
use aftercall_core::patient::{Episode, Patient};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{Cadence, enroll};
use aftercall_core::time::Timestamp;
use csv::{ByteRecord, ReaderBuilder};
use serde::Serialize;

use crate::store::patient::Enrolment;
use crate::store::{Store, StoreError, import, new_id};

/// What a discharge list holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DischargeList {
    pub rows: Vec<Row>,
    pub problems: Vec<Problem>,
    /// Records read, good and bad, without the header.
    pub records: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counted from 1; the header is line 1.
    pub line: u64,
    pub patient: Patient,
    pub episode: Episode,
}

/// A do-not-call list: columns `phone` and, if wanted, `reason`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DoNotCallList {
    pub numbers: Vec<(PhoneNumber, String)>,
    pub problems: Vec<Problem>,
}

/// What an import did, or in a dry run would do. Holds no PHI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub dry_run: bool,
    pub accepted: u64,
    pub refused: u64,
    pub new_patients: u64,
    pub new_episodes: u64,
    pub steps: u64,
    pub do_not_call: u64,
    pub problems: Vec<String>,
}

/// Reads a discharge list. With a broken header no row is read.
pub fn read_discharges(bytes: &[u8], defaults: &Defaults) -> DischargeList {
    let mut list = DischargeList::default();
    let mut header = None;
    for record in records(bytes) {
        let (line, fields) = match record {
            Ok(record) => record,
            Err(problem) => {
                list.records += u64::from(header.is_some());
                list.problems.push(problem);
                continue;
            }
        };
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let Some(known) = &header else {
            match Header::read(line, &fields) {
                Ok(read) => header = Some(read),
                Err(problems) => {
                    list.problems.extend(problems);
                    return list;
                }
            }
            continue;
        };
        list.records += 1;
        let ids = (PatientId(new_id()), EpisodeId(new_id()));
        match known.record(line, &fields, ids, defaults) {
            Ok((patient, episode)) => list.rows.push(Row {
                line,
                patient,
                episode,
            }),
            Err(problems) => list.problems.extend(problems),
        }
    }
    if header.is_none() && list.problems.is_empty() {
        list.problems.push(problem(
            1,
            "(all)",
            "the file is empty",
            "begin it with a header line",
        ));
    }
    list
}

/// Reads a do-not-call list.
pub fn read_do_not_call(bytes: &[u8]) -> DoNotCallList {
    let mut list = DoNotCallList::default();
    let mut places: Option<(usize, Option<usize>)> = None;
    for record in records(bytes) {
        let (line, fields) = match record {
            Ok(record) => record,
            Err(problem) => {
                list.problems.push(problem);
                continue;
            }
        };
        let Some((phone, reason)) = places else {
            let place = |name: &str| {
                fields
                    .iter()
                    .position(|field| field.trim_start_matches('\u{feff}').trim() == name)
            };
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
        let reason = reason
            .and_then(|place| fields.get(place))
            .map_or("", |text| text.trim());
        match phone_number(fields.get(phone).map_or("", String::as_str)) {
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

/// Saves a discharge list with the plan of every stay. Importing a list twice changes nothing.
///
/// # Errors
/// When the database refuses; rows before that are saved, and importing again is harmless.
pub async fn save_discharges(
    store: &Store,
    list: &DischargeList,
    cadence: &Cadence,
    by: &str,
    now: Timestamp,
) -> Result<Report, StoreError> {
    let mut report = preview(list, cadence);
    report.dry_run = false;
    (report.new_patients, report.new_episodes) = (0, 0);
    for row in &list.rows {
        let steps = enroll(&row.patient, &row.episode, cadence);
        let enrolment = Enrolment {
            patient: row.patient.clone(),
            episode: row.episode.clone(),
            steps,
        };
        let enrolled = store
            .save_patient_with_episode_and_steps(&enrolment, by, now)
            .await?;
        report.new_patients += u64::from(enrolled.new_patient);
        report.new_episodes += u64::from(enrolled.new_episode);
    }
    let saved = import::Import {
        id: new_id(),
        at: now,
        who: by.to_owned(),
        accepted: report.accepted,
        refused: report.refused,
        report: serde_json::to_string(&report).unwrap_or_default(),
    };
    store.save_import(&saved).await?;
    Ok(report)
}

/// What saving the list would do. Which patients are new only the store knows.
pub fn preview(list: &DischargeList, cadence: &Cadence) -> Report {
    let accepted = u64::try_from(list.rows.len()).unwrap_or(u64::MAX);
    let steps = list
        .rows
        .iter()
        .map(|row| enroll(&row.patient, &row.episode, cadence).len())
        .sum::<usize>();
    Report {
        dry_run: true,
        accepted,
        refused: list.records.saturating_sub(accepted),
        steps: u64::try_from(steps).unwrap_or(u64::MAX),
        problems: list.problems.iter().map(Problem::to_string).collect(),
        ..Report::default()
    }
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

/// The records of a CSV file with their lines, or why one could not be cut.
fn records(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Vec<String>), Problem>> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    std::iter::from_fn(move || {
        let mut record = ByteRecord::new();
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                // Blank lines are skipped before a record, so its own position is the right one.
                let line = record.position().map_or(line, csv::Position::line);
                Some(text_of(line, &record).map(|fields| (line, fields)))
            }
            Err(error) => Some(Err(problem(
                line,
                "(all)",
                &error.to_string(),
                "save the file as CSV",
            ))),
        }
    })
}

fn text_of(line: u64, record: &ByteRecord) -> Result<Vec<String>, Problem> {
    let fields = record
        .iter()
        .map(|field| std::str::from_utf8(field).map(str::to_owned));
    fields
        .collect::<Result<_, _>>()
        .map_err(|_| problem(line, "(all)", "is not UTF-8", "save the file as UTF-8"))
}

fn problem(line: u64, column: &str, fault: &str, cure: &str) -> Problem {
    Problem {
        line,
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
            base,
        }
    }

    #[test]
    fn the_demos_lists_have_no_broken_row() {
        let list = read_discharges(include_bytes!("../fixtures/patients.csv"), &defaults());
        assert_eq!(list.problems, []);
        assert!(list.rows.len() >= 16);
        let blocked = read_do_not_call(include_bytes!("../fixtures/do_not_call.csv"));
        assert_eq!((blocked.numbers.len(), blocked.problems.len()), (2, 0));
    }

    #[test]
    fn a_broken_row_is_named_and_the_rest_goes_on() {
        let mut bytes = b"hospital_number,name,birth_date,phone,language,pathway,discharged,encounter,consent\n".to_vec();
        bytes.extend_from_slice(b"1,A,1950-01-01,,en,general,2026-11-01,e1,written\n");
        bytes.extend_from_slice(b"2,B,1950-01-01,,fr,general,2026-11-01,e2,written\n");
        bytes.extend_from_slice(b"3,\xb0\xa1,1950-01-01,,zh,general,2026-11-01,e3,written\n");
        bytes.extend_from_slice(b"4,D,1950-01-01,en\n");
        bytes.extend_from_slice(b"5,E,1950-01-01,,en,general,2026-11-01,e5,verbal\n");
        let list = read_discharges(&bytes, &defaults());
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
            read_discharges(b"", &defaults()).problems[0].fault,
            "the file is empty"
        );
        assert!(
            !read_discharges(b"hospital_number,foo\n", &defaults())
                .problems
                .is_empty()
        );
        assert_eq!(
            read_do_not_call(b"number\n1000\n").problems[0].column,
            "phone"
        );
    }
}
