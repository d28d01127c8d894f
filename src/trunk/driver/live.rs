//! One call on the media thread: its sockets, its second lines, the handshake of its keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant as StdInstant;

use aftercall_core::call::{Call, Input};
use aftercall_core::finding::{Confirmation, PlacedFinding};
use aftercall_core::id::{AttemptId, UtteranceId};
use aftercall_core::sip::sdp::Dtls;
use aftercall_core::sip::trace::{Trace, Way};
use aftercall_core::time::Instant;
use mio::net::UdpSocket;
use tracing::{debug, warn};

use super::NAP;
use super::lines::{Lines, OnCall};
use super::monitor::{ListenerId, Outlet};
use crate::speech::ears::JobId;
use crate::trunk::dtls::{Handshake, Identity};
use crate::trunk::tape::Tape;

/// A frame of the recording, in milliseconds.
const FRAME_MS: u64 = 20;

/// One call on its thread.
pub(super) struct Live {
    pub(super) attempt: AttemptId,
    pub(super) call: Call,
    pub(super) socket: UdpSocket,
    pub(super) rtcp: UdpSocket,
    pub(super) port: u16,
    pub(super) on_call: Arc<[OnCall]>,
    pub(super) lines: Lines,
    /// Where a handshake gives the audio's keys.
    pub(super) handshake: Option<Handshake>,
    pub(super) jobs: BTreeMap<UtteranceId, (JobId, Arc<AtomicBool>)>,
    pub(super) trace: Trace,
    /// Where it is recorded, while it lasts.
    pub(super) tape: Option<Tape>,
    /// Who listens in.
    pub(super) listeners: Vec<(ListenerId, Outlet)>,
    /// Who of them has the patient.
    pub(super) holder: Option<ListenerId>,
    /// How many messages were told of it.
    pub(super) told: usize,
    /// Frames recorded so far: the clock of findings, in 20 ms.
    pub(super) frames: u64,
    /// When the words of findings that are not on disk yet had ended.
    pub(super) unstored: BTreeMap<u32, Instant>,
    /// Of ours, in SIP and in audio.
    pub(super) at: SocketAddr,
    pub(super) audio_at: SocketAddr,
}

impl Live {
    pub(super) fn new(
        attempt: AttemptId,
        call: Call,
        (socket, rtcp, port): (UdpSocket, UdpSocket, u16),
        on_call: Arc<[OnCall]>,
        at: SocketAddr,
    ) -> Live {
        Live {
            attempt,
            call,
            socket,
            rtcp,
            port,
            on_call,
            lines: Lines::new(),
            handshake: None,
            jobs: BTreeMap::new(),
            trace: Trace::new(Instant::ZERO),
            tape: None,
            listeners: Vec::new(),
            holder: None,
            told: 0,
            frames: 0,
            unstored: BTreeMap::new(),
            at,
            audio_at: SocketAddr::new(at.ip(), port),
        }
    }

    /// When it is to be woken: the repetitions of handshakes are looked after every turn.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let call = self.call.poll_timeout().map(|(at, _)| at);
        let second = self.lines.values().any(|line| line.handshake.is_some());
        let handshake = (second || self.handshake.is_some()).then_some(now + NAP);
        call.into_iter().chain(handshake).min()
    }

    /// A finding that raises an order as it is, told for the first time: how soon it is on disk is counted. Where nothing is
    /// recorded, nobody knows when its words ended.
    pub(super) fn found(&mut self, position: u32, placed: &PlacedFinding, now: Instant) {
        let finding = &placed.finding;
        if self.frames > 0 && finding.alerts() && finding.confirmation == Confirmation::NotNeeded {
            let since_ms = (self.frames * FRAME_MS).saturating_sub(placed.to_ms);
            let said = now.as_micros().saturating_sub(since_ms * 1_000);
            let said = Instant::from_micros(said);
            self.unstored.entry(position).or_insert(said);
        }
    }

    /// A message's way, for the trace.
    pub(super) fn by_sip(&self, sent: bool, theirs: SocketAddr) -> Way {
        Way {
            line: 0,
            sent,
            ours: self.at,
            theirs,
        }
    }

    /// An audio packet's way.
    pub(super) fn by_rtp(&self, sent: bool, theirs: SocketAddr) -> Way {
        Way {
            ours: self.audio_at,
            ..self.by_sip(sent, theirs)
        }
    }

    /// Begins a handshake on a line; `None`: the patient's.
    pub(super) fn secure(
        &mut self,
        identity: Option<&Identity>,
        line: Option<u32>,
        (to, dtls): (SocketAddr, Dtls),
        now: Instant,
    ) {
        let Some((socket, handshake)) = self.audio(line) else {
            return;
        };
        *handshake = identity.and_then(|identity| {
            let local = socket.local_addr().ok()?;
            Handshake::new(identity, dtls, (local, to), StdInstant::now()).ok()
        });
        if handshake.is_none() {
            let keys = None;
            self.call.handle_input(Input::Secured { line, keys }, now);
        }
        self.shake_hands(line, now);
    }

    pub(super) fn wake_handshakes(&mut self, now: Instant) {
        let lines: Vec<u32> = self.lines.keys().copied().collect();
        for line in std::iter::once(None).chain(lines.into_iter().map(Some)) {
            if let Some((_, Some(handshake))) = self.audio(line) {
                handshake.handle_timeout(StdInstant::now());
            }
            self.shake_hands(line, now);
        }
    }

    /// What a line's handshake wants sent, and what came of it.
    pub(super) fn shake_hands(&mut self, line: Option<u32>, now: Instant) {
        let Some((socket, Some(handshake))) = self.audio(line) else {
            return;
        };
        while let Some((packet, to)) = handshake.poll_send() {
            send(socket, &packet, to);
        }
        let Some(outcome) = handshake.poll_outcome() else {
            return;
        };
        if let Err(error) = &outcome {
            warn!(attempt.id = %self.attempt, ?line, %error, "no keys for the audio: the line ends");
        }
        let keys = outcome.ok();
        self.call.handle_input(Input::Secured { line, keys }, now);
    }

    /// A line's socket for audio, and its handshake.
    fn audio(&mut self, line: Option<u32>) -> Option<(&UdpSocket, &mut Option<Handshake>)> {
        match line {
            None => Some((&self.socket, &mut self.handshake)),
            Some(line) => {
                let line = self.lines.get_mut(&line)?;
                Some((&line.rtp, &mut line.handshake))
            }
        }
    }
}

/// Sends one datagram. A full socket buffer loses it, as the network might; the timers repeat what matters.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, to) {
        debug!(%error, "datagram not sent");
    }
}
