//! The discharge list: one row of a table in, a patient and one stay out, or what to mend and where.
//!
//! Cutting bytes into records is the caller's; here a record is a slice of fields. A broken row names line,
//! column and cure, and never the value, which is PHI; the other rows go on.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::id::{EpisodeId, PatientId};
use crate::lang::Lang;
use crate::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient, Relation, Topic,
};
use crate::phi::Phi;
use crate::phone::{PhoneError, PhoneNumber};
use crate::time;

/// A column of the list. Its name in the file is the name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    RecordingConsent,
    KnowsDiagnosis,
    HighRisk,
    Contacts,
}

impl Column {
    /// Every column, in the order of the documentation.
    pub const ALL: [Column; 20] = [
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
        Column::RecordingConsent,
        Column::KnowsDiagnosis,
        Column::HighRisk,
        Column::Contacts,
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
            Column::RecordingConsent => "recording_consent",
            Column::KnowsDiagnosis => "knows_diagnosis",
            Column::HighRisk => "high_risk",
            Column::Contacts => "contacts",
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
            | Column::Pathway
            | Column::Discharged
            | Column::Encounter
            | Column::Consent => true,
            Column::Dialect
            | Column::Hearing
            | Column::Zone
            | Column::Department
            | Column::Ward
            | Column::Life
            | Column::Admission
            | Column::RecordingConsent
            | Column::KnowsDiagnosis
            | Column::HighRisk
            | Column::Contacts => false,
        }
    }
}

/// What is wrong, where, and how to mend it. Holds no value of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}; {cure}")]
pub struct Problem {
    /// Counted from 1; the header is line 1.
    pub line: u64,
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
    /// Whence `-3d` counts. Only the demo gives one: elsewhere a discharge has a date.
    pub base: Option<Timestamp>,
}

/// Which field of a record is which column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    places: Vec<(Column, usize)>,
    width: usize,
}

impl Header {
    /// Reads the header line.
    ///
    /// # Errors
    /// An unknown, repeated or missing column, each with its cure.
    pub fn read(line: u64, fields: &[&str]) -> Result<Self, Vec<Problem>> {
        let mut places: Vec<(Column, usize)> = Vec::new();
        let mut problems = Vec::new();
        for (place, field) in fields.iter().enumerate() {
            let name = field.trim_start_matches('\u{feff}').trim();
            match Column::ALL.into_iter().find(|column| column.name() == name) {
                Some(column) if places.iter().any(|(known, _)| *known == column) => {
                    problems.push(problem(line, name, "stands twice", "keep one of them"));
                }
                Some(column) => places.push((column, place)),
                None => problems.push(problem(
                    line,
                    name,
                    "is not a known column",
                    &known_columns(),
                )),
            }
        }
        for column in Column::ALL
            .into_iter()
            .filter(|column| column.is_required())
        {
            if !places.iter().any(|(known, _)| *known == column) {
                problems.push(problem(
                    line,
                    column.name(),
                    "is missing",
                    "add the column to the header line",
                ));
            }
        }
        if problems.is_empty() {
            Ok(Self {
                places,
                width: fields.len(),
            })
        } else {
            Err(problems)
        }
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
    ) -> Result<(Patient, Episode), Vec<Problem>> {
        if fields.len() != self.width {
            let fault = format!(
                "the row has {} fields and the header {}",
                fields.len(),
                self.width
            );
            let cure = "put text with a comma between double quotes, and keep empty fields";
            return Err(vec![problem(line, "(all)", &fault, cure)]);
        }
        let mut row = Row {
            header: self,
            line,
            fields,
            problems: Vec::new(),
        };
        let read = row.read(ids, defaults);
        match read {
            Some(record) if row.problems.is_empty() => Ok(record),
            Some(_) | None => Err(row.problems),
        }
    }
}

fn known_columns() -> String {
    let names: Vec<&str> = Column::ALL.into_iter().map(Column::name).collect();
    format!("known are {}", names.join(", "))
}

fn problem(line: u64, column: &str, fault: &str, cure: &str) -> Problem {
    Problem {
        line,
        column: column.to_owned(),
        fault: fault.to_owned(),
        cure: cure.to_owned(),
    }
}

/// One record being read; every fault is collected.
struct Row<'a> {
    header: &'a Header,
    line: u64,
    fields: &'a [&'a str],
    problems: Vec<Problem>,
}

