//! Several targets, 503, 3xx: where the INVITE goes next, and what becomes of the one that was given up.

use std::time::Duration;

use aftercall_core::sip::event::{EndCause, LegConfig, LegEvent, RedirectHost, Target, Transport};
use aftercall_core::sip::message::{Method, Request};

use super::peer::{ANSWER, Line, config, target};

fn by_tcp(host: u8) -> Target {
    Target {
        transport: Transport::Tcp,
        ..target(host)
    }
}

fn two_targets() -> (Line, Request) {
    let mut line = Line::with(LegConfig {
        targets: vec![target(20), target(30)],
        ..config()
    });
    let invite = line.request(Method::Invite);
    (line, invite)
}

fn allowing(hosts: &[(&str, Option<u16>, u8)]) -> (Line, Request) {
    let redirects = hosts.iter().map(|(host, port, last)| RedirectHost {
        host: (*host).to_owned(),
        port: *port,
        ip: [192, 0, 2, *last].into(),
    });
    let mut line = Line::with(LegConfig {
        redirects: redirects.collect(),
        ..config()
    });
    let invite = line.request(Method::Invite);
    (line, invite)
}

/// Refuses `request`; the ACK is looked at, the INVITE after it given.
fn refused(
    line: &mut Line,
    request: &Request,
    status: u16,
    extra: &[(&str, &str)],
) -> Option<Request> {
    line.answer_with(request, status, "x", "", extra);
    let mut sent = line.requests();
    assert_eq!(sent.remove(0).method, Method::Ack);
    sent.pop()
}

#[test]
fn a_silent_target_is_left_for_the_next_at_the_first_answer_limit() {
    let (mut line, first) = two_targets();
    line.pass_seconds(6);
    let mut sent = line.requests();
    let second = sent.pop().expect("an INVITE");
    assert!(sent.iter().all(|repeated| *repeated == first));
    assert_eq!(line.sent_to, Some(target(30).address));
    assert_eq!(second.uri, target(30).request_uri);
    assert_eq!(second.headers.first("To"), first.headers.first("To"));
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert_eq!(second.headers.cseq(), Some((2, Method::Invite)));
    assert_ne!(second.headers.branch(), first.headers.branch());
    assert_eq!(line.rests, [(target(20).address, Duration::from_secs(30))]);
    // The first one wakes up: it must not ring beside the second.
    line.answer(&first, 180, "slow", "");
    let cancel = line.request(Method::Cancel);
    assert_eq!(cancel.headers.branch(), first.headers.branch());
    assert_eq!(line.sent_to, Some(target(20).address));
    line.answer(&cancel, 200, "slow", "");
    line.answer(&first, 487, "slow", "");
    line.request(Method::Ack);
    assert!(line.is_open());
    line.answer(&second, 200, "b", ANSWER);
    assert_eq!(
        line.request(Method::Ack).headers.cseq(),
        Some((2, Method::Ack))
    );
    line.hang_up();
    assert_eq!(
        line.request(Method::Bye).headers.to_tag().as_deref(),
        Some("b")
    );
    assert_eq!(line.sent_to, Some(target(30).address));
    line.comes_to_rest();
}

#[test]
fn the_given_up_target_that_answers_first_has_the_call_and_the_other_is_cancelled() {
    let (mut line, first) = two_targets();
    line.pass_seconds(7);
    let second = line.requests().pop().expect("an INVITE");
    line.answer(&second, 180, "b", "");
    line.answer(&first, 200, "a", ANSWER);
    let sent = line.requests();
    assert_eq!(
        (&sent[0].method, &sent[1].method),
        (&Method::Ack, &Method::Cancel)
    );
    assert_eq!(sent[1].headers.branch(), second.headers.branch());
    assert!(matches!(line.events.last(), Some(LegEvent::Answered(_))));
    // It was answered at the same moment: that one is hung up on, the call stands.
    line.answer(&second, 200, "b", ANSWER);
    let sent = line.requests();
    assert_eq!(
        (&sent[0].method, &sent[1].method),
        (&Method::Ack, &Method::Bye)
    );
    assert_eq!(sent[1].headers.to_tag().as_deref(), Some("b"));
    assert!(line.is_open());
}

#[test]
fn when_all_targets_keep_silent_the_call_has_failed() {
    let (mut line, _) = two_targets();
    line.pass_seconds(13);
    line.ended_as(EndCause::NoResponse, None);
    assert_eq!(line.rests.len(), 2);
    line.requests();
    line.comes_to_rest();
}

