//! When it was: before the discharge, of old, over by now, or still so.

use super::super::cue::Cue;
use super::super::find::{CueHit, Sighting};
use super::super::normal::Cut;
use super::{Scene, Verdict, Weight};
use crate::finding::{Polarity, Urgency};

impl Scene<'_> {
    pub(super) fn place_in_time(&self, seen: &Sighting, weight: Weight<'_>, verdict: &mut Verdict) {
        let Some(polarity) = verdict.polarity else {
            return;
        };
        let here = matches!(polarity, Polarity::Present | Polarity::Uncertain);
        if let Some(cue) = self.over_by_now(seen).filter(|_| here) {
            verdict.fire("past", self.raw(cue), Some(Polarity::Historical));
            return;
        }
        let Some(cue) = self.time_of(seen) else {
            if let Some(cue) = self.dated_behind(seen.end).filter(|_| here) {
                verdict.fire("dated_behind", self.raw(cue), Some(Polarity::Historical));
            } else {
                self.over_later(seen, weight, polarity, verdict);
            }
            return;
        };
        if cue.cues.has(Cue::Past) {
            // Denied then says nothing of now; over by now is still past.
            let was = here || polarity == Polarity::Historical;
            verdict.fire("past", self.raw(cue), was.then_some(Polarity::Historical));
        } else if cue.cues.has(Cue::Older)
            && here
            && weight.urgency != Urgency::Emergent
            && !weight.event
            && !self.began(seen, &cue)
        {
            verdict.fire("older", self.raw(cue), Some(Polarity::Historical));
        }
    }

    /// 回来第二天右边小腿就发胀，也没见下去: it began then, and nothing says that it is over.
    pub(super) fn began(&self, seen: &Sighting, time: &CueHit) -> bool {
        let end = (seen.end..self.units.len())
            .find(|at| self.cut_before(*at) >= Cut::Strong)
            .unwrap_or(self.units.len());
        let onset = time.end <= seen.start
            && self.units[time.end..seen.anchor.0]
                .iter()
                .any(|u| matches!(u.text.as_str(), "就" | "始" | "起"));
        let over = [Cue::Ceased, Cue::Better, Cue::Fine, Cue::NegAfter];
        let goes_on = [Cue::Ongoing, Cue::Pseudo];
        let later = |kinds: &[Cue]| self.cues_between(seen.end, end, kinds).next().is_some();
        onset && !later(&over) && later(&goes_on)
    }

    /// A time before discharge ahead of the wording, whatever stands between (住院前老是心慌), and later that it is
    /// well now.
    fn over_by_now(&self, seen: &Sighting) -> Option<CueHit> {
        let start = self.clause_start(seen.start);
        let past = self
            .cues_between(start, seen.anchor.0, &[Cue::Past])
            .next_back()?;
        let end = self.clause_end(seen.end);
        let still = [Cue::Ongoing, Cue::Pseudo];
        let well = [Cue::Ceased, Cue::Fine, Cue::Neg, Cue::NegTight, Cue::No];
        let goes_on = self
            .cues_between(end, self.units.len(), &still)
            .next()
            .is_some();
        let over = self
            .cues_between(end, self.units.len(), &well)
            .next()
            .is_some();
        (over && !goes_on).then_some(*past)
    }

    /// A clause behind that only dates the one before: 摔过，那是去年的事.
    pub fn dated_behind(&self, from: usize) -> Option<CueHit> {
        let end = self.clause_end(from);
        let next = self.clause_end(end + 1);
        let past = self.cues_between(end, next, &[Cue::Past]).next()?;
        let other = [Cue::Recent, Cue::Ongoing, Cue::Neg, Cue::NegTight];
        let alone = self.cues_between(end, next, &other).next().is_none()
            && !(end..next).any(|at| self.in_sighting(at));
        alone.then_some(*past)
    }

    /// The time cue that governs the sighting: in its clause, or one clause before.
    fn time_of(&self, seen: &Sighting) -> Option<CueHit> {
        let kinds = [Cue::Past, Cue::Older, Cue::Recent, Cue::Ongoing];
        let (start, end) = (self.clause_start(seen.start), self.clause_end(seen.end));
        if let Some(still) = self.cues_between(start, end, &[Cue::Ongoing]).next() {
            return Some(self.habit_of_then(start, still).unwrap_or(*still));
        }
        let inside = self.cues_between(start, seen.anchor.0, &kinds).next_back();
        let behind = || self.cues_between(seen.anchor.0, end, &kinds).next();
        let earlier = || {
            let before = start
                .checked_sub(1)
                .filter(|_| self.cut_before(start) < Cut::Strong)?;
            self.cues_between(self.clause_start(before), start, &kinds)
                .next_back()
        };
        inside.or_else(behind).or_else(earlier).copied()
    }

    /// 左手还是没劲，中风落下的，跟出院时一样: what an old illness left, and no word of its being worse.
    pub(super) fn lasting(&self, seen: &Sighting) -> Option<CueHit> {
        const WORSE: [&str; 9] = [
            "更",
            "加重",
            "重了",
            "厉害了",
            "突然",
            "越来越",
            "忽然",
            "一下子",
            "严重",
        ];
        const NO_WORSE: [&str; 6] = ["没加重", "没有加重", "没更", "没有更", "没重了", "没突然"];
        let from = self.sentence_start(seen.start);
        let end = (seen.end..self.units.len())
            .find(|at| self.cut_before(*at) >= Cut::Strong)
            .unwrap_or(self.units.len());
        let cue = self.cues_between(from, end, &[Cue::Lasting]).next()?;
        // 昨天开始没劲，今天没加重 is new.
        let lately = |c: &CueHit| !c.cues.any(&[Cue::Now, Cue::Ongoing]);
        let mut dates = self.cues_between(from, end, &[Cue::Recent, Cue::Day]);
        if dates.any(lately) {
            return None;
        }
        let said: String = self.units[from..end]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        let said = NO_WORSE
            .iter()
            .fold(said, |said, word| said.replace(word, ""));
        (!WORSE.iter().any(|word| said.contains(word))).then_some(*cue)
    }

    /// 住院前天天喘: a habit of a time before discharge, unless it is said to last.
    fn habit_of_then(&self, start: usize, still: &CueHit) -> Option<CueHit> {
        let said = |from: usize, to: usize| -> String {
            self.units[from..to]
                .iter()
                .map(|u| u.text.as_str())
                .collect()
        };
        let habits = ["天天", "每天", "老", "老是", "总", "总是", "经常", "动不动"];
        let past = self
            .cues_between(start, still.start, &[Cue::Past])
            .next_back()?;
        let between = said(past.end, still.start);
        let lasts = ["就", "还", "到现在", "至今"]
            .iter()
            .any(|w| between.contains(w));
        let habit = habits.contains(&said(still.start, still.end).as_str());
        (habit && !lasts).then_some(*past)
    }

    /// No date, but the clauses behind say that it is over.
    pub(super) fn over_later(
        &self,
        seen: &Sighting,
        weight: Weight<'_>,
        polarity: Polarity,
        verdict: &mut Verdict,
    ) {
        if weight.urgency == Urgency::Emergent || weight.event || polarity != Polarity::Present {
            return;
        }
        let end = self.clause_end(seen.end);
        let next = self.clause_end(end + 1);
        let over = self
            .cues_between(end, next, &[Cue::Ceased])
            .find(|cue| !self.each_time(cue))
            .copied();
        let another = self
            .sightings
            .iter()
            .any(|s| end <= s.start && s.end <= next);
        if let (Some(cue), false) = (over, another) {
            verdict.fire("over_later", self.raw(cue), Some(Polarity::Historical));
        }
    }
}
