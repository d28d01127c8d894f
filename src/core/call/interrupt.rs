//! Barge-in: somebody speaks while the robot asks.
//!
//! From 120 ms into a question that may be interrupted, the ear listens, with the robot's own echo taken out. At the
//! first sign of a voice the robot holds its breath. A noise, a short 嗯 or "ok" is no wish to speak: it goes on from the
//! last gap between two syllables. Voice of 800 ms, or in the question's last 600 ms of 250, and other short words once
//! they are understood, end the question. The conversation learns how much was not heard, and takes no answer to a
//! question that was not (speech.md §2.5). Where it held its breath in vain too often, a television maybe, it only lowers
//! its voice from then on.

use super::talk::Pending;
use super::{Call, Stage};
use crate::ear::ListenSpec;
use crate::heard::Heard;
use crate::script::{Act, BargeIn, Input, Listen, is_backchannel};

/// Nobody means the robot in the first moments of its question: they still speak to somebody else.
const DEAF_MS: u64 = 120;
/// Silence after which a sign of a voice was nothing, or one syllable was all; the detector has hung on for 100 ms before.
const NOTHING_MS: u64 = 100;
/// Voice no longer than this, with the 100 ms that the detector hangs on, is a syllable or two, most likely 嗯: the robot
/// goes on before its words are there.
const SYLLABLE_MS: u64 = 600;
/// No longer than this does it hold its breath for the words of what was said.
const BREATH_MS: u64 = 1_500;
/// Holds in vain, one after the other, after which it holds no more.
const VAIN: u8 = 3;
/// Voice for so long is more than a noise.
const VOICE_MS: u64 = 250;
/// Voice for so long is more than a backchannel: while the robot speaks on, and while it holds its breath, when waiting
/// longer costs nothing.
const SPEECH_MS: u64 = 600;
const SPEECH_HELD_MS: u64 = 800;
/// Who speaks with no more than this to come has heard the question.
const HEARD_ALL_BUT_MS: u32 = 600;

/// A question that may be interrupted, under way.
#[derive(Debug)]
pub(super) struct Barge {
    /// The ear listens from here on.
    opens_ms: u64,
    is_open: bool,
    spoken: Option<Spoken>,
    stopped: bool,
    /// The robot holds its breath since then.
    held_ms: Option<u64>,
}

/// What somebody is saying into it.
#[derive(Clone, Copy, Debug)]
struct Spoken {
    /// What was still to come of the question.
    unheard_ms: u32,
    /// Without a pause so far.
    goes_on: bool,
}

impl Spoken {
    fn in_time_for_an_answer(&self) -> bool {
        self.unheard_ms <= HEARD_ALL_BUT_MS
    }
}

impl Call {
    /// The question that is being asked, or that is about to be.
    pub(super) fn question_ahead(&self) -> Option<&Listen> {
        self.acts.iter().find_map(|act| match act {
            Act::Listen(listen) => Some(listen),
            Act::Say(_) | Act::Note(_) | Act::HangUp => None,
        })
    }

    /// Every slot of the robot's turn: listens once it may, and stops for whoever speaks on.
    pub(super) fn watch_for_speech(&mut self) {
        let at_ms = self.at_ms();
        let Some(Act::Listen(listen)) = self.acts.front() else {
            return;
        };
        if listen.barge_in < BargeIn::Speech {
            return;
        }
        let asks_now = self
            .player
            .segment()
            .is_some_and(|segment| segment >= listen.question.start);
        let spec = ListenSpec {
            end_silence_ms: listen.end_silence_ms,
            no_input_ms: u32::MAX,
            max_ms: listen.max_ms,
        };
        match &mut self.barge {
            None if asks_now => {
                self.barge = Some(Barge {
                    opens_ms: at_ms + DEAF_MS,
                    is_open: false,
                    spoken: None,
                    stopped: false,
                    held_ms: None,
                });
            }
            Some(barge) if !barge.is_open && at_ms >= barge.opens_ms => {
                barge.is_open = true;
                self.ear.listen(spec, at_ms);
            }
            Some(Barge {
                spoken: Some(spoken),
                stopped: false,
                ..
            }) if spoken.goes_on => {
                let voiced = self.ear.voiced_ms().unwrap_or(0);
                let speech_ms = match self.player.is_held() {
                    true => SPEECH_HELD_MS,
                    false => SPEECH_MS,
                };
                if voiced >= speech_ms || (voiced >= VOICE_MS && spoken.in_time_for_an_answer()) {
                    self.stop_for_speech();
                } else if voiced >= VOICE_MS && !self.player.is_held() {
                    self.player.duck();
                }
            }
            Some(_) | None => {}
        }
    }

    /// Before each frame goes out: holds the robot's breath at the first sign of a voice, and lets it go on.
    pub(super) fn hold_breath(&mut self) {
        let at_ms = self.at_ms();
        let is_speaking = self.stage == Stage::Speaking;
        let barge = self.barge.as_mut().filter(|_| is_speaking);
        let Some(barge) = barge.filter(|barge| barge.is_open && !barge.stopped) else {
            return;
        };
        let Some(held_ms) = barge.held_ms else {
            if self.ear.hears_voice() && self.holds_in_vain < VAIN {
                barge.held_ms = Some(at_ms);
                self.player.hold();
            }
            return;
        };
        let is_over = match barge.spoken {
            None => self.ear.quiet_ms() >= NOTHING_MS,
            Some(spoken) if spoken.goes_on => {
                let is_short = self.ear.voiced_ms().is_some_and(|ms| ms <= SYLLABLE_MS);
                is_short && !spoken.in_time_for_an_answer() && self.ear.quiet_ms() >= NOTHING_MS
            }
            Some(_) => at_ms >= held_ms + BREATH_MS,
        };
        if is_over {
            self.go_on_speaking();
        }
    }

