//! Where cues, clauses and wordings lie in a reply, looked up by unit instead of searched for.

use super::cue::Cue;
use super::find::{CueHit, Hit, Sighting, Slots};
use super::normal::{Cut, Unit};

/// Lookup tables over the units of one scene.
#[derive(Debug)]
pub struct Index {
    /// For each unit and the end: the cue that begins, and the one that ends, there.
    starting: Vec<Option<usize>>,
    ending: Vec<Option<usize>>,
    /// For each unit: the cue that holds it.
    holding: Vec<Option<usize>>,
    /// For each unit and the end: the first sighting that begins, and the first that ends, there.
    sighting_starting: Vec<Option<usize>>,
    sighting_ending: Vec<Option<usize>>,
    /// For each unit and the end: where the first part of the body begins that ends there.
    body_ending: Vec<Option<usize>>,
    /// For each unit and the end: the first unit of its clause, and of its sentence.
    clause: Vec<usize>,
    sentence: Vec<usize>,
    /// For each unit and the end: where the next clause begins, at the earliest there.
    next_clause: Vec<usize>,
    sighted: Vec<bool>,
    spanned: Vec<bool>,
    in_body: Vec<bool>,
}

impl Index {
    pub fn new(
        units: &[Unit],
        cues: &[CueHit],
        slots: &Slots<'_>,
        sightings: &[Sighting],
    ) -> Index {
        let len = units.len();
        let nowhere = vec![None; len + 1];
        let (mut starting, mut ending) = (nowhere.clone(), nowhere.clone());
        let mut holding = nowhere.clone();
        for (at, cue) in cues.iter().enumerate() {
            starting[cue.start].get_or_insert(at);
            ending[cue.end].get_or_insert(at);
            holding[cue.start..cue.end].fill(Some(at));
        }
        let (mut sighting_starting, mut sighting_ending) = (nowhere.clone(), nowhere.clone());
        for (at, seen) in sightings.iter().enumerate() {
            sighting_starting[seen.start].get_or_insert(at);
            sighting_ending[seen.end].get_or_insert(at);
        }
        let mut body_ending = nowhere;
        for body in slots.bodies() {
            body_ending[body.end].get_or_insert(body.start);
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
            in_body: covered(&mut slots.bodies().map(|body| (body.start, body.end))),
            starting,
            ending,
            holding,
            sighting_starting,
            sighting_ending,
            body_ending,
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

    /// The cue that holds the unit.
    pub fn holding(&self, at: usize) -> Option<usize> {
        self.holding.get(at).copied().flatten()
    }

    pub fn sighting_starting(&self, at: usize) -> Option<usize> {
        self.sighting_starting.get(at).copied().flatten()
    }

    pub fn sighting_ending(&self, at: usize) -> Option<usize> {
        self.sighting_ending.get(at).copied().flatten()
    }

    /// Where the part of the body begins that ends before this unit.
    pub fn body_ending(&self, at: usize) -> Option<usize> {
        self.body_ending.get(at).copied().flatten()
    }

    pub fn in_body(&self, at: usize) -> bool {
        self.in_body.get(at).copied().unwrap_or(false)
    }

    pub fn sighted(&self, at: usize) -> bool {
        self.sighted.get(at).copied().unwrap_or(false)
    }

    pub fn spanned(&self, at: usize) -> bool {
        self.spanned.get(at).copied().unwrap_or(false)
    }
}

/// Hits in the order of their starts.
#[derive(Debug)]
pub struct ByStart {
    hits: Vec<Hit>,
    /// Units of the longest one.
    longest: usize,
}

impl ByStart {
    pub fn new(mut hits: Vec<Hit>) -> ByStart {
        hits.sort_by_key(|hit| hit.start);
        let longest = hits.iter().map(|hit| hit.end - hit.start).max();
        ByStart {
            hits,
            longest: longest.unwrap_or(0),
        }
    }

    /// Those that begin at `from` or later, and before `to`.
    pub fn starting(&self, from: usize, to: usize) -> &[Hit] {
        let first = self.hits.partition_point(|hit| hit.start < from);
        let behind = self.hits.partition_point(|hit| hit.start < to);
        self.hits.get(first..behind).unwrap_or_default()
    }

    /// Those that begin before `at`, and so near that they may reach it.
    pub fn reaching(&self, at: usize) -> &[Hit] {
        self.starting(at.saturating_sub(self.longest), at)
    }

    /// Those that lie between the two units.
    pub fn within(&self, from: usize, to: usize) -> impl Iterator<Item = &Hit> {
        self.starting(from, to).iter().filter(move |h| h.end <= to)
    }

    /// Those that hold every unit between the two.
    pub fn covering(&self, from: usize, to: usize) -> impl Iterator<Item = &Hit> {
        let reach = to.saturating_sub(self.longest);
        let near = self.starting(reach, from + 1).iter();
        near.filter(move |hit| hit.end >= to)
    }
}
