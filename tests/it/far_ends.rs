//! A leg on real sockets against SIPp as the far ends of fixtures/sip/far_ends.txt: what they do to a call, message by message.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use aftercall_core::phi::Phi;
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::{EndCause, LegEvent};
use aftercall_core::sip::sdp::Direction;

use crate::process::Process;
use crate::sipp::{
    HangUp, Line, ending, free_port, ran_to_its_end, sipp, sipp_over, trunk, wait_for_listener,
};

/// What SIPp keeps of each INVITE, so that later answers fit it.
const INVITE: &str = r#"
      <ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>
      <ereg regexp=".*" search_in="hdr" header="To:" assign_to="callee"/>
      <ereg regexp=".*" search_in="hdr" header="Via:" assign_to="via"/>
      <ereg regexp=".*" search_in="hdr" header="CSeq:" assign_to="number"/>
      <ereg regexp=".*" search_in="hdr" header="Call-ID:" assign_to="seen"/>"#;

/// The scenario of this name, as SIPp reads it.
fn scenario(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sip/far_ends.txt");
    let all = std::fs::read_to_string(file).expect("the far ends");
    let (_, rest) = all
        .split_once(&format!("[{name}]\n"))
        .unwrap_or_else(|| panic!("no far end {name:?}"));
    let steps = rest.lines().take_while(|line| !line.is_empty());
    let mut out = format!("<?xml version=\"1.0\"?>\n<scenario name=\"{name}\">\n");
    for line in steps {
        step(&mut out, line);
    }
    out.push_str("<Reference variables=\"seen,caller,callee,via,number\"/>\n</scenario>\n");
    out
}

fn step(out: &mut String, line: &str) {
    let mut parts = line.split(" | ");
    let step = parts.next().unwrap_or_default();
    let more: Vec<&str> = parts.collect();
    let (sign, what) = step.split_once(' ').expect("a sign and what it is about");
    let words: Vec<&str> = what
        .split([' ', '[', ']'])
        .filter(|w| !w.is_empty())
        .collect();
    let tag = words.iter().find_map(|word| word.strip_prefix('@'));
    let description = what.split_once('[').map(|_| body(&words));
    let written = match sign {
        "pause" => writeln!(out, "<pause milliseconds=\"{what}\"/>"),
        "<" => return expect(out, words[0], &more),
        "!" => {
            let status = what.split(['@', '[']).next().unwrap_or_default().trim();
            let callee = tag.map_or_else(String::new, |tag| format!(";tag={tag}"));
            let lines = format!(
                "SIP/2.0 {status}\nVia:[$via]\nFrom:[$caller]\nTo:[$callee]{callee}\n[last_Call-ID:]\nCSeq:[$number]"
            );
            return send(out, &lines, &more, description.as_deref());
        }
        "=" => {
            let lines = format!(
                "SIP/2.0 {what}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]"
            );
            return send(out, &lines, &more, None);
        }
        ">" => {
            let [method, cseq, ..] = words[..] else {
                panic!("{line}: a method and its CSeq are wanted");
            };
            // The ACK of a refusal belongs to the transaction it ends (RFC 3261 §17.1.1.3).
            let is_same = more.contains(&"same branch");
            let branch = if is_same { "[branch-2]" } else { "[branch]" };
            let tag = tag.expect("the tag of whoever asks");
            let lines = format!(
                "{method} [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}\n\
                 From:[$callee];tag={tag}\nTo:[$caller]\n[last_Call-ID:]\nCSeq: {cseq} {method}\nMax-Forwards: 70"
            );
            let more: Vec<&str> = more
                .into_iter()
                .filter(|one| *one != "same branch")
                .collect();
            return send(out, &lines, &more, description.as_deref());
        }
        other => panic!("{other}: no such step"),
    };
    written.expect("a string takes what is written");
}

/// One of our messages, and what must stand in it.
fn expect(out: &mut String, what: &str, holds: &[&str]) {
    let kind = if what.starts_with(|c: char| c.is_ascii_digit()) {
        "response"
    } else {
        "request"
    };
    let routes = if what == "INVITE" {
        " rrs=\"true\""
    } else {
        ""
    };
    let kept = if what == "INVITE" { INVITE } else { "" };
    let checks: String = holds
        .iter()
        .map(|held| {
            let held = held.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
            format!(
                "\n      <ereg regexp=\"{held}\" search_in=\"msg\" check_it=\"true\" assign_to=\"seen\"/>"
            )
        })
        .collect();
    let actions = if kept.is_empty() && checks.is_empty() {
        String::new()
    } else {
        format!("<action>{kept}{checks}\n    </action>")
    };
    let line = format!("<recv {kind}=\"{what}\"{routes}>{actions}</recv>\n");
    out.push_str(&line);
}

/// One of its own messages.
fn send(out: &mut String, lines: &str, headers: &[&str], body: Option<&str>) {
    let contact = "Contact: <sip:phone@[local_ip]:[local_port]>";
    let has_contact = headers.iter().any(|header| header.starts_with("Contact:"));
    let mut message = lines.to_owned();
    for header in headers
        .iter()
        .copied()
        .chain((!has_contact).then_some(contact))
    {
        message.push('\n');
        message.push_str(header);
    }
    match body {
        Some(body) => {
            message.push_str("\nContent-Type: application/sdp\nContent-Length: [len]\n\n");
            message.push_str(body);
        }
        None => message.push_str("\nContent-Length: 0\n"),
    }
    let line = format!("<send><![CDATA[\n\n{message}\n]]></send>\n");
    out.push_str(&line);
}

