//! Why a step is not dialled: a code for machines and lists, the facts for who must answer for it.
//!
//! `explain` says a reason in words; a decision's row keeps it as it is here.

use std::fmt;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::policy::{Layer, Within};
use super::retry::Band;
use super::{StepState, explain};
use crate::attempt::Disposition;
use crate::lang::Lang;

/// The kinds of refusal. The text of a code is its name in snake case, and is stable.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    #[display("no_consent")]
    NoConsent,
    #[display("consent_withdrawn")]
    ConsentWithdrawn,
    #[display("do_not_call")]
    DoNotCall,
    #[display("dead")]
    Dead,
    #[display("reported_dead")]
    ReportedDead,
    #[display("readmitted")]
    Readmitted,
    #[display("reported_readmitted")]
    ReportedReadmitted,
    #[display("discharge_cancelled")]
    DischargeCancelled,
    #[display("deaf")]
    Deaf,
    /// A child whose guardian cannot be rung.
    #[display("no_guardian")]
    NoGuardian,
    /// Between 14 and 17, whom the hospital has no robot call.
    #[display("minor")]
    Minor,
    #[display("no_phone")]
    NoPhone,
    /// Every number of the record lies behind a switchboard.
    #[display("extension")]
    Extension,
    #[display("invalid_number")]
    InvalidNumber,
    #[display("wrong_party")]
    WrongParty,
    #[display("unknown_zone")]
    UnknownZone,
    #[display("no_window")]
    NoWindow,
    #[display("outside_window")]
    OutsideWindow,
    #[display("not_due")]
    NotDue,
    #[display("lapsed")]
    Lapsed,
    /// The holiday calendar does not say what kind of day it is, and it matters.
    #[display("holiday_unknown")]
    HolidayUnknown,
    /// Nobody would be there to acknowledge what the call finds.
    #[display("nobody_on_duty")]
    NobodyOnDuty,
    /// What the record says of life, stay and number is too old to be believed.
    #[display("stale_record")]
    StaleRecord,
    /// An emergent order of the ward has passed its last rung.
    #[display("ward_unanswered")]
    WardUnanswered,
    /// An admin has stopped dialling.
    #[display("paused")]
    Paused,
    /// Too many calls in a row failed on the trunk.
    #[display("trunk_failing")]
    TrunkFailing,
    #[display("cap_reached")]
    CapReached,
    #[display("too_soon")]
    TooSoon,
    #[display("live_on_number")]
    LiveOnNumber,
    #[display("attempts_used")]
    AttemptsUsed,
    /// No signed script for the pathway in the patient's language.
    #[display("no_script")]
    NoScript,
    /// The trunk takes no calls at this hour.
    #[display("trunk_closed")]
    TrunkClosed,
    /// Every caller id of the trunk has been shown as often as it may be today, or within the hour.
    #[display("caller_ids_used")]
    CallerIdsUsed,
    /// The database could not say what a decision needs.
    #[display("not_decided")]
    NotDecided,
    /// The step was reached, or a human has taken it over.
    #[display("settled")]
    Settled,
    #[display("already_closed")]
    AlreadyClosed,
    /// Another plan of the patient holds.
    #[display("superseded")]
    Superseded,
}

/// Why a step is not dialled. Holds no name and no number, so that lists and logs may show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    NoConsent,
    /// A consent of this kind is not enough for the layer.
    ConsentNotAccepted {
        layer: Layer,
    },
    ConsentWithdrawn,
    DoNotCall,
    Dead,
    ReportedDead,
    Readmitted,
    ReportedReadmitted,
    DischargeCancelled,
    Deaf,
    NoGuardian {
        age: i16,
    },
    Minor {
        age: i16,
    },
    NoPhone,
    Extension,
    InvalidNumber,
    WrongParty,
    UnknownZone,
    NotDue {
        on: Date,
    },
    OutsideWindow {
        layer: Layer,
        /// Local to the layer: the callee's place, or the hospital's for a trunk.
        local: DateTime,
    },
    /// No open hour follows within two weeks.
    NoWindow {
        layer: Layer,
        local: DateTime,
    },
    HolidayUnknown {
        layer: Layer,
        on: Date,
    },
    NobodyOnDuty {
        /// The hospital's.
        local: DateTime,
    },
    StaleRecord {
        /// Hours since it was last confirmed; `None`: it never was.
        age_hours: Option<u32>,
        allowed_hours: u32,
    },
    WardUnanswered,
    Paused,
    /// The number rang less than so many minutes before.
    Rest {
        minutes: u32,
    },
    CapReached {
        layer: Layer,
        rang: u32,
        calls: u32,
        within: Within,
    },
    /// So many minutes after an attempt that ended so.
    Again {
        after: Disposition,
        minutes: u32,
    },
    /// In another part of the day; `None`: in the next open hour.
    OtherHours {
        after: Disposition,
        band: Option<Band>,
    },
    /// The patient named the hour.
    AskedFor,
    /// The line dropped in an emergency.
    Recall,
    LiveOnNumber,
    /// An attempt of the step itself is live.
    LiveAttempt,
    /// An outage held many up together; they are not all rung at once.
    AfterOutage,
    NoScript {
        script: String,
        lang: Lang,
    },
    TrunkFailing {
        failed: u32,
    },
    CallerIdsUsed,
    /// Every caller id was shown so often within the hour.
    CallerHour {
        layer: Layer,
        calls: u32,
    },
    /// More people of this age answer at an hour that is still to come today.
    BetterHour {
        /// The patient's.
        local: DateTime,
        /// Of a hundred calls, so many are answered now, and then.
        now: u8,
        then: u8,
    },
    NotDecided,
    Lapsed {
        /// The first day on which it is too late.
        on: Date,
        /// What left no hour before that day; `None` where it had come.
        because: Option<Box<Reason>>,
    },
    Settled {
        by: Disposition,
    },
    AttemptsUsed {
        rang: u32,
        allowed: u32,
    },
    BrokeOffTwice,
    /// An emergency was called back once.
    Recalled,
    /// An emergency may not be called back in time.
    NoRecall,
    AlreadyClosed {
        state: StepState,
    },
    /// A later discharge, another pathway or a merged record has a plan of its own.
    Superseded,
}

