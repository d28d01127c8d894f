//! The conversation on the line: acts in order, replies to the conversation, words in time or too late.

use std::sync::Arc;

use super::hearing::{is_echo, judge, words};
use super::media::ANNOUNCEMENT;
use super::{Call, CallEvent, Output, Stage};
use crate::attempt::{Turn, TurnReply};
use crate::codec::FRAME;
use crate::ear::{EarEvent, ListenSpec, Utterance};
use crate::heard::{Choices, Heard, Transcript};
use crate::id::UtteranceId;
use crate::phi::Phi;
use crate::script::{Act, Input, Listen, Note, Segment, Verdict, reply};
use crate::time::Instant;

/// Silence before BYE, so that the last word is not cut.
pub(super) const TAIL_MS: u64 = 400;
/// A key more may come within this time (RFC 4733 senders are fast, fingers are not).
const NEXT_KEY_MS: u64 = 3_000;
/// An early end of the turn needs words at least as sure as this (hearing.md §4.4).
const SURE_LOGPROB: f32 = -0.7;
/// Silence that ends a reply whose words so far do not: after 那个 or "because" (speech.md §2.4).
const UNFINISHED_MS: u32 = 1_600;
/// Mean level of a frame that counts as voiced, out of 32767.
const VOICED: i32 = 200;

/// An utterance whose words are awaited.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) utterance: Utterance,
    pub(super) heard: Option<Heard>,
    pub(super) ended: bool,
}

/// The word that asks for patience while the ear is late: one a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Filler {
    #[default]
    Unsaid,
    Playing,
    Said,
}

impl Call {
    /// What follows a slot: the next act when the prompt is over, late words, limits.
    pub(super) fn after_slot(&mut self, now: Instant) {
        let at_ms = self.at_ms();
        self.watch_opening();
        match self.stage {
            Stage::Speaking => {
                self.watch_for_speech();
                self.run_acts(now);
            }
            Stage::Waiting { until_ms, .. } if at_ms >= until_ms => self.words_are_late(),
            Stage::Waiting {
                filler_ms: Some(filler_ms),
                ..
            } if at_ms >= filler_ms => self.ask_for_patience(),
            Stage::Closing { until_ms } if at_ms >= until_ms => self.hang_up(now),
            Stage::Machine { until_ms } => self.watch_machine(until_ms),
            Stage::Telling => self.has_told_machine(),
            Stage::Connecting => self.watch_company(),
            Stage::Joined => self.watch_person(now),
            Stage::Listening if self.keys_until_ms.is_some_and(|until| at_ms >= until) => {
                self.submit_keys()
            }
            _ => {}
        }
        if self.filler == Filler::Playing && self.player.is_idle() {
            self.filler = Filler::Said;
        }
        self.check_limits(now);
    }

    /// The robot's voice of this moment is no answer yet.
    pub(super) fn asks_for_patience(&self) -> bool {
        self.filler == Filler::Playing
    }

    fn ask_for_patience(&mut self) {
        self.filler = Filler::Playing;
        if let Stage::Waiting { filler_ms, .. } = &mut self.stage {
            *filler_ms = None;
        }
        self.say(vec![self.conversation.filler()]);
        self.event(CallEvent::AskedForPatience);
    }

    /// Somebody speaks on while the words so far are awaited: the turn is not over.
    fn goes_on_after_all(&mut self) {
        let (Stage::Waiting { .. }, Some(pending)) = (&self.stage, &mut self.pending) else {
            return;
        };
        pending.ended = false;
        self.before = Some(pending.utterance.clone());
        self.stage = Stage::Listening;
        if self.filler == Filler::Playing {
            self.player.fade_out();
        }
    }

