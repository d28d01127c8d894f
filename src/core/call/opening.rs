//! The opening of a call: what the network says before the answer, who has answered, and what a machine is told.
//!
//! Until somebody has said who they are, the ear listens while the robot speaks too, for the rest of a greeting and for
//! its beep. Words of a long speech are asked for before it ends. A human is greeted meanwhile: the verdict comes later.

use super::{Call, CallEvent, Stage};
use crate::codec::FRAME;
use crate::ear::amd::{Answerer, Verdict};
use crate::ear::announcement::{Announcement, classify_early};
use crate::ear::tone::ToneVerdict;
use crate::ear::vad::level_db;
use crate::ear::{ListenSpec, Tone, Utterance};
use crate::heard::{Heard, Transcript};
use crate::id::UtteranceId;
use crate::phi::Phi;

/// What is said into the robot's first words, cut at its pauses.
pub(super) const OVERHEARD: ListenSpec = ListenSpec {
    end_silence_ms: 700,
    no_input_ms: u32::MAX,
    max_ms: 10_000,
};
/// Milliseconds of voice after which its words so far are asked for.
const PEEKS_MS: [u64; 9] = [
    1_300, 1_700, 2_100, 2_600, 3_200, 4_000, 5_000, 6_200, 7_500,
];
/// Sound before the answer that is neither words nor tones, for so long, is music.
const MUSIC_MS: u64 = 3_000;
const LOUD_DB: f32 = -45.0;

/// What is kept of the opening.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Words of early media so far.
    announced: String,
    tone: Option<ToneVerdict>,
    /// Loud frames before the answer.
    loud_ms: u64,
    /// Peeks at the speech under way.
    peeked: usize,
    /// Those whose words are not there yet.
    peeks: Vec<UtteranceId>,
    told: Option<Verdict>,
}

impl Opening {
    /// Whether an utterance was a peek, which is asked once.
    pub(super) fn forget_peek(&mut self, utterance: UtteranceId) -> bool {
        let place = self.peeks.iter().position(|id| *id == utterance);
        place.map(|place| self.peeks.remove(place)).is_some()
    }

    /// A frame before the answer.
    pub(super) fn heard_early(&mut self, frame: &[i16; FRAME]) {
        if level_db(frame) > LOUD_DB {
            self.loud_ms += 20;
        }
    }

    /// The network's busy tone.
    pub(super) fn is_busy(&self) -> bool {
        self.tone == Some(ToneVerdict::Busy)
    }

    /// What was heard before the answer beside words.
    pub(super) fn early_tone(&self) -> Option<&'static str> {
        match self.tone {
            Some(ToneVerdict::Ringback) => Some("ringback_tone"),
            Some(ToneVerdict::Busy) => Some("busy_tone"),
            Some(ToneVerdict::Congestion | ToneVerdict::Unobtainable) => Some("congestion_tone"),
            Some(ToneVerdict::Information) => Some("information_tone"),
            Some(ToneVerdict::CallWaiting | ToneVerdict::Beep | ToneVerdict::FaxAnswer) | None => {
                (self.loud_ms >= MUSIC_MS).then_some("music")
            }
        }
    }
}

impl Call {
    /// Whether what is said into the robot's words is for the verdict alone.
    pub(super) fn overhears(&self) -> bool {
        let speaks = self.stage == Stage::Speaking && self.barge.is_none();
        self.is_opening() && (speaks || self.is_beside_a_machine())
    }

    pub(super) fn overhear(&mut self) {
        if self.overhears() {
            self.pending = None;
            self.ear.listen(OVERHEARD, self.at_ms());
        }
    }

    fn is_opening(&self) -> bool {
        self.answered_at.is_some() && !self.conversation.is_identified()
    }

    pub(super) fn is_identified_now(&mut self) {
        self.amd.answered_a_question(self.at_ms());
        self.ear.rest_tones();
        self.tell_verdict();
    }

    /// Somebody else has come to the telephone.
    pub(super) fn opening_changed(&mut self) {
        self.overheard.clear();
        self.opening.peeks.clear();
        self.tell_verdict();
    }

