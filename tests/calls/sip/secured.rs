//! SDES (RFC 4568): one line offered, its tag answered; DTLS (RFC 5763): a fingerprint and who connects; and never a stream
//! in the clear where an encrypted one was wanted.

use aftercall_core::media_key::{Fingerprint, MediaKey};
use aftercall_core::sip::event::{EndCause, LegEvent, Protection};
use aftercall_core::sip::message::{Method, Request};
use aftercall_core::sip::sdp::{Dtls, MediaAnswer, Srtp};

use super::peer::{ANSWER, Line, config, peer_request};

const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

/// The peer's description, encrypted with this line.
fn secured(crypto: &str) -> String {
    ANSWER.replace("RTP/AVP", "RTP/SAVP") + crypto
}

fn line(tag: u32) -> String {
    format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n")
}

fn dialled() -> (Line, Request) {
    let mut secure = config();
    secure.srtp = Protection::Sdes;
    let mut line = Line::with(secure);
    let invite = line.request(Method::Invite);
    (line, invite)
}

fn agreed(line: &Line) -> &MediaAnswer {
    match line.events.last() {
        Some(LegEvent::Answered(answer) | LegEvent::MediaChanged(answer)) => answer,
        other => panic!("no audio: {other:?}"),
    }
}

/// The key that a description of ours names.
fn our_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("a=crypto:"))
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(text.contains("RTP/SAVP 8"), "{text}");
    lines[0].to_owned()
}

#[test]
fn the_offer_has_one_key_and_the_answer_must_take_it() {
    let (mut call, invite) = dialled();
    let ours = our_line(&invite.body);
    assert!(ours.starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"));
    call.answer(&invite, 200, "a", &secured(&line(1)));
    call.request(Method::Ack);
    let Some(Srtp { tag: 1, keys }) = agreed(&call).srtp else {
        panic!("not encrypted")
    };
    let MediaKey(theirs) = keys.theirs;
    assert!(theirs.starts_with(b"YS___semctl") && keys.ours != keys.theirs);
    assert!(
        !format!("{:?}", call.events).contains(KEY),
        "keys are never printed"
    );
}

#[test]
fn an_answer_without_our_key_ends_the_call() {
    let other = line(1).replace("AES_CM_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80");
    for answer in [
        ANSWER.to_owned(),
        secured(""),
        secured(&line(2)),
        secured(&other),
    ] {
        let (mut call, invite) = dialled();
        call.answer(&invite, 200, "a", &answer);
        let sent: Vec<Method> = call
            .requests()
            .into_iter()
            .map(|sent| sent.method)
            .collect();
        assert_eq!(sent, [Method::Ack, Method::Bye]);
        call.ended_as(EndCause::NoCommonMedia, Some(200));
    }
    // Nor is an encrypted stream taken that nobody asked for.
    let (mut call, invite) = Line::dialled();
    call.answer(&invite, 200, "a", &secured(&line(1)));
    call.requests();
    call.ended_as(EndCause::NoCommonMedia, Some(200));
}

#[test]
fn a_new_offer_is_answered_with_its_own_tag_and_the_key_that_we_have() {
    let (mut call, invite) = dialled();
    call.answer(&invite, 200, "a", &secured(&line(1)));
    call.request(Method::Ack);
    let before = agreed(&call).clone();
    let sdp = "Content-Type: application/sdp\r\n";
    let foreign = "a=crypto:3 AES_256_CM_HMAC_SHA1_80 inline:AAAA\r\n";
    let offer = secured(&(foreign.to_owned() + &line(7)));
    call.deliver(&peer_request(&invite, "a", "INVITE", 1, sdp, &offer));
    let ok = call.response();
    assert_eq!(ok.status, 200);
    let key = |line: &str| line.split("inline:").nth(1).map(str::to_owned);
    let ours = our_line(&ok.body);
    assert!(ours.starts_with("a=crypto:7 "));
    assert_eq!(key(&ours), key(&our_line(&invite.body)));
    assert_eq!(
        agreed(&call).srtp.map(|srtp| srtp.keys),
        before.srtp.map(|srtp| srtp.keys)
    );
    call.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
    // In the clear it is not gone on with.
    call.deliver(&peer_request(&invite, "a", "INVITE", 2, sdp, ANSWER));
    assert_eq!(call.response().status, 488);
    assert!(call.is_open());
}

const OURS: Fingerprint = Fingerprint([0xa5; 32]);
const THEIRS: Fingerprint = Fingerprint([0x5a; 32]);

fn dialled_by_dtls() -> (Line, Request) {
    let mut secure = config();
    secure.srtp = Protection::Dtls(OURS);
    let mut line = Line::with(secure);
    let invite = line.request(Method::Invite);
    (line, invite)
}

/// The peer's description with this `a=setup`, below the stream or above it.
fn by_dtls(protocol: &str, setup: &str) -> String {
    ANSWER.replace("RTP/AVP", protocol) + &format!("a=fingerprint:{THEIRS}\r\na=setup:{setup}\r\n")
}

fn lines_of<'a>(body: &'a [u8], start: &str) -> Vec<&'a str> {
    let text = std::str::from_utf8(body).expect("our own text");
    text.lines()
        .filter(|line| line.starts_with(start))
        .collect()
}

