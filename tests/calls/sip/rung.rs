//! Somebody rings us: answered, refused, given up, with all that is lost and repeated on the way.

use std::time::Duration;

use aftercall_core::sip::event::{EndCause, LegEvent};
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::message::{Message, Method, Request, Response};

use super::peer::{ANSWER, Line};

/// The caller's INVITE with these headers and this body.
fn invite(extra: &str, body: &str) -> Vec<u8> {
    request("INVITE", 7, "z9hG4bKcall", "", extra, body)
}

/// A request of the caller; `to` is our tag, where there is one by now.
pub fn request(
    method: &str,
    cseq: u32,
    branch: &str,
    to: &str,
    extra: &str,
    body: &str,
) -> Vec<u8> {
    let tag = if to.is_empty() {
        String::new()
    } else {
        format!(";tag={to}")
    };
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:4001@192.0.2.1:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20:5060;branch={branch}\r\n\
         Record-Route: <sip:192.0.2.20;lr>\r\nRecord-Route: <sip:192.0.2.30;lr>\r\n\
         From: <sip:+8613800138000@192.0.2.20>;tag=caller\r\nTo: <sip:4001@192.0.2.1>{tag}\r\nCall-ID: rings\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:caller@10.0.0.9:5070>\r\nMax-Forwards: 70\r\n{extra}{content}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The statuses that were sent.
fn statuses(line: &mut Line) -> Vec<u16> {
    responses(line)
        .iter()
        .map(|response| response.status)
        .collect()
}

fn responses(line: &mut Line) -> Vec<Response> {
    let sent = line.messages().into_iter();
    sent.map(|message| match message {
        Message::Response(response) => response,
        Message::Request(request) => panic!("a {} was sent", request.method),
    })
    .collect()
}

/// A call that was answered and acknowledged; our tag.
fn answered(extra: &str) -> (Line, String) {
    let mut line = Line::rung(&invite(extra, ANSWER));
    assert_eq!(statuses(&mut line), [100]);
    line.decide(Leg::accept);
    let answer = line.response();
    assert_eq!(answer.status, 200);
    let tag = answer.headers.to_tag().expect("our tag");
    line.deliver(&request("ACK", 7, "z9hG4bKack", &tag, "", ""));
    assert!(
        matches!(line.events[..], [LegEvent::Answered(_)]),
        "{:?}",
        line.events
    );
    line.events.clear();
    (line, tag)
}

fn is_to_the_caller(request: &Request, tag: &str) {
    let header = |name| request.headers.first(name).unwrap_or_default();
    assert_eq!(request.uri, "sip:caller@10.0.0.9:5070");
    assert_eq!(header("From"), format!("<sip:4001@192.0.2.1>;tag={tag}"));
    assert_eq!(header("To"), "<sip:+8613800138000@192.0.2.20>;tag=caller");
    let routes: Vec<&str> = request.headers.all("Route").collect();
    assert_eq!(
        routes,
        ["<sip:192.0.2.20;lr>", "<sip:192.0.2.30;lr>"],
        "in the caller's order"
    );
    assert_eq!(header("Call-ID"), "rings");
}

#[test]
fn a_call_is_answered_with_the_codec_that_both_have_and_we_hang_up() {
    let mut line = Line::rung(&invite("", ANSWER));
    assert_eq!(line.response().status, 100, "at once");
    line.decide(Leg::ring);
    assert_eq!(line.response().status, 180);
    line.decide(Leg::accept);
    let answer = line.response();
    assert_eq!(answer.status, 200);
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("m=audio 20000 RTP/AVP 8 101\r\n"), "{body}");
    let routes: Vec<&str> = answer.headers.all("Record-Route").collect();
    assert_eq!(routes.len(), 2, "the way of later requests");
    assert_eq!(
        answer.headers.first("Contact"),
        Some("<sip:192.0.2.1:5062>")
    );
    let tag = answer.headers.to_tag().expect("our tag");
    line.deliver(&request("ACK", 7, "z9hG4bKack", &tag, "", ""));
    line.pass_seconds(5);
    assert!(line.is_quiet(), "the ACK ends the repetitions");
    line.hang_up();
    let bye = line.request(Method::Bye);
    is_to_the_caller(&bye, &tag);
    line.answer(&bye, 200, "", "");
    line.ended_as(EndCause::LocalBye, Some(200));
    line.comes_to_rest();
}

#[test]
fn an_answer_is_repeated_until_its_ack_and_a_caller_without_one_is_gone() {
    let mut line = Line::rung(&invite("", ANSWER));
    line.decide(Leg::accept);
    line.messages();
    line.pass(Duration::from_millis(31_900));
    let again = statuses(&mut line);
    assert!(
        again.len() > 5 && again.iter().all(|status| *status == 200),
        "{again:?}"
    );
    line.pass(Duration::from_millis(100));
    let bye = line.request(Method::Bye);
    line.answer(&bye, 200, "", "");
    line.ended_as(EndCause::NoResponse, Some(200));
    line.comes_to_rest();
}

