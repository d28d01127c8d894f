//! Far ends as they are met: what other stacks send that is right, odd or half right, and the call goes on.

use std::net::SocketAddr;

use aftercall_core::sip::event::{EndCause, LegEvent, RedirectHost};
use aftercall_core::sip::message::{Method, Request, host_port};
use aftercall_core::sip::sdp::Direction;

use super::peer::{ANSWER, Line, config, peer_request, response, target};

fn at(host: u8, port: u16) -> SocketAddr {
    ([192, 0, 2, host], port).into()
}

/// A request of the peer's under another Via.
fn under_via(invite: &Request, via: &str, cseq: u32) -> Vec<u8> {
    let plain = peer_request(invite, "a", "OPTIONS", cseq, "", "");
    let plain = String::from_utf8(plain).expect("text");
    let known = format!("Via: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKpOPTIONS{cseq}");
    assert!(plain.contains(&known));
    plain
        .replace(&known, &format!("Via: {via};branch=z9hG4bKv{cseq}"))
        .into_bytes()
}

#[test]
fn an_answer_goes_where_the_via_listens_or_back_where_it_came_from() {
    let (mut line, invite) = Line::answered();
    for (cseq, (via, from, to, noted)) in (1..).zip([
        // Who asks for `rport` gets it, and its own port back.
        (
            "SIP/2.0/UDP 192.0.2.20;rport",
            at(20, 40_000),
            at(20, 40_000),
            ";received=192.0.2.20;rport=40000",
        ),
        (
            "SIP/2.0/UDP 10.0.0.9:5070;rport",
            at(20, 40_000),
            at(20, 40_000),
            ";received=192.0.2.20;rport=40000",
        ),
        // Who does not, sends from one port and listens on another.
        (
            "SIP/2.0/UDP 192.0.2.20:5090",
            at(20, 40_000),
            at(20, 5_090),
            "",
        ),
        ("SIP/2.0/UDP 192.0.2.20", at(20, 40_000), at(20, 5_060), ""),
        // Behind a NAT that is of no use.
        (
            "SIP/2.0/UDP 10.0.0.9:5070",
            at(20, 40_000),
            at(20, 40_000),
            ";received=192.0.2.20",
        ),
        (
            "SIP / 2.0 / UDP  pbx.example : 5070",
            at(20, 40_000),
            at(20, 40_000),
            ";received=192.0.2.20",
        ),
        // A stream goes back on itself.
        (
            "SIP/2.0/TCP 192.0.2.20:5090",
            at(20, 40_000),
            at(20, 40_000),
            "",
        ),
    ]) {
        line.deliver_from(&under_via(&invite, via, cseq), from);
        let answer = line.response();
        let said = answer.headers.first("Via").unwrap_or_default().to_owned();
        assert_eq!((answer.status, line.sent_to), (200, Some(to)), "{via}");
        assert!(
            said.ends_with(&format!("z9hG4bKv{cseq}{noted}")),
            "{via}: {said}"
        );
    }
}

#[test]
fn what_is_ours_in_the_dialog_goes_where_the_peer_listens() {
    for (contact, route, to) in [
        ("<sip:a@192.0.2.20:5090>", None, at(20, 5_090)),
        ("<sip:a@192.0.2.20>", None, at(20, 5_060)),
        (
            "<sip:a@pbx.example:5090;maddr=192.0.2.20>",
            None,
            at(20, 5_090),
        ),
        ("<sip:a@192.0.2.20:5090;transport=UDP>", None, at(20, 5_090)),
        ("<sip:a@192.0.2.20:5090;transport=tcp>", None, at(20, 5_060)),
        // Private, a name, a number or nothing at all: by the way that the INVITE went.
        ("<sip:a@10.0.0.7:5090>", None, at(20, 5_060)),
        ("<sip:a@pbx.example:5090>", None, at(20, 5_060)),
        ("<tel:+8613800138000>", None, at(20, 5_060)),
        ("", None, at(20, 5_060)),
        // A proxy in between hides what is behind it.
        (
            "<sip:a@192.0.2.20:5090>",
            Some("<sip:192.0.2.20:5071;lr>"),
            at(20, 5_071),
        ),
        (
            "<sip:a@192.0.2.20:5090>",
            Some("<sip:10.0.0.7;lr>"),
            at(20, 5_060),
        ),
    ] {
        let (mut line, invite) = Line::dialled();
        let routed = route.map(|route| ("Record-Route", route));
        let mut answer = invite.respond(200, "a");
        answer.headers.push("Content-Type", "application/sdp");
        routed
            .iter()
            .for_each(|(name, value)| answer.headers.push(name, *value));
        if !contact.is_empty() {
            answer.headers.push("Contact", contact);
        }
        answer.body = ANSWER.as_bytes().to_vec();
        let bytes = answer.to_bytes();
        line.deliver(&bytes);
        let ack = line.request(Method::Ack);
        assert_eq!(line.sent_to, Some(to), "{contact}");
        line.deliver(&bytes);
        assert_eq!((line.request(Method::Ack), line.sent_to), (ack, Some(to)));
        line.hang_up();
        line.request(Method::Bye);
        assert_eq!(line.sent_to, Some(to), "{contact}");
    }
}

