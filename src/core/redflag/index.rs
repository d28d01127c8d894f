//! Where cues, clauses and wordings lie in a reply, looked up by unit instead of searched for.

use super::cue::Cue;
use super::find::{CueHit, Sighting};
use super::normal::{Cut, Unit};

/// Lookup tables over the units of one scene.
#[derive(Debug)]
pub struct Index {
    /// For each unit and the end: the cue that begins, and the one that ends, there.
    starting: Vec<Option<usize>>,
    ending: Vec<Option<usize>>,
    /// For each unit and the end: the first unit of its clause, and of its sentence.
    clause: Vec<usize>,
    sentence: Vec<usize>,
    /// For each unit and the end: where the next clause begins, at the earliest there.
    next_clause: Vec<usize>,
    sighted: Vec<bool>,
    spanned: Vec<bool>,
}

impl Index {
    pub fn new(units: &[Unit], cues: &[CueHit], sightings: &[Sighting]) -> Index {
        let len = units.len();
        let (mut starting, mut ending) = (vec![None; len + 1], vec![None; len + 1]);
        for (at, cue) in cues.iter().enumerate() {
            starting[cue.start].get_or_insert(at);
            ending[cue.end].get_or_insert(at);
        }
        let cut = |at: usize| match at {
            0 => Cut::Strong,
            _ => units[at - 1].after,
        };
        let contrast =
            |at: usize| starting[at].is_some_and(|cue: usize| cues[cue].cues.has(Cue::Contrast));
        let begins = |at: usize| cut(at) >= Cut::Weak || contrast(at);
        let (mut clause, mut sentence) = (Vec::new(), Vec::new());
        let mut last = (0, 0);
        for at in 0..=len {
            last.0 = if begins(at) { at } else { last.0 };
            last.1 = if cut(at) >= Cut::Strong { at } else { last.1 };
            clause.push(last.0);
            sentence.push(last.1);
        }
        let mut next_clause = vec![len; len + 1];
        for at in (1..len).rev() {
            next_clause[at] = if begins(at) { at } else { next_clause[at + 1] };
        }
        next_clause[0] = next_clause[1.min(len)];
        let covered = |spans: &mut dyn Iterator<Item = (usize, usize)>| {
            let mut covered = vec![false; len];
            for (from, to) in spans {
                covered[from..to].fill(true);
            }
            covered
        };
        Index {
            sighted: covered(&mut sightings.iter().map(|s| (s.start, s.end))),
            spanned: covered(&mut sightings.iter().flat_map(|s| s.spans.iter().copied())),
            starting,
            ending,
            clause,
            sentence,
            next_clause,
        }
    }

    pub fn starting(&self, at: usize) -> Option<usize> {
        self.starting.get(at).copied().flatten()
    }

    pub fn ending(&self, at: usize) -> Option<usize> {
        self.ending.get(at).copied().flatten()
    }

    /// First unit of the clause of `at`: behind the last cut or at the last contrast word.
    pub fn clause(&self, at: usize) -> usize {
        self.clause.get(at).copied().unwrap_or(0)
    }

    pub fn sentence(&self, at: usize) -> usize {
        self.sentence.get(at).copied().unwrap_or(0)
    }

    /// Where the first clause begins that begins at `at` or later, the start of the reply apart.
    pub fn next_clause(&self, at: usize) -> usize {
        let last = self.next_clause.len() - 1;
        self.next_clause[at.min(last)]
    }

    pub fn sighted(&self, at: usize) -> bool {
        self.sighted.get(at).copied().unwrap_or(false)
    }

    pub fn spanned(&self, at: usize) -> bool {
        self.spanned.get(at).copied().unwrap_or(false)
    }
}
