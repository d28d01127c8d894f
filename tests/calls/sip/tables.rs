//! Raw datagrams of `fixtures/sip`, and datagrams that no standard knows.
//!
//! A block begins with `### name | expectation`; its lines are sent with CRLF, or with bare LF where the name ends
//! in `(lf)`. `\0`, `\t` and `\x..` stand for themselves in a line.

use std::fs;

use aftercall_core::codec::Codec;
use aftercall_core::media_key::Guard;
use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::sip::event::EndCause;
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Message, Method};
use aftercall_core::sip::sdp::Sdp;
use aftercall_core::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::peer::{ANSWER, Line, config, peer_request, response, target};
use crate::support::rounds;

pub struct Row {
    name: String,
    expected: String,
    pub bytes: Vec<u8>,
}

pub fn rows(file: &str) -> Vec<Row> {
    let path = format!("{}/../../fixtures/sip/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).expect("the fixture is in the repository");
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let blocks = text.split("\n### ").skip(1);
    let rows: Vec<Row> = blocks
        .map(|block| {
            let (head, body) = block.split_once('\n').expect("a block has a body");
            let (name, expected) = head.split_once('|').expect("a head has an expectation");
            let end = if name.trim().ends_with("(lf)") {
                "\n"
            } else {
                "\r\n"
            };
            let bytes = body
                .replace("\\0", "\0")
                .replace("\\t", "\t")
                .replace('\n', end)
                .into_bytes();
            Row {
                name: name.trim().to_owned(),
                expected: expected.trim().to_owned(),
                bytes,
            }
        })
        .collect();
    assert!(!rows.is_empty(), "{file} has rows");
    rows
}

fn read(bytes: &[u8]) -> String {
    match parse_message(bytes) {
        Err(error) => format!("error: {error}"),
        Ok(Message::Request(request)) => {
            let h = &request.headers;
            let tags = format!(
                "{}/{}",
                h.from_tag().unwrap_or_default(),
                h.to_tag().unwrap_or_default()
            );
            let (vias, body) = (h.all("Via").count(), request.body.len());
            format!(
                "{} {} {} via={vias} tags={tags} body={body}",
                request.method,
                request.uri,
                h.call_id()
            )
        }
        Ok(Message::Response(response)) => {
            let h = &response.headers;
            let tags = format!(
                "{}/{}",
                h.from_tag().unwrap_or_default(),
                h.to_tag().unwrap_or_default()
            );
            let (routes, branch) = (
                h.all("Record-Route").count(),
                h.branch().unwrap_or_default(),
            );
            format!(
                "{} {} routes={routes} branch={branch} tags={tags} body={}",
                response.status,
                h.call_id(),
                response.body.len()
            )
        }
    }
}

#[test]
fn the_front_door_reads_what_peers_send_and_names_what_is_wrong() {
    for row in rows("front_door.txt") {
        assert_eq!(read(&row.bytes), row.expected, "{}", row.name);
    }
}

#[test]
fn session_descriptions_are_read_leniently() {
    let ours = [Codec::Pcma, Codec::Pcmu];
    for row in rows("sdp.txt") {
        let read = Sdp::parse(&row.bytes).and_then(|sdp| {
            sdp.negotiate(&ours, None, Guard::Clear, Some(target(20).address.ip()))
        });
        let found = match read {
            Err(error) => format!("error: {error}"),
            Ok(answer) => {
                let event = answer
                    .telephone_event
                    .map_or("none".to_owned(), |pt| pt.to_string());
                let (codec, pt, ptime, direction) = (
                    answer.codec,
                    answer.payload_type,
                    answer.ptime_ms,
                    answer.direction,
                );
                format!(
                    "{} {codec} {pt} event={event} ptime={ptime} {direction:?}",
                    answer.remote
                )
            }
        };
        assert_eq!(found, row.expected, "{}", row.name);
    }
}

/// What a datagram from nobody's call gets: a status, or nothing.
fn said(endpoint: &mut Endpoint, bytes: &[u8]) -> String {
    match endpoint.route(bytes, target(20).address) {
        Route::Drop => "drop".to_owned(),
        Route::Invite(_) => "call".to_owned(),
        Route::Leg(call_id) => format!("leg {call_id}"),
        Route::Reply { bytes: reply, .. } => {
            // Not read with our own reader: a refused CSeq comes back as it was.
            let said = String::from_utf8_lossy(&reply).into_owned();
            said.split(' ').nth(1).unwrap_or_default().to_owned()
        }
    }
}

#[test]
fn torture_is_borne_and_answered_as_rfc_4475_wishes() {
    let mut endpoint = Endpoint::new("aftercall".into(), "ours".into());
    for row in rows("torture.txt") {
        assert_eq!(
            said(&mut endpoint, &row.bytes),
            row.expected,
            "{}",
            row.name
        );
    }
}

/// A message cut at every length, and each of its bytes bent in turn: an answer or none, never a panic.
#[test]
fn torture_of_every_length_is_borne() {
    let mut endpoint = Endpoint::new("aftercall".into(), "ours".into());
    for row in rows("torture.txt") {
        for length in 0..row.bytes.len() {
            said(&mut endpoint, &row.bytes[..length]);
            let mut bent = row.bytes.clone();
            bent[length] ^= 0x5a;
            said(&mut endpoint, &bent);
        }
    }
}

/// In the middle of a call each of them comes, as nobody's and under the call's own Call-ID: the call goes on, and ends as
/// it would have.
#[test]
fn torture_within_a_call_leaves_the_call_alive() {
    let all = ["torture.txt", "strangers.txt", "front_door.txt"];
    for row in all.into_iter().flat_map(rows) {
        let mut line = Line::large(config());
        let invite = line.request(Method::Invite);
        line.answer(&invite, 200, "a", ANSWER);
        line.request(Method::Ack);
        let call_id = format!("Call-ID: {}", line.leg.call_id());
        let text = String::from_utf8_lossy(&row.bytes).into_owned();
        let own = text
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("call-id:"));
        let ours = own
            .map(|own| text.replace(own, &call_id))
            .unwrap_or_default();
        for bytes in [&row.bytes[..], ours.as_bytes()] {
            line.deliver(bytes);
            assert!(line.is_open(), "{}", row.name);
        }
        drop(line.messages());
        line.hang_up();
        let bye = line.request(Method::Bye);
        line.answer(&bye, 200, "a", "");
        line.ended_as(EndCause::LocalBye, Some(200));
        line.comes_to_rest();
    }
}

