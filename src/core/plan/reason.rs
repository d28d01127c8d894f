//! Why a step is not dialled: a code for machines and tests, words for the admin.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    #[display("no_phone")]
    NoPhone,
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
    /// Every caller id of the trunk has been shown as often as it may be today.
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
}

/// Why a step is not dialled, as a code (`outside_window`) and in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: ReasonCode,
    /// Without names or numbers: it is shown in lists and logs.
    pub words: String,
}

impl Reason {
    pub fn new(code: ReasonCode, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
        }
    }
}

/// `code: words`, as kept in [`super::Step::reason`].
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.words)
    }
}