impl Row<'_> {
    fn read(
        &mut self,
        ids: (PatientId, EpisodeId),
        defaults: &Defaults,
    ) -> Option<(Patient, Episode)> {
        let number = self.required(Column::HospitalNumber);
        let name = self.required(Column::Name);
        let birth_date = self.birth_date();
        let phone = self.phone();
        let lang = self.choice(
            Column::Language,
            &[("zh", Lang::Zh), ("en", Lang::En)],
            None,
        );
        let hearing = self.hearing();
        let zone_name = self.zone(defaults);
        let discharged_at = zone_name
            .as_ref()
            .and_then(|(_, zone)| self.discharged(zone, defaults));
        let pathway = self.required(Column::Pathway);
        let encounter = self.required(Column::Encounter);
        let life = self.choice(
            Column::Life,
            &[("alive", Life::Alive), ("dead", Life::Dead)],
            Some(Life::Alive),
        );
        let state = self.admission();
        let consent = self.consent();
        let knows_diagnosis = self.yes(Column::KnowsDiagnosis);
        let high_risk = self.yes(Column::HighRisk);
        let contacts = self.contacts();
        let (patient_id, episode_id) = ids;
        let patient = Patient {
            id: patient_id.clone(),
            hospital: defaults.hospital.clone(),
            number: Phi::new(number?),
            name: Phi::new(name?),
            birth_date: Phi::new(birth_date?),
            phone,
            lang: lang?,
            dialect: self.optional(Column::Dialect),
            hearing: hearing?,
            zone: zone_name?.0,
            knows_diagnosis: knows_diagnosis?,
            life: life?,
            consent: consent?,
            contacts,
        };
        let episode = Episode {
            id: episode_id,
            patient: patient_id,
            encounter: encounter?,
            pathway: pathway?,
            department: self.optional(Column::Department).unwrap_or_default(),
            ward: self.optional(Column::Ward).unwrap_or_default(),
            discharged_at: discharged_at?,
            state: state?,
            high_risk: high_risk?,
        };
        Some((patient, episode))
    }

    /// The trimmed field, empty where the column is not in the file.
    fn text(&self, column: Column) -> &str {
        let place = self
            .header
            .places
            .iter()
            .find(|(known, _)| *known == column);
        place
            .and_then(|(_, place)| self.fields.get(*place))
            .map_or("", |field| field.trim())
    }

    fn optional(&self, column: Column) -> Option<String> {
        Some(self.text(column).to_owned()).filter(|text| !text.is_empty())
    }

    fn required(&mut self, column: Column) -> Option<String> {
        let found = self.optional(column);
        if found.is_none() {
            self.fault(column, "is empty", "fill it in");
        }
        found
    }

    fn fault(&mut self, column: Column, fault: &str, cure: &str) {
        self.problems
            .push(problem(self.line, column.name(), fault, cure));
    }

    fn choice<T: Copy>(
        &mut self,
        column: Column,
        choices: &[(&str, T)],
        empty: Option<T>,
    ) -> Option<T> {
        let text = self.text(column).to_ascii_lowercase();
        if text.is_empty() && empty.is_some() {
            return empty;
        }
        let found = choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let fault = if text.is_empty() {
                "is empty"
            } else {
                "is not a known value"
            };
            self.fault(column, fault, &format!("write one of {}", names.join(", ")));
        }
        found
    }

    fn yes(&mut self, column: Column) -> Option<bool> {
        let choices = [
            ("yes", true),
            ("no", false),
            ("1", true),
            ("0", false),
            ("true", true),
            ("false", false),
        ];
        self.choice(column, &choices, Some(false))
    }

    fn hearing(&mut self) -> Option<Hearing> {
        let choices = [
            ("normal", Hearing::Normal),
            ("hard", Hearing::Hard),
            ("deaf", Hearing::Deaf),
        ];
        self.choice(Column::Hearing, &choices, Some(Hearing::Normal))
    }

    fn admission(&mut self) -> Option<EpisodeState> {
        let choices = [
            ("discharged", EpisodeState::Discharged),
            ("readmitted", EpisodeState::Readmitted),
            ("cancelled", EpisodeState::Cancelled),
        ];
        self.choice(Column::Admission, &choices, Some(EpisodeState::Discharged))
    }

    fn consent(&mut self) -> Option<Consent> {
        let bases = [
            ("written", ConsentBasis::Written),
            ("verbal", ConsentBasis::Verbal),
            ("none", ConsentBasis::None),
            ("withdrawn", ConsentBasis::Withdrawn),
        ];
        let basis = self.choice(Column::Consent, &bases, Some(ConsentBasis::None));
        let recording = self.yes(Column::RecordingConsent);
        Some(Consent {
            basis: basis?,
            text_version: None,
            given_on: None,
            recording: recording?,
        })
    }

    fn birth_date(&mut self) -> Option<Date> {
        let text = self.required(Column::BirthDate)?;
        let found = text
            .parse::<Date>()
            .ok()
            .filter(|date| (1890..=2200).contains(&date.year()));
        if found.is_none() {
            self.fault(Column::BirthDate, "is not a date", "write it as 1956-03-21");
        }
        found
    }

    /// An empty field is lawful: such a patient is refused with `no_phone`, and seen to be.
    fn phone(&mut self) -> Option<PhoneNumber> {
        let text = self.optional(Column::Phone)?;
        match phone_number(&text) {
            Ok(number) => Some(number),
            Err(error) => {
                self.fault(
                    Column::Phone,
                    &error.to_string(),
                    "correct the number, or leave the field empty",
                );
                None
            }
        }
    }

    fn zone(&mut self, defaults: &Defaults) -> Option<(String, TimeZone)> {
        let name = self
            .optional(Column::Zone)
            .unwrap_or_else(|| defaults.zone.clone());
        let zone = time::zone(&name);
        if zone.is_none() {
            let cure =
                "write an IANA name such as Asia/Shanghai, in capitals and small letters as there";
            self.fault(Column::Zone, "is not a known time zone", cure);
        }
        zone.map(|zone| (name, zone))
    }

    fn discharged(&mut self, zone: &TimeZone, defaults: &Defaults) -> Option<Timestamp> {
        let text = self.required(Column::Discharged)?;
        if let Some(days) = text
            .strip_prefix('-')
            .and_then(|rest| rest.strip_suffix('d'))
        {
            return self.relative(days, defaults.base);
        }
        let found = read_instant(&text, zone);
        if found.is_none() {
            let cure = "write 2026-11-19, 2026-11-19 10:30 (local) or 2026-11-19T10:30:00+08:00";
            self.fault(Column::Discharged, "is neither a date nor a time", cure);
        }
        found
    }

    fn relative(&mut self, days: &str, base: Option<Timestamp>) -> Option<Timestamp> {
        let days = days.parse::<u16>().ok().filter(|days| *days <= 3650);
        let (Some(base), Some(days)) = (base, days) else {
            let cure = "write the date of discharge, as 2026-11-19; days before today are for the demo alone";
            self.fault(Column::Discharged, "counts back from today", cure);
            return None;
        };
        base.checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
            .ok()
    }

    fn contacts(&mut self) -> Vec<Contact> {
        let text = self.text(Column::Contacts).to_owned();
        let entries = text
            .split(';')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let mut contacts = Vec::new();
        for (index, entry) in entries.enumerate() {
            match contact(entry) {
                Ok(contact) => contacts.push(contact),
                Err(fault) => {
                    let fault = format!("contact {}: {fault}", index + 1);
                    self.fault(
                        Column::Contacts,
                        &fault,
                        "write name:relation:phone:health+medicines and `;` between contacts",
                    );
                }
            }
        }
        contacts
    }
}

