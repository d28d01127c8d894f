//! What comes to the media thread from outside: SIP and audio.

use std::io::ErrorKind;
use std::time::Instant as StdInstant;

use aftercall_core::call::Input;
use aftercall_core::sip::endpoint::Route;
use aftercall_core::sip::outside::Sent;
use aftercall_core::time::Instant;
use mio::Token;
use tracing::{debug, info, warn};

use super::{CARE, DATAGRAM, Media};
use crate::trunk::carrier::Received;
use crate::trunk::config::Public;
use crate::trunk::dtls::Port;
use crate::trunk::names::Answers;
use crate::trunk::socket;

impl Media {
    pub(super) fn receive_sip(&mut self, token: Token) {
        for Received { datagram, from } in self.carrier.receive(token) {
            let call_id = match self.endpoint.route(&datagram, from) {
                Route::Leg(call_id) => call_id,
                Route::Reply { bytes, to } => {
                    self.carrier.send(&bytes, to);
                    continue;
                }
                Route::Invite(request) => {
                    self.rung(*request, &datagram, from);
                    continue;
                }
                Route::Drop => continue,
            };
            let now = self.now();
            let Some((number, line)) = self.by_call_id.get(&call_id).copied() else {
                self.standing.handle(&call_id, &datagram, now);
                self.be_reached_as_seen(now);
                self.send_standing();
                continue;
            };
            if self.ringing.contains_key(&number) {
                self.ringing_sip(number, &datagram, from);
                continue;
            }
            if let Some(live) = self.calls.get_mut(&number) {
                let datagram = &datagram[..];
                live.trace.sip(live.by_sip(false, from), datagram, now);
                let input = match line {
                    None => Input::Sip { datagram, from },
                    Some(line) => Input::LineSip {
                        line,
                        datagram,
                        from,
                    },
                };
                live.call.handle_input(input, now);
            }
            self.drain(number);
        }
    }

    /// Connections that could not be made: the calls that wanted them go another way.
    pub(super) fn tell_refused(&mut self) {
        while let Some(to) = self.carrier.poll_refused() {
            let now = self.now();
            let numbers: Vec<usize> = self.calls.keys().copied().collect();
            for number in numbers {
                if let Some(live) = self.calls.get_mut(&number) {
                    live.call.handle_input(Input::SipRefused { to }, now);
                }
                self.drain(number);
            }
        }
    }

    /// REGISTER and OPTIONS, and connections that fell silent.
    pub(super) fn care(&mut self) {
        while let Ok(answers) = self.answers.try_recv() {
            self.retarget(answers);
        }
        self.standing.handle_timeout(self.now());
        self.send_standing();
        let stand = self.standing.stand(&self.reach.targets);
        self.pulse.stands(stand);
        if self.cared_at.elapsed() > CARE {
            self.cared_at = StdInstant::now();
            self.carrier.keep_alive();
        }
    }

    /// Calls from now on go where the names lead now; those that are there keep the way they have.
    fn retarget(&mut self, answers: Answers) {
        let Answers {
            mut targets,
            redirects,
            elsewhere,
            ..
        } = answers;
        targets.retain(|place| self.carrier.reaches(place.transport));
        self.reach.redirects = redirects;
        let has_moved = targets != self.reach.targets || elsewhere != self.reach.elsewhere;
        if targets.is_empty() || !has_moved || self.leave_by.is_some() {
            return;
        }
        info!(targets = targets.len(), "the targets have moved");
        self.reach.targets = targets;
        self.reach.elsewhere = elsewhere;
        match socket::tls(&self.trunk, &self.reach) {
            Ok(tls) => self.carrier.trust(tls),
            Err(error) => warn!(%error, "the certificates stay as they were"),
        }
        let now = self.now();
        let known = self.credentials.as_ref();
        let endpoint = &mut self.endpoint;
        let standing = &mut self.standing;
        if let Err(error) = standing.retarget(&self.trunk, &self.reach, known, endpoint, now) {
            warn!(%error, "the new targets are not looked after");
        }
    }

    /// Beyond a NAT: calls from now on name the address that the targets see.
    fn be_reached_as_seen(&mut self, now: Instant) {
        let Some(seen) = self.standing.seen_at() else {
            return;
        };
        if self.trunk.public == Public::AsSeen && self.reach.public != Some(seen) {
            info!(at = %seen, "the trunk sees us there");
            self.reach.public = Some(seen);
            self.standing.moved(&self.trunk, &self.reach, now);
        }
    }

    pub(super) fn send_standing(&mut self) {
        while let Some(Sent { bytes, to }) = self.standing.poll_sent() {
            self.carrier.send(&bytes, to);
        }
    }

    pub(super) fn receive_rtp(&mut self, number: usize) {
        let now = self.now();
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        let mut buffer = [0u8; DATAGRAM];
        loop {
            match live.socket.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let datagram = &buffer[..len];
                    live.trace.rtp(live.by_rtp(false, from), datagram, now);
                    if !live.shakes_hands(Port::Audio, datagram, from, now) {
                        live.call.handle_input(Input::Rtp { datagram, from }, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => debug!(%error, "RTP receive"),
            }
        }
        self.drain(number);
    }

    pub(super) fn receive_rtcp(&mut self, number: usize) {
        let now = self.now();
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        let mut buffer = [0u8; DATAGRAM];
        loop {
            match live.rtcp.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let datagram = &buffer[..len];
                    if !live.shakes_hands(Port::Reports, datagram, from, now) {
                        live.call.handle_input(Input::Rtcp(datagram), now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => debug!(%error, "RTCP receive"),
            }
        }
        self.drain(number);
    }
}
