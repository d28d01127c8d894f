//! Second lines: sockets for the telephones of people on call, from the first message of a line to its last.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::call::Input;
use aftercall_core::sip::event::LegConfig;
use aftercall_core::sip::trace::Way;
use aftercall_core::time::Instant;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use tracing::{debug, info, warn};

use super::live::{Live, send};
use super::{DATAGRAM, Media, RTCP};
use crate::trunk::config::Telephone;
use crate::trunk::dtls::{Handshakes, Port};

/// A second line's sockets have its call's token, this bit, and its number in the ladder above [`LINE_SHIFT`].
pub(super) const SECOND: usize = 1 << 41;
const LINE_SHIFT: u32 = 32;
/// The ladder is no longer than this, so that a rung fits its token.
pub const LONGEST_LADDER: usize = 16;

/// Somebody on call: the ladder is tried in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnCall {
    pub to: Telephone,
    /// How long the telephone may ring before the next one is tried.
    pub ring: Duration,
}

/// The sockets of one second line.
pub(super) struct LineSockets {
    call_id: String,
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    pub(super) port: u16,
    /// Where a handshake gives the audio's keys.
    pub(super) handshakes: Option<Handshakes>,
}

/// Open second lines of a call, by their number in the ladder.
pub(super) type Lines = BTreeMap<u32, LineSockets>;

fn token(number: usize, line: u32) -> Token {
    Token(number | SECOND | (line as usize) << LINE_SHIFT)
}

impl Media {
    /// Opens a line and hands it to the call; a call that gets none tries the next.
    pub(super) fn open_line(&mut self, number: usize, line: u32) {
        let leg = self.line(number, line);
        if let Err(why) = &leg {
            warn!(line, %why, "no second line");
        }
        let now = self.now();
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        let (leg, sockets) = match leg {
            Ok((leg, sockets)) => (Some(Box::new(leg)), Some(sockets)),
            Err(_) => (None, None),
        };
        live.call.handle_input(Input::Line { line, leg }, now);
        let call_id = live.call.line_call_id(line).map(str::to_owned);
        if let (Some(call_id), Some((rtp, rtcp, port))) = (call_id, sockets) {
            info!(attempt.id = %live.attempt, line, "INVITE to a person on call");
            let sockets = LineSockets {
                call_id: call_id.clone(),
                rtp,
                rtcp,
                port,
                handshakes: None,
            };
            live.lines.insert(line, sockets);
            self.endpoint.add(&call_id);
            self.by_call_id.insert(call_id, (number, Some(line)));
            self.pulse.has_second_lines(self.second_lines());
        }
    }

    /// Telephones of people on call that ring or are talked to.
    pub(super) fn second_lines(&self) -> usize {
        self.calls.values().map(|live| live.lines.len()).sum()
    }

    fn line(
        &mut self,
        number: usize,
        line: u32,
    ) -> Result<(LegConfig, (UdpSocket, UdpSocket, u16)), String> {
        let live = self.calls.get(&number);
        let on_call = live.and_then(|live| live.on_call.get(line as usize).cloned());
        let OnCall { to, ring } = on_call.ok_or("the ladder has no such rung")?;
        let (mut rtp, mut rtcp, port) = self.open_port()?;
        let token = token(number, line);
        let registry = self.poll.registry();
        registry
            .register(&mut rtp, token, Interest::READABLE)
            .and_then(|()| registry.register(&mut rtcp, Token(token.0 | RTCP), Interest::READABLE))
            .map_err(|error| format!("RTP socket: {error}"))?;
        let mut lots = [0u8; 32];
        getrandom::fill(&mut lots).map_err(|error| format!("no randomness: {error}"))?;
        let reach = self.reach.drawn(lots);
        let credentials = self.credentials.clone();
        let leg = self.trunk.leg_beside(&to, &reach, port, credentials);
        let mut leg = leg.ok_or("its host has no address")?;
        leg.ring_timeout = ring;
        self.standing.order(&mut leg.targets);
        Ok((leg, (rtp, rtcp, port)))
    }

    pub(super) fn close_line(&mut self, number: usize, line: u32) {
        let live = self.calls.get_mut(&number);
        if let Some(sockets) = live.and_then(|live| live.lines.remove(&line)) {
            self.release(sockets);
        }
    }

    pub(super) fn close_lines(&mut self, live: &mut Live) {
        for (_, sockets) in std::mem::take(&mut live.lines) {
            self.release(sockets);
        }
    }

    fn release(&mut self, mut sockets: LineSockets) {
        for socket in [&mut sockets.rtp, &mut sockets.rtcp] {
            if let Err(error) = self.poll.registry().deregister(socket) {
                debug!(%error, "RTP socket");
            }
        }
        self.endpoint.remove(&sockets.call_id);
        self.by_call_id.remove(&sockets.call_id);
        self.resting.push((sockets.port, StdInstant::now()));
        self.pulse.has_second_lines(self.second_lines());
    }

    pub(super) fn receive_line(&mut self, token: usize) {
        let now = self.now();
        let is_report = token & RTCP != 0;
        let line = ((token & (SECOND - 1) & !RTCP) >> LINE_SHIFT) as u32;
        let number = token & ((1 << LINE_SHIFT) - 1);
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        let mut buffer = [0u8; DATAGRAM];
        while let Some(sockets) = live.lines.get_mut(&line) {
            let socket = if is_report {
                &sockets.rtcp
            } else {
                &sockets.rtp
            };
            let (datagram, from) = match socket.recv_from(&mut buffer) {
                Ok((len, from)) => (&buffer[..len], from),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    debug!(%error, "RTP receive");
                    continue;
                }
            };
            if !is_report {
                let way = way(live.at, sockets.port, (line, false), from);
                live.trace.rtp(way, datagram, now);
            }
            let port = if is_report {
                Port::Reports
            } else {
                Port::Audio
            };
            if let Some(handshakes) = &mut sockets.handshakes
                && handshakes.handle(port, datagram, from, StdInstant::now())
            {
                live.shake_hands(Some(line), now);
                continue;
            }
            let input = if is_report {
                Input::LineRtcp { line, datagram }
            } else {
                Input::LineRtp {
                    line,
                    datagram,
                    from,
                }
            };
            live.call.handle_input(input, now);
        }
        self.drain(number);
    }
}

impl Live {
    pub(super) fn send_line(&mut self, line: u32, packet: &[u8], to: SocketAddr, now: Instant) {
        if let Some(sockets) = self.lines.get(&line) {
            let way = way(self.at, sockets.port, (line, true), to);
            self.trace.rtp(way, packet, now);
            send(&sockets.rtp, packet, to);
        }
    }

    pub(super) fn send_line_report(&self, line: u32, packet: &[u8], to: SocketAddr) {
        if let Some(sockets) = self.lines.get(&line) {
            send(&sockets.rtcp, packet, to);
        }
    }
}

/// A second line's audio, for the trace: the patient's is line 0 there.
fn way(at: SocketAddr, port: u16, (line, sent): (u32, bool), theirs: SocketAddr) -> Way {
    Way {
        line: line + 1,
        sent,
        ours: SocketAddr::new(at.ip(), port),
        theirs,
    }
}
