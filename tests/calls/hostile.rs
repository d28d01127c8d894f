//! What a hostile or broken far end sends: seeded mutations of messages, session descriptions, packets and whole calls.
//! Nothing panics, every call ends, and what is encrypted is not disturbed.
//!
//! Each test is one target of `make fuzz`, which runs it again with the next `AFTERCALL_SEED` until its time is over.

use std::net::SocketAddr;
use std::time::Duration;

use aftercall_core::codec::{Codec, FRAME};
use aftercall_core::feed;
use aftercall_core::feed::mllp::{Frame, Frames, framed};
use aftercall_core::media_key::{Fingerprint, Guard, MediaKey, MediaKeys};
use aftercall_core::rtp::{Stream, StreamConfig};
use aftercall_core::sip::blank::blank;
use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::sip::event::LegEvent;
use aftercall_core::sip::framing::Framer;
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Message, Method, Request, carried_by};
use aftercall_core::sip::sdp::{LocalMedia, Sdp};
use aftercall_core::time::Instant;

use crate::fuzz::Dice;
use crate::sip::peer::{ANSWER, Line, config, peer_request, response, target};
use crate::sip::rung::request;
use crate::sip::tables::rows;
use crate::support::rounds;

/// Of this run: a number of its own for each target, from the seed that the harness counts up.
#[expect(
    clippy::disallowed_methods,
    reason = "a seed for each run of a test, which is no code of the core"
)]
fn dice(target: u64) -> Dice {
    let seed = std::env::var("AFTERCALL_SEED").map_or(0, |seed| seed.parse().unwrap_or(0));
    Dice::new(seed * 16 + target)
}

fn told(inputs: u64) {
    println!("inputs {inputs}");
}

/// A stretch bent, cut, repeated or taken from another.
fn bend(dice: &mut Dice, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    const ODD: &[u8] = b"\r\n \t:;,<>\"\\=/@%*+-0919azAZ\x00\x7f\xff\xe4";
    for _ in 0..dice.below(5) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(12)).min(bytes.len());
        match dice.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *dice.of(ODD)),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let stretch: Vec<u8> = bytes[at..end].repeat(1 + dice.below(40));
                bytes.splice(at..at, stretch);
            }
            4 => {
                let other = dice.of(others);
                let from = dice.below(other.len() + 1);
                bytes.splice(at..end, other[from..].iter().copied());
            }
            5 if at < bytes.len() => bytes[at] = *dice.of(ODD),
            6 if at < bytes.len() => bytes[at] = dice.byte(),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
}

fn written(file: &str) -> Vec<Vec<u8>> {
    rows(file).into_iter().map(|row| row.bytes).collect()
}

#[test]
fn sip_messages() {
    let mut dice = dice(1);
    let files = ["torture.txt", "strangers.txt", "front_door.txt"];
    let seeds: Vec<Vec<u8>> = files.into_iter().flat_map(written).collect();
    let mut endpoint = Endpoint::new("aftercall".into(), "ours".into());
    endpoint.add("known");
    let inputs = rounds(4_000);
    for _ in 0..inputs {
        let mut message = dice.of(&seeds).clone();
        bend(&mut dice, &mut message, &seeds);
        carried_by(&message);
        let from = ([192, 0, 2, 20], 5_060).into();
        if let Route::Reply { bytes: reply, .. } = endpoint.route(&message, from) {
            assert!(
                reply.starts_with(b"SIP/2.0 "),
                "{}",
                String::from_utf8_lossy(&reply)
            );
        }
        // What is kept of it can be read, or is a fault's name.
        if let Some(blanked) = blank(&message) {
            let is_fault = blanked.starts_with("unreadable: ");
            assert!(
                is_fault || parse_message(blanked.as_bytes()).is_ok(),
                "{blanked}"
            );
        }
        // What was read is written so that it is read again.
        match parse_message(&message) {
            Err(_) => {}
            Ok(Message::Request(request)) => drop(request.to_bytes()),
            Ok(Message::Response(response)) => drop(response.to_bytes()),
        }
        let mut framer = Framer::default();
        let mut rest = &message[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + dice.below(rest.len()));
            framer.push(now);
            rest = later;
            while matches!(framer.poll(), Ok(Some(_))) {}
        }
    }
    told(inputs);
}

