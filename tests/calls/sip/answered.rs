//! Answered calls: ACK, forks, BYE both ways, what a peer asks within the dialog.

use aftercall_core::codec::Codec;
use aftercall_core::sip::event::{EndCause, LegEvent};
use aftercall_core::sip::message::{Method, Request};
use aftercall_core::sip::sdp::{Direction, MediaAnswer};

use super::peer::{ANSWER, Line, peer_request};

fn methods(requests: &[Request]) -> Vec<&str> {
    requests
        .iter()
        .map(|request| request.method.name())
        .collect()
}

fn changed(line: &mut Line) -> MediaAnswer {
    match line.events.pop() {
        Some(LegEvent::MediaChanged(answer)) => answer,
        other => panic!("no change of media: {other:?}"),
    }
}

#[test]
fn an_answer_is_acked_again_each_time_it_comes_and_told_once() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 200, "a", ANSWER);
    let ack = line.request(Method::Ack);
    assert_ne!(ack.headers.branch(), invite.headers.branch());
    assert_eq!(ack.headers.cseq(), Some((1, Method::Ack)));
    assert_eq!(ack.uri, "sip:callee@192.0.2.20:5060;branch=a");
    let [LegEvent::Answered(answer)] = &line.events[..] else {
        panic!("{:?}", line.events)
    };
    assert_eq!(
        (answer.codec, answer.telephone_event, answer.direction),
        (Codec::Pcma, Some(101), Direction::SendRecv)
    );
    line.answer(&invite, 200, "a", ANSWER);
    assert_eq!(line.request(Method::Ack), ack);
    assert_eq!(line.events.len(), 1);
}

#[test]
fn our_bye_follows_the_route_set_and_repeats_the_addresses_of_the_invite() {
    let (mut line, invite) = Line::dialled();
    let routes = [("Record-Route", "<sip:p2.example;lr>, <sip:p1.example;lr>")];
    line.answer_with(&invite, 200, "a", ANSWER, &routes);
    let ack = line.request(Method::Ack);
    assert_eq!(
        ack.headers.all("Route").collect::<Vec<_>>(),
        ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]
    );
    line.hang_up();
    let bye = line.request(Method::Bye);
    assert_eq!(bye.headers.first("From"), invite.headers.first("From"));
    assert_eq!(
        bye.headers.first("To"),
        Some("<sip:+8613800138000@192.0.2.20:5060>;tag=a")
    );
    assert_eq!(bye.headers.cseq(), Some((2, Method::Bye)));
    line.ended_as(EndCause::LocalBye, Some(200));
    line.hang_up();
    line.answer(&bye, 200, "a", "");
    line.comes_to_rest();
    assert!(line.is_quiet());
}

#[test]
fn a_strict_router_gets_its_own_uri_in_the_request_line() {
    let (mut line, invite) = Line::dialled();
    line.answer_with(
        &invite,
        200,
        "a",
        ANSWER,
        &[("Record-Route", "<sip:strict.example>")],
    );
    let ack = line.request(Method::Ack);
    assert_eq!(ack.uri, "sip:strict.example");
    assert_eq!(
        ack.headers.first("Route"),
        Some("<sip:callee@192.0.2.20:5060;branch=a>")
    );
}

#[test]
fn a_second_branch_that_answers_is_acked_and_hung_up() {
    let (mut line, invite) = Line::answered();
    line.answer(&invite, 200, "b", ANSWER);
    let sent = line.requests();
    assert_eq!(methods(&sent), ["ACK", "BYE"]);
    assert_eq!(sent[1].headers.to_tag().as_deref(), Some("b"));
    line.answer(&invite, 200, "b", ANSWER);
    line.request(Method::Ack);
    assert!(line.events.is_empty(), "the first call goes on");
    line.answer(&sent[1], 200, "b", "");
    line.hang_up();
    assert_eq!(
        line.request(Method::Bye).headers.to_tag().as_deref(),
        Some("a")
    );
}