#[test]
fn a_503_goes_on_to_the_next_target_and_names_its_rest() {
    for (extra, seconds) in [
        (vec![("Retry-After", "120 (maintenance);duration=60")], 120),
        (vec![], 30),
        (vec![("Retry-After", "999999999999")], 600),
    ] {
        let (mut line, first) = two_targets();
        let second = refused(&mut line, &first, 503, &extra).expect("an INVITE");
        assert_eq!(second.uri, target(30).request_uri);
        assert_eq!(
            line.rests,
            [(target(20).address, Duration::from_secs(seconds))]
        );
        assert!(refused(&mut line, &second, 503, &extra).is_none());
        line.ended_as(EndCause::Rejected, Some(503));
        line.comes_to_rest();
    }
}

#[test]
fn busy_and_declined_are_answers_and_no_other_target_is_tried() {
    for status in [486, 480, 404, 403, 500, 603, 607] {
        let (mut line, first) = two_targets();
        assert!(refused(&mut line, &first, status, &[]).is_none());
        line.ended_as(EndCause::Rejected, Some(status));
        assert!(line.rests.is_empty());
    }
}

#[test]
fn hanging_up_between_targets_ends_it() {
    let (mut line, first) = two_targets();
    line.answer(&first, 100, "", "");
    line.hang_up();
    line.request(Method::Cancel);
    assert!(refused(&mut line, &first, 503, &[]).is_none());
    line.ended_as(EndCause::Cancelled, Some(503));
}

#[test]
fn a_redirect_is_followed_to_an_allowed_host_only() {
    let hosts = [("gw.example", None, 40), ("192.0.2.50", Some(5070), 50)];
    for (contact, expected) in [
        (
            "<sip:777@gw.example>",
            Some(("sip:777@gw.example", 40, 5060)),
        ),
        (
            "<sip:777@GW.example:5090;user=phone>;q=0.5",
            Some(("sip:777@GW.example:5090;user=phone", 40, 5090)),
        ),
        (
            "<sip:777@192.0.2.50:5070>",
            Some(("sip:777@192.0.2.50:5070", 50, 5070)),
        ),
        ("<sip:777@192.0.2.50:5060>", None),
        ("<sip:777@192.0.2.50>", None),
        ("<sip:777@elsewhere.example>", None),
        ("<sip:gw.example@elsewhere.example>", None),
        ("<sip:777@elsewhere.example?X=@gw.example>", None),
        ("<sip:777@elsewhere.example;x=@gw.example>", None),
        ("<sips:777@gw.example>", None),
        ("<tel:+4477>", None),
        ("*", None),
        ("", None),
    ] {
        let (mut line, invite) = allowing(&hosts);
        let next = refused(&mut line, &invite, 302, &[("Contact", contact)]);
        match (next, expected) {
            (Some(next), Some((uri, last, port))) => {
                assert_eq!(next.uri, uri);
                assert_eq!(line.sent_to, Some(([192, 0, 2, last], port).into()));
                assert_eq!(next.headers.first("To"), invite.headers.first("To"));
                assert_eq!(next.headers.cseq(), Some((2, Method::Invite)));
                assert_eq!(next.headers.from_tag(), invite.headers.from_tag());
                assert_eq!(next.headers.to_tag(), None);
            }
            (None, None) => line.ended_as(EndCause::Redirected, Some(302)),
            (next, _) => panic!("{contact}: {:?}", next.map(|next| next.uri)),
        }
    }
}

#[test]
fn the_most_wanted_contact_that_is_allowed_is_taken() {
    let (mut line, invite) = allowing(&[("a.example", None, 40), ("b.example", None, 41)]);
    let contacts = [
        (
            "Contact",
            "<sip:1@a.example>;q=0.2, <sip:2@bad.example>;q=0.9",
        ),
        ("Contact", "<sip:3@b.example?Replaces=x>;q=0.7"),
    ];
    let next = refused(&mut line, &invite, 300, &contacts).expect("an INVITE");
    assert_eq!(next.uri, "sip:3@b.example");
}

#[test]
fn a_redirect_in_a_circle_or_without_end_is_left() {
    let (mut line, mut invite) = allowing(&[("a.example", None, 40)]);
    for contact in ["<sip:1@a.example>", "<sip:2@a.example>"] {
        invite = refused(&mut line, &invite, 302, &[("Contact", contact)]).expect("an INVITE");
    }
    let again = [("Contact", "<sip:1@a.example>")];
    assert!(refused(&mut line, &invite, 302, &again).is_none());
    line.ended_as(EndCause::Redirected, Some(302));

    let (mut line, mut invite) = allowing(&[("a.example", None, 40)]);
    let mut followed = 0;
    loop {
        let contact = format!("<sip:{followed}@a.example>");
        match refused(&mut line, &invite, 302, &[("Contact", &contact)]) {
            Some(next) => invite = next,
            None => break,
        }
        followed += 1;
    }
    assert_eq!(followed, 5);
    line.ended_as(EndCause::Redirected, Some(302));
}