/// A date (its noon), a local date and time, or an instant with its offset.
fn read_instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let local = match text.len() {
        10 => text.parse::<Date>().ok()?.at(12, 0, 0, 0),
        _ => text.replacen(' ', "T", 1).parse::<DateTime>().ok()?,
    };
    zone.to_timestamp(local).ok()
}

fn contact(entry: &str) -> Result<Contact, String> {
    let parts: Vec<&str> = entry.split(':').map(str::trim).collect();
    let &[name, relation, phone, topics] = parts.as_slice() else {
        return Err(format!("has {} parts and needs 4", parts.len()));
    };
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    let phone = match phone {
        "" => None,
        text => Some(phone_number(text).map_err(|error| error.to_string())?),
    };
    let topics = topics
        .split('+')
        .map(str::trim)
        .filter(|topic| !topic.is_empty());
    let topics = topics.map(topic).collect::<Result<Vec<Topic>, String>>()?;
    Ok(Contact {
        name: Phi::new(name.to_owned()),
        relation: relation_of(relation)?,
        phone,
        topics,
    })
}

fn relation_of(text: &str) -> Result<Relation, String> {
    Ok(match text {
        "spouse" | "wife" | "husband" => Relation::Spouse,
        "child" | "son" | "daughter" => Relation::Child,
        "parent" | "mother" | "father" => Relation::Parent,
        "sibling" | "brother" | "sister" => Relation::Sibling,
        "guardian" => Relation::Guardian,
        "other" => Relation::Other,
        _ => {
            return Err(
                "relation is none of spouse, child, parent, sibling, guardian, other".to_owned(),
            );
        }
    })
}

