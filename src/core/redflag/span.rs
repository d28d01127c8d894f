//! What a text asserts of any stretch of it, by the same rules that judge a wording of the lexicon.
//!
//! For measuring the rules against labels of other people, whose targets are not our concepts.

use smallvec::smallvec;
use smol_str::SmolStr;

use super::Lexicon;
use super::assert::{Aim, Scene, Verdict, Weight};
use super::find::{Context, Sighting, Slots, cue_hits, sightings, text_hits};
use super::index::Index;
use super::normal;
use crate::finding::{MatchLevel, Polarity, Urgency};
use crate::question::Respondent;

/// What was decided of the stretch, each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub negated: bool,
    /// Before the admission, or over.
    pub historical: bool,
    /// Of someone other than the patient.
    pub other_person: bool,
    /// Only asked about, feared or instructed.
    pub hypothetical: bool,
}

/// Judges the stretch `span` of `text` (characters, half open) as if it were a wording. A stretch without a word in
/// it is not decided at all.
pub fn assert_span(lexicon: &Lexicon, text: &str, span: (usize, usize)) -> Scope {
    let tables = &lexicon.tables;
    let units = normal::units(text);
    let inside: Vec<usize> = (0..units.len())
        .filter(|at| units[*at].raw.0 < span.1 && units[*at].raw.1 > span.0)
        .collect();
    let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
        return Scope::default();
    };
    let exact = text_hits(tables, &units);
    let cues = cue_hits(tables, &units, &exact);
    let slots = Slots::new(tables, exact);
    let context = Context {
        asked: &[],
        topics: Vec::new(),
        asked_classes: Vec::new(),
    };
    let seen = sightings(tables, &units, &slots, &cues, &context, &mut Vec::new());
    let scene = Scene {
        units: &units,
        cues: &cues,
        slots: &slots,
        sightings: &seen,
        respondent: Respondent::Patient,
        index: Index::new(&units, &cues, &slots, &seen),
        aim: Aim::Now,
    };
    let place = (*first, last + 1);
    let target = Sighting {
        concept: 0,
        detail: None,
        term: SmolStr::default(),
        start: place.0,
        end: place.1,
        anchor: place,
        spans: smallvec![place],
        level: MatchLevel::Text,
        topic: false,
        gapped: false,
    };
    let weight = Weight {
        concept: "",
        urgency: Urgency::Routine,
        event: false,
        onset: false,
    };
    scope(&scene.judge(&target, weight, Polarity::Present))
}

fn scope(verdict: &Verdict) -> Scope {
    let fired = |rules: &[&str]| {
        let mut all = verdict.rules.iter();
        all.any(|fired| rules.contains(&fired.rule.as_str()))
    };
    Scope {
        negated: fired(&["negation", "negation_far"]),
        historical: fired(&["past", "older", "ceased", "over_later"]),
        other_person: fired(&["experiencer"]),
        hypothetical: fired(&["question", "hypothetical"]),
    }
}
