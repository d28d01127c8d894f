//! Who listens in to a call: each slot of it goes to them by a channel that never waits. One of them may take the patient
//! over.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant as StdInstant;

use aftercall_core::call::{FRAME, Input};
use aftercall_core::id::AttemptId;
use mio::Waker;
use tokio::sync::oneshot;
use tracing::debug;
use uuid::Uuid;

use super::Media;
use super::live::Live;

/// Somebody at a browser: one connection of theirs to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(pub Uuid);

impl std::fmt::Display for ListenerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a listener is told of the call.
#[derive(Debug)]
pub enum Sound {
    /// 20 ms of A-law, of this slot since the answer.
    Frame {
        to: ListenerId,
        slot: u64,
        at: StdInstant,
        payload: [u8; FRAME],
    },
    /// The call has ended.
    Over { to: ListenerId },
}

/// The way to the thread of those who listen. What does not fit is lost: a call waits for nobody.
#[derive(Clone, Debug)]
pub struct Outlet {
    pub sounds: SyncSender<Sound>,
    pub waker: Arc<Waker>,
}

impl Outlet {
    fn send(&self, sound: Sound) {
        if self.sounds.try_send(sound).is_ok()
            && let Err(error) = self.waker.wake()
        {
            debug!(%error, "who listens in is not woken");
        }
    }
}

/// Begins to listen in to a call.
pub struct Listen {
    pub attempt: AttemptId,
    pub listener: ListenerId,
    pub outlet: Outlet,
    /// Whether there is such a call, and somebody has answered.
    pub found: oneshot::Sender<bool>,
}

/// Why a patient is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This person has them.
    Held { by: String },
    /// Nobody is on the line who can be taken over: a machine answered, somebody on call has them, or the call ends.
    NotNow,
}

/// Who has the patients that people took over, by call: for who looks on.
#[derive(Debug, Default)]
pub struct Holders(Mutex<BTreeMap<AttemptId, String>>);

impl Holders {
    pub fn of(&self, attempt: &AttemptId) -> Option<String> {
        self.lock().get(attempt).cloned()
    }

    fn takes(&self, attempt: &AttemptId, by: &str) {
        self.lock().insert(attempt.clone(), by.to_owned());
    }

    fn lets_go(&self, attempt: &AttemptId) {
        self.lock().remove(attempt);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the patient over whose call this listener hears.
#[derive(Debug)]
pub struct TakeOver {
    pub listener: ListenerId,
    /// The name of an account.
    pub by: String,
    pub taken: oneshot::Sender<Result<(), Refused>>,
}

/// What who has the patient does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The robot goes on.
    HandBack,
    /// The call ends.
    HangUp,
}

impl Media {
    /// The call that a listener hears.
    fn heard_by(&mut self, listener: ListenerId) -> Option<(usize, &mut Live)> {
        let hears = |live: &Live| live.listeners.iter().any(|(id, _)| *id == listener);
        let mut calls = self.calls.iter_mut();
        let found = calls.find(|(_, live)| hears(live));
        found.map(|(number, live)| (*number, live))
    }

    pub(super) fn take_over(&mut self, asked: TakeOver) {
        let now = self.now();
        let holders = self.pulse.holders();
        let Some((number, live)) = self.heard_by(asked.listener) else {
            answer(asked.taken, Some(Refused::NotNow));
            return;
        };
        let refused = match holders.of(&live.attempt) {
            Some(by) => Some(Refused::Held { by }),
            None => (!live.call.may_be_taken_over()).then_some(Refused::NotNow),
        };
        if refused.is_none() {
            let by = asked.by;
            live.holder = Some(asked.listener);
            live.call.handle_input(Input::TakeOver { by }, now);
        }
        self.drain(number);
        answer(asked.taken, refused);
    }

    /// A packet of a microphone: heard where its owner has the patient.
    pub(super) fn voice(&mut self, listener: ListenerId, packet: &[u8]) {
        let now = self.now();
        let mut calls = self.calls.values_mut();
        if let Some(live) = calls.find(|live| live.holder == Some(listener)) {
            live.call.handle_input(Input::Voice(packet), now);
        }
    }

    /// Who has the patient lets them go.
    pub(super) fn let_go(&mut self, listener: ListenerId, how: Release) {
        let now = self.now();
        let mut calls = self.calls.iter_mut();
        let found = calls.find(|(_, live)| live.holder == Some(listener));
        let Some((number, live)) = found.map(|(number, live)| (*number, live)) else {
            return;
        };
        let input = match how {
            Release::HandBack => Input::HandBack,
            Release::HangUp => Input::HangUp,
        };
        live.call.handle_input(input, now);
        self.drain(number);
    }

    pub(super) fn listen(&mut self, listen: Listen) {
        let now = self.now();
        let mut calls = self.calls.values_mut();
        let live = calls.find(|live| live.attempt == listen.attempt && live.call.is_talking());
        if listen.found.send(live.is_some()).is_err() {
            return;
        }
        if let Some(live) = live {
            live.listeners.push((listen.listener, listen.outlet));
            live.call.handle_input(Input::Monitor { is_on: true }, now);
        }
    }

    /// Who has the patient and is gone has handed back.
    pub(super) fn unlisten(&mut self, listener: ListenerId) {
        self.let_go(listener, Release::HandBack);
        let now = self.now();
        for live in self.calls.values_mut() {
            let before = live.listeners.len();
            live.listeners.retain(|(id, _)| *id != listener);
            if live.listeners.len() < before {
                let is_on = !live.listeners.is_empty();
                live.call.handle_input(Input::Monitor { is_on }, now);
            }
        }
    }
}

impl Live {
    /// A slot to everybody who listens; who has the patient does not hear herself.
    pub(super) fn overheard(&self, slot: u64, both: &[u8; FRAME], callee: &[u8; FRAME]) {
        let at = StdInstant::now();
        for (to, outlet) in &self.listeners {
            let payload = match self.holder == Some(*to) {
                true => *callee,
                false => *both,
            };
            outlet.send(Sound::Frame {
                to: *to,
                slot,
                at,
                payload,
            });
        }
    }

    /// A person has the patient, or no longer.
    pub(super) fn held_by(&mut self, by: Option<&str>, holders: &Holders) {
        match by {
            Some(by) => holders.takes(&self.attempt, by),
            None => {
                self.holder = None;
                holders.lets_go(&self.attempt);
            }
        }
    }

    /// Nobody hears this call any more.
    pub(super) fn let_listeners_go(&mut self) {
        for (to, outlet) in std::mem::take(&mut self.listeners) {
            outlet.send(Sound::Over { to });
        }
    }
}

fn answer(taken: oneshot::Sender<Result<(), Refused>>, refused: Option<Refused>) {
    if taken.send(refused.map_or(Ok(()), Err)).is_err() {
        debug!("who took a patient over does not wait for the answer");
    }
}
