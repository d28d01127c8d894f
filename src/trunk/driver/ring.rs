//! Somebody rings us: told that we try, asked about, and answered or refused as the engine decides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use aftercall_core::call::{Call, CallKit, CallOrder};
use aftercall_core::id::AttemptId;
use aftercall_core::phi::Phi;
use aftercall_core::script::{Facts, RingBack, Script};
use aftercall_core::sip::event::LegOutput;
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Request, address_uri};
use aftercall_core::sip::trace::{Trace, Way};
use aftercall_core::time::Instant;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use tracing::{debug, info, warn};

use super::lines::{LONGEST_LADDER, OnCall};
use super::live::Live;
use super::{Media, RTCP, Told};
use crate::vault::DataKey;

/// How a call that came is answered.
pub struct Answer {
    /// By the name under which [`Told::Rings`] told of it.
    pub attempt: AttemptId,
    pub kind: RingBack,
    pub script: Arc<Script>,
    pub kit: Arc<CallKit>,
    pub facts: Facts,
    pub record: Option<DataKey>,
    pub on_call: Arc<[OnCall]>,
}

/// A call that came and was not decided on yet.
pub(super) struct Ringing {
    attempt: AttemptId,
    leg: Leg,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
    trace: Trace,
    from: SocketAddr,
}

impl Media {
    /// Calls are taken from the trunk's targets alone, while lines are free.
    pub(super) fn rung(&mut self, request: Request, datagram: &[u8], from: SocketAddr) {
        let targets = &self.reach.targets;
        let is_known = targets.iter().any(|place| place.address.ip() == from.ip());
        let taken = self.calls.len() + self.ringing.len() + self.second_lines();
        let is_full = taken >= self.trunk.lines;
        let status = match (is_known, is_full || self.leave_by.is_some()) {
            (false, _) => Some(603),
            (true, true) => Some(486),
            (true, false) => None,
        };
        if let Some(status) = status {
            info!(status, "a call is not taken");
            let (declined, to) = self.endpoint.decline(&request, status, from);
            return self.carrier.send(&declined, to);
        }
        let (declined, to) = self.endpoint.decline(&request, 503, from);
        if let Err(why) = self.begin_ringing(request, datagram, from) {
            warn!(why, "a call cannot be taken");
            self.carrier.send(&declined, to);
        }
    }

