//! What is kept of a SIP message, row by row of `fixtures/sip/blank.tsv`, and how a ladder is drawn.

use std::fs;
use std::net::SocketAddr;

use aftercall_core::sip::blank::blank;
use aftercall_core::sip::trace::{Trace, Way};
use aftercall_core::time::Instant;

use super::tables::rows;

/// The number and the name stand in From, so that they are known wherever else they stand.
const FROM: &str = "From: \"Mrs Zhao\" <sip:+8613900139000@h>;tag=a1";

fn message(uri: &str, line: &str, content: &str, body: &str) -> String {
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK1\r\n{FROM}\r\nTo: <sip:1@h>\r\n\
         Call-ID: 1\r\nCSeq: 1 INVITE\r\n{line}Content-Type: {content}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The row's kind, and what it holds put into a message.
fn put(given: &str) -> String {
    let uri = "sip:1@h";
    let replaced = |name: &str| format!("\r\n{name}: ");
    match given.split_once(' ') {
        Some(("sdp", line)) => message(uri, "", "application/sdp", &format!("v=0\r\n{line}\r\n")),
        Some(("uri", uri)) => message(uri, "", "application/sdp", ""),
        Some(("body", rest)) => {
            let (content, body) = rest.split_once(' ').expect("a body has a type");
            message(uri, "", content, &format!("{body}\r\n"))
        }
        Some(("From:", _)) => message(uri, "", "text/plain", "").replace(FROM, given),
        Some(("To:", _)) => message(uri, "", "text/plain", "").replace(
            &format!("{}<sip:1@h>", replaced("To")),
            &format!("\r\n{given}"),
        ),
        Some(_) | None => message(uri, &format!("{given}\r\n"), "text/plain", ""),
    }
}

/// What is kept, as the row writes it.
fn kept(given: &str, blanked: &str) -> String {
    let (head, body) = blanked.split_once("\r\n\r\n").expect("a message");
    let (kind, rest) = given.split_once(' ').expect("a row has two words");
    match kind {
        "sdp" => format!("sdp {}", body.lines().nth(1).expect("a second line")),
        "uri" => format!("uri {}", head.split(' ').nth(1).expect("a URI")),
        "body" => {
            let content = rest.split(' ').next().expect("a type");
            format!("body {content} {}", body.trim_end())
        }
        name => {
            let is_named = |line: &&str| line.starts_with(name);
            head.lines()
                .find(is_named)
                .expect("the header is kept")
                .to_owned()
        }
    }
}

#[test]
fn of_a_message_no_number_name_key_or_word_is_kept() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/sip/blank.tsv");
    let table = fs::read_to_string(path).expect("the fixture is in the repository");
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let (given, expected) = row.split_once('\t').expect("a row has two columns");
        count += 1;
        let blanked = blank(put(given).as_bytes()).expect("no keep-alive");
        let got = match blanked.starts_with("unreadable: ") {
            true => blanked.clone(),
            false => kept(given, &blanked),
        };
        if got != expected {
            wrong.push(format!("{given}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(
        wrong.is_empty() && count > 30,
        "{count} rows\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_call_id_and_a_branch_are_swept_of_the_number_and_the_name() {
    let text = message("sip:1@h", "", "text/plain", "")
        .replace("Call-ID: 1", "Call-ID: 13900139000-Mrs Zhao@10.0.0.9")
        .replace("z9hG4bK1", "z9hG4bK-0139000-7");
    let blanked = blank(text.as_bytes()).expect("no keep-alive");
    for gone in ["0139000", "Zhao"] {
        assert!(!blanked.contains(gone), "{blanked}");
    }
    assert!(
        blanked.contains("Via: SIP/2.0/UDP 10.0.0.9:5060;branch=x\r\n"),
        "{blanked}"
    );
}

#[test]
fn what_cannot_be_read_is_named_by_its_fault_alone() {
    for row in rows("front_door.txt").iter().chain(&rows("torture.txt")) {
        let Some(blanked) = blank(&row.bytes) else {
            continue;
        };
        let is_fault = blanked.starts_with("unreadable: ");
        assert!(
            is_fault || aftercall_core::sip::front_door::parse_message(blanked.as_bytes()).is_ok(),
            "{blanked}"
        );
    }
    assert_eq!(blank(b"\r\n\r\n"), None, "a keep-alive is no message");
    let cut = blank(b"INVITE sip:13800138000@h SIP/2.0\r\nFrom: Wang").expect("it is there");
    assert_eq!(
        cut,
        "unreadable: line 2: the message ends inside a header\r\n"
    );
}

/// A packet of this source and payload type.
fn packet(ssrc: u32, payload_type: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type, 0, 1, 0, 0, 0, 0];
    packet.extend(ssrc.to_be_bytes());
    packet
}

#[test]
fn audio_is_a_line_for_each_source_codec_and_hold() {
    let at = |port| SocketAddr::from(([10, 0, 0, 5], port));
    let way = |sent| Way {
        line: 0,
        sent,
        ours: at(5_060),
        theirs: at(5_080),
    };
    let mut trace = Trace::new(Instant::ZERO);
    let offer = |direction: &str| {
        message(
            "sip:1@h",
            "",
            "application/sdp",
            &format!("v=0\r\nm=audio 1 RTP/AVP 8\r\na={direction}\r\n"),
        )
    };
    let mut now_ms = 0;
    let mut send = |trace: &mut Trace, packets: u32, ssrc, payload_type| {
        for _ in 0..packets {
            now_ms += 20;
            trace.rtp(
                way(true),
                &packet(ssrc, payload_type),
                Instant::from_millis(now_ms),
            );
        }
    };
    trace.sip(way(false), offer("sendrecv").as_bytes(), Instant::ZERO);
    send(&mut trace, 50, 7, 8);
    // A key and comfort noise are no other codec; RTCP is no audio.
    send(&mut trace, 3, 7, 101);
    send(&mut trace, 1, 7, 13);
    send(&mut trace, 5, 7, 72);
    send(&mut trace, 10, 7, 0);
    send(&mut trace, 10, 9, 0);
    trace.sip(
        way(false),
        offer("sendonly").as_bytes(),
        Instant::from_millis(1_600),
    );
    trace.sip(
        way(false),
        offer("sendonly").as_bytes(),
        Instant::from_millis(1_610),
    );
    send(&mut trace, 5, 9, 0);
    let expected = "   seconds  us                                                          far end
     0.000  |<- INVITE 1, sendrecv ----------------------------------------|  10.0.0.5:5080 UDP
     0.020  |== RTP PCMA 00000007, 54 packets in 1.1 s ===================>|  10.0.0.5:5080
     1.200  |== RTP PCMU 00000007, 10 packets in 0.2 s ===================>|  10.0.0.5:5080
     1.400  |== RTP PCMU 00000009, 10 packets in 0.2 s ===================>|  10.0.0.5:5080
     1.600  |<- INVITE 1, sendonly ----------------------------------------|  10.0.0.5:5080 UDP
     1.600  |== RTP PCMU 00000009, 5 packets in 0.1 s ====================>|  10.0.0.5:5080
     1.610  |<- INVITE 1, sendonly (again) --------------------------------|  10.0.0.5:5080 UDP
";
    assert_eq!(trace.kept().ladder(), expected);
}

#[test]
fn a_trace_is_bounded() {
    let at = SocketAddr::from(([10, 0, 0, 5], 5_060));
    let way = Way {
        line: 0,
        sent: true,
        ours: at,
        theirs: at,
    };
    let mut trace = Trace::new(Instant::ZERO);
    let text = message("sip:1@h", "", "text/plain", "");
    for at in 0..300 {
        trace.sip(way, text.as_bytes(), Instant::from_millis(at));
        trace.rtp(
            way,
            &packet(u32::try_from(at).expect("small"), 8),
            Instant::from_millis(at),
        );
    }
    let kept = trace.kept();
    assert_eq!((kept.passed.len(), kept.left_out), (264, 336));
    assert!(kept.ladder().contains("336 more were not kept"));
}
