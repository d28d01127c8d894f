//! A person at a browser takes the patient over: a second line of the bridge, whose signalling is the shell's.
//!
//! The robot's voice and ear yield at once, and where the conversation stands is kept: handed back, the question is asked
//! again. Whoever has gone, or whose microphone is silent for [`LOST`], has handed back without a word, for a patient is
//! never left in silence. What was found stands. In the recording the person speaks on the robot's side, and the notes
//! say from when to when.

use std::time::Duration;

use super::bridge::TALK;
use super::talk::Pending;
use super::{Call, CallEvent, FRAME, Stage, part_seed};
use crate::attempt::{CallNote, Disposition};
use crate::codec::Codec;
use crate::heard::Heard;
use crate::id::UtteranceId;
use crate::phi::Phi;
use crate::rtp::{Stream, StreamConfig};
use crate::script::{Act, Note};
use crate::time::Instant;

/// A microphone gives a packet every 20 ms, also in silence; without one for so long nobody is there.
const LOST: Duration = Duration::from_secs(3);
/// PCMA (RFC 3551 §6).
const PAYLOAD_TYPE: u8 = 8;

/// The person who has the patient.
pub(super) struct Person {
    by: String,
    since: Instant,
    from_ms: u64,
    stream: Stream,
}

/// Those who had the patient.
#[derive(Default)]
pub(super) struct Takeovers {
    person: Option<Person>,
    notes: Vec<CallNote>,
    /// The call ended in somebody's hands, after they had talked.
    kept: bool,
}

impl Takeovers {
    pub(super) fn notes(&self) -> impl Iterator<Item = CallNote> {
        self.notes.iter().cloned()
    }
}

impl Call {
    /// Whether a person may take the patient over now: somebody has answered who is no machine, and no person has them.
    pub fn may_be_taken_over(&self) -> bool {
        match self.stage {
            Stage::Speaking
            | Stage::Listening
            | Stage::Waiting { .. }
            | Stage::Connecting
            | Stage::Closing { .. } => true,
            Stage::Dialling
            | Stage::Greeting
            | Stage::Machine { .. }
            | Stage::Telling
            | Stage::Joined
            | Stage::Leaving
            | Stage::Ended => false,
        }
    }

    /// A person at a browser has the patient.
    pub fn is_taken_over(&self) -> bool {
        self.takeovers.person.is_some()
    }

    pub(super) fn take_over(&mut self, by: String, now: Instant) {
        if !self.may_be_taken_over() {
            return;
        }
        // Who is being rung is not needed any more.
        self.end_lines(now);
        // What was said before is heard all the same: it may be what she takes over for.
        if self.pending.is_none()
            && let Some(utterance) = self.ear.so_far()
        {
            self.transcribe(utterance);
        }
        let (said, turn) = (self.pending.take(), self.open_turn.take());
        // What was noted is so, said or not.
        let acts: Vec<Act> = self.acts.drain(..).collect();
        self.fall_silent("taken_over");
        (self.pending, self.open_turn) = (said, turn);
        self.hear_out();
        for act in acts {
            if let Act::Note(note) = act
                && !matches!(note, Note::TurnOpened { .. })
            {
                self.note(note);
            }
        }
        self.human = true;
        let seed = part_seed(self.stream_seed, 2);
        self.takeovers.person = Some(Person {
            by: by.clone(),
            since: now,
            from_ms: self.at_ms(),
            stream: Stream::new(StreamConfig {
                codec: Codec::Pcma,
                payload_type: PAYLOAD_TYPE,
                telephone_event: None,
                ssrc: u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]),
                first_seq: 0,
                first_timestamp: 0,
            }),
        });
        self.event(CallEvent::TakenOver { by });
    }

    /// Words of what was said before the person took over.
    pub(super) fn heard_before(&mut self, utterance: UtteranceId, heard: Heard) {
        let is_awaited = |pending: &&mut Pending| pending.utterance.id == utterance;
        if let Some(pending) = self.pending.as_mut().filter(is_awaited) {
            pending.heard = Some(heard);
            self.hear_out();
        }
    }

    /// What was found in those words stands, though the conversation does not go on by them. Without words the turn is over.
    fn hear_out(&mut self) {
        if self
            .pending
            .as_ref()
            .is_some_and(|said| said.heard.is_none())
        {
            return;
        }
        if let Some(said) = self.pending.take()
            && let Some(Heard::Words(transcript)) = said.heard
        {
            let (from_ms, to_ms) = (said.utterance.from_ms, said.utterance.to_ms);
            self.event(CallEvent::HeardWords(Phi::new(transcript.clone())));
            self.judge(&transcript, from_ms, to_ms);
            self.replied(transcript, from_ms, to_ms);
        }
        self.close_turn("taken_over".to_owned());
    }

    /// RTP of the person's microphone.
    pub(super) fn voice(&mut self, datagram: &[u8], now: Instant) {
        if let Some(person) = &mut self.takeovers.person {
            person.stream.receive(datagram, now);
        }
    }

    /// 20 ms of the person's voice, while they have the patient.
    pub(super) fn persons_voice(&mut self, now: Instant) -> Option<[i16; FRAME]> {
        let person = self.takeovers.person.as_mut()?;
        Some(person.stream.pull(now).samples)
    }

    /// Every slot: a person who is no longer there has handed back.
    pub(super) fn watch_person(&mut self, now: Instant) {
        let gone = self.takeovers.person.as_ref().is_some_and(|person| {
            let heard = person.stream.last_received().unwrap_or(person.since);
            now.since(heard) > LOST
        });
        if gone {
            self.hand_back(now);
        }
    }

    /// The robot has the patient again.
    pub(super) fn hand_back(&mut self, now: Instant) {
        if self.end_takeover(now).is_some() {
            self.forget_pending();
            self.close_turn("taken_over".to_owned());
            let acts = self.conversation.come_back();
            self.take_acts(acts);
        }
    }

    /// The call ends: in a person's hands, if one has the patient and has talked.
    pub(super) fn end_in_hands(&mut self, now: Instant) {
        if let Some(talked) = self.end_takeover(now) {
            self.takeovers.kept = talked >= TALK;
        }
    }

    /// How long the person had the patient.
    fn end_takeover(&mut self, now: Instant) -> Option<Duration> {
        let person = self.takeovers.person.take()?;
        self.takeovers.notes.push(CallNote::TakenOver {
            by: person.by,
            from_ms: person.from_ms,
            to_ms: self.at_ms(),
        });
        self.event(CallEvent::HandedBack);
        Some(now.since(person.since))
    }

    /// What a call that broke off comes to, where a person had the patient to the end: it is theirs.
    pub(super) fn in_hands(&self, disposition: Disposition) -> Disposition {
        match disposition {
            Disposition::Partial | Disposition::CutInEmergency if self.takeovers.kept => {
                Disposition::TakenOver
            }
            disposition => disposition,
        }
    }
}
