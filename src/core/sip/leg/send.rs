//! What a leg sends of its own accord: INVITE, ACK, CANCEL, BYE.

use super::{Leg, State};
use crate::sip::dialog::{ALLOW, Dialog, MAGIC_COOKIE};
use crate::sip::event::{EndCause, LegConfig, Target, Transport};
use crate::sip::message::{Headers, Method, Request, token};
use crate::sip::sdp::Direction;
use crate::sip::transaction::{ClientInvite, ClientRequest, InvitePhase, Purpose, TIMEOUT};
use crate::time::Instant;

/// What UDP carries without fragments that somebody on the way drops (RFC 3261 §18.1.1).
const LARGEST_DATAGRAM: usize = 1_300;

impl Leg {
    /// We want out before the answer; an INVITE that nobody answered yet may not be cancelled (§9.1).
    pub(super) fn leave(&mut self, why: EndCause, now: Instant) {
        if let State::Inviting(setup) = &mut self.state {
            setup.leaving = Some(why);
        }
        for index in 0..self.invites.len() {
            self.send_cancel(index, now);
        }
    }

    /// Cancels an INVITE that was heard and not answered; all others are left as they are.
    pub(super) fn send_cancel(&mut self, index: usize, now: Instant) {
        let invite = &mut self.invites[index];
        if !matches!(invite.phase, InvitePhase::Proceeding) || invite.cancelled_until.is_some() {
            return;
        }
        invite.cancelled_until = Some(now + TIMEOUT);
        let (request, branch, to) = (invite.cancel(), invite.branch().to_owned(), invite.to);
        let transport = invite.transport;
        let cancel = ClientRequest::new(request, branch, Purpose::Cancel, to, transport, now);
        self.send_request(cancel, 0);
    }

    pub(super) fn send_bye(&mut self, mut dialog: Dialog, now: Instant) {
        let branch = self.branch();
        let request = dialog.request(Method::Bye, &branch);
        let (to, transport) = (dialog.flow(), dialog.transport());
        let purpose = Purpose::Bye(Box::new(dialog));
        let bye = ClientRequest::new(request, branch, purpose, to, transport, now);
        self.send_request(bye, 0);
    }

    /// `challenged`: how often a request for the same purpose was refused by 401 or 407.
    pub(super) fn send_request(&mut self, mut transaction: ClientRequest, challenged: usize) {
        transaction.challenged = challenged;
        self.send(transaction.bytes.clone(), transaction.to);
        self.requests.push(transaction);
    }

    pub(super) fn send_ack(&mut self, index: usize, dialog: &Dialog) {
        let branch = self.branch();
        let invite = &self.invites[index];
        let mut ack = dialog.ack(invite.cseq, &branch);
        for name in ["Authorization", "Proxy-Authorization"] {
            invite
                .request
                .headers
                .all(name)
                .for_each(|value| ack.headers.push(name, value));
        }
        let bytes = ack.to_bytes();
        let tag = dialog.remote_tag().to_owned();
        self.acks.insert(tag, (bytes.clone(), dialog.flow()));
        self.send(bytes, dialog.flow());
    }

    pub(super) fn send_invite(&mut self, cseq: u32, now: Instant) {
        let branch = self.branch();
        let config = &self.config;
        let mut headers = Headers::default();
        headers.push("Max-Forwards", "70");
        headers.push("From", self.from());
        headers.push("To", format!("<{}>", config.targets[0].request_uri));
        headers.push("Call-ID", self.call_id.as_str());
        headers.push("CSeq", format!("{cseq} INVITE"));
        headers.push("Contact", self.contact());
        headers.push("Allow", ALLOW);
        let supported = if config.reliable_provisional {
            "100rel, timer"
        } else {
            "timer"
        };
        headers.push("Supported", supported);
        self.offer_session(&mut headers);
        headers.push("User-Agent", config.user_agent.as_str());
        config
            .extra_headers
            .iter()
            .for_each(|(name, value)| headers.push(name, value.as_str()));
        headers.push("Content-Type", "application/sdp");
        let uri = self.here.request_uri.clone();
        self.media.face(self.here.address.ip());
        let body = self.media.offer(Direction::SendRecv);
        let mut request = Request {
            method: Method::Invite,
            uri,
            headers,
            body,
        };
        self.authorizer.sign(&mut request, &mut self.random);
        let Target {
            address: to,
            transport,
            ..
        } = self.here;
        let via = |transport: Transport| {
            let host = &self.config.via_host;
            format!("SIP/2.0/{} {host};rport;branch={branch}", transport.name())
        };
        request.headers.push_first("Via", via(transport));
        let is_large = request.to_bytes().len() > LARGEST_DATAGRAM;
        let by_tcp = is_large && !transport.is_stream() && self.config.large_by_tcp;
        let transport = if by_tcp && !self.tries.tcp_refused {
            request.headers.remove(&["Via"]);
            request.headers.push_first("Via", via(Transport::Tcp));
            Transport::Tcp
        } else {
            transport
        };
        let invite = ClientInvite::new(request, cseq, branch, to, transport, now);
        self.send(invite.bytes.clone(), to);
        self.invites.push(invite);
        if let State::Inviting(setup) = &mut self.state {
            setup.first_answer = now + self.config.first_answer_limit;
        }
    }

    fn from(&self) -> String {
        let LegConfig {
            from_uri,
            from_display,
            ..
        } = &self.config;
        let tag = &self.local_tag;
        match from_display {
            Some(name) => {
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{name}\" <{from_uri}>;tag={tag}")
            }
            None => format!("<{from_uri}>;tag={tag}"),
        }
    }

    pub(super) fn contact(&self) -> String {
        let parameter = self.here.transport.uri_parameter();
        format!("<{}{parameter}>", self.config.contact_uri)
    }

    pub(super) fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", token(&mut self.random, 14))
    }
}