#[test]
fn session_descriptions() {
    let mut dice = dice(2);
    let mut seeds = written("sdp.txt");
    let secured = ANSWER.replace("RTP/AVP", "UDP/TLS/RTP/SAVP");
    let (print, key) = (Fingerprint([0x5a; 32]), MediaKey([7; 30]));
    seeds.push(
        format!("{secured}a=fingerprint:{print}\r\na=setup:actpass\r\na=rtcp-mux\r\n").into(),
    );
    let crypto =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    seeds.push(
        format!(
            "{}{crypto}a=rtcp:30009\r\n",
            ANSWER.replace("/AVP", "/SAVP")
        )
        .into(),
    );
    for seed in &seeds {
        for length in 0..=seed.len() {
            drop(Sdp::parse(&seed[..length]));
        }
    }
    let ours = [Codec::Pcma, Codec::Pcmu, Codec::G722];
    let inputs = rounds(6_000);
    for _ in 0..inputs {
        let mut body = dice.of(&seeds).clone();
        bend(&mut dice, &mut body, &seeds);
        let Ok(offer) = Sdp::parse(&body) else {
            continue;
        };
        for guard in [Guard::Clear, Guard::Sdes(key), Guard::Dtls(print)] {
            let mut media = LocalMedia::new([192, 0, 2, 1].into(), 20_000, ours.into(), guard, 1);
            let Ok(agreed) = media.read_offer(&offer, None) else {
                continue;
            };
            assert!(agreed.remote.port() != 0);
            assert_eq!(
                guard.is_secure(),
                agreed.srtp.is_some() || agreed.dtls.is_some()
            );
            let answer = media.answer(&offer, &agreed);
            assert!(Sdp::parse(&answer).is_ok());
            let text = String::from_utf8(answer).expect("our own text");
            assert!(
                text.split_terminator("\r\n")
                    .all(|line| line.get(1..2) == Some("=")),
                "{text}"
            );
        }
    }
    told(inputs);
}

fn stream(ssrc: u32) -> Stream {
    Stream::new(StreamConfig {
        codec: Codec::Pcma,
        payload_type: 8,
        telephone_event: Some(101),
        ssrc,
        first_seq: 65_500,
        first_timestamp: u32::MAX - 4_000,
    })
}

fn keys(ours: u8, theirs: u8) -> MediaKeys {
    let key = |byte| MediaKey([byte; 30]);
    MediaKeys {
        ours: key(ours),
        theirs: key(theirs),
    }
}

/// In the clear everything may come; encrypted, what was not sealed with the key changes nothing.
#[test]
fn rtp_and_rtcp() {
    let mut dice = dice(3);
    let places: [SocketAddr; 3] = [20, 21, 22].map(|host| ([192, 0, 2, host], 30_000).into());
    let calls = rounds(8);
    let mut inputs = 0;
    for call in 0..calls {
        let is_secure = call % 2 == 0;
        let (mut we, mut they) = (stream(1), stream(2));
        if is_secure {
            we.set_keys(Some(keys(1, 2)));
            they.set_keys(Some(keys(2, 1)));
        }
        we.aim(places[0]);
        let (mut sent, mut genuine) = (Vec::new(), 0);
        for slot in 0..300_u64 {
            let now = Instant::from_millis(1_000 + slot * 20);
            if slot % 100 == 50 {
                they.press('5');
            }
            let packet = they.send(&[(slot * 97 % 4_000) as i16; FRAME]);
            sent.push(packet.clone());
            sent.extend(they.report(now));
            for _ in 0..dice.below(6) {
                let mut hostile = dice.of(&sent).clone();
                bend(&mut dice, &mut hostile, &sent);
                inputs += 1;
                if is_secure && sent.contains(&hostile) {
                    continue;
                }
                let from = *dice.of(&places);
                if dice.below(4) == 0 {
                    we.receive_report(&hostile, now);
                } else {
                    we.receive_from(&hostile, from, now);
                }
            }
            we.receive_from(&packet, places[0], now);
            genuine += 1;
            if is_secure {
                assert_eq!(we.stats().received, genuine, "slot {slot}");
            }
            we.pull(now);
            while we.poll_key().is_some() {}
            drop((we.send(&[0; FRAME]), we.report(now), we.stats()));
        }
        for packet in &sent {
            for length in 0..packet.len() {
                let now = Instant::from_millis(8_000);
                we.receive_from(&packet[..length], places[0], now);
                we.receive_report(&packet[..length], now);
            }
        }
    }
    told(inputs);
}