    fn run_acts(&mut self, now: Instant) {
        while self.stage == Stage::Speaking {
            if !self.player.is_idle() || self.awaits_store() {
                return;
            }
            match self.acts.pop_front() {
                Some(Act::Say(segments)) => self.say(segments),
                Some(Act::Listen(listen)) => self.begin_listening(listen),
                Some(Act::Note(note)) => self.note(note),
                Some(Act::HangUp) => {
                    if self.keep_company() {
                        return self.bridge_holds(Act::HangUp);
                    }
                    self.conversation.handle(Input::PromptDone);
                    self.progressed();
                    self.stage = Stage::Closing {
                        until_ms: self.at_ms() + TAIL_MS,
                    }
                }
                // A conversation that neither listens nor hangs up has nothing left to do.
                None => self.hang_up(now),
            }
        }
    }

    pub(super) fn say(&mut self, segments: Vec<Segment>) {
        self.player.deliver(self.conversation.delivery());
        for (at, segment) in segments.into_iter().enumerate() {
            match segment {
                Segment::Recorded { prompt, text } => {
                    match self.kit.prompts.get(&prompt.recording(self.lang)) {
                        Some(samples) => self.player.queue(Arc::clone(samples), at),
                        None => self.speak(text, at),
                    }
                }
                Segment::Spoken(text) => self.speak(text, at),
            }
        }
    }

    fn speak(&mut self, text: String, segment: usize) {
        let id = self.ask_to_speak(text);
        self.player.queue_awaited(id, segment);
    }

    /// The text's audio comes under this number.
    pub(super) fn ask_to_speak(&mut self, text: String) -> u32 {
        let id = self.next_speech;
        self.next_speech += 1;
        self.outputs.push_back(Output::Speak {
            id,
            lang: self.lang,
            text: Phi::new(text),
        });
        id
    }

    pub(super) fn begin_listening(&mut self, listen: Listen) {
        let at_ms = self.at_ms();
        if let Some(turn) = &mut self.open_turn {
            turn.prompt_to_ms = at_ms;
        }
        let spec = spec(&listen);
        self.stage = Stage::Listening;
        self.listen = Some(listen);
        self.filler = Filler::default();
        self.before = None;
        self.only_room = false;
        if self.is_being_answered() {
            return self.take_up_reply();
        }
        self.pending = None;
        self.ear.listen(spec, at_ms);
        let typed_ahead = !self.keys.is_empty();
        if typed_ahead {
            self.keys_until_ms = Some(at_ms + NEXT_KEY_MS);
            self.check_keys();
        }
    }

    pub(super) fn key(&mut self, key: char) {
        if self.answered_at.is_none() || self.keys.len() >= 16 {
            return;
        }
        self.human = true;
        self.keys.push(key);
        match self.stage {
            Stage::Speaking => self.stop_for_key(),
            Stage::Listening => {
                self.keys_until_ms = Some(self.at_ms() + NEXT_KEY_MS);
                self.check_keys();
            }
            _ => {}
        }
    }

    /// Submits the keys when no more can follow.
    fn check_keys(&mut self) {
        let Some(spec) = self.listen.as_ref().and_then(|listen| listen.keys.as_ref()) else {
            return;
        };
        let terminated = spec.terminator.is_some_and(|end| self.keys.ends_with(end));
        if terminated || self.keys.len() >= usize::from(spec.max_digits) {
            self.submit_keys();
        }
    }

    fn submit_keys(&mut self) {
        self.keys_until_ms = None;
        let mut keys = std::mem::take(&mut self.keys);
        if let Some(end) = self
            .listen
            .as_ref()
            .and_then(|l| l.keys.as_ref())
            .and_then(|spec| spec.terminator)
        {
            keys = keys.trim_end_matches(end).to_owned();
        }
        self.forget_pending();
        let at_ms = self.at_ms();
        if let Some(turn) = &mut self.open_turn {
            turn.reply = Some(TurnReply {
                heard: Phi::default(),
                keys: Phi::new(keys.clone()),
                meaning: String::new(),
                from_ms: at_ms,
                to_ms: at_ms,
                latency_ms: None,
                readings: Vec::new(),
            });
        }
        self.reply_end_ms = Some(at_ms);
        let acts = self.answer_by_keys(&keys, at_ms);
        self.take_acts(acts);
    }