fn body(words: &[&str]) -> String {
    let of = |key: &str, usual: &'static str| {
        let found = words.iter().find_map(|word| word.strip_prefix(key));
        found.map_or(usual.to_owned(), str::to_owned)
    };
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let direction = words.iter().find(|word| directions.contains(word));
    format!(
        "v=0\no=phone 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 {}\nt=0 0\nm=audio {} RTP/AVP {}\na={}\n",
        of("c=", "[media_ip]"),
        of("port=", "[media_port]"),
        of("m=", "8"),
        direction.expect("a direction")
    )
}

/// SIPp as this far end, for one call.
fn start(port: u16, name: &str, folder: &Path) -> Process {
    let file = folder.join(format!("{}.xml", name.replace(' ', "_")));
    std::fs::write(&file, scenario(name)).expect("the folder can be written");
    let mut command = Command::new("sipp");
    command.arg("-sf").arg(file).current_dir(folder);
    command.args(["-i", "127.0.0.1", "-m", "1", "-nostdin", "-p"]);
    command.arg(port.to_string());
    Process::start(&mut command, "apt-get install sip-tester (make test does)")
}

/// A call to this far end, which must have run to its end; what our leg told.
fn call(name: &str, lines: &str, hang_up: HangUp) -> Vec<LegEvent> {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let far_end = start(port, name, folder.path());
    let mut line = Line::open(trunk(&[port], lines));
    let credentials = Credentials {
        username: "robot".to_owned(),
        password: Phi::new("secret".to_owned()),
    };
    let mut leg = line.leg(Some(credentials));
    let events = line.drive(&mut leg, hang_up);
    ran_to_its_end(far_end);
    events
}

fn directions(events: &[LegEvent]) -> Vec<Direction> {
    let changed = events.iter().filter_map(|event| match event {
        LegEvent::MediaChanged(answer) => Some(answer.direction),
        _ => None,
    });
    changed.collect()
}

#[test]
fn whatever_a_far_end_does_the_call_ends_as_it_should() {
    use EndCause::{Cancelled, LocalBye, Redirected, RemoteBye};
    use HangUp::{AtAnswer, AtOnce, AtRinging, Never};
    let redirects = "redirect_hosts = [\"127.0.0.1\"]";
    let table = [
        ("offers nothing that we have", "", Never, RemoteBye, 200),
        ("moves before the answer", "", Never, RemoteBye, 200),
        ("two pick up", "", Never, RemoteBye, 200),
        (
            "asks for everything within the call",
            "",
            Never,
            RemoteBye,
            200,
        ),
        ("is busy as we leave", "", AtRinging, Cancelled, 486),
        ("rings on as we leave", "", AtRinging, Cancelled, 487),
        (
            "says nothing until we have left",
            "",
            AtOnce,
            Cancelled,
            487,
        ),
        (
            "picks up though it was cancelled",
            "",
            AtRinging,
            Cancelled,
            200,
        ),
        ("sends us on and on", redirects, Never, Redirected, 302),
        ("asks who we are at every turn", "", AtAnswer, LocalBye, 200),
    ];
    for (name, lines, hang_up, why, status) in table {
        let events = call(name, lines, hang_up);
        let ending = ending(&events);
        assert_eq!(
            (ending.why, ending.status),
            (why, Some(status)),
            "{name}: {events:?}"
        );
    }
}

#[test]
fn a_call_is_held_and_resumed_in_every_way() {
    let events = call("holds in every way", "", HangUp::Never);
    assert_eq!(ending(&events).why, EndCause::RemoteBye);
    use Direction::{Inactive, RecvOnly, SendRecv};
    let silent = [Inactive, RecvOnly];
    let told = directions(&events);
    let [first, second, third, fourth, fifth, sixth] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!([second, fourth, sixth], [SendRecv; 3], "{told:?}");
    assert!(
        [first, third, fifth]
            .iter()
            .all(|held| silent.contains(held)),
        "{told:?}"
    );
}

#[test]
fn where_a_target_is_full_the_next_is_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let (full, free) = (free_port(), free_port());
    let far_end = start(full, "is full", folder.path());
    let _next = sipp(free, folder.path());
    let mut line = Line::open(trunk(&[full, free], ""));
    let mut leg = line.leg(None);
    let events = line.drive(&mut leg, HangUp::AtAnswer);
    ran_to_its_end(far_end);
    assert_eq!(ending(&events).why, EndCause::LocalBye, "{events:?}");
}

#[test]
fn an_invite_too_large_for_a_datagram_comes_by_tcp_or_by_udp_where_that_is_refused() {
    for transport in ["t1", "u1"] {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut far_end = sipp_over(transport, "127.0.0.1", port, folder.path());
        if transport == "t1" {
            wait_for_listener(port);
        }
        let mut trunk = trunk(&[port], "");
        trunk.caller.display = Some("w".repeat(900));
        let mut line = Line::open(trunk);
        let mut leg = line.leg(None);
        let events = line.drive(&mut leg, HangUp::AtAnswer);
        assert_eq!(ending(&events).why, EndCause::LocalBye, "{events:?}");
        let status = far_end.0.wait().expect("SIPp can be waited for");
        assert_eq!(status.code(), Some(0), "{transport}");
    }
}
