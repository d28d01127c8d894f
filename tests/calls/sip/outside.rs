//! REGISTER with its refresh, OPTIONS as a sign of life, and messages cut out of a stream.

use std::time::Duration;

use aftercall_core::sip::event::Transport;
use aftercall_core::sip::framing::{Framed, Framer};
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::message::{Message, Method, Request};
use aftercall_core::sip::outside::Peer;
use aftercall_core::sip::probe::{Health, Probe};
use aftercall_core::sip::registration::{Registration, RegistrationEvent};
use aftercall_core::time::Instant;

use super::peer::{config, response};

const START: Instant = Instant::from_millis(1_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn peer() -> Peer {
    Peer {
        uri: "sip:hospital.example".into(),
        own_uri: "sip:robot@hospital.example".into(),
        contact_uri: "sip:robot@192.0.2.1:5062".into(),
        via_host: "192.0.2.1:5062".into(),
        transport: Transport::Udp,
        address: ([192, 0, 2, 20], 5_060).into(),
        credentials: config().credentials,
        user_agent: "aftercall/0.1".into(),
    }
}

fn request(bytes: &[u8]) -> Request {
    match parse_message(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// The one REGISTER that was sent.
fn asked(registration: &mut Registration) -> Request {
    let sent = registration.poll_sent().expect("something was sent");
    assert!(registration.poll_sent().is_none(), "one at a time");
    let request = request(&sent.bytes);
    assert_eq!(request.method, Method::Register);
    request
}

fn answer(
    registration: &mut Registration,
    to: &Request,
    status: u16,
    extra: &[(&str, &str)],
    now: Instant,
) {
    registration.handle_datagram(&response(to, status, "r", "", extra), now);
}

/// Lets time pass until something is sent, at most an hour; how long it took.
fn until_sent(registration: &mut Registration, now: &mut Instant) -> (Request, Duration) {
    let begin = *now;
    loop {
        *now = registration
            .poll_timeout()
            .expect("a registration never rests");
        assert!(now.since(begin) <= HOUR);
        registration.handle_timeout(*now);
        if let Some(sent) = registration.poll_sent() {
            return (request(&sent.bytes), now.since(begin));
        }
    }
}

#[test]
fn a_registration_moves_to_where_it_is_seen() {
    let mut registration = Registration::new(peer(), HOUR, [1; 32], START);
    let first = asked(&mut registration);
    assert_eq!(registration.seen_at(), None);
    let via = first.headers.first("Via").expect("it has one");
    let seen = via.replace(";rport", ";rport=40001;received=203.0.113.7");
    let mut granted = first.clone();
    granted.headers.remove(&["Via"]);
    granted.headers.push("Via", seen);
    answer(&mut registration, &granted, 200, &[], START);
    let at = registration.seen_at().expect("it was told");
    assert_eq!(at.to_string(), "203.0.113.7:40001");
    registration.move_to(format!("sip:robot@{at}"), START);
    let moved = asked(&mut registration);
    let contacts: Vec<&str> = moved.headers.all("Contact").collect();
    assert_eq!(
        contacts,
        [
            "<sip:robot@203.0.113.7:40001>",
            "<sip:robot@192.0.2.1:5062>;expires=0"
        ]
    );
    // The same place is no move.
    answer(&mut registration, &moved, 200, &[], START);
    registration.move_to(format!("sip:robot@{at}"), START);
    assert!(registration.poll_sent().is_none());
}

#[test]
fn a_registration_is_challenged_granted_and_refreshed_at_half_its_time() {
    let mut now = START;
    let mut registration = Registration::new(peer(), HOUR, [1; 32], now);
    let first = asked(&mut registration);
    assert_eq!(first.uri, "sip:hospital.example");
    assert_eq!(
        first.headers.first("To"),
        Some("<sip:robot@hospital.example>")
    );
    assert_eq!(first.headers.first("Expires"), Some("3600"));
    let challenge = "Digest realm=\"hospital\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
    answer(
        &mut registration,
        &first,
        401,
        &[("WWW-Authenticate", challenge)],
        now,
    );
    let signed = asked(&mut registration);
    assert_eq!(signed.headers.cseq(), Some((2, Method::Register)));
    assert_eq!(signed.headers.call_id(), first.headers.call_id());
    assert_ne!(signed.headers.branch(), first.headers.branch());
    assert!(signed.headers.first("Authorization").is_some());
    // Two bindings: ours says 600 s, another's says something else.
    let contacts = "<sip:other@192.0.2.9>;expires=20, <sip:robot@192.0.2.1:5062>;expires=600";
    answer(
        &mut registration,
        &signed,
        200,
        &[("Contact", contacts)],
        now,
    );
    let expires = Duration::from_secs(600);
    assert_eq!(
        registration.poll_event(),
        Some(RegistrationEvent::Registered { expires })
    );
    let (refresh, after) = until_sent(&mut registration, &mut now);
    assert_eq!(after, expires / 2);
    assert_eq!(refresh.headers.cseq(), Some((3, Method::Register)));
    assert!(
        refresh
            .headers
            .first("Authorization")
            .is_some_and(|value| value.contains("nc=00000002")),
        "the nonce is used on until the registrar gives a new one"
    );
    // The nonce has grown old.
    let stale =
        "Digest realm=\"hospital\", nonce=\"m\", stale=true, algorithm=SHA-256, qop=\"auth\"";
    answer(
        &mut registration,
        &refresh,
        401,
        &[("WWW-Authenticate", stale)],
        now,
    );
    let again = asked(&mut registration);
    answer(&mut registration, &again, 200, &[("Expires", "600")], now);
    assert_eq!(registration.poll_event(), None, "nothing has changed");
    assert!(registration.is_registered());
}

#[test]
fn a_registrar_that_refuses_or_keeps_silent_is_asked_again_ever_later() {
    let mut now = START;
    let mut registration = Registration::new(peer(), HOUR, [1; 32], now);
    let first = asked(&mut registration);
    answer(
        &mut registration,
        &first,
        503,
        &[("Retry-After", "77")],
        now,
    );
    let (second, after) = until_sent(&mut registration, &mut now);
    assert_eq!(after, Duration::from_secs(77));
    answer(&mut registration, &second, 403, &[], now);
    assert_eq!(
        registration.poll_event(),
        Some(RegistrationEvent::Failed {
            status: Some(403),
            again_in: Duration::from_secs(30)
        })
    );
    let (third, after) = until_sent(&mut registration, &mut now);
    assert_eq!(after, Duration::from_secs(30));
    // Nobody answers: repeated for 32 s as RFC 3261 has it, then a pause.
    let mut repeated = 0;
    let (fourth, _) = loop {
        let (next, after) = until_sent(&mut registration, &mut now);
        if next != third {
            break (next, after);
        }
        repeated += 1;
    };
    assert_eq!(repeated, 10);
    assert_eq!(
        registration.poll_event(),
        Some(RegistrationEvent::Failed {
            status: None,
            again_in: Duration::from_secs(60)
        })
    );
    // 423: the interval was too brief for it.
    answer(
        &mut registration,
        &fourth,
        423,
        &[("Min-Expires", "7200")],
        now,
    );
    let longer = asked(&mut registration);
    assert_eq!(longer.headers.first("Expires"), Some("7200"));
    answer(&mut registration, &longer, 200, &[], now);
    assert!(registration.is_registered());
}

#[test]
fn a_nonce_that_was_forgotten_without_a_word_is_learnt_anew_once() {
    let mut now = START;
    let mut registration = Registration::new(peer(), HOUR, [1; 32], now);
    let challenge = |nonce| format!("Digest realm=\"h\", nonce=\"{nonce}\", qop=\"auth\"");
    let first = asked(&mut registration);
    let asks = challenge("n");
    answer(
        &mut registration,
        &first,
        401,
        &[("WWW-Authenticate", &asks)],
        now,
    );
    let signed = asked(&mut registration);
    // Its Contact was written anew on the way.
    let granted = [("Contact", "<sip:robot@203.0.113.7:40000>;expires=120")];
    answer(&mut registration, &signed, 200, &granted, now);
    let (refresh, after) = until_sent(&mut registration, &mut now);
    assert_eq!(after, Duration::from_secs(60));
    let asks = challenge("m");
    answer(
        &mut registration,
        &refresh,
        401,
        &[("WWW-Authenticate", &asks)],
        now,
    );
    let again = asked(&mut registration);
    let value = again.headers.first("Authorization").unwrap_or_default();
    assert!(value.contains("nonce=\"m\"") && value.contains("nc=00000001"));
    let asks = challenge("o");
    answer(
        &mut registration,
        &again,
        401,
        &[("WWW-Authenticate", &asks)],
        now,
    );
    assert!(
        registration.poll_sent().is_none(),
        "the password itself is wrong"
    );
}

#[test]
fn a_wrong_password_is_not_sent_twice_in_a_row() {
    let now = START;
    let mut registration = Registration::new(peer(), HOUR, [1; 32], now);
    let first = asked(&mut registration);
    let challenge = [("WWW-Authenticate", "Digest realm=\"h\", nonce=\"n\"")];
    answer(&mut registration, &first, 401, &challenge, now);
    let second = asked(&mut registration);
    answer(&mut registration, &second, 401, &challenge, now);
    assert!(registration.poll_sent().is_none());
    assert!(matches!(
        registration.poll_event(),
        Some(RegistrationEvent::Failed {
            status: Some(401),
            ..
        })
    ));
}

#[test]
fn at_the_end_the_registration_is_taken_back() {
    let now = START;
    let mut registration = Registration::new(peer(), HOUR, [1; 32], now);
    let first = asked(&mut registration);
    answer(&mut registration, &first, 200, &[], now);
    registration.leave(now);
    let last = asked(&mut registration);
    assert_eq!(last.headers.first("Expires"), Some("0"));
    registration.leave(now);
    assert!(registration.poll_sent().is_none());
    answer(&mut registration, &last, 200, &[], now);
    assert_eq!(registration.poll_event(), Some(RegistrationEvent::Left));
    assert_eq!(registration.poll_timeout(), None);
}

/// What an OPTIONS with this answer says of the target.
fn health(status: u16) -> Option<Health> {
    let mut probe = Probe::new(peer(), HOUR, Duration::from_secs(6), [1; 32], START);
    let sent = probe.poll_sent().expect("an OPTIONS");
    let options = request(&sent.bytes);
    assert_eq!(options.method, Method::Options);
    probe.handle_datagram(&response(&options, status, "t", "", &[]), START);
    probe.poll_event()
}

#[test]
fn whatever_a_target_answers_it_lives() {
    for status in [200, 403, 404, 405, 407, 481, 500, 501, 603] {
        assert_eq!(health(status), Some(Health::Alive { status }));
    }
    for status in [408, 503] {
        assert_eq!(health(status), Some(Health::Refusing { status }));
    }
    assert_eq!(health(100), None);
}

#[test]
fn a_target_that_falls_silent_and_comes_back_is_told_once_each() {
    let mut now = START;
    let pause = Duration::from_secs(30);
    let mut probe = Probe::new(peer(), pause, Duration::from_secs(6), [1; 32], now);
    let mut told = Vec::new();
    let mut questions = 0;
    for _ in 0..200 {
        let is_down = (100..300).contains(&now.since(START).as_secs());
        while let Some(sent) = probe.poll_sent() {
            questions += 1;
            if !is_down {
                probe.handle_datagram(&response(&request(&sent.bytes), 200, "t", "", &[]), now);
            }
        }
        told.extend(probe.poll_event());
        now = now.max(probe.poll_timeout().expect("a probe never rests"));
        probe.handle_timeout(now);
    }
    assert_eq!(
        told,
        [
            Health::Alive { status: 200 },
            Health::Silent,
            Health::Alive { status: 200 }
        ]
    );
    assert!(questions > 20);
}

fn cut(framer: &mut Framer) -> Vec<Framed> {
    std::iter::from_fn(|| framer.poll().expect("a stream that can be read")).collect()
}

#[test]
fn a_stream_is_cut_into_messages_wherever_its_pieces_end() {
    let one = b"OPTIONS sip:b@h SIP/2.0\r\nVia: x\r\nContent-Length: 5\r\n\r\nab\r\nc".to_vec();
    let two = b"SIP/2.0 200 OK\r\nVia: x\r\nl : 0\r\n\r\n".to_vec();
    let three = b"BYE sip:b@h SIP/2.0\nVia: x\n\n".to_vec();
    let stream: Vec<u8> = [&one[..], b"\r\n\r\n", &two[..], b"\r\n", &three[..]].concat();
    let whole = [
        Framed::Message(one),
        Framed::Ping,
        Framed::Message(two),
        Framed::Message(three),
    ];
    for size in 1..stream.len() {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        for piece in stream.chunks(size) {
            framer.push(piece);
            out.extend(cut(&mut framer));
        }
        assert_eq!(out, whole, "pieces of {size}");
    }
}

#[test]
fn a_stream_that_cannot_be_read_on_is_given_up() {
    for bad in [
        "OPTIONS sip:b@h SIP/2.0\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "OPTIONS sip:b@h SIP/2.0\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(),
        "OPTIONS sip:b@h SIP/2.0\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
        "x".repeat(70_000),
    ] {
        let mut framer = Framer::default();
        framer.push(bad.as_bytes());
        assert!(framer.poll().is_err(), "{:.60}", bad);
    }
}