#[test]
fn an_answer_without_a_description_uses_the_one_of_its_branch() {
    let (mut line, invite) = Line::dialled();
    line.answer(&invite, 183, "a", ANSWER);
    line.answer(&invite, 183, "b", &ANSWER.replace("30000", "30002"));
    line.answer(&invite, 200, "b", "");
    line.request(Method::Ack);
    let Some(LegEvent::Answered(answer)) = line.events.last() else {
        panic!("{:?}", line.events)
    };
    assert_eq!(answer.remote.port(), 30_002);
}

#[test]
fn an_answer_that_we_cannot_use_is_acked_and_hung_up() {
    for body in [
        "",
        "nonsense",
        &ANSWER.replace("8 101", "18"),
        &ANSWER.replace("audio 30000", "audio 0"),
    ] {
        let (mut line, invite) = Line::dialled();
        line.answer(&invite, 200, "a", body);
        assert_eq!(methods(&line.requests()), ["ACK", "BYE"]);
        line.ended_as(EndCause::NoCommonMedia, Some(200));
    }
}

#[test]
fn the_peer_hangs_up_and_each_repetition_gets_the_same_answer() {
    let (mut line, invite) = Line::answered();
    let bye = peer_request(
        &invite,
        "a",
        "BYE",
        1,
        "Reason: Q.850;cause=16;text=\"Terminated\"\r\n",
        "",
    );
    line.deliver(&bye);
    let answer = line.response();
    assert_eq!(answer.status, 200);
    line.ended_as(EndCause::RemoteBye, Some(200));
    assert_eq!(line.ending().q850_cause, Some(16));
    line.deliver(&bye);
    assert_eq!(line.response(), answer);
    line.deliver(&peer_request(&invite, "a", "INFO", 2, "", ""));
    assert_eq!(line.response().status, 481);
    line.comes_to_rest();
}

#[test]
fn two_byes_that_cross_are_both_answered() {
    let (mut line, invite) = Line::answered();
    line.hang_up();
    let bye = line.request(Method::Bye);
    line.deliver(&peer_request(&invite, "a", "BYE", 1, "", ""));
    assert_eq!(line.response().status, 200);
    line.answer(&bye, 481, "a", "");
    line.ended_as(EndCause::LocalBye, Some(200));
    line.comes_to_rest();
}

#[test]
fn a_bye_that_nobody_answers_is_repeated_and_given_up() {
    let (mut line, _) = Line::answered();
    line.hang_up();
    line.pass_seconds(40);
    assert_eq!(line.requests().len(), 11);
    line.comes_to_rest();
}

#[test]
fn hold_and_resume_are_answered_and_told() {
    let (mut line, invite) = Line::answered();
    for (cseq, offered, ours, answered) in [
        (1, "a=sendonly\r\n", Direction::RecvOnly, "a=recvonly"),
        (2, "a=inactive\r\n", Direction::Inactive, "a=inactive"),
        (3, "a=sendrecv\r\n", Direction::SendRecv, "a=sendrecv"),
    ] {
        let offer = format!("{ANSWER}{offered}");
        line.deliver(&peer_request(
            &invite,
            "a",
            "INVITE",
            cseq,
            "Content-Type: application/sdp\r\n",
            &offer,
        ));
        let response = line.response();
        assert_eq!(response.status, 200);
        assert!(String::from_utf8_lossy(&response.body).contains(answered));
        assert_eq!(changed(&mut line).direction, ours);
        line.deliver(&peer_request(&invite, "a", "ACK", cseq, "", ""));
        assert!(line.is_quiet());
    }
    let offer = ANSWER.replace("192.0.2.20", "0.0.0.0");
    line.deliver(&peer_request(
        &invite,
        "a",
        "UPDATE",
        4,
        "Content-Type: application/sdp\r\n",
        &offer,
    ));
    assert_eq!(line.response().status, 200);
    assert!(!changed(&mut line).direction.sends());
}

#[test]
fn a_session_refresh_gets_the_same_description_and_version() {
    let (mut line, invite) = Line::answered();
    let timers = "Content-Type: application/sdp\r\nRequire: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
    line.deliver(&peer_request(&invite, "a", "INVITE", 1, timers, ANSWER));
    let first = line.response();
    line.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
    line.deliver(&peer_request(&invite, "a", "INVITE", 2, timers, ANSWER));
    assert_eq!(line.response().body, first.body);
    assert!(line.events.is_empty());
}

