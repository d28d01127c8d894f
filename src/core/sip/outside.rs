//! Our own requests outside any call, one at a time: what [`super::registration`] and [`super::probe`] ask.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::authorize::{Authorizer, MAX_CHALLENGES};
use super::dialog::MAGIC_COOKIE;
use super::digest::Credentials;
use super::event::Transport;
use super::front_door::parse_message;
use super::message::{Headers, Message, Method, Request, Response, parameter, token};
use super::transaction::{ClientRequest, Purpose};
use crate::time::Instant;

/// Whom we ask, and who we are. No `Debug`: the URIs may hold telephone numbers.
#[derive(Clone)]
pub struct Peer {
    /// The Request-URI.
    pub uri: String,
    /// Our own URI there, as it stands in From.
    pub own_uri: String,
    pub contact_uri: String,
    /// `host:port` of our socket.
    pub via_host: String,
    pub transport: Transport,
    pub address: SocketAddr,
    pub credentials: Option<Credentials>,
    pub user_agent: String,
}

/// A message for `to`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    pub bytes: Vec<u8>,
    pub to: SocketAddr,
}

/// How a question ended.
pub(super) enum Answer {
    Final(Response),
    /// Nobody answered in time.
    Silence,
}

/// A client that asks one peer one thing at a time, and answers its challenges.
pub(super) struct Outside {
    pub(super) peer: Peer,
    random: ChaCha20Rng,
    call_id: String,
    local_tag: String,
    cseq: u32,
    authorizer: Authorizer,
    pending: Option<ClientRequest>,
    seen_at: Option<SocketAddr>,
    sent: VecDeque<Sent>,
}

impl Outside {
    pub(super) fn new(peer: Peer, seed: [u8; 32]) -> Outside {
        let mut random = ChaCha20Rng::from_seed(seed);
        Outside {
            authorizer: Authorizer::new(peer.credentials.clone()),
            peer,
            call_id: token(&mut random, 20),
            local_tag: token(&mut random, 10),
            random,
            cseq: 0,
            pending: None,
            seen_at: None,
            sent: VecDeque::new(),
        }
    }

    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Asks; an unanswered question before it is forgotten. `limit` is at most Timer F's 32 s.
    pub(super) fn ask(
        &mut self,
        method: Method,
        to_uri: &str,
        extra: &[(&str, String)],
        limit: Duration,
        now: Instant,
    ) {
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        headers.push(
            "From",
            format!("<{}>;tag={}", self.peer.own_uri, self.local_tag),
        );
        headers.push("To", format!("<{to_uri}>"));
        headers.push("Call-ID", self.call_id.as_str());
        headers.push("Contact", format!("<{}>", self.peer.contact_uri));
        headers.push("User-Agent", self.peer.user_agent.as_str());
        extra
            .iter()
            .for_each(|(name, value)| headers.push(name, value.as_str()));
        let request = Request {
            method,
            uri: self.peer.uri.clone(),
            headers,
            body: Vec::new(),
        };
        self.send(request, 0, now + limit, now);
    }

    /// `bare` has neither Via nor CSeq nor credentials: those are new each time.
    fn send(&mut self, bare: Request, challenged: usize, until: Instant, now: Instant) {
        self.cseq += 1;
        let branch = format!("{MAGIC_COOKIE}{}", token(&mut self.random, 14));
        let Peer {
            transport,
            via_host,
            address,
            ..
        } = &self.peer;
        let mut headers = Headers::default();
        let via = format!(
            "SIP/2.0/{} {via_host};rport;branch={branch}",
            transport.name()
        );
        headers.push("Via", via);
        headers.push("CSeq", format!("{} {}", self.cseq, bare.method));
        headers.extend(&bare.headers);
        let mut request = Request { headers, ..bare };
        self.authorizer.sign(&mut request, &mut self.random);
        let mut asked =
            ClientRequest::new(request, branch, Purpose::Outside, *address, *transport, now);
        asked.challenged = challenged;
        asked.until = until;
        self.sent.push_back(Sent {
            bytes: asked.bytes.clone(),
            to: asked.to,
        });
        self.pending = Some(asked);
    }

    /// Where our questions come from, as the far end sees it (RFC 3581 §4): beyond a NAT another address than our own.
    pub(super) fn seen_at(&self) -> Option<SocketAddr> {
        self.seen_at
    }

