//! When what was heard happens, and to whom of mother and newborn.
//!
//! Over only where the words say so behind the wording, and nothing behind that takes it back: in doubt the time is
//! unclear, which counts as now. What is over is urgent, no emergency; thoughts of suicide stay one.

use super::assert::Scene;
use super::cue::Cue;
use super::find::CueHit;
use super::normal::Cut;
use crate::finding::{About, Finding, Polarity, RuleFired, Urgency, When};

/// Clauses behind the wording that may say that it is over.
const CLAUSES: usize = 3;
/// Concepts that being over does not calm.
const STAY_EMERGENT: [&str; 2] = ["suicidal_ideation", "self_harm"];

impl Scene<'_> {
    /// Whom the units concern: the patient, or her newborn.
    pub fn whose(&self, span: (usize, usize)) -> About {
        let kinds = [Cue::Other, Cue::Kin, Cue::Own, Cue::Newborn];
        let subject = self
            .cues_between(self.sentence_start(span.0), span.0, &kinds)
            .rev()
            .find(|cue| cue.cues.has(Cue::Newborn) || self.is_subject(cue));
        match subject {
            Some(cue) if cue.cues.has(Cue::Newborn) => About::Newborn,
            Some(_) | None => About::Patient,
        }
    }

    /// Sets the time of findings that are there and in this stretch, with the rule that decided it.
    pub fn set_times(&self, findings: &mut [Finding]) {
        for finding in findings {
            if !matches!(finding.polarity, Polarity::Present | Polarity::Uncertain) {
                continue;
            }
            let Some(span) = self.units_of(finding.evidence.span) else {
                continue;
            };
            let Some((when, cue)) = self.when(span) else {
                continue;
            };
            finding.when = when;
            finding.evidence.rules.push(RuleFired {
                rule: format!("when_{when}"),
                span: self.raw(cue),
                before: finding.polarity,
                after: finding.polarity,
            });
            let calms = !STAY_EMERGENT.contains(&finding.concept.0.as_str());
            if when == When::Over && finding.urgency == Urgency::Emergent && calms {
                finding.urgency = Urgency::Urgent;
            }
        }
    }

    /// The units under a span of the raw reply; none where it lies in another stretch of a long one.
    fn units_of(&self, raw: (usize, usize)) -> Option<(usize, usize)> {
        let here = self.units.first()?.raw.0..self.units.last()?.raw.1;
        if !here.contains(&raw.0) {
            return None;
        }
        let first = self.units.iter().position(|unit| unit.raw.1 > raw.0)?;
        let behind = self.units.iter().position(|unit| unit.raw.0 >= raw.1);
        let end = behind.unwrap_or(self.units.len());
        Some((first.min(end), end))
    }

    fn when(&self, span: (usize, usize)) -> Option<(When, CueHit)> {
        if let Some(over) = self.over(span) {
            return Some((When::Over, over));
        }
        let (start, end) = (self.clause_start(span.0), self.clause_end(span.1));
        let before = match start.checked_sub(1) {
            Some(at) if self.cut_before(start) < Cut::Strong => self.clause_start(at),
            Some(_) | None => start,
        };
        let behind = match self.units.get(end) {
            Some(_) if self.cut_before(end) < Cut::Strong => self.clause_end(end + 1),
            Some(_) | None => end,
        };
        let near = |kinds: &[Cue]| {
            self.cues_between(start, end, kinds)
                .next()
                .or_else(|| self.cues_between(before, behind, kinds).next())
                .copied()
        };
        near(&[Cue::Now, Cue::Ongoing])
            .map(|cue| (When::Now, cue))
            .or_else(|| near(&[Cue::Day]).map(|cue| (When::Within24h, cue)))
    }

    /// The word behind the span that says that it is over.
    fn over(&self, span: (usize, usize)) -> Option<CueHit> {
        let mut limit = span.1;
        for _ in 0..CLAUSES {
            if limit >= self.units.len() || limit > span.1 && self.cut_before(limit) >= Cut::Strong
            {
                break;
            }
            limit = self.clause_end(limit + 1).max(limit + 1);
        }
        let limit = limit.min(self.units.len());
        let ceased = self
            .cues_between(span.1, limit, &[Cue::Ceased])
            .next()
            .copied()?;
        let between = |from, to, kinds: &[Cue]| self.cues_between(from, to, kinds).next().is_some();
        let takes_back = [
            Cue::Hypo,
            Cue::Hedge,
            Cue::AskBefore,
            Cue::Pseudo,
            Cue::Ongoing,
        ];
        // 胸口疼，好了，就这样: the end of the talk, unless a time was named.
        let dated = [Cue::Recent, Cue::Older, Cue::Past, Cue::Now, Cue::Day];
        let bare = self.clause_start(ceased.start) == ceased.start
            && !between(self.clause_start(span.0), ceased.start, &dated)
            && !ceased.cues.has(Cue::Recent);
        let denied = self
            .cues_between(span.1, ceased.start, &[Cue::Neg, Cue::NegTight])
            .any(|cue| cue.end == ceased.start);
        let another = self
            .sightings
            .iter()
            .any(|seen| span.1 <= seen.start && seen.start < ceased.start);
        let again = between(ceased.end, self.units.len(), &[Cue::Ongoing, Cue::Contrast]);
        let taken_back = between(span.1, ceased.start, &takes_back);
        (!bare && !denied && !another && !again && !taken_back).then_some(ceased)
    }
}