#[test]
fn an_offer_without_a_common_codec_is_refused_and_the_call_goes_on() {
    let (mut line, invite) = Line::answered();
    let offer = ANSWER
        .replace("8 101", "18")
        .replace("a=rtpmap:8 PCMA", "a=rtpmap:18 G729");
    line.deliver(&peer_request(
        &invite,
        "a",
        "INVITE",
        1,
        "Content-Type: application/sdp\r\n",
        &offer,
    ));
    assert_eq!(line.response().status, 488);
    line.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
    line.deliver(&peer_request(&invite, "a", "OPTIONS", 2, "", ""));
    assert_eq!(line.response().status, 200);
    assert!(line.events.is_empty());
}

#[test]
fn a_reinvite_without_an_offer_gets_ours_and_its_ack_brings_the_answer() {
    let (mut line, invite) = Line::answered();
    line.deliver(&peer_request(&invite, "a", "INVITE", 1, "", ""));
    let offer = line.response();
    assert!(String::from_utf8_lossy(&offer.body).contains("m=audio 20000 RTP/AVP 8 0 101"));
    let moved = ANSWER.replace("30000", "30008");
    line.deliver(&peer_request(
        &invite,
        "a",
        "ACK",
        1,
        "Content-Type: application/sdp\r\n",
        &moved,
    ));
    assert_eq!(changed(&mut line).remote.port(), 30_008);
}

#[test]
fn our_answer_to_a_reinvite_is_repeated_until_its_ack_and_then_the_peer_is_gone() {
    let (mut line, invite) = Line::answered();
    let offer = peer_request(
        &invite,
        "a",
        "INVITE",
        1,
        "Content-Type: application/sdp\r\n",
        ANSWER,
    );
    line.deliver(&offer);
    let answer = line.response();
    line.pass(std::time::Duration::from_millis(600));
    assert_eq!(line.response(), answer);
    line.deliver(&offer);
    assert_eq!(
        line.response(),
        answer,
        "the repeated re-INVITE gets the same bytes"
    );
    line.pass(std::time::Duration::from_millis(30_000));
    assert!(line.is_open());
    line.pass_seconds(3);
    line.ended_as(EndCause::NoResponse, Some(200));
}

#[test]
fn a_request_is_answered_to_where_it_came_from() {
    let (mut line, invite) = Line::answered();
    let elsewhere = ([192, 0, 2, 99], 5_080).into();
    line.deliver_from(&peer_request(&invite, "a", "OPTIONS", 1, "", ""), elsewhere);
    assert_eq!(
        (line.response().status, line.sent_to),
        (200, Some(elsewhere))
    );
    let bye = peer_request(&invite, "a", "BYE", 2, "", "");
    line.deliver_from(&bye, elsewhere);
    assert_eq!(
        (line.response().status, line.sent_to),
        (200, Some(elsewhere))
    );
    line.ended_as(EndCause::RemoteBye, Some(200));
}

#[test]
fn a_reinvite_brings_a_new_codec_a_new_port_and_a_description_among_other_parts() {
    let (mut line, invite) = Line::answered();
    let sdp = "Content-Type: application/sdp\r\n";
    let other = ANSWER
        .replace("8 101", "0 101")
        .replace("a=rtpmap:8 PCMA", "a=rtpmap:0 PCMU")
        .replace("30000", "30006");
    line.deliver(&peer_request(&invite, "a", "INVITE", 1, sdp, &other));
    let answer = String::from_utf8(line.response().body).expect("text");
    assert!(answer.contains("m=audio 20000 RTP/AVP 0 101\r\n"));
    let media = changed(&mut line);
    assert_eq!((media.codec, media.remote.port()), (Codec::Pcmu, 30_006));
    line.deliver(&peer_request(&invite, "a", "ACK", 1, "", ""));
    let mixed = "Content-Type: multipart/mixed;boundary=cut\r\n";
    let parts = format!(
        "--cut\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x00\r\n--cut\r\n{sdp}\r\n{ANSWER}--cut--\r\n"
    );
    line.deliver(&peer_request(&invite, "a", "INVITE", 2, mixed, &parts));
    assert_eq!(line.response().status, 200);
    assert_eq!(changed(&mut line).codec, Codec::Pcma);
    line.deliver(&peer_request(&invite, "a", "ACK", 2, "", ""));
    let letter = "Content-Type: text/plain\r\n";
    line.deliver(&peer_request(&invite, "a", "INVITE", 3, letter, "hello"));
    assert_eq!(line.response().status, 415);
    assert!(line.is_open());
}

