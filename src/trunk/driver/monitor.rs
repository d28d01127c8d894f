//! Who listens in to a call: each slot of it goes to them by a channel that never waits.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
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

impl Media {
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

    pub(super) fn unlisten(&mut self, listener: ListenerId) {
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
    /// A slot to everybody who listens.
    pub(super) fn overheard(&self, slot: u64, both: &[u8; FRAME]) {
        let at = StdInstant::now();
        for (to, outlet) in &self.listeners {
            outlet.send(Sound::Frame {
                to: *to,
                slot,
                at,
                payload: *both,
            });
        }
    }

    /// Nobody hears this call any more.
    pub(super) fn let_listeners_go(&mut self) {
        for (to, outlet) in std::mem::take(&mut self.listeners) {
            outlet.send(Sound::Over { to });
        }
    }
}
