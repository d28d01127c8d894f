//! The exchange: the SIP socket of the telephone network, its calls and their timers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant as Clock};

use aftercall_core::codec::Codec;
use aftercall_core::media_key::Guard;
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::message::{Message, Method, Request};
use aftercall_core::sip::sdp::{LocalMedia, MediaAnswer, Sdp};
use aftercall_core::time::Instant;
use serde_json::json;

use super::book::{Book, Does, Phone};
use super::journal::{CallName, Journal};
use super::media::{FromMedia, Start, ToMedia};
use super::uas::{Uas, UasEvent};

/// How often timers are looked at when nothing arrives.
const TICK: Duration = Duration::from_millis(20);

/// Everything the signalling thread holds on to.
pub struct Exchange {
    pub began: Clock,
    pub socket: UdpSocket,
    pub book: Book,
    /// Only calls to this host are taken, if given.
    pub domain: Option<String>,
    pub inbox: Receiver<FromMedia>,
    pub media: Sender<ToMedia>,
    pub journal: Journal,
    pub calls: BTreeMap<String, Call>,
    pub count: u64,
}

/// One call at the exchange.
pub struct Call {
    name: CallName,
    phone: Arc<Phone>,
    caller: SocketAddr,
    uas: Uas,
    seed: u64,
    /// When the telephone does what it does.
    due: Option<Instant>,
    /// Bound while media may flow and has not begun.
    line: Option<Prepared>,
    has_media: bool,
}

struct Prepared {
    socket: UdpSocket,
    sdp: Vec<u8>,
    answer: MediaAnswer,
}

impl Exchange {
    /// Serves until the media thread is gone.
    ///
    /// # Errors
    /// When the socket breaks.
    pub fn run(mut self) -> io::Result<()> {
        self.socket.set_read_timeout(Some(TICK))?;
        let mut buffer = vec![0_u8; 65_536];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.receive(&buffer[..length], from),
                Err(error) if is_idle(&error) => {}
                Err(error) => return Err(error),
            }
            if !self.take_orders() {
                return Ok(());
            }
            self.tend();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    fn receive(&mut self, datagram: &[u8], from: SocketAddr) {
        let now = self.now();
        match parse_message(&with_source(datagram, from)) {
            Ok(Message::Request(request)) => self.request(request, from, now),
            Ok(Message::Response(response)) => {
                if let Some(call) = self.calls.get_mut(response.headers.call_id()) {
                    call.uas.handle_response(&response, now);
                }
            }
            Err(error) => {
                let fields = json!({ "error": format!("not a SIP message: {error}") });
                self.journal.line("malformed", fields);
            }
        }
    }

    fn request(&mut self, request: Request, from: SocketAddr, now: Instant) {
        if let Some(call) = self.calls.get_mut(request.headers.call_id()) {
            call.caller = from;
            call.uas.handle_request(&request, now);
            return;
        }
        let is_new = request.headers.to_tag().is_none();
        match &request.method {
            Method::Invite if is_new => self.invite(request, from, now),
            Method::Ack => {}
            Method::Options if is_new => self.refuse(&request, 200, from),
            Method::Register => self.refuse(&request, 405, from),
            Method::Invite
            | Method::Bye
            | Method::Cancel
            | Method::Options
            | Method::Info
            | Method::Update
            | Method::Notify
            | Method::Prack
            | Method::Refer
            | Method::Message
            | Method::Subscribe
            | Method::Publish
            | Method::Other(_) => self.refuse(&request, 481, from),
        }
    }

    fn refuse(&self, request: &Request, status: u16, to: SocketAddr) {
        let tag = format!("x{status}");
        self.send(&request.respond(status, &tag).to_bytes(), to);
    }

    fn send(&self, bytes: &[u8], to: SocketAddr) {
        // Lost or refused datagrams are repeated by the transaction that needs them.
        let _lost = self.socket.send_to(bytes, to);
    }

