//! How far two reviewers of the same calls agree: Cohen's kappa for each criterion of a form, and for findings.

use crate::review::form::{Criterion, Form};
use crate::review::{Is, Mark, Review};
use crate::statistics::{Kappa, kappa};

/// What is agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A criterion of the form, by its id.
    Criterion(String),
    /// Whether a finding, or the suppression of one, is right.
    Findings,
    /// Whether something was missed in the call.
    Missed,
}

/// One line: what, over how many items, and how far.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    pub about: About,
    /// Items that both have judged: calls, or findings.
    pub items: u32,
    /// Share of items on which they agree; `None` without items.
    pub share: Option<f64>,
    /// `None` where it is not defined: no items, or all in one and the same class.
    pub kappa: Option<Kappa>,
}

/// Agreement over pairs of reviews, each pair of one call. Pairs of another form or revision do not count.
pub fn agreement(form: &Form, pairs: &[(Review, Review)]) -> Vec<Agreement> {
    let of_form = |review: &Review| review.form == form.id && review.revision == form.revision;
    let pairs: Vec<&(Review, Review)> = pairs
        .iter()
        .filter(|(one, other)| of_form(one) && of_form(other))
        .collect();
    let criteria = form.criteria.iter().map(|criterion| {
        let classes = pairs
            .iter()
            .filter_map(|(one, other)| Some((class(criterion, one)?, class(criterion, other)?)));
        line(
            About::Criterion(criterion.id.clone()),
            criterion.options.len(),
            classes,
        )
    });
    let findings = pairs
        .iter()
        .flat_map(|(one, other)| both_marked(one, other));
    let missed = pairs
        .iter()
        .map(|(one, other)| (usize::from(one.misses()), usize::from(other.misses())));
    criteria
        .chain([
            line(About::Findings, 2, findings),
            line(About::Missed, 2, missed),
        ])
        .collect()
}

fn class(criterion: &Criterion, review: &Review) -> Option<usize> {
    criterion.class(review.scores.get(&criterion.id)?)
}

/// The judgements of findings, and of suppressed ones, that both have judged.
fn both_marked<'a>(
    one: &'a Review,
    other: &'a Review,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    one.marks.iter().filter_map(|mark| {
        let (place, is) = (mark.place(), judged(mark)?);
        let same = other.marks.iter().find(|mark| mark.place() == place)?;
        Some((is, judged(same)?))
    })
}

fn judged(mark: &Mark) -> Option<usize> {
    match mark {
        Mark::Finding { is, .. } | Mark::Suppressed { is, .. } => {
            Some(usize::from(*is == Is::Wrong))
        }
        Mark::Missed { .. } => None,
    }
}

fn line(about: About, classes: usize, items: impl Iterator<Item = (usize, usize)>) -> Agreement {
    let mut table = vec![vec![0_u32; classes]; classes];
    for (first, second) in items {
        table[first][second] += 1;
    }
    let items: u32 = table.iter().flatten().sum();
    let same: u32 = (0..classes).map(|at| table[at][at]).sum();
    Agreement {
        about,
        items,
        share: (items > 0).then(|| f64::from(same) / f64::from(items)),
        kappa: kappa(&table),
    }
}
