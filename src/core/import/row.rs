//! One record of a list: its fields in, a patient and a stay out, or all that is wrong with it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::date::{DateFault, read_date, read_instant};
use super::{Column, Defaults, Header, PhoneFault, Problem, Record, phone_number};
use crate::id::{EpisodeId, PatientId};
use crate::lang::Lang;
use crate::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient, Relation, Topic,
};
use crate::phi::Phi;
use crate::phone::PhoneNumber;
use crate::plan::{Case, Risk};
use crate::time;

/// One record being read; every fault is collected.
pub(super) struct Row<'a> {
    header: &'a Header,
    line: u64,
    fields: &'a [&'a str],
    problems: Vec<Problem>,
}

impl<'a> Row<'a> {
    pub(super) fn new(header: &'a Header, line: u64, fields: &'a [&'a str]) -> Self {
        Self {
            header,
            line,
            fields,
            problems: Vec::new(),
        }
    }

    pub(super) fn read(
        mut self,
        ids: (PatientId, EpisodeId),
        defaults: &Defaults,
    ) -> Result<Record, Vec<Problem>> {
        match self.record(ids, defaults) {
            Some(record) if self.problems.is_empty() => Ok(record),
            Some(_) | None => Err(self.problems),
        }
    }

    fn record(&mut self, ids: (PatientId, EpisodeId), defaults: &Defaults) -> Option<Record> {
        let number = self.required(Column::HospitalNumber);
        let name = self.required(Column::Name);
        let birth_date = self.birth_date();
        let phone = self.phone(&defaults.country);
        let lang = self.choice(
            Column::Language,
            &[
                ("zh", Lang::Zh),
                ("en", Lang::En),
                ("中文", Lang::Zh),
                ("汉语", Lang::Zh),
                ("普通话", Lang::Zh),
                ("chinese", Lang::Zh),
                ("英语", Lang::En),
                ("英文", Lang::En),
                ("english", Lang::En),
            ],
            None,
        );
        let hearing = self.hearing();
        let zone_name = self.zone(defaults);
        let discharged_at = zone_name
            .as_ref()
            .and_then(|(_, zone)| self.discharged(zone, defaults));
        let pathway = self.optional(Column::Pathway).unwrap_or_default();
        let encounter = self.required(Column::Encounter);
        let life = self.choice(
            Column::Life,
            &[
                ("alive", Life::Alive),
                ("dead", Life::Dead),
                ("存活", Life::Alive),
                ("死亡", Life::Dead),
            ],
            Some(Life::Alive),
        );
        let state = self.admission();
        let consent = self.consent();
        let knows_diagnosis = self.yes(Column::KnowsDiagnosis);
        let high_risk = self.yes(Column::HighRisk);
        let case = self.case();
        let contacts = self.contacts(&defaults.country);
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
            pathway,
            department: self.optional(Column::Department).unwrap_or_default(),
            ward: self.optional(Column::Ward).unwrap_or_default(),
            discharged_at: discharged_at?,
            state: state?,
            high_risk: high_risk? || case.risk == Some(Risk::High),
        };
        Some(Record {
            patient,
            episode,
            case,
        })
    }

