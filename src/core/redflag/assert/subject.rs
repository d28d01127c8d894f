//! Whose a complaint is: somebody else's whom the reply tells of, or the one's who speaks or is spoken for.

use super::super::cue::{Cue, Cues};
use super::super::find::{CueHit, Sighting};
use super::super::normal::Cut;
use super::{Aim, Scene};
use crate::question::Respondent;

impl Scene<'_> {
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

    /// The cue that makes someone else the subject.
    pub(super) fn other_subject(&self, seen: &Sighting) -> Option<CueHit> {
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
    pub(in crate::redflag) fn acts(&self, cue: &CueHit) -> bool {
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
}
