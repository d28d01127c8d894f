//! Calls that nobody answers: busy, refused, cancelled in every way, ringing out, silence.

use std::time::Duration;

use aftercall_core::sip::event::{EndCause, LegEvent, Timer};
use aftercall_core::sip::message::Method;

use super::peer::{ANSWER, Line, config};

#[test]
fn a_refusal_is_acked_in_its_transaction_and_told_with_its_cause() {
    for (status, why) in [
        (486, EndCause::Rejected),
        (603, EndCause::Rejected),
        (404, EndCause::Rejected),
        (503, EndCause::Rejected),
        (302, EndCause::Redirected),
    ] {
        let (mut line, invite) = Line::dialled();
        line.answer(&invite, 100, "", "");
        line.answer_with(
            &invite,
            status,
            "b",
            "",
            &[("Reason", "SIP;cause=486, Q.850 ;cause=17;text=\"busy\"")],
        );
        let ack = line.request(Method::Ack);
        assert_eq!(ack.headers.branch(), invite.headers.branch());
        assert_eq!(ack.headers.cseq(), Some((1, Method::Ack)));
        assert_eq!(ack.headers.to_tag().as_deref(), Some("b"));
        line.ended_as(why, Some(status));
        assert_eq!(
            (line.ending().q850_cause, line.ending().rang),
            (Some(17), false)
        );
        // The refusal came again: so does the ACK, and nothing else is told.
        line.answer(&invite, status, "b", "");
        line.request(Method::Ack);
        line.ended_as(why, Some(status));
        line.comes_to_rest();
    }
}

#[test]
fn hanging_up_while_it_rings_sends_cancel_with_the_branch_and_cseq_of_the_invite() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 180, "a", "");
    line.hang_up();
    let cancel = line.request(Method::Cancel);
    assert_eq!(cancel.headers.branch(), invite.headers.branch());
    assert_eq!(cancel.headers.cseq(), Some((1, Method::Cancel)));
    assert_eq!((cancel.headers.to_tag(), &cancel.uri), (None, &invite.uri));
    line.hang_up();
    assert!(line.is_quiet(), "one CANCEL is enough");
    line.answer(&cancel, 200, "a", "");
    assert!(line.is_open(), "the 200 to CANCEL ends nothing");
    line.answer(&invite, 487, "a", "");
    line.request(Method::Ack);
    line.ended_as(EndCause::Cancelled, Some(487));
    assert!(line.ending().rang);
    line.answer(&invite, 487, "a", "");
    line.request(Method::Ack);
    line.comes_to_rest();
}

#[test]
fn cancel_waits_for_the_first_provisional() {
    let (mut line, invite) = Line::dialled();
    line.hang_up();
    assert!(line.is_quiet(), "no CANCEL before a 1xx");
    line.answer(&invite, 100, "", "");
    line.request(Method::Cancel);
    line.answer(&invite, 487, "a", "");
    line.request(Method::Ack);
    line.ended_as(EndCause::Cancelled, Some(487));
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acked_and_hung_up() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 180, "a", "");
    line.hang_up();
    let cancel = line.request(Method::Cancel);
    line.answer(&invite, 200, "a", ANSWER);
    let sent = line.requests();
    assert_eq!(
        sent.iter().map(|r| r.method.clone()).collect::<Vec<_>>(),
        [Method::Ack, Method::Bye]
    );
    assert_eq!(sent[1].headers.cseq(), Some((2, Method::Bye)));
    line.ended_as(EndCause::Cancelled, Some(200));
    line.answer(&cancel, 481, "a", "");
    line.answer(&sent[1], 200, "a", "");
    line.comes_to_rest();
}

#[test]
fn an_answer_before_any_provisional_and_after_hanging_up_is_acked_and_hung_up() {
    let (mut line, invite) = Line::dialled();
    line.hang_up();
    line.answer(&invite, 200, "a", ANSWER);
    assert_eq!(line.requests().len(), 2);
    line.ended_as(EndCause::Cancelled, Some(200));
}

#[test]
fn busy_that_crosses_the_cancel_still_ends_as_cancelled() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 180, "a", "");
    line.hang_up();
    line.request(Method::Cancel);
    line.answer(&invite, 486, "a", "");
    line.request(Method::Ack);
    line.ended_as(EndCause::Cancelled, Some(486));
}

