//! Lines of concepts: what was said of one red flag on one call after the other.

use super::{
    Direction, History, Judged, Line, PastCall, Rules, Trend, Value, WHAT_IS_WORSE, judged,
};
use crate::finding::{About, Confirmation, PlacedFinding, Polarity, Urgency};
use crate::id::ConceptId;

/// A line for every concept that was there, or may have been, on some call.
pub(super) fn lines(rules: &Rules, history: &History, measured: &[Trend]) -> Vec<Trend> {
    let who = [About::Patient, About::Newborn];
    let followed = rules.concepts.iter().flat_map(|concept| {
        who.map(|about| Follow {
            rules,
            history,
            concept: &concept.id,
            about,
            measured,
        })
    });
    followed.filter_map(|follow| follow.line()).collect()
}

/// What a call told of the patient's concept: present outweighs uncertain, uncertain over, over absent. A faint
/// hit that was denied when asked again tells nothing; one that stayed unclear, or was denied later, is uncertain.
fn polarity(call: &PastCall, concept: &ConceptId, about: About) -> Option<Polarity> {
    let told = of(call, concept, about).filter_map(|placed| {
        let polarity = placed.finding.polarity;
        if placed.denied.is_some() && polarity == Polarity::Present {
            return Some(Polarity::Uncertain);
        }
        match (placed.finding.confirmation, polarity) {
            (_, Polarity::OtherPerson) | (Confirmation::Denied, _) => None,
            (Confirmation::Due | Confirmation::Unclear, Polarity::Present) => {
                Some(Polarity::Uncertain)
            }
            (
                Confirmation::NotNeeded
                | Confirmation::Confirmed
                | Confirmation::Due
                | Confirmation::Unclear,
                _,
            ) => Some(polarity),
        }
    });
    told.min()
}

fn of<'a>(
    call: &'a PastCall,
    concept: &ConceptId,
    about: About,
) -> impl Iterator<Item = &'a PlacedFinding> {
    let findings = call.findings.iter();
    findings
        .filter(move |placed| placed.finding.concept == *concept && placed.finding.subject == about)
}

/// One concept under judgement.
struct Follow<'a> {
    rules: &'a Rules,
    history: &'a History,
    concept: &'a ConceptId,
    about: About,
    measured: &'a [Trend],
}

