//! One INVITE and what came of it.

use serde::{Deserialize, Serialize};

use crate::codec::Codec;
use crate::finding::{PlacedFinding, Suppressed};
use crate::heard::Transcript;
use crate::id::{AttemptId, ConceptId, NodeId, StepId};
use crate::phi::Phi;
use crate::phone::PhoneNumber;
use crate::question::{QuestionKind, Respondent};
use crate::reading::Reading;
use crate::sip::event::EndCause;
use crate::time::Timestamp;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Identified, emergency screen answered, closing spoken.
    #[display("completed")]
    Completed,
    /// Identified, and broken off before the end.
    #[display("partial")]
    Partial,
    /// Broken off between the emergency advice and its end.
    #[display("cut_in_emergency")]
    CutInEmergency,
    /// A person answered and was never identified.
    #[display("unidentified")]
    Unidentified,
    #[display("wrong_party")]
    WrongParty,
    /// Not convenient now, or asked to be called later.
    #[display("not_now")]
    NotNow,
    /// Asked for a person instead of the robot.
    #[display("asked_for_person")]
    AskedForPerson,
    /// A nurse took the patient over at her browser, and the call ended in her hands.
    #[display("taken_over")]
    TakenOver,
    #[display("opted_out")]
    OptedOut,
    #[display("reported_death")]
    ReportedDeath,
    #[display("reported_readmission")]
    ReportedReadmission,
    /// Voicemail, assistant or answering machine.
    #[display("machine")]
    Machine,
    #[display("no_answer")]
    NoAnswer,
    #[display("busy")]
    Busy,
    /// Declined on the telephone (603, 403, cause 21).
    #[display("declined")]
    Declined,
    /// 空号 / 404 / 604: the number does not exist.
    #[display("invalid_number")]
    InvalidNumber,
    /// 已关机, 无法接通: cannot be reached now.
    #[display("unreachable")]
    Unreachable,
    /// The trunk failed us (5xx, time-out, no target): does not count as rung unless a 18x was seen.
    #[display("trunk_failure")]
    TrunkFailure,
    /// The engine stopped or crashed: counts as rung.
    #[display("interrupted")]
    Interrupted,
}

impl Disposition {
    pub const ALL: [Disposition; 19] = [
        Disposition::Completed,
        Disposition::Partial,
        Disposition::CutInEmergency,
        Disposition::Unidentified,
        Disposition::WrongParty,
        Disposition::NotNow,
        Disposition::AskedForPerson,
        Disposition::TakenOver,
        Disposition::OptedOut,
        Disposition::ReportedDeath,
        Disposition::ReportedReadmission,
        Disposition::Machine,
        Disposition::NoAnswer,
        Disposition::Busy,
        Disposition::Declined,
        Disposition::InvalidNumber,
        Disposition::Unreachable,
        Disposition::TrunkFailure,
        Disposition::Interrupted,
    ];

    /// Whether a call that the patient made says how the step goes on. One that came to nothing is as if it had not been.
    pub fn concerns_the_step(self) -> bool {
        match self {
            Disposition::Completed
            | Disposition::Partial
            | Disposition::CutInEmergency
            | Disposition::NotNow
            | Disposition::AskedForPerson
            | Disposition::TakenOver
            | Disposition::OptedOut
            | Disposition::ReportedDeath
            | Disposition::ReportedReadmission => true,
            Disposition::Unidentified
            | Disposition::WrongParty
            | Disposition::Machine
            | Disposition::NoAnswer
            | Disposition::Busy
            | Disposition::Declined
            | Disposition::InvalidNumber
            | Disposition::Unreachable
            | Disposition::TrunkFailure
            | Disposition::Interrupted => false,
        }
    }

    /// Whether the step needs no further call.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Disposition::Completed
                | Disposition::OptedOut
                | Disposition::ReportedDeath
                | Disposition::ReportedReadmission
                | Disposition::AskedForPerson
                | Disposition::TakenOver
                | Disposition::InvalidNumber
        )
    }
}

/// Who or what answered, decided by AMD and the conversation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    #[default]
    #[display("nobody")]
    Nobody,
    #[display("unsure")]
    Unsure,
    #[display("human")]
    Human,
    #[display("patient")]
    Patient,
    /// A listed contact.
    #[display("proxy")]
    Proxy,
    #[display("machine")]
    Machine,
}

/// How far an identified call came with what must not be left open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub identified: bool,
    /// Every question of the emergency screen has a clear answer, or was handed to a human.
    pub screened: bool,
    pub closing_spoken: bool,
}