#[test]
fn a_reinvite_says_that_our_last_answer_arrived_though_its_ack_did_not() {
    let (mut line, invite) = Line::answered();
    let offer = ANSWER.replace("t=0 0", "t=0 0\r\na=sendonly");
    line.deliver(&peer_request(&invite, "a", "INVITE", 1, "", &offer));
    assert_eq!(line.response().status, 200);
    // The ACK of the first is lost.
    line.deliver(&peer_request(&invite, "a", "INVITE", 2, "", ANSWER));
    assert_eq!(line.response().status, 200);
    line.deliver(&peer_request(&invite, "a", "ACK", 2, "", ""));
    line.pass_seconds(40);
    assert!(line.is_quiet() && line.is_open());
    // An offer of ours has no answer yet: nothing may begin beside it.
    line.deliver(&peer_request(&invite, "a", "INVITE", 3, "", ""));
    assert_eq!(line.response().status, 200);
    line.deliver(&peer_request(&invite, "a", "INVITE", 4, "", ANSWER));
    assert_eq!(line.response().status, 491);
    line.deliver(&peer_request(&invite, "a", "ACK", 3, "", ANSWER));
    line.deliver(&peer_request(&invite, "a", "INVITE", 5, "", ANSWER));
    assert_eq!(line.response().status, 200);
}

#[test]
fn audio_that_is_closed_is_held_and_opened_again() {
    let (mut line, invite) = Line::answered();
    let closed = ANSWER.replace("audio 30000", "audio 0");
    line.deliver(&peer_request(&invite, "a", "INVITE", 1, "", &closed));
    let answer = line.response();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200);
    assert!(body.ends_with("m=audio 0 RTP/AVP 8 101\r\n"), "{body}");
    let Some(LegEvent::MediaChanged(held)) = line.events.pop() else {
        panic!("not held");
    };
    assert_eq!(held.direction, Direction::Inactive);
    line.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
    // A fax machine's offer is none of ours: it is told so, and the call stays held.
    let fax = format!("{closed}m=image 4000 udptl t38\r\n");
    line.deliver(&peer_request(&invite, "a", "INVITE", 2, "", &fax));
    assert_eq!(line.response().status, 488);
    line.deliver(&peer_request(&invite, "a", "ACK", 2, "", ""));
    line.deliver(&peer_request(&invite, "a", "INVITE", 3, "", ANSWER));
    assert_eq!(line.response().status, 200);
    let Some(LegEvent::MediaChanged(open)) = line.events.pop() else {
        panic!("not resumed");
    };
    assert_eq!(
        (open.direction, open.remote),
        (Direction::SendRecv, at(20, 30_000))
    );
}

#[test]
fn a_description_with_a_name_or_no_place_at_all_is_spoken_to_where_we_signal() {
    for body in [
        ANSWER.replace("IP4 192.0.2.20", "IP4 media.carrier.example"),
        ANSWER.replace("c=IN IP4 192.0.2.20\r\n", ""),
    ] {
        let (mut line, invite) = Line::dialled();
        line.answer(&invite, 200, "a", &body);
        let Some(LegEvent::Answered(answer)) = line.events.last() else {
            panic!("{:?}", line.events);
        };
        assert_eq!(answer.remote, at(20, 30_000), "{body}");
    }
}

