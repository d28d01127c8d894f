//! What only the grammar of English says of a wording: lists under one denial, what news nearly did, things that fall,
//! readings that were not taken, a third person spoken of, old deficits, and questions that assert.

use super::assert::{Aim, Scene};
use super::cue::{Cue, Cues};
use super::find::{CueHit, Sighting};
use super::measure::READINGS;
use super::normal::{Cut, Unit};
use crate::question::Respondent;

/// Units that a denied list may hold before the wording.
const LIST: usize = 40;
/// Units that one member of such a list may have.
const MEMBER: usize = 6;
/// Units between "she" and what she has.
const NEAR: usize = 4;

fn hit(start: usize, end: usize) -> CueHit {
    CueHit {
        start,
        end,
        cues: Cues::default(),
    }
}

/// Whether the question asks for what led to the admission, or for what the patient was told.
pub fn aim_of(question: &[Unit]) -> Option<Aim> {
    const ADMISSION: [&str; 14] = [
        "were you in hospital",
        "were you in the hospital",
        "were you admitted",
        "were you in for",
        "brought you in",
        "brought you to",
        "took you in",
        "took you to",
        "take you in",
        "put you in",
        "landed you in",
        "you go into hospital",
        "you go to hospital",
        "you go to the hospital",
    ];
    const INSTRUCTIONS: [&str; 16] = [
        "when to call",
        "when to ring",
        "when to come back",
        "when should you",
        "when would you",
        "should you call",
        "should you ring",
        "to look for",
        "look out for",
        "watch out for",
        "watch for",
        "warn you",
        "warning signs",
        "discharge sheet",
        "discharge instructions",
        "leaflet say",
    ];
    if question.first()?.is_han() {
        return None;
    }
    let mut words: String = question
        .iter()
        .flat_map(|u| [u.text.as_str(), " "])
        .collect();
    words.pop();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if says(&ADMISSION) {
        Some(Aim::Admission)
    } else if says(&INSTRUCTIONS) {
        Some(Aim::Instructions)
    } else {
        None
    }
}

/// "none since I came home", "not once since the operation": what was before is over, and none came after. One cue that
/// denies, and puts what stands before it in the past.
pub fn none_since(cues: &mut Vec<CueHit>, units: &[Unit]) {
    const NONE: [&str; 8] = [
        "none", "not", "nothing", "never", "haven't", "hasn't", "didn't", "no",
    ];
    const HOME: [&str; 16] = [
        "home",
        "out",
        "discharge",
        "discharged",
        "hospital",
        "surgery",
        "operation",
        "op",
        "stent",
        "stents",
        "back",
        "ward",
        "bypass",
        "pacemaker",
        "procedure",
        "then",
    ];
    const REACH: usize = 4;
    let said = |at: usize| units.get(at).map_or("", |u| u.text.as_str());
    let joined = |from: usize, to: usize| units[from..to].iter().all(|u| u.after == Cut::None);
    for since in 1..units.len() {
        if said(since) != "since" {
            continue;
        }
        let first = since.saturating_sub(REACH);
        let Some(none) = (first..since).rev().find(|at| NONE.contains(&said(*at))) else {
            continue;
        };
        let last = units.len().min(since + 2 + REACH);
        let Some(home) = (since + 1..last).find(|at| HOME.contains(&said(*at))) else {
            continue;
        };
        // "nothing's been right since I came home".
        let plain = units[none + 1..since].iter().all(|u| {
            matches!(
                u.text.as_str(),
                "once" | "one" | "any" | "at" | "all" | "had" | "ever" | "a" | "single" | "it"
            )
        });
        if !plain || !joined(none, home) {
            continue;
        }
        let mut kinds = Cues::default();
        for kind in [Cue::Past, Cue::No, Cue::Ceased] {
            kinds.add(kind);
        }
        cues.retain(|c| c.end <= none || home < c.start);
        cues.push(CueHit {
            start: none,
            end: home + 1,
            cues: kinds,
        });
        cues.sort_by_key(|c| c.start);
    }
}

