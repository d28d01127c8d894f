//! Session timers (RFC 4028): as refresher and as refreshed, by UPDATE and by re-INVITE, and 422.

use std::time::Duration;

use aftercall_core::sip::event::{EndCause, LegEvent, Timer};
use aftercall_core::sip::message::{Method, Request};

use super::peer::{ANSWER, Line, config, peer_request};

const UPDATE: (&str, &str) = ("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE");

/// A leg in a call whose 2xx carried these headers.
fn answered(extra: &[(&str, &str)]) -> (Line, Request) {
    let (mut line, invite) = Line::dialled();
    line.answer_with(&invite, 200, "a", ANSWER, extra);
    line.request(Method::Ack);
    line.events.clear();
    (line, invite)
}

#[test]
fn the_invite_asks_for_the_interval_that_the_trunk_wants() {
    let (_, invite) = Line::dialled();
    assert!(invite.headers.lists("Supported", "timer"));
    assert_eq!(invite.headers.first("Session-Expires"), None);
    let mut timed = config();
    timed.session_expires = Some(Duration::from_secs(1_800));
    let invite = Line::with(timed).request(Method::Invite);
    assert_eq!(invite.headers.first("Session-Expires"), Some("1800"));
}

#[test]
fn an_interval_too_short_is_asked_again_with_the_least_that_was_named() {
    let mut timed = config();
    timed.session_expires = Some(Duration::from_secs(90));
    let mut line = Line::with(timed);
    let invite = line.request(Method::Invite);
    line.answer_with(&invite, 422, "x", "", &[("Min-SE", "120")]);
    let sent = line.requests();
    assert_eq!(sent[0].method, Method::Ack);
    let again = &sent[1];
    assert_eq!(again.headers.first("Session-Expires"), Some("120"));
    assert_eq!(again.headers.first("Min-SE"), Some("120"));
    assert_eq!(again.headers.cseq(), Some((2, Method::Invite)));
    assert_eq!(again.headers.call_id(), invite.headers.call_id());
    assert_eq!(again.headers.from_tag(), invite.headers.from_tag());
    assert_ne!(again.headers.branch(), invite.headers.branch());
    // The next proxy wants more still; a 422 that asks for nothing longer is the end.
    line.answer_with(again, 422, "x", "", &[("Min-SE", "600")]);
    let third = line.requests().remove(1);
    assert_eq!(third.headers.first("Session-Expires"), Some("600"));
    line.answer_with(&third, 422, "x", "", &[("Min-SE", "600")]);
    line.request(Method::Ack);
    line.ended_as(EndCause::Rejected, Some(422));
}

#[test]
fn a_422_for_ever_ends_the_call() {
    let (mut line, mut invite) = Line::dialled();
    for least in 1..10 {
        line.answer_with(&invite, 422, "x", "", &[("Min-SE", &format!("{least}00"))]);
        match line.requests().pop() {
            Some(next) if next.method == Method::Invite => invite = next,
            _ => break,
        }
    }
    line.ended_as(EndCause::Rejected, Some(422));
}

#[test]
fn we_refresh_by_update_at_half_the_interval() {
    let (mut line, invite) = answered(&[("Session-Expires", "1800;refresher=uac"), UPDATE]);
    assert!(line.pass_seconds(899).is_empty());
    assert_eq!(line.pass_seconds(1), [Timer::SessionRefresh]);
    let update = line.request(Method::Update);
    assert_eq!(
        update.headers.first("Session-Expires"),
        Some("1800;refresher=uac")
    );
    assert!(update.headers.lists("Supported", "timer") && update.body.is_empty());
    assert_eq!(update.headers.first("From"), invite.headers.first("From"));
    let expires = [("Session-Expires", "1800;refresher=uac")];
    line.answer_with(&update, 200, "a", "", &expires);
    line.pass_seconds(899);
    assert!(line.is_quiet());
    line.pass_seconds(1);
    line.request(Method::Update);
}

