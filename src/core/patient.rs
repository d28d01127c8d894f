//! The record: who may be called, about which stay, and on what ground.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::{EpisodeId, PatientId};
use crate::lang::Lang;
use crate::phi::Phi;
use crate::phone::PhoneNumber;
use crate::time::Timestamp;

/// A person, known by (hospital, hospital's patient number).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patient {
    pub id: PatientId,
    pub hospital: String,
    pub number: Phi<String>,
    pub name: Phi<String>,
    /// Second identity factor: its month and day are asked for, never an ID or bank digit.
    pub birth_date: Phi<Date>,
    pub phone: Option<PhoneNumber>,
    pub lang: Lang,
    pub dialect: Option<String>,
    pub hearing: Hearing,
    /// IANA zone of the patient's telephone; windows are local to it.
    pub zone: String,
    /// The record says that the patient knows the diagnosis: only then may a prompt name it.
    pub knows_diagnosis: bool,
    pub life: Life,
    pub consent: Consent,
    pub contacts: Vec<Contact>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hearing {
    #[default]
    Normal,
    /// Slower, louder, longer waits.
    Hard,
    /// Never the robot's voice: a message or a person.
    Deaf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    #[default]
    Alive,
    Dead,
    /// Somebody on the telephone said so; a human must confirm, nothing is dialled until then.
    ReportedDead,
}

/// The ground on which a robot may call. `None` refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentBasis {
    #[default]
    None,
    /// Signed at discharge.
    Written,
    /// Given by voice and recorded.
    Verbal,
    Withdrawn,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub basis: ConsentBasis,
    /// Version of the text that was agreed to, and when.
    pub text_version: Option<String>,
    pub given_on: Option<Date>,
    /// May the call be recorded; when not, only notes are kept.
    pub recording: bool,
}

/// A listed relative, who may be asked instead of the patient, about the permitted topics only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    pub name: Phi<String>,
    pub relation: Relation,
    pub phone: Option<PhoneNumber>,
    pub topics: Vec<Topic>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Spouse,
    Child,
    Parent,
    Sibling,
    Guardian,
    Other,
}

/// What a contact may be told and asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// How the patient is: symptoms, emergency screen, readings.
    Health,
    Medicines,
    Appointments,
}

/// One stay: day 0 is the local date of discharge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    pub id: EpisodeId,
    pub patient: PatientId,
    /// The hospital's encounter number.
    pub encounter: String,
    /// Script id: `cardiac`, `surgery`, `general`.
    pub pathway: String,
    pub department: String,
    pub ward: String,
    pub discharged_at: Timestamp,
    pub state: EpisodeState,
    /// A human follows up a high-risk patient who refuses the robot.
    pub high_risk: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpisodeState {
    #[default]
    Discharged,
    Readmitted,
    /// Reported on the telephone; a human must confirm.
    ReportedReadmitted,
    Cancelled,
}
