//! What a reply asserts of each wording seen: denied, past, another person's, doubted, or there.
//!
//! Ordered rules with ids; each that fires is kept with its span. No cue means present. A negation holds in its
//! clause and over a list; words of degree and change are no negations; a far negation of an emergent concept makes
//! it uncertain, never absent.

mod denial;
mod subject;
mod time;
mod unasserted;

use super::cue::{Cue, Cues};
use super::find::{CueHit, Sighting, Slots, cues_between};
use super::index::Index;
use super::normal::{Cut, Unit};
use crate::finding::{Polarity, RuleFired, Urgency};
use crate::question::Respondent;

/// The reply with everything found in it.
pub struct Scene<'a> {
    pub units: &'a [Unit],
    pub cues: &'a [CueHit],
    pub slots: &'a Slots<'a>,
    pub sightings: &'a [Sighting],
    pub respondent: Respondent,
    pub index: Index,
    pub aim: Aim,
}

/// What the question is after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// How the patient is.
    #[default]
    Now,
    /// How somebody else is: "How's your grandson?"
    Others,
    /// A reading (blood pressure, temperature), and no medicine.
    Reading,
    /// What led to the admission: "What brought you in?"
    Admission,
    /// What the patient was told to look out for.
    Instructions,
}

/// What is known of a concept beside its wording.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    /// The concept's id, for the few rules of grammar that hold of one concept only.
    pub concept: &'a str,
    pub urgency: Urgency,
    /// A thing that happened (a fall, a stopped medicine): counts any time since discharge.
    pub event: bool,
    /// Counts only where it is new (a palsy).
    pub onset: bool,
}

/// What was asserted, with the rules that decided it; no polarity means nothing was.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub polarity: Option<Polarity>,
    pub rules: Vec<RuleFired>,
}

impl Verdict {
    fn new(polarity: Polarity) -> Verdict {
        Verdict {
            polarity: Some(polarity),
            rules: Vec::new(),
        }
    }

    fn fire(&mut self, rule: &str, span: (usize, usize), after: Option<Polarity>) {
        let before = self.polarity.unwrap_or(Polarity::Absent);
        let fired = RuleFired {
            rule: rule.to_owned(),
            span,
            before,
            after: after.unwrap_or(Polarity::Absent),
        };
        self.rules.push(fired);
        self.polarity = after;
    }
}

