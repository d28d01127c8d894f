//! The ear: 20 ms frames in, utterances and verdicts on tones out.
//!
//! It cuts speech by voice activity and silence (speech.md §2.4): a pause of 250 ms gives an [`Utterance`] to
//! transcribe speculatively, a longer one set by the question ends the turn. Whose words they are and what they
//! mean is left to the call. Time is the position on the call's 20 ms playout clock, which is the position in
//! the recording. Sans-IO: no clock, no thread, no model beyond earshot's 40 kB of weights.

pub mod amd;
pub mod announcement;
pub mod pure;
pub mod tone;
pub mod upsample;
pub mod vad;

use std::collections::VecDeque;
use std::sync::Arc;

use self::tone::{ToneDetector, ToneVerdict};
use self::vad::{HOP, Judged, Vad};
use crate::codec::{FRAME, FRAME_MS};
use crate::id::UtteranceId;

/// Samples a millisecond at 8 kHz.
const PER_MS: u64 = 8;
/// What is kept before the first voiced frame: detection is up to 210 ms late (speech.md §2.4).
const PRE_ROLL: u64 = 300 * PER_MS;
/// Consecutive certain frames that begin speech.
const ONSET_HOPS: u32 = 3;
/// Voiced frames in a row that may become speech.
const ONSET_SIGN: u32 = 2;
/// Voice shorter than this was a cough, a click, or the line.
const SHORTEST: u64 = 120 * PER_MS;
/// Silence that ends such a burst.
const BURST_GAP: u64 = 100 * PER_MS;
/// Speech that was under way when listening began must go on for so long: echoes of the prompt do not.
const CARRIED_OVER: u64 = 240 * PER_MS;
/// How much of it from before is taken along.
const CARRY_BACK: u64 = 1_000 * PER_MS;
/// In a noisy room, what lies so far under the talker is the room and not the talker, even where it sounds like voice
/// (a television, others talking): unless it stands out of the noise floor by more than babble does.
const BEHIND_DB: f32 = 7.0;
const ABOVE_FLOOR_DB: f32 = 10.0;
/// Who has answered once is not so much quieter the next time: that is a television, or somebody else in the room.
/// Forgotten by 1 dB in ten seconds and no further than this, for people walk about with their telephone, and in a long
/// silence a television must not take their place.
const FAR_DB: f32 = 10.0;
const FORGET_DB: f32 = 0.0016;
const FORGOTTEN_DB: f32 = 2.0;
/// Within one reply nobody sinks so far.
const SINKS_DB: f32 = 22.0;
/// The talker's level is forgotten by so much each hop (3 dB a second): a slammed door must not end a reply.
const FADE_DB: f32 = 0.05;
/// Before a reply, what lies so far under its talker and so little above the noise floor is the room; half a second of it
/// is kept. Of 484 replies over an office or a street at 10 dB, one lost its start.
const FRONT_DB: f32 = 9.0;
const ROOM_DB: f32 = 14.0;
const LEAD: u64 = 500 * PER_MS;
/// Silence after which an utterance is handed out to be transcribed speculatively.
const PAUSE: u64 = 250 * PER_MS;

/// Settings of one call's ear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarConfig {
    /// Makes the fill noise repeatable.
    pub seed: u64,
}

/// How to wait for one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenSpec {
    /// Silence that ends the turn: 500 ms for yes or no, 800 for numbers, 900 for open questions.
    pub end_silence_ms: u32,
    /// Silence from the beginning on that counts as no reply.
    pub no_input_ms: u32,
    /// The longest reply, from its first voiced sample.
    pub max_ms: u32,
}

/// One stretch of speech.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    pub id: UtteranceId,
    /// 8 kHz, from 300 ms before the first voiced sample to the pause after the last.
    pub samples: Arc<[i16]>,
    /// The first and the last voiced sample.
    pub from_ms: u64,
    pub to_ms: u64,
    /// The room is noisy: what is no speech may have been the room.
    pub in_noise: bool,
}