    /// Keys are judged like the words they stand for; an emergency by key is one all the same.
    fn answer_by_keys(&mut self, keys: &str, at_ms: u64) -> Vec<Act> {
        let Some(words) = self.conversation.keyed_words(keys) else {
            return self.conversation.handle(Input::Keys(keys));
        };
        let transcript = Transcript {
            text: words,
            ..Transcript::default()
        };
        let verdict = self.judge(&transcript, at_ms, at_ms);
        if verdict.is_quiet() {
            return self.conversation.handle(Input::Keys(keys));
        }
        self.conversation.handle(Input::Said {
            text: &transcript.text,
            logprob: transcript.logprob,
            verdict,
        })
    }

    pub(super) fn forget_pending(&mut self) {
        if let Some(pending) = self.pending.take()
            && pending.heard.is_none()
        {
            self.outputs.push_back(Output::Forget {
                utterance: pending.utterance.id,
            });
        }
    }

    pub(super) fn handle_ear(&mut self, event: EarEvent) {
        match event {
            EarEvent::SpeechStarted { at_ms } => {
                self.goes_on_after_all();
                self.opening_spoken(at_ms);
                self.spoken_into(Some(at_ms));
            }
            EarEvent::Paused(utterance) => {
                self.opening_paused(&utterance);
                self.spoken_paused();
                let whole = self.with_what_went_before(utterance);
                self.transcribe(whole);
            }
            EarEvent::Resumed { id } => {
                self.opening_spoken(self.at_ms());
                self.spoken_into(None);
                if self
                    .pending
                    .as_ref()
                    .is_some_and(|pending| pending.utterance.id == id)
                {
                    self.forget_pending();
                }
            }
            EarEvent::Ended { id } => self.utterance_ended(id),
            EarEvent::NoInput { .. } => self.nobody_spoke(),
            EarEvent::Tone(tone) => self.handle_tone(&tone),
        }
    }

    /// Together with what was said before the robot waited for its words: one reply, heard as one.
    fn with_what_went_before(&mut self, utterance: Utterance) -> Utterance {
        let Some(before) = &self.before else {
            return utterance;
        };
        let samples = [&before.samples[..], &utterance.samples[..]].concat();
        Utterance {
            samples: samples.into(),
            from_ms: before.from_ms,
            ..utterance
        }
    }

    pub(super) fn transcribe(&mut self, utterance: Utterance) {
        self.forget_pending();
        let (hot_words, choices) = match (&self.stage, &self.listen) {
            (Stage::Listening, Some(listen)) => (listen.hot_words.clone(), listen.choices.clone()),
            (Stage::Speaking, _) => self
                .question_ahead()
                .map_or_else(Default::default, |listen| {
                    (listen.hot_words.clone(), listen.choices.clone())
                }),
            _ => Default::default(),
        };
        let (hot_words, choices) = if self.overhears() {
            Default::default()
        } else {
            (hot_words, choices)
        };
        self.outputs.push_back(Output::Transcribe {
            utterance: utterance.id,
            samples: Arc::clone(&utterance.samples),
            lang: self.lang,
            hot_words,
            choices,
        });
        self.pending = Some(Pending {
            utterance,
            heard: None,
            ended: false,
        });
    }

    /// Words of somebody who has not been asked anything.
    pub(super) fn ask_for_words(&mut self, utterance: UtteranceId, samples: Arc<[i16]>) {
        self.outputs.push_back(Output::Transcribe {
            utterance,
            samples,
            lang: self.lang,
            hot_words: Vec::new(),
            choices: Choices::None,
        });
    }