#[test]
fn a_cancel_that_nobody_answers_is_repeated_and_given_up_after_32_s() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 180, "a", "");
    line.hang_up();
    let timers = line.pass_seconds(33);
    assert!(timers.contains(&Timer::GiveUp));
    // 0, 0.5, 1.5, 3.5, then every 4 s (RFC 3261 §17.1.2.2): 11 in 32 s.
    assert_eq!(line.requests().len(), 11);
    line.ended_as(EndCause::Cancelled, None);
    // It picks up the phone after all.
    line.answer(&invite, 200, "a", ANSWER);
    assert_eq!(line.requests().len(), 2);
    line.comes_to_rest();
}

#[test]
fn silence_is_given_up_at_the_first_answer_limit() {
    let (mut line, invite) = Line::dialled();
    line.pass_seconds(7);
    // 0.5, 1.5 and 3.5 s after the first (Timer A).
    let again = line.requests();
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|repeated| *repeated == invite));
    line.ended_as(EndCause::NoResponse, None);
    // The target wakes up late: it must not ring on.
    line.answer(&invite, 180, "a", "");
    let cancel = line.request(Method::Cancel);
    line.answer(&cancel, 200, "a", "");
    line.answer(&invite, 487, "a", "");
    line.request(Method::Ack);
    line.comes_to_rest();
}

#[test]
fn ringing_too_long_is_cancelled() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 100, "", "");
    line.answer(&invite, 180, "a", "");
    let timers = line.pass_seconds(46);
    assert_eq!(timers.first(), Some(&Timer::Ring));
    assert!(
        line.requests()
            .iter()
            .all(|request| request.method == Method::Cancel)
    );
    line.answer(&invite, 487, "a", "");
    line.request(Method::Ack);
    line.ended_as(EndCause::RingTimeout, Some(487));
    assert!(line.ending().rang);
}

#[test]
fn provisional_answers_are_told_once_each_and_early_media_by_branch() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 100, "", "");
    line.answer(&invite, 100, "", "");
    line.answer(&invite, 180, "a", "");
    line.answer(&invite, 180, "a", "");
    line.answer(&invite, 183, "a", ANSWER);
    line.answer(&invite, 183, "a", ANSWER);
    line.answer(&invite, 183, "b", &ANSWER.replace("30000", "30002"));
    line.answer(&invite, 183, "c", "no session description");
    let told: Vec<String> = line
        .events
        .iter()
        .map(|event| match event {
            LegEvent::EarlyMedia(answer) => answer.remote.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            "Trying",
            "Ringing(180)",
            "Ringing(183)",
            "192.0.2.20:30000",
            "192.0.2.20:30002"
        ]
    );
    assert_eq!(line.leg.stats().bad_sdp, 1);
}

#[test]
fn an_announcement_in_early_media_ends_with_the_status_and_cause_of_the_refusal() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 183, "a", ANSWER);
    line.pass_seconds(12);
    line.answer_with(&invite, 404, "a", "", &[("Reason", "Q.850;cause=1")]);
    line.request(Method::Ack);
    line.ended_as(EndCause::Rejected, Some(404));
    assert_eq!(line.ending().q850_cause, Some(1));
}

#[test]
fn a_short_ring_limit_holds_even_before_the_first_answer() {
    let mut short = config();
    short.ring_timeout = Duration::from_secs(2);
    let mut line = Line::with(short);
    let invite = line.request(Method::Invite);
    line.pass_seconds(3);
    assert!(
        line.requests()
            .iter()
            .all(|request| request.method == Method::Invite)
    );
    line.answer(&invite, 180, "a", "");
    line.request(Method::Cancel);
    line.answer(&invite, 487, "a", "");
    line.ended_as(EndCause::RingTimeout, Some(487));
}

#[test]
fn the_snapshot_of_a_ringing_call_is_its_cancel() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 180, "a", "");
    let snapshot = line.leg.dialog_snapshot().expect("the call is up");
    assert_eq!(
        format!("{snapshot:?}"),
        "DialogSnapshot { farewell: [phi] }"
    );
    line.hang_up();
    let cancel = line.request(Method::Cancel);
    assert_eq!(snapshot.farewells(), [cancel.to_bytes()]);
    line.answer(&invite, 487, "a", "");
    assert!(line.leg.dialog_snapshot().is_none());
}