/// A call that may be redirected to the hosts .31 to .33.
fn redirected(contacts: &[&str]) -> (Line, Request) {
    let redirects = [31, 32, 33].map(|host| RedirectHost {
        host: format!("192.0.2.{host}"),
        port: None,
        ip: [192, 0, 2, host].into(),
    });
    let mut config = config();
    config.redirects = redirects.to_vec();
    let mut line = Line::with(config);
    let invite = line.request(Method::Invite);
    let contacts: Vec<(&str, &str)> = contacts
        .iter()
        .map(|contact| ("Contact", *contact))
        .collect();
    let moved = response(&invite, 302, "r", "", &contacts);
    // Without the Contact of every answer of this peer.
    let moved = String::from_utf8(moved).expect("text");
    let own = "Contact: <sip:callee@192.0.2.20:5060;branch=r>\r\n";
    line.deliver(moved.replace(own, "").as_bytes());
    let sent = line.requests();
    assert_eq!(sent[0].method, Method::Ack);
    let next = sent.last().cloned().expect("the ACK at least");
    (line, next)
}

fn host_of(invite: &Request) -> &str {
    host_port(&invite.uri).map_or("", |(host, _)| host)
}

#[test]
fn of_three_hosts_that_a_redirect_names_each_is_tried_in_its_turn() {
    let (mut line, second) = redirected(&[
        "\"Ward 7, third\" <sip:c@192.0.2.33>;q=0.1",
        "<sip:a@192.0.2.31>;q=0.9, <sip:b@192.0.2.32>;q=0.5",
    ]);
    assert_eq!(
        (host_of(&second), line.sent_to),
        ("192.0.2.31", Some(at(31, 5_060)))
    );
    // The first refuses for now, the second keeps silent.
    line.answer(&second, 503, "x", "");
    let third = line.requests().pop().expect("the next");
    assert_eq!(host_of(&third), "192.0.2.32");
    assert_eq!(third.headers.call_id(), second.headers.call_id());
    line.pass_seconds(6);
    let fourth = line.requests().pop().expect("the last");
    assert_eq!(host_of(&fourth), "192.0.2.33");
    line.answer(&fourth, 180, "y", "");
    line.answer(&fourth, 200, "y", ANSWER);
    assert_eq!(
        line.requests().last().map(|ack| ack.method.clone()),
        Some(Method::Ack)
    );
    assert!(line.is_open());
}

#[test]
fn a_telephone_that_was_reached_is_not_rung_elsewhere() {
    let (mut line, second) = redirected(&["<sip:a@192.0.2.31>", "<sip:b@192.0.2.32>"]);
    line.answer(&second, 486, "x", "");
    line.request(Method::Ack);
    line.ended_as(EndCause::Rejected, Some(486));
}

/// Statuses and bodies before the answer, and in it, with their To-tags; the answer's remote port.
type Early<'a> = (&'a [(u16, &'a str, &'a str)], u16);

