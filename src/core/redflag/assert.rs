//! What a reply asserts of each wording seen: denied, past, another person's, doubted, or there.
//!
//! Ordered rules with ids; each that fires is kept with its span. No cue means present. A negation holds in its
//! clause and over a list; words of degree and change are no negations; a far negation of an emergent concept makes
//! it uncertain, never absent.

use super::cue::{Cue, Cues};
use super::find::{CueHit, Sighting, Slots, cues_between};
use super::index::Index;
use super::normal::{Cut, Unit};
use crate::finding::{Polarity, RuleFired, Urgency};
use crate::question::Respondent;

/// Units of unknown meaning that a negation may reach over.
const REACH: usize = 2;

/// The reply with everything found in it.
pub struct Scene<'a> {
    pub units: &'a [Unit],
    pub cues: &'a [CueHit],
    pub slots: &'a Slots<'a>,
    pub sightings: &'a [Sighting],
    pub respondent: Respondent,
    pub index: Index,
    /// The question asks after somebody else.
    pub of_others: bool,
}

/// What is known of a concept beside its wording.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub urgency: Urgency,
    /// A thing that happened (a fall, a stopped medicine): counts any time since discharge.
    pub event: bool,
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

enum Denial {
    Near(CueHit),
    Far(CueHit),
    Over(CueHit),
    Better(CueHit),
}

