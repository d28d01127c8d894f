//! The discharge list: one row of a table in, a patient and one stay out, or what to mend and where.
//!
//! Cutting bytes into records is the caller's; here a record is a slice of fields. A broken row names line,
//! column and cure, and never the value, which is PHI; the other rows go on. What a row changes of what is known
//! is [`change`]'s.

mod change;
mod date;
mod header;
mod mapping;
mod phone;
mod row;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

pub use change::{
    Contradiction, contradictions, different, merged_episode, merged_patient, other_person,
};
pub use date::{DateFault, read_date, read_instant};
pub use header::{Header, Record, Stated, cell_name};
pub use mapping::{Mapping, MappingError, suggest};
pub use phone::{PhoneFault, listed_number, phone_number};

/// A column of the list. Its name in the file is the name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    HospitalNumber,
    Name,
    BirthDate,
    Phone,
    Language,
    Dialect,
    Hearing,
    Zone,
    Pathway,
    Department,
    Ward,
    Discharged,
    Encounter,
    Life,
    Admission,
    Consent,
    /// Which version of the text was agreed to.
    ConsentText,
    RecordingConsent,
    KnowsDiagnosis,
    HighRisk,
    Contacts,
    Diagnoses,
    Risk,
}

impl Column {
    /// Every column, in the order of the documentation.
    pub const ALL: [Column; 23] = [
        Column::HospitalNumber,
        Column::Name,
        Column::BirthDate,
        Column::Phone,
        Column::Language,
        Column::Dialect,
        Column::Hearing,
        Column::Zone,
        Column::Pathway,
        Column::Department,
        Column::Ward,
        Column::Discharged,
        Column::Encounter,
        Column::Life,
        Column::Admission,
        Column::Consent,
        Column::ConsentText,
        Column::RecordingConsent,
        Column::KnowsDiagnosis,
        Column::HighRisk,
        Column::Contacts,
        Column::Diagnoses,
        Column::Risk,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Column::HospitalNumber => "hospital_number",
            Column::Name => "name",
            Column::BirthDate => "birth_date",
            Column::Phone => "phone",
            Column::Language => "language",
            Column::Dialect => "dialect",
            Column::Hearing => "hearing",
            Column::Zone => "zone",
            Column::Pathway => "pathway",
            Column::Department => "department",
            Column::Ward => "ward",
            Column::Discharged => "discharged",
            Column::Encounter => "encounter",
            Column::Life => "life",
            Column::Admission => "admission",
            Column::Consent => "consent",
            Column::ConsentText => "consent_text",
            Column::RecordingConsent => "recording_consent",
            Column::KnowsDiagnosis => "knows_diagnosis",
            Column::HighRisk => "high_risk",
            Column::Contacts => "contacts",
            Column::Diagnoses => "diagnoses",
            Column::Risk => "risk",
        }
    }

    /// Without these a call could reach the wrong person, or be made on the wrong day or without a ground.
    fn is_required(self) -> bool {
        match self {
            Column::HospitalNumber
            | Column::Name
            | Column::BirthDate
            | Column::Phone
            | Column::Language
            | Column::Discharged
            | Column::Encounter
            | Column::Consent => true,
            Column::Pathway
            | Column::Dialect
            | Column::Hearing
            | Column::Zone
            | Column::Department
            | Column::Ward
            | Column::Life
            | Column::Admission
            | Column::ConsentText
            | Column::RecordingConsent
            | Column::KnowsDiagnosis
            | Column::HighRisk
            | Column::Contacts
            | Column::Diagnoses
            | Column::Risk => false,
        }
    }
}

/// What is wrong, where, and how to mend it. Holds no value of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, column {column}: {fault}; {cure}", .cell.as_ref().map_or_else(|| format!("line {line}"), |cell| format!("cell {cell}")))]
pub struct Problem {
    /// Counted from 1, as the file's reader shows it.
    pub line: u64,
    /// `C7` in a spreadsheet.
    pub cell: Option<String>,
    /// Our name of the column, with the file's heading before it where that is another.
    pub column: String,
    pub fault: String,
    pub cure: String,
}