impl Reason {
    /// What kind of refusal it is.
    pub fn code(&self) -> ReasonCode {
        match self {
            Reason::NoConsent | Reason::ConsentNotAccepted { .. } => ReasonCode::NoConsent,
            Reason::ConsentWithdrawn
            | Reason::Settled {
                by: Disposition::OptedOut,
            } => ReasonCode::ConsentWithdrawn,
            Reason::DoNotCall => ReasonCode::DoNotCall,
            Reason::Dead => ReasonCode::Dead,
            Reason::ReportedDead
            | Reason::Settled {
                by: Disposition::ReportedDeath,
            } => ReasonCode::ReportedDead,
            Reason::Readmitted => ReasonCode::Readmitted,
            Reason::ReportedReadmitted
            | Reason::Settled {
                by: Disposition::ReportedReadmission,
            } => ReasonCode::ReportedReadmitted,
            Reason::DischargeCancelled => ReasonCode::DischargeCancelled,
            Reason::Deaf => ReasonCode::Deaf,
            Reason::NoGuardian { .. } => ReasonCode::NoGuardian,
            Reason::Minor { .. } => ReasonCode::Minor,
            Reason::NoPhone => ReasonCode::NoPhone,
            Reason::Extension => ReasonCode::Extension,
            Reason::InvalidNumber => ReasonCode::InvalidNumber,
            Reason::WrongParty => ReasonCode::WrongParty,
            Reason::UnknownZone => ReasonCode::UnknownZone,
            Reason::NotDue { .. } => ReasonCode::NotDue,
            Reason::OutsideWindow {
                layer: Layer::Trunk(_),
                ..
            } => ReasonCode::TrunkClosed,
            Reason::OutsideWindow { .. } => ReasonCode::OutsideWindow,
            Reason::NoWindow { .. } => ReasonCode::NoWindow,
            Reason::HolidayUnknown { .. } => ReasonCode::HolidayUnknown,
            Reason::NobodyOnDuty { .. } => ReasonCode::NobodyOnDuty,
            Reason::StaleRecord { .. } => ReasonCode::StaleRecord,
            Reason::WardUnanswered => ReasonCode::WardUnanswered,
            Reason::Paused => ReasonCode::Paused,
            Reason::Rest { .. }
            | Reason::Again { .. }
            | Reason::OtherHours { .. }
            | Reason::AskedFor
            | Reason::Recall
            | Reason::LiveAttempt
            | Reason::AfterOutage
            | Reason::BetterHour { .. } => ReasonCode::TooSoon,
            Reason::CapReached { .. } => ReasonCode::CapReached,
            Reason::LiveOnNumber => ReasonCode::LiveOnNumber,
            Reason::NoScript { .. } => ReasonCode::NoScript,
            Reason::TrunkFailing { .. } => ReasonCode::TrunkFailing,
            Reason::CallerIdsUsed | Reason::CallerHour { .. } => ReasonCode::CallerIdsUsed,
            Reason::NotDecided => ReasonCode::NotDecided,
            Reason::Lapsed { .. } => ReasonCode::Lapsed,
            Reason::Settled { .. } => ReasonCode::Settled,
            Reason::AttemptsUsed { .. }
            | Reason::BrokeOffTwice
            | Reason::Recalled
            | Reason::NoRecall => ReasonCode::AttemptsUsed,
            Reason::AlreadyClosed { .. } => ReasonCode::AlreadyClosed,
            Reason::Superseded => ReasonCode::Superseded,
        }
    }

    /// In words that a hospital's lawyer can read.
    pub fn words(&self, lang: Lang) -> String {
        explain::words(self, lang)
    }
}

/// `code: words`, as kept in [`super::Step::reason`].
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.words(Lang::En))
    }
}