    /// The final answer to what was asked last; challenges are answered here.
    pub(super) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> Option<Answer> {
        let Ok(Message::Response(response)) = parse_message(datagram) else {
            return None;
        };
        let (_, method) = response.headers.cseq()?;
        let branch = response.headers.branch()?;
        let asked = self
            .pending
            .take_if(|asked| asked.is_answered_by(&branch, &method))?;
        self.seen_at = seen_at(&response, &self.peer.via_host).or(self.seen_at);
        if response.is_provisional() {
            let mut asked = asked;
            asked.backoff.slow_down(now);
            self.pending = Some(asked);
            return None;
        }
        let may_repeat = matches!(response.status, 401 | 407)
            && asked.challenged < MAX_CHALLENGES
            && self.authorizer.learn(&asked.request, &response);
        if !may_repeat {
            return Some(Answer::Final(response));
        }
        let mut bare = asked.request;
        bare.headers
            .remove(&["Via", "CSeq", "Authorization", "Proxy-Authorization"]);
        self.send(bare, asked.challenged + 1, asked.until, now);
        None
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Answer> {
        let asked = self.pending.as_mut()?;
        if now >= asked.until {
            self.pending = None;
            return Some(Answer::Silence);
        }
        if asked.backoff.fire(now) {
            self.sent.push_back(Sent {
                bytes: asked.bytes.clone(),
                to: asked.to,
            });
        }
        None
    }

    pub(super) fn poll_sent(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.pending.as_ref()?;
        Some(asked.backoff.due.min(asked.until))
    }
}

/// The address that a far end wrote into our Via: `received` where it is another than we named, and `rport`. A port alone
/// counts as well, for a NAT may keep the address and not the port; an address alone does not, for who speaks no RFC 3581 names no
/// port.
fn seen_at(response: &Response, via_host: &str) -> Option<SocketAddr> {
    let via = response.headers.first("Via")?;
    let port = parameter(via, "rport")?.parse().ok();
    let port = port.filter(|port: &u16| *port != 0)?;
    let ours: SocketAddr = via_host.parse().ok()?;
    let ip = match parameter(via, "received") {
        Some(text) => text.trim_matches(['[', ']']).parse().ok()?,
        None => ours.ip(),
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_end_tells_where_it_sees_us() {
        for (via, seen) in [
            (
                "10.0.0.9:5062;rport=40001;received=203.0.113.7;branch=z9hG4bKa",
                Some("203.0.113.7:40001"),
            ),
            (
                "10.0.0.9:5062;received=203.0.113.7;branch=z9hG4bKa;rport=5062",
                Some("203.0.113.7:5062"),
            ),
            (
                "10.0.0.9:5062;rport=40001;branch=z9hG4bKa",
                Some("10.0.0.9:40001"),
            ),
            (
                "10.0.0.9:5062;rport=5062;received=2001:db8::7;branch=z9hG4bKa",
                Some("[2001:db8::7]:5062"),
            ),
            (
                "10.0.0.9:5062;rport=5062;received=[2001:db8::7];branch=z9hG4bKa",
                Some("[2001:db8::7]:5062"),
            ),
            // Who does not speak RFC 3581, and nonsense.
            ("10.0.0.9:5062;rport;branch=z9hG4bKa", None),
            (
                "10.0.0.9:5062;rport;received=203.0.113.7;branch=z9hG4bKa",
                None,
            ),
            (
                "10.0.0.9:5062;rport=0;received=203.0.113.7;branch=z9hG4bKa",
                None,
            ),
            (
                "10.0.0.9:5062;rport=99999;received=203.0.113.7;branch=z9hG4bKa",
                None,
            ),
            (
                "10.0.0.9:5062;rport=5062;received=pbx.example;branch=z9hG4bKa",
                None,
            ),
        ] {
            let mut headers = Headers::default();
            headers.push("Via", format!("SIP/2.0/UDP {via}"));
            let response = Response {
                status: 200,
                headers,
                body: Vec::new(),
            };
            let seen = seen.map(|seen| seen.parse().expect("an address"));
            assert_eq!(seen_at(&response, "10.0.0.9:5062"), seen, "{via}");
        }
    }
}
