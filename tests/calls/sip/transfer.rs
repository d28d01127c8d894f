//! Handing the callee on (RFC 3515): every order in which the answer, the notices and the end may come.

use aftercall_core::sip::event::{EndCause, LegEvent, Timer, Transfer};
use aftercall_core::sip::message::{Method, Request};

use super::peer::{Line, peer_request};

const NURSE: &str = "sip:200@192.0.2.30";
const GOING: &str =
    "Event: refer\r\nSubscription-State: active;expires=60\r\nContent-Type: message/sipfrag\r\n";
const OVER: &str = "Event: refer;id=2\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag;version=2.0\r\n";

/// An answered call in which the nurse was asked for.
fn referring() -> (Line, Request, Request) {
    let (mut line, invite) = Line::answered();
    assert!(line.refer(NURSE));
    assert!(!line.refer(NURSE), "one at a time");
    let refer = line.request(Method::Refer);
    (line, invite, refer)
}

/// The peer tells how it goes; we always take note.
fn notify(line: &mut Line, invite: &Request, cseq: u32, headers: &str, body: &str) {
    line.deliver(&peer_request(invite, "a", "NOTIFY", cseq, headers, body));
    assert_eq!(line.response().status, 200);
}

fn steps(line: &Line) -> Vec<Transfer> {
    let events = line.events.iter();
    events
        .filter_map(|event| match event {
            LegEvent::Transfer(transfer) => Some(*transfer),
            _ => None,
        })
        .collect()
}

#[test]
fn a_transfer_is_followed_to_the_answer_of_the_nurse() {
    let (mut line, invite, refer) = referring();
    assert_eq!(
        refer.headers.first("Refer-To"),
        Some("<sip:200@192.0.2.30>")
    );
    assert_eq!(
        refer.headers.first("Referred-By"),
        Some("<sip:robot@hospital.example>")
    );
    assert_eq!(refer.headers.cseq(), Some((2, Method::Refer)));
    line.answer(&refer, 202, "a", "");
    notify(&mut line, &invite, 1, GOING, "SIP/2.0 100 Trying\r\n");
    notify(&mut line, &invite, 2, GOING, "SIP/2.0 180 Ringing\r\n");
    notify(&mut line, &invite, 3, GOING, "SIP/2.0 180 Ringing\r\n");
    notify(
        &mut line,
        &invite,
        4,
        OVER,
        "SIP/2.0 200 OK\r\nTo: <sip:200@192.0.2.30>\r\n",
    );
    let told = steps(&line);
    assert_eq!(
        told,
        [
            Transfer::Accepted,
            Transfer::Trying { status: 100 },
            Transfer::Trying { status: 180 },
            Transfer::Ended { status: Some(200) },
        ]
    );
    assert!(told[3].has_succeeded() && !line.leg.awaits_transfer());
    // Said again, it is taken note of, and told no more.
    notify(&mut line, &invite, 5, OVER, "SIP/2.0 200 OK\r\n");
    assert_eq!(steps(&line).len(), 4);
    line.hang_up();
    line.request(Method::Bye);
    line.ended_as(EndCause::LocalBye, Some(200));
}

#[test]
fn each_way_in_which_a_transfer_fails_is_told_and_the_call_goes_on() {
    let unknown = Transfer::Ended { status: None };
    // The answer to the REFER, the notice, and what is told in the end.
    let cases = [
        (603, None, Transfer::Refused { status: Some(603) }),
        (405, None, Transfer::Refused { status: Some(405) }),
        (
            202,
            Some((OVER, "SIP/2.0 486 Busy Here\r\n")),
            Transfer::Ended { status: Some(486) },
        ),
        // FreeSWITCH has been seen to leave the body out.
        (202, Some((OVER, "")), unknown),
        (202, Some((OVER, "\0rubbish")), unknown),
        (202, Some((OVER, "SIP/2.0 180 Ringing\r\n")), unknown),
    ];
    for (status, notice, outcome) in cases {
        let (mut line, invite, refer) = referring();
        line.answer(&refer, status, "a", "");
        if let Some((headers, body)) = notice {
            notify(&mut line, &invite, 1, headers, body);
        }
        assert_eq!(steps(&line).last(), Some(&outcome), "{status} {notice:?}");
        assert!(!outcome.has_succeeded() && line.is_open());
        assert!(line.refer(NURSE), "another try may be made");
    }
}

#[test]
fn a_transfer_that_nobody_answers_or_tells_of_ends_by_itself() {
    let (mut line, ..) = referring();
    let timers = line.pass_seconds(33);
    assert!(timers.contains(&Timer::RequestRetransmit));
    assert_eq!(steps(&line), [Transfer::Refused { status: None }]);
    let (mut line, invite, refer) = referring();
    line.answer(&refer, 202, "a", "");
    line.pass_seconds(80);
    // A grant keeps the wait up.
    notify(&mut line, &invite, 1, GOING, "SIP/2.0 180 Ringing\r\n");
    line.pass_seconds(50);
    assert!(line.leg.awaits_transfer());
    assert_eq!(line.pass_seconds(11), [Timer::Transfer]);
    assert_eq!(steps(&line).last(), Some(&Transfer::Ended { status: None }));
}

#[test]
fn the_notice_may_come_before_the_answer_and_the_answer_may_want_a_password() {
    let (mut line, invite, refer) = referring();
    notify(&mut line, &invite, 1, OVER, "SIP/2.0 200 OK\r\n");
    line.answer(&refer, 202, "a", "");
    assert_eq!(steps(&line), [Transfer::Ended { status: Some(200) }]);
    let (mut line, _, refer) = referring();
    let asks = "Digest realm=\"pbx\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"";
    line.answer_with(&refer, 407, "a", "", &[("Proxy-Authenticate", asks)]);
    let again = line.request(Method::Refer);
    assert!(again.headers.first("Proxy-Authorization").is_some());
    assert_eq!(
        again.headers.first("Refer-To"),
        refer.headers.first("Refer-To")
    );
    line.answer(&again, 202, "a", "");
    assert_eq!(steps(&line), [Transfer::Accepted]);
}

#[test]
fn a_peer_that_hangs_up_before_its_last_notice_is_still_listened_to() {
    let (mut line, invite, refer) = referring();
    line.answer(&refer, 202, "a", "");
    line.deliver(&peer_request(&invite, "a", "BYE", 1, "", ""));
    assert_eq!(line.response().status, 200);
    line.ended_as(EndCause::RemoteBye, Some(200));
    assert!(line.leg.awaits_transfer());
    notify(&mut line, &invite, 2, OVER, "SIP/2.0 200 OK\r\n");
    assert_eq!(
        steps(&line).last(),
        Some(&Transfer::Ended { status: Some(200) })
    );
    line.comes_to_rest();
    // And one that never tells is not waited for longer than a request would be.
    let (mut line, invite, refer) = referring();
    line.answer(&refer, 202, "a", "");
    line.deliver(&peer_request(&invite, "a", "BYE", 1, "", ""));
    line.response();
    line.pass_seconds(32);
    assert_eq!(steps(&line).last(), Some(&Transfer::Ended { status: None }));
    line.comes_to_rest();
}

#[test]
fn a_notice_of_a_transfer_that_nobody_asked_for_is_let_pass() {
    let (mut line, invite) = Line::answered();
    notify(&mut line, &invite, 1, OVER, "SIP/2.0 200 OK\r\n");
    assert!(steps(&line).is_empty());
}
