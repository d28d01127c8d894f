//! Reviews: what QA says of a call on a score form, and of its findings: right, wrong, or missed at a word.
//!
//! Two people review the same call without seeing each other's review; [`agreement`] says how far they agree, [`row`]
//! makes a labelled reply of what they corrected. Who may see what, and when, is the store's and the API's matter.

pub mod agreement;
pub mod form;
pub mod row;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::attempt::Turn;
use crate::finding::{PlacedFinding, Suppressed};
use crate::id::ConceptId;
use crate::phi::Phi;
use crate::review::form::Form;

/// What one person says of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Id and revision of the score form.
    pub form: String,
    pub revision: u32,
    /// The option chosen for each criterion.
    pub scores: BTreeMap<String, String>,
    pub marks: Vec<Mark>,
    /// The reviewer's own words: may name the patient.
    pub note: Phi<String>,
}

/// A judgement of one finding, or of one that is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Mark {
    /// By its place among the call's findings, from 0.
    Finding { position: u32, is: Is },
    /// By its place among the suppressed ones, from 0: wrong means that it should have been a finding.
    Suppressed { position: u32, is: Is },
    /// At these characters of a turn's reply, half open, something was said that was not found.
    Missed {
        turn: u32,
        span: (usize, usize),
        concept: ConceptId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    Right,
    Wrong,
}

/// A call as a review speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct Reviewed<'a> {
    pub turns: &'a [Turn],
    pub findings: &'a [PlacedFinding],
    pub suppressed: &'a [Suppressed],
}

/// What is wrong with a review.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewFault {
    #[error("`{0}` has no score")]
    NoScore(String),
    #[error("the form has no criterion `{0}`")]
    NoCriterion(String),
    #[error("`{criterion}` has no option `{option}`")]
    NoOption { criterion: String, option: String },
    #[error("mark {at}: there is no such finding in the call")]
    NoFinding { at: usize },
    #[error("mark {at}: the reply of turn {turn} has no such characters")]
    NoWord { at: usize, turn: u32 },
    #[error("mark {at}: it is marked twice")]
    Twice { at: usize },
}

impl ReviewFault {
    /// The member of the review that is wrong.
    pub fn field(&self) -> String {
        match self {
            ReviewFault::NoScore(id) | ReviewFault::NoCriterion(id) => format!("scores.{id}"),
            ReviewFault::NoOption { criterion, .. } => format!("scores.{criterion}"),
            ReviewFault::NoFinding { at }
            | ReviewFault::NoWord { at, .. }
            | ReviewFault::Twice { at } => format!("marks[{at}]"),
        }
    }
}

impl Review {
    /// Holds the review to its form and to the call.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn check(&self, form: &Form, call: Reviewed<'_>) -> Result<(), ReviewFault> {
        for criterion in &form.criteria {
            let Some(option) = self.scores.get(&criterion.id) else {
                return Err(ReviewFault::NoScore(criterion.id.clone()));
            };
            if criterion.class(option).is_none() {
                return Err(ReviewFault::NoOption {
                    criterion: criterion.id.clone(),
                    option: option.clone(),
                });
            }
        }
        let known = |id: &&String| form.criteria.iter().any(|criterion| criterion.id == **id);
        if let Some(other) = self.scores.keys().find(|id| !known(id)) {
            return Err(ReviewFault::NoCriterion(other.clone()));
        }
        let mut seen = BTreeSet::new();
        for (at, mark) in self.marks.iter().enumerate() {
            call.has(at, mark)?;
            if !seen.insert(mark.place()) {
                return Err(ReviewFault::Twice { at });
            }
        }
        Ok(())
    }

    /// Whether something that should have been found was not.
    pub fn misses(&self) -> bool {
        self.marks.iter().any(|mark| match mark {
            Mark::Missed { .. } => true,
            Mark::Suppressed { is, .. } => *is == Is::Wrong,
            Mark::Finding { .. } => false,
        })
    }
}

impl Mark {
    /// The mark without its judgement: nobody says two things of the same.
    fn place(&self) -> Mark {
        let mut place = self.clone();
        match &mut place {
            Mark::Finding { is, .. } | Mark::Suppressed { is, .. } => *is = Is::Right,
            Mark::Missed { .. } => {}
        }
        place
    }
}

impl Reviewed<'_> {
    fn has(&self, at: usize, mark: &Mark) -> Result<(), ReviewFault> {
        let within = |position: u32, length: usize| {
            usize::try_from(position).is_ok_and(|position| position < length)
        };
        match mark {
            Mark::Finding { position, .. } if within(*position, self.findings.len()) => Ok(()),
            Mark::Suppressed { position, .. } if within(*position, self.suppressed.len()) => Ok(()),
            Mark::Finding { .. } | Mark::Suppressed { .. } => Err(ReviewFault::NoFinding { at }),
            Mark::Missed { turn, span, .. } => {
                let said = self.turns.iter().find(|one| one.index == *turn);
                let said = said.and_then(|one| one.reply.as_ref());
                let length = said.map_or(0, |reply| reply.heard.expose().text.chars().count());
                if span.0 < span.1 && span.1 <= length {
                    Ok(())
                } else {
                    Err(ReviewFault::NoWord { at, turn: *turn })
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