/// What a peer may say to this INVITE, and within the dialog that it makes.
fn said(dice: &mut Dice, invite: &Request) -> Vec<u8> {
    let cseq = u32::try_from(dice.below(6)).expect("it is small");
    let tag = *dice.of(&["a", "b", ""]);
    let challenge = (
        "WWW-Authenticate",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
    );
    let sdp = "Content-Type: application/sdp\r\nSession-Expires: 90;refresher=uas\r\nSupported: timer\r\n";
    let keys = "Content-Type: application/dtmf-relay\r\n";
    match dice.below(16) {
        0 => response(invite, 100, "", "", &[]),
        1 => response(invite, 180, tag, "", &[]),
        2 => response(
            invite,
            183,
            tag,
            ANSWER,
            &[("Require", "100rel"), ("RSeq", "1")],
        ),
        3 => response(invite, 401, tag, "", &[challenge]),
        4 => response(invite, 422, tag, "", &[("Min-SE", "300")]),
        5 => response(
            invite,
            302,
            tag,
            "",
            &[("Contact", "<sip:1@gw.example>;q=0.5")],
        ),
        6 => response(invite, 503, tag, "", &[("Retry-After", "5")]),
        7 => response(invite, 487, tag, "", &[]),
        8 | 9 => {
            let route = ("Record-Route", "<sip:a;lr>,<sip:b>");
            let session = ("Session-Expires", "90;refresher=uac");
            response(invite, 200, tag, ANSWER, &[route, session])
        }
        10 => peer_request(
            invite,
            tag,
            "INVITE",
            cseq,
            sdp,
            &format!("{ANSWER}a=sendonly\r\n"),
        ),
        11 => peer_request(invite, tag, "UPDATE", cseq, sdp, ANSWER),
        12 => peer_request(
            invite,
            tag,
            "INFO",
            cseq,
            keys,
            "Signal=5\r\nDuration=160\r\n",
        ),
        13 => peer_request(invite, tag, "ACK", cseq, "", ""),
        14 => peer_request(
            invite,
            tag,
            "NOTIFY",
            cseq,
            "Event: refer\r\n",
            "SIP/2.0 200 OK\r\n",
        ),
        _ => peer_request(invite, tag, "BYE", cseq, "Reason: Q.850;cause=16\r\n", ""),
    }
}

/// Whatever the peer says, in whatever order: after our hanging up the call comes to its end, and is told once.
#[test]
fn legs() {
    let mut dice = dice(4);
    let calls = rounds(250);
    let mut inputs = 0;
    for _ in 0..calls {
        let mut line = Line::large(config());
        let mut invites = vec![line.request(Method::Invite)];
        for _ in 0..dice.below(25) {
            let invite = dice.of(&invites).clone();
            let mut datagram = said(&mut dice, &invite);
            if dice.below(3) == 0 {
                let other = said(&mut dice, &invite);
                bend(&mut dice, &mut datagram, &[other]);
            }
            inputs += 1;
            line.deliver_from(&datagram, target(20).address);
            match dice.below(12) {
                0 => line.hang_up(),
                1 => {
                    line.refer("sip:nurse@192.0.2.9");
                }
                2 => line.refuse(target(20).address),
                _ => {}
            }
            let time = u64::try_from(dice.below(3_000)).expect("it is small");
            line.pass(Duration::from_millis(time));
            for message in line.messages() {
                match message {
                    Message::Request(request) if request.method == Method::Invite => {
                        invites.push(request)
                    }
                    Message::Request(_) | Message::Response(_) => {}
                }
            }
        }
        line.hang_up();
        line.pass_seconds(600);
        let next = line.leg.poll_timeout();
        assert!(
            line.leg.is_finished() && next.is_none(),
            "{next:?} {:?} {:?}",
            line.now,
            line.events
        );
        let is_end = |event: &&LegEvent| matches!(event, LegEvent::Ended(_));
        assert_eq!(line.events.iter().filter(is_end).count(), 1, "told once");
    }
    told(inputs);
}

