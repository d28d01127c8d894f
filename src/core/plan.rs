//! The plan: which calls an episode is due, and whether one may be made now.
//!
//! Windows, consent, caps, do-not-call and retry rules live here and nowhere else, and refuse where they
//! are in doubt.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::attempt::Disposition;
use crate::id::{EpisodeId, PatientId, StepId};
use crate::phone::PhoneNumber;
use crate::time::Timestamp;

/// One planned follow-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: StepId,
    pub episode: EpisodeId,
    pub patient: PatientId,
    /// Days after discharge: 3, 7, 14 or 30.
    pub day: u16,
    pub script: String,
    /// Local date in the patient's zone on which the step becomes due.
    pub due_on: Date,
    /// First day on which it is no longer useful.
    pub lapses_on: Date,
    pub state: StepState,
    /// When `next_step` is to be asked again.
    pub next_at: Timestamp,
    /// Why it was refused or put off, in words for the admin; empty when it was not.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    #[display("planned")]
    Planned,
    /// Leased to an engine; an attempt is live.
    #[display("calling")]
    Calling,
    #[display("done")]
    Done,
    /// Attempts are used up: a human has it.
    #[display("unreached")]
    Unreached,
    /// Must not be rung: see `reason`.
    #[display("blocked")]
    Blocked,
    #[display("lapsed")]
    Lapsed,
}

/// The answer to "what now?".
#[derive(Clone, Debug, PartialEq)]
pub enum NextStep {
    DialNow(DialOrder),
    Wait { until: Timestamp, why: Reason },
    Finished(StepState, Reason),
}

/// Permission for one INVITE to one number.
#[derive(Clone, Debug, PartialEq)]
pub struct DialOrder {
    pub step: StepId,
    pub number: PhoneNumber,
    /// Counted from 1.
    pub attempt: u32,
}

/// Why a step is not dialled, as a code (`outside_window`) and in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub words: String,
}

/// What the plan needs to know of an earlier attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct PastAttempt {
    pub started_at: Timestamp,
    pub rang: bool,
    pub disposition: Option<Disposition>,
}
