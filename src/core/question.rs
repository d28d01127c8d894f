//! A question as the red-flag judgement needs it: what was asked, of whom, and in what form.

use serde::{Deserialize, Serialize};

use crate::id::ConceptId;
use crate::lang::Lang;

/// The form of a question decides what a bare "yes" or "no" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    YesNo,
    /// A tag question that expects "no": a bare 对 agrees that the symptom is absent.
    YesNoNegated,
    /// Asks for the healthy state or for adherence: a bare "no" means that the concept is present.
    YesNoInverse,
    Wh,
    #[default]
    Open,
}

/// Who answers. With a caregiver, 他 / 她 / "my mother" is the patient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Respondent {
    #[default]
    Patient,
    Caregiver,
}

/// What the robot asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub lang: Lang,
    pub text: String,
    pub kind: QuestionKind,
    /// The concepts asked for, in the order of the question.
    pub asks: Vec<ConceptId>,
    pub respondent: Respondent,
}
