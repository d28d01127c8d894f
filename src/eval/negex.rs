//! The English scope rules against other people's labels: negation, time and experiencer of targets in clinical notes.
//!
//! The targets are not our concepts and the notes are no telephone replies; this measures the rules, not the lexicon.
//! Published anchors for negation: a plain window .939, medspacy .903 (F1).

use aftercall_core::redflag::{Lexicon, Scope, assert_span};
use serde::{Deserialize, Serialize};

use super::score::Pairs;

/// One target of the NegEx/ConText kit.
#[derive(Clone, Debug, Deserialize)]
pub struct Span {
    pub id: String,
    pub sentence: String,
    /// In characters, half open.
    pub start: usize,
    pub end: usize,
    pub negation: Negation,
    pub temporality: Temporality,
    pub experiencer: Experiencer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Negation {
    Affirmed,
    Negated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Temporality {
    Recent,
    Historical,
    #[serde(rename = "Not particular")]
    NotParticular,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Experiencer {
    Patient,
    #[serde(rename = "Family member")]
    Family,
    Other,
}

/// How the three agree with the labels, each over all spans.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanScore {
    pub spans: usize,
    pub negated: Pairs,
    pub historical: Pairs,
    pub other_person: Pairs,
    pub f1_negated: f64,
    pub f1_historical: f64,
    pub f1_other_person: f64,
    /// Spans judged otherwise than labelled: negation first, then time and experiencer.
    pub errors: Vec<String>,
    pub labels: &'static str,
}

/// Reads one line.
///
/// # Errors
/// A line that is no span, or whose span lies outside its sentence.
pub fn read(line: &str) -> anyhow::Result<Span> {
    let span: Span = serde_json::from_str(line)?;
    let inside = span.start < span.end && span.end <= span.sentence.chars().count();
    anyhow::ensure!(inside, "the span of {} lies outside its sentence", span.id);
    Ok(span)
}

/// Judges every span by the scope rules.
pub fn score(lexicon: &Lexicon, spans: &[Span]) -> SpanScore {
    let (mut negated, mut historical, mut other) =
        (Pairs::default(), Pairs::default(), Pairs::default());
    let mut errors = Vec::new();
    for span in spans {
        let said: Scope = assert_span(lexicon, &span.sentence, (span.start, span.end));
        let past = span.temporality == Temporality::Historical;
        let else_s = span.experiencer != Experiencer::Patient;
        let judged = [
            ("negated", span.negation == Negation::Negated, said.negated),
            ("historical", past, said.historical),
            ("other person", else_s, said.other_person),
        ];
        for ((what, gold, ours), pairs) in
            judged
                .into_iter()
                .zip([&mut negated, &mut historical, &mut other])
        {
            pairs.count(gold, ours);
            if gold != ours {
                let fault = if gold { "MISS" } else { "FALSE" };
                let chars = span.sentence.chars().skip(span.start);
                let target: String = chars.take(span.end - span.start).collect();
                errors.push((
                    what,
                    !gold,
                    format!("{fault} {what} {} [{target}] {}", span.id, span.sentence),
                ));
            }
        }
    }
    let order = ["negated", "historical", "other person"];
    errors.sort_by_key(|(what, falsely, _)| (order.iter().position(|o| o == what), *falsely));
    let errors = errors.into_iter().map(|(_, _, line)| line).collect();
    SpanScore {
        spans: spans.len(),
        f1_negated: negated.f1(),
        f1_historical: historical.f1(),
        f1_other_person: other.f1(),
        negated,
        historical,
        other_person: other,
        errors,
        labels: "The labels are those of the NegEx kit's annotators, on notes and not on replies.",
    }
}
