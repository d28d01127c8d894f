//! What a leg sends of its own accord: INVITE, ACK, CANCEL, BYE.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;

use super::{Leg, State};
use crate::sip::dialog::{ALLOW, Dialog, MAGIC_COOKIE};
use crate::sip::event::{EndCause, LegConfig, LegOutput};
use crate::sip::message::{Headers, Method, Request};
use crate::sip::sdp::Direction;
use crate::sip::transaction::{ClientInvite, ClientRequest, InvitePhase, Purpose, TIMEOUT};
use crate::time::Instant;

impl Leg {
    /// We want out before the answer; an INVITE that nobody answered yet may not be cancelled (§9.1).
    pub(super) fn leave(&mut self, why: EndCause, now: Instant) {
        if let State::Inviting(setup) = &mut self.state {
            setup.leaving = Some(why);
        }
        self.send_cancel(now);
    }

    pub(super) fn send_cancel(&mut self, now: Instant) {
        let Some(invite) = self.invites.last_mut() else {
            return;
        };
        if !matches!(invite.phase, InvitePhase::Proceeding) || invite.cancelled_until.is_some() {
            return;
        }
        invite.cancelled_until = Some(now + TIMEOUT);
        let (request, branch) = (invite.cancel(), invite.branch().to_owned());
        self.send_request(request, branch, Purpose::Cancel, 0, now);
    }

    pub(super) fn send_bye(&mut self, mut dialog: Dialog, now: Instant) {
        let branch = self.branch();
        let request = dialog.request(Method::Bye, &branch);
        self.send_request(request, branch, Purpose::Bye(Box::new(dialog)), 0, now);
    }

    pub(super) fn send_request(
        &mut self,
        request: Request,
        branch: String,
        purpose: Purpose,
        challenged: u8,
        now: Instant,
    ) {
        let mut transaction = ClientRequest::new(request, branch, purpose, now);
        transaction.challenged = challenged;
        self.outputs
            .push_back(LegOutput::Send(transaction.bytes.clone()));
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
        self.acks
            .insert(dialog.remote_tag().to_owned(), bytes.clone());
        self.outputs.push_back(LegOutput::Send(bytes));
    }

    pub(super) fn send_invite(&mut self, cseq: u32, now: Instant) {
        let branch = self.branch();
        let config = &self.config;
        let mut headers = Headers::default();
        headers.push(
            "Via",
            format!("SIP/2.0/UDP {};rport;branch={branch}", config.via_host),
        );
        headers.push("Max-Forwards", "70");
        headers.push("From", self.from());
        headers.push("To", format!("<{}>", config.request_uri));
        headers.push("Call-ID", self.call_id.as_str());
        headers.push("CSeq", format!("{cseq} INVITE"));
        headers.push("Contact", format!("<{}>", config.contact_uri));
        headers.push("Allow", ALLOW);
        headers.push("User-Agent", config.user_agent.as_str());
        config
            .extra_headers
            .iter()
            .for_each(|(name, value)| headers.push(name, value.as_str()));
        headers.push("Content-Type", "application/sdp");
        let uri = config.request_uri.clone();
        let body = self.media.offer(Direction::SendRecv);
        let mut request = Request {
            method: Method::Invite,
            uri,
            headers,
            body,
        };
        self.sign(&mut request);
        let invite = ClientInvite::new(request, cseq, branch, now);
        self.outputs
            .push_back(LegOutput::Send(invite.bytes.clone()));
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

    pub(super) fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", token(&mut self.random, 14))
    }
}

/// Letters and digits, 5 bits each.
pub(super) fn token(random: &mut ChaCha20Rng, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..length)
        .map(|_| char::from(ALPHABET[random.next_u32() as usize % ALPHABET.len()]))
        .collect()
}
