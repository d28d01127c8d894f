//! Which wordings a reply denies: before and behind them, over lists, twice over, from far, or by what is over.

use super::super::cue::{Cue, Cues};
use super::super::find::{CueHit, Sighting};
use super::super::normal::{Cut, Unit};
use super::{Scene, Verdict, Weight, names_newborn};
use crate::finding::{Polarity, Urgency};

/// Units of unknown meaning that a negation may reach over.
const REACH: usize = 2;

enum Denial {
    Near(CueHit),
    Far(CueHit),
    Over(CueHit),
    Better(CueHit),
}

impl Scene<'_> {
    /// 没有一天不吃: the second denial is the wording's own, so that the first one denies it.
    pub(super) fn denies_a_denial(&self, seen: &Sighting) -> Option<CueHit> {
        let first = seen.anchor.0;
        let own = matches!(self.units[first].text.as_str(), "不" | "没");
        let cue = self.cue_holding(first).filter(|_| own)?;
        (cue.cues.has(Cue::Double) && cue.start < first).then_some(*cue)
    }

    pub(super) fn double(&self, seen: &Sighting) -> Option<CueHit> {
        let start = self.clause_start(seen.start);
        let listed = self.cues_between(start, seen.anchor.0, &[Cue::Double]);
        // 能不疼吗 holds the word itself.
        let holds = |cue: &&CueHit| cue.cues.has(Cue::Double) && cue.start < seen.anchor.0;
        let around = self.cue_holding(seen.anchor.0).filter(holds);
        listed
            .last()
            .or(around)
            .copied()
            .or_else(|| self.denies_denying(start, seen.anchor.0))
    }

    /// "I wouldn't say there's no pain", "it's not that I don't": one English denial of another is a yes.
    pub fn denies_denying(&self, from: usize, to: usize) -> Option<CueHit> {
        const SAYS: [&str; 9] = [
            "say", "saying", "claim", "pretend", "swear", "that", "true", "like", "as",
        ];
        const NEAR: usize = 4;
        let denies = |at: usize| {
            let said = self.units[at].text.as_str();
            said.ends_with("n't") || matches!(said, "no" | "not" | "none" | "never" | "without")
        };
        // "can't climb the stairs without stopping for breath".
        let hinders = |at: usize| {
            let said = self.units[at].text.as_str();
            said.ends_with("n't") || matches!(said, "never" | "unable" | "hardly" | "barely")
        };
        if let Some(without) = (from..to)
            .rev()
            .find(|at| self.units[*at].text == "without")
            && let Some(first) = (from..without).find(|at| hinders(*at))
        {
            return Some(CueHit {
                start: first,
                end: without + 1,
                cues: Cues::default(),
            });
        }
        let first = (from..to).find(|at| denies(*at))?;
        let says = (first + 1..to.min(first + NEAR))
            .find(|at| SAYS.contains(&self.units[*at].text.as_str()))?;
        let second = (says + 1..to.min(says + 1 + NEAR)).find(|at| denies(*at))?;
        (self.clause_end(first + 1) > second).then_some(CueHit {
            start: first,
            end: second + 1,
            cues: Cues::default(),
        })
    }

    pub(super) fn negate(&self, seen: &Sighting, weight: Weight<'_>, verdict: &mut Verdict) {
        // "Not solids, they get stuck": what is denied before a cut is not what stands behind it.
        let whole = |span: &&(usize, usize)| {
            let parted = (span.1..seen.anchor.0 + 1).any(|at| self.cut_before(at) >= Cut::Weak);
            self.units[seen.start].is_han() || !parted
        };
        let mut spans = seen.spans.iter().rev().filter(whole);
        let before = spans.find_map(|span| self.denied_before(span.0, seen));
        let stopped = || self.stopped_before(seen).map(Denial::Over);
        let denial = before.or_else(|| self.denied_after(seen)).or_else(stopped);
        let Some(denial) = denial else {
            return;
        };
        match denial {
            Denial::Near(cue) => verdict.fire("negation", self.raw(cue), Some(Polarity::Absent)),
            Denial::Far(cue) if weight.urgency == Urgency::Emergent => {
                verdict.fire("negation_far", self.raw(cue), Some(Polarity::Uncertain));
            }
            Denial::Far(cue) => verdict.fire("negation", self.raw(cue), Some(Polarity::Absent)),
            // Any time since discharge counts: that it is over makes it urgent, and no emergency (`when`).
            Denial::Over(cue)
                if weight.urgency == Urgency::Emergent || !weight.event && self.each_time(&cue) =>
            {
                verdict.fire("ceased", self.raw(cue), verdict.polarity);
            }
            Denial::Over(cue) => verdict.fire("ceased", self.raw(cue), Some(Polarity::Historical)),
            Denial::Better(cue) => verdict.fire("better", self.raw(cue), Some(Polarity::Uncertain)),
        }
    }

    /// Walks left over degree words and listed things to a negation.
    fn denied_before(&self, from: usize, seen: &Sighting) -> Option<Denial> {
        // A longer cue may run into the wording: 没有过|敏, 没|有血. Its negation must stand outside: not 都|没怎么尿.
        let negates = |unit: &Unit| {
            matches!(
                unit.text.as_str(),
                "没" | "不" | "无" | "未" | "冇" | "莫" | "别"
            )
        };
        let overlaps = |c: &&CueHit| {
            c.start < from && c.end <= seen.end && self.units[c.start..from].iter().any(negates)
        };
        if let Some(cue) = self.cue_holding(from).filter(overlaps) {
            // 不厉害 denies no pain, but that it is severe.
            let degree = seen.gapped && cue.cues.has(Cue::Pseudo) && cue.end == seen.end;
            if degree || cue.cues.any(&[Cue::Neg, Cue::NegTight, Cue::No]) {
                return Some(Denial::Near(*cue));
            }
        }
        if let Some(cue) = self.scoffed(from, seen) {
            return Some(Denial::Near(cue));
        }
        let mut at = from;
        let mut unknown = 0;
        while at > 0 {
            match self.cut_before(at) {
                Cut::None => {}
                // A new member of the list: what the one behind it was called no longer matters.
                Cut::List => unknown = 0,
                // What names the newborn is no further member of the mother's list.
                Cut::Weak if !names_newborn(seen) && self.continues_list(at, seen) => {}
                Cut::Weak => return self.denied_in_list(from, seen).map(Denial::Near),
                Cut::Strong | Cut::Ask => return None,
            }
            if let Some(cue) = self.cue_ending(at) {
                let kinds = cue.cues;
                if kinds.any(&[Cue::Pseudo, Cue::Contrast, Cue::Own]) {
                    return None;
                }
                if kinds.has(Cue::NegTight) {
                    let verb = self.is_light_verb(at, from);
                    return (unknown == 0 || verb).then_some(Denial::Near(*cue));
                }
                // 没犯过低血糖: what answers by itself denies what follows it as well.
                let answers = kinds.has(Cue::No) && self.takes_object(cue);
                if kinds.has(Cue::Neg) || answers {
                    return Some(if unknown > 1 {
                        Denial::Far(*cue)
                    } else {
                        Denial::Near(*cue)
                    });
                }
                if kinds.any(&[Cue::Has, Cue::Ongoing]) && !kinds.has(Cue::Through) {
                    return None;
                }
                at = cue.start;
                continue;
            }
            // "don't see the point in going on": the words of the wording itself deny nothing of it.
            if let Some(own) = seen.spans.iter().find(|s| s.1 == at && s.0 < at) {
                at = own.0;
                continue;
            }
            if let Some(listed) = self.index.sighting_ending(at) {
                at = self.sightings[listed].start;
                continue;
            }
            if let Some(body) = self.index.body_ending(at) {
                at = body;
                continue;
            }
            unknown += 1;
            if unknown > REACH {
                return self.denied_in_list(from, seen).map(Denial::Near);
            }
            at -= 1;
        }
        None
    }

    /// 喘啥喘: the second of the two words, which the first one is judged by as well.
    fn scoffed(&self, from: usize, seen: &Sighting) -> Option<CueHit> {
        let said = |at: usize| self.units[at].text.as_str();
        let what = match from.checked_sub(1).map(said) {
            Some("啥") => 1,
            Some("么") if from > 1 && said(from - 2) == "什" => 2,
            Some(_) | None => return None,
        };
        let first = from.checked_sub(what + 1)?;
        let same = said(first) == said(seen.end - 1) && self.cut_before(from) == Cut::None;
        same.then_some(CueHit {
            start: from - what,
            end: from,
            cues: Cues::default(),
        })
    }

    /// Whether a bare "no" is a verb that wants an object: 没犯过, 没发现; not 不行, 没反应.
    fn takes_object(&self, cue: &CueHit) -> bool {
        let last = self.units[cue.end - 1].text.as_str();
        matches!(last, "过" | "犯" | "现" | "生" | "有" | "再")
    }

    /// 没起疹子, 没带一点血: a verb of coming, having or seeing between the denial and what it denies.
    fn is_light_verb(&self, from: usize, to: usize) -> bool {
        const VERBS: &str = "起带犯出见长流发生得闹打冒淌掉渗看觉听摸来受遇挨落添染招惹引现过到着";
        (from..to).all(|at| VERBS.contains(self.units[at].text.as_str()))
    }

    /// Whether the clause beginning at `at` only names the next member of the list that the one before began.
    fn continues_list(&self, at: usize, seen: &Sighting) -> bool {
        let end = self.clause_end(at + 1);
        // A word of assertion makes the clause a statement of its own.
        const STATES: [&str; 9] = ["就", "有", "还", "又", "很", "一", "老", "i", "my"];
        let bare = (at..end).all(|i| self.is_light(i) || self.in_sighting(i) || self.in_body(i));
        let states = (at..end).any(|i| {
            let said = self.units[i].text.as_str();
            said == "就" || !self.in_span(i) && STATES.contains(&said)
        });
        let listed = (0..at).rev().find(|i| !self.is_light(*i));
        let reaches_on = seen.start < end && seen.end > end;
        // 平地不喘，上坡喘: the same again is no further member.
        let again = self
            .sightings
            .iter()
            .any(|s| s.end <= at && s.end > self.clause_start(at - 1) && s.concept == seen.concept);
        bare && !states
            && !again
            && !reaches_on
            && listed.is_some_and(|i| self.in_sighting(i) || self.in_body(i))
            && self.cut_before(at) == Cut::Weak
    }

    fn is_light(&self, at: usize) -> bool {
        let light = [Cue::Through, Cue::Join, Cue::Particle];
        self.cue_holding(at)
            .is_some_and(|c| c.cues.any(&light) && !c.cues.any(&[Cue::Own]))
    }

    /// 昏倒没昏倒, 闷倒是不闷: the word is taken up only to be denied.
    fn taken_up(&self, seen: &Sighting) -> Option<CueHit> {
        let said = |at: usize| self.units.get(at).map_or("", |u| u.text.as_str());
        let mut at = seen.end;
        while matches!(said(at), "倒" | "是" | "也" | "都" | "就")
            && self.cut_before(at) == Cut::None
        {
            at += 1;
        }
        let neg = at;
        // 喘啥喘, 晕什么晕 scoff at it.
        let scoffs = said(neg) == "啥" || said(neg) == "什" && said(neg + 1) == "么";
        if !scoffs && !matches!(said(neg), "没" | "不") || self.cut_before(neg) > Cut::None {
            return None;
        }
        at += 1 + usize::from(matches!(said(neg + 1), "有" | "么"));
        let (from, to) = seen.anchor;
        let last = self.units.get(from..to)?;
        let again = self.units.get(at..at + last.len())?;
        let same = last.iter().zip(again).all(|(a, b)| a.text == b.text);
        let end = at + last.len();
        // 疼不疼我也说不清 leaves it open.
        let open = said(end) == "我" && self.cut_before(end) == Cut::None;
        (same && !last.is_empty() && !open).then_some(CueHit {
            start: neg,
            end: neg + 1,
            cues: Cues::default(),
        })
    }

    /// Walks right over light words and listed things to a denial that closes the clause.
    fn denied_after(&self, seen: &Sighting) -> Option<Denial> {
        // 除了头晕，都没有: what is excepted is there.
        let excepted = self.units[..seen.start]
            .last()
            .is_some_and(|u| u.text == "了")
            && seen.start > 1
            && self.units[seen.start - 2].text == "除";
        if excepted {
            return None;
        }
        if let Some(cue) = self.taken_up(seen).or_else(|| self.taken_back(seen)) {
            return Some(Denial::Near(cue));
        }
        let mut at = seen.end;
        let mut unknown = 0;
        while at < self.units.len() {
            let crossed = at > seen.end && self.cut_before(at) >= Cut::Weak
                || self.cut_before(at) >= Cut::Weak;
            if crossed {
                let all = matches!(
                    self.units[at].text.as_str(),
                    "都" | "也" | "全" | "均" | "这" | "一" | "none" | "all"
                );
                if self.cut_before(at) >= Cut::Strong || !all && !self.in_sighting(at) {
                    return None;
                }
            }
            // 发烧有，寒战没有; 气短有点，头晕没有: the first is there.
            let affirmed = |c: &CueHit| {
                c.cues.has(Cue::Has)
                    && self.units[at].text == "有"
                    && self.cut_before(c.end) >= Cut::Weak
            };
            if self.cue_starting(at).is_some_and(affirmed) {
                return None;
            }
            if let Some(cue) = self.cue_starting(at) {
                // 头晕，胸闷倒是没有: what is set apart is denied alone.
                let apart = self.units[at].text == "倒"
                    && (seen.end..at).any(|i| self.cut_before(i) >= Cut::Weak);
                if apart {
                    return None;
                }
                // 喘气也挺顺的, unless something was said to be there: 有点喘挺好.
                let well = cue.cues.has(Cue::Fine)
                    && seen.end - seen.start <= 2
                    && !crossed
                    && self.units[at].is_han()
                    && self
                        .cues_between(self.clause_start(seen.start), at, &[Cue::Has, Cue::Ongoing])
                        .next()
                        .is_none();
                if well && self.closes(cue.end) {
                    return Some(Denial::Near(*cue));
                }
                // 跌了一跤还好没啥: what happened is no less so for having ended well.
                let happened = self.units[seen.start..at].iter().any(|u| u.text == "了");
                if happened && cue.cues.has(Cue::Fine) && !cue.cues.has(Cue::Ceased) {
                    return None;
                }
                if cue.cues.any(&[Cue::NegAfter, Cue::Ceased, Cue::Better]) && self.closes(cue.end)
                {
                    return Some(match cue.cues {
                        c if c.has(Cue::NegAfter) => Denial::Near(*cue),
                        c if c.has(Cue::Ceased) => Denial::Over(*cue),
                        _ => Denial::Better(*cue),
                    });
                }
                let light = [
                    Cue::Through,
                    Cue::Join,
                    Cue::Particle,
                    Cue::Recent,
                    Cue::Hedge,
                    Cue::Then,
                ];
                if !cue.cues.any(&light) || cue.cues.any(&[Cue::Pseudo, Cue::Neg, Cue::NegTight]) {
                    return None;
                }
                at = cue.end;
            } else if let Some(listed) = self.index.sighting_starting(at) {
                at = self.sightings[listed].end;
            } else {
                unknown += 1;
                if unknown > 1 || crossed {
                    return None;
                }
                at += 1;
            }
        }
        None
    }

    /// Whether nothing but particles stands between here and the end of the clause.
    fn closes(&self, from: usize) -> bool {
        let mut at = from;
        while at < self.units.len() && self.cut_before(at) < Cut::Weak {
            match self.cue_starting(at) {
                Some(cue) if cue.cues.has(Cue::Contrast) => return true,
                Some(cue)
                    if cue
                        .cues
                        .any(&[Cue::Particle, Cue::Ceased, Cue::NegAfter, Cue::Recent]) =>
                {
                    at = cue.end
                }
                Some(_) | None => return false,
            }
        }
        true
    }

    /// 歇会儿就好了, 塞住就好了: what each bout ends in, not the end of the complaint.
    pub(super) fn each_time(&self, cue: &CueHit) -> bool {
        // 塞了棉花止住了: bleeding is stopped each time it comes.
        if self.units[cue.start].text == "止" {
            return true;
        }
        let then = self.units[cue.start].text == "就"
            || cue.start > 0 && self.units[cue.start - 1].text == "就";
        // …，之后一直正常: that was the end of it.
        let well = [Cue::Fine, Cue::Neg, Cue::No];
        let since = self.cues_between(cue.end, self.units.len(), &well);
        then && since.count() == 0
    }
}