    /// The trimmed field, empty where nothing says it.
    fn text(&self, column: Column) -> &'a str {
        self.header.text(self.fields, column)
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
        let problem = self.header.problem_of(self.line, column, fault, cure);
        self.problems.push(problem);
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
            let names = choices.iter().map(|(name, _)| *name);
            let names: Vec<&str> = names.filter(|name| name.is_ascii()).collect();
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
            ("是", true),
            ("否", false),
        ];
        self.choice(column, &choices, Some(false))
    }

    fn case(&mut self) -> Case {
        let codes = self
            .text(Column::Diagnoses)
            .split([';', '；', ',', '、', ' ']);
        let codes = codes.map(str::trim).filter(|code| !code.is_empty());
        let risks = [
            ("", None),
            ("low", Some(Risk::Low)),
            ("middle", Some(Risk::Middle)),
            ("high", Some(Risk::High)),
            ("低", Some(Risk::Low)),
            ("中", Some(Risk::Middle)),
            ("高", Some(Risk::High)),
        ];
        Case {
            diagnoses: codes.map(str::to_owned).collect(),
            risk: self.choice(Column::Risk, &risks, Some(None)).flatten(),
        }
    }

    fn hearing(&mut self) -> Option<Hearing> {
        let choices = [
            ("normal", Hearing::Normal),
            ("hard", Hearing::Hard),
            ("deaf", Hearing::Deaf),
            ("正常", Hearing::Normal),
            ("重听", Hearing::Hard),
            ("聋", Hearing::Deaf),
        ];
        self.choice(Column::Hearing, &choices, Some(Hearing::Normal))
    }

    fn admission(&mut self) -> Option<EpisodeState> {
        let choices = [
            ("discharged", EpisodeState::Discharged),
            ("readmitted", EpisodeState::Readmitted),
            ("cancelled", EpisodeState::Cancelled),
            ("出院", EpisodeState::Discharged),
            ("再入院", EpisodeState::Readmitted),
            ("取消出院", EpisodeState::Cancelled),
        ];
        self.choice(Column::Admission, &choices, Some(EpisodeState::Discharged))
    }

    fn consent(&mut self) -> Option<Consent> {
        let bases = [
            ("written", ConsentBasis::Written),
            ("verbal", ConsentBasis::Verbal),
            ("none", ConsentBasis::None),
            ("withdrawn", ConsentBasis::Withdrawn),
            ("书面", ConsentBasis::Written),
            ("口头", ConsentBasis::Verbal),
            ("无", ConsentBasis::None),
            ("撤回", ConsentBasis::Withdrawn),
        ];
        let basis = self.choice(Column::Consent, &bases, Some(ConsentBasis::None));
        let recording = self.yes(Column::RecordingConsent);
        Some(Consent {
            basis: basis?,
            text_version: self.optional(Column::ConsentText),
            given_on: None,
            recording: recording?,
        })
    }

    fn birth_date(&mut self) -> Option<Date> {
        let text = self.required(Column::BirthDate)?;
        match read_date(&text) {
            Ok(date) if (1890..=2200).contains(&date.year()) => return Some(date),
            Ok(_) => self.date_fault(Column::BirthDate, DateFault::NotADate),
            Err(fault) => self.date_fault(Column::BirthDate, fault),
        }
        None
    }

    fn date_fault(&mut self, column: Column, fault: DateFault) {
        let cure = match column {
            Column::BirthDate => "write it as 1956-03-21",
            _ => "write 2026-11-19, 2026-11-19 10:30 (local) or 2026-11-19T10:30:00+08:00",
        };
        self.fault(column, &fault.to_string(), cure);
    }

    /// An empty field is lawful: such a patient is refused with `no_phone`, and seen to be.
    fn phone(&mut self, country: &str) -> Option<PhoneNumber> {
        let text = self.optional(Column::Phone)?;
        match phone_number(&text, country) {
            Ok(number) => Some(number),
            Err(error) => {
                let cure = match error {
                    PhoneFault::NoAreaCode => "write it with its area code, as 010-62345678",
                    PhoneFault::Several => "keep one; others belong to contacts",
                    PhoneFault::Rounded => "format the column as text, and write the whole number",
                    PhoneFault::Number(_) | PhoneFault::NotGiven(_) => {
                        "correct the number, or leave the field empty"
                    }
                };
                self.fault(Column::Phone, &error.to_string(), cure);
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
        match read_instant(&text, zone) {
            Ok(at) => Some(at),
            Err(fault) => {
                self.date_fault(Column::Discharged, fault);
                None
            }
        }
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

    fn contacts(&mut self, country: &str) -> Vec<Contact> {
        let text = self.text(Column::Contacts).to_owned();
        let entries = text
            .split(';')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let mut contacts = Vec::new();
        for (index, entry) in entries.enumerate() {
            match contact(entry, country) {
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

fn contact(entry: &str, country: &str) -> Result<Contact, String> {
    let parts: Vec<&str> = entry.split(':').map(str::trim).collect();
    let &[name, relation, phone, topics] = parts.as_slice() else {
        return Err(format!("has {} parts and needs 4", parts.len()));
    };
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    let phone = match phone {
        "" => None,
        text => Some(phone_number(text, country).map_err(|fault| fault.to_string())?),
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
        "spouse" | "wife" | "husband" | "配偶" | "妻子" | "丈夫" => Relation::Spouse,
        "child" | "son" | "daughter" | "子女" | "儿子" | "女儿" => Relation::Child,
        "parent" | "mother" | "father" | "父母" | "母亲" | "父亲" => Relation::Parent,
        "sibling" | "brother" | "sister" | "兄弟姐妹" => Relation::Sibling,
        "guardian" | "监护人" => Relation::Guardian,
        "other" | "其他" => Relation::Other,
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
