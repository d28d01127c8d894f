//! Whether a target is alive: OPTIONS at even pauses (RFC 3261 §11). Whatever it answers, it lives; silence, 408 and
//! 503 mean that calls had better go elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use super::message::Method;
use super::outside::{Answer, Outside, Peer, Sent};
use crate::time::Instant;

/// A target's health; told when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Alive {
        status: u16,
    },
    Silent,
    /// 408 or 503.
    Refusing {
        status: u16,
    },
}

impl Health {
    pub fn is_alive(self) -> bool {
        matches!(self, Health::Alive { .. })
    }
}

/// Asks one target how it is.
pub struct Probe {
    outside: Outside,
    pause: Duration,
    limit: Duration,
    next: Option<Instant>,
    health: Option<Health>,
    changed: bool,
}

impl Probe {
    /// The first OPTIONS is queued at once; the next `pause` after each answer, or after `limit` without one.
    pub fn new(
        peer: Peer,
        pause: Duration,
        limit: Duration,
        seed: [u8; 32],
        now: Instant,
    ) -> Probe {
        let mut probe = Probe {
            outside: Outside::new(peer, seed),
            pause,
            limit,
            next: None,
            health: None,
            changed: false,
        };
        probe.ask(now);
        probe
    }

    pub fn call_id(&self) -> &str {
        self.outside.call_id()
    }

    /// Where the target sees us; `None` until it has said so.
    pub fn seen_at(&self) -> Option<SocketAddr> {
        self.outside.seen_at()
    }

    /// `None` until the first answer, or its time-out.
    pub fn health(&self) -> Option<Health> {
        self.health
    }

    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        if let Some(answer) = self.outside.handle_datagram(datagram, now) {
            self.answered(&answer, now);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(answer) = self.outside.handle_timeout(now) {
            self.answered(&answer, now);
        }
        if self.next.is_some_and(|next| now >= next) {
            self.ask(now);
        }
    }

    pub fn poll_sent(&mut self) -> Option<Sent> {
        self.outside.poll_sent()
    }

    /// The health, when it changed in kind.
    pub fn poll_event(&mut self) -> Option<Health> {
        self.health.filter(|_| std::mem::take(&mut self.changed))
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outside
            .poll_timeout()
            .into_iter()
            .chain(self.next)
            .min()
    }

    fn ask(&mut self, now: Instant) {
        self.next = None;
        let uri = self.outside.peer.uri.clone();
        let accept = [("Accept", "application/sdp".to_owned())];
        self.outside
            .ask(Method::Options, &uri, &accept, self.limit, now);
    }

    fn answered(&mut self, answer: &Answer, now: Instant) {
        let health = match answer {
            Answer::Silence => Health::Silent,
            Answer::Final(response) => match response.status {
                status @ (408 | 503) => Health::Refusing { status },
                status => Health::Alive { status },
            },
        };
        self.changed |= self
            .health
            .is_none_or(|known| known.is_alive() != health.is_alive());
        self.health = Some(health);
        self.next = Some(now + self.pause);
    }
}
