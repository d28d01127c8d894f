//! Worse, the same or better: one line a question, concept or measure over the calls of a stay.
//!
//! A line is judged by ordered rules with ids, and what they cannot tell is unknown, never better. Numbers and
//! wordings of the rules are reviewed data ([`rules`]); the rules themselves follow "one P2 worse than last call"
//! of `dialogs/redflags/README.md`. Which calls belong to a stay is the store's matter, what a worse line asks of a
//! human is `work_order`'s.

mod concept;
mod measure;
mod rules;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use rules::{FILES, Graded, Rules, RulesError};

use crate::attempt::Turn;
use crate::finding::{About, PlacedFinding, Polarity, Urgency};
use crate::id::ConceptId;
use crate::reading::Measure;
use crate::time::Timestamp;

/// The node that asks on every call, in the same words, how the patient is compared with the discharge.
pub const OVERALL: &str = "trend";
/// The node that asks what got worse.
pub const WHAT_IS_WORSE: &str = "trend_worse";
/// The newest points of a line that are kept: a month of daily readings.
const KEPT: usize = 31;

/// What the calls of one stay told, and the readings that came beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Identified calls, the oldest first; the last one is the present call.
    pub calls: Vec<PastCall>,
    pub outside: Vec<Outside>,
}

/// One identified call.
#[derive(Clone, Debug, PartialEq)]
pub struct PastCall {
    /// Days after discharge of its step.
    pub day: u16,
    pub at: Timestamp,
    pub turns: Vec<Turn>,
    pub findings: Vec<PlacedFinding>,
}

/// A reading that did not come by telephone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outside {
    pub measure: Measure,
    pub value: f64,
    /// Days after discharge.
    pub day: u16,
    pub at: Timestamp,
}

impl History {
    /// When the call before the present one began: what is later is news.
    pub fn known_until(&self) -> Option<Timestamp> {
        let before = self.calls.len().checked_sub(2)?;
        Some(self.calls[before].at)
    }
}

/// One line over the calls of a stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    pub line: Line,
    /// The oldest first.
    pub points: Vec<Point>,
    pub direction: Direction,
    /// The rule that decided the direction: `concept.appeared`, `weight.week`, …
    pub rule: String,
    /// How soon a human must know of it by itself; `None` where it is only shown.
    pub urgency: Option<Urgency>,
    /// The concept that the line stands for.
    pub concept: Option<ConceptId>,
}

/// What a line follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// The answers to "compared with the discharge …".
    Overall,
    Measure {
        measure: Measure,
    },
    Concept {
        concept: ConceptId,
        /// Of the patient, or of her newborn child.
        #[serde(default)]
        about: About,
    },
}

/// One call or reading on a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Days after discharge.
    pub day: u16,
    pub at: Timestamp,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, derive_more::Display)]
#[serde(tag = "kind", content = "is", rename_all = "snake_case")]
pub enum Value {
    #[display("{_0}")]
    Polarity(Polarity),
    /// In the unit of the measure.
    #[display("{_0}")]
    Reading(f64),
    #[display("{_0}")]
    Answer(Overall),
}

/// How the patient is compared with the discharge, in the patient's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    #[display("worse")]
    Worse,
    #[display("same")]
    Same,
    #[display("better")]
    Better,
}

/// Where a line goes; the first is what a nurse reads first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[display("worse")]
    Worse,
    /// The rules cannot tell.
    #[display("unknown")]
    Unknown,
    #[display("same")]
    Same,
    #[display("better")]
    Better,
}

/// A direction and the rule that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Judged {
    direction: Direction,
    rule: String,
}

fn judged(direction: Direction, rule: &str) -> Judged {
    Judged {
        direction,
        rule: rule.to_owned(),
    }
}

/// Every line of the stay: worse ones first, then as overall, measures, concepts. Lines on which nothing was ever
/// there are left out.
pub fn trends(rules: &Rules, history: &History) -> Vec<Trend> {
    let mut lines: Vec<Trend> = overall(rules, history).into_iter().collect();
    lines.extend(measure::lines(rules, history));
    let measured = lines.clone();
    lines.extend(concept::lines(rules, history, &measured));
    lines.sort_by_key(|line| line.direction);
    for line in &mut lines {
        let old = line.points.len().saturating_sub(KEPT);
        line.points.drain(..old);
    }
    lines
}

/// The overall question compares with the discharge, so an answer of "worse" needs no earlier call.
fn overall(rules: &Rules, history: &History) -> Option<Trend> {
    let answered = history.calls.iter().filter_map(|call| {
        let said = call.turns.iter().rev().find_map(answer)?;
        Some((call, said))
    });
    let answered: Vec<(&PastCall, Overall)> = answered.collect();
    let (_, now) = *answered.last()?;
    let before = answered.iter().rev().nth(1).map(|(_, said)| *said);
    let judged = match (now, before) {
        (Overall::Worse, _) => judged(Direction::Worse, "overall.worse"),
        (Overall::Better, _) => judged(Direction::Better, "overall.better"),
        (Overall::Same, Some(Overall::Worse)) => judged(Direction::Better, "overall.recovered"),
        // Half of all well patients answer once so and once so: no rule can tell.
        (Overall::Same, Some(Overall::Better)) => judged(Direction::Unknown, "overall.slipped"),
        (Overall::Same, Some(Overall::Same) | None) => judged(Direction::Same, "overall.same"),
    };
    let worse = judged.direction == Direction::Worse;
    let points = answered
        .iter()
        .map(|(call, said)| call.point(Value::Answer(*said)));
    Some(Trend {
        line: Line::Overall,
        points: points.collect(),
        direction: judged.direction,
        rule: judged.rule,
        urgency: rules.overall_worse().filter(|_| worse),
        concept: None,
    })
}

fn answer(turn: &Turn) -> Option<Overall> {
    if turn.node.0 != OVERALL {
        return None;
    }
    match turn.reply.as_ref()?.meaning.as_str() {
        "worse" => Some(Overall::Worse),
        "same" => Some(Overall::Same),
        "better" => Some(Overall::Better),
        _ => None,
    }
}

impl PastCall {
    fn point(&self, value: Value) -> Point {
        Point {
            day: self.day,
            at: self.at,
            value,
        }
    }
}

impl Trend {
    /// Whether its last point is later than what was known.
    pub fn is_news(&self, known_until: Option<Timestamp>) -> bool {
        let last = self.points.last().map(|point| point.at);
        last.is_some() && last > known_until
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Overall => write!(f, "overall"),
            Line::Measure { measure } => write!(f, "{measure}"),
            Line::Concept { concept, about } => match about {
                About::Patient => write!(f, "{concept}"),
                About::Newborn => write!(f, "{about} {concept}"),
            },
        }
    }
}

/// `weight_kg: 64 (day 3), 66.5 (day 7): worse by weight.week`.
impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        for (at, point) in self.points.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} (day {})", point.value, point.day)?;
        }
        write!(f, ": {} by {}", self.direction, self.rule)
    }
}
