//! HL7 v2 ADT messages: what a hospital's bus tells of admissions, discharges, deaths and merged records.
//!
//! [`mllp`] cuts bytes into messages, [`read`] says what a message means or by which field it cannot be understood,
//! [`visit_change`] what it does to stays that are known, [`acknowledge`] what the sender hears. Sockets, the character
//! set's tables and the database are the caller's. HL7 v2.5.1 chapter 2 (control), chapter 3 (ADT).

mod adt;
mod envelope;
mod fields;
pub mod mllp;
mod visit;

use crate::lang::Lang;
use crate::patient::{ConsentBasis, Life, Relation, Topic};
use crate::phi::Phi;
use crate::phone::PhoneNumber;
use crate::plan::Case;
use crate::time::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use adt::read;
pub use envelope::{Ack, Charset, Head, acknowledge, charset};
pub use visit::{Mark, VisitChange, VisitState, visit_change};

/// What the messages do not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// IANA zone of times without an offset.
    pub zone: String,
    /// ISO 3166: the country of telephone numbers without a country code.
    pub country: String,
    /// Of a patient whose PID-15 is empty.
    pub lang: Lang,
    /// Of a patient who is new: an ADT message knows no consent.
    pub consent: ConsentBasis,
    /// What a next of kin of whom nobody said it may be told.
    pub topics: Vec<Topic>,
    /// PV1-2 of the visits that count; others change the person alone.
    pub classes: Vec<String>,
    /// MSH-11 of the messages that are meant: `P`.
    pub processing: String,
}

/// The events that are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A01.
    Admitted,
    /// A03.
    Discharged,
    /// A08, and A31 for the person alone.
    Updated,
    /// A11.
    AdmissionCancelled,
    /// A13.
    DischargeCancelled,
    /// A40.
    Merged,
}

/// A field that stands for itself, was emptied on purpose (`""`), or was not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Said<T> {
    #[default]
    Nothing,
    Deleted,
    Is(T),
}

/// Where a message is at fault. Names segment and field, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", self.place())]
pub struct Fault {
    pub segment: String,
    /// 0: the segment itself.
    pub field: u8,
    /// HL7 table 0357.
    pub code: u16,
    pub fault: String,
}

impl Fault {
    pub fn new(segment: &str, field: u8, code: u16, fault: &str) -> Self {
        Self {
            segment: segment.to_owned(),
            field,
            code,
            fault: fault.to_owned(),
        }
    }

    /// `PID-7`.
    pub fn place(&self) -> String {
        match self.field {
            0 => self.segment.clone(),
            field => format!("{}-{field}", self.segment),
        }
    }
}

/// HL7 table 0357, as far as it is used.
pub mod code {
    pub const SEQUENCE: u16 = 100;
    pub const MISSING: u16 = 101;
    pub const DATA_TYPE: u16 = 102;
    pub const NOT_IN_TABLE: u16 = 103;
    pub const MESSAGE_TYPE: u16 = 200;
    pub const EVENT: u16 = 201;
    pub const PROCESSING_ID: u16 = 202;
    pub const KEY: u16 = 204;
    pub const DUPLICATE: u16 = 205;
    pub const INTERNAL: u16 = 207;
}

/// Why a message is not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is none that is spoken here: the sender must not send it again (AR).
    Rejected(Fault),
    /// It is spoken here and cannot be understood: a person looks at it (AE).
    Failed(Fault),
}

impl Refusal {
    pub fn fault(&self) -> &Fault {
        match self {
            Refusal::Rejected(fault) | Refusal::Failed(fault) => fault,
        }
    }
}

/// A message as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// `None` where not even the header is one.
    pub head: Option<Head>,
    pub told: Result<Box<Told>, Refusal>,
}

/// What a message tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub event: Event,
    /// When it was recorded (EVN-2), or else sent (MSH-7): what is older than this is stale.
    pub at: Timestamp,
    pub person: Person,
    pub visit: Option<Visit>,
    /// The number that is given up (MRG-1).
    pub prior: Option<Phi<String>>,
    /// `None` where no diagnosis is sent.
    pub case: Option<Case>,
    /// What of the person could not be read: all that stops calls is applied, the rest waits for a person.
    pub faults: Vec<Fault>,
}

/// The person of a message (PID, NK1).
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub number: Phi<String>,
    pub name: Option<Phi<String>>,
    pub birth_date: Option<Phi<Date>>,
    pub phone: Said<PhoneNumber>,
    pub lang: Option<Lang>,
    /// `Some(Alive)` only where PID-30 says so.
    pub life: Option<Life>,
    pub kin: Vec<Kin>,
    /// An NK1 whose name is the sign of deletion: nobody who is known is next of kin any more.
    pub kin_deleted: bool,
}

/// A next of kin (NK1).
#[derive(Clone, Debug, PartialEq)]
pub struct Kin {
    pub name: Phi<String>,
    pub relation: Relation,
    pub phone: Option<PhoneNumber>,
    /// NK1-9 is over: she is next of kin no more.
    pub has_ended: bool,
}

/// The visit of a message (PV1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// PV1-19, or else PID-18.
    pub encounter: String,
    /// Whether PV1-2 is one that counts.
    pub counts: bool,
    pub ward: Option<String>,
    pub department: Option<String>,
    pub admitted_at: Option<Timestamp>,
    pub discharged_at: Option<Timestamp>,
}