    fn utterance_ended(&mut self, id: UtteranceId) {
        if self.answered_at.is_none() {
            // An announcement may go on: classify this part and keep listening.
            self.overheard.push(id);
            self.pending = None;
            self.ear.listen(ANNOUNCEMENT, self.early_slots * 20);
            return;
        }
        match self.stage {
            Stage::Greeting => {
                self.human = true;
                self.overheard.push(id);
                self.pending = None;
                self.begin_talking();
            }
            Stage::Listening => {
                let Some(pending) = &mut self.pending else {
                    return;
                };
                pending.ended = true;
                if pending.heard.is_some() {
                    self.reply_is_in();
                } else {
                    self.await_words(id);
                }
            }
            Stage::Speaking | Stage::Machine { .. } | Stage::Telling if self.overhears() => {
                self.overheard.push(id);
                self.pending = None;
                self.overhear();
            }
            // Said into the prompt: what it was is for the words to tell.
            Stage::Speaking => {
                if let Some(pending) = &mut self.pending {
                    pending.ended = true;
                }
            }
            _ => {}
        }
    }

    /// The turn is over, and its words are not there yet.
    pub(super) fn await_words(&mut self, id: UtteranceId) {
        self.outputs.push_back(Output::Promote { utterance: id });
        let patience = self.kit.limits.words.as_millis() as u64;
        let at_ms = self.at_ms();
        let filler_ms = at_ms + self.kit.limits.filler.as_millis() as u64;
        self.stage = Stage::Waiting {
            until_ms: at_ms + patience,
            filler_ms: (self.filler == Filler::Unsaid).then_some(filler_ms),
        };
        if let Some(listen) = &self.listen {
            let spec = ListenSpec {
                no_input_ms: u32::MAX,
                ..spec(listen)
            };
            self.ear.listen(spec, at_ms);
        }
    }

    fn nobody_spoke(&mut self) {
        match self.stage {
            Stage::Greeting => self.begin_talking(),
            Stage::Listening if self.keys.is_empty() => {
                self.reply_end_ms = None;
                self.conversation.set_in_noise(self.only_room);
                let acts = self.conversation.handle(match self.only_room {
                    true => Input::Unclear,
                    false => Input::Silence,
                });
                self.take_acts(acts);
            }
            _ => {}
        }
    }

    fn begin_talking(&mut self) {
        let acts = self.conversation.start();
        self.take_acts(acts);
    }

    pub(super) fn handle_heard(&mut self, utterance: UtteranceId, heard: Heard) {
        if self.stage == Stage::Ended {
            return;
        }
        if self.is_taken_over() {
            return self.heard_before(utterance, heard);
        }
        if self.is_of_a_machine(utterance, &heard) {
            return;
        }
        if self.is_beside_a_machine() {
            return self.heard_beside_a_machine(utterance, heard);
        }
        if let Some(place) = self.overheard.iter().position(|id| *id == utterance) {
            self.overheard.remove(place);
            if let Heard::Words(transcript) = heard {
                self.event(CallEvent::HeardWords(Phi::new(transcript)));
            }
            return;
        }
        let is_awaited = |pending: &Pending| pending.utterance.id == utterance;
        if !self.pending.as_ref().is_some_and(is_awaited) || self.passes_over(&heard) {
            return;
        }
        if self.overhears() {
            // Still speaking, or only pausing: the words were for the opening.
            if let Some(pending) = &mut self.pending {
                pending.heard = Some(heard);
            }
            return;
        }
        if self.stage == Stage::Speaking {
            self.stop_for_speech();
        }
        let Some(pending) = &mut self.pending else {
            return;
        };
        let goes_on = match &heard {
            Heard::Words(words) => reply::goes_on(&words.text, self.lang),
            Heard::NoSpeech | Heard::TooLate => false,
        };
        let complete = match &heard {
            Heard::Words(words) => {
                words.logprob > SURE_LOGPROB && self.conversation.understands(&words.text)
            }
            Heard::NoSpeech | Heard::TooLate => false,
        };
        pending.heard = Some(heard);
        if self.stage == Stage::Speaking {
            // The prompt is fading out: the reply is taken up at its end.
        } else if pending.ended {
            self.reply_is_in();
        } else if goes_on {
            self.ear.wait_longer(UNFINISHED_MS);
        } else if complete && self.stage == Stage::Listening {
            self.ear.end_now();
            while let Some(event) = self.ear.poll() {
                self.handle_ear(event);
            }
        }
    }