#[test]
fn a_handshake_is_offered_and_the_peer_says_who_begins_it() {
    let session = ANSWER.replace(
        "t=0 0\r\n",
        &format!("t=0 0\r\na=fingerprint:{THEIRS}\r\na=setup:passive\r\n"),
    );
    let session = session.replace("RTP/AVP", "UDP/TLS/RTP/SAVP");
    let two = format!(
        "a=fingerprint:sha-1 00:11\r\n{}",
        by_dtls("UDP/TLS/RTP/SAVP", "active")
    );
    let silent = by_dtls("UDP/TLS/RTP/SAVP", "active").replace("a=setup:active\r\n", "");
    for (answer, we_connect) in [
        (by_dtls("UDP/TLS/RTP/SAVP", "active"), false),
        (by_dtls("UDP/TLS/RTP/SAVP", "passive"), true),
        (by_dtls("UDP/TLS/RTP/SAVPF", "PASSIVE"), true),
        (by_dtls("RTP/SAVPF", "active"), false),
        (session, true),
        (two, false),
        (silent, false),
    ] {
        let (mut call, invite) = dialled_by_dtls();
        assert_eq!(
            lines_of(&invite.body, "m="),
            ["m=audio 20000 UDP/TLS/RTP/SAVP 8 0 101"]
        );
        assert_eq!(lines_of(&invite.body, "a=setup"), ["a=setup:actpass"]);
        assert_eq!(
            lines_of(&invite.body, "a=fingerprint"),
            [format!("a=fingerprint:{OURS}")]
        );
        call.answer(&invite, 200, "a", &answer);
        call.request(Method::Ack);
        let fingerprint = THEIRS;
        let expected = Dtls {
            fingerprint,
            we_connect,
        };
        assert_eq!(
            (agreed(&call).dtls, agreed(&call).srtp),
            (Some(expected), None),
            "{answer}"
        );
    }
}

#[test]
fn without_a_fingerprint_that_we_can_check_there_is_no_call() {
    let other = by_dtls("UDP/TLS/RTP/SAVP", "active").replace("sha-256", "sha-1");
    for answer in [ANSWER.to_owned(), other, secured(&line(1))] {
        let (mut call, invite) = dialled_by_dtls();
        call.answer(&invite, 200, "a", &answer);
        let sent = call.requests().into_iter().map(|sent| sent.method);
        assert_eq!(sent.collect::<Vec<_>>(), [Method::Ack, Method::Bye]);
        call.ended_as(EndCause::NoCommonMedia, Some(200));
    }
}

#[test]
fn a_later_offer_keeps_who_began_the_handshake() {
    for (answered, offered, ours) in [
        ("active", "actpass", "a=setup:passive"),
        ("passive", "actpass", "a=setup:active"),
        ("active", "active", "a=setup:passive"),
        ("passive", "passive", "a=setup:active"),
    ] {
        let (mut call, invite) = dialled_by_dtls();
        call.answer(&invite, 200, "a", &by_dtls("UDP/TLS/RTP/SAVP", answered));
        call.request(Method::Ack);
        let before = agreed(&call).clone();
        call.events.clear();
        let sdp = "Content-Type: application/sdp\r\n";
        let offer = by_dtls("UDP/TLS/RTP/SAVP", offered);
        call.deliver(&peer_request(&invite, "a", "INVITE", 1, sdp, &offer));
        let ok = call.response();
        assert_eq!(
            (ok.status, lines_of(&ok.body, "a=setup")),
            (200, vec![ours]),
            "{answered}"
        );
        assert_eq!(
            lines_of(&ok.body, "m=audio"),
            ["m=audio 20000 UDP/TLS/RTP/SAVP 8 101"]
        );
        assert!(
            call.events.is_empty(),
            "nothing changed but {before:?}: {:?}",
            call.events
        );
        call.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
        call.deliver(&peer_request(&invite, "a", "INVITE", 2, sdp, ANSWER));
        assert_eq!(call.response().status, 488, "not in the clear");
    }
}