    fn begin_ringing(
        &mut self,
        request: Request,
        datagram: &[u8],
        from: SocketAddr,
    ) -> Result<(), String> {
        let (mut rtp, mut rtcp, port) = self.open_port()?;
        let number = self.next_call;
        self.next_call += 1;
        let registry = self.poll.registry();
        registry
            .register(&mut rtp, Token(number), Interest::READABLE)
            .and_then(|()| registry.register(&mut rtcp, Token(number | RTCP), Interest::READABLE))
            .map_err(|error| format!("RTP socket: {error}"))?;
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).map_err(|error| format!("no randomness: {error}"))?;
        let now = self.now();
        let callers = callers(&request);
        let config = self
            .trunk
            .leg_back(&self.reach, port, self.credentials.clone());
        let leg = Leg::rung(config, request, from, seed, now);
        let attempt = AttemptId(uuid::Uuid::now_v7().to_string());
        info!(attempt.id = %attempt, "a call came");
        let mut trace = Trace::new(now);
        trace.sip(self.way(false, from), datagram, now);
        self.endpoint.add(leg.call_id());
        self.by_call_id
            .insert(leg.call_id().to_owned(), (number, None));
        let ringing = Ringing {
            attempt: attempt.clone(),
            leg,
            rtp,
            rtcp,
            port,
            trace,
            from,
        };
        self.ringing.insert(number, ringing);
        let numbers = callers
            .iter()
            .flat_map(|user| self.trunk.heard(user))
            .collect();
        self.tell(attempt, Told::Rings(Phi::new(numbers)));
        self.drain_ringing(number);
        Ok(())
    }

    fn way(&self, sent: bool, theirs: SocketAddr) -> Way {
        Way {
            line: 0,
            sent,
            ours: self.reach.local,
            theirs,
        }
    }

    pub(super) fn ringing_sip(&mut self, number: usize, datagram: &[u8], from: SocketAddr) {
        let now = self.now();
        let way = self.way(false, from);
        if let Some(ringing) = self.ringing.get_mut(&number) {
            ringing.trace.sip(way, datagram, now);
            ringing.leg.handle_datagram(datagram, from, now);
        }
        self.drain_ringing(number);
    }

    pub(super) fn wake_ringing(&mut self, number: usize, now: Instant) {
        if let Some(ringing) = self.ringing.get_mut(&number) {
            ringing.leg.handle_timeout(now);
            self.drain_ringing(number);
        }
    }

    /// Sends what the leg has to send; forgets it when nothing more is owed.
    pub(super) fn drain_ringing(&mut self, number: usize) {
        let now = self.now();
        let Some(ringing) = self.ringing.get_mut(&number) else {
            return;
        };
        while let Some(output) = ringing.leg.poll_output() {
            if let LegOutput::Send { bytes, to } = output {
                let way = Way {
                    line: 0,
                    sent: true,
                    ours: self.reach.local,
                    theirs: to,
                };
                ringing.trace.sip(way, &bytes, now);
                self.carrier.send(&bytes, to);
            }
        }
        let next = ringing.leg.poll_timeout().map(|(at, _)| at);
        self.alarms.set(number, next);
        if ringing.leg.is_finished()
            && let Some(ringing) = self.ringing.remove(&number)
        {
            self.release_ringing(number, ringing);
        }
    }

    fn release_ringing(&mut self, number: usize, mut ringing: Ringing) {
        self.alarms.set(number, None);
        for socket in [&mut ringing.rtp, &mut ringing.rtcp] {
            if let Err(error) = self.poll.registry().deregister(socket) {
                debug!(%error, "RTP socket");
            }
        }
        self.endpoint.remove(ringing.leg.call_id());
        self.by_call_id.remove(ringing.leg.call_id());
        self.resting.push((ringing.port, StdInstant::now()));
    }

    fn ringing_of(&self, attempt: &AttemptId) -> Option<usize> {
        let mut all = self.ringing.iter();
        let found = all.find(|(_, ringing)| ringing.attempt == *attempt);
        found.map(|(number, _)| *number)
    }

    /// The engine does not take a call.
    pub(super) fn refuse(&mut self, attempt: &AttemptId, status: u16) {
        let now = self.now();
        if let Some(number) = self.ringing_of(attempt) {
            if let Some(ringing) = self.ringing.get_mut(&number) {
                ringing.leg.reject(status, now);
            }
            self.drain_ringing(number);
        }
    }

    /// Everybody who rings is turned away: the engine goes.
    pub(super) fn refuse_all(&mut self) {
        let attempts = self.ringing.values().map(|ringing| ringing.attempt.clone());
        for attempt in attempts.collect::<Vec<_>>() {
            self.refuse(&attempt, 480);
        }
    }

    /// From here on it is a call as any other. Who has hung up meanwhile is not answered.
    pub(super) fn answer(&mut self, answer: Answer) {
        let Answer {
            kit,
            attempt,
            kind,
            script,
            facts,
            record,
            on_call,
        } = answer;
        let is_there = |ringing: &Ringing| !ringing.leg.has_ended();
        let number = self.ringing_of(&attempt);
        let number = number.filter(|number| self.ringing.get(number).is_some_and(is_there));
        let Some((number, ringing)) =
            number.and_then(|number| Some((number, self.ringing.remove(&number)?)))
        else {
            return self.not_started(attempt, "the caller has hung up".to_owned());
        };
        let Ringing {
            leg,
            rtp,
            rtcp,
            port,
            trace,
            from,
            ..
        } = ringing;
        let mut seed = [0u8; 32];
        if getrandom::fill(&mut seed).is_err() {
            warn!("no randomness: the echo and the stream of this call are as the last one's");
        }
        let now = self.now();
        let tape = self.record_under(&attempt, record);
        let order = CallOrder {
            leg: self
                .trunk
                .leg_back(&self.reach, port, self.credentials.clone()),
            script,
            facts,
            record: tape.is_some(),
            leaves_message: false,
            rungs: u32::try_from(on_call.len().min(LONGEST_LADDER)).unwrap_or(0),
        };
        debug!(%from, "answering");
        let call = Call::answering(order, leg, kind, kit, seed, now);
        let live = Live::new(attempt, call, (rtp, rtcp, port), on_call, self.reach.local);
        let live = Live {
            trace,
            tape,
            ..live
        };
        self.calls.insert(number, live);
        self.drain(number);
    }
}

/// The users of P-Asserted-Identity, whom the trunk vouches for, else of From.
fn callers(request: &Request) -> Vec<String> {
    let asserted: Vec<&str> = request.headers.all("P-Asserted-Identity").collect();
    let from = request.headers.first("From");
    let named = if asserted.is_empty() {
        from.into_iter().collect()
    } else {
        asserted
    };
    let user = |value: &str| {
        let uri = address_uri(value);
        let (_, rest) = uri.split_once(':')?;
        let user = rest.split(['@', ';']).next()?;
        Some(user.replace("%2B", "+").replace("%2b", "+"))
    };
    named.into_iter().filter_map(user).collect()
}
