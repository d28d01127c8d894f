//! One call on the media thread: its sockets, its second lines, the handshake of its keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant as StdInstant};

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
use crate::trunk::dtls::{Handshakes, Identity, Port, Secured};
use crate::trunk::pulse::Delay;
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
    pub(super) handshakes: Option<Handshakes>,
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
    pub(super) unstored: BTreeMap<u32, (Delay, Instant)>,
    /// How long the recogniser took over the last words.
    pub(super) heard_in: Duration,
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
            handshakes: None,
            jobs: BTreeMap::new(),
            trace: Trace::new(Instant::ZERO),
            tape: None,
            listeners: Vec::new(),
            holder: None,
            told: 0,
            frames: 0,
            unstored: BTreeMap::new(),
            heard_in: Duration::ZERO,
            at,
            audio_at: SocketAddr::new(at.ip(), port),
        }
    }

    /// When it is to be woken: the repetitions of handshakes are looked after every turn.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let call = self.call.poll_timeout().map(|(at, _)| at);
        let second = self.lines.values().any(|line| line.handshakes.is_some());
        let handshake = (second || self.handshakes.is_some()).then_some(now + NAP);
        call.into_iter().chain(handshake).min()
    }

    /// A finding that raises an order as it is, told for the first time: how soon it is on disk is counted. Where nothing is
    /// recorded, nobody knows when its words ended.
    pub(super) fn found(&mut self, position: u32, placed: &PlacedFinding, now: Instant) {
        let finding = &placed.finding;
        if self.frames > 0 && finding.alerts() && finding.confirmation == Confirmation::NotNeeded {
            let since_ms = (self.frames * FRAME_MS).saturating_sub(placed.to_ms);
            let hearing = self.heard_in.min(Duration::from_millis(since_ms));
            let delay = Delay {
                waiting: Duration::from_millis(since_ms) - hearing,
                hearing,
                storing: Duration::ZERO,
            };
            self.unstored.entry(position).or_insert((delay, now));
        }
    }

    /// A finding is on disk; what that took, where it is counted.
    pub(super) fn stored(&mut self, position: u32, now: Instant) -> Option<Delay> {
        let (delay, judged) = self.unstored.remove(&position)?;
        let storing = now.since(judged);
        Some(Delay { storing, ..delay })
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
        (peer, dtls): ((SocketAddr, Option<SocketAddr>), Dtls),
        now: Instant,
    ) {
        let Some(ports) = self.ports(line) else {
            return;
        };
        *ports.handshakes = identity.and_then(|identity| {
            let local = ports.audio.local_addr().ok()?;
            Handshakes::new(identity, dtls, local, peer, StdInstant::now()).ok()
        });
        if ports.handshakes.is_none() {
            let keys = None;
            self.call.handle_input(Input::Secured { line, keys }, now);
        }
        self.shake_hands(line, now);
    }

    pub(super) fn wake_handshakes(&mut self, now: Instant) {
        let lines: Vec<u32> = self.lines.keys().copied().collect();
        for line in std::iter::once(None).chain(lines.into_iter().map(Some)) {
            if let Some(Ports {
                handshakes: Some(handshakes),
                ..
            }) = self.ports(line)
            {
                handshakes.handle_timeout(StdInstant::now());
            }
            self.shake_hands(line, now);
        }
    }

    /// Whether a datagram on the patient's line was its handshake's.
    pub(super) fn shakes_hands(
        &mut self,
        port: Port,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> bool {
        let known = self.handshakes.as_mut();
        let takes =
            known.is_some_and(|known| known.handle(port, datagram, from, StdInstant::now()));
        if takes {
            self.shake_hands(None, now);
        }
        takes
    }

    /// What a line's handshakes want sent, and what came of them.
    pub(super) fn shake_hands(&mut self, line: Option<u32>, now: Instant) {
        while let Some(Ports {
            audio,
            reports,
            handshakes: Some(handshakes),
        }) = self.ports(line)
        {
            while let Some((port, packet, to)) = handshakes.poll_send() {
                let socket = match port {
                    Port::Audio => audio,
                    Port::Reports => reports,
                };
                send(socket, &packet, to);
            }
            let Some(outcome) = handshakes.poll_outcome() else {
                return;
            };
            let input = match outcome {
                Secured::Audio(outcome) => {
                    if let Err(error) = &outcome {
                        warn!(attempt.id = %self.attempt, ?line, %error, "no keys for the audio: the line ends");
                    }
                    let keys = outcome.ok();
                    Input::Secured { line, keys }
                }
                Secured::Reports(keys) => Input::ReportsSecured { line, keys },
            };
            self.call.handle_input(input, now);
        }
    }

    /// What a line has of its own.
    fn ports(&mut self, line: Option<u32>) -> Option<Ports<'_>> {
        let (audio, reports, handshakes) = match line {
            None => (&self.socket, &self.rtcp, &mut self.handshakes),
            Some(line) => {
                let line = self.lines.get_mut(&line)?;
                (&line.rtp, &line.rtcp, &mut line.handshakes)
            }
        };
        Some(Ports {
            audio,
            reports,
            handshakes,
        })
    }
}

/// A line's two sockets, and their handshakes.
struct Ports<'a> {
    audio: &'a UdpSocket,
    reports: &'a UdpSocket,
    handshakes: &'a mut Option<Handshakes>,
}

/// Sends one datagram. A full socket buffer loses it, as the network might; the timers repeat what matters.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, to) {
        debug!(%error, "datagram not sent");
    }
}
