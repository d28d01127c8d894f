//! A whole-call fixture: what the line does, what the person says, and what must come of it.
//!
//! ```toml
//! script = "cardiac"
//! day    = 3
//! line   = ["+200ms 180", "+3s 200 pcma"]
//! says   = { identity = "是我", chest_pain = "昨天晚上胸口有点闷" }
//! expect = { disposition = "completed", findings = ["chest_pain present"], order = "emergent" }
//! ```
//! A reply may name what follows the first asking after ` / `, and an act in brackets: `(silent)`,
//! `(coughs)`, `(hangs up)`, `(keys 0412)`; `(into 1500ms) 等一下` is said so long into the robot's speech.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::callee::Pick;
use crate::codec::Codec;
use crate::lang::Lang;
use crate::patient::Hearing;

/// One call, from ringing to what is expected of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    pub script: String,
    #[serde(default = "zh")]
    pub lang: Lang,
    pub day: u16,
    /// Answers of a base file (`base/zh.toml`) for the nodes not named here.
    pub base: Option<String>,
    /// The call before, of the same step on the same day: this one goes on with what that one was answered.
    pub after: Option<String>,
    /// Why this call is worth having.
    #[serde(default)]
    pub story: String,
    #[serde(deserialize_with = "line_events")]
    pub line: Vec<LineEvent>,
    /// Said on the answer; ` (beep)` at its end is a voicemail's.
    pub greeting: Option<String>,
    /// By node id; ids that are not named take `otherwise`.
    #[serde(default)]
    pub says: BTreeMap<String, String>,
    pub otherwise: Option<String>,
    /// Answered, and no RTP ever comes.
    #[serde(default)]
    pub mute: bool,
    /// `Reason` header of a final refusal.
    pub reason: Option<String>,
    #[serde(default)]
    pub loss: f64,
    #[serde(default)]
    pub jitter_ms: u64,
    /// Nodes whose words come too late.
    #[serde(default)]
    pub late: Vec<String>,
    /// Nodes whose words come so much later, in milliseconds.
    #[serde(default)]
    pub heard_after_ms: BTreeMap<String, u64>,
    /// Nodes whose words are unsure (mean log-probability -1.2).
    #[serde(default)]
    pub unsure: Vec<String>,
    /// What the database needs for a finding; never answers when negative. Default 0 ms.
    #[serde(default = "at_once", deserialize_with = "store_delay")]
    pub stores_after_ms: Option<u64>,
    /// The site leaves messages on voicemails.
    #[serde(default)]
    pub leaves_message: bool,
    #[serde(default)]
    pub knows_diagnosis: bool,
    #[serde(default)]
    pub high_risk: bool,
    /// Of the record.
    pub dialect: Option<String>,
    #[serde(default)]
    pub hearing: Hearing,
    /// The shell hangs up (shutdown) so long after the INVITE.
    pub shutdown_ms: Option<u64>,
    /// How long each recorded prompt lasts. Default 500 ms.
    #[serde(default = "half_a_second")]
    pub prompt_ms: u64,
    /// The robot's voice comes back so much later, and so much quieter.
    pub echo: Option<EchoPath>,
    /// Noise round the telephone, in dBFS.
    pub noise_db: Option<f32>,
    pub expect: Expect,
}

/// The way of the robot's voice back to it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EchoPath {
    /// In whole slots of 20 ms.
    pub delay_ms: u64,
    pub loss_db: f32,
}

/// What must come of the call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub disposition: String,
    /// `concept polarity`, every one that is not absent.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Urgency of the work order, or `none`.
    pub order: String,
    #[serde(default)]
    pub causes: Vec<String>,
    /// `concept why`, where the audit sample matters.
    pub suppressed: Option<Vec<String>>,
    /// `concept @node`: denied afterwards, and on the order all the same.
    #[serde(default)]
    pub denied: Vec<String>,
    /// `concept when` of findings that raise an order.
    pub times: Option<Vec<String>>,
    /// `concept subject`, alike.
    pub subjects: Option<Vec<String>>,
    /// Nodes that the robot came to, and such as it must not.
    #[serde(default)]
    pub asked: Vec<String>,
    #[serde(default)]
    pub not_asked: Vec<String>,
    /// The call's shortest and longest time, in seconds.
    pub lasts_s: Option<(u64, u64)>,
    pub answered_by: Option<String>,
    /// What a machine was told, or `nothing`.
    pub told: Option<String>,
    pub screened: Option<bool>,
    /// Whether the call counts as one that may have rung.
    pub rang: Option<bool>,
    /// What the call before was answered is not asked again.
    #[serde(default)]
    pub went_on: bool,
    /// How often the robot was interrupted.
    #[serde(default)]
    pub interrupted: usize,
    /// How often the robot asked for patience, as the words were late.
    #[serde(default)]
    pub patience: usize,
    /// How often nodes were asked, where more than whether matters.
    #[serde(default)]
    pub times_asked: BTreeMap<String, usize>,
    /// The longest that the robot may talk on over somebody, in milliseconds.
    pub talked_over_ms: Option<u64>,
    /// The shortest and the longest that the robot may hold its breath before it goes on, in milliseconds.
    pub holds_ms: Option<(u64, u64)>,
}

