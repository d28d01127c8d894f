//! What a nurse owns until it is closed. It never goes silent: every transition names the state it leaves.

mod ladder;
mod life;
mod raise;

use serde::{Deserialize, Serialize};

pub use ladder::{Deadlines, Escalation, Ladder, LadderError, Rung, Step, Wait, due_step};
pub use life::{Act, Event, ROBOT, Refusal, What};
pub use raise::{
    Joined, Subject, cause_of_step, causes_of, causes_of_packs, causes_of_trends, has_talked, join,
    raise, urgency_of,
};

use crate::finding::{PlacedFinding, Urgency};
use crate::id::{AttemptId, ConceptId, EpisodeId, PackId, PatientId, WorkOrderId};
use crate::plan::ReasonCode;
use crate::time::Timestamp;
use crate::trend::Trend;

/// One open order an episode; later findings join it and may raise its urgency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkOrder {
    pub id: WorkOrderId,
    pub patient: Option<PatientId>,
    pub episode: Option<EpisodeId>,
    /// The stay's; empty without one.
    pub ward: String,
    /// The attempt that raised it.
    pub attempt: Option<AttemptId>,
    pub urgency: Urgency,
    pub causes: Vec<Cause>,
    pub state: WorkOrderState,
    pub raised_at: Timestamp,
    /// When it climbs; acknowledged: when it comes back, or the robot's promise is broken.
    pub due_at: Timestamp,
    /// Steps of the ladder climbed: at 0 the ward's nurse is told.
    pub level: u32,
    /// Every step was told and had its time: nobody is left above.
    pub exhausted: bool,
    /// Whose it is: by the rota, by hand-over, or by their own word.
    pub owner: Option<String>,
    /// By when a person has to have spoken with the patient, because the robot said that one would.
    pub promised_by: Option<Timestamp>,
    /// Who has spoken with the patient, and when.
    pub spoken_by: Option<String>,
    pub spoken_at: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    pub acknowledged_at: Option<Timestamp>,
    pub closed_by: Option<String>,
    pub closed_at: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum WorkOrderState {
    #[display("open")]
    Open,
    #[display("acknowledged")]
    Acknowledged,
    #[display("closed")]
    Closed,
}

/// Why a human is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    Finding {
        finding: Box<PlacedFinding>,
        attempt: Option<AttemptId>,
    },
    /// Something is worse than it was on an earlier call.
    Trend {
        trend: Box<Trend>,
        /// The call at whose end it was seen.
        attempt: Option<AttemptId>,
    },
    /// Signs that the patient's condition, or each other, makes more urgent than they are by themselves.
    Pack {
        pack: PackId,
        /// A rule of `dialogs/redflags/packs.tsv`, and its reason.
        rule: String,
        why: String,
        urgency: Urgency,
        concepts: Vec<ConceptId>,
        /// The call that told them.
        attempt: Option<AttemptId>,
    },
    /// An identified call broke off before its emergency screen was answered.
    Incomplete,
    /// An emergency question was asked twice and not answered clearly.
    NotAssessed {
        node: String,
    },
    /// Two identity failures, or a person who would not say who they are.
    IdentityFailed,
    /// Attempts are used up.
    Unreachable,
    AskedForPerson,
    CallBackAt {
        words: String,
    },
    OptedOut,
    ReportedDeath,
    ReportedReadmission,
    InvalidNumber,
    /// A step was due and no robot may call, or could in time: whom a person reaches in another way.
    NotCalled {
        reason: ReasonCode,
    },
    /// What a person does: a step of the pathway by its name, [`LETTER`], [`MISSED_READINGS`].
    Task {
        task: String,
    },
}

/// To write to who could not be reached by telephone.
pub const LETTER: &str = "letter";
/// To ask after readings that a patient at home has not sent.
pub const MISSED_READINGS: &str = "missed_readings";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    True,
    False,
    AlreadyKnown,
    Unreachable,
    SentToEmergency,
    Readmitted,
}
