//! Somebody at a browser who takes the patient over: what the shell tells the call of them, in virtual time.

use std::time::Duration;

use super::voice::spoken;
use crate::codec::{Codec, FRAME};
use crate::rtp::{Stream, StreamConfig};
use crate::time::Instant;

const SLOT: Duration = Duration::from_millis(20);

/// How they leave the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    HandsBack,
    HangsUp,
    /// The browser is gone without a word.
    Vanishes,
}

/// Takes over so long after a question began, and talks for a while.
#[derive(Clone, Debug)]
pub struct Takeover {
    pub node: String,
    pub after: Duration,
    pub talks: Duration,
    pub leaves: Leaves,
}

/// Where they are with it.
pub(super) struct Person {
    plan: Takeover,
    begins: Option<Instant>,
    ends: Instant,
    stream: Stream,
    voice: Vec<i16>,
    /// The next packet of the microphone.
    next: Option<Instant>,
    said: usize,
}

/// What they do now.
pub(super) enum Deed {
    TakesOver,
    Says(Vec<u8>),
    Leaves(Leaves),
}

impl Person {
    pub(super) fn new(plan: Takeover) -> Person {
        Person {
            voice: spoken(u64::try_from(plan.talks.as_millis()).unwrap_or(u64::MAX)),
            plan,
            begins: None,
            ends: Instant::ZERO,
            stream: Stream::new(StreamConfig {
                codec: Codec::Pcma,
                payload_type: 8,
                telephone_event: None,
                ssrc: 7,
                first_seq: 1,
                first_timestamp: 1,
            }),
            next: None,
            said: 0,
        }
    }

    /// A question begins.
    pub(super) fn asked(&mut self, node: &str, now: Instant) {
        if node == self.plan.node && self.begins.is_none() {
            self.begins = Some(now + self.plan.after);
            self.ends = now + self.plan.after + self.plan.talks;
            self.next = self.begins;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// What is due.
    pub(super) fn act(&mut self, now: Instant) -> Vec<Deed> {
        let mut deeds = Vec::new();
        while let Some(at) = self.next.filter(|at| *at <= now) {
            if self.begins == Some(at) {
                deeds.push(Deed::TakesOver);
            }
            if at >= self.ends {
                self.next = None;
                deeds.push(Deed::Leaves(self.plan.leaves));
                break;
            }
            let mut frame = [0; FRAME];
            let rest = self.voice.get(self.said..).unwrap_or_default();
            let length = rest.len().min(FRAME);
            frame[..length].copy_from_slice(&rest[..length]);
            self.said += FRAME;
            deeds.push(Deed::Says(self.stream.send(&frame)));
            self.next = Some(at + SLOT);
        }
        deeds
    }
}