/// What the line does, each so long after the INVITE.
#[derive(Clone, Debug, PartialEq)]
pub enum LineEvent {
    Status {
        after: Duration,
        status: u16,
    },
    /// 183 with SDP, and an announcement in early media.
    Announce {
        after: Duration,
        text: String,
    },
    Answer {
        after: Duration,
        codec: Codec,
    },
    HangUp {
        after: Duration,
    },
}

impl LineEvent {
    pub fn after(&self) -> Duration {
        match self {
            LineEvent::Status { after, .. }
            | LineEvent::Announce { after, .. }
            | LineEvent::Answer { after, .. }
            | LineEvent::HangUp { after } => *after,
        }
    }
}

/// Why a fixture was refused.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    #[error("{name}: {source}")]
    Toml {
        name: String,
        source: Box<toml::de::Error>,
    },
}

impl Fixture {
    /// Reads one fixture.
    ///
    /// # Errors
    /// When the TOML or a line event cannot be read; names the place.
    pub fn parse(name: &str, text: &str) -> Result<Fixture, FixtureError> {
        toml::from_str(text).map_err(|source| FixtureError::Toml {
            name: name.to_owned(),
            source: Box::new(source),
        })
    }

    /// What the person does when `node` is asked for the `nth` time (from 0).
    pub(super) fn pick(&self, node: &str, nth: usize) -> Pick {
        let Some(says) = self.says.get(node).or(self.otherwise.as_ref()) else {
            return Pick::Silence;
        };
        let choices: Vec<&str> = says.split(" / ").collect();
        let chosen = choices[nth.min(choices.len() - 1)];
        act(chosen)
    }
}

/// One act of the person: words, or something in brackets.
fn act(chosen: &str) -> Pick {
    let keys = || chosen.strip_prefix("(keys ")?.strip_suffix(')');
    match chosen {
        "(silent)" => Pick::Silence,
        "(coughs)" => Pick::Cough,
        "(hangs up)" => Pick::HangUp,
        _ => into(chosen)
            .or_else(|| {
                Some(Pick::Else(Box::new(act(
                    chosen.strip_prefix("(somebody else) ")?
                ))))
            })
            .or_else(|| Some(Pick::Keys(keys()?.to_owned())))
            .unwrap_or_else(|| Pick::Say(chosen.to_owned())),
    }
}

/// `(into 1500ms) 等一下`.
fn into(chosen: &str) -> Option<Pick> {
    let (after, what) = chosen.strip_prefix("(into ")?.split_once("ms) ")?;
    Some(Pick::Into {
        after: Duration::from_millis(after.parse().ok()?),
        what: Box::new(act(what)),
    })
}

fn half_a_second() -> u64 {
    500
}

fn at_once() -> Option<u64> {
    Some(0)
}

fn store_delay<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(u64::try_from(i64::deserialize(deserializer)?).ok())
}

fn zh() -> Lang {
    Lang::Zh
}

fn line_events<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<LineEvent>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| line_event(text).ok_or_else(|| bad_event(text)))
        .collect()
}

fn bad_event<E: serde::de::Error>(text: &str) -> E {
    E::custom(format!(
        "line event `{text}`; write `+200ms 180`, `+3s 200 pcma`, `+1s announce …` or `+9s bye`"
    ))
}

fn line_event(text: &str) -> Option<LineEvent> {
    let (after, what) = text.strip_prefix('+')?.split_once(' ')?;
    let after = match after.strip_suffix("ms") {
        Some(ms) => Duration::from_millis(ms.parse().ok()?),
        None => Duration::from_secs_f64(after.strip_suffix('s')?.parse().ok()?),
    };
    Some(match what.split_once(' ').unwrap_or((what, "")) {
        ("bye", "") => LineEvent::HangUp { after },
        ("announce", text) => LineEvent::Announce {
            after,
            text: text.to_owned(),
        },
        ("200", "pcma") => LineEvent::Answer {
            after,
            codec: Codec::Pcma,
        },
        ("200", "pcmu") => LineEvent::Answer {
            after,
            codec: Codec::Pcmu,
        },
        (status, "") => LineEvent::Status {
            after,
            status: status.parse().ok().filter(|s| (100..700).contains(s))?,
        },
        _ => return None,
    })
}