#[test]
fn a_peer_without_update_is_refreshed_by_a_reinvite_with_the_same_description() {
    let (mut line, invite) = answered(&[("Session-Expires", "600;refresher=uac")]);
    line.pass_seconds(300);
    let again = line.request(Method::Invite);
    assert_eq!(
        again.body, invite.body,
        "same version, nothing to negotiate"
    );
    assert_eq!(again.headers.to_tag().as_deref(), Some("a"));
    assert_eq!(again.headers.cseq(), Some((2, Method::Invite)));
    let expires = [("Session-Expires", "600;refresher=uac")];
    line.answer(&again, 100, "", "");
    line.answer_with(&again, 200, "a", ANSWER, &expires);
    let ack = line.request(Method::Ack);
    assert_eq!(ack.headers.cseq(), Some((2, Method::Ack)));
    assert_ne!(ack.headers.branch(), again.headers.branch());
    line.answer_with(&again, 200, "a", ANSWER, &expires);
    assert_eq!(
        line.request(Method::Ack),
        ack,
        "a repeated 2xx gets its ACK again"
    );
    assert!(line.events.is_empty());
    line.hang_up();
    assert_eq!(
        line.request(Method::Bye).headers.cseq(),
        Some((3, Method::Bye))
    );
}

#[test]
fn a_refresh_may_be_challenged_refused_or_collide_and_goes_again() {
    let (mut line, _) = answered(&[("Session-Expires", "1800;refresher=uac"), UPDATE]);
    line.pass_seconds(900);
    let update = line.request(Method::Update);
    let challenge = "Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\"";
    line.answer_with(&update, 401, "a", "", &[("WWW-Authenticate", challenge)]);
    let signed = line.request(Method::Update);
    assert!(signed.headers.first("Authorization").is_some());
    assert_eq!(signed.headers.cseq(), Some((3, Method::Update)));
    // Too short for the peer by now.
    line.answer_with(&signed, 422, "a", "", &[("Min-SE", "2000")]);
    let longer = line.request(Method::Update);
    assert_eq!(
        longer.headers.first("Session-Expires"),
        Some("2000;refresher=uac")
    );
    assert_eq!(longer.headers.first("Min-SE"), Some("2000"));
    // Collides with one of the peer's.
    line.answer(&longer, 491, "a", "");
    assert!(line.is_quiet());
    line.pass(Duration::from_millis(2_000));
    assert!(line.is_quiet(), "the owner of the Call-ID waits 2.1 to 4 s");
    line.pass(Duration::from_millis(2_000));
    let again = line.requests().remove(0);
    assert_eq!(again.method, Method::Update);
    // Does not take UPDATE after all.
    line.answer(&again, 405, "a", "");
    let reinvite = line.request(Method::Invite);
    line.answer(&reinvite, 500, "a", "");
    line.request(Method::Ack);
    line.pass_seconds(10);
    let reinvite = line.request(Method::Invite);
    line.answer(&reinvite, 200, "a", ANSWER);
    line.request(Method::Ack);
    // This 2xx knows no timers: the session has no end any more.
    assert!(line.pass_seconds(10_000).is_empty());
    assert!(line.is_open());
}

#[test]
fn a_refresh_that_nobody_answers_or_that_finds_no_call_ends_it() {
    for (extra, method) in [(vec![UPDATE], Method::Update), (vec![], Method::Invite)] {
        let mut headers = vec![("Session-Expires", "1800;refresher=uac")];
        headers.extend(extra);
        let (mut line, _) = answered(&headers);
        line.pass_seconds(900);
        let refresh = line.request(method.clone());
        line.answer(&refresh, 481, "a", "");
        let bye = line.requests().pop().expect("a BYE");
        assert_eq!(bye.method, Method::Bye);
        line.ended_as(EndCause::NoResponse, Some(200));
        line.answer(&bye, 481, "a", "");
        line.comes_to_rest();

        let (mut line, _) = answered(&headers);
        line.pass_seconds(900 + 33);
        assert!(
            line.requests()
                .iter()
                .any(|request| request.method == Method::Bye)
        );
        line.ended_as(EndCause::NoResponse, Some(200));
        line.comes_to_rest();
    }
}

