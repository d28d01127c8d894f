//! REGISTER and its refresh (RFC 3261 §10.2): a trunk that wants to know where we are is told again in time.

use std::net::SocketAddr;
use std::time::Duration;

use super::message::{Method, Response, address_uri, parameter};
use super::outside::{Answer, Outside, Peer, Sent};
use super::transaction::TIMEOUT;
use crate::time::Instant;

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A registration that a registrar grants for less is refreshed no faster than for this.
const LEAST_EXPIRES: Duration = Duration::from_secs(10);

/// What became of a registration; told when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationEvent {
    Registered {
        expires: Duration,
    },
    /// Tried again by itself; `status` is `None` where nobody answered.
    Failed {
        status: Option<u16>,
        again_in: Duration,
    },
    /// After [`Registration::leave`]: the registrar knows, or did not answer.
    Left,
}

/// One account's registration at one registrar.
pub struct Registration {
    outside: Outside,
    /// `sip:robot@hospital.example`: the address of record.
    record: String,
    expires: Duration,
    /// What was told last.
    told: Option<RegistrationEvent>,
    event: Option<RegistrationEvent>,
    pause: Duration,
    next: Option<Instant>,
    leaving: bool,
}

impl Registration {
    /// The first REGISTER is queued at once; `expires` is what we ask for.
    pub fn new(peer: Peer, expires: Duration, seed: [u8; 32], now: Instant) -> Registration {
        let mut registration = Registration {
            record: peer.own_uri.clone(),
            outside: Outside::new(peer, seed),
            expires,
            told: None,
            event: None,
            pause: FIRST_PAUSE,
            next: None,
            leaving: false,
        };
        registration.ask(now);
        registration
    }

    pub fn call_id(&self) -> &str {
        self.outside.call_id()
    }

    pub fn is_registered(&self) -> bool {
        matches!(self.told, Some(RegistrationEvent::Registered { .. }))
    }

    /// Where the registrar sees us; `None` until it has said so.
    pub fn seen_at(&self) -> Option<SocketAddr> {
        self.outside.seen_at()
    }

    /// From now on we are to be reached there: registers anew, and takes the old Contact back in the same breath (§10.2.2).
    pub fn move_to(&mut self, contact_uri: String, now: Instant) {
        if self.leaving || contact_uri == self.outside.peer.contact_uri {
            return;
        }
        let before = std::mem::replace(&mut self.outside.peer.contact_uri, contact_uri);
        self.next = None;
        self.ask_and(
            [("Contact", format!("<{before}>;expires=0"))].as_slice(),
            now,
        );
    }

    /// Takes the registration back, once: `Expires: 0` (§10.2.2).
    pub fn leave(&mut self, now: Instant) {
        if !self.leaving {
            self.leaving = true;
            self.next = None;
            self.expires = Duration::ZERO;
            self.ask(now);
        }
    }

    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        if let Some(answer) = self.outside.handle_datagram(datagram, now) {
            self.answered(answer, now);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(answer) = self.outside.handle_timeout(now) {
            self.answered(answer, now);
        }
        if self.next.is_some_and(|next| now >= next) {
            self.next = None;
            self.ask(now);
        }
    }

    pub fn poll_sent(&mut self) -> Option<Sent> {
        self.outside.poll_sent()
    }

    pub fn poll_event(&mut self) -> Option<RegistrationEvent> {
        self.event.take()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outside
            .poll_timeout()
            .into_iter()
            .chain(self.next)
            .min()
    }

    fn ask(&mut self, now: Instant) {
        self.ask_and(&[], now);
    }

    fn ask_and(&mut self, more: &[(&str, String)], now: Instant) {
        let expires = [("Expires", self.expires.as_secs().to_string())];
        let (record, extra) = (self.record.clone(), [more, &expires].concat());
        self.outside
            .ask(Method::Register, &record, &extra, TIMEOUT, now);
    }

    fn answered(&mut self, answer: Answer, now: Instant) {
        if self.leaving {
            self.tell(RegistrationEvent::Left);
            return;
        }
        let (status, wish) = match answer {
            Answer::Final(response) if (200..300).contains(&response.status) => {
                let expires = self.granted(&response);
                self.pause = FIRST_PAUSE;
                self.next = Some(now + expires / 2);
                self.tell(RegistrationEvent::Registered { expires });
                return;
            }
            Answer::Final(response) if response.status == 423 => {
                // Too short for the registrar (§10.2.8); with a longer one at once, unless it says so for ever.
                let least = response.headers.seconds("Min-Expires").unwrap_or_default();
                if least > self.expires {
                    self.expires = least;
                    self.ask(now);
                    return;
                }
                (Some(423), None)
            }
            Answer::Final(response) => (
                Some(response.status),
                response.headers.seconds("Retry-After"),
            ),
            Answer::Silence => (None, None),
        };
        let again_in = wish.unwrap_or(self.pause).min(LONGEST_PAUSE);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next = Some(now + again_in);
        self.tell(RegistrationEvent::Failed { status, again_in });
    }

    /// For how long: said of our Contact, of all, or taken as asked for.
    fn granted(&self, response: &Response) -> Duration {
        let ours = response
            .headers
            .all("Contact")
            .find(|contact| address_uri(contact) == self.outside.peer.contact_uri)
            .and_then(|contact| parameter(contact, "expires")?.parse().ok())
            .map(Duration::from_secs);
        // A registrar behind a NAT may write our Contact anew: then the shortest that it names is ours at the latest.
        let named = response.headers.all("Contact");
        let named = named.filter_map(|contact| parameter(contact, "expires")?.parse().ok());
        let shortest = named.min().map(Duration::from_secs);
        ours.or_else(|| response.headers.seconds("Expires"))
            .or(shortest)
            .unwrap_or(self.expires)
            .clamp(LEAST_EXPIRES, Duration::from_secs(86_400))
    }

    fn tell(&mut self, event: RegistrationEvent) {
        if self.told != Some(event) {
            self.event = Some(event);
            self.told = Some(event);
        }
    }
}