/// One prompt and its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Counted from 0.
    pub index: u32,
    pub node: NodeId,
    pub prompt: Phi<String>,
    pub kind: Option<QuestionKind>,
    pub asks: Vec<ConceptId>,
    pub respondent: Respondent,
    /// When the prompt began and ended, in milliseconds from the start of the recording.
    pub prompt_from_ms: u64,
    pub prompt_to_ms: u64,
    pub reply: Option<TurnReply>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnReply {
    pub heard: Phi<Transcript>,
    /// Keys pressed instead of, or beside, words.
    pub keys: Phi<String>,
    /// What the conversation made of it: `yes`, `no`, a choice, a number, `unclear`, `silence`.
    pub meaning: String,
    pub from_ms: u64,
    pub to_ms: u64,
    /// From the last voiced sample received to the first voiced sample sent, on the RTP clock.
    pub latency_ms: Option<u32>,
    /// What the patient measured, as the words say it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
}

/// Permission for one INVITE, and its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    pub step: Option<StepId>,
    /// Counted from 1 within the step.
    pub number: u32,
    /// The number dialled: caps and suppression belong to it, whoever shares it.
    pub callee: Option<PhoneNumber>,
    pub state: AttemptState,
    pub trunk: String,
    pub script: String,
    pub script_hash: String,
    pub started_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub ending: Option<Ending>,
    pub progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Claimed; the INVITE may or may not have left.
    Dialling,
    Ringing,
    Talking,
    Ended,
}

/// How one attempt ended: kept apart are what SIP said, what the line played and who answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    pub disposition: Disposition,
    pub sip_status: Option<u16>,
    pub q850_cause: Option<u16>,
    /// Class of an announcement in early media: `invalid_number`, `powered_off`, …
    pub early_media: Option<String>,
    pub answered_by: AnsweredBy,
    /// The verdict on who answered; `None` where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<Met>,
    /// Whether the telephone may have rung: after 18x, an answer or a crash, and unless the network itself refused the call.
    pub rang: bool,
    pub talk_ms: u64,
}

/// Who was held to have answered, why, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// `human`, `silence`, `unsure`, or which machine: `voicemail`, `assistant`, `fax`, an announcement's class.
    pub who: String,
    /// `greeting`, `doubt` (which means human), `answer`, `picked_up` (from a machine), `said`, `beep`, `fax_tone`,
    /// `nothing_heard`.
    pub evidence: String,
    /// Milliseconds from the answer.
    pub at_ms: u64,
    /// What a machine was told: `name`, `message`, or `part_of_message` where that was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// Everything one finished call leaves behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    pub ending: Ending,
    pub progress: Progress,
    pub turns: Vec<Turn>,
    pub findings: Vec<PlacedFinding>,
    pub suppressed: Vec<Suppressed>,
    /// `None` where no call was made, or it left no trace but its row.
    #[serde(default)]
    pub line: Option<LineRecord>,
    /// What the conversation noted for a human, in the order noted.
    #[serde(default)]
    pub notes: Vec<CallNote>,
}

/// How the line was, for who looks after it; no health data. Times count from the INVITE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineRecord {
    pub why: EndCause,
    /// The one in use at the end; `None` where there was no audio.
    pub codec: Option<Codec>,
    pub rtcp_mux: bool,
    pub answered_after_ms: Option<u64>,
    /// When the peer's first and last packet came.
    pub first_heard_after_ms: Option<u64>,
    pub last_heard_after_ms: Option<u64>,
    pub rtp: Option<RtpFigures>,
}

/// Packets counted and measured, on our side and, by RTCP, on the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RtpFigures {
    pub sent: u64,
    pub received: u64,
    pub lost: u64,
    /// Too late to be played.
    pub late: u64,
    pub duplicates: u64,
    /// 20 ms frames that were made up.
    pub concealed: u64,
    pub jitter_ms: f32,
    pub far: FarFigures,
}

/// What the peer's RTCP says of our packets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarFigures {
    pub reports: u32,
    pub lost: u32,
    pub jitter_ms: f32,
    pub round_trip_ms: Option<f64>,
}

/// What a conversation leaves for the plan and for a human, beside its findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CallNote {
    /// An emergency question was asked twice and not answered clearly.
    NotAssessed {
        node: NodeId,
    },
    /// What was answered on an earlier call of the step, on the same day, was not asked again: that one's turns and
    /// findings belong to this one's.
    WentOn,
    /// Two identity failures, or a person who would not say who they are.
    IdentityFailed,
    AskedForPerson,
    /// They talked to a person on call, the one of this place in the ladder, from 0.
    Connected {
        rung: u32,
        talk_ms: u64,
    },
    /// A person at a browser had the patient, on the recording's clock: what is heard on the robot's side then is their
    /// voice.
    TakenOver {
        /// The name of an account.
        by: String,
        from_ms: u64,
        to_ms: u64,
    },
    /// Asked to be called later; the time in the words spoken.
    CallBackAt {
        words: Phi<String>,
    },
    OptedOut,
    ReportedDeath,
    ReportedReadmission,
    WrongParty,
    /// The fixed emergency advice was spoken for this concept.
    EmergencyAdviceGiven {
        concept: ConceptId,
    },
}
