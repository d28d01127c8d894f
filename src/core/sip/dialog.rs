//! A SIP dialog (RFC 3261 §12), and the part of it that outlives a crash.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::event::Transport;
use super::message::{
    Headers, Method, Request, Response, address_uri, is_uri, parameter, place_at,
};
use super::transaction::ClientInvite;
use crate::phi::Phi;

/// The methods that a leg understands.
pub const ALLOW: &str = "INVITE,ACK,CANCEL,BYE,OPTIONS,INFO,UPDATE,PRACK,NOTIFY";

/// A branch that RFC 3261 recognises starts with this (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// A confirmed dialog that an INVITE made, ours or the peer's. Its route set is fixed when it is made (§12.1.2).
#[derive(Clone, Debug)]
pub struct Dialog {
    call_id: String,
    /// From of our requests, To-tag of the peer's: exactly as in the INVITE.
    local: String,
    /// To of our requests: the INVITE's URI and the peer's tag.
    remote: String,
    remote_tag: String,
    /// The peer's Contact.
    target: String,
    route_set: Vec<String>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// `SIP/2.0/UDP host:port`.
    via: String,
    flow: SocketAddr,
    transport: Transport,
}

impl Dialog {
    /// The dialog of a 2xx to `sent`, or of a reliable provisional answer; `via_host` is our socket.
    pub fn of_answer(sent: &ClientInvite, response: &Response, via_host: &str) -> Dialog {
        let invite = &sent.request;
        let header = |name| invite.headers.first(name).unwrap_or_default().to_owned();
        let remote_tag = response.headers.to_tag().unwrap_or_default();
        let to = header("To");
        let remote = if remote_tag.is_empty() {
            to
        } else {
            format!("{to};tag={remote_tag}")
        };
        let mut route_set: Vec<String> = response
            .headers
            .all("Record-Route")
            .map(str::to_owned)
            .collect();
        route_set.reverse();
        let contact = response
            .headers
            .first("Contact")
            .map(address_uri)
            .filter(|uri| is_uri(uri));
        Dialog {
            call_id: invite.headers.call_id().to_owned(),
            local: header("From"),
            remote,
            remote_tag,
            target: contact.unwrap_or(&invite.uri).to_owned(),
            route_set,
            local_cseq: sent.cseq,
            remote_cseq: None,
            via: format!("SIP/2.0/{} {via_host}", sent.transport.name()),
            flow: sent.to,
            transport: sent.transport,
        }
    }

    /// The dialog of an INVITE of the peer's that we answer (§12.1.1); what is ours goes back the way it came.
    pub fn of_request(
        invite: &Request,
        local_tag: &str,
        via_host: &str,
        (flow, transport): (SocketAddr, Transport),
    ) -> Dialog {
        let header = |name| invite.headers.first(name).unwrap_or_default().to_owned();
        let remote = header("From");
        let contact = invite
            .headers
            .first("Contact")
            .map(address_uri)
            .filter(|uri| is_uri(uri));
        Dialog {
            call_id: invite.headers.call_id().to_owned(),
            local: format!("{};tag={local_tag}", header("To")),
            remote_tag: invite.headers.from_tag().unwrap_or_default(),
            target: contact.unwrap_or(address_uri(&remote)).to_owned(),
            remote,
            route_set: invite
                .headers
                .all("Record-Route")
                .map(str::to_owned)
                .collect(),
            local_cseq: 0,
            remote_cseq: invite.headers.cseq().map(|(cseq, _)| cseq),
            via: format!("SIP/2.0/{} {via_host}", transport.name()),
            flow,
            transport,
        }
    }

    pub fn remote_tag(&self) -> &str {
        &self.remote_tag
    }

    /// Where our requests go: the way that made the dialog. A Contact or a Route at another address may be private, and is
    /// left to the peer that named it, as is what another transport carries; another port of the same host is where the peer
    /// listens (RFC 3261 §8.1.2).
    pub fn flow(&self) -> SocketAddr {
        if self.transport.is_stream() {
            return self.flow;
        }
        let next = self.route_set.first();
        let next = next.map_or(self.target.as_str(), |route| address_uri(route));
        let carries = parameter(next, "transport");
        let is_ours = carries.is_none_or(|name| name.eq_ignore_ascii_case(self.transport.name()));
        let there = place_at(next, self.flow.ip()).filter(|_| is_ours);
        there.unwrap_or(self.flow)
    }

