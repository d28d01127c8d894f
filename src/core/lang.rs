//! The languages a conversation can be held in.

use serde::{Deserialize, Serialize};

/// A language with a complete set of scripts, prompts and red-flag wordings.
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
pub enum Lang {
    /// Mandarin Chinese, written in simplified characters.
    #[display("zh")]
    Zh,
    /// English.
    #[display("en")]
    En,
}

impl Lang {
    pub const ALL: [Lang; 2] = [Lang::Zh, Lang::En];

    /// Reads `zh` or `en`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Lang> {
        match text {
            "zh" => Some(Lang::Zh),
            "en" => Some(Lang::En),
            _ => None,
        }
    }
}