#[test]
fn a_session_that_the_peer_does_not_refresh_ends_before_its_time() {
    let (mut line, _) = answered(&[("Session-Expires", "90;refresher=uas")]);
    // 90 - min(32, 90 / 3) = 60 s.
    line.pass_seconds(59);
    assert!(line.is_quiet() && line.is_open());
    assert_eq!(line.pass_seconds(1), [Timer::SessionExpires]);
    line.request(Method::Bye);
    line.ended_as(EndCause::SessionExpired, Some(200));
    line.comes_to_rest();
}

#[test]
fn each_refresh_of_the_peer_begins_the_interval_anew_and_is_confirmed() {
    let (mut line, invite) = answered(&[("Session-Expires", "90;refresher=uas")]);
    let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    for cseq in 1..4 {
        line.pass_seconds(50);
        line.deliver(&peer_request(&invite, "a", "UPDATE", cseq, timer, ""));
        let response = line.response();
        assert_eq!(response.status, 200);
        assert_eq!(
            response.headers.first("Session-Expires"),
            Some("90;refresher=uac")
        );
        assert!(response.headers.lists("Require", "timer"));
    }
    assert!(line.is_open());
}

#[test]
fn the_refresher_changes_when_the_peer_says_so() {
    let (mut line, invite) = answered(&[("Session-Expires", "1800;refresher=uac"), UPDATE]);
    let sdp = "Content-Type: application/sdp\r\nSupported: timer\r\n";
    let theirs = format!("{sdp}Session-Expires: 1800;refresher=uac\r\n");
    line.deliver(&peer_request(&invite, "a", "INVITE", 1, &theirs, ANSWER));
    assert_eq!(
        line.response().headers.first("Session-Expires"),
        Some("1800;refresher=uac")
    );
    line.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
    line.pass_seconds(901);
    assert!(line.is_quiet(), "the peer refreshes now");
    let ours = format!("{sdp}Session-Expires: 1800;refresher=uas\r\n");
    line.deliver(&peer_request(&invite, "a", "INVITE", 2, &ours, ANSWER));
    assert_eq!(
        line.response().headers.first("Session-Expires"),
        Some("1800;refresher=uas")
    );
    line.deliver(&peer_request(&invite, "a", "ACK", 2, "", ""));
    line.pass_seconds(900);
    line.request(Method::Update);
}

#[test]
fn an_interval_below_the_least_is_refused_with_ours_and_the_call_goes_on() {
    let (mut line, invite) = Line::answered();
    let short = "Supported: timer\r\nSession-Expires: 30;refresher=uac\r\n";
    line.deliver(&peer_request(&invite, "a", "UPDATE", 1, short, ""));
    let response = line.response();
    assert_eq!(response.status, 422);
    assert_eq!(response.headers.first("Min-SE"), Some("90"));
    assert!(line.is_open());
}

#[test]
fn a_reinvite_that_meets_ours_is_sent_back() {
    let (mut line, invite) = answered(&[("Session-Expires", "600;refresher=uac")]);
    line.pass_seconds(300);
    let ours = line.request(Method::Invite);
    let sdp = "Content-Type: application/sdp\r\n";
    for (cseq, method) in [(1, "INVITE"), (2, "UPDATE")] {
        line.deliver(&peer_request(&invite, "a", method, cseq, sdp, ANSWER));
        assert_eq!(line.response().status, 491);
    }
    line.answer(&ours, 200, "a", &ANSWER.replace("30000", "30004"));
    line.request(Method::Ack);
    let [LegEvent::MediaChanged(answer)] = &line.events[..] else {
        panic!("{:?}", line.events)
    };
    assert_eq!(answer.remote.port(), 30_004);
}

#[test]
fn a_session_interval_of_any_size_and_shape_is_borne() {
    for value in [
        "0",
        "1;refresher=uac",
        "99999999999999999999",
        "x",
        "",
        "5;refresher=",
        ";;",
        "4294967296;refresher=uac",
    ] {
        let (mut line, _) = answered(&[("Session-Expires", value), UPDATE]);
        line.pass_seconds(200);
        line.hang_up();
        line.comes_to_rest();
    }
}