/// What the ear has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum EarEvent {
    /// Speech of at least 120 ms; `at_ms` is its first voiced sample.
    SpeechStarted { at_ms: u64 },
    /// 250 ms of silence: transcribe it now, it may have been all.
    Paused(Utterance),
    /// It was not all: a later [`EarEvent::Paused`] carries the whole under a new number.
    Resumed { id: UtteranceId },
    /// The turn is over; the utterance is the one last paused.
    Ended { id: UtteranceId },
    /// Nobody spoke.
    NoInput { at_ms: u64 },
    /// The network or a machine, also while the ear is deaf.
    Tone(Tone),
}

/// A tone, with where it lies; for a cadence that is where it was recognised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    pub verdict: ToneVerdict,
    pub hz: Option<f32>,
    pub from_ms: u64,
    pub to_ms: u64,
}

/// One call's ear.
pub struct Ear {
    vad: Vad,
    judged: Vec<Judged>,
    tones: ToneDetector,
    frames: u64,
    tape: Tape,
    /// Position up to which the voice detector has judged.
    heard_to: u64,
    speech: Speech,
    talker: Talker,
    /// How loud who answered before was: see [`Ear::had_words`].
    known_db: f32,
    /// By how much that is forgotten.
    forgotten_db: f32,
    onset: Onset,
    /// How loud each hop was that is still on the tape; the last one ends at `heard_to`.
    levels: VecDeque<f32>,
    listening: Option<Listening>,
    next_id: u32,
    events: VecDeque<EarEvent>,
}

#[derive(Clone, Copy, Debug)]
struct Listening {
    spec: ListenSpec,
    since: u64,
}

/// The loudest that the speech under way has been.
#[derive(Clone, Copy, Debug, Default)]
struct Talker {
    /// It began in a noisy room; `None` where the line was not heard for long enough to tell.
    in_noise: Option<bool>,
    level_db: f32,
}

/// The first sign of a voice, before it is long enough to be speech.
#[derive(Clone, Copy, Debug, Default)]
struct Onset {
    /// Voiced hops in a row.
    run: u32,
    /// Position of the last one.
    last: u64,
}

/// Positions are samples since the call began.
#[derive(Clone, Copy, Debug)]
enum Speech {
    /// `run` certain frames in a row so far.
    None {
        run: u32,
    },
    /// Voiced, and not yet long enough to be believed.
    Burst {
        from: u64,
        last: u64,
    },
    Voiced {
        from: u64,
        last: u64,
    },
    /// Silent for 250 ms; `run` certain frames in a row since.
    Paused {
        from: u64,
        last: u64,
        id: UtteranceId,
        run: u32,
    },
}