    /// It was nothing, or nothing meant for the robot.
    fn go_on_speaking(&mut self) {
        self.player.go_on();
        if let Some(barge) = &mut self.barge
            && barge.held_ms.take().is_some()
        {
            self.holds_in_vain += 1;
        }
    }

    /// Speech began, or went on after a pause.
    pub(super) fn spoken_into(&mut self, from_ms: Option<u64>) {
        let at_ms = self.at_ms();
        let remaining = self
            .question_ahead()
            .map_or(0, |listen| self.player.remaining_ms(&listen.question));
        let Some(barge) = &mut self.barge else { return };
        match (&mut barge.spoken, from_ms) {
            (Some(spoken), _) => spoken.goes_on = true,
            (None, Some(from_ms)) => {
                // What is said over one's own voice is not listened to.
                let until_ms = barge.held_ms.unwrap_or(at_ms);
                let since = u32::try_from(until_ms.saturating_sub(from_ms)).unwrap_or(u32::MAX);
                barge.spoken = Some(Spoken {
                    unheard_ms: remaining.saturating_add(since),
                    goes_on: true,
                });
            }
            (None, None) => {}
        }
    }

    /// Speech paused: what it was is for the words to tell.
    pub(super) fn spoken_paused(&mut self) {
        if let Some(Barge {
            spoken: Some(spoken),
            ..
        }) = &mut self.barge
        {
            spoken.goes_on = false;
        }
    }

    /// Words of somebody who spoke into the question: `true` when they were none, or none meant for the robot.
    pub(super) fn passes_over(&mut self, heard: &Heard) -> bool {
        let Some(Barge {
            spoken: Some(spoken),
            stopped: false,
            ..
        }) = &self.barge
        else {
            return false;
        };
        let aside = match heard {
            Heard::Words(words) => is_backchannel(&words.text, self.lang),
            Heard::NoSpeech | Heard::TooLate => true,
        };
        if spoken.in_time_for_an_answer() || !aside {
            return false;
        }
        self.pending = None;
        self.go_on_speaking();
        if let Some(barge) = &mut self.barge {
            barge.spoken = None;
        }
        let at_ms = self.at_ms();
        match self.stage {
            Stage::Speaking => {
                if let Some(barge) = &mut self.barge
                    && !self.ear.is_listening()
                {
                    barge.is_open = false;
                    barge.opens_ms = at_ms;
                }
            }
            Stage::Listening | Stage::Waiting { .. } => {
                if let Some(listen) = self.listen.take() {
                    self.barge = None;
                    self.begin_listening(listen);
                }
            }
            Stage::Dialling
            | Stage::Greeting
            | Stage::Machine { .. }
            | Stage::Telling
            | Stage::Connecting
            | Stage::Joined
            | Stage::Closing { .. }
            | Stage::Leaving
            | Stage::Ended => {}
        }
        true
    }

    /// Falls silent for whoever speaks, and tells the conversation what they have not heard.
    pub(super) fn stop_for_speech(&mut self) {
        let Some(barge) = &mut self.barge else { return };
        let Some(spoken) = barge.spoken.filter(|_| !barge.stopped) else {
            return;
        };
        barge.stopped = true;
        self.holds_in_vain = 0;
        self.player.fade_out();
        self.interrupted(spoken.unheard_ms, false);
    }

    /// A key cuts a question short unless the script forbids it, never what is said to end the call.
    pub(super) fn stop_for_key(&mut self) {
        let Some(listen) = self.question_ahead() else {
            return;
        };
        if listen.barge_in < BargeIn::Keys {
            return;
        }
        let unheard_ms = self.player.remaining_ms(&listen.question);
        self.player.clear();
        self.barge = None;
        self.interrupted(unheard_ms, true);
    }

    fn interrupted(&mut self, unheard_ms: u32, by_key: bool) {
        let input = Input::Interrupted { unheard_ms, by_key };
        for act in self.conversation.handle(input) {
            if let Act::Note(note) = act {
                self.note(note);
            }
        }
    }

    /// The prompt is over: `true` when a reply is under way already, so that the ear goes on with it.
    pub(super) fn is_being_answered(&mut self) -> bool {
        let spoken = self.barge.as_ref().and_then(|barge| barge.spoken);
        if spoken.is_none() {
            self.barge = None;
        }
        spoken.is_some()
    }

    /// What the reply that is under way has come to.
    pub(super) fn take_up_reply(&mut self) {
        let ended = self.pending.as_ref().filter(|pending| pending.ended);
        match ended {
            Some(Pending { heard: Some(_), .. }) => self.reply_is_in(),
            Some(Pending { utterance, .. }) => {
                let id = utterance.id;
                self.await_words(id);
            }
            None => {}
        }
    }
}
