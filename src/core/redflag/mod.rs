//! Red flags: a question and its reply in, findings out, each with the wording and the rules that made it.
//!
//! Rules over reviewed data (`dialogs/redflags`), no model: the same words give the same verdict for ever.
//! The steps are pure and run in this order: [`normal`] (text with offsets), [`find`] (wordings over characters
//! and over syllables), [`measure`] (spoken numbers against thresholds), [`assert`] (negation, time, experiencer,
//! doubt), [`frame`] (what a bare answer means to this question), [`merge`] (one finding a concept and subject).
//! The labelling policy is `dialogs/redflags/README.md`. Calls, turns and audio times are left to the call.

mod around;
mod assert;
mod cue;
mod doubt;
mod english;
mod find;
mod frame;
mod index;
mod lexicon;
pub mod mapping;
mod measure;
mod merge;
mod normal;
mod numbers;
pub mod pack;
pub mod rows;
mod span;
mod stem;
mod trie;
mod when;

use self::mapping::Mapped;
use self::pack::Packs;
use crate::finding::{Finding, Suppressed, Urgency};
use crate::id::ConceptId;
use crate::question::Question;
use crate::reading::Reading;
use crate::signature::{Claim, Signature, Work};

pub use span::{Scope, assert_span};

/// The files of `dialogs/redflags` that [`Lexicon::compile`] wants.
pub const FILES: [&str; 16] = lexicon::FILES;

/// Version of the rules in this module; it goes into every finding's evidence beside the lexicon's hash.
pub const ENGINE: &str = concat!("redflag-", env!("CARGO_PKG_VERSION"), "-1");

/// One of the 55 normative concepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concept {
    pub id: ConceptId,
    pub zh: String,
    pub en: String,
    pub urgency: Urgency,
    /// Concepts of one family are degrees of one thing (headache, severe_headache).
    pub family: String,
    /// A thing that happened (a fall): counts any time since discharge.
    pub event: bool,
    /// Counts only where it is new (a palsy): what an old illness left and is no different is historical.
    pub onset: bool,
}

/// A concept of our own below one of the 55: `assess` says both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    pub id: String,
    pub parent: ConceptId,
    pub zh: String,
    pub en: String,
    /// May be more or less urgent than the parent, and is never routine where the parent is not.
    pub urgency: Urgency,
    /// The confirming question of the parent fits it; otherwise a doubtful hit is raised as unconfirmed.
    pub confirmed_by_parent: bool,
    pub definition: String,
    /// Why it may be less urgent than its parent; `None` where it is not.
    pub why_lower: Option<String>,
    /// A sign (cold sweat) that beside an emergent finding is part of that and no finding of its own.
    pub sign: bool,
}

/// Why a lexicon was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LexiconError {
    #[error("{file}: the file is missing from the lexicon")]
    Missing { file: String },
    #[error("{file}:{line}: {problem}")]
    Line {
        file: String,
        line: usize,
        problem: String,
    },
}

/// The compiled lexicon: concepts, details, wordings, cues, maskers, collisions, thresholds and packs.
#[derive(Debug)]
pub struct Lexicon {
    about: Vec<(String, String)>,
    concepts: Vec<Concept>,
    details: Vec<Detail>,
    packs: Packs,
    mapping: Vec<Mapped>,
    hash: String,
    tables: lexicon::Tables,
}

impl Lexicon {
    /// SHA-256 over names and texts of the files, in hex: part of every finding's evidence.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The lexicon as a clinician signs it, with the signature that lay beside it.
    pub fn claim<'a>(&'a self, signature: Option<&'a Signature>) -> Claim<'a> {
        Claim {
            work: Work::Lexicon,
            hash: &self.hash,
            signature,
        }
    }

    /// What the lexicon is and where it comes from: `id`, `revision`, `title`, `author` and every `source`.
    pub fn about(&self) -> &[(String, String)] {
        &self.about
    }

    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// What conditions make more urgent.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// The clinical table's groups on these concepts, and what is lost on the way.
    pub fn mapping(&self) -> &[Mapped] {
        &self.mapping
    }
}

/// What the patient or caregiver said.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    pub text: &'a str,
    /// Mean log-probability of the recogniser; `None` for typed text, which is taken as certain.
    pub logprob: Option<f32>,
}

/// What one reply says of the red flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// One a concept and subject, in the order of `concepts.tsv`.
    pub findings: Vec<Finding>,
    /// Matched, then masked, hypothetical or only asked about: for the audit sample.
    pub suppressed: Vec<Suppressed>,
    /// Some non-routine concept is present or uncertain in the patient.
    pub alert: bool,
    /// What the patient measured, for the trend: values that can be true, said of now.
    pub readings: Vec<Reading>,
}

/// Judges one reply to one question. Never fails; text that says nothing gives no findings.
pub fn assess(lexicon: &Lexicon, question: &Question, reply: &Reply<'_>) -> Assessment {
    merge::assess(lexicon, question, reply)
}
