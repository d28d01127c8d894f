//! The called side of one SIP call (RFC 3261 §13.3, §17.2.1): an INVITE server transaction and its dialog.
//!
//! Sans-IO and small: what a telephone network needs to play a patient's line. 200 is repeated until its ACK,
//! refusals too; CANCEL gives 200 and 487; BYE works from both ends; a new offer within the call gets 488.

use std::collections::VecDeque;
use std::time::Duration;

use aftercall_core::sip::message::{Method, Request, Response, address_uri};
use aftercall_core::time::Instant;

/// RFC 3261 §17.1.1.1: T1, T2 and 64·T1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// What the caller did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UasEvent {
    /// Our 200 was acknowledged.
    Confirmed,
    /// The caller gave up while it rang.
    Cancelled,
    /// The caller hung up.
    HungUp,
    /// Nothing more will come: the call can be forgotten.
    Finished,
}

/// One call.
#[derive(Debug)]
pub struct Uas {
    invite: Request,
    /// Our tag, and the Contact under which we can be reached.
    tag: String,
    contact: String,
    state: State,
    last_provisional: Option<Vec<u8>>,
    next_cseq: u32,
    out: VecDeque<Vec<u8>>,
    events: VecDeque<UasEvent>,
}

#[derive(Debug)]
enum State {
    Ringing,
    /// A final response waits for its ACK.
    Sent {
        is_ok: bool,
        repeat: Repeat,
    },
    Talking,
    /// Our BYE waits for its answer.
    Leaving(Repeat),
    /// Late repetitions are still answered.
    Over {
        until: Instant,
    },
    Gone,
}

/// A message that is sent again until it is answered.
#[derive(Debug)]
struct Repeat {
    bytes: Vec<u8>,
    interval: Duration,
    next: Instant,
    give_up: Instant,
}

impl Repeat {
    fn new(bytes: Vec<u8>, now: Instant) -> Repeat {
        Repeat {
            bytes,
            interval: T1,
            next: now + T1,
            give_up: now + GIVE_UP,
        }
    }

    /// The bytes when they are due again.
    fn due(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        self.interval = (self.interval * 2).min(T2);
        self.next = now + self.interval;
        Some(self.bytes.clone())
    }
}

impl Uas {
    /// Takes an INVITE from outside a dialog, and says 100.
    pub fn new(invite: Request, tag: String, contact: String) -> Uas {
        let trying = invite.respond(100, "").to_bytes();
        Uas {
            invite,
            tag,
            contact,
            state: State::Ringing,
            last_provisional: Some(trying.clone()),
            next_cseq: 1,
            out: VecDeque::from([trying]),
            events: VecDeque::new(),
        }
    }

    /// The INVITE's body.
    pub fn offer(&self) -> &[u8] {
        &self.invite.body
    }

    /// Says 180, or 183 with early media.
    pub fn provisional(&mut self, status: u16, sdp: Option<Vec<u8>>) {
        if !matches!(self.state, State::Ringing) {
            return;
        }
        let bytes = self.response(status, sdp).to_bytes();
        self.last_provisional = Some(bytes.clone());
        self.out.push_back(bytes);
    }

    /// Picks up.
    pub fn answer(&mut self, sdp: Vec<u8>, now: Instant) {
        self.finish(200, Some(sdp), now);
    }

    /// Refuses.
    pub fn refuse(&mut self, status: u16, now: Instant) {
        self.finish(status, None, now);
    }

    fn finish(&mut self, status: u16, sdp: Option<Vec<u8>>, now: Instant) {
        if !matches!(self.state, State::Ringing) {
            return;
        }
        let bytes = self.response(status, sdp).to_bytes();
        self.out.push_back(bytes.clone());
        self.state = State::Sent {
            is_ok: status == 200,
            repeat: Repeat::new(bytes, now),
        };
    }

    /// Hangs up an answered call.
    pub fn hang_up(&mut self, now: Instant) {
        let is_up = matches!(self.state, State::Talking | State::Sent { is_ok: true, .. });
        if is_up {
            let bytes = self.bye().to_bytes();
            self.out.push_back(bytes.clone());
            self.state = State::Leaving(Repeat::new(bytes, now));
        }
    }

    /// Takes a request of this call.
    pub fn handle_request(&mut self, request: &Request, now: Instant) {
        match &request.method {
            Method::Invite if self.is_same_invite(request) => self.repeat_last(),
            Method::Invite => self.reply(request, 488),
            Method::Ack => self.acknowledged(now),
            Method::Cancel => self.cancelled(request, now),
            Method::Bye => self.caller_hung_up(request, now),
            Method::Options | Method::Info => self.reply(request, 200),
            Method::Update
            | Method::Notify
            | Method::Prack
            | Method::Refer
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Publish
            | Method::Other(_) => self.reply(request, 405),
        }
    }

