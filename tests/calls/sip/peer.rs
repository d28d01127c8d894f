//! The far end of a leg: takes its datagrams, says what the test wants, and moves virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use aftercall_core::codec::Codec;
use aftercall_core::phi::Phi;
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::{
    EndCause, FIRST_ANSWER_LIMIT, LegConfig, LegEnding, LegEvent, LegOutput, Protection, Target,
    Timer, Transport,
};
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Message, Method, Request, Response};
use aftercall_core::time::Instant;

/// A PCMA answer from 192.0.2.20:30000.
pub const ANSWER: &str = "v=0\r\no=- 7 7 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\n\
    m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

pub fn config() -> LegConfig {
    LegConfig {
        targets: vec![target(20)],
        large_by_tcp: true,
        from_uri: "sip:robot@hospital.example".into(),
        from_display: Some("Ward \"7\"".into()),
        contact_uri: "sip:192.0.2.1:5062".into(),
        via_host: "192.0.2.1:5062".into(),
        credentials: Some(Credentials {
            username: "robot".into(),
            password: Phi::new("secret".into()),
        }),
        media_host: [192, 0, 2, 1].into(),
        media_port: 20_000,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        ring_timeout: Duration::from_secs(45),
        first_answer_limit: FIRST_ANSWER_LIMIT,
        extra_headers: Vec::new(),
        user_agent: "aftercall/0.1".into(),
        reliable_provisional: true,
        session_expires: None,
        redirects: Vec::new(),
        srtp: Protection::Off,
    }
}

/// The target 192.0.2.`host`:5060.
pub fn target(host: u8) -> Target {
    Target {
        request_uri: format!("sip:+8613800138000@192.0.2.{host}:5060"),
        address: ([192, 0, 2, host], 5_060).into(),
        transport: Transport::Udp,
    }
}

pub struct Line {
    pub leg: Leg,
    pub now: Instant,
    /// What the leg sent since it was last looked at, and where the latest of it went.
    sent: Vec<Message>,
    pub sent_to: Option<SocketAddr>,
    /// Targets that other calls should rest.
    pub rests: Vec<(SocketAddr, Duration)>,
    pub events: Vec<LegEvent>,
    /// Longer messages than a datagram should have are expected.
    is_large: bool,
}

impl Line {
    pub fn new() -> Line {
        Line::with(config())
    }

    pub fn with(config: LegConfig) -> Line {
        Line::of(config, false)
    }

    /// With messages over 1,100 bytes.
    pub fn large(config: LegConfig) -> Line {
        Line::of(config, true)
    }

    fn of(config: LegConfig, is_large: bool) -> Line {
        let now = Instant::from_millis(1_000);
        Line::driving(Leg::new(config, [7; 32], now), now, is_large)
    }

    /// A leg that this INVITE rings.
    pub fn rung(invite: &[u8]) -> Line {
        let Ok(Message::Request(request)) = parse_message(invite) else {
            panic!("no INVITE");
        };
        let now = Instant::from_millis(1_000);
        let leg = Leg::rung(config(), request, target(20).address, [7; 32], now);
        // An answer is as long as the Via and the routes that it repeats.
        Line::driving(leg, now, true)
    }

    fn driving(leg: Leg, now: Instant, is_large: bool) -> Line {
        let mut line = Line {
            leg,
            now,
            sent: Vec::new(),
            sent_to: None,
            rests: Vec::new(),
            events: Vec::new(),
            is_large,
        };
        line.drain();
        line
    }

    /// A leg, and the INVITE it sent.
    pub fn dialled() -> (Line, Request) {
        let mut line = Line::new();
        let invite = line.request(Method::Invite);
        (line, invite)
    }

    /// A leg in an answered call, and its INVITE.
    pub fn answered() -> (Line, Request) {
        let (mut line, invite) = Line::dialled();
        line.answer(&invite, 180, "a", "");
        line.answer(&invite, 200, "a", ANSWER);
        line.request(Method::Ack);
        assert!(matches!(line.events.last(), Some(LegEvent::Answered(_))));
        line.events.clear();
        (line, invite)
    }

    fn drain(&mut self) {
        while let Some(output) = self.leg.poll_output() {
            match output {
                LegOutput::Event(event) => self.events.push(event),
                LegOutput::Rest { target, pause } => self.rests.push((target, pause)),
                LegOutput::Send {
                    bytes: datagram,
                    to,
                } => {
                    self.sent_to = Some(to);
                    let message = parse_message(&datagram).expect("our own messages can be read");
                    let signed = message.headers().all("Proxy-Authorization").count();
                    // Over 1,300 bytes UDP would fragment; only two authorisations at once come near.
                    assert!(
                        self.is_large || datagram.len() < 1_100 + 200 * signed,
                        "{} bytes",
                        datagram.len()
                    );
                    self.sent.push(message);
                }
            }
        }
    }

    /// The one thing that was sent: a request of this method.
    pub fn request(&mut self, method: Method) -> Request {
        let mut sent = self.requests();
        assert_eq!(sent.len(), 1, "one {method}, but: {:?}", names(&sent));
        let request = sent.remove(0);
        assert_eq!(request.method, method);
        request
    }