fn topic(text: &str) -> Result<Topic, String> {
    Ok(match text {
        "health" => Topic::Health,
        "medicines" => Topic::Medicines,
        "appointments" => Topic::Appointments,
        _ => return Err("topic is none of health, medicines, appointments".to_owned()),
    })
}

/// Reads a number into the one spelling that caps and the do-not-call list know: a Chinese mobile number
/// of 11 digits gets its `+86`, and `0086…` and `86…` of one become the same.
///
/// # Errors
/// As [`PhoneNumber::parse`].
pub fn phone_number(text: &str) -> Result<PhoneNumber, PhoneError> {
    let number = PhoneNumber::parse(text)?;
    let digits = number.expose().trim_start_matches('+');
    let national = digits
        .strip_prefix("0086")
        .or_else(|| digits.strip_prefix("86"))
        .unwrap_or(digits);
    let mut first = national.chars();
    let mobile = national.len() == 11
        && first.next() == Some('1')
        && matches!(first.next(), Some('3'..='9'));
    // With a plus sign only +86 is China: +1 303 … has eleven digits too.
    let foreign = number.expose().starts_with('+') && !digits.starts_with("86");
    if mobile && !foreign {
        PhoneNumber::parse(&format!("+86{national}"))
    } else {
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Defaults, Header, phone_number};
    use crate::id::{EpisodeId, PatientId};
    use crate::patient::{ConsentBasis, Relation, Topic};

    fn defaults() -> Defaults {
        Defaults {
            hospital: "h".into(),
            zone: "Asia/Shanghai".into(),
            base: None,
        }
    }

    fn header() -> Header {
        let names: Vec<&str> = Column::ALL.into_iter().map(Column::name).collect();
        Header::read(1, &names).expect("every known column")
    }

    const ROW: [&str; 20] = [
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
        "yes",
        "no",
        "",
        "李梅:wife:13900139000:health+medicines",
    ];

    fn ids() -> (PatientId, EpisodeId) {
        (PatientId("p".into()), EpisodeId("e".into()))
    }

    #[test]
    fn a_whole_row_becomes_a_patient_and_a_stay() {
        let (patient, episode) = header()
            .record(2, &ROW, ids(), &defaults())
            .expect("a good row");
        assert_eq!(patient.phone.expect("has one").expose(), "+8613800138000");
        assert_eq!(patient.consent.basis, ConsentBasis::Written);
        assert_eq!(patient.contacts[0].relation, Relation::Spouse);
        assert_eq!(
            patient.contacts[0].topics,
            [Topic::Health, Topic::Medicines]
        );
        assert_eq!(episode.discharged_at.to_string(), "2026-11-19T02:30:00Z");
    }

    #[test]
    fn every_fault_of_a_row_is_named_with_its_column_and_without_its_value() {
        let mut row = ROW;
        (row[2], row[3], row[4], row[7], row[11], row[19]) = (
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
        let (_, episode) = header()
            .record(2, &row, ids(), &Defaults { base, ..defaults() })
            .expect("a base");
        assert_eq!(episode.discharged_at.to_string(), "2026-11-20T02:00:00Z");
    }

    #[test]
    fn an_unknown_column_and_a_missing_one_are_named() {
        let problems = Header::read(1, &["hospital_number", "nmae"]).expect_err("a bad header");
        assert!(problems.iter().any(|problem| problem.column == "nmae"));
        assert!(
            problems
                .iter()
                .any(|problem| problem.column == "discharged")
        );
    }

    #[test]
    fn one_telephone_has_one_spelling() {
        for text in [
            "13800138000",
            "86 138-0013-8000",
            "008613800138000",
            "+8613800138000",
        ] {
            assert_eq!(
                phone_number(text).expect("a number").expose(),
                "+8613800138000",
                "{text}"
            );
        }
        assert_eq!(phone_number("1000").expect("a SIP user").expose(), "1000");
        assert_eq!(
            phone_number("+13035550100").expect("a number").expose(),
            "+13035550100"
        );
    }
}