    pub(super) fn opening_spoken(&mut self, at_ms: u64) {
        if self.is_opening() {
            self.opening.peeked = 0;
            self.amd.speech_began(at_ms);
        }
    }

    pub(super) fn opening_paused(&mut self, utterance: &Utterance) {
        if self.is_opening() {
            self.amd.speech_paused(utterance.from_ms, utterance.to_ms);
        }
    }

    /// Every slot: peeks at a long speech, and lets time pass for the verdict.
    pub(super) fn watch_opening(&mut self) {
        if !self.is_opening() {
            return;
        }
        let peeks = self.stage == Stage::Greeting || self.overhears();
        let due = PEEKS_MS.get(self.opening.peeked).copied();
        let voiced = self.ear.voiced_ms();
        if peeks && due.zip(voiced).is_some_and(|(due, voiced)| voiced >= due) {
            self.opening.peeked += 1;
            self.peek();
        }
        let awaits = !self.overheard.is_empty()
            || self
                .pending
                .as_ref()
                .is_some_and(|pending| pending.heard.is_none());
        self.amd.tick(awaits, self.at_ms());
        self.tell_verdict();
    }

    fn peek(&mut self) {
        let Some(Utterance { id, samples, .. }) = self.ear.so_far() else {
            return;
        };
        self.overheard.push(id);
        self.opening.peeks.push(id);
        self.ask_for_words(id, samples);
    }

    fn tell_verdict(&mut self) {
        let verdict = self.amd.verdict();
        let is_new = self
            .opening
            .told
            .is_none_or(|told| (told.answerer, told.sign) != (verdict.answerer, verdict.sign));
        if is_new && verdict.answerer != Answerer::Unsure {
            self.opening.told = Some(verdict);
            self.event(CallEvent::Met(verdict));
        }
    }

    pub(super) fn handle_tone(&mut self, tone: &Tone) {
        if self.answered_at.is_none() {
            let is_event = matches!(tone.verdict, ToneVerdict::Beep | ToneVerdict::FaxAnswer);
            if !is_event {
                self.opening.tone = Some(tone.verdict);
            }
            return;
        }
        if !self.is_opening() {
            return;
        }
        self.amd.tone(tone, self.at_ms());
        if let Some((from_ms, to_ms)) = self.amd.beep()
            && from_ms == tone.from_ms
        {
            self.event(CallEvent::Beep { from_ms, to_ms });
            self.beeped(to_ms);
        }
        self.tell_verdict();
        self.treat_machine(None);
    }

    /// Whether words are a machine's. An announcement explains the call before the answer, and ends it after.
    pub(super) fn is_of_a_machine(&mut self, utterance: UtteranceId, heard: &Heard) -> bool {
        let Heard::Words(transcript) = heard else {
            return false;
        };
        if self.conversation.is_identified() || self.is_own_echo(transcript) {
            return false;
        }
        let class = if self.answered_at.is_some() {
            // A peek is heard again with what follows it.
            let is_whole = self
                .pending
                .as_ref()
                .is_none_or(|pending| pending.utterance.id == utterance);
            let at_ms = self.at_ms();
            self.amd.words(&transcript.text, self.lang, is_whole, at_ms)
        } else {
            self.announced_early(transcript)
        };
        let Some(class) = class else { return false };
        if self
            .announcement
            .is_none_or(|before| before == Announcement::Unknown)
        {
            self.announcement = Some(class);
        }
        self.overheard.retain(|id| *id != utterance);
        self.opening.forget_peek(utterance);
        self.event(CallEvent::HeardWords(Phi::new(transcript.clone())));
        self.event(CallEvent::Announced(class));
        self.tell_verdict();
        self.treat_machine(Some(class));
        true
    }

    /// The network's sentence may come in pieces: what one leaves open, both may tell.
    fn announced_early(&mut self, transcript: &Transcript) -> Option<Announcement> {
        self.opening.announced.push(' ');
        self.opening.announced.push_str(&transcript.text);
        let part = classify_early(&transcript.text, self.lang);
        part.filter(|class| *class != Announcement::Unknown)
            .or_else(|| classify_early(&self.opening.announced, self.lang))
    }
}