    fn words_are_late(&mut self) {
        self.forget_pending();
        self.reply_end_ms = None;
        let acts = self.conversation.handle(Input::TooLate);
        self.take_acts(acts);
    }

    /// The reply and its words are both there: judge them, then let the conversation go on.
    pub(super) fn reply_is_in(&mut self) {
        let Some(Pending {
            utterance,
            heard: Some(heard),
            ..
        }) = self.pending.take()
        else {
            return;
        };
        let (from_ms, to_ms) = (utterance.from_ms, utterance.to_ms);
        self.reply_end_ms = Some(to_ms);
        self.conversation.set_in_noise(utterance.in_noise);
        let acts = match heard {
            Heard::Words(transcript) if self.is_own_echo(&transcript) => {
                self.conversation.handle(Input::Unclear)
            }
            Heard::NoSpeech if self.was_the_room(utterance.in_noise) => return self.listen_on(),
            Heard::NoSpeech => self.conversation.handle(Input::Unclear),
            Heard::TooLate => self.conversation.handle(Input::TooLate),
            Heard::Words(transcript) => {
                self.human = true;
                self.ear.had_words();
                self.event(CallEvent::HeardWords(Phi::new(transcript.clone())));
                let verdict = self.judge(&transcript, from_ms, to_ms);
                self.replied(transcript.clone(), from_ms, to_ms);
                let (text, logprob) = words(&self.conversation, &transcript, &verdict);
                self.conversation.handle(Input::Said {
                    text,
                    logprob,
                    verdict,
                })
            }
        };
        self.take_acts(acts);
    }

    /// In a noisy room, what was no speech was the room, and the reply may still come.
    fn was_the_room(&self, in_noise: bool) -> bool {
        let is_asked = matches!(self.stage, Stage::Listening | Stage::Waiting { .. });
        is_asked && in_noise && self.player.is_idle() && self.waits_ms() > 0
    }

    /// For how long the reply to the open turn is still waited for.
    fn waits_ms(&self) -> u64 {
        let (Some(turn), Some(listen)) = (&self.open_turn, &self.listen) else {
            return 0;
        };
        let until_ms = turn.prompt_to_ms + u64::from(listen.no_input_ms);
        until_ms.saturating_sub(self.at_ms())
    }

    fn listen_on(&mut self) {
        let waits_ms = self.waits_ms();
        let Some(listen) = &self.listen else {
            return;
        };
        let spec = ListenSpec {
            no_input_ms: u32::try_from(waits_ms).unwrap_or(u32::MAX),
            ..spec(listen)
        };
        self.stage = Stage::Listening;
        self.only_room = true;
        self.ear.listen(spec, self.at_ms());
    }

    pub(super) fn is_own_echo(&self, transcript: &Transcript) -> bool {
        let prompt = self.open_turn.as_ref().map(|turn| &turn.prompt);
        prompt.is_some_and(|prompt| is_echo(prompt.expose(), &transcript.text, self.lang))
    }

    /// The open turn has its reply.
    pub(super) fn replied(&mut self, transcript: Transcript, from_ms: u64, to_ms: u64) {
        if let Some(turn) = &mut self.open_turn {
            turn.reply = Some(TurnReply {
                heard: Phi::new(transcript),
                keys: Phi::default(),
                meaning: String::new(),
                from_ms,
                to_ms,
                latency_ms: None,
                readings: Vec::new(),
            });
        }
    }

    /// Reads the reply together with its question, at once and before the script moves.
    pub(super) fn judge(&mut self, transcript: &Transcript, from_ms: u64, to_ms: u64) -> Verdict {
        let Some(question) = self
            .conversation
            .question()
            .filter(|_| self.conversation.is_identified())
        else {
            return Verdict::default();
        };
        let assessment = judge(&self.kit.lexicon, &self.conversation, &question, transcript);
        self.place(&question.asks, assessment, from_ms, to_ms)
    }