    /// All that was sent; every one is a request.
    pub fn requests(&mut self) -> Vec<Request> {
        let all = std::mem::take(&mut self.sent).into_iter();
        all.map(|message| match message {
            Message::Request(request) => request,
            Message::Response(response) => panic!("a {} was sent", response.status),
        })
        .collect()
    }

    /// All that was sent, of either kind.
    pub fn messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.sent)
    }

    /// The one thing that was sent: a response.
    pub fn response(&mut self) -> Response {
        let mut sent = std::mem::take(&mut self.sent);
        match (sent.pop(), sent.is_empty()) {
            (Some(Message::Response(response)), true) => response,
            (other, _) => panic!("not one response: {}", other.is_some()),
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.sent.is_empty()
    }

    pub fn answer(&mut self, request: &Request, status: u16, tag: &str, body: &str) {
        self.answer_with(request, status, tag, body, &[]);
    }

    pub fn answer_with(
        &mut self,
        request: &Request,
        status: u16,
        tag: &str,
        body: &str,
        extra: &[(&str, &str)],
    ) {
        let datagram = response(request, status, tag, body, extra);
        self.deliver(&datagram);
    }

    pub fn deliver(&mut self, datagram: &[u8]) {
        self.deliver_from(datagram, target(20).address);
    }

    pub fn deliver_from(&mut self, datagram: &[u8], from: SocketAddr) {
        self.leg.handle_datagram(datagram, from, self.now);
        self.drain();
    }

    /// A connection to `to` could not be made.
    pub fn refuse(&mut self, to: SocketAddr) {
        self.leg.handle_refused_connection(to, self.now);
        self.drain();
    }

    pub fn refer(&mut self, uri: &str) -> bool {
        let is_begun = self.leg.refer(uri, self.now);
        self.drain();
        is_begun
    }

    /// What the owner of a leg that rings decides.
    pub fn decide(&mut self, what: impl FnOnce(&mut Leg, Instant)) {
        what(&mut self.leg, self.now);
        self.drain();
    }

    pub fn hang_up(&mut self) {
        self.leg.hang_up(self.now);
        self.drain();
    }

    /// Lets time pass, waking the leg when it asks to be woken; says which timers it named.
    pub fn pass(&mut self, time: Duration) -> Vec<Timer> {
        let end = self.now + time;
        let mut named = Vec::new();
        while let Some((at, timer)) = self.leg.poll_timeout().filter(|(at, _)| *at <= end) {
            assert!(
                at > self.now || named.len() < 10_000,
                "{} is due for ever",
                timer.name()
            );
            self.now = self.now.max(at);
            self.leg.handle_timeout(self.now);
            named.push(timer);
            self.drain();
        }
        self.now = end;
        named
    }

    pub fn pass_seconds(&mut self, seconds: u64) -> Vec<Timer> {
        self.pass(Duration::from_secs(seconds))
    }

    /// The way the call ended, told once and last.
    pub fn ending(&self) -> LegEnding {
        let endings = self
            .events
            .iter()
            .filter(|event| matches!(event, LegEvent::Ended(_)))
            .count();
        match (self.events.last(), endings) {
            (Some(LegEvent::Ended(ending)), 1) => ending.clone(),
            _ => panic!("not ended once and last: {:?}", self.events),
        }
    }

    pub fn ended_as(&self, why: EndCause, status: Option<u16>) {
        let ending = self.ending();
        assert_eq!((ending.why, ending.status), (why, status));
    }

    pub fn is_open(&self) -> bool {
        !self
            .events
            .iter()
            .any(|event| matches!(event, LegEvent::Ended(_)))
    }

    /// After the last retransmission that may come nothing is left.
    pub fn comes_to_rest(&mut self) {
        self.pass_seconds(70);
        assert!(self.leg.is_finished());
        assert_eq!(self.leg.poll_timeout(), None);
    }
}

pub fn response(
    request: &Request,
    status: u16,
    tag: &str,
    body: &str,
    extra: &[(&str, &str)],
) -> Vec<u8> {
    let mut response = request.respond(status, tag);
    extra
        .iter()
        .for_each(|(name, value)| response.headers.push(name, *value));
    if status >= 180 {
        response.headers.push(
            "Contact",
            format!("<sip:callee@192.0.2.20:5060;branch={tag}>"),
        );
    }
    if !body.is_empty() {
        response.headers.push("Content-Type", "application/sdp");
    }
    response.body = body.as_bytes().to_vec();
    response.to_bytes()
}

/// A request of the peer within the dialog that `invite` and the To-tag `tag` made.
pub fn peer_request(
    invite: &Request,
    tag: &str,
    method: &str,
    cseq: u32,
    extra: &str,
    body: &str,
) -> Vec<u8> {
    let header = |name| invite.headers.first(name).unwrap_or_default().to_owned();
    format!(
        "{method} sip:192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKp{method}{cseq}\r\n\
         From: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{extra}\
         Content-Length: {}\r\n\r\n{body}",
        header("To"),
        header("From"),
        header("Call-ID"),
        body.len()
    )
    .into_bytes()
}

fn names(requests: &[Request]) -> Vec<&str> {
    requests
        .iter()
        .map(|request| request.method.name())
        .collect()
}