impl Scene<'_> {
    /// Judges one sighting whose polarity, without any cue, would be `first`.
    pub fn judge(&self, seen: &Sighting, weight: Weight<'_>, first: Polarity) -> Verdict {
        let mut verdict = Verdict::new(first);
        let asserted = self.asks_of_own(seen);
        if let Some(cue) = self.question(seen).filter(|_| !asserted) {
            verdict.fire("question", self.raw(cue), None);
            return verdict;
        }
        if let Some(cue) = self
            .condition(seen, weight)
            .filter(|_| !asserted)
            .or_else(|| self.prevented(seen))
            .or_else(|| self.instructed(seen))
            .or_else(|| self.hearsay(seen))
        {
            verdict.fire("hypothetical", self.raw(cue), None);
            return verdict;
        }
        let here = [Cue::Own, Cue::Kin, Cue::Recent, Cue::Ongoing];
        let taught = (self.aim == Aim::Instructions && !self.in_sentence(seen, &here))
            .then(|| ("instructions", self.span_of(seen)));
        let none = taught.or_else(|| self.names_none(seen, weight.concept));
        if let Some((rule, cue)) = none {
            verdict.fire(rule, self.raw(cue), None);
            return verdict;
        }
        let other = self.other_subject(seen);
        if let Some(cue) = self.denies_a_denial(seen) {
            verdict.fire("double_negation", self.raw(cue), Some(Polarity::Absent));
        } else if let Some(cue) = self.double(seen) {
            verdict.fire("double_negation", self.raw(cue), Some(Polarity::Present));
        } else {
            self.negate(seen, weight, &mut verdict);
        }
        if let Some(cue) = other {
            let after = matches!(
                verdict.polarity,
                Some(Polarity::Present | Polarity::Uncertain)
            );
            verdict.fire(
                "experiencer",
                self.raw(cue),
                after.then_some(Polarity::OtherPerson),
            );
            return verdict;
        }
        self.place_in_time(seen, weight, &mut verdict);
        let chinese = self.units[seen.start].is_han();
        if let Some(cue) = self.lasting(seen).filter(|_| weight.onset && chinese) {
            let here = matches!(
                verdict.polarity,
                Some(Polarity::Present | Polarity::Uncertain)
            );
            if here {
                verdict.fire("lasting", self.raw(cue), Some(Polarity::Historical));
            }
        }
        // A sign of a new stroke or of delirium is one only where it is new, and so are two pillows and cold feet.
        let onset = weight.onset || weight.concept == "orthopnea";
        if onset
            && !chinese
            && verdict.polarity == Some(Polarity::Present)
            && let Some(cue) = self.of_old(seen)
        {
            verdict.fire("lasting", self.raw(cue), Some(Polarity::Historical));
        }
        let there = matches!(
            verdict.polarity,
            Some(Polarity::Present | Polarity::Uncertain)
        );
        if self.aim == Aim::Admission
            && there
            && !self.in_sentence(seen, &[Cue::Recent, Cue::Ongoing])
        {
            let span = self.raw(self.span_of(seen));
            verdict.fire("of_admission", span, Some(Polarity::Historical));
        }
        self.doubt(seen, &mut verdict);
        verdict
    }

    pub fn raw(&self, cue: CueHit) -> (usize, usize) {
        let start = self.units.get(cue.start).map_or(0, |u| u.raw.0);
        let end = self
            .units
            .get(cue.end.saturating_sub(1))
            .map_or(start, |u| u.raw.1);
        (start, end)
    }

    fn cue_ending(&self, at: usize) -> Option<&CueHit> {
        self.index.ending(at).map(|cue| &self.cues[cue])
    }

    pub(super) fn cue_holding(&self, at: usize) -> Option<&CueHit> {
        self.index.holding(at).map(|cue| &self.cues[cue])
    }

    pub fn cue_starting(&self, at: usize) -> Option<&CueHit> {
        self.index.starting(at).map(|cue| &self.cues[cue])
    }

    /// The cut before unit `at`.
    pub fn cut_before(&self, at: usize) -> Cut {
        if at == 0 {
            Cut::Strong
        } else {
            self.units[at - 1].after
        }
    }

    /// First unit of the clause of `at`: behind the last cut or at the last contrast word.
    pub fn clause_start(&self, at: usize) -> usize {
        self.index.clause(at)
    }

    pub fn clause_end(&self, at: usize) -> usize {
        self.index.next_clause(at)
    }

    pub fn sentence_start(&self, at: usize) -> usize {
        self.index.sentence(at)
    }

    pub fn cues_between(
        &self,
        from: usize,
        to: usize,
        kinds: &[Cue],
    ) -> impl DoubleEndedIterator<Item = &CueHit> {
        let kinds = Cues::of(kinds);
        let between = cues_between(self.cues, from, to);
        between.iter().filter(move |c| c.cues.meets(kinds))
    }

    /// Where a condition or a question about the wording may end: 伤口|要是|流脓, right behind its first part.
    fn head_end(&self, seen: &Sighting) -> usize {
        const REACH: usize = 3;
        let parts = self.units[seen.start].is_han() && seen.spans.len() > 1;
        match seen.spans.first() {
            Some(first) if parts => seen.anchor.0.min(first.1 + REACH).max(seen.start),
            Some(_) | None => seen.start,
        }
    }

    fn in_sighting(&self, at: usize) -> bool {
        self.index.sighted(at)
    }

    fn in_span(&self, at: usize) -> bool {
        self.index.spanned(at)
    }

    pub(super) fn in_body(&self, at: usize) -> bool {
        self.index.in_body(at)
    }

    fn doubt(&self, seen: &Sighting, verdict: &mut Verdict) {
        if verdict.polarity != Some(Polarity::Present) {
            return;
        }
        let (start, end) = (self.clause_start(seen.start), self.clause_end(seen.end));
        let here = self.cues_between(start, end, &[Cue::Hedge]).next();
        let behind = || {
            let next = self.clause_end(end + 1);
            let bare = (end..next).all(|at| {
                let bare = [
                    Cue::Hedge,
                    Cue::Through,
                    Cue::Particle,
                    Cue::Own,
                    Cue::Unknown,
                ];
                self.cue_holding(at).is_some_and(|c| c.cues.any(&bare))
            });
            self.cues_between(end, next, &[Cue::Hedge])
                .next()
                .filter(|_| bare)
        };
        // …，不知道是不是吃猪血吃的: the clause behind doubts it, and gives the reason.
        let wonders = || {
            let next = self.clause_end(end + 1);
            let doubts = |c: &&CueHit| {
                matches!(
                    self.units[c.start].text.as_str(),
                    "不" | "没" | "说" | "吃" | "拿"
                )
            };
            let cue = self
                .cue_starting(end)
                .filter(|c| c.cues.has(Cue::Hedge))
                .filter(doubts)?;
            let told = (cue.end..next).any(|at| self.in_sighting(at));
            (self.cut_before(end) == Cut::Weak && !told).then_some(cue)
        };
        let coloured = || {
            let from = self.sentence_start(seen.start);
            let next = self.clause_end(end + 1);
            self.cues_between(from, next, &[Cue::Colours]).next()
        };
        if let Some(cue) = here.or_else(behind).or_else(wonders).or_else(coloured) {
            verdict.fire("hedge", self.raw(*cue), Some(Polarity::Uncertain));
        }
    }
}

/// Whether the wording itself names the newborn (宝宝发烧, baby has a fever).
pub fn names_newborn(seen: &Sighting) -> bool {
    const NAMES: [&str; 4] = ["宝宝", "新生儿", "baby", "newborn"];
    NAMES.iter().any(|name| seen.term.contains(name))
}