impl Scene<'_> {
    /// Judges one sighting whose polarity, without any cue, would be `first`.
    pub fn judge(&self, seen: &Sighting, weight: Weight, first: Polarity) -> Verdict {
        let mut verdict = Verdict::new(first);
        if let Some(cue) = self.question(seen) {
            verdict.fire("question", self.raw(cue), None);
            return verdict;
        }
        if let Some(cue) = self
            .condition(seen, weight)
            .or_else(|| self.instructed(seen))
        {
            verdict.fire("hypothetical", self.raw(cue), None);
            return verdict;
        }
        let other = self.other_subject(seen);
        if let Some(cue) = self.double(seen) {
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

    fn cue_holding(&self, at: usize) -> Option<&CueHit> {
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

    fn question(&self, seen: &Sighting) -> Option<CueHit> {
        let mut at = seen.end;
        while let Some(cue) = self.cue_starting(at) {
            if cue.cues.has(Cue::AskAfter) {
                return Some(*cue);
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
            .cues_between(start, seen.start, &[Cue::AskBefore])
            .next_back()
            .copied();
        let alone = start == seen.start && self.units[seen.end - 1].after == Cut::Ask;
        let asked = asked.or_else(|| self.general_case(seen));
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

    /// "Can these tablets make you dizzy?": an English question that asserts nothing.
    fn asks_whether(&self, seen: &Sighting) -> Option<CueHit> {
        const ASKS: [&str; 8] = [
            "can", "could", "does", "do", "will", "would", "should", "might",
        ];
        const CAUSES: [&str; 7] = ["make", "cause", "give", "bring", "mean", "lead", "affect"];
        let said = |at: usize| self.units[at].text.as_str();
        let from = self.sentence_start(seen.start);
        let first =
            (from..seen.start).find(|at| !matches!(said(*at), "and" | "so" | "but" | "well"))?;
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
    fn condition(&self, seen: &Sighting, weight: Weight) -> Option<CueHit> {
        let from = self.sentence_start(seen.start);
        let cue = self
            .cues_between(from, seen.start, &[Cue::Hypo])
            .next_back()?;
        // 如果走快了就喘 tells of what there is; 万一头晕就把药减半 of nothing that was done.
        let then = !weight.event
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
        (!ended).then_some(*cue)
    }

    /// 嘴歪了就赶紧打120: what to do in case of it, as it was taught, and neither told of oneself nor dated.
    fn instructed(&self, seen: &Sighting) -> Option<CueHit> {
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

    /// A fear (怕, 担心) reaches no further than its clause; a condition (如果) does: 我怕过敏，还没敢吃.
    fn fears(&self, cue: &CueHit) -> bool {
        let said = &self.units[cue.start..cue.end];
        said.iter().any(|u| matches!(u.text.as_str(), "怕" | "担"))
    }

    /// "… has the fever, not me": the clause behind says that it is someone else's.
    fn disowned(&self, seen: &Sighting) -> Option<CueHit> {
        let end = self.clause_end(seen.end);
        let said = |at: usize| self.units.get(at).map_or("", |u| u.text.as_str());
        let mine = match self.respondent {
            Respondent::Patient => matches!(said(end + 1), "me" | "myself" | "mine"),
            Respondent::Caregiver => matches!(said(end + 1), "him" | "her" | "his" | "hers"),
        };
        (said(end) == "not" && mine).then_some(CueHit {
            start: end,
            end: end + 2,
            cues: Cues::default(),
        })
    }

    /// Whether the clause that ends here asks what to do then: 我怕过敏，喉咙肿起来怎么办.
    fn wonders(&self, end: usize) -> bool {
        let from = end.saturating_sub(3);
        let said: String = self.units[from..end]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        ["怎么办", "咋办", "咋整"].iter().any(|w| said.ends_with(w))
    }

    /// The cue that makes someone else the subject.
    fn other_subject(&self, seen: &Sighting) -> Option<CueHit> {
        if let Some(cue) = self.disowned(seen) {
            return Some(cue);
        }
        let from = self.sentence_start(seen.start);
        if self.respondent == Respondent::Caregiver
            && let Some(cue) = self.told_apart(from, seen.start)
        {
            return Some(cue);
        }
        if let Some(cue) = self.asked_after(from, seen.start) {
            return Some(cue);
        }
        let kinds = match self.respondent {
            Respondent::Patient => [Cue::Other, Cue::Kin, Cue::Newborn, Cue::Own],
            Respondent::Caregiver => [Cue::Other, Cue::Kin, Cue::Newborn, Cue::Newborn],
        };
        let subject = self
            .cues_between(from, seen.start, &kinds)
            .rev()
            .find(|c| self.is_subject(c))?;
        // 有, and only much later a relative: the yes was the patient's own (有，半夜憋醒，我姑娘给我垫枕头).
        let has_alone = |c: &CueHit| c.end == from + 1 && c.cues.has(Cue::Has);
        if self.cue_starting(from).is_some_and(has_alone) && subject.start > from + 2 {
            return None;
        }
        // A mother's newborn is a second subject, whom `whose` tells apart.
        if subject.cues.has(Cue::Newborn) {
            return None;
        }
        let other = match self.respondent {
            Respondent::Patient => {
                subject.cues.any(&[Cue::Other, Cue::Kin]) && !subject.cues.has(Cue::Own)
            }
            Respondent::Caregiver => subject.cues.has(Cue::Other),
        };
        other.then_some(*subject)
    }

    /// "How's the puppy?" "He's throwing up.": whom the patient was asked after, until the patient says "I".
    fn asked_after(&self, from: usize, to: usize) -> Option<CueHit> {
        if !self.of_others || self.respondent != Respondent::Patient {
            return None;
        }
        let own = self.units[from..to].iter().any(|u| {
            let said = u.text.as_str();
            matches!(said, "i" | "my" | "me" | "myself" | "mine" | "we" | "our")
        });
        (!own).then_some(CueHit {
            start: from,
            end: from + 1,
            cues: Cues::default(),
        })
    }

    /// A caregiver sets the patient, who is well, apart from someone who is not: 她没事，是我自己头晕;
    /// 我爸蛮好，我妈倒是发烧.
    fn told_apart(&self, from: usize, to: usize) -> Option<CueHit> {
        let start = self.clause_start(to);
        let subject = self
            .cues_between(start, to, &[Cue::Own, Cue::Kin])
            .next_back()
            .copied()?;
        let word = |cue: &CueHit| -> String {
            let said = &self.units[cue.start..cue.end];
            said.iter().map(|u| u.text.as_str()).collect()
        };
        let before = |kinds: &[Cue]| self.cues_between(from, start, kinds).next().is_some();
        let well = before(&[Cue::No, Cue::Neg, Cue::NegTight, Cue::Fine]);
        let named = self
            .cues_between(from, start, &[Cue::Kin])
            .any(|c| word(c) != word(&subject));
        let noticed = self.units.get(subject.end).is_some_and(|u| u.text == "发")
            && self
                .units
                .get(subject.end + 1)
                .is_some_and(|u| u.text == "现");
        let acts = noticed || self.acts(&subject);
        let patient =
            from < start && matches!(self.units[from].text.as_str(), "他" | "她" | "老" | "宝");
        let first = !subject.cues.has(Cue::Own) || word(&subject).starts_with(['我', '俺', '咱']);
        (first && !acts && well && (patient || named)).then_some(subject)
    }

    /// A relative who speaks, looks on or is spoken to is not the one who suffers.
    pub fn is_subject(&self, cue: &CueHit) -> bool {
        cue.cues.has(Cue::Own) || !self.acts(cue)
    }

    /// Whether the person named speaks, looks on or is spoken to.
    fn acts(&self, cue: &CueHit) -> bool {
        const ACTS: [&str; 39] = [
            "说", "叫", "让", "看", "陪", "给", "来", "骂", "劝", "催", "觉", "问", "听", "摸",
            "量", "测", "们", "says", "said", "told", "thinks", "thought", "noticed", "made",
            "drove", "took", "wants", "saw", "found", "heard", "called", "reckons", "watched",
            "rang", "phoned", "picked", "caught", "remarked", "seen",
        ];
        const TOWARDS: [&str; 23] = [
            "跟", "和", "给", "陪", "带", "对", "让", "像", "with", "for", "to", "and", "by",
            "over", "of", "at", "from", "on", "about", "after", "near", "behind", "off",
        ];
        let next = self.units.get(cue.end).map_or("", |u| u.text.as_str());
        let last = cue
            .start
            .checked_sub(1)
            .map_or("", |at| self.units[at].text.as_str());
        // "my son took me in", but "my uncle took his own life".
        let himself = self
            .units
            .get(cue.end + 1)
            .is_some_and(|u| matches!(u.text.as_str(), "his" | "her" | "their" | "an" | "all"));
        ACTS.contains(&next) && !(next == "took" && himself) || TOWARDS.contains(&last)
    }

    fn double(&self, seen: &Sighting) -> Option<CueHit> {
        let start = self.clause_start(seen.start);
        let listed = self.cues_between(start, seen.anchor.0, &[Cue::Double]);
        listed
            .last()
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

    fn negate(&self, seen: &Sighting, weight: Weight, verdict: &mut Verdict) {
        let before = seen
            .spans
            .iter()
            .rev()
            .find_map(|span| self.denied_before(span.0, seen));
        let Some(denial) = before.or_else(|| self.denied_after(seen)) else {
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
        if let Some(cue) = self.cue_holding(from).filter(overlaps)
            && cue.cues.any(&[Cue::Neg, Cue::NegTight, Cue::No])
        {
            return Some(Denial::Near(*cue));
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
                Cut::Weak | Cut::Strong | Cut::Ask => return None,
            }
            if let Some(cue) = self.cue_ending(at) {
                let kinds = cue.cues;
                if kinds.any(&[Cue::Pseudo, Cue::Contrast, Cue::Own]) {
                    return None;
                }
                if kinds.has(Cue::NegTight) {
                    return (unknown == 0).then_some(Denial::Near(*cue));
                }
                if kinds.has(Cue::Neg) {
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
                return None;
            }
            at -= 1;
        }
        None
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

    fn in_sighting(&self, at: usize) -> bool {
        self.index.sighted(at)
    }

    fn in_span(&self, at: usize) -> bool {
        self.index.spanned(at)
    }

    fn in_body(&self, at: usize) -> bool {
        self.index.in_body(at)
    }

    /// 昏倒没昏倒, 闷倒是不闷: the word is taken up only to be denied.
    fn taken_up(&self, seen: &Sighting) -> Option<CueHit> {
        let said = |at: usize| self.units.get(at).map_or("", |u| u.text.as_str());
        let mut at = seen.end;
        while matches!(said(at), "倒" | "是" | "也") && self.cut_before(at) == Cut::None {
            at += 1;
        }
        let neg = at;
        if !matches!(said(neg), "没" | "不") || self.cut_before(neg) > Cut::None {
            return None;
        }
        at += 1 + usize::from(said(neg + 1) == "有");
        let (from, to) = seen.anchor;
        let last = self.units.get(from..to)?;
        let again = self.units.get(at..at + last.len())?;
        let same = last.iter().zip(again).all(|(a, b)| a.text == b.text);
        let end = at + last.len();
        // 疼不疼我也说不清 leaves it open.
        (same && !last.is_empty() && said(end) != "我").then_some(CueHit {
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
        if let Some(cue) = self.taken_up(seen) {
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

    fn place_in_time(&self, seen: &Sighting, weight: Weight, verdict: &mut Verdict) {
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
        {
            verdict.fire("older", self.raw(cue), Some(Polarity::Historical));
        }
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
            return Some(*still);
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

    /// No date, but the clauses behind say that it is over.
    fn over_later(
        &self,
        seen: &Sighting,
        weight: Weight,
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

    /// 歇会儿就好了, 塞住就好了: what each bout ends in, not the end of the complaint.
    fn each_time(&self, cue: &CueHit) -> bool {
        let then = self.units[cue.start].text == "就"
            || cue.start > 0 && self.units[cue.start - 1].text == "就";
        // …，之后一直正常: that was the end of it.
        let well = [Cue::Fine, Cue::Neg, Cue::No];
        let since = self.cues_between(cue.end, self.units.len(), &well);
        then && since.count() == 0
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
        if let Some(cue) = here.or_else(behind).or_else(wonders) {
            verdict.fire("hedge", self.raw(*cue), Some(Polarity::Uncertain));
        }
    }
}

/// Whether the wording itself names the newborn (宝宝发烧, baby has a fever).
pub fn names_newborn(seen: &Sighting) -> bool {
    const NAMES: [&str; 4] = ["宝宝", "新生儿", "baby", "newborn"];
    NAMES.iter().any(|name| seen.term.contains(name))
}
