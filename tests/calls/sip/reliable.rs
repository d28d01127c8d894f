//! Reliable provisional answers (RFC 3262): PRACK in the early dialog, each answer acknowledged once and in order.

use aftercall_core::sip::event::LegEvent;
use aftercall_core::sip::message::{Method, Request};

use super::peer::{ANSWER, Line, config};

fn reliable(rseq: &str) -> [(&str, &str); 2] {
    [("Require", "100rel"), ("RSeq", rseq)]
}

/// Delivers a reliable 183 of `tag`; the PRACK it got.
fn pracked(line: &mut Line, invite: &Request, tag: &str, rseq: &str) -> Request {
    line.answer_with(invite, 183, tag, ANSWER, &reliable(rseq));
    line.request(Method::Prack)
}

#[test]
fn we_offer_reliable_answers_and_never_require_them() {
    let (_, invite) = Line::dialled();
    assert!(invite.headers.lists("Supported", "100rel"));
    assert_eq!(invite.headers.first("Require"), None);
    let mut plain = config();
    plain.reliable_provisional = false;
    let invite = Line::with(plain).request(Method::Invite);
    assert!(!invite.headers.lists("Supported", "100rel"));
}

#[test]
fn a_prack_names_what_it_acknowledges_and_runs_in_the_early_dialog() {
    let (mut line, invite) = Line::dialled();
    let mut extra = reliable("4711").to_vec();
    extra.push(("Record-Route", "<sip:p.example;lr>"));
    line.answer_with(&invite, 183, "a", ANSWER, &extra);
    let prack = line.request(Method::Prack);
    assert_eq!(prack.headers.first("RAck"), Some("4711 1 INVITE"));
    assert_eq!(prack.headers.cseq(), Some((2, Method::Prack)));
    assert_eq!(prack.headers.to_tag().as_deref(), Some("a"));
    assert_eq!(prack.headers.first("Route"), Some("<sip:p.example;lr>"));
    assert_eq!(prack.uri, "sip:callee@192.0.2.20:5060;branch=a");
    assert!(prack.body.is_empty());
    line.answer(&prack, 200, "a", "");
    // The next one of the same dialog counts on; the answer needs no description any more.
    line.answer_with(&invite, 180, "a", "", &reliable("4712"));
    let next = line.request(Method::Prack);
    assert_eq!(next.headers.first("RAck"), Some("4712 1 INVITE"));
    assert_eq!(next.headers.cseq(), Some((3, Method::Prack)));
    line.answer(&next, 200, "a", "");
    line.answer(&invite, 200, "a", "");
    line.request(Method::Ack);
    assert!(matches!(line.events.last(), Some(LegEvent::Answered(_))));
    line.hang_up();
    assert_eq!(
        line.request(Method::Bye).headers.cseq(),
        Some((4, Method::Bye))
    );
}

#[test]
fn what_is_not_reliable_gets_no_prack() {
    for extra in [
        vec![],
        vec![("RSeq", "1")],
        vec![("Require", "100rel")],
        vec![("Require", "100rel"), ("RSeq", "undefined")],
    ] {
        let (mut line, invite) = Line::dialled();
        line.answer_with(&invite, 183, "a", ANSWER, &extra);
        assert!(line.is_quiet(), "{extra:?}");
        assert!(matches!(line.events.last(), Some(LegEvent::EarlyMedia(_))));
    }
}

#[test]
fn a_repeated_answer_gets_the_same_prack_and_one_out_of_order_gets_none() {
    let (mut line, invite) = Line::dialled();
    let prack = pracked(&mut line, &invite, "a", "7");
    line.events.clear();
    line.answer(&prack, 200, "a", "");
    assert_eq!(pracked(&mut line, &invite, "a", "7"), prack);
    line.answer_with(&invite, 180, "a", "", &reliable("9"));
    assert!(line.is_quiet() && line.events.is_empty(), "8 is missing");
    line.answer_with(&invite, 180, "a", "", &reliable("8"));
    assert_eq!(
        line.request(Method::Prack).headers.first("RAck"),
        Some("8 1 INVITE")
    );
    assert_eq!(line.events, [LegEvent::Ringing { status: 180 }]);
}

#[test]
fn each_branch_of_a_fork_has_a_count_of_its_own() {
    let (mut line, invite) = Line::dialled();
    let one = pracked(&mut line, &invite, "a", "100");
    let two = pracked(&mut line, &invite, "b", "5");
    assert_eq!(two.headers.first("RAck"), Some("5 1 INVITE"));
    assert_eq!(two.headers.to_tag().as_deref(), Some("b"));
    assert_ne!(one.headers.branch(), two.headers.branch());
}

#[test]
fn a_prack_is_repeated_until_it_is_answered_and_its_loss_ends_nothing() {
    let (mut line, invite) = Line::dialled();
    let prack = pracked(&mut line, &invite, "a", "1");
    line.pass_seconds(33);
    let again = line.requests();
    assert_eq!(again.len(), 10);
    assert!(again.iter().all(|repeated| *repeated == prack));
    assert!(line.is_open());
}

#[test]
fn a_challenged_prack_goes_again_signed_with_the_same_rack() {
    let (mut line, invite) = Line::dialled();
    let prack = pracked(&mut line, &invite, "a", "1");
    let challenge = "Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
    line.answer_with(&prack, 407, "a", "", &[("Proxy-Authenticate", challenge)]);
    let again = line.request(Method::Prack);
    assert_eq!(again.headers.first("RAck"), Some("1 1 INVITE"));
    assert_eq!(again.headers.cseq(), Some((3, Method::Prack)));
    assert!(again.headers.first("Proxy-Authorization").is_some());
}

#[test]
fn hanging_up_after_a_reliable_answer_cancels_and_ends() {
    let (mut line, invite) = Line::dialled();
    let prack = pracked(&mut line, &invite, "a", "1");
    line.hang_up();
    let cancel = line.request(Method::Cancel);
    line.answer(&cancel, 200, "a", "");
    line.answer(&prack, 481, "a", "");
    line.answer(&invite, 487, "a", "");
    line.request(Method::Ack);
    assert!(!line.is_open());
    line.comes_to_rest();
}