    fn invite(&mut self, request: Request, from: SocketAddr, now: Instant) {
        let (user, host) = user_and_host(&request.uri);
        let is_ours = self.domain.as_deref().is_none_or(|domain| domain == host);
        let Some(phone) = self.book.find(user).filter(|_| is_ours) else {
            self.journal
                .line("unknown_number", json!({ "status": 404 }));
            self.refuse(&request, 404, from);
            return;
        };
        self.count += 1;
        let call_id = request.headers.call_id().to_owned();
        let seed = seed_of(&phone.name, &call_id);
        let contact = format!("sip:{user}@{}", self.local());
        let line = match self.prepare(&request.body) {
            Ok(line) => line,
            Err(why) => {
                self.journal
                    .line("refused", json!({ "status": 488, "why": why }));
                self.refuse(&request, 488, from);
                return;
            }
        };
        let mut call = Call {
            name: CallName {
                number: self.count,
                phone: phone.name.clone(),
            },
            uas: Uas::new(request, format!("p{seed:016x}"), contact),
            due: Some(now + Duration::from_millis(phone.ring_ms)),
            phone,
            caller: from,
            seed,
            line: Some(line),
            has_media: false,
        };
        match call.phone.does {
            Does::Answer { .. } | Does::RingOn | Does::Voicemail { .. } => {
                call.uas.provisional(180, None);
            }
            Does::Refuse { .. } | Does::Announce { .. } => {}
        }
        let fields = json!({ "call_id": call_id });
        self.journal
            .call(&call.name, millis(now), "invited", fields);
        self.calls.insert(call_id, call);
    }

    /// A socket for the call's audio, and our answer to the offer.
    fn prepare(&self, offer: &[u8]) -> Result<Prepared, String> {
        const OURS: [Codec; 2] = [Codec::Pcma, Codec::Pcmu];
        let offer = Sdp::parse(offer).map_err(|error| error.to_string())?;
        let answer = offer
            .negotiate(&OURS, None, Guard::Clear, None)
            .map_err(|error| error.to_string())?;
        let host = self.local().ip();
        let socket = UdpSocket::bind((host, 0)).map_err(|error| error.to_string())?;
        socket
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        let port = socket
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        let mut ours = LocalMedia::new(host, port, OURS.to_vec(), Guard::Clear, u32::from(port));
        let sdp = ours.answer(&offer, &answer);
        Ok(Prepared {
            socket,
            sdp,
            answer,
        })
    }

    fn local(&self) -> SocketAddr {
        self.socket
            .local_addr()
            .expect("the socket was bound before it was given to us")
    }

