//! The run of a [`Script`] on one call: words, keys and silence in, prompts and notes out.
//!
//! Order of what a reply may do: a certain emergent finding stops everything; then what people may say at any
//! moment (`command`); then a doubtful emergent finding is asked about once; only then is the reply read
//! as an answer. A question that fails twice goes where its node says, as a rule to a human. How a
//! node's answer is read stands in `understanding`, how prompts become speech in `speaking`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::act::{Act, Facts, Input, Note, Pace, RingBack, Segment, Verdict, Volume};
use super::command::{self, Command, Speaker};
use super::earlier::Earlier;
use super::identity::Names;
use super::node::{BargeIn, Effect, Guard, Jump, Kind, Node, Script, Target};
use super::number::Quantity;
use super::reply::{self, YesNo};
use super::speaking::{self, names};
use super::understanding::{self, Answer, Who};
use crate::attempt::{Disposition, Progress};
use crate::finding::Confirmation;
use crate::heard::Choices;
use crate::id::{ConceptId, NodeId};
use crate::patient::Hearing;
use crate::question::{Question, QuestionKind, Respondent};

/// Unclear replies and silences a question survives.
const TRIES: u8 = 2;
/// A question is heard when no more of it than this is missing, in milliseconds: people answer before its last syllable.
const HEARD_ALL_BUT_MS: u32 = 600;
/// Times a question is repeated on request before that counts as unclear.
const REPEATS: u8 = 3;
/// Silences in a row, over any questions, after which nobody is believed to be there.
const DEAD_AIR: u8 = 4;
/// A "no" heard more faintly than this (mean log-probability) denies no emergency: two syllables in three are wrong
/// there (hearing.md §4.4), and it is asked again.
const FAINT: f32 = -1.0;
/// Replies of one call that are not understood, from which on its denials are doubted.
const UNCLEAR: u8 = 4;

/// One script, running.
#[derive(Clone, Debug)]
pub struct Conversation {
    script: Arc<Script>,
    facts: Facts,
    day: u16,
    /// They rang us.
    ring_back: Option<RingBack>,
    /// Answers that are not asked for again, once it is known that the same person speaks.
    earlier: Option<Earlier>,
    state: State,
    /// Who the person on the line says they are; believed after the second factor.
    claim: Option<Who>,
    respondent: Option<Respondent>,
    effects: BTreeSet<Effect>,
    screen_answered: BTreeSet<usize>,
    screened: bool,
    /// The safety line was handed to the call.
    safety_said: bool,
    closing_spoken: bool,
    /// The concept that the emergency advice is for.
    advice_for: Option<ConceptId>,
    /// Concepts that were asked about once more.
    confirmed: BTreeSet<ConceptId>,
    /// Replies that could not be understood.
    unclear: u8,
    /// An emergency question was denied by voice; a key says no without a doubt.
    denied_by_voice: bool,
    by_key: bool,
    /// That the denials are not trusted was noted.
    denials_doubted: bool,
    /// It is noisy round the caller.
    in_noise: bool,
    /// The question that a jump interrupted.
    interrupted: Option<usize>,
    /// How long replies are waited for.
    pace: Pace,
    /// How the prompts are played from now on, as the caller asked.
    tempo: Pace,
    volume: Volume,
    dead_air: u8,
    last_words: String,
    last_speech: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum State {
    New,
    Asking(Asking),
    Over,
}

/// A question waiting for its reply.
#[derive(Clone, Debug)]
struct Asking {
    node: usize,
    form: Form,
    silences: u8,
    misses: u8,
    repeats: u8,
    /// Times that a `stay` has asked whether anybody is there.
    stays: u8,
    hearing: HeardSoFar,
}

/// How much of a question the person has let the robot say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HeardSoFar {
    #[default]
    All,
    /// Cut short: what is said now is no answer to it.
    Part,
    /// It was cut short before and is said whole now; only keys may interrupt it.
    Insisting,
}

/// What exactly was asked last.
#[derive(Clone, Debug)]
enum Form {
    /// The node's own question.
    Plain,
    /// "Thirty-eight point five, is that right?"
    ReadBack(Quantity),
    /// "You mean pain in the chest?"; the answer that the first reply gave is kept for afterwards.
    Confirm {
        concept: ConceptId,
        pending: Option<Answer>,
        /// Over by now: no emergency, confirmed or not.
        over: bool,
    },
}

impl Conversation {
    /// A conversation about to begin; the variant is the one of `facts.day`.
    pub fn new(script: Arc<Script>, facts: Facts) -> Conversation {
        let day = script.variant(facts.day);
        let pace = match facts.hearing {
            Hearing::Normal => Pace::Normal,
            Hearing::Hard | Hearing::Deaf => Pace::Slow,
        };
        Conversation {
            script,
            day,
            earlier: facts.earlier.clone(),
            facts,
            ring_back: None,
            state: State::New,
            claim: None,
            respondent: None,
            effects: BTreeSet::new(),
            screen_answered: BTreeSet::new(),
            screened: false,
            safety_said: false,
            closing_spoken: false,
            advice_for: None,
            confirmed: BTreeSet::new(),
            unclear: 0,
            denied_by_voice: false,
            by_key: false,
            denials_doubted: false,
            in_noise: false,
            interrupted: None,
            pace,
            tempo: Pace::Normal,
            volume: Volume::Normal,
            dead_air: 0,
            last_words: String::new(),
            last_speech: Vec::new(),
        }
    }

    /// A conversation with somebody who rang us.
    pub fn ringing_back(script: Arc<Script>, facts: Facts, kind: RingBack) -> Conversation {
        Conversation {
            ring_back: Some(kind),
            ..Conversation::new(script, facts)
        }
    }

    /// The opening: call it once, when a person has answered.
    pub fn start(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        if matches!(self.state, State::New) {
            match self.ring_back {
                None => self.enter(self.script.start, Vec::new(), &mut acts),
                Some(kind) => self.receive(kind, &mut acts),
            }
        }
        acts
    }