    pub(super) fn take_acts(&mut self, acts: Vec<Act>) {
        self.ear.deafen();
        self.keys.clear();
        self.keys_until_ms = None;
        self.barge = None;
        self.before = None;
        self.acts = acts.into();
        self.stage = Stage::Speaking;
        self.overhear();
        // Notes that come before the first word are facts already.
        while let Some(Act::Note(note)) = self.acts.front() {
            if matches!(note, Note::TurnOpened { .. }) && self.awaits_store() {
                break;
            }
            if let Some(Act::Note(note)) = self.acts.pop_front() {
                self.note(note);
            }
            if self.keep_company() {
                break;
            }
        }
        self.progressed();
    }

    fn progressed(&mut self) {
        let progress = self.conversation.progress();
        if progress != self.progress {
            self.progress = progress;
            self.event(CallEvent::Progressed(progress));
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        match &note {
            Note::TurnOpened {
                node,
                prompt,
                kind,
                asks,
            } => {
                let prompt = Phi::new(prompt.clone());
                self.event(CallEvent::Asked {
                    node: node.clone(),
                    prompt: prompt.clone(),
                });
                let at_ms = self.at_ms();
                self.open_turn = Some(Turn {
                    index: u32::try_from(self.turns.len()).unwrap_or(u32::MAX),
                    node: node.clone(),
                    prompt,
                    kind: *kind,
                    asks: asks.clone(),
                    respondent: self.conversation.respondent(),
                    prompt_from_ms: at_ms,
                    prompt_to_ms: at_ms,
                    reply: None,
                });
            }
            Note::TurnClosed { meaning } => self.close_turn(meaning.clone()),
            Note::Identified { .. } => self.is_identified_now(),
            Note::AskedForPerson => self.ask_for_person(),
            Note::Confirmation { concept, outcome } => self.confirmed(concept, *outcome),
            _ => {}
        }
        self.event(CallEvent::Noted(note.clone()));
        self.notes.push(note);
    }

    pub(super) fn close_turn(&mut self, meaning: String) {
        let readings = std::mem::take(&mut self.readings);
        let Some(mut turn) = self.open_turn.take() else {
            return;
        };
        if turn.prompt_to_ms <= turn.prompt_from_ms {
            turn.prompt_to_ms = self.at_ms();
        }
        if let Some(reply) = &mut turn.reply {
            reply.meaning = meaning;
            reply.readings = readings;
        }
        self.turns.push(turn);
        if self.reply_end_ms.is_none() {
            self.emit_turn();
        }
    }

    /// A turn is told once its latency is known, or when nothing will be said any more.
    fn emit_turn(&mut self) {
        if let Some(turn) = self.turns.last() {
            let turn = Box::new(turn.clone());
            self.event(CallEvent::TurnClosed(turn));
        }
    }

    /// First voiced frame after a reply: the turn's latency, on the slot clock.
    pub(super) fn note_latency(&mut self, frame: &[i16; FRAME], at_ms: u64) {
        let Some(end_ms) = self.reply_end_ms else {
            return;
        };
        let level = frame.iter().map(|s| i32::from(*s).abs()).sum::<i32>() / FRAME as i32;
        if level < VOICED {
            return;
        }
        self.reply_end_ms = None;
        let latency = u32::try_from(at_ms.saturating_sub(end_ms)).ok();
        if let Some(reply) = self.turns.last_mut().and_then(|turn| turn.reply.as_mut()) {
            reply.latency_ms = latency;
        }
        self.emit_turn();
    }
}

fn spec(listen: &Listen) -> ListenSpec {
    ListenSpec {
        end_silence_ms: listen.end_silence_ms,
        no_input_ms: listen.no_input_ms,
        max_ms: listen.max_ms,
    }
}