#[test]
fn rung_legs() {
    let mut dice = dice(5);
    let calls = rounds(250);
    let mut inputs = 0;
    let extras = [
        "",
        "Require: 100rel\r\n",
        "Supported: timer\r\nSession-Expires: 120\r\n",
    ];
    let methods = [
        "ACK", "BYE", "CANCEL", "INFO", "INVITE", "OPTIONS", "PRACK", "UPDATE",
    ];
    for _ in 0..calls {
        let extra = extras[dice.below(extras.len())];
        let body = ["", ANSWER][dice.below(2)];
        let first = request("INVITE", 7, "z9hG4bKcall", "", extra, body);
        let mut bent = first.clone();
        bend(&mut dice, &mut bent, std::slice::from_ref(&first));
        let is_call = matches!(parse_message(&bent), Ok(Message::Request(request)) if request.method == Method::Invite);
        let mut line = Line::rung(if is_call { &bent } else { &first });
        let mut tag = String::new();
        for _ in 0..dice.below(25) {
            for message in line.messages() {
                tag = message.headers().to_tag().unwrap_or(tag);
            }
            let method = methods[dice.below(methods.len())];
            let cseq = 7 + u32::try_from(dice.below(4)).expect("it is small");
            let branch = ["z9hG4bKcall", "z9hG4bKother"][dice.below(2)];
            let body = ["", ANSWER, "v=0"][dice.below(3)];
            let mut datagram = request(method, cseq, branch, &tag, "RAck: 1 7 INVITE\r\n", body);
            if dice.below(3) == 0 {
                bend(&mut dice, &mut datagram, std::slice::from_ref(&first));
            }
            inputs += 1;
            line.deliver(&datagram);
            match dice.below(10) {
                0 => line.decide(Leg::ring),
                1 => line.decide(Leg::accept),
                2 => line.decide(|leg, now| leg.reject(486, now)),
                3 => line.hang_up(),
                _ => {}
            }
            let time = u64::try_from(dice.below(3_000)).expect("it is small");
            line.pass(Duration::from_millis(time));
        }
        line.hang_up();
        line.pass_seconds(600);
        let next = line.leg.poll_timeout();
        assert!(
            line.leg.is_finished() && next.is_none(),
            "{next:?} {:?} {:?}",
            line.now,
            line.events
        );
        let is_end = |event: &&LegEvent| matches!(event, LegEvent::Ended(_));
        assert_eq!(line.events.iter().filter(is_end).count(), 1, "told once");
    }
    told(inputs);
}

/// What a hospital's bus might send: frames in any pieces, messages with anything in them.
#[test]
fn feed_messages() {
    let mut dice = dice(5);
    let seeds: Vec<Vec<u8>> = [
        include_str!("../../fixtures/feed/a01.hl7"),
        include_str!("../../fixtures/feed/a03_en.hl7"),
        include_str!("../../fixtures/feed/a03_utf8.hl7"),
        include_str!("../../fixtures/feed/a08_death.hl7"),
        include_str!("../../fixtures/feed/a08_unreadable.hl7"),
        include_str!("../../fixtures/feed/a40.hl7"),
    ]
    .map(|text| text.replace('\n', "\r").into_bytes())
    .into();
    let defaults = crate::feed::defaults();
    let (mut inputs, mut told) = (0, 0);
    for _ in 0..rounds(3_000) {
        let mut bytes = dice.of(&seeds).clone();
        bend(&mut dice, &mut bytes, &seeds);
        let mut sent = framed(&bytes);
        if dice.below(4) == 0 {
            bend(&mut dice, &mut sent, &seeds);
        }
        let mut frames = Frames::new(4096);
        let mut found = Vec::new();
        while !sent.is_empty() {
            let piece: Vec<u8> = sent.drain(..(1 + dice.below(64)).min(sent.len())).collect();
            found.extend(frames.push(&piece));
        }
        for frame in found {
            let (Frame::Message(bytes) | Frame::TooLong(bytes)) = frame else {
                continue;
            };
            assert!(bytes.len() <= 4096);
            let text = String::from_utf8_lossy(&bytes);
            let read = feed::read(&text, &defaults);
            let fault = read.told.as_ref().err().map(feed::Refusal::fault);
            let ours = ("main", "1", "20261123");
            let ack = feed::acknowledge(read.head.as_ref(), feed::Ack::Error, fault, ours);
            assert!(
                !ack.contains(['\u{b}', '\u{1c}', '\n']),
                "one frame, whatever was quoted"
            );
            told += u64::from(read.told.is_ok());
            inputs += 1;
        }
    }
    assert!(told > inputs / 20, "{told} of {inputs} were still messages");
    println!("inputs {inputs}");
}