    /// What carries them.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Counts on where the early dialog of the same branch stopped.
    pub fn continue_from(&mut self, early: &Dialog) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
        self.remote_cseq = self.remote_cseq.max(early.remote_cseq);
    }

    /// The peer's new Contact, from a target refresh request (§12.2.2).
    pub fn refresh_target(&mut self, headers: &Headers) {
        if let Some(uri) = headers
            .first("Contact")
            .map(address_uri)
            .filter(|uri| is_uri(uri))
        {
            self.target = uri.to_owned();
        }
    }

    /// Takes note of the peer's CSeq; false when it is not above the last one (§12.2.2).
    pub fn accept_cseq(&mut self, cseq: u32) -> bool {
        let is_new = self.remote_cseq.is_none_or(|last| cseq > last);
        if is_new {
            self.remote_cseq = Some(cseq);
        }
        is_new
    }

    /// A request of ours; its CSeq number is taken here, so that no two requests share one.
    pub fn request(&mut self, method: Method, branch: &str) -> Request {
        self.local_cseq += 1;
        self.build(method, self.local_cseq, branch)
    }

    /// The ACK of the INVITE with `cseq` (§13.2.2.4).
    pub fn ack(&self, cseq: u32, branch: &str) -> Request {
        self.build(Method::Ack, cseq, branch)
    }

    fn build(&self, method: Method, cseq: u32, branch: &str) -> Request {
        let (uri, routes) = self.routed();
        let mut headers = Headers::default();
        headers.push("Via", format!("{};rport;branch={branch}", self.via));
        headers.push("Max-Forwards", "70");
        routes
            .into_iter()
            .for_each(|route| headers.push("Route", route));
        headers.push("From", self.local.as_str());
        headers.push("To", self.remote.as_str());
        headers.push("Call-ID", self.call_id.as_str());
        headers.push("CSeq", format!("{cseq} {method}"));
        Request {
            method,
            uri,
            headers,
            body: Vec::new(),
        }
    }

    /// Request-URI and Route: a strict router at the top wants its own URI in the request line (§12.2.1.1).
    fn routed(&self) -> (String, Vec<String>) {
        let Some((first, rest)) = self.route_set.split_first() else {
            return (self.target.clone(), Vec::new());
        };
        // What cannot be a request line's URI is no strict router either.
        let router = address_uri(first);
        if parameter(router, "lr").is_some() || !is_uri(router) {
            return (self.target.clone(), self.route_set.clone());
        }
        let last = format!("<{}>", self.target);
        (
            router.to_owned(),
            rest.iter().cloned().chain([last]).collect(),
        )
    }

    /// What a BYE after a crash needs; `branch` is kept for it alone.
    pub fn snapshot(&self, branch: &str) -> DialogSnapshot {
        let mut last_words = self.clone();
        last_words.local_cseq += CSEQ_GAP;
        DialogSnapshot {
            farewell: Phi::new(last_words.request(Method::Bye, branch).to_bytes_text()),
        }
    }
}

/// A snapshot may be older than the last request before the crash; its BYE leaves room for those.
const CSEQ_GAP: u32 = 100;

/// Enough of a call and the lines beside it to end them after a crash: kept with the attempt's row. Holds telephone numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DialogSnapshot {
    farewell: Phi<String>,
}

impl DialogSnapshot {
    /// Of a call that is not answered yet: its CANCEL.
    pub fn of_cancel(cancel: &Request) -> DialogSnapshot {
        DialogSnapshot {
            farewell: Phi::new(cancel.to_bytes_text()),
        }
    }

    /// The same with another line's farewell after it.
    #[must_use]
    pub fn and(self, other: &DialogSnapshot) -> DialogSnapshot {
        let both = self.farewell.expose().clone() + other.farewell.expose();
        DialogSnapshot {
            farewell: Phi::new(both),
        }
    }

    /// The BYE or CANCEL of each line, for the trunk's targets, from the same socket address. None has a body: an empty line
    /// ends each.
    pub fn farewells(&self) -> Vec<Vec<u8>> {
        let all = self.farewell.expose().split_inclusive("\r\n\r\n");
        all.map(|one| one.as_bytes().to_vec()).collect()
    }
}
