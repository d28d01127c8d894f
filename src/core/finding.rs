//! Findings: a red-flag concept heard in a reply, with the evidence for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ConceptId, NodeId};

/// What the reply says of a concept (`dialogs/redflags`, labelling policy).
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
pub enum Polarity {
    #[display("present")]
    Present,
    #[display("uncertain")]
    Uncertain,
    #[display("historical")]
    Historical,
    #[display("other_person")]
    OtherPerson,
    #[display("absent")]
    Absent,
}

/// How soon a human must act; the first is the most urgent.
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
pub enum Urgency {
    #[display("emergent")]
    Emergent,
    #[display("urgent")]
    Urgent,
    #[display("same_day")]
    SameDay,
    #[display("routine")]
    Routine,
}

/// Whether a doubtful emergent hit was asked about once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// Heard well enough: no confirming question was due.
    #[default]
    NotNeeded,
    /// A confirming question is due and has not been answered.
    Due,
    Confirmed,
    /// Clearly denied: a suppressed finding, kept for the audit sample.
    Denied,
    /// Asked and still unclear, or heard only after the call: the work order says unconfirmed.
    Unclear,
}

/// How a term was matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchLevel {
    /// The characters or words themselves.
    Text,
    /// Same syllables and tones.
    PinyinTone,
    /// Same syllables without tones.
    Pinyin,
    /// Syllables that whisper and dialects confuse (zh/z, n/l, …), or a known ASR confusion.
    Fuzzy,
    /// No term: a bare answer read through the question, or a number against its threshold.
    Frame,
}

/// One rule that fired, with the part of the raw reply it looked at (character offsets, half open).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFired {
    pub rule: String,
    pub span: (usize, usize),
    pub before: Polarity,
    pub after: Polarity,
}

/// Why a finding was made. Call, turn and audio interval are joined to it by the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The whole reply, shared by all that was found in it.
    pub raw: Arc<str>,
    pub normalised: Arc<str>,
    /// Character offsets in `raw`, half open.
    pub span: (usize, usize),
    /// The wording of the lexicon that matched; empty for [`MatchLevel::Frame`].
    pub term: String,
    pub level: MatchLevel,
    /// Syllables of the matched stretch, for Mandarin.
    pub pinyin: Option<String>,
    pub rules: Vec<RuleFired>,
    /// Hash over lexicon and rules.
    pub lexicon: String,
    pub engine: String,
}

/// When it happens, as the words say.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[display("now")]
    Now,
    /// Since yesterday, and nothing says that it is over.
    #[display("within_24_h")]
    #[serde(rename = "within_24_h")]
    Within24h,
    /// It was, and has stopped.
    #[display("over")]
    Over,
    /// No word about its time: treated as now.
    #[default]
    #[display("unclear")]
    Unclear,
}

/// Whom it concerns.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub enum About {
    #[default]
    #[display("patient")]
    Patient,
    /// The child of a mother who is the patient.
    #[display("newborn")]
    Newborn,
}

/// A red-flag concept heard (policy: present or uncertain and not routine raises a work order).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub concept: ConceptId,
    /// A concept of our own below `concept` (cyanosis, cold sweat, …).
    pub detail: Option<String>,
    pub polarity: Polarity,
    pub urgency: Urgency,
    pub confirmation: Confirmation,
    #[serde(default)]
    pub when: When,
    #[serde(default)]
    pub subject: About,
    pub evidence: Evidence,
}

impl Finding {
    /// Present or uncertain in the patient, and not denied when asked again.
    pub fn is_there(&self) -> bool {
        matches!(self.polarity, Polarity::Present | Polarity::Uncertain)
            && self.confirmation != Confirmation::Denied
    }

    /// A human must see it: there, and not routine.
    pub fn alerts(&self) -> bool {
        self.is_there() && self.urgency != Urgency::Routine
    }
}

/// Matched and then masked, negated, historical or denied: kept for the audit sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suppressed {
    pub concept: ConceptId,
    pub why: String,
    pub evidence: Evidence,
}

/// A finding placed in its call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacedFinding {
    pub finding: Finding,
    /// The turn it was heard in, counted from 0.
    pub turn: u32,
    pub node: NodeId,
    /// Where the reply lies in the recording, in milliseconds from its start.
    pub from_ms: u64,
    pub to_ms: u64,
    /// A later "no": shown on the order, which it never withdraws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denial>,
}

/// Where a finding was denied afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub turn: u32,
    pub node: NodeId,
    pub from_ms: u64,
    pub to_ms: u64,
    /// The reply, as heard.
    pub raw: String,
}
