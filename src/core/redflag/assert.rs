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

enum Denial {
    Near(CueHit),
    Far(CueHit),
    Over(CueHit),
    Better(CueHit),
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

    fn question(&self, seen: &Sighting) -> Option<CueHit> {
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

    /// Where a condition or a question about the wording may end: 伤口|要是|流脓, right behind its first part.
    fn head_end(&self, seen: &Sighting) -> usize {
        const REACH: usize = 3;
        let parts = self.units[seen.start].is_han() && seen.spans.len() > 1;
        match seen.spans.first() {
            Some(first) if parts => seen.anchor.0.min(first.1 + REACH).max(seen.start),
            Some(_) | None => seen.start,
        }
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
    fn condition(&self, seen: &Sighting, weight: Weight<'_>) -> Option<CueHit> {
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

    /// 听病友说这个药吃久了会拉黑便, 大夫讲过可能会头晕: what others say it may do, and nothing that was felt.
    fn hearsay(&self, seen: &Sighting) -> Option<CueHit> {
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
        let third = self.disowned(seen).or_else(|| self.of_teller(seen));
        if let Some(cue) = third.or_else(|| self.spoken_of(seen)) {
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
        if let Some(cue) = self.told_of_oneself(from, seen.start) {
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

    /// 听我妹说她吃这药头晕: whom the patient heard it from said it of herself.
    fn told_of_oneself(&self, from: usize, to: usize) -> Option<CueHit> {
        const REACH: usize = 2;
        if self.respondent != Respondent::Patient {
            return None;
        }
        let said = |at: usize| self.units.get(at).map_or("", |u| u.text.as_str());
        let of_self = |c: &&CueHit| {
            let says = matches!(said(c.end), "说" | "讲");
            says && (c.end + 1..=c.end + REACH).any(|at| at < to && matches!(said(at), "他" | "她"))
        };
        let mut told = self.cues_between(from, to, &[Cue::Other, Cue::Kin]);
        let cue = *told.find(of_self)?;
        let own = self.cues_between(cue.end, to, &[Cue::Own]).next();
        own.is_none().then_some(cue)
    }

    /// "How's the puppy?" "He's throwing up.": whom the patient was asked after, until the patient says "I".
    fn asked_after(&self, from: usize, to: usize) -> Option<CueHit> {
        if self.aim != Aim::Others || self.respondent != Respondent::Patient {
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
        let here = self.cues_between(from, to, &[Cue::Own, Cue::Kin]);
        let subject = here.last().copied()?;
        let start = self.clause_start(subject.start);
        // 她姐姐老年痴呆，认不得人了: one clause on it is still the sister, unless it goes back to the patient.
        let clauses = (subject.end..=to).filter(|at| self.cut_before(*at) >= Cut::Weak);
        let back = self.units[subject.end..to]
            .iter()
            .any(|u| matches!(u.text.as_str(), "他" | "她"));
        if back || clauses.count() > 1 {
            return None;
        }
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
    pub(super) fn acts(&self, cue: &CueHit) -> bool {
        const ACTS: [&str; 39] = [
            "说", "叫", "让", "看", "陪", "给", "来", "骂", "劝", "催", "觉", "问", "听", "摸",
            "量", "测", "们", "says", "said", "told", "thinks", "thought", "noticed", "made",
            "drove", "took", "wants", "saw", "found", "heard", "called", "reckons", "watched",
            "rang", "phoned", "picked", "caught", "remarked", "seen",
        ];
        const TOWARDS: [&str; 27] = [
            "诉", "着", "怕", "瞒", "跟", "和", "给", "陪", "带", "对", "让", "像", "with", "for",
            "to", "and", "by", "over", "of", "at", "from", "on", "about", "after", "near",
            "behind", "off",
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

    /// 没有一天不吃: the second denial is the wording's own, so that the first one denies it.
    fn denies_a_denial(&self, seen: &Sighting) -> Option<CueHit> {
        let first = seen.anchor.0;
        let own = matches!(self.units[first].text.as_str(), "不" | "没");
        let cue = self.cue_holding(first).filter(|_| own)?;
        (cue.cues.has(Cue::Double) && cue.start < first).then_some(*cue)
    }

    fn double(&self, seen: &Sighting) -> Option<CueHit> {
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

    fn negate(&self, seen: &Sighting, weight: Weight<'_>, verdict: &mut Verdict) {
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

    fn in_sighting(&self, at: usize) -> bool {
        self.index.sighted(at)
    }

    fn in_span(&self, at: usize) -> bool {
        self.index.spanned(at)
    }

    pub(super) fn in_body(&self, at: usize) -> bool {
        self.index.in_body(at)
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

    fn place_in_time(&self, seen: &Sighting, weight: Weight<'_>, verdict: &mut Verdict) {
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
    fn began(&self, seen: &Sighting, time: &CueHit) -> bool {
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
    fn lasting(&self, seen: &Sighting) -> Option<CueHit> {
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
    fn over_later(
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

    /// 歇会儿就好了, 塞住就好了: what each bout ends in, not the end of the complaint.
    fn each_time(&self, cue: &CueHit) -> bool {
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