#[test]
fn an_invite_that_comes_again_gets_what_was_said_last() {
    let mut line = Line::rung(&invite("", ANSWER));
    line.messages();
    for (decide, status) in [
        (None, 100),
        (Some(Leg::ring as fn(&mut Leg, _)), 180),
        (Some(Leg::accept), 200),
    ] {
        if let Some(decide) = decide {
            line.decide(decide);
            assert_eq!(line.response().status, status);
        }
        line.deliver(&invite("", ANSWER));
        assert_eq!(line.response().status, status);
    }
    assert_eq!(line.events.len(), 1, "answered once: {:?}", line.events);
}

#[test]
fn the_caller_hangs_up_and_comes_again_with_the_same_bye() {
    let (mut line, tag) = answered("");
    let bye = request(
        "BYE",
        8,
        "z9hG4bKbye",
        &tag,
        "Reason: Q.850;cause=16\r\n",
        "",
    );
    for _ in 0..2 {
        line.deliver(&bye);
        assert_eq!(line.response().status, 200);
    }
    line.ended_as(EndCause::RemoteBye, Some(200));
    assert_eq!(line.ending().q850_cause, Some(16));
    line.comes_to_rest();
}

#[test]
fn byes_that_cross_are_both_answered() {
    let (mut line, tag) = answered("");
    line.hang_up();
    let ours = line.request(Method::Bye);
    line.deliver(&request("BYE", 8, "z9hG4bKbye", &tag, "", ""));
    assert_eq!(line.response().status, 200);
    line.answer(&ours, 481, "", "");
    line.ended_as(EndCause::LocalBye, Some(200));
    line.comes_to_rest();
}

#[test]
fn a_call_is_refused_and_the_refusal_repeated_until_its_ack() {
    let mut line = Line::rung(&invite("", ANSWER));
    line.messages();
    line.decide(|leg, now| leg.reject(486, now));
    let busy = line.response();
    assert_eq!(busy.status, 486);
    line.ended_as(EndCause::Refused, Some(486));
    line.pass(Duration::from_millis(600));
    assert_eq!(line.response().status, 486);
    line.deliver(&invite("", ANSWER));
    assert_eq!(line.response().status, 486);
    let tag = busy.headers.to_tag().expect("our tag");
    line.deliver(&request("ACK", 7, "z9hG4bKcall", &tag, "", ""));
    line.pass_seconds(20);
    assert!(line.is_quiet());
    line.decide(Leg::accept);
    assert!(line.is_quiet(), "too late");
    line.comes_to_rest();
}

#[test]
fn a_caller_who_gives_up_hears_487_and_nothing_is_answered_after_it() {
    let mut line = Line::rung(&invite("", ANSWER));
    line.decide(Leg::ring);
    line.messages();
    let cancel = request("CANCEL", 7, "z9hG4bKcall", "", "", "");
    line.deliver(&cancel);
    let mut said = responses(&mut line);
    said.sort_by_key(|response| response.status);
    let told: Vec<(u16, Option<Method>)> = said
        .iter()
        .map(|response| {
            (
                response.status,
                response.headers.cseq().map(|(_, method)| method),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(200, Some(Method::Cancel)), (487, Some(Method::Invite))]
    );
    line.ended_as(EndCause::Abandoned, Some(487));
    line.decide(Leg::accept);
    line.decide(Leg::ring);
    assert!(line.is_quiet());
    let tag = said[1].headers.to_tag().expect("our tag");
    line.deliver(&request("ACK", 7, "z9hG4bKcall", &tag, "", ""));
    line.comes_to_rest();
}

#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let (mut line, _) = answered("");
    line.deliver(&request("CANCEL", 7, "z9hG4bKcall", "", "", ""));
    assert_eq!(line.response().status, 200);
    assert!(line.is_open());
}

#[test]
fn reliable_ringing_is_repeated_until_its_prack() {
    let mut line = Line::rung(&invite("Require: 100rel\r\n", ANSWER));
    line.messages();
    line.decide(Leg::ring);
    let ringing = line.response();
    assert!(ringing.headers.lists("Require", "100rel"));
    let rseq = ringing.headers.first("RSeq").expect("a number").to_owned();
    line.pass_seconds(2);
    assert_eq!(statuses(&mut line), [180, 180], "after 0.5 and 1.5 s");
    let tag = ringing.headers.to_tag().expect("our tag");
    let wrong = format!("RAck: {rseq}9 7 INVITE\r\n");
    line.deliver(&request("PRACK", 8, "z9hG4bKp1", &tag, &wrong, ""));
    assert_eq!(line.response().status, 481);
    let right = format!("RAck: {rseq} 7 INVITE\r\n");
    let prack = request("PRACK", 9, "z9hG4bKp2", &tag, &right, "");
    for _ in 0..2 {
        line.deliver(&prack);
        assert_eq!(line.response().status, 200, "also when it comes again");
    }
    line.pass_seconds(10);
    assert!(line.is_quiet());
    line.decide(Leg::accept);
    assert_eq!(line.response().status, 200);
}