    /// Takes the answer to our BYE.
    pub fn handle_response(&mut self, response: &Response, now: Instant) {
        if matches!(self.state, State::Leaving(_)) && response.status >= 200 {
            self.over(now);
        }
    }

    /// Repeats and gives up what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (repeat, is_ok) = match &mut self.state {
            State::Sent { is_ok, repeat } => (repeat, *is_ok),
            State::Leaving(repeat) => (repeat, false),
            State::Over { until } if now >= *until => {
                self.state = State::Gone;
                self.events.push_back(UasEvent::Finished);
                return;
            }
            State::Ringing | State::Talking | State::Over { .. } | State::Gone => return,
        };
        if now >= repeat.give_up {
            // RFC 3261 §13.3.1.4: a 200 without an ACK ends in BYE.
            if is_ok {
                self.events.push_back(UasEvent::HungUp);
                self.hang_up(now);
            } else {
                self.over(now);
            }
        } else if let Some(bytes) = repeat.due(now) {
            self.out.push_back(bytes);
        }
    }

    /// The next datagram to send to the caller.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<UasEvent> {
        self.events.pop_front()
    }

    fn is_same_invite(&self, request: &Request) -> bool {
        request.headers.cseq() == self.invite.headers.cseq()
            && request.headers.branch() == self.invite.headers.branch()
    }

    fn repeat_last(&mut self) {
        let bytes = match &self.state {
            State::Ringing => self.last_provisional.clone(),
            State::Sent { repeat, .. } => Some(repeat.bytes.clone()),
            State::Talking | State::Leaving(_) | State::Over { .. } | State::Gone => None,
        };
        self.out.extend(bytes);
    }

    fn acknowledged(&mut self, now: Instant) {
        match &self.state {
            State::Sent { is_ok: true, .. } => {
                self.state = State::Talking;
                self.events.push_back(UasEvent::Confirmed);
            }
            State::Sent { is_ok: false, .. } => self.over(now),
            State::Ringing
            | State::Talking
            | State::Leaving(_)
            | State::Over { .. }
            | State::Gone => {}
        }
    }

    fn cancelled(&mut self, cancel: &Request, now: Instant) {
        self.reply(cancel, 200);
        if matches!(self.state, State::Ringing) {
            self.events.push_back(UasEvent::Cancelled);
            self.finish(487, None, now);
        }
    }

    fn caller_hung_up(&mut self, bye: &Request, now: Instant) {
        match &self.state {
            State::Ringing => {
                self.reply(bye, 200);
                self.events.push_back(UasEvent::Cancelled);
                self.finish(487, None, now);
            }
            State::Sent { .. } | State::Talking => {
                self.reply(bye, 200);
                self.events.push_back(UasEvent::HungUp);
                self.over(now);
            }
            State::Leaving(_) | State::Over { .. } => self.reply(bye, 200),
            State::Gone => self.reply(bye, 481),
        }
    }

    fn over(&mut self, now: Instant) {
        self.state = State::Over {
            until: now + T2 + T1,
        };
    }

    fn reply(&mut self, request: &Request, status: u16) {
        let bytes = request.respond(status, &self.tag).to_bytes();
        self.out.push_back(bytes);
    }

    fn response(&self, status: u16, sdp: Option<Vec<u8>>) -> Response {
        let mut response = self.invite.respond(status, &self.tag);
        response
            .headers
            .push("Contact", format!("<{}>", self.contact));
        response
            .headers
            .push("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO");
        if let Some(sdp) = sdp {
            response.headers.push("Content-Type", "application/sdp");
            response.body = sdp;
        }
        response
    }

    /// RFC 3261 §12.2.1.1, from the called side: the route set is Record-Route in its order.
    fn bye(&mut self) -> Request {
        let header = |name: &str| {
            self.invite
                .headers
                .first(name)
                .unwrap_or_default()
                .to_owned()
        };
        let contact = header("Contact");
        let target = address_uri(&contact);
        let uri = if target.is_empty() {
            &self.invite.uri
        } else {
            target
        };
        let mut headers = aftercall_core::sip::message::Headers::default();
        let host = self.contact.strip_prefix("sip:").unwrap_or(&self.contact);
        let host = host.rsplit('@').next().unwrap_or(host);
        let cseq = self.next_cseq;
        headers.push(
            "Via",
            format!(
                "SIP/2.0/UDP {host};branch=z9hG4bKphone{}b{cseq};rport",
                self.tag
            ),
        );
        for route in self.invite.headers.all("Record-Route") {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", "70");
        headers.push("From", format!("{};tag={}", header("To"), self.tag));
        headers.push("To", header("From"));
        headers.push("Call-ID", self.invite.headers.call_id());
        headers.push("CSeq", format!("{cseq} BYE"));
        self.next_cseq += 1;
        Request {
            method: Method::Bye,
            uri: uri.to_owned(),
            headers,
            body: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aftercall_core::sip::front_door::parse_message;
    use aftercall_core::sip::message::Message;

    use super::*;

    fn request(method: &str, branch: &str, to_tag: &str) -> Request {
        let text = format!(
            "{method} sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{branch}\r\n\
             From: <sip:robot@127.0.0.1>;tag=r\r\nTo: <sip:1@127.0.0.1>{to_tag}\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\nContact: <sip:robot@127.0.0.1:9>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        match parse_message(text.as_bytes()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn uas() -> Uas {
        let contact = "sip:1@127.0.0.1:5080".to_owned();
        Uas::new(request("INVITE", "a", ""), "tag".to_owned(), contact)
    }

    /// First words of everything sent since the last look.
    fn sent(uas: &mut Uas) -> Vec<String> {
        let lines = std::iter::from_fn(|| uas.poll_output());
        lines
            .map(|bytes| {
                let text = String::from_utf8(bytes).expect("SIP is text");
                let line = text.lines().next().unwrap_or_default();
                line.trim_start_matches("SIP/2.0 ")
                    .chars()
                    .take(3)
                    .collect()
            })
            .collect()
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn an_answer_is_repeated_until_it_is_acknowledged_and_the_call_hung_up_by_either_end() {
        let mut uas = uas();
        uas.provisional(180, None);
        uas.answer(Vec::new(), at(0));
        for ms in (100..4_000).step_by(100) {
            uas.handle_timeout(at(ms));
        }
        assert_eq!(sent(&mut uas), ["100", "180", "200", "200", "200", "200"]);
        uas.handle_request(&request("ACK", "b", ";tag=tag"), at(4_000));
        assert_eq!(uas.poll_event(), Some(UasEvent::Confirmed));
        uas.handle_request(&request("INVITE", "c", ";tag=tag"), at(4_100));
        assert_eq!(sent(&mut uas), ["488"]);
        uas.handle_request(&request("BYE", "d", ";tag=tag"), at(5_000));
        uas.handle_request(&request("BYE", "d", ";tag=tag"), at(5_500));
        assert_eq!(sent(&mut uas), ["200", "200"]);
        assert_eq!(uas.poll_event(), Some(UasEvent::HungUp));
        assert_eq!(uas.poll_event(), None);
        uas.handle_timeout(at(60_000));
        assert_eq!(uas.poll_event(), Some(UasEvent::Finished));
    }

    #[test]
    fn a_cancelled_ring_ends_in_487() {
        let mut uas = uas();
        uas.provisional(180, None);
        uas.handle_request(&request("CANCEL", "a", ""), at(10));
        assert_eq!(sent(&mut uas), ["100", "180", "200", "487"]);
        assert_eq!(uas.poll_event(), Some(UasEvent::Cancelled));
        uas.handle_timeout(at(600));
        assert_eq!(sent(&mut uas), ["487"]);
        uas.handle_request(&request("ACK", "a", ";tag=tag"), at(700));
        uas.handle_timeout(at(60_000));
        assert_eq!(uas.poll_event(), Some(UasEvent::Finished));
    }

    #[test]
    fn our_bye_takes_the_recorded_route_and_is_repeated() {
        let mut uas = uas();
        uas.answer(Vec::new(), at(0));
        uas.handle_request(&request("ACK", "b", ";tag=tag"), at(10));
        sent(&mut uas);
        uas.hang_up(at(100));
        let bytes = uas.poll_output().expect("a BYE");
        let bye = String::from_utf8(bytes).expect("SIP is text");
        assert!(
            bye.starts_with("BYE sip:robot@127.0.0.1:9 SIP/2.0"),
            "{bye}"
        );
        let routes: Vec<&str> = bye
            .lines()
            .filter(|line| line.starts_with("Route:"))
            .collect();
        assert_eq!(routes, ["Route: <sip:p1;lr>", "Route: <sip:p2;lr>"]);
        assert!(bye.contains("To: <sip:robot@127.0.0.1>;tag=r"), "{bye}");
        uas.handle_timeout(at(700));
        assert_eq!(sent(&mut uas), ["BYE"]);
    }
}