#[test]
fn strangers_get_the_answer_that_fits() {
    let mut endpoint = Endpoint::new("aftercall".into(), "ours".into());
    for row in rows("strangers.txt") {
        assert_eq!(
            said(&mut endpoint, &row.bytes),
            row.expected,
            "{}",
            row.name
        );
    }
    endpoint.add("known");
    let known = rows("strangers.txt").remove(0).bytes;
    let known = String::from_utf8(known)
        .expect("text")
        .replace("Call-ID: one", "Call-ID: known");
    assert_eq!(
        endpoint.route(known.as_bytes(), target(20).address),
        Route::Leg("known".into())
    );
    endpoint.remove("known");
    assert!(matches!(
        endpoint.route(known.as_bytes(), target(20).address),
        Route::Reply { .. }
    ));
}

/// Every datagram of a call, cut, bent and mixed: the leg counts and lives, and its wake times stay sane.
#[test]
fn no_bytes_break_a_leg() {
    let mut random = ChaCha20Rng::seed_from_u64(1);
    let (mut line, invite) = Line::dialled();
    let seeds: Vec<Vec<u8>> = [
        response(&invite, 183, "a", ANSWER, &[]),
        response(
            &invite,
            401,
            "a",
            "",
            &[(
                "WWW-Authenticate",
                "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
            )],
        ),
        response(
            &invite,
            200,
            "a",
            ANSWER,
            &[("Record-Route", "<sip:a;lr>,<sip:b>")],
        ),
        peer_request(
            &invite,
            "a",
            "INVITE",
            1,
            "Content-Type: application/sdp\r\n",
            ANSWER,
        ),
        response(
            &invite,
            183,
            "b",
            ANSWER,
            &[("Require", "100rel"), ("RSeq", "7")],
        ),
        response(&invite, 422, "a", "", &[("Min-SE", "120")]),
        response(
            &invite,
            302,
            "a",
            "",
            &[(
                "Contact",
                "<sip:1@gw.example:5070>;q=0.5,<sip:2@gw.example>",
            )],
        ),
        response(
            &invite,
            200,
            "a",
            ANSWER,
            &[("Session-Expires", "90;refresher=uac")],
        ),
        peer_request(
            &invite,
            "a",
            "UPDATE",
            4,
            "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n",
            ANSWER,
        ),
        peer_request(
            &invite,
            "a",
            "INFO",
            2,
            "Content-Type: application/dtmf-relay\r\n",
            "Signal=5",
        ),
        peer_request(&invite, "a", "BYE", 3, "Reason: Q.850;cause=16\r\n", ""),
    ]
    .into();
    for round in 0..rounds(30_000) {
        let mut datagram = seeds[random.next_u32() as usize % seeds.len()].clone();
        for _ in 0..random.next_u32() % 6 {
            bend(&mut datagram, &mut random);
        }
        if round % 400 == 0 {
            line.leg = Leg::new(config(), [7; 32], line.now);
        }
        line.leg
            .handle_datagram(&datagram, target(20).address, line.now);
        while line.leg.poll_output().is_some() {}
        line.now = line.now + std::time::Duration::from_millis(u64::from(random.next_u32() % 300));
        line.leg.handle_timeout(line.now);
        while line.leg.poll_output().is_some() {}
        assert!(line.leg.poll_timeout().is_none_or(|(at, _)| at > line.now));
    }
    let mut noise = vec![0; 2_000];
    let end = Instant::from_millis(u64::MAX / 2_000);
    for length in 0..2_000 {
        random.fill_bytes(&mut noise);
        line.leg
            .handle_datagram(&noise[..length], target(20).address, end);
        assert!(Sdp::parse(&noise[..length]).is_err());
    }
}

fn bend(datagram: &mut Vec<u8>, random: &mut ChaCha20Rng) {
    const ODD: &[u8] = b"\r\n \t:;,<>\"\\=/@%\x00\xff\xe4";
    if datagram.is_empty() {
        return;
    }
    let at = random.next_u32() as usize % datagram.len();
    match random.next_u32() % 5 {
        0 => datagram[at] = ODD[random.next_u32() as usize % ODD.len()],
        1 => datagram.truncate(at),
        2 => drop(datagram.drain(at..(at + 5).min(datagram.len()))),
        3 => datagram.insert(at, ODD[random.next_u32() as usize % ODD.len()]),
        _ => datagram[at] = random.next_u32() as u8,
    }
}