impl Follow<'_> {
    fn line(&self) -> Option<Trend> {
        let calls = self.history.calls.iter();
        let told = calls.filter_map(|call| Some((call, self.told(call)?)));
        let known: Vec<(&PastCall, Polarity)> = told.collect();
        if known
            .iter()
            .all(|(_, polarity)| *polarity == Polarity::Absent)
        {
            return None;
        }
        let judged = self.judge(&known);
        let worse = judged.direction == Direction::Worse;
        let points = known
            .iter()
            .map(|(call, polarity)| call.point(Value::Polarity(*polarity)));
        Some(Trend {
            line: Line::Concept {
                concept: self.concept.clone(),
                about: self.about,
            },
            points: points.collect(),
            direction: judged.direction,
            rule: judged.rule,
            urgency: self.urgency().filter(|_| worse),
            concept: Some(self.concept.clone()),
        })
    }

    fn told(&self, call: &PastCall) -> Option<Polarity> {
        polarity(call, self.concept, self.about)
    }

    fn judge(&self, known: &[(&PastCall, Polarity)]) -> Judged {
        let Some(((call, now), earlier)) = known.split_last() else {
            return judged(Direction::Unknown, "concept.none");
        };
        if self
            .history
            .calls
            .last()
            .is_some_and(|last| last.at != call.at)
        {
            return judged(Direction::Unknown, "concept.not_assessed");
        }
        let severer =
            *now == Polarity::Present && self.was_milder(earlier.last().map(|(_, was)| *was));
        let Some((_, before)) = earlier.last() else {
            return if severer {
                judged(Direction::Worse, "concept.severer")
            } else {
                judged(Direction::Unknown, "concept.first")
            };
        };
        match (before, now) {
            (Polarity::Absent, Polarity::Present) => judged(Direction::Worse, "concept.appeared"),
            (Polarity::Historical, Polarity::Present) => {
                judged(Direction::Worse, "concept.returned")
            }
            (Polarity::Present, Polarity::Present) => self.still_there(call),
            (_, Polarity::Present) if severer => judged(Direction::Worse, "concept.severer"),
            (Polarity::Present, Polarity::Absent) => judged(Direction::Better, "concept.gone"),
            (Polarity::Absent | Polarity::Historical, Polarity::Absent)
            | (Polarity::Historical, Polarity::Historical) => {
                judged(Direction::Same, "concept.same")
            }
            // A doubt on either side, or a time that the two calls tell differently.
            (Polarity::Uncertain | Polarity::OtherPerson, _)
            | (_, Polarity::Uncertain | Polarity::Historical | Polarity::OtherPerson) => {
                judged(Direction::Unknown, "concept.unsure")
            }
        }
    }

    /// There on both calls: the same, unless the patient or a number says worse.
    fn still_there(&self, call: &PastCall) -> Judged {
        let mut told = of(call, self.concept, self.about)
            .filter(|placed| placed.finding.polarity == Polarity::Present);
        let said = |placed: &PlacedFinding| {
            placed.node.0 == WHAT_IS_WORSE || self.rules.says_worse(&sentence(placed))
        };
        if told.any(said) {
            return judged(Direction::Worse, "concept.said_worse");
        }
        let news = self.history.known_until();
        let number = self.measured.iter().find(|line| {
            self.about == About::Patient
                && line.direction == Direction::Worse
                && line.concept.as_ref() == Some(self.concept)
                && line.is_news(news)
        });
        match number {
            Some(_) => judged(Direction::Worse, "concept.number_worse"),
            None => judged(Direction::Same, "concept.same"),
        }
    }

    /// A less urgent concept of the family was there on the call before, and this one, if assessed, was not.
    fn was_milder(&self, was: Option<Polarity>) -> bool {
        let Some(own) = self.rules.graded(self.concept) else {
            return false;
        };
        let Some(before) = self.history.calls.iter().rev().nth(1) else {
            return false;
        };
        let mut milder = self.rules.concepts.iter().filter(|other| {
            other.family == own.family && other.urgency > own.urgency && other.id != own.id
        });
        was != Some(Polarity::Present)
            && milder
                .any(|other| polarity(before, &other.id, self.about) == Some(Polarity::Present))
    }

    /// One step above the concept's own: what is worse than at the last call is no longer of the same day. The step
    /// from urgent to emergent is not ours: an emergency is one by its words. What is routine is only shown.
    fn urgency(&self) -> Option<Urgency> {
        let own = self.rules.graded(self.concept)?.urgency;
        let call = self.history.calls.last()?;
        let found = of(call, self.concept, self.about).map(|placed| placed.finding.urgency);
        match found.fold(own, Urgency::min) {
            Urgency::Emergent => Some(Urgency::Emergent),
            Urgency::Urgent | Urgency::SameDay => Some(Urgency::Urgent),
            Urgency::Routine => None,
        }
    }
}

/// The sentence of the reply that the finding stands in.
fn sentence(placed: &PlacedFinding) -> String {
    let evidence = &placed.finding.evidence;
    let raw: Vec<char> = evidence.raw.chars().collect();
    let ends = |c: &char| matches!(c, '。' | '！' | '？' | '；' | '.' | '!' | '?' | ';');
    let start = evidence.span.0.min(raw.len());
    let end = evidence.span.1.clamp(start, raw.len());
    let from = raw[..start].iter().rposition(ends).map_or(0, |at| at + 1);
    let to = raw[end..]
        .iter()
        .position(ends)
        .map_or(raw.len(), |at| end + at);
    raw[from..to].iter().collect()
}