    /// The opening for whoever rang us: who is there is asked as it would be on a call of ours.
    fn receive(&mut self, kind: RingBack, acts: &mut Vec<Act>) {
        let start = self.script.start;
        let speech = speaking::ring_back(&self.script, &self.facts, kind);
        match (kind, self.node(start).next) {
            (RingBack::Resume | RingBack::Person, Some(Target::Node(identity))) => {
                self.enter(identity, speech, acts);
            }
            (RingBack::Closed, _) => {
                self.effects.insert(Effect::AskedForPerson);
                acts.push(Act::Note(Note::AskedForPerson));
                self.finish(start, speech, acts);
            }
            (RingBack::Resume | RingBack::Person | RingBack::Stranger, _) => {
                self.finish(start, speech, acts);
            }
        }
    }

    /// Who rang us and has nothing to be asked is connected with a person, once it is known who it is.
    fn connects(&self, node: &Node) -> Option<usize> {
        let is_wanted = self.ring_back == Some(RingBack::Person);
        let is_known = node.effect == Some(Effect::Identified);
        let person = self.script.commands.get(&Jump::Person);
        person.copied().filter(|_| is_wanted && is_known)
    }

    /// The opening again, for whoever has just come to the telephone; nothing once somebody is identified.
    pub fn greet_anew(&mut self) -> Vec<Act> {
        if self.is_identified() {
            return Vec::new();
        }
        self.state = State::New;
        self.dead_air = 0;
        self.start()
    }