    fn take_orders(&mut self) -> bool {
        let now = self.now();
        loop {
            let (number, order) = match self.inbox.try_recv() {
                Ok(order @ (FromMedia::HangUp { call } | FromMedia::Announced { call })) => {
                    (call, order)
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            let Some(call) = self
                .calls
                .values_mut()
                .find(|call| call.name.number == number)
            else {
                continue;
            };
            match order {
                FromMedia::HangUp { .. } => {
                    let fields = json!({ "by": "phone" });
                    self.journal
                        .call(&call.name, millis(now), "hung_up", fields);
                    call.uas.hang_up(now);
                }
                FromMedia::Announced { .. } => {
                    if let Does::Announce { status, .. } = call.phone.does {
                        call.uas.refuse(status, now);
                        let fields = json!({ "status": status });
                        self.journal
                            .call(&call.name, millis(now), "refused", fields);
                    }
                }
            }
            stop_media(call, &self.media);
        }
    }

    /// Timers, answers that are due, events and datagrams of every call.
    fn tend(&mut self) {
        let now = self.now();
        let mut over = Vec::new();
        for (call_id, call) in &mut self.calls {
            call.uas.handle_timeout(now);
            if call.due.is_some_and(|due| now >= due) {
                call.due = None;
                pick_up(call, &self.journal, &self.media, now);
            }
            while let Some(event) = call.uas.poll_event() {
                match event {
                    UasEvent::Confirmed => {}
                    UasEvent::Cancelled => {
                        call.due = None;
                        self.journal
                            .call(&call.name, millis(now), "cancelled", json!({}));
                        stop_media(call, &self.media);
                    }
                    UasEvent::HungUp => {
                        let fields = json!({ "by": "robot" });
                        self.journal
                            .call(&call.name, millis(now), "hung_up", fields);
                        stop_media(call, &self.media);
                    }
                    UasEvent::Finished => over.push(call_id.clone()),
                }
            }
            while let Some(bytes) = call.uas.poll_output() {
                let _lost = self.socket.send_to(&bytes, call.caller);
            }
        }
        for call_id in over {
            self.calls.remove(&call_id);
        }
    }
}

/// The time has come: the telephone answers, refuses, announces or rings on.
fn pick_up(call: &mut Call, journal: &Journal, media: &Sender<ToMedia>, now: Instant) {
    let log = |event: &str, fields| journal.call(&call.name, millis(now), event, fields);
    let sdp = call
        .line
        .as_ref()
        .map(|line| line.sdp.clone())
        .unwrap_or_default();
    match call.phone.does {
        Does::Answer { .. } | Does::Voicemail { .. } => {
            log("answered", json!({}));
            call.uas.answer(sdp, now);
            start_media(call, media);
        }
        Does::Refuse { status } => {
            log("refused", json!({ "status": status }));
            call.uas.refuse(status, now);
        }
        Does::RingOn => {}
        Does::Announce { .. } => {
            log("announces", json!({}));
            call.uas.provisional(183, Some(sdp));
            start_media(call, media);
        }
    }
}

fn start_media(call: &mut Call, media: &Sender<ToMedia>) {
    let Some(line) = call.line.take() else {
        return;
    };
    let start = Start {
        name: call.name.clone(),
        phone: call.phone.clone(),
        socket: line.socket,
        answer: line.answer,
        seed: call.seed,
    };
    call.has_media = media.send(ToMedia::Start(Box::new(start))).is_ok();
}

fn stop_media(call: &mut Call, media: &Sender<ToMedia>) {
    call.line = None;
    if std::mem::take(&mut call.has_media) {
        // If the media thread is gone there is nothing left to stop.
        let _gone = media.send(ToMedia::Stop {
            call: call.name.number,
        });
    }
}

fn millis(now: Instant) -> f64 {
    now.as_micros() as f64 / 1_000.0
}

fn is_idle(error: &io::Error) -> bool {
    // Connection refused: an earlier datagram found nobody, which its transaction will notice.
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
    )
}

/// Writes where a request really came from into its topmost Via, which is the first to ask (RFC 3581 §4).
fn with_source(datagram: &[u8], from: SocketAddr) -> Cow<'_, [u8]> {
    const ASKED: &str = ";rport";
    let asked = std::str::from_utf8(datagram).ok().and_then(|text| {
        let (before, after) = text.split_once(ASKED)?;
        let is_open = after.starts_with([';', '\r', '\n', ',', ' ']);
        (is_open && !text.starts_with("SIP/2.0")).then_some((before, after))
    });
    match asked {
        Some((before, after)) => {
            let filled = format!(
                "{before};rport={};received={}{after}",
                from.port(),
                from.ip()
            );
            Cow::Owned(filled.into_bytes())
        }
        None => Cow::Borrowed(datagram),
    }
}

/// User and host of a SIP URI; an empty user where there is none.
fn user_and_host(uri: &str) -> (&str, &str) {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let host = host.split([';', '?', '>']).next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    (user.split(':').next().unwrap_or_default(), host)
}

/// FNV-1a of the telephone and the call: the same call, the same behaviour.
fn seed_of(phone: &str, call_id: &str) -> u64 {
    let bytes = phone.bytes().chain(call_id.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
