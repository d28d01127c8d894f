//! What a review corrected, as labelled replies in the form of `fixtures/redflag/rows.*.tsv`, without who it was.
//!
//! Names of the patient and the contacts, long numbers and years are taken out of question and reply. A person reads
//! the rows before they leave the hospital: words can tell who it was in ways that no rule sees.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::attempt::Turn;
use crate::finding::{Polarity, Urgency};
use crate::id::{AttemptId, ConceptId};
use crate::lang::Lang;
use crate::question::{QuestionKind, Respondent};
use crate::redflag::rows::COLUMNS;
use crate::review::{Is, Mark, Review, Reviewed};

/// What a row needs beside the call.
pub struct Source<'a> {
    pub attempt: &'a AttemptId,
    pub lang: Lang,
    /// Of the patient and of the contacts.
    pub names: &'a [String],
    /// How urgent a concept is; `None` where there is no such concept.
    pub urgency: &'a dyn Fn(&ConceptId) -> Option<Urgency>,
}

/// The head of a file of rows.
pub fn head() -> String {
    COLUMNS.join("\t")
}

/// One row for every reply of which the review corrects something.
pub fn rows(review: &Review, call: Reviewed<'_>, source: &Source<'_>) -> Vec<String> {
    let corrected = call.turns.iter().filter_map(|turn| {
        let expected = expected(review, call, turn)?;
        row(turn, &expected, source)
    });
    corrected.collect()
}

/// What the reply says of each concept by this review; `None` where it corrects nothing there.
fn expected(
    review: &Review,
    call: Reviewed<'_>,
    turn: &Turn,
) -> Option<BTreeMap<ConceptId, Polarity>> {
    let said = &turn.reply.as_ref()?.heard.expose().text;
    let is_wrong = |wanted: &Mark| review.marks.contains(wanted);
    let mut corrected = false;
    let mut expected = BTreeMap::new();
    for (position, placed) in (0..).zip(call.findings) {
        if placed.turn != turn.index {
            continue;
        }
        if is_wrong(&Mark::Finding {
            position,
            is: Is::Wrong,
        }) {
            corrected = true;
        } else {
            expected.insert(placed.finding.concept.clone(), placed.finding.polarity);
        }
    }
    for (position, suppressed) in (0..).zip(call.suppressed) {
        // A suppressed finding has no turn of its own: it is where its words were said.
        let is_here = suppressed.evidence.raw.as_ref() == said.as_str();
        if is_here
            && is_wrong(&Mark::Suppressed {
                position,
                is: Is::Wrong,
            })
        {
            corrected = true;
            expected.insert(suppressed.concept.clone(), Polarity::Present);
        }
    }
    for mark in &review.marks {
        if let Mark::Missed {
            turn: at, concept, ..
        } = mark
            && *at == turn.index
        {
            corrected = true;
            expected.insert(concept.clone(), Polarity::Present);
        }
    }
    corrected.then_some(expected)
}

fn row(
    turn: &Turn,
    expected: &BTreeMap<ConceptId, Polarity>,
    source: &Source<'_>,
) -> Option<String> {
    let reply = plain(&turn.reply.as_ref()?.heard.expose().text, source);
    if reply.is_empty() {
        return None;
    }
    let alert = expected.iter().any(|(concept, polarity)| {
        matches!(polarity, Polarity::Present | Polarity::Uncertain)
            && (source.urgency)(concept).is_some_and(|urgency| urgency != Urgency::Routine)
    });
    let labels: Vec<String> = expected
        .iter()
        .map(|(concept, polarity)| format!("{concept} {polarity}"))
        .collect();
    let asks: Vec<&str> = turn.asks.iter().map(|concept| concept.0.as_str()).collect();
    Some(
        [
            id(source.attempt, turn.index),
            "field".to_owned(),
            plain(turn.prompt.expose(), source),
            kind(turn.kind).to_owned(),
            or_dash(asks.join(", ")),
            match turn.respondent {
                Respondent::Patient => "patient",
                Respondent::Caregiver => "caregiver",
            }
            .to_owned(),
            reply,
            or_dash(labels.join(", ")),
            if alert { "yes" } else { "no" }.to_owned(),
        ]
        .join("\t"),
    )
}

fn or_dash(cell: String) -> String {
    if cell.is_empty() {
        "-".to_owned()
    } else {
        cell
    }
}

fn kind(kind: Option<QuestionKind>) -> &'static str {
    match kind.unwrap_or_default() {
        QuestionKind::YesNo => "yes_no",
        QuestionKind::YesNoNegated => "yes_no_negated",
        QuestionKind::YesNoInverse => "yes_no_inverse",
        QuestionKind::Wh => "wh",
        QuestionKind::Open => "open",
    }
}

/// The same reply has the same id in every export, and nobody finds the call by it.
fn id(attempt: &AttemptId, turn: u32) -> String {
    let hash = Sha256::digest(format!("aftercall row\0{attempt}\0{turn}"));
    let hex: String = hash[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("field-{hex}")
}

/// The words on one line, without names, numbers of five digits and more, and years.
fn plain(text: &str, source: &Source<'_>) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let blank = match source.lang {
        Lang::Zh => "某某",
        Lang::En => "NAME",
    };
    for name in source.names {
        let given = name
            .split_whitespace()
            .filter(|part| part.chars().count() > 1);
        for part in std::iter::once(name.as_str()).chain(given) {
            text = without(&text, part.trim(), blank);
        }
    }
    without_numbers(&text)
}

/// Every place of `name`, in whatever case; not where it is a part of a longer Latin word.
fn without(text: &str, name: &str, blank: &str) -> String {
    if name.is_empty() {
        return text.to_owned();
    }
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    let letters: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = name.chars().map(lower).collect();
    let is_word = |at: Option<&char>| at.is_some_and(|c| c.is_ascii_alphanumeric());
    let mut done = String::new();
    let mut at = 0;
    while at < letters.len() {
        let end = at + wanted.len();
        let fits = letters
            .get(at..end)
            .is_some_and(|part| part.iter().copied().map(lower).eq(wanted.iter().copied()));
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        let starts = !(is_word(before) && is_word(letters.get(at)));
        let ends = end == 0 || !(is_word(letters.get(end)) && is_word(letters.get(end - 1)));
        if fits && starts && ends {
            done.push_str(blank);
            at = end;
        } else {
            done.push(letters[at]);
            at += 1;
        }
    }
    done
}

/// Telephone numbers, addresses of records, birthdays: what a reading never is. Spoken digits count as written ones.
fn without_numbers(text: &str) -> String {
    const SPOKEN: &str = "零〇一二三四五六七八九幺";
    let is_digit = |c: char| c.is_ascii_digit() || SPOKEN.contains(c);
    let mut done = String::new();
    let mut run = String::new();
    for c in text.chars().map(Some).chain([None]) {
        match c {
            Some(c) if is_digit(c) => run.push(c),
            Some(_) | None => {
                let length = run.chars().count();
                let is_year = length == 4
                    && (run.starts_with("19") || run.starts_with("20") || c == Some('年'));
                if length > 4 || is_year {
                    done.extend(std::iter::repeat_n('X', length));
                } else {
                    done.push_str(&run);
                }
                run.clear();
                done.extend(c);
            }
        }
    }
    done
}