    /// A person who had the patient has gone: asks again what was open, or says the last words again.
    pub fn come_back(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(asking) => self.ask_after_person(asking, &mut acts),
            State::New => {
                self.state = State::New;
                return self.start();
            }
            State::Over => {
                let speech = speaking::localised(&self.last_speech, &self.facts);
                acts.extend([Act::Say(speech), Act::HangUp]);
            }
        }
        acts
    }

    fn ask_after_person(&mut self, asking: Asking, acts: &mut Vec<Act>) {
        match self.node(asking.node).again.clone() {
            Some(again) if matches!(self.node(asking.node).kind, Kind::Stay { .. }) => {
                let speech = vec![self.recorded(&again)];
                self.ask(asking, speech, acts);
            }
            Some(_) | None => self.ask_again(asking, names::STILL_THERE, acts),
        }
    }

    /// Who is calling, for call screening: the neutral name and nothing else.
    pub fn neutral_name(&self) -> Vec<Segment> {
        speaking::neutral_name(&self.script, &self.facts)
    }

    /// What a voicemail is left: who calls, and at which number; no reason.
    pub fn message(&self) -> Vec<Segment> {
        speaking::message(&self.script, &self.facts)
    }

    /// For who waits for a person on call: at first, and again.
    pub fn company(&self, is_first: bool) -> Vec<Segment> {
        let name = if is_first {
            names::WAIT
        } else {
            names::CONNECTING
        };
        vec![self.recorded(name)]
    }

    /// For whoever answers the telephone of a person on call: who calls, and how the call is taken.
    pub fn offer(&self) -> Vec<Segment> {
        let mut speech = speaking::neutral_name(&self.script, &self.facts);
        speech.push(self.recorded(names::OFFER));
        speech
    }

    /// The next acts; empty before the start and after the end.
    pub fn handle(&mut self, input: Input<'_>) -> Vec<Act> {
        if matches!(input, Input::PromptDone) {
            self.closing_spoken |= self.safety_said;
            return Vec::new();
        }
        if let Input::Interrupted { unheard_ms, by_key } = input {
            return self.interrupted(unheard_ms, by_key);
        }
        let asking = match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(asking) => asking,
            other @ (State::New | State::Over) => {
                self.state = other;
                return Vec::new();
            }
        };
        let mut acts = Vec::new();
        match input {
            Input::Said {
                text,
                logprob,
                verdict,
            } => self.said(asking, (text, logprob), verdict, &mut acts),
            Input::Keys(keys) => self.keyed(asking, keys, &mut acts),
            Input::Silence => self.silent(asking, &mut acts),
            Input::Unclear => self.missed(asking, names::SORRY, &mut acts),
            Input::TooLate => self.missed(asking, names::TOO_LATE, &mut acts),
            Input::PromptDone | Input::Interrupted { .. } => unreachable!("answered above"),
        }
        acts
    }

    /// What is said from here on answers the question only if it was heard nearly to its end. Whoever presses a key
    /// knows what it is for.
    fn interrupted(&mut self, unheard_ms: u32, by_key: bool) -> Vec<Act> {
        let State::Asking(asking) = &mut self.state else {
            return Vec::new();
        };
        if unheard_ms > HEARD_ALL_BUT_MS && !by_key {
            asking.hearing = HeardSoFar::Part;
        }
        vec![Act::Note(Note::Interrupted { unheard_ms })]
    }

    /// Whether the words are a complete allowed answer to the question being asked, so that the turn may
    /// end early. Never for open questions, unfinished numbers and who is given time.
    pub fn understands(&self, text: &str) -> bool {
        let State::Asking(asking) = &self.state else {
            return false;
        };
        // 没有… 就是有点闷: who is given time may not be done.
        if asking.hearing == HeardSoFar::Part || self.pace == Pace::Slow {
            return false;
        }
        match &asking.form {
            Form::Confirm { .. } | Form::ReadBack(_) => self.plain_yes_no(text).is_some(),
            Form::Plain => {
                let node = self.node(asking.node);
                understanding::is_complete(text, node, self.facts.lang)
                    && self.read(asking.node, text).is_some()
            }
        }
    }

    /// The concept of an emergency question that the words are read as a yes to.
    pub fn affirms_emergency(&self, text: &str) -> Option<&ConceptId> {
        let at = self.asked_plainly()?;
        let is_yes = self.node(at).emergency
            && self
                .read(at, text)
                .is_some_and(|answer| answer.key == "yes");
        let concept = self.node(at).asks.first();
        concept.filter(|_| is_yes)
    }

    /// What the words answer to the node's own question as they stand; `None` when they do not.
    pub fn reads(&self, text: &str) -> Option<String> {
        let answer = self.read(self.asked_plainly()?, text)?;
        Some(answer.meaning)
    }

    /// Whether an answer to the yes or no being asked is that of a patient who is well.
    pub fn is_well(&self, answer: &str) -> bool {
        let State::Asking(Asking { node, .. }) = &self.state else {
            return false;
        };
        let well = match self.node(*node).kind {
            Kind::YesNo { inverse: true, .. } => "yes",
            Kind::YesNo { inverse: false, .. } => "no",
            _ => return false,
        };
        answer == well
    }

    /// Whether a yes or no is asked for, and whether it belongs to the emergency screen.
    pub fn asks_yes_or_no(&self) -> Option<bool> {
        let node = self.node(self.asked_plainly()?);
        matches!(node.kind, Kind::YesNo { .. }).then_some(node.emergency)
    }

    /// Whether a number is asked for.
    pub fn asks_number(&self) -> bool {
        let at = self.asked_plainly();
        at.is_some_and(|at| matches!(self.node(at).kind, Kind::Number(_)))
    }

    /// Usual short replies to the yes or no being asked, a group for each answer: yes, no. Empty at other questions.
    pub fn usual_replies(&self) -> Vec<Vec<String>> {
        let at = self.asked_plainly();
        let yes_or_no = at.filter(|_| self.asks_yes_or_no().is_some());
        let Some(node) = yes_or_no.map(|at| self.node(at)) else {
            return Vec::new();
        };
        let question = speaking::question_text(&self.script, node);
        match speaking::choices(node, &question, self.facts.lang, None) {
            Choices::Replies(groups) => groups,
            Choices::None | Choices::Scale(_) | Choices::Birthday(_) => Vec::new(),
        }
    }

    /// The node whose own question is asked, and nothing about its answer.
    fn asked_plainly(&self) -> Option<usize> {
        match &self.state {
            State::Asking(asking) if matches!(asking.form, Form::Plain) => Some(asking.node),
            _ => None,
        }
    }

    /// The question being answered, for the red-flag judgement.
    pub fn question(&self) -> Option<Question> {
        let State::Asking(asking) = &self.state else {
            return None;
        };
        let node = self.node(asking.node);
        let (text, kind, asks) = match &asking.form {
            // A question that was not heard is neither affirmed nor denied.
            _ if asking.hearing == HeardSoFar::Part => (String::new(), QuestionKind::Open, vec![]),
            Form::Plain => (
                speaking::question_text(&self.script, node),
                node.kind.question(),
                node.asks.clone(),
            ),
            Form::ReadBack(quantity) => (quantity.spoken.clone(), QuestionKind::YesNo, vec![]),
            Form::Confirm { concept, .. } => (
                self.script.text(&names::confirm(concept)).to_owned(),
                QuestionKind::YesNo,
                vec![concept.clone()],
            ),
        };
        Some(Question {
            lang: self.facts.lang,
            text,
            kind,
            asks,
            respondent: self.respondent(),
        })
    }

    /// The concept that a confirming question is out for.
    pub fn confirming(&self) -> Option<&ConceptId> {
        match &self.state {
            State::Asking(Asking {
                form: Form::Confirm { concept, .. },
                ..
            }) => Some(concept),
            State::Asking(_) | State::New | State::Over => None,
        }
    }

    /// The words that keys stand for under the question being asked, so that they can be judged as if
    /// spoken: `1` → 有, `385` → 38.5度. `None` where keys say nothing about health.
    pub fn keyed_words(&self, keys: &str) -> Option<String> {
        let State::Asking(asking) = &self.state else {
            return None;
        };
        if asking.hearing == HeardSoFar::Part {
            return None;
        }
        let lang = self.facts.lang;
        match &asking.form {
            Form::Plain => understanding::keyed_words(keys, self.node(asking.node), lang),
            Form::Confirm { .. } => understanding::yes_no_words(keys, lang),
            Form::ReadBack(_) => None,
        }
    }

    /// Whether it is noisy round the caller, as the ear finds: said when the next reply is not understood.
    pub fn set_in_noise(&mut self, in_noise: bool) {
        self.in_noise = in_noise;
    }

    /// Both factors agreed.
    pub fn is_identified(&self) -> bool {
        self.respondent.is_some()
    }

    /// Who answers; the patient as long as nobody is identified.
    pub fn respondent(&self) -> Respondent {
        self.respondent.unwrap_or_default()
    }

    /// Emergency advice was given, or is about to be.
    pub fn met_emergency(&self) -> bool {
        self.advice_for.is_some()
    }

    /// How fast and how loud prompts are to be played from now on.
    pub fn delivery(&self) -> (Pace, Volume) {
        (self.tempo, self.volume)
    }

    /// What the robot says while the words of a reply are awaited.
    pub fn filler(&self) -> Segment {
        speaking::recorded(&self.script, names::FILLER)
    }

    /// Whether `HangUp` was given out.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// What must not be left open, as far as it is done.
    pub fn progress(&self) -> Progress {
        Progress {
            identified: self.is_identified(),
            screened: self.screened,
            closing_spoken: self.closing_spoken,
        }
    }

    /// What the call's disposition would be if the line dropped now.
    pub fn disposition(&self) -> Disposition {
        let told = |effect| self.effects.contains(&effect);
        if told(Effect::ReportedDeath) {
            Disposition::ReportedDeath
        } else if told(Effect::ReportedReadmission) {
            Disposition::ReportedReadmission
        } else if told(Effect::OptedOut) {
            Disposition::OptedOut
        } else if told(Effect::AskedForPerson) || told(Effect::Crisis) {
            Disposition::AskedForPerson
        } else if told(Effect::WrongParty) {
            Disposition::WrongParty
        } else if told(Effect::CallBack) {
            Disposition::NotNow
        } else if !self.is_identified() {
            Disposition::Unidentified
        } else if self.screened && self.safety_said {
            Disposition::Completed
        } else if told(Effect::EmergencyAdvice) {
            Disposition::CutInEmergency
        } else {
            Disposition::Partial
        }
    }

    // ---- Inputs

    fn said(
        &mut self,
        asking: Asking,
        (text, logprob): (&str, f32),
        verdict: Verdict,
        acts: &mut Vec<Act>,
    ) {
        self.dead_air = 0;
        self.by_key = false;
        text.clone_into(&mut self.last_words);
        if let Some(concept) = verdict.emergent.filter(|c| self.is_news(c)) {
            let confirmed =
                matches!(&asking.form, Form::Confirm { concept: asked, .. } if *asked == concept);
            if confirmed {
                confirmation(acts, &concept, Confirmation::Confirmed);
            }
            self.closed(acts, "emergent");
            return self.advise(asking.node, concept, acts);
        }
        if let Form::Confirm {
            concept, pending, ..
        } = asking.form.clone()
        {
            let answer = self.plain_yes_no(text);
            let answer = answer.filter(|said| *said == YesNo::Yes || logprob >= FAINT);
            return self.confirmed(asking, concept, pending, answer, acts);
        }
        let node = self.node(asking.node);
        let open = matches!(node.kind, Kind::Open);
        let stays = matches!(node.kind, Kind::Stay { .. });
        let command = command::spot(text, self.speaker(), open, self.facts.lang);
        if let Some(command) = command.filter(|command| self.obeys(*command)) {
            self.closed(acts, &command.name());
            return self.command(asking, command, acts);
        }
        let doubtful = verdict
            .confirm
            .filter(|c| self.advice_for.is_none() && !self.confirmed.contains(c));
        if let Some(concept) = doubtful {
            return self.ask_to_confirm(asking, concept, verdict.over, text, acts);
        }
        if stays {
            self.closed(acts, "any");
            return self.stay(asking, acts);
        }
        if asking.hearing == HeardSoFar::Part {
            return self.insist(asking, acts);
        }
        match asking.form.clone() {
            Form::ReadBack(quantity) => self.read_back(asking, quantity, text, acts),
            Form::Plain | Form::Confirm { .. } => {
                // Words that no script foresees are understood where the red-flag judgement understood them; where it
                // understood them otherwise (手脚都有劲 is no yes to weakness), the answer is its.
                let judged = verdict
                    .there
                    .and_then(|there| understanding::judged(there, self.node(asking.node)));
                let read = self.read(asking.node, text);
                let answer = match (read, judged) {
                    (Some(read), Some(judged))
                        if read.key == judged.key || read.quantity.is_some() =>
                    {
                        Some(read)
                    }
                    (read, judged) => judged.or(read),
                };
                let node = self.node(asking.node);
                let is_faint =
                    |said: &Answer| node.emergency && said.key == "no" && logprob < FAINT;
                match answer.filter(|said| !is_faint(said)) {
                    Some(answer) => self.answered(asking, answer, Vec::new(), acts),
                    None => self.missed(asking, names::SORRY, acts),
                }
            }
        }
    }

    fn keyed(&mut self, asking: Asking, keys: &str, acts: &mut Vec<Act>) {
        self.dead_air = 0;
        if asking.hearing == HeardSoFar::Part {
            return self.insist(asking, acts);
        }
        self.by_key = true;
        keys.clone_into(&mut self.last_words);
        let yes_no = understanding::yes_no_keys(keys);
        match asking.form.clone() {
            Form::Confirm {
                concept, pending, ..
            } => {
                self.confirmed(asking, concept, pending, yes_no, acts);
            }
            Form::ReadBack(quantity) => match yes_no {
                Some(YesNo::Yes) => self.accepted_number(asking, quantity, acts),
                Some(YesNo::No) | None => self.missed_plain(asking, acts),
            },
            Form::Plain => {
                let node = self.node(asking.node).clone();
                if node.emergency && yes_no == Some(YesNo::Yes) && self.advice_for.is_none() {
                    self.closed(acts, "yes");
                    if let Some(concept) = node.asks.first() {
                        return self.advise(asking.node, concept.clone(), acts);
                    }
                }
                match understanding::read_keys(keys, &node, self.birth(), self.facts.lang) {
                    Some(answer) => self.answered(asking, answer, Vec::new(), acts),
                    None => self.missed(asking, names::SORRY, acts),
                }
            }
        }
    }

    /// A question that was cut short is said once more, whole; that is nobody's failure.
    fn insist(&mut self, mut asking: Asking, acts: &mut Vec<Act>) {
        self.closed(acts, "interrupted");
        asking.hearing = HeardSoFar::Insisting;
        let speech = speaking::question(&self.script, &self.facts, self.node(asking.node));
        self.ask(asking, speech, acts);
    }

    fn silent(&mut self, mut asking: Asking, acts: &mut Vec<Act>) {
        if asking.hearing == HeardSoFar::Part {
            return self.insist(asking, acts);
        }
        self.closed(acts, "silence");
        if matches!(self.node(asking.node).kind, Kind::Stay { .. }) {
            return self.stay(asking, acts);
        }
        self.dead_air += 1;
        if let Form::Confirm {
            concept, pending, ..
        } = asking.form.clone()
        {
            return self.unconfirmed(asking, concept, pending, acts);
        }
        if self.dead_air >= DEAD_AIR {
            return self.jump(asking.node, Jump::Lost, acts);
        }
        asking.silences += 1;
        if asking.silences + asking.misses < TRIES {
            return self.ask_again(asking, names::STILL_THERE, acts);
        }
        let target = self.node(asking.node).silence;
        self.give_up(asking.node, target, acts);
    }

    /// Nothing usable was heard.
    fn missed(&mut self, mut asking: Asking, excuse: &str, acts: &mut Vec<Act>) {
        if asking.hearing == HeardSoFar::Part {
            return self.insist(asking, acts);
        }
        self.closed(acts, "unclear");
        if matches!(self.node(asking.node).kind, Kind::Stay { .. }) {
            return self.stay(asking, acts);
        }
        if excuse == names::SORRY && !self.by_key {
            self.unclear = self.unclear.saturating_add(1);
            self.doubt_denials(acts);
        }
        if let Form::Confirm {
            concept, pending, ..
        } = asking.form.clone()
        {
            return self.unconfirmed(asking, concept, pending, acts);
        }
        asking.misses += 1;
        if asking.silences + asking.misses < TRIES {
            let noise = self.in_noise && excuse == names::SORRY && !self.by_key;
            let excuse = if noise { names::NOISY } else { excuse };
            return self.ask_again(asking, excuse, acts);
        }
        let target = self.node(asking.node).no_match;
        self.give_up(asking.node, target, acts);
    }

    /// A read-back was refused: the question itself is asked again.
    fn missed_plain(&mut self, mut asking: Asking, acts: &mut Vec<Act>) {
        asking.form = Form::Plain;
        self.missed(asking, names::SORRY, acts);
    }

    fn give_up(&mut self, node: usize, target: Option<Target>, acts: &mut Vec<Act>) {
        self.screen_passed(node, acts);
        if self.node(node).emergency && target != Some(Target::Human) {
            acts.push(Act::Note(self.not_assessed(node)));
        }
        self.go(target.unwrap_or(Target::Human), node, Vec::new(), acts);
    }

    // ---- Answers

    fn read(&self, node: usize, text: &str) -> Option<Answer> {
        let names = Names {
            patient: self.facts.patient.expose(),
            contacts: &self.facts.contacts,
        };
        let node = self.node(node);
        let question = speaking::question_text(&self.script, node);
        understanding::read(text, node, &question, names, self.birth(), self.facts.lang)
    }

    fn answered(
        &mut self,
        asking: Asking,
        answer: Answer,
        speech: Vec<Segment>,
        acts: &mut Vec<Act>,
    ) {
        let node = self.node(asking.node);
        let read_back = match &node.kind {
            Kind::Number(spec) => spec.read_back,
            Kind::YesNo {
                number: Some(spec), ..
            } => spec.read_back,
            _ => false,
        };
        if let (Some(quantity), true) = (&answer.quantity, read_back) {
            self.closed(acts, &answer.meaning);
            return self.ask_back(asking, quantity.clone(), acts);
        }
        self.closed(acts, &answer.meaning);
        self.settle(asking.node, &answer, speech, acts);
    }

    /// The answer stands: go where it leads.
    fn settle(&mut self, node: usize, answer: &Answer, speech: Vec<Segment>, acts: &mut Vec<Act>) {
        if let Some(who) = answer.who {
            self.claim = Some(who);
        }
        self.screen_passed(node, acts);
        if self.node(node).emergency && answer.key == "no" && !self.by_key {
            self.denied_by_voice = true;
            self.doubt_denials(acts);
        }
        let target = self.node(node).on.get(&answer.key).copied();
        self.go(target.unwrap_or(Target::Skip), node, speech, acts);
    }

    fn accepted_number(&mut self, asking: Asking, quantity: Quantity, acts: &mut Vec<Act>) {
        self.closed(acts, "yes");
        self.settle(asking.node, &Answer::number(quantity), Vec::new(), acts);
    }

    fn ask_back(&mut self, mut asking: Asking, quantity: Quantity, acts: &mut Vec<Act>) {
        let speech = vec![
            self.recorded(names::READ_BACK),
            Segment::Spoken(format!("{}，", quantity.spoken)),
            self.recorded(names::READ_BACK_TAIL),
        ];
        asking.form = Form::ReadBack(quantity);
        self.ask(asking, speech, acts);
    }

    fn read_back(
        &mut self,
        mut asking: Asking,
        quantity: Quantity,
        text: &str,
        acts: &mut Vec<Act>,
    ) {
        match self.plain_yes_no(text) {
            Some(YesNo::Yes) => self.accepted_number(asking, quantity, acts),
            denied => {
                // 不对，是三十七度五: the correction is read back in its turn.
                let corrected = self.read(asking.node, text).and_then(|a| a.quantity);
                match corrected.filter(|q| *q != quantity || denied.is_none()) {
                    Some(quantity) if asking.misses + 1 < TRIES => {
                        self.closed(acts, &quantity.spoken);
                        asking.misses += 1;
                        self.ask_back(asking, quantity, acts);
                    }
                    _ if denied.is_some() => self.missed_plain(asking, acts),
                    _ => self.missed(asking, names::SORRY, acts),
                }
            }
        }
    }

    // ---- Emergencies

    fn advise(&mut self, node: usize, concept: ConceptId, acts: &mut Vec<Act>) {
        let jump = if is_crisis(&concept) {
            Jump::Crisis
        } else {
            Jump::Emergency
        };
        self.advice_for = Some(concept);
        self.jump(node, jump, acts);
    }

    /// Advice is given once; thoughts of suicide change it.
    fn is_news(&self, concept: &ConceptId) -> bool {
        match &self.advice_for {
            None => true,
            Some(known) => is_crisis(concept) && !is_crisis(known),
        }
    }

    /// What a caller may order while the robot stays on the line for her sake: it does not end for a word, but a
    /// person is asked to call.
    fn obeys(&self, command: Command) -> bool {
        let crisis = self.effects.contains(&Effect::Crisis);
        match command {
            Command::Repeat | Command::Slower | Command::Louder | Command::Jump(Jump::Person) => {
                true
            }
            Command::Jump(_) => !crisis,
        }
    }

    /// Asks whether anybody is there, again and again, and goes on with `next` in the end.
    fn stay(&mut self, mut asking: Asking, acts: &mut Vec<Act>) {
        let node = self.node(asking.node);
        let times = match node.kind {
            Kind::Stay { times } => times,
            _ => 0,
        };
        asking.stays += 1;
        if asking.stays >= times {
            return self.leave(asking.node, Vec::new(), acts);
        }
        let again = node.again.clone().unwrap_or_default();
        let speech = vec![self.recorded(&again)];
        self.ask(asking, speech, acts);
    }

    /// Nodes of an emergency that a wish for a person does not end.
    fn stays_with(&self, node: usize) -> bool {
        let node = self.node(node);
        matches!(node.kind, Kind::Stay { .. }) || node.effect == Some(Effect::EmergencyAdvice)
    }

    /// In an emergency a wish for a person is noted, and the robot stays.
    fn person_in_emergency(&mut self, asking: Asking, acts: &mut Vec<Act>) {
        if self.effects.insert(Effect::AskedForPerson) {
            acts.push(Act::Note(Note::AskedForPerson));
        }
        let mut speech = vec![self.recorded(names::PERSON)];
        let node = self.node(asking.node);
        match &node.again {
            Some(again) if matches!(node.kind, Kind::Stay { .. }) => {
                speech.push(self.recorded(&again.clone()));
            }
            Some(_) | None => {
                speech.extend(speaking::question(&self.script, &self.facts, node));
            }
        }
        self.ask(asking, speech, acts);
    }

    /// Whether a "no" of this caller may be taken for one: a dialect, bad hearing or words that are not understood
    /// make it doubtful.
    fn doubts_denials(&self) -> bool {
        self.facts.hearing != Hearing::Normal
            || self.facts.dialect.as_deref().is_some_and(is_dialect)
            || self.unclear >= UNCLEAR
    }

    /// Doubtful denials of the emergency questions go to a human, once a call.
    fn doubt_denials(&mut self, acts: &mut Vec<Act>) {
        let doubtful = self.is_identified() && self.denied_by_voice && self.doubts_denials();
        if doubtful && !self.denials_doubted {
            self.denials_doubted = true;
            acts.push(Act::Note(Note::NotAssessed {
                node: NodeId(names::SCREEN.to_owned()),
            }));
        }
    }

    fn ask_to_confirm(
        &mut self,
        mut asking: Asking,
        concept: ConceptId,
        over: bool,
        text: &str,
        acts: &mut Vec<Act>,
    ) {
        self.confirmed.insert(concept.clone());
        let pending = match asking.form {
            Form::Plain => self.read(asking.node, text),
            Form::ReadBack(_) | Form::Confirm { .. } => None,
        };
        let prompt = names::confirm(&concept);
        let known = self.script.prompts.contains_key(&prompt);
        // A relative is not asked about thoughts of suicide that may only have been misheard.
        let private = is_crisis(&concept) && self.respondent() == Respondent::Caregiver;
        if !self.is_identified() || !known || private {
            // Nothing about health may be asked before identity: general advice, and a human reads the finding.
            self.closed(acts, "doubtful");
            return self.unconfirmed(asking, concept, pending, acts);
        }
        self.closed(acts, "doubtful");
        asking.form = Form::Confirm {
            concept,
            pending,
            over,
        };
        let speech = vec![self.recorded(&prompt)];
        self.ask(asking, speech, acts);
    }

    fn confirmed(
        &mut self,
        asking: Asking,
        concept: ConceptId,
        pending: Option<Answer>,
        answer: Option<YesNo>,
        acts: &mut Vec<Act>,
    ) {
        match answer {
            Some(YesNo::Yes) => {
                self.closed(acts, "yes");
                confirmation(acts, &concept, Confirmation::Confirmed);
                if matches!(asking.form, Form::Confirm { over: true, .. }) {
                    let pending = pending.or_else(|| Some(Answer::handed_on()));
                    return self.continue_after(asking, pending, Vec::new(), acts);
                }
                self.advise(asking.node, concept, acts);
            }
            Some(YesNo::No) => {
                self.closed(acts, "no");
                confirmation(acts, &concept, Confirmation::Denied);
                let asked = self.node(asking.node).asks.contains(&concept);
                let denied = (asked && matches!(self.node(asking.node).kind, Kind::YesNo { .. }))
                    .then(Answer::no);
                self.continue_after(asking, denied.or(pending), Vec::new(), acts);
            }
            None => {
                self.closed(acts, "unclear");
                self.unconfirmed(asking, concept, pending, acts);
            }
        }
    }

    /// Still in doubt: say what to do if it is so, leave the finding to a human, go on.
    fn unconfirmed(
        &mut self,
        asking: Asking,
        concept: ConceptId,
        pending: Option<Answer>,
        acts: &mut Vec<Act>,
    ) {
        confirmation(acts, &concept, Confirmation::Unclear);
        let speech = vec![self.recorded(names::EMERGENCY_IF)];
        let asked = self.node(asking.node).asks.contains(&concept);
        // The question it was heard under has its answer: a nurse will look at it.
        let pending = pending.or_else(|| asked.then(Answer::handed_on));
        self.continue_after(asking, pending, speech, acts);
    }

    fn continue_after(
        &mut self,
        mut asking: Asking,
        pending: Option<Answer>,
        mut speech: Vec<Segment>,
        acts: &mut Vec<Act>,
    ) {
        asking.form = Form::Plain;
        match pending {
            Some(answer) => self.settle(asking.node, &answer, speech, acts),
            None => {
                speech.extend(speaking::question(
                    &self.script,
                    &self.facts,
                    self.node(asking.node),
                ));
                self.ask(asking, speech, acts);
            }
        }
    }

    // ---- Commands

    fn command(&mut self, mut asking: Asking, command: Command, acts: &mut Vec<Act>) {
        match command {
            Command::Jump(Jump::Person) if self.stays_with(asking.node) => {
                self.person_in_emergency(asking, acts);
            }
            Command::Jump(jump) => self.jump(asking.node, jump, acts),
            Command::Repeat | Command::Slower | Command::Louder
                if matches!(self.node(asking.node).kind, Kind::Stay { .. })
                    && asking.repeats >= REPEATS =>
            {
                self.stay(asking, acts);
            }
            Command::Repeat | Command::Slower | Command::Louder if asking.repeats >= REPEATS => {
                let target = self.node(asking.node).no_match;
                self.give_up(asking.node, target, acts);
            }
            Command::Repeat => {
                asking.repeats += 1;
                self.ask_again(asking, names::REPEAT, acts);
            }
            Command::Slower => {
                asking.repeats += 1;
                self.pace = Pace::Slow;
                self.tempo = Pace::Slow;
                self.ask_again(asking, names::SLOWER, acts);
            }
            Command::Louder => {
                asking.repeats += 1;
                self.volume = Volume::Raised;
                self.ask_again(asking, names::REPEAT, acts);
            }
        }
    }

    fn jump(&mut self, from: usize, jump: Jump, acts: &mut Vec<Act>) {
        if self.interrupted.is_none() {
            self.interrupted = Some(from);
        }
        match self.script.commands.get(&jump).copied() {
            Some(node) => {
                let id = &self.script.nodes[node].id;
                if let Some(earlier) = &mut self.earlier {
                    earlier.forget(id);
                }
                self.enter(node, Vec::new(), acts);
            }
            None => self.finish(from, Vec::new(), acts),
        }
    }

    // ---- Moving

    fn go(&mut self, target: Target, from: usize, mut speech: Vec<Segment>, acts: &mut Vec<Act>) {
        match target {
            Target::Node(node) => self.enter(node, speech, acts),
            Target::Human => {
                acts.push(Act::Note(self.not_assessed(from)));
                speech.push(self.recorded(names::MOVE_ON));
                self.leave(from, speech, acts);
            }
            Target::Skip => self.leave(from, speech, acts),
            Target::Resume => {
                let node = self.interrupted.take().unwrap_or(self.script.start);
                self.enter(node, speech, acts);
            }
        }
    }

    fn leave(&mut self, from: usize, speech: Vec<Segment>, acts: &mut Vec<Act>) {
        match self.node(from).next {
            Some(Target::Node(next)) => self.enter(next, speech, acts),
            Some(Target::Resume) => self.go(Target::Resume, from, speech, acts),
            Some(Target::Human | Target::Skip) | None => self.finish(from, speech, acts),
        }
    }

    /// Walks through statements and nodes of other days to the next question or the end.
    fn enter(&mut self, node: usize, mut speech: Vec<Segment>, acts: &mut Vec<Act>) {
        let mut at = node;
        let mut last = node;
        // A script that `check` has proved ends long before; an unproved one ends the call.
        for _ in 0..=self.script.nodes.len() {
            let node = self.node(at).clone();
            if self.takes_part(at) {
                last = at;
                self.effect(&node, acts);
                if matches!(node.kind, Kind::End) {
                    break;
                }
                if let Some(person) = self.connects(&node) {
                    at = person;
                    continue;
                }
                if let Some(next) = self.answered_earlier(&node) {
                    at = next;
                    continue;
                }
                speech.extend(speaking::question(&self.script, &self.facts, &node));
                if node.kind.asks() {
                    let asking = Asking {
                        node: at,
                        form: Form::Plain,
                        silences: 0,
                        misses: 0,
                        repeats: 0,
                        stays: 0,
                        hearing: HeardSoFar::All,
                    };
                    return self.ask(asking, speech, acts);
                }
            }
            match node.next {
                Some(Target::Node(next)) => at = next,
                Some(Target::Resume) => {
                    at = self.interrupted.take().unwrap_or(self.script.start);
                }
                Some(Target::Human | Target::Skip) | None => break,
            }
        }
        self.finish(last, speech, acts);
    }

    fn takes_part(&self, node: usize) -> bool {
        let holds = |guard: &Guard| match guard {
            Guard::Identified => self.is_identified(),
            Guard::Patient => self.respondent == Some(Respondent::Patient),
            Guard::Caregiver => self.respondent == Some(Respondent::Caregiver),
            Guard::KnowsDiagnosis => self.facts.knows_diagnosis,
            Guard::NextCall => self.facts.next_call.is_some(),
            Guard::Screened => self.screened,
        };
        self.script.on_day(node, self.day) && self.node(node).when.iter().all(holds)
    }

    /// Where a question leads that was answered on an earlier call of the day.
    fn answered_earlier(&self, node: &Node) -> Option<usize> {
        let earlier = self.earlier.as_ref().filter(|_| self.is_identified())?;
        let key = earlier.way_out(node)?;
        match node.on.get(&key).copied().or(node.next) {
            Some(Target::Node(next)) => Some(next),
            Some(Target::Human | Target::Skip) => match node.next {
                Some(Target::Node(next)) => Some(next),
                _ => None,
            },
            Some(Target::Resume) | None => None,
        }
    }

    /// The person who was just identified goes on where a call of the day broke off, if it is the one who was asked then.
    fn take_up(&mut self, acts: &mut Vec<Act>) {
        let Some(earlier) = &self.earlier else { return };
        let is_same = match (earlier.respondent, self.claim) {
            (Respondent::Patient, Some(Who::Patient) | None) => true,
            // The record does not say which of several relatives it was.
            (Respondent::Caregiver, Some(Who::Contact(_))) => self.facts.contacts.len() == 1,
            (Respondent::Patient, Some(Who::Contact(_)))
            | (Respondent::Caregiver, Some(Who::Patient) | None) => false,
        };
        if !is_same {
            self.earlier = None;
            return;
        }
        let screened = earlier.screened;
        acts.push(Act::Note(Note::WentOn));
        if screened {
            self.mark_screened(acts);
        }
    }

    fn effect(&mut self, node: &Node, acts: &mut Vec<Act>) {
        let Some(effect) = node.effect else { return };
        if !self.effects.insert(effect) {
            return;
        }
        let note = match effect {
            Effect::Identified => {
                let respondent = match self.claim {
                    Some(Who::Contact(_)) => Respondent::Caregiver,
                    Some(Who::Patient) | None => Respondent::Patient,
                };
                self.respondent = Some(respondent);
                acts.push(Act::Note(Note::Identified { respondent }));
                return self.take_up(acts);
            }
            Effect::IdentityFailed => Note::IdentityFailed,
            Effect::EmergencyAdvice => {
                let Some(concept) = self.advice_for.clone() else {
                    return;
                };
                acts.push(Act::Note(Note::EmergencyAdviceGiven { concept }));
                // What was not asked any more is in the hands of the human who gets the finding.
                return self.mark_screened(acts);
            }
            Effect::Crisis => {
                if let Some(concept) = self.advice_for.clone() {
                    acts.push(Act::Note(Note::EmergencyAdviceGiven { concept }));
                }
                self.mark_screened(acts);
                Note::AskedForPerson
            }
            Effect::AskedForPerson => Note::AskedForPerson,
            Effect::CallBack => Note::CallBackAt {
                words: self.last_words.clone(),
            },
            Effect::OptedOut => Note::OptedOut,
            Effect::ReportedDeath => Note::ReportedDeath,
            Effect::ReportedReadmission => Note::ReportedReadmission,
            Effect::WrongParty => Note::WrongParty,
            Effect::Closing => return,
        };
        acts.push(Act::Note(note));
    }

    /// An emergency question has its answer, or went to a human.
    fn screen_passed(&mut self, node: usize, acts: &mut Vec<Act>) {
        if !self.node(node).emergency {
            return;
        }
        self.screen_answered.insert(node);
        let nodes = self.script.nodes.iter().enumerate();
        let due = nodes.filter(|(i, n)| n.emergency && self.takes_part(*i));
        let all = due
            .map(|(i, _)| i)
            .all(|i| self.screen_answered.contains(&i));
        if all {
            self.mark_screened(acts);
        }
    }

    fn mark_screened(&mut self, acts: &mut Vec<Act>) {
        if self.is_identified() && !self.screened {
            self.screened = true;
            acts.push(Act::Note(Note::Screened));
        }
    }

    // ---- Speaking

    fn ask_again(&mut self, mut asking: Asking, excuse: &str, acts: &mut Vec<Act>) {
        asking.hearing = HeardSoFar::All;
        // Whoever hears badly hears the second try louder.
        if self.facts.hearing != Hearing::Normal {
            self.volume = Volume::Raised;
        }
        let node = self.node(asking.node);
        let speech = match &asking.form {
            Form::Plain if excuse == names::REPEAT && matches!(node.kind, Kind::Identity) => {
                let mut speech = vec![self.recorded(excuse)];
                speech.extend(self.opening(asking.node));
                speech
            }
            Form::Plain => speaking::again(&self.script, &self.facts, node, excuse, asking.misses),
            Form::ReadBack(_) | Form::Confirm { .. } => {
                let mut speech = vec![self.recorded(excuse)];
                let prior = self.last_speech.iter().filter(|s| !speech.contains(s));
                let prior: Vec<Segment> = prior.cloned().collect();
                speech.extend(prior);
                speech
            }
        };
        self.ask(asking, speech, acts);
    }

    /// Who is calling, said once more: everything up to the question of identity.
    fn opening(&self, until: usize) -> Vec<Segment> {
        let mut speech = Vec::new();
        let mut at = self.script.start;
        for _ in 0..self.script.nodes.len() {
            if at == until || self.node(at).kind.asks() {
                break;
            }
            speech.extend(speaking::question(&self.script, &self.facts, self.node(at)));
            let Some(Target::Node(next)) = self.node(at).next else {
                break;
            };
            at = next;
        }
        speech.extend(speaking::question(
            &self.script,
            &self.facts,
            self.node(until),
        ));
        speech
    }

    fn ask(&mut self, asking: Asking, speech: Vec<Segment>, acts: &mut Vec<Act>) {
        let node = self.node(asking.node);
        let id = match &asking.form {
            Form::Plain => node.id.clone(),
            Form::ReadBack(_) => NodeId(format!("{}/read_back", node.id)),
            Form::Confirm { concept, .. } => NodeId(names::confirm(concept)),
        };
        let (kind, asks) = match &asking.form {
            Form::Plain => (node.kind.question(), node.asks.clone()),
            Form::ReadBack(_) => (QuestionKind::YesNo, vec![]),
            Form::Confirm { concept, .. } => (QuestionKind::YesNo, vec![concept.clone()]),
        };
        let mut listen = match &asking.form {
            Form::Plain => speaking::listen(&self.script, node, self.pace, self.birth()),
            Form::ReadBack(_) => speaking::listen_yes_no(&id, self.facts.lang, self.pace, true),
            Form::Confirm { .. } => speaking::listen_yes_no(&id, self.facts.lang, self.pace, false),
        };
        if asking.node == self.script.start || matches!(node.kind, Kind::Identity) {
            listen.no_input_ms = listen.no_input_ms.max(7_000);
        }
        listen.question = speaking::question_in(&speech, &self.script, &self.facts, node);
        // Advice is heard out, and so is whoever asks who is there.
        let patient = !self.is_identified() || self.met_emergency();
        if patient || asking.hearing == HeardSoFar::Insisting {
            listen.barge_in = listen.barge_in.min(BargeIn::Keys);
        }
        let local = speaking::localised(&speech, &self.facts);
        acts.push(Act::Note(Note::TurnOpened {
            node: id,
            prompt: speaking::text(&local, self.facts.lang),
            kind: Some(kind),
            asks,
        }));
        self.heard_safety(&speech);
        acts.push(Act::Say(local));
        acts.push(Act::Listen(listen));
        self.last_speech = speech;
        self.state = State::Asking(asking);
    }

    fn finish(&mut self, node: usize, speech: Vec<Segment>, acts: &mut Vec<Act>) {
        if !speech.is_empty() {
            let local = speaking::localised(&speech, &self.facts);
            acts.push(Act::Note(Note::TurnOpened {
                node: self.node(node).id.clone(),
                prompt: speaking::text(&local, self.facts.lang),
                kind: None,
                asks: vec![],
            }));
            self.heard_safety(&speech);
            acts.push(Act::Say(local));
        }
        acts.push(Act::Note(Note::Finished));
        acts.push(Act::HangUp);
        self.last_speech = speech;
        self.state = State::Over;
    }

    fn heard_safety(&mut self, speech: &[Segment]) {
        let safety = self.script.prompts.get(names::SAFETY).map(|p| &p.id);
        self.safety_said |= speech.iter().any(|s| match s {
            Segment::Recorded { prompt, .. } => Some(prompt) == safety,
            Segment::Spoken(_) => false,
        });
    }

    fn recorded(&self, name: &str) -> Segment {
        speaking::recorded(&self.script, name)
    }

    // ---- Small parts

    fn node(&self, index: usize) -> &Node {
        &self.script.nodes[index]
    }

    fn birth(&self) -> Option<jiff::civil::Date> {
        self.facts.birth.as_ref().map(|birth| *birth.expose())
    }

    fn speaker(&self) -> Speaker {
        self.respondent
            .map_or(Speaker::Unknown, Speaker::Identified)
    }

    fn plain_yes_no(&self, text: &str) -> Option<YesNo> {
        reply::confirms(text, self.facts.lang)
    }

    fn not_assessed(&self, node: usize) -> Note {
        Note::NotAssessed {
            node: self.node(node).id.clone(),
        }
    }

    fn closed(&self, acts: &mut Vec<Act>, meaning: &str) {
        acts.push(Act::Note(Note::TurnClosed {
            meaning: meaning.to_owned(),
        }));
    }
}

/// Whether what the record calls a dialect is one to the recogniser.
fn is_dialect(named: &str) -> bool {
    let named = named.trim().to_lowercase();
    !matches!(
        named.as_str(),
        "" | "mandarin" | "putonghua" | "standard" | "none" | "普通话" | "国语"
    )
}

/// Concepts with a flow of their own.
fn is_crisis(concept: &ConceptId) -> bool {
    matches!(concept.0.as_str(), "suicidal_ideation" | "self_harm")
}

fn confirmation(acts: &mut Vec<Act>, concept: &ConceptId, outcome: Confirmation) {
    acts.push(Act::Note(Note::Confirmation {
        concept: concept.clone(),
        outcome,
    }));
}