#[test]
fn a_stream_repeats_nothing_and_gives_up_in_the_same_time() {
    let mut line = Line::with(LegConfig {
        targets: vec![by_tcp(20)],
        ..config()
    });
    let invite = line.request(Method::Invite);
    assert!(
        invite
            .headers
            .first("Via")
            .is_some_and(|via| via.starts_with("SIP/2.0/TCP "))
    );
    line.pass_seconds(5);
    assert!(line.is_quiet());
    line.answer(&invite, 200, "a", ANSWER);
    line.request(Method::Ack);
    line.hang_up();
    line.request(Method::Bye);
    line.pass_seconds(31);
    assert!(line.is_quiet() && !line.leg.is_finished());
    line.comes_to_rest();
}

/// Headers of the trunk that make the INVITE too large for a datagram.
fn large() -> LegConfig {
    LegConfig {
        extra_headers: vec![("X-Ward".to_owned(), "w".repeat(600))],
        ..config()
    }
}

fn via(request: &Request) -> &str {
    let via = request.headers.first("Via").unwrap_or_default();
    via.split(' ').next().unwrap_or_default()
}

#[test]
fn an_invite_too_large_for_udp_goes_by_tcp_and_the_call_stays_there() {
    let mut line = Line::large(large());
    let invite = line.request(Method::Invite);
    assert_eq!(via(&invite), "SIP/2.0/TCP");
    let contact = invite.headers.first("Contact").unwrap_or_default();
    assert!(
        !contact.contains("transport"),
        "we are reached by UDP: {contact}"
    );
    // A stream repeats by itself.
    line.pass_seconds(5);
    assert!(line.is_quiet());
    line.answer(&invite, 200, "a", ANSWER);
    assert_eq!(via(&line.request(Method::Ack)), "SIP/2.0/TCP");
    line.hang_up();
    assert_eq!(via(&line.request(Method::Bye)), "SIP/2.0/TCP");
    line.comes_to_rest();
}

#[test]
fn where_tcp_is_refused_the_large_invite_goes_by_udp_after_all() {
    let mut line = Line::large(large());
    let first = line.request(Method::Invite);
    line.refuse(target(30).address);
    assert!(line.is_quiet(), "another connection is none of ours");
    line.refuse(target(20).address);
    let second = line.request(Method::Invite);
    assert_eq!(
        (via(&second), line.sent_to),
        ("SIP/2.0/UDP", Some(target(20).address))
    );
    assert_eq!(second.headers.cseq(), Some((2, Method::Invite)));
    assert_ne!(second.headers.branch(), first.headers.branch());
    assert!(line.rests.is_empty(), "the target is well");
    line.answer(&second, 401, "x", "");
    line.request(Method::Ack);
    line.ended_as(EndCause::AuthFailed, Some(401));
    line.comes_to_rest();
}

#[test]
fn a_trunk_may_keep_its_large_invites_on_udp() {
    let mut line = Line::large(LegConfig {
        large_by_tcp: false,
        ..large()
    });
    assert_eq!(via(&line.request(Method::Invite)), "SIP/2.0/UDP");
    assert_eq!(via(&Line::dialled().1), "SIP/2.0/UDP");
}

#[test]
fn a_target_that_refuses_the_connection_is_left_at_once_for_the_next() {
    let mut line = Line::with(LegConfig {
        targets: vec![by_tcp(20), target(30)],
        ..config()
    });
    assert_eq!(via(&line.request(Method::Invite)), "SIP/2.0/TCP");
    line.refuse(target(20).address);
    let second = line.request(Method::Invite);
    assert_eq!(
        (via(&second), line.sent_to),
        ("SIP/2.0/UDP", Some(target(30).address))
    );
    assert_eq!(line.rests, [(target(20).address, Duration::from_secs(30))]);
    // What was heard is not sent again, whatever becomes of the connection.
    line.answer(&second, 100, "", "");
    line.refuse(target(30).address);
    assert!(line.is_quiet() && line.is_open());
}

#[test]
fn when_the_last_target_refuses_the_connection_the_call_has_failed() {
    let mut line = Line::with(LegConfig {
        targets: vec![by_tcp(20)],
        ..config()
    });
    line.request(Method::Invite);
    line.refuse(target(20).address);
    line.ended_as(EndCause::NoResponse, None);
    line.comes_to_rest();
}

/// A telephone rings once a call: who was told that it rings asks no other target, whatever the carrier says then.
#[test]
fn a_503_after_the_telephone_has_rung_is_the_end() {
    for status in [180, 183] {
        let (mut line, first) = two_targets();
        line.answer(&first, 100, "", "");
        line.answer(&first, status, "x", "");
        assert!(refused(&mut line, &first, 503, &[]).is_none());
        line.ended_as(EndCause::Rejected, Some(503));
        assert!(line.rests.is_empty());
        line.comes_to_rest();
    }
}