#[test]
fn an_invite_without_a_description_gets_our_offer_and_the_ack_answers_it() {
    let mut line = Line::rung(&invite("", ""));
    line.messages();
    line.decide(Leg::accept);
    let offer = line.response();
    assert!(String::from_utf8_lossy(&offer.body).contains("m=audio 20000 RTP/AVP 8 0 101"));
    assert!(line.events.is_empty(), "no audio yet");
    let tag = offer.headers.to_tag().expect("our tag");
    line.deliver(&request("ACK", 7, "z9hG4bKack", &tag, "", ANSWER));
    assert!(
        matches!(line.events[..], [LegEvent::Answered(_)]),
        "{:?}",
        line.events
    );
    line.hang_up();
    is_to_the_caller(&line.request(Method::Bye), &tag);
}

#[test]
fn an_ack_without_audio_or_none_at_all_ends_the_call() {
    for (ack, why) in [
        (
            Some("v=0\r\nm=audio 0 RTP/AVP 8\r\n"),
            EndCause::NoCommonMedia,
        ),
        (None, EndCause::NoResponse),
    ] {
        let mut line = Line::rung(&invite("", ""));
        line.decide(Leg::accept);
        let tag = responses(&mut line)[1].headers.to_tag().expect("our tag");
        match ack {
            Some(body) => line.deliver(&request("ACK", 7, "z9hG4bKack", &tag, "", body)),
            None => {
                line.pass(Duration::from_millis(31_900));
                line.messages();
                line.pass(Duration::from_millis(100));
            }
        }
        let bye = line.request(Method::Bye);
        line.answer(&bye, 200, "", "");
        assert_eq!(line.ending().why, why);
        line.comes_to_rest();
    }
}

#[test]
fn what_we_cannot_do_is_refused_by_its_own_status() {
    let short = "Supported: timer\r\nSession-Expires: 30\r\n";
    let g729 = "v=0\r\nc=IN IP4 192.0.2.20\r\nm=audio 30000 RTP/AVP 18\r\n";
    for (extra, body, status, header) in [
        (
            "Require: 100rel, precondition\r\n",
            ANSWER,
            420,
            Some(("Unsupported", "precondition")),
        ),
        (short, ANSWER, 422, Some(("Min-SE", "90"))),
        ("", g729, 488, None),
    ] {
        let mut line = Line::rung(&invite(extra, body));
        line.decide(Leg::accept);
        let said = responses(&mut line);
        let refusal = said.last().expect("an answer");
        assert_eq!(refusal.status, status);
        if let Some((name, value)) = header {
            assert_eq!(refusal.headers.first(name), Some(value));
        }
        assert_eq!(line.ending().status, Some(status));
        let tag = refusal.headers.to_tag().expect("our tag");
        line.deliver(&request("ACK", 7, "z9hG4bKcall", &tag, "", ""));
        line.comes_to_rest();
    }
}

#[test]
fn a_hold_a_new_port_and_a_resume_are_heard() {
    let (mut line, tag) = answered("");
    for (cseq, direction, sends) in [(8, "sendonly", false), (9, "sendrecv", true)] {
        let body = format!("{}a={direction}\r\n", ANSWER.replace("30000", "30008"));
        line.deliver(&request(
            "INVITE",
            cseq,
            &format!("z9hG4bKre{cseq}"),
            &tag,
            "",
            &body,
        ));
        assert_eq!(line.response().status, 200);
        line.deliver(&request(
            "ACK",
            cseq,
            &format!("z9hG4bKack{cseq}"),
            &tag,
            "",
            "",
        ));
        let Some(LegEvent::MediaChanged(media)) = line.events.last() else {
            panic!("{:?}", line.events);
        };
        assert_eq!(
            (media.direction.sends(), media.remote.port()),
            (sends, 30_008)
        );
    }
}

#[test]
fn a_session_that_the_caller_refreshes_ends_when_it_does_not() {
    let (mut line, _) = answered("Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n");
    line.pass_seconds(88);
    line.request(Method::Bye);
    line.ended_as(EndCause::SessionExpired, Some(200));
}

#[test]
fn a_session_that_is_ours_to_refresh_is_refreshed() {
    let (mut line, tag) = answered(
        "Supported: timer\r\nSession-Expires: 120;refresher=uas\r\nAllow: INVITE, UPDATE\r\n",
    );
    line.pass_seconds(60);
    let update = line.request(Method::Update);
    is_to_the_caller(&update, &tag);
    line.answer_with(
        &update,
        200,
        "",
        "",
        &[("Session-Expires", "120;refresher=uac")],
    );
    line.pass_seconds(60);
    line.request(Method::Update);
}

#[test]
fn a_call_that_nobody_decides_on_is_refused_in_the_end() {
    let mut line = Line::rung(&invite("", ANSWER));
    line.messages();
    line.pass_seconds(46);
    assert_eq!(responses(&mut line)[0].status, 480);
    line.ended_as(EndCause::Refused, Some(480));
}

#[test]
fn a_stranger_in_the_call_is_told_so() {
    let (mut line, _) = answered("");
    line.deliver(&request("BYE", 8, "z9hG4bKx", "another", "", ""));
    assert_eq!(line.response().status, 481);
    assert!(line.is_open());
}