/// What the file does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    pub hospital: String,
    /// The zone of a row that names none: the hospital's.
    pub zone: String,
    /// The country (ISO 3166) whose telephone numbers are written without a country code.
    pub country: String,
    /// Whence `-3d` counts. Only the demo gives one: elsewhere a discharge has a date.
    pub base: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::{Column, Defaults, Header, Mapping, Record};
    use crate::id::{EpisodeId, PatientId};
    use crate::patient::{ConsentBasis, Relation, Topic};

    fn defaults() -> Defaults {
        Defaults {
            hospital: "h".into(),
            zone: "Asia/Shanghai".into(),
            country: "CN".into(),
            base: None,
        }
    }

    fn header() -> Header {
        let names: Vec<&str> = Column::ALL.into_iter().map(Column::name).collect();
        Header::read(1, &names, None, false).expect("every known column")
    }

    const ROW: [&str; 23] = [
        "P1",
        "张三",
        "1950-02-01",
        "13800138000",
        "zh",
        "",
        "hard",
        "",
        "cardiac",
        "心内科",
        "3",
        "2026-11-19 10:30",
        "E1",
        "",
        "",
        "written",
        "2026-1",
        "yes",
        "no",
        "",
        "李梅:wife:13900139000:health+medicines",
        "I50.9；E11",
        "",
    ];

    fn ids() -> (PatientId, EpisodeId) {
        (PatientId("p".into()), EpisodeId("e".into()))
    }

    #[test]
    fn a_whole_row_becomes_a_patient_and_a_stay() {
        let Record {
            patient,
            episode,
            case,
        } = header()
            .record(2, &ROW, ids(), &defaults())
            .expect("a good row");
        assert_eq!(patient.phone.expect("has one").expose(), "+8613800138000");
        assert_eq!(patient.consent.basis, ConsentBasis::Written);
        assert_eq!(patient.consent.text_version.as_deref(), Some("2026-1"));
        assert_eq!(patient.contacts[0].relation, Relation::Spouse);
        assert_eq!(
            patient.contacts[0].topics,
            [Topic::Health, Topic::Medicines]
        );
        assert_eq!(episode.discharged_at.to_string(), "2026-11-19T02:30:00Z");
        assert_eq!(case.diagnoses, ["I50.9", "E11"]);
    }

    #[test]
    fn every_fault_of_a_row_is_named_with_its_column_and_without_its_value() {
        let mut row = ROW;
        (row[2], row[3], row[4], row[7], row[11], row[20]) = (
            "1.2.1950",
            "12ab",
            "",
            "Mars/Base",
            "-3d",
            "李梅:friend:1:x",
        );
        let problems = header()
            .record(7, &row, ids(), &defaults())
            .expect_err("a broken row");
        let columns: Vec<&str> = problems
            .iter()
            .map(|problem| problem.column.as_str())
            .collect();
        assert_eq!(
            columns,
            ["birth_date", "phone", "language", "zone", "contacts"]
        );
        assert!(
            problems
                .iter()
                .all(|problem| problem.line == 7 && !problem.to_string().contains("12ab"))
        );
    }

    #[test]
    fn days_before_today_are_for_the_demo_alone() {
        let mut row = ROW;
        row[11] = "-3d";
        let problems = header()
            .record(2, &row, ids(), &defaults())
            .expect_err("no base");
        assert_eq!(problems[0].column, "discharged");
        let base = Some("2026-11-23T02:00:00Z".parse().expect("an instant"));
        let Record { episode, .. } = header()
            .record(2, &row, ids(), &Defaults { base, ..defaults() })
            .expect("a base");
        assert_eq!(episode.discharged_at.to_string(), "2026-11-20T02:00:00Z");
    }

    #[test]
    fn an_unknown_column_and_a_missing_one_are_named() {
        let problems =
            Header::read(1, &["hospital_number", "nmae"], None, false).expect_err("a bad header");
        assert!(problems.iter().any(|problem| problem.column == "nmae"));
        assert!(
            problems
                .iter()
                .any(|problem| problem.column == "discharged")
        );
    }

    #[test]
    fn a_hospitals_own_table_is_read_by_its_mapping() {
        let mapping = Mapping::parse(
            "version = 1\n[columns]\n\"病案号\" = \"hospital_number\"\n\"姓名\" = \"name\"\n\"生日\" = \"birth_date\"\n\
             \"手机\" = \"phone\"\n\"出院\" = \"discharged\"\n\"住院号\" = \"encounter\"\n\"签字\" = \"consent\"\n\
             [fixed]\nlanguage = \"zh\"\npathway = \"cardiac\"\n[words.consent]\n\"已签\" = \"written\"\n",
        )
        .expect("a mapping");
        let headings = [
            "病案号",
            "姓名",
            "性别",
            "生日",
            "手机",
            "出院",
            "住院号",
            "签字",
        ];
        let header = Header::read(3, &headings, Some(&mapping), true).expect("a header");
        assert_eq!(header.skipped(), ["性别"]);
        assert!(header.stated().has(Column::Language) && !header.stated().has(Column::Hearing));
        let fields = [
            "P1",
            "张三",
            "男",
            "1950年2月1日",
            "13800138000",
            "2026/11/19 10:30",
            "E1",
            "已签",
        ];
        let Record {
            patient, episode, ..
        } = header
            .record(4, &fields, ids(), &defaults())
            .expect("a good row");
        assert_eq!(patient.consent.basis, ConsentBasis::Written);
        assert_eq!(episode.pathway, "cardiac");
        let mut broken = fields;
        (broken[3], broken[4]) = ("03/04/1950", "010-6234567");
        let problems = header
            .record(9, &broken, ids(), &defaults())
            .expect_err("a broken row");
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "cell D9, column 生日 (birth_date): may be read with the day or the month first; \
                 write it as 1956-03-21",
                "cell E9, column 手机 (phone): telephone number is none that CN gives out; \
                 correct the number, or leave the field empty"
            ]
        );
    }

    #[test]
    fn a_heading_that_is_nearly_known_is_named() {
        let problems = Header::read(1, &["病案号"], None, false).expect_err("a bad header");
        assert!(
            problems[0].cure.contains("looks like hospital_number"),
            "{}",
            problems[0]
        );
    }
}