#[test]
fn keys_by_info_are_told() {
    let (mut line, invite) = Line::answered();
    let relay = "Content-Type: application/dtmf-relay\r\n";
    line.deliver(&peer_request(
        &invite,
        "a",
        "INFO",
        1,
        relay,
        "Duration = 160\r\nSignal = 5\r\n",
    ));
    assert_eq!(line.response().status, 200);
    line.deliver(&peer_request(
        &invite,
        "a",
        "INFO",
        2,
        "Content-Type: application/dtmf\r\n",
        "11",
    ));
    assert_eq!(line.response().status, 200);
    line.deliver(&peer_request(
        &invite,
        "a",
        "INFO",
        3,
        relay,
        "Signal=banana",
    ));
    assert_eq!(line.response().status, 400);
    assert_eq!(line.events, [LegEvent::Key('5'), LegEvent::Key('#')]);
    assert_eq!(format!("{:?}", line.events), "[Key([phi]), Key([phi])]");
}

#[test]
fn every_other_request_gets_its_own_refusal_and_the_call_goes_on() {
    let (mut line, invite) = Line::answered();
    for (cseq, method, tag, extra, status) in [
        (1, "MESSAGE", "a", "", 405),
        (2, "REFER", "a", "", 405),
        (3, "PRACK", "a", "", 481),
        (4, "NOTIFY", "a", "", 200),
        (5, "FETCH", "a", "", 501),
        (6, "INFO", "stranger", "", 481),
        (3, "OPTIONS", "a", "", 500),
        (7, "OPTIONS", "a", "Require: teleport, timer\r\n", 420),
        (8, "UPDATE", "a", "", 200),
        (9, "CANCEL", "a", "", 481),
        (10, "BYE", "stranger", "", 481),
    ] {
        line.deliver(&peer_request(&invite, tag, method, cseq, extra, ""));
        assert_eq!(line.response().status, status, "{method}");
    }
    assert!(line.events.is_empty());
}

#[test]
fn the_snapshot_of_an_answered_call_is_a_bye_with_room_for_later_requests() {
    let (mut line, _) = Line::answered();
    let snapshot = line.leg.dialog_snapshot().expect("the call is up");
    let text = String::from_utf8(snapshot.farewells().remove(0)).expect("text");
    assert!(text.starts_with("BYE sip:callee@192.0.2.20:5060;branch=a SIP/2.0\r\n"));
    assert!(text.contains("CSeq: 102 BYE\r\n") && text.contains(";tag=a\r\n"));
    line.hang_up();
    assert!(line.leg.dialog_snapshot().is_none());
}

/// Found by `make fuzz`: a blank in the Contact or in a strict router's URI made our BYE unreadable, and the call stayed up.
#[test]
fn a_contact_that_cannot_stand_in_a_request_line_is_passed_over() {
    for (name, value) in [
        ("Contact", "<sip:cal lee@192.0.2.20>"),
        ("Record-Route", "<sip:pro xy.example>"),
        ("Record-Route", "< >"),
    ] {
        let (mut line, invite) = Line::dialled();
        let mut answer = invite.respond(200, "a");
        answer.headers.push(name, value);
        answer.headers.push("Content-Type", "application/sdp");
        answer.body = ANSWER.as_bytes().to_vec();
        line.deliver(&answer.to_bytes());
        assert_eq!(line.request(Method::Ack).uri, invite.uri, "{name}: {value}");
        line.hang_up();
        let bye = line.request(Method::Bye);
        assert_eq!(bye.uri, invite.uri);
        line.answer(&bye, 200, "a", "");
        line.comes_to_rest();
    }
}