#[test]
fn whatever_comes_before_the_answer_the_call_comes_up() {
    let moved = ANSWER.replace("30000", "30002");
    let other = ANSWER.replace("30000", "30004");
    let rows: [Early<'_>; 7] = [
        // 183 without a description, then ringing.
        (
            &[(183, "a", ""), (180, "a", ""), (200, "a", ANSWER)],
            30_000,
        ),
        // The announcement moves, and the answer is elsewhere again.
        (
            &[(183, "a", ANSWER), (183, "a", &moved), (200, "a", &other)],
            30_004,
        ),
        // Two branches with their own media, a third one answers.
        (
            &[(183, "a", ANSWER), (183, "b", &moved), (200, "c", &other)],
            30_004,
        ),
        // One branch is over before another answers (RFC 6228).
        (
            &[
                (180, "a", ""),
                (199, "a", ""),
                (180, "b", ""),
                (200, "b", ANSWER),
            ],
            30_000,
        ),
        // Every other status below 200.
        (
            &[
                (100, "", ""),
                (181, "a", ""),
                (182, "a", ""),
                (189, "a", ""),
                (200, "a", ANSWER),
            ],
            30_000,
        ),
        // The description came with the ringing alone, and the answer has another tag.
        (&[(180, "a", ANSWER), (200, "b", "")], 30_000),
        // Nothing at all before the answer; and another 2xx than 200.
        (&[(202, "a", ANSWER)], 30_000),
    ];
    for (answers, port) in rows {
        let (mut line, invite) = Line::dialled();
        for (status, tag, body) in answers {
            line.answer(&invite, *status, tag, body);
        }
        let acks = line.requests();
        assert_eq!(acks.len(), 1, "{answers:?}");
        let Some(LegEvent::Answered(answer)) = line.events.last() else {
            panic!("{answers:?}: {:?}", line.events);
        };
        assert_eq!(answer.remote.port(), port, "{answers:?}");
        line.hang_up();
        assert_eq!(
            line.request(Method::Bye).headers.to_tag(),
            acks[0].headers.to_tag()
        );
    }
}

#[test]
fn every_way_of_refusing_is_acked_and_told_by_its_status() {
    for status in [
        300, 302, 305, 380, 400, 404, 410, 415, 420, 433, 480, 484, 486, 487, 488, 489, 500, 502,
        504, 513, 580, 600, 603, 604, 606, 607, 608,
    ] {
        let (mut line, invite) = Line::dialled();
        line.answer(&invite, status, "a", "");
        let ack = line.request(Method::Ack);
        assert_eq!(ack.headers.branch(), invite.headers.branch(), "{status}");
        let why = if status < 400 {
            EndCause::Redirected
        } else {
            EndCause::Rejected
        };
        line.ended_as(why, Some(status));
        line.comes_to_rest();
    }
}

#[test]
fn an_early_dialog_may_be_changed_and_asked_before_the_answer() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 183, "a", ANSWER);
    let moved = ANSWER.replace("30000", "30002");
    for (cseq, method, extra, body, status) in [
        (
            1,
            "UPDATE",
            "Content-Type: application/sdp\r\n",
            moved.as_str(),
            200,
        ),
        (2, "UPDATE", "", "", 200),
        (
            3,
            "UPDATE",
            "Content-Type: application/sdp\r\n",
            "nonsense",
            488,
        ),
        (4, "OPTIONS", "", "", 200),
        (
            5,
            "INFO",
            "Content-Type: application/dtmf-relay\r\n",
            "Signal=5\r\nDuration=160\r\n",
            200,
        ),
        (6, "PRACK", "", "", 481),
        (7, "REFER", "", "", 481),
    ] {
        line.deliver(&peer_request(&invite, "a", method, cseq, extra, body));
        let answer = line.response();
        assert_eq!(answer.status, status, "{method} {cseq}");
        let is_target_refresh = method == "UPDATE" && status == 200;
        assert!(!is_target_refresh || answer.headers.first("Contact").is_some());
    }
    line.answer(&invite, 200, "a", "");
    line.request(Method::Ack);
    let Some(LegEvent::Answered(answer)) = line.events.last() else {
        panic!("{:?}", line.events);
    };
    assert_eq!(answer.remote.port(), 30_002, "as the UPDATE left it");
}

