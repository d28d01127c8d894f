//! What the ear made of one utterance.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::phi::Phi;

/// The answer of the speech recogniser to one utterance. Late speech is an input, not an error.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Words(Transcript),
    /// Noise, music or silence: nothing that a person said.
    NoSpeech,
    /// The queue was full, the deadline passed or the recogniser failed: ask again or offer keys.
    TooLate,
}

/// Words with their confidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Simplified characters for Mandarin.
    pub text: String,
    /// Mean log-probability of the text tokens: above -0.5 good, below -1.0 ask again (hearing.md §4.4).
    pub logprob: f32,
    /// Probability that there was no speech at all, 0–1.
    pub no_speech: f32,
    /// Of the choices that the question offered, the one that the sound itself fits best, when it stands out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Chosen>,
    /// What the same sound was heard as at other speeds, where it was heard unsurely, the same words again included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternates: Vec<String>,
    /// What the recogniser spent on it, in milliseconds of wall time.
    pub took_ms: u32,
}

/// Answers that the recogniser is to tell apart by their sound, whatever words it wrote down.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Choices {
    #[default]
    None,
    /// Usual wordings, one an answer: the one that stands out is chosen.
    Scale(Vec<String>),
    /// Whole short replies, a group for each meaning: chosen where none was written down and one group stands out.
    Replies(Vec<Vec<String>>),
    /// The birthday on record, against every other day of the year: chosen only where the sound says so.
    Birthday(Phi<Date>),
}

/// A choice that the sound fits, whatever words were written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    pub words: String,
    /// Of a short reply the log-probability of its meaning, whole (nats); else the mean of the choice's tokens, forced at
    /// the end of what was heard.
    pub logprob: f32,
    /// By how much it is likelier than the best of the other meanings (nats a token).
    #[serde(default)]
    pub ahead: f32,
}
