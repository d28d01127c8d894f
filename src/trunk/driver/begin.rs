//! A call begins: its ports, its leg, its first message.

use std::net::SocketAddr;

use aftercall_core::call::{Call, CallOrder};
use aftercall_core::id::AttemptId;
use aftercall_core::sip::trace::Trace;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use tracing::{debug, info};

use super::lines::LONGEST_LADDER;
use super::live::Live;
use super::{Media, QUARANTINE, RTCP, Report, StartCall, Told};
use crate::trunk::tape::Tape;
use crate::vault::DataKey;

impl Media {
    pub(super) fn begin(&mut self, start: StartCall) {
        let StartCall {
            kit,
            attempt,
            number: callee,
            caller,
            script,
            facts,
            record,
            leaves_message,
            on_call,
        } = start;
        if self.leave_by.is_some() {
            return self.not_started(attempt, "the engine is shutting down".to_owned());
        }
        let (mut socket, mut rtcp, port) = match self.open_port() {
            Ok(opened) => opened,
            Err(why) => return self.not_started(attempt, why),
        };
        let number = self.next_call;
        self.next_call += 1;
        let registry = self.poll.registry();
        let registered = registry
            .register(&mut socket, Token(number), Interest::READABLE)
            .and_then(|()| registry.register(&mut rtcp, Token(number | RTCP), Interest::READABLE));
        if let Err(error) = registered {
            return self.not_started(attempt, format!("RTP socket: {error}"));
        }
        let (mut seed, mut lots) = ([0u8; 32], [0u8; 32]);
        let drawn = getrandom::fill(&mut seed).and_then(|()| getrandom::fill(&mut lots));
        if let Err(error) = drawn {
            return self.not_started(attempt, format!("no randomness: {error}"));
        }
        let reach = self.reach.drawn(lots);
        let mut leg = self
            .trunk
            .leg_config(&callee, &reach, port, self.credentials.clone());
        if let Some(caller) = &caller {
            self.trunk.show(caller, &mut leg);
        }
        self.standing.order(&mut leg.targets);
        let tape = self.record_under(&attempt, record);
        let order = CallOrder {
            leg,
            script,
            facts,
            record: tape.is_some(),
            leaves_message,
            rungs: u32::try_from(on_call.len().min(LONGEST_LADDER)).unwrap_or(0),
        };
        let now = self.now();
        let call = Call::new(order, kit, seed, now);
        self.endpoint.add(call.call_id());
        self.by_call_id
            .insert(call.call_id().to_owned(), (number, None));
        info!(attempt.id = %attempt, "INVITE");
        let at = self.reach.local;
        let live = Live::new(attempt, call, (socket, rtcp, port), on_call, at);
        let trace = Trace::new(now);
        let live = Live {
            trace,
            tape,
            ..live
        };
        self.calls.insert(number, live);
        self.drain(number);
    }

    /// The recording of a call that has a key for it.
    pub(super) fn record_under(&self, attempt: &AttemptId, key: Option<DataKey>) -> Option<Tape> {
        let recorder = self.recorder.as_ref();
        recorder
            .zip(key)
            .map(|(recorder, key)| recorder.tape(attempt, key))
    }

    pub(super) fn not_started(&self, attempt: AttemptId, why: String) {
        self.tell(attempt, Told::NotStarted(why));
    }

    pub(super) fn tell(&self, attempt: AttemptId, what: Told) {
        if self.reports.send(Report { attempt, what }).is_err() {
            debug!("nobody records any more");
        }
    }

    /// An even port for RTP and the next for RTCP.
    pub(super) fn open_port(&mut self) -> Result<(UdpSocket, UdpSocket, u16), String> {
        self.resting
            .retain(|(_, since)| since.elapsed() < QUARANTINE);
        let (first, last) = (*self.trunk.rtp_ports.start(), *self.trunk.rtp_ports.end());
        let mut ports = (first..=last).filter(|port| port % 2 == 0);
        let taken = |port: &u16| {
            self.resting.iter().any(|(resting, _)| resting == port)
                || self.calls.values().any(|live| {
                    live.port == *port || live.lines.values().any(|line| line.port == *port)
                })
        };
        ports
            .by_ref()
            .filter(|port| !taken(port))
            .find_map(|port| {
                let open = |port| UdpSocket::bind(SocketAddr::new(self.trunk.bind.ip(), port)).ok();
                Some((open(port)?, open(port + 1)?, port))
            })
            .ok_or_else(|| {
                format!("no free RTP port in {first}-{last}; widen `ports` in the trunk file")
            })
    }
}