#[test]
fn headers_in_every_shape_are_read() {
    let (mut line, invite) = Line::dialled();
    let header = |name| invite.headers.first(name).unwrap_or_default().to_owned();
    // Compact, folded, blanks before the colon, several values in a line, a display name with commas and brackets.
    let answer = format!(
        "SIP/2.0 200 \r\nv : {}\r\nf:\r\n {}\r\nt: \"Wang, \\\"<7>\\\" Ward\" <sip:x@192.0.2.20>;x=\"a,b\";tag=a\r\n\
         i: {}\r\nCSEQ:\t1\r\n   INVITE\r\nm: \"a, b\" <sip:one@192.0.2.20:5090;p=1,2>;q=0.1, <sip:two@192.0.2.20>\r\n\
         record-route: <sip:192.0.2.20:5061;lr>,\r\n <sip:192.0.2.20:5062;lr>\r\nc: application/SDP ; charset=utf-8\r\n\
         k: timer , 100rel\r\nX-Odd: \r\nl: {}\r\n\r\n{ANSWER}",
        header("Via"),
        header("From"),
        header("Call-ID"),
        ANSWER.len()
    );
    line.deliver(answer.as_bytes());
    let ack = line.request(Method::Ack);
    assert_eq!(ack.uri, "sip:one@192.0.2.20:5090;p=1,2");
    let routes: Vec<&str> = ack.headers.all("Route").collect();
    assert_eq!(
        routes,
        ["<sip:192.0.2.20:5062;lr>", "<sip:192.0.2.20:5061;lr>"]
    );
    assert_eq!(line.sent_to, Some(at(20, 5_062)));
    assert_eq!(ack.headers.to_tag().as_deref(), Some("a"));
}

#[test]
fn what_a_peer_must_not_ask_is_refused_and_the_call_goes_on() {
    let (mut line, invite) = Line::answered();
    for (cseq, method, extra, status) in [
        (1, "INVITE", "Require: replaces, X-new\r\n", 420),
        (2, "UPDATE", "Require: precondition\r\n", 420),
        (3, "INVITE", "Content-Type: text/plain\r\n", 415),
        (4, "SUBSCRIBE", "Event: dialog\r\n", 405),
        (5, "MESSAGE", "", 405),
        (6, "WHATEVER", "", 501),
        (
            7,
            "INVITE",
            "Session-Expires: 30\r\nSupported: timer\r\n",
            422,
        ),
    ] {
        line.deliver(&peer_request(&invite, "a", method, cseq, extra, "hello"));
        let answer = line.response();
        assert_eq!(answer.status, status, "{method}");
        let named = match status {
            420 => answer
                .headers
                .first("Unsupported")
                .is_some_and(|tags| !tags.contains("timer")),
            405 => answer.headers.first("Allow").is_some(),
            415 => answer.headers.first("Accept").is_some(),
            422 => answer.headers.first("Min-SE") == Some("90"),
            _ => true,
        };
        assert!(named, "{status} says what would do");
    }
    assert!(line.is_open());
    line.hang_up();
    line.request(Method::Bye);
}

#[test]
fn a_call_whose_bye_outruns_its_ack_ends_once() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 200, "a", ANSWER);
    line.requests();
    line.deliver(&peer_request(
        &invite,
        "a",
        "BYE",
        1,
        "Reason: SIP;cause=200, Q.850;cause=31;text=\"x, y\"\r\n",
        "",
    ));
    assert_eq!(line.response().status, 200);
    // The ACK was lost: the 200 comes again, and is acked again, and nothing more happens.
    line.answer(&invite, 200, "a", ANSWER);
    line.request(Method::Ack);
    line.ended_as(EndCause::RemoteBye, Some(200));
    assert_eq!(line.ending().q850_cause, Some(31));
    line.comes_to_rest();
}

#[test]
fn a_call_that_wants_reliable_ringing_and_our_offer_is_not_rung_but_answered() {
    let invite = "INVITE sip:robot@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKi\r\n\
        From: <tel:+8613800138000>;tag=a\r\nTo: <sip:robot@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 9 INVITE\r\n\
        Contact: <sip:x@192.0.2.20>\r\nRequire: 100rel\r\nContent-Length: 0\r\n\r\n";
    let mut line = Line::rung(invite.as_bytes());
    assert_eq!(line.response().status, 100);
    line.decide(|leg, now| leg.ring(now));
    assert!(line.is_quiet(), "its 180 would have to hold our offer");
    line.decide(|leg, now| leg.accept(now));
    let answer = line.response();
    assert!(answer.status == 200 && !answer.body.is_empty());
    let ack = invite.replace("INVITE", "ACK").replace(
        "Content-Length: 0",
        &format!("Content-Length: {}", ANSWER.len()),
    );
    line.deliver(format!("{ack}{ANSWER}").as_bytes());
    assert!(matches!(line.events.last(), Some(LegEvent::Answered(_))));
    assert_eq!(target(20).address, at(20, 5_060));
}
