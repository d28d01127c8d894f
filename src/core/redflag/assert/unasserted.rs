//! What a reply mentions without asserting it: what it asks, supposes, was taught, heard of others or fears.

use super::super::cue::{Cue, Cues};
use super::super::find::{CueHit, Sighting};
use super::super::normal::Cut;
use super::{Scene, Weight};

impl Scene<'_> {
    pub(super) fn question(&self, seen: &Sighting) -> Option<CueHit> {
        let mut at = seen.end;
        while let Some(cue) = self.cue_starting(at) {
            // 能不疼吗 asks nothing.
            if cue.cues.has(Cue::AskAfter) {
                return self.double(seen).is_none().then_some(*cue);
            }
            if !cue.cues.any(&[Cue::Particle, Cue::Through])
                || self.units[cue.end - 1].after >= Cut::Strong
            {
                break;
            }
            at = cue.end;
        }
        if let Some(cue) = self.asks_whether(seen) {
            return Some(cue);
        }
        let start = self.clause_start(seen.start);
        let asked = self
            .cues_between(start, self.head_end(seen), &[Cue::AskBefore])
            .rfind(|cue| !self.tells_what(cue))
            .copied();
        let alone = start == seen.start && self.units[seen.end - 1].after == Cut::Ask;
        let asked = asked
            .or_else(|| self.general_case(seen))
            .or_else(|| self.asks_what_counts(seen));
        asked.or(alone.then_some(CueHit {
            start: seen.start,
            end: seen.end,
            cues: Cues::default(),
        }))
    }

    /// 低血糖的时候该吃什么？ 发烧到多少度要去医院？ asks about anybody's case, not of what there is.
    fn general_case(&self, seen: &Sighting) -> Option<CueHit> {
        let end = self.clause_end(seen.end);
        if self.units[end - 1].after != Cut::Ask {
            return None;
        }
        let said: String = self.units[seen.end..end]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        let case = said.contains("多少")
            || said.starts_with("的时候")
                && ["该", "应", "要", "吃什"].iter().any(|w| said.contains(w));
        let from = self.sentence_start(seen.start);
        let own = [Cue::Own, Cue::Recent, Cue::Ongoing, Cue::Kin];
        let mine = self.cues_between(from, end, &own).next().is_some();
        (case && !mine).then_some(CueHit {
            start: seen.start,
            end,
            cues: Cues::default(),
        })
    }

    /// 多少度才算发烧, 什么样的叫红肿: asks what the word stands for.
    fn asks_what_counts(&self, seen: &Sighting) -> Option<CueHit> {
        const ASKS: [&str; 8] = ["多少", "怎么", "怎样", "咋", "什么", "啥", "几", "哪样"];
        let start = self.clause_start(seen.start);
        let last = seen.start.checked_sub(1).filter(|last| *last > start)?;
        let from = start.max(seen.start.saturating_sub(8));
        let said: String = self.units[from..seen.start]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        let counts = ["算", "算是", "算得上", "叫", "叫做", "属于"]
            .iter()
            .any(|word| said.ends_with(word));
        (counts && ASKS.iter().any(|word| said.contains(word))).then_some(CueHit {
            start: last,
            end: seen.start,
            cues: Cues::default(),
        })
    }

    /// "Can these tablets make you dizzy?": an English question that asserts nothing.
    fn asks_whether(&self, seen: &Sighting) -> Option<CueHit> {
        const ASKS: [&str; 8] = [
            "can", "could", "does", "do", "will", "would", "should", "might",
        ];
        const CAUSES: [&str; 7] = ["make", "cause", "give", "bring", "mean", "lead", "affect"];
        let said = |at: usize| self.units[at].text.as_str();
        let from = self.sentence_start(seen.start);
        const LEADS: [&str; 14] = [
            "and", "so", "but", "well", "yes", "yeah", "yep", "oh", "no", "please", "ok", "okay",
            "doctor", "nurse",
        ];
        let first = (from..seen.start).find(|at| !LEADS.contains(&said(*at)))?;
        if !ASKS.contains(&said(first)) {
            return None;
        }
        let to = (seen.end.saturating_sub(1)..self.units.len())
            .find(|at| self.units[*at].after >= Cut::Strong);
        let marked = to.is_some_and(|at| self.units[at].after == Cut::Ask);
        let causes = (first..seen.start).any(|at| CAUSES.contains(&said(at)));
        (marked || causes).then_some(CueHit {
            start: first,
            end: first + 1,
            cues: Cues::default(),
        })
    }

    /// A condition, fear or instruction that the sighting stands in, and not its consequence.
    pub(super) fn condition(&self, seen: &Sighting, weight: Weight<'_>) -> Option<CueHit> {
        let from = self.sentence_start(seen.start);
        let to = self.head_end(seen);
        let cue = self.cues_between(from, to, &[Cue::Hypo]).next_back()?;
        // 如果走快了就喘 tells of what there is; 万一头晕就把药减半 of nothing that was done.
        let then = !weight.event && !self.teaches(cue)
            || self
                .cues_between(from, cue.start, &[Cue::Own])
                .next()
                .is_some();
        let ended = then
            && self
                .cues_between(cue.end, seen.start, &[Cue::Then])
                .next()
                .is_some()
            || (cue.end..seen.start).any(|at| {
                self.cut_before(at) == Cut::Weak
                    && self
                        .cue_starting(at)
                        .is_some_and(|c| c.cues.any(&[Cue::Own, Cue::Contrast]))
            })
            || self
                .cues_between(cue.end, seen.start, &[Cue::Recent, Cue::Ongoing])
                .next()
                .is_some()
            || self.fears(cue)
                && self.clause_start(seen.start) > cue.start
                && !self.wonders(self.clause_end(seen.end));
        (!ended && !self.follows(cue, seen)).then_some(*cue)
    }

    /// 嘴歪了就赶紧打120: what to do in case of it, as it was taught, and neither told of oneself nor dated.
    pub(super) fn instructed(&self, seen: &Sighting) -> Option<CueHit> {
        const CALLS: [&str; 10] = [
            "打120",
            "打一二零",
            "叫120",
            "去医院",
            "来医院",
            "上医院",
            "叫救护车",
            "找医生",
            "找大夫",
            "送医院",
        ];
        const REACH: usize = 10;
        let end = (seen.end..self.units.len())
            .find(|at| self.cut_before(*at) >= Cut::Strong)
            .unwrap_or(self.units.len());
        let own = [Cue::Own, Cue::Recent, Cue::Ongoing, Cue::Past, Cue::Older];
        let from = self.sentence_start(seen.start);
        if self.cues_between(from, end, &own).next().is_some() {
            return None;
        }
        let then = (seen.end..end).find(|at| self.units[*at].text == "就")?;
        let said: String = self.units[then..end.min(then + REACH)]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        let call = CALLS.iter().find(|call| said.contains(**call))?;
        let done =
            said.contains(&format!("{call}了")) || said.contains("打了") || said.contains("去了");
        (!done).then_some(CueHit {
            start: then,
            end: then + 1,
            cues: Cues::default(),
        })
    }

    /// 听病友说这个药吃久了会拉黑便, 大夫讲过可能会头晕: what others say it may do, and nothing that was felt.
    pub(super) fn hearsay(&self, seen: &Sighting) -> Option<CueHit> {
        const REACH: usize = 4;
        let from = self.sentence_start(seen.start);
        let said = |at: usize| self.units[at].text.as_str();
        let may = (seen.start.saturating_sub(REACH).max(from)..seen.start)
            .rev()
            .find(|at| matches!(said(*at), "会" | "易" | "能"))?;
        // 不会头晕 is for the rules of negation.
        let denied = may > from && matches!(said(may - 1), "不" | "才" | "就" | "还" | "总" | "老");
        let told = (from..may).find(|at| {
            matches!(said(*at), "说" | "讲" | "写") && at + 1 < seen.start && said(at + 1) != "话"
        })?;
        let heard = (from..told).any(|at| said(at) == "听")
            || told > from
                && matches!(
                    said(told - 1),
                    "医" | "生"
                        | "夫"
                        | "士"
                        | "上"
                        | "里"
                        | "书"
                        | "家"
                        | "友"
                        | "人"
                        | "都"
                        | "她"
                        | "他"
                );
        let own = [Cue::Own, Cue::Recent, Cue::Ongoing];
        let felt = self.cues_between(told, seen.start, &own).next().is_some();
        (heard && !denied && !felt).then_some(CueHit {
            start: told,
            end: told + 1,
            cues: Cues::default(),
        })
    }

    /// 护士交代过，血糖低了就吃糖: what was taught has no consequence that came about.
    fn teaches(&self, cue: &CueHit) -> bool {
        let said = &self.units[cue.start..cue.end];
        said.iter()
            .any(|u| matches!(u.text.as_str(), "交" | "嘱" | "教" | "宣" | "书" | "单"))
    }

    /// A fear (怕, 担心) reaches no further than its clause; a condition (如果) does: 我怕过敏，还没敢吃.
    fn fears(&self, cue: &CueHit) -> bool {
        let said = &self.units[cue.start..cue.end];
        said.iter().any(|u| matches!(u.text.as_str(), "怕" | "担"))
    }

    /// Whether the clause that ends here asks what to do then: 我怕过敏，喉咙肿起来怎么办.
    pub(super) fn wonders(&self, end: usize) -> bool {
        let from = end.saturating_sub(3);
        let said: String = self.units[from..end]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        ["怎么办", "咋办", "咋整"].iter().any(|w| said.ends_with(w))
    }
}