impl Scene<'_> {
    pub(super) fn span_of(&self, seen: &Sighting) -> CueHit {
        hit(seen.start, seen.end)
    }

    /// Whether a cue of these kinds stands in the sentence of the wording.
    pub(super) fn in_sentence(&self, seen: &Sighting, kinds: &[Cue]) -> bool {
        let (from, to) = (self.sentence_start(seen.start), self.sentence_end(seen.end));
        self.cues_between(from, to, kinds).next().is_some()
    }

    pub(super) fn word(&self, at: usize) -> &str {
        self.units.get(at).map_or("", |u| u.text.as_str())
    }

    fn any_word(&self, from: usize, to: usize, words: &[&str]) -> bool {
        (from..to).any(|at| words.contains(&self.word(at)))
    }

    /// The end of the sentence that goes on at `at`.
    fn sentence_end(&self, at: usize) -> usize {
        let to = at.min(self.units.len()).saturating_sub(1);
        (to..self.units.len())
            .find(|at| self.units[*at].after >= Cut::Strong)
            .map_or(self.units.len(), |at| at + 1)
    }

    /// Why the words name no symptom at all, with the rule's name.
    pub(super) fn names_none(
        &self,
        seen: &Sighting,
        concept: &str,
    ) -> Option<(&'static str, CueHit)> {
        if self.units[seen.start].is_han() {
            return None;
        }
        if let Some(answer) = self.inside_answer(seen) {
            return Some(("answer", answer));
        }
        match concept {
            "fall" => {
                let thing = self.thing_fell(seen).map(|cue| ("thing_fell", cue));
                thing.or_else(|| self.caught_in_time(seen).map(|cue| ("caught_in_time", cue)))
            }
            "medication_stopped" => {
                let reading = self.of_reading(seen).map(|cue| ("of_a_reading", cue));
                reading.or_else(|| self.by_order(seen).map(|cue| ("by_order", cue)))
            }
            "heavy_bleeding" => self.of_sweat(seen).map(|cue| ("of_sweat", cue)),
            "severe_pain" | "severe_headache" | "severe_abdominal_pain" => {
                self.of_no_pain(seen).map(|cue| ("of_no_pain", cue))
            }
            _ => None,
        }
        .or_else(|| {
            let grave = matches!(concept, "suicidal_ideation" | "self_harm");
            let startled = self.startled(seen).filter(|_| !grave);
            startled.map(|cue| ("figure", cue))
        })
    }

    /// "Breathing's good, no trouble at all": the last word belongs to an answer.
    fn inside_answer(&self, seen: &Sighting) -> Option<CueHit> {
        let answers = [Cue::Fine, Cue::No, Cue::RestNo, Cue::Neither];
        let last = seen.anchor.0;
        let cue = self.cue_holding(last)?;
        let inside = cue.start < last && seen.anchor.1 <= cue.end && seen.start < cue.start;
        (seen.gapped && inside && cue.cues.any(&answers)).then_some(*cue)
    }

    /// "I nearly fainted when they told me the price": what the news nearly did to somebody did not happen.
    fn startled(&self, seen: &Sighting) -> Option<CueHit> {
        const NEARLY: [&str; 7] = [
            "nearly",
            "almost",
            "about",
            "practically",
            "could",
            "near",
            "virtually",
        ];
        const AT: [&str; 9] = [
            "when", "at", "seeing", "hearing", "reading", "opening", "over", "with", "laughing",
        ];
        const NEWS: [&str; 37] = [
            "told",
            "tell",
            "saw",
            "see",
            "heard",
            "hear",
            "read",
            "found",
            "opened",
            "showed",
            "rang",
            "price",
            "called",
            "prices",
            "bill",
            "cost",
            "news",
            "score",
            "scored",
            "won",
            "letter",
            "invoice",
            "spent",
            "charged",
            "quoted",
            "announced",
            "said",
            "asked",
            "proposed",
            "laughing",
            "laughter",
            "embarrassment",
            "boredom",
            "fright",
            "shame",
            "excitement",
            "joy",
        ];
        const BODY: [&str; 18] = [
            "stand", "stood", "standing", "blood", "needle", "walk", "walked", "walking", "up",
            "stairs", "bath", "shower", "wound", "dressing", "bed", "toilet", "breath", "mirror",
        ];
        let from = self
            .clause_start(seen.start)
            .max(seen.start.saturating_sub(NEAR));
        let nearly = (from..seen.end).find(|at| NEARLY.contains(&self.word(*at)))?;
        let end = self.sentence_end(seen.end);
        let when = (seen.end..end.min(seen.end + NEAR)).find(|at| AT.contains(&self.word(*at)))?;
        let news = self.any_word(when, end, &NEWS) && !self.any_word(seen.end, end, &BODY);
        news.then(|| hit(nearly, when + 1))
    }

    /// "a terrible smell", "gone a horrible colour": what is called so is no pain.
    fn of_no_pain(&self, seen: &Sighting) -> Option<CueHit> {
        const CALLS: [&str; 9] = [
            "terrible", "horrible", "awful", "dreadful", "shocking", "horrific", "bad", "wicked",
            "fierce",
        ];
        const NO_PAINS: [&str; 26] = [
            "smell", "colour", "color", "taste", "cough", "noise", "state", "mess", "rash",
            "bruise", "swelling", "itch", "itching", "news", "weather", "mood", "shame", "shock",
            "memory", "sleeper", "dream", "dreams", "sight", "fright", "temper", "thirst",
        ];
        const OTHER: [&str; 8] = [
            "itch", "itchy", "itches", "itching", "numb", "weak", "stiff", "cold",
        ];
        // "My feet are swole up so bad".
        let swells = self.slots.within("swell_en", seen.start, seen.end);
        let other = swells || self.any_word(seen.start, seen.end, &OTHER);
        if other && seen.gapped && !self.slots.within("pain_en", seen.start, seen.end) {
            return Some(self.span_of(seen));
        }
        let last = seen.end - 1;
        let calls = CALLS.contains(&self.word(last)) && self.cut_before(seen.end) == Cut::None;
        (calls && NO_PAINS.contains(&self.word(seen.end))).then(|| hit(last, seen.end + 1))
    }

    /// "A picture fell off the wall", "it all fell on the floor": what falls is no person.
    fn thing_fell(&self, seen: &Sighting) -> Option<CueHit> {
        const FALLS: [&str; 10] = [
            "fell", "fallen", "falling", "slipped", "slid", "tumbled", "toppled", "went", "came",
            "dropped",
        ];
        const BETWEEN: [&str; 17] = [
            "has", "have", "had", "is", "was", "just", "nearly", "almost", "only", "then", "also",
            "all", "suddenly", "been", "keep", "keeps", "kept",
        ];
        const THINGS: [&str; 8] = [
            "it",
            "that",
            "this",
            "everything",
            "something",
            "these",
            "those",
            "which",
        ];
        const DETERMINERS: [&str; 13] = [
            "a", "an", "the", "my", "his", "her", "our", "your", "their", "this", "that",
            "another", "some",
        ];
        const NO_THING: [&str; 24] = [
            "day",
            "days",
            "night",
            "morning",
            "afternoon",
            "evening",
            "week",
            "weekend",
            "time",
            "minute",
            "moment",
            "patient",
            "person",
            "gentleman",
            "lady",
            "one",
            "bathroom",
            "kitchen",
            "garden",
            "and",
            "or",
            "so",
            "myself",
            "himself",
        ];
        let verb = (seen.start..seen.end).find(|at| FALLS.contains(&self.word(*at)))?;
        let mut at = verb;
        while at > 0 && self.cut_before(at) == Cut::None && BETWEEN.contains(&self.word(at - 1)) {
            at -= 1;
        }
        if at == 0 || self.cut_before(at) != Cut::None {
            return None;
        }
        let subject = at - 1;
        if THINGS.contains(&self.word(subject)) {
            return Some(hit(subject, verb + 1));
        }
        let person = |at: usize| {
            self.cue_holding(at)
                .is_some_and(|c| c.cues.any(&[Cue::Own, Cue::Kin, Cue::Other, Cue::Newborn]))
        };
        let first = self.clause_start(subject).max(subject.saturating_sub(3));
        let named = (first..subject)
            .rev()
            .find(|at| DETERMINERS.contains(&self.word(*at)))?;
        let noun = named + 1..at;
        let thing = noun
            .clone()
            .all(|at| !person(at) && !self.in_body(at) && !NO_THING.contains(&self.word(at)));
        // "my wife's mother": whose it is stands before.
        (thing && !(named + 1 < self.units.len() && person(named + 1)))
            .then(|| hit(named, verb + 1))
    }

    /// "The sheets were soaked with sweat": soaked, and not with blood.
    fn of_sweat(&self, seen: &Sighting) -> Option<CueHit> {
        const WET: [&str; 13] = [
            "sweat",
            "sweats",
            "sweating",
            "sweaty",
            "perspiration",
            "rain",
            "rained",
            "urine",
            "wee",
            "pee",
            "water",
            "spilt",
            "spilled",
        ];
        let (from, to) = (self.sentence_start(seen.start), self.sentence_end(seen.end));
        let blood = self.slots.within("bleed_en", from, to);
        (!blood && self.any_word(from, to, &WET)).then(|| self.span_of(seen))
    }

    /// "The surgeon stopped it", "they took me off the statin": nobody stopped it of his own accord.
    fn by_order(&self, seen: &Sighting) -> Option<CueHit> {
        const ORDERS: [&str; 14] = [
            "doctor",
            "doctors",
            "dr",
            "gp",
            "surgeon",
            "consultant",
            "cardiologist",
            "specialist",
            "hospital",
            "nurse",
            "pharmacist",
            "clinic",
            "team",
            "they",
        ];
        const PERSONS: [&str; 12] = [
            "i", "he", "she", "we", "you", "it", "wife", "husband", "daughter", "son", "mum", "dad",
        ];
        const STOPS: [&str; 19] = [
            "stopped",
            "stop",
            "took",
            "taken",
            "taper",
            "tapered",
            "discontinued",
            "cancelled",
            "weaned",
            "swapped",
            "halved",
            "cut",
            "reduced",
            "lowered",
            "changed",
            "switched",
            "told",
            "advised",
            "withdrew",
        ];
        let (from, to) = (self.sentence_start(seen.start), self.sentence_end(seen.end));
        let mut stops = (from..to).filter(|at| STOPS.contains(&self.word(*at)));
        let orders = |verb: usize| {
            let mut before = (from.max(verb.saturating_sub(2 * NEAR))..verb).rev();
            let who = before
                .find(|at| ORDERS.contains(&self.word(*at)) || PERSONS.contains(&self.word(*at)))?;
            // "they told me off".
            let scolds = self.word(verb) == "told" && self.word(verb + 2) == "off";
            (ORDERS.contains(&self.word(who)) && !scolds).then(|| hit(who, verb + 1))
        };
        stops.find_map(orders)
    }

    /// "I slipped in the bath but caught the rail": no fall.
    fn caught_in_time(&self, seen: &Sighting) -> Option<CueHit> {
        const CATCHES: [&str; 6] = [
            "caught", "grabbed", "saved", "steadied", "righted", "stopped",
        ];
        const WHOM: [&str; 9] = [
            "myself", "himself", "herself", "me", "him", "her", "the", "hold", "on",
        ];
        const DOWN: [&str; 12] = [
            "floor", "ground", "landed", "hit", "bruise", "bruised", "hurt", "broke", "banged",
            "bumped", "down", "before",
        ];
        let (from, end) = (self.clause_start(seen.start), self.sentence_end(seen.end));
        let at = (seen.end..end)
            .find(|at| CATCHES.contains(&self.word(*at)) && WHOM.contains(&self.word(at + 1)))?;
        (!self.any_word(from, end, &DOWN)).then(|| hit(at, at + 2))
    }

    /// "What's your blood pressure?" "I haven't taken it.": a reading, and no tablet.
    fn of_reading(&self, seen: &Sighting) -> Option<CueHit> {
        const TAKES: [&str; 9] = [
            "take",
            "taken",
            "took",
            "taking",
            "forgot",
            "forget",
            "forgotten",
            "missed",
            "skipped",
        ];
        let takes = self.any_word(seen.start, seen.end, &TAKES);
        let (from, to) = (self.clause_start(seen.start), self.clause_end(seen.end));
        let tablets = self.slots.within("med_en", from, to);
        let behind = to.min(seen.end + NEAR);
        let reading = || {
            let mut named = READINGS.iter();
            named.any(|class| self.slots.within(class, seen.start, behind))
        };
        (takes && !tablets && (self.aim == Aim::Reading || reading()))
            .then(|| hit(seen.start, seen.end))
    }

    /// "He denies chills, funny turns or chest pain": the denial of a list that "or" joins holds for each member,
    /// known or not. What is said with a verb or a subject of its own is no member.
    pub(super) fn denied_in_list(&self, from: usize, seen: &Sighting) -> Option<CueHit> {
        const STATES: [&str; 60] = [
            "i", "he", "she", "it", "they", "we", "you", "there", "is", "was", "are", "were",
            "has", "have", "had", "get", "gets", "got", "getting", "keep", "keeps", "keep", "do",
            "does", "did", "feel", "feels", "can", "can't", "could", "couldn't", "will", "won't",
            "would", "but", "so", "because", "when", "if", "what", "which", "who", "that", "only",
            "just", "some", "bit", "now", "still", "then", "yes", "yeah", "though", "although",
            "except", "until", "while", "where", "how", "my",
        ];
        const CARRIES: [&str; 9] = [
            "had", "have", "has", "been", "felt", "getting", "got", "noticed", "seen",
        ];
        let states = |at: usize| STATES.contains(&self.word(at));
        let start = self.sentence_start(from).max(from.saturating_sub(LIST));
        let denial = self
            .cues_between(start, from, &[Cue::Neg])
            .rev()
            .find(|cue| !cue.cues.any(&[Cue::Pseudo, Cue::Double]))?;
        if self.units[from].is_han() || self.cut_before(denial.end) != Cut::None {
            return None;
        }
        let mut first = denial.end;
        while first < from && CARRIES.contains(&self.word(first)) {
            first += 1;
        }
        let turns = [Cue::Contrast, Cue::Pseudo, Cue::Hypo];
        let turned = self.cues_between(denial.end, from, &turns).next();
        if turned.is_some() || (first..from).any(states) {
            return None;
        }
        let denies = self.any_word(denial.start, denial.end, &["denies", "denied", "deny"]);
        let joins = |at: usize| match self.word(at) {
            "or" | "nor" => true,
            "and" => denies,
            _ => false,
        };
        let mut long = 0;
        let mut joined = false;
        for at in denial.end..from {
            let parts = joins(at)
                || self.word(at) == "and"
                || at > denial.end && self.cut_before(at) == Cut::Weak;
            joined |= joins(at);
            long = if parts { 0 } else { long + 1 };
            if long > MEMBER {
                return None;
            }
        }
        if !joined {
            let end = self.sentence_end(seen.end).min(seen.end + LIST);
            let mut at = seen.end;
            while at < end && !states(at) && !joins(at) {
                at += 1;
            }
            joined = at < end && joins(at);
        }
        joined.then_some(*denial)
    }

    /// "My sister rang, she's got a temperature": "she" is she who was named, where the patient speaks.
    pub(super) fn spoken_of(&self, seen: &Sighting) -> Option<CueHit> {
        const PERSONS: [&str; 14] = [
            "i", "me", "my", "myself", "we", "our", "us", "it", "you", "he", "she", "they", "the",
            "this",
        ];
        if self.respondent != Respondent::Patient {
            return None;
        }
        let start = self
            .clause_start(seen.start)
            .max(seen.start.saturating_sub(NEAR + 1));
        let who = (start..seen.start)
            .rev()
            .find(|at| PERSONS.contains(&self.word(*at)))?;
        if !matches!(self.word(who), "he" | "she") || self.cut_before(who + 1) != Cut::None {
            return None;
        }
        let pronoun = hit(who, who + 1);
        let named = self
            .cues_between(0, who, &[Cue::Kin, Cue::Other])
            .next_back();
        (named.is_some() && !self.acts(&pronoun)).then_some(pronoun)
    }

    /// "If I bend down I go dizzy": what follows the condition, with a subject of its own, is there.
    pub(super) fn follows(&self, cue: &CueHit, seen: &Sighting) -> bool {
        const SUBJECTS: [&str; 6] = ["i", "he", "she", "it", "my", "we"];
        const TAUGHT: [&str; 12] = [
            "said", "says", "told", "tell", "warned", "leaflet", "booklet", "sheet", "supposed",
            "ring", "call", "come",
        ];
        const MAY: [&str; 11] = [
            "might", "may", "could", "will", "would", "should", "or", "and", "to", "gonna", "going",
        ];
        let own = |at: usize| SUBJECTS.contains(&self.word(at));
        let from = self.sentence_start(seen.start);
        if self.word(cue.start) != "if" || cue.end != cue.start + 1 || !own(cue.end) {
            return false;
        }
        let second = (cue.end + 2..seen.start).find(|at| own(*at));
        second.is_some_and(|at| {
            at + NEAR >= seen.start
                && !self.any_word(at - 1, seen.start, &MAY)
                && !self.any_word(from, cue.start, &TAUGHT)
        })
    }

    /// "Keep the leg up to stop it swelling": what is done against it, said between its words.
    pub(super) fn prevented(&self, seen: &Sighting) -> Option<CueHit> {
        const AGAINST: [&str; 6] = ["stop", "prevent", "avoid", "case", "prevents", "stops"];
        let hypos = self.cues_between(seen.start, seen.anchor.0, &[Cue::Hypo]);
        let mut against = hypos.filter(|cue| self.any_word(cue.start, cue.end, &AGAINST));
        against.next().copied()
    }

    /// "She's stopped wheezing."
    pub(super) fn stopped_before(&self, seen: &Sighting) -> Option<CueHit> {
        const NOT: [&str; 8] = [
            "not", "never", "hasn't", "haven't", "hadn't", "isn't", "nothing", "hardly",
        ];
        let at = seen.start.checked_sub(1)?;
        let denied = at > 0 && NOT.contains(&self.word(at - 1));
        (self.word(at) == "stopped" && self.cut_before(seen.start) == Cut::None && !denied)
            .then(|| hit(at, at + 1))
    }

    /// "She thinks I'm confused but I'm not."
    pub(super) fn taken_back(&self, seen: &Sighting) -> Option<CueHit> {
        const DENIES: [&str; 9] = [
            "not", "isn't", "wasn't", "aren't", "ain't", "don't", "didn't", "haven't", "hasn't",
        ];
        let but = self.clause_end(seen.end);
        let subject = matches!(self.word(but + 1), "i" | "he" | "she" | "it" | "they");
        let denies = DENIES.contains(&self.word(but + 2));
        let near = but <= seen.end + 2 && self.cut_before(but) < Cut::Strong;
        if self.word(but) != "but" || !subject || !denies || !near {
            return None;
        }
        let ends = but + 3 == self.units.len() || self.cut_before(but + 3) >= Cut::Weak;
        ends.then(|| hit(but, but + 3))
    }

    /// "My own chest hurts with the worry": a relative who tells of herself.
    pub(super) fn of_teller(&self, seen: &Sighting) -> Option<CueHit> {
        if self.respondent != Respondent::Caregiver {
            return None;
        }
        let from = self.clause_start(seen.start);
        let own = (from + 1..seen.end)
            .find(|at| self.word(*at) == "own" && matches!(self.word(at - 1), "my" | "me"));
        // "She's fine, it's me that's worn out".
        let sentence = self.sentence_start(seen.start);
        let me = (sentence + 1..seen.start).find(|at| {
            let that = matches!(self.word(at + 1), "that" | "who");
            self.word(*at) == "me" && matches!(self.word(at - 1), "it" | "is") && that
        });
        // "I had a fall myself".
        let end = self.clause_end(seen.end);
        let myself = (seen.end..end.min(seen.end + NEAR))
            .find(|at| self.word(*at) == "myself" && self.any_word(from, seen.start, &["i"]));
        own.or(me).or(myself).map(|at| hit(at - 1, at + 1))
    }

    /// "The left side is the same as when I left": a deficit that was there before and is no worse.
    pub(super) fn of_old(&self, seen: &Sighting) -> Option<CueHit> {
        const FRESH: [&str; 12] = [
            "worse",
            "more",
            "new",
            "again",
            "suddenly",
            "sudden",
            "today",
            "yesterday",
            "morning",
            "tonight",
            "now",
            "started",
        ];
        let start = self.clause_start(seen.start);
        let end = self.clause_end(self.clause_end(seen.end) + 1);
        let old = self.cues_between(start, end, &[Cue::Lasting]).next()?;
        let fresh = |from, to| self.any_word(from, to, &FRESH);
        (!fresh(start, old.start) && !fresh(old.end, end)).then_some(*old)
    }

    /// "Should I worry that I'm coughing blood?" asks what to think of it, and says that it is there.
    pub(super) fn asks_of_own(&self, seen: &Sighting) -> bool {
        const MINDS: [&str; 10] = [
            "worry",
            "worried",
            "concerned",
            "normal",
            "matter",
            "ok",
            "okay",
            "usual",
            "alright",
            "bothered",
        ];
        const OWN: [&str; 12] = [
            "i", "my", "it", "he", "she", "his", "her", "this", "these", "there", "the", "we",
        ];
        const MAY: [&str; 9] = [
            "might", "may", "could", "will", "would", "going", "can", "get", "if",
        ];
        let from = self.sentence_start(seen.start);
        let minds = (from..seen.start).find(|at| MINDS.contains(&self.word(*at)));
        minds.is_some_and(|at| {
            // "I'm worried about this swelling in my leg".
            let shown = matches!(self.word(at + 2), "this" | "these" | "how");
            if shown && self.word(at + 1) == "about" {
                return true;
            }
            let asks = self.any_word(from, at, &["should", "is", "do", "does", "ought", "am"]);
            let that = matches!(self.word(at + 1), "that" | "about" | "for");
            asks && that
                && OWN.contains(&self.word(at + 2))
                && !self.any_word(at + 2, seen.start, &MAY)
        })
    }

    /// "What I'm coughing up has blood in it" asks nothing.
    pub(super) fn tells_what(&self, cue: &CueHit) -> bool {
        const SUBJECTS: [&str; 9] = ["i", "he", "she", "it", "we", "they", "comes", "came", "my"];
        let asks = self.units[self.sentence_end(cue.end) - 1].after == Cut::Ask;
        cue.end == cue.start + 1
            && self.word(cue.start) == "what"
            && SUBJECTS.contains(&self.word(cue.end))
            && !asks
    }
}
