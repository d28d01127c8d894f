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
use super::message::{Headers, Message, Method, Request, Response, token};
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