impl Ear {
    /// Begins deaf: tones are watched, speech is not reported until [`Ear::listen`].
    pub fn new(config: EarConfig) -> Ear {
        Ear {
            vad: Vad::new(config.seed),
            judged: Vec::new(),
            tones: ToneDetector::default(),
            frames: 0,
            tape: Tape::default(),
            heard_to: 0,
            speech: Speech::None { run: 0 },
            talker: Talker::default(),
            known_db: f32::NEG_INFINITY,
            forgotten_db: 0.0,
            onset: Onset::default(),
            levels: VecDeque::new(),
            listening: None,
            next_id: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes the frame that begins at `at_ms`: every 20 ms, also while the robot speaks.
    pub fn push(&mut self, frame: &[i16; FRAME], at_ms: u64) {
        match self.tape.push(frame, at_ms * PER_MS) {
            Gap::Filled(missing) => self.heard_to += missing,
            Gap::TooLong => {
                self.vad.reset();
                self.heard_to = at_ms * PER_MS;
            }
        }
        self.frames += 1;
        if let Some(tone) = self.tones.push(frame) {
            let ms = |position: u64| {
                (at_ms + FRAME_MS).saturating_sub((self.frames - position) * FRAME_MS)
            };
            self.events.push_back(EarEvent::Tone(Tone {
                verdict: tone.verdict,
                hz: tone.hz,
                from_ms: ms(tone.from),
                to_ms: ms(tone.to),
            }));
        }
        let mut judged = std::mem::take(&mut self.judged);
        self.vad.push(frame, self.tones.vetoes(), &mut judged);
        for hop in judged.drain(..) {
            self.heard_to += HOP as u64;
            self.hear(hop);
        }
        self.judged = judged;
        self.watch_limits();
        self.forget();
    }

    /// Begins to wait for a reply. Speech that is under way already belongs to it if it goes on.
    pub fn listen(&mut self, spec: ListenSpec, at_ms: u64) {
        let since = at_ms * PER_MS;
        // What goes on from before is as likely the room as a talker.
        self.talker.in_noise = self.vad.is_noisy();
        self.speech = match self.speech {
            Speech::Burst { from, last } | Speech::Voiced { from, last } => Speech::Burst {
                from: from.max(since.saturating_sub(CARRY_BACK)),
                last,
            },
            Speech::None { .. } | Speech::Paused { .. } => Speech::None { run: 0 },
        };
        self.listening = Some(Listening { spec, since });
    }

    /// Ignores speech from here on: the robot speaks. An unfinished utterance is given up.
    pub fn deafen(&mut self) {
        self.listening = None;
        if let Speech::Paused { .. } = self.speech {
            self.speech = Speech::None { run: 0 };
        }
    }

    /// Ends the turn with the utterance last paused: its words are a complete answer already.
    pub fn end_now(&mut self) {
        if let Speech::Paused { id, .. } = self.speech
            && self.listening.is_some()
        {
            self.end(id);
        }
    }

    /// Waits longer for the end of this reply: its words so far do not end there.
    pub fn wait_longer(&mut self, end_silence_ms: u32) {
        if let Some(listening) = &mut self.listening {
            let silence = &mut listening.spec.end_silence_ms;
            *silence = end_silence_ms.max(*silence);
        }
    }

    /// What has been said so far of a speech that goes on.
    pub fn so_far(&mut self) -> Option<Utterance> {
        let Speech::Voiced { from, last } = self.speech else {
            return None;
        };
        Some(self.utterance(from, last))
    }

    /// Nobody asks for tones any more.
    pub fn rest_tones(&mut self) {
        self.tones.rest();
    }

    /// The next event.
    pub fn poll(&mut self) -> Option<EarEvent> {
        self.events.pop_front()
    }

    /// Whether a reply is being waited for.
    pub fn is_listening(&self) -> bool {
        self.listening.is_some()
    }

    /// How long the speech under way has been voiced, in milliseconds; a pause after it does not count.
    pub fn voiced_ms(&self) -> Option<u64> {
        match self.speech {
            Speech::Voiced { from, last } => Some((last - from) / PER_MS),
            Speech::None { .. } | Speech::Burst { .. } | Speech::Paused { .. } => None,
        }
    }

    /// The reply that ended last had words in it: so loud is who is on the telephone.
    pub fn had_words(&mut self) {
        let level_db = self.talker.level_db;
        self.forgotten_db = 0.0;
        // One shout must not make the next reply a whisper.
        self.known_db = if self.known_db.is_finite() {
            (self.known_db + level_db) / 2.0
        } else {
            level_db
        };
    }

    /// Whether the last speech began in a noisy room.
    fn hears_noise(&self) -> bool {
        self.talker.in_noise == Some(true)
    }

    /// Whether a voice seems to begin, or goes on: after 32 ms of it, long before it is speech.
    pub fn hears_voice(&self) -> bool {
        self.onset.run >= ONSET_SIGN
    }

    /// For how long no such sign was heard, in milliseconds.
    pub fn quiet_ms(&self) -> u64 {
        self.heard_to.saturating_sub(self.onset.last) / PER_MS
    }

    /// The noise on the line in dBFS: above -45 it is noisy, and words will be misheard.
    pub fn noise_floor_db(&self) -> f32 {
        self.vad.floor_db()
    }

    fn hear(&mut self, hop: Judged) {
        let now = self.heard_to;
        self.levels.push_back(hop.level_db);
        let hop = self.in_front(hop);
        self.onset.hear(hop, now);
        self.speech = match self.speech {
            Speech::None { run } if hop.is_on && run + 1 >= ONSET_HOPS => Speech::Burst {
                from: now - u64::from(ONSET_HOPS) * HOP as u64,
                last: now,
            },
            Speech::None { run } => Speech::None {
                run: if hop.is_on { run + 1 } else { 0 },
            },
            // The detector holds on for 100 ms after the last voice, so only certain frames make a burst speech.
            Speech::Burst { from, .. } if hop.is_on => self.believe(from, now),
            Speech::Burst { from, .. } if hop.is_held => Speech::Burst { from, last: now },
            Speech::Burst { last, .. } if now - last >= BURST_GAP => Speech::None { run: 0 },
            Speech::Voiced { from, .. } if hop.is_held => Speech::Voiced { from, last: now },
            Speech::Voiced { from, last } if now - last >= PAUSE => self.pause(from, last),
            Speech::Paused { from, id, run, .. } if hop.is_on && run + 1 >= ONSET_HOPS => {
                self.events.push_back(EarEvent::Resumed { id });
                Speech::Voiced { from, last: now }
            }
            Speech::Paused {
                from,
                last,
                id,
                run,
            } => Speech::Paused {
                from,
                last,
                id,
                run: if hop.is_on { run + 1 } else { 0 },
            },
            same @ (Speech::Burst { .. } | Speech::Voiced { .. }) => same,
        };
    }

    /// Tells the talker from the room behind: in noise a hop far under the talker is none of hers.
    fn in_front(&mut self, hop: Judged) -> Judged {
        self.forgotten_db = (self.forgotten_db + FORGET_DB).min(FORGOTTEN_DB);
        let far_db = self.known_db - self.forgotten_db - FAR_DB;
        let hop = Judged {
            is_on: hop.is_on && hop.level_db >= far_db,
            ..hop
        };
        if let Speech::None { .. } = self.speech {
            if !hop.is_on {
                return hop;
            }
            self.talker = Talker {
                in_noise: self.vad.is_noisy(),
                level_db: hop.level_db,
            };
            return hop;
        }
        let faded_db = self.talker.level_db - FADE_DB;
        self.talker.level_db = faded_db.max(hop.level_db);
        self.talker.in_noise = self.talker.in_noise.or_else(|| self.vad.is_noisy());
        if !self.hears_noise() {
            let is_near = hop.level_db >= self.talker.level_db - SINKS_DB;
            return Judged {
                is_on: hop.is_on && is_near,
                is_held: hop.is_held && is_near,
                ..hop
            };
        }
        let room = self.vad.floor_db() + ABOVE_FLOOR_DB;
        let is_near = hop.level_db >= room.min(self.talker.level_db - BEHIND_DB);
        Judged {
            is_on: hop.is_on && is_near,
            is_held: hop.is_held && is_near,
            ..hop
        }
    }

    fn believe(&mut self, from: u64, now: u64) -> Speech {
        let is_long = match self.listening {
            Some(listening) if from < listening.since => {
                now.saturating_sub(listening.since) >= CARRIED_OVER
            }
            Some(_) | None => now - from >= SHORTEST,
        };
        if !is_long {
            return Speech::Burst { from, last: now };
        }
        if self.listening.is_some() {
            let at_ms = from / PER_MS;
            self.events.push_back(EarEvent::SpeechStarted { at_ms });
        }
        Speech::Voiced { from, last: now }
    }

    fn pause(&mut self, from: u64, last: u64) -> Speech {
        if self.listening.is_none() {
            return Speech::None { run: 0 };
        }
        let id = self.hand_out(from, last);
        Speech::Paused {
            from,
            last,
            id,
            run: 0,
        }
    }

    fn hand_out(&mut self, from: u64, last: u64) -> UtteranceId {
        let utterance = self.utterance(from, last);
        let id = utterance.id;
        self.events.push_back(EarEvent::Paused(utterance));
        id
    }

    fn utterance(&mut self, from: u64, last: u64) -> Utterance {
        let id = UtteranceId(self.next_id);
        self.next_id += 1;
        let from = self.without_room(from);
        let samples = self.tape.copy(from.saturating_sub(PRE_ROLL), self.heard_to);
        Utterance {
            id,
            samples: samples.into(),
            from_ms: from / PER_MS,
            to_ms: last / PER_MS,
            in_noise: self.hears_noise(),
        }
    }

    /// Where the talker begins, now that it is known how loud she is.
    fn without_room(&self, from: u64) -> u64 {
        let far_db = self.talker.level_db - FRONT_DB;
        let room_db = self.vad.floor_db() + ROOM_DB;
        let hops = (self.heard_to - from) as usize / HOP;
        let begins = self.levels.len().saturating_sub(hops);
        let is_room = |level_db: &&f32| **level_db < far_db.min(room_db);
        let room = self.levels.range(begins..).take_while(is_room).count();
        let talker = from + (room * HOP) as u64;
        talker.saturating_sub(LEAD).max(from)
    }

    /// The three ends of waiting: silence after speech, too long a speech, no speech.
    fn watch_limits(&mut self) {
        let Some(Listening { spec, since }) = self.listening else {
            return;
        };
        let now = self.heard_to;
        let reached = |from: u64, ms: u32| now.saturating_sub(from) >= u64::from(ms) * PER_MS;
        match self.speech {
            Speech::None { .. } if reached(since, spec.no_input_ms) => {
                self.listening = None;
                let at_ms = now / PER_MS;
                self.events.push_back(EarEvent::NoInput { at_ms });
            }
            Speech::Voiced { from, last } if reached(from, spec.max_ms) => {
                let id = self.hand_out(from, last);
                self.end(id);
            }
            Speech::Paused { from, last, id, .. }
                if reached(last, spec.end_silence_ms) || reached(from, spec.max_ms) =>
            {
                self.end(id);
            }
            Speech::None { .. }
            | Speech::Burst { .. }
            | Speech::Voiced { .. }
            | Speech::Paused { .. } => {}
        }
    }

    fn end(&mut self, id: UtteranceId) {
        self.listening = None;
        self.speech = Speech::None { run: 0 };
        self.events.push_back(EarEvent::Ended { id });
    }

    /// Lets go what no reply can need any more.
    fn forget(&mut self) {
        let needed = self.needed_from();
        self.tape.forget_before(needed);
        let hops = self.heard_to.saturating_sub(needed) as usize / HOP;
        let old = self.levels.len().saturating_sub(hops);
        self.levels.drain(..old);
    }

    fn needed_from(&self) -> u64 {
        let begun = match self.speech {
            Speech::None { .. } => self.heard_to,
            Speech::Burst { from, .. }
            | Speech::Voiced { from, .. }
            | Speech::Paused { from, .. } => from,
        };
        // While nobody listens, speech without end must not fill the memory.
        let begun = if self.listening.is_some() {
            begun
        } else {
            begun.max(self.heard_to.saturating_sub(CARRY_BACK))
        };
        begun.saturating_sub(PRE_ROLL + PER_MS * 100)
    }
}

impl Onset {
    fn hear(&mut self, hop: Judged, now: u64) {
        self.run = if hop.is_held { self.run + 1 } else { 0 };
        if self.run >= ONSET_SIGN {
            self.last = now;
        }
    }
}

/// The last samples heard, by their position in the call.
#[derive(Clone, Debug, Default)]
struct Tape {
    start: u64,
    samples: VecDeque<i16>,
}

/// A gap longer than this is not filled: the tape begins anew.
const MOST_FILLED: u64 = 2_000 * PER_MS;

/// What lay between the last frame and this one.
enum Gap {
    /// So many samples of silence; usually none.
    Filled(u64),
    /// The tape began anew.
    TooLong,
}

impl Tape {
    /// Appends a frame where it belongs.
    fn push(&mut self, frame: &[i16], at: u64) -> Gap {
        let end = self.start + self.samples.len() as u64;
        let missing = at.wrapping_sub(end);
        let gap = if missing > MOST_FILLED {
            self.samples.clear();
            self.start = at;
            Gap::TooLong
        } else {
            let filled = self.samples.len() + missing as usize;
            self.samples.resize(filled, 0);
            Gap::Filled(missing)
        };
        self.samples.extend(frame);
        gap
    }

    fn forget_before(&mut self, position: u64) {
        let old = position
            .saturating_sub(self.start)
            .min(self.samples.len() as u64);
        self.samples.drain(..old as usize);
        self.start += old;
    }

    fn copy(&self, from: u64, to: u64) -> Vec<i16> {
        let length = self.samples.len() as u64;
        let at = |position: u64| position.saturating_sub(self.start).min(length) as usize;
        self.samples
            .range(at(from)..at(to).max(at(from)))
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests;
