//! 401 and 407: which challenge is answered, how often, and within the dialog.

use aftercall_core::sip::event::EndCause;
use aftercall_core::sip::message::{Method, Request};

use super::peer::{ANSWER, Line, config};

const MD5: &str = "Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5, qop=\"auth\", opaque=\"o\"";
const SHA256: &str = "Digest realm=\"pbx\", nonce=\"n2\", algorithm=SHA-256, qop=\"auth,auth-int\"";
const UNKNOWN: &str = "Digest realm=\"pbx\", nonce=\"n3\", algorithm=SHA-512-256, qop=\"auth\"";

/// Refuses `request` with `challenges`; the next INVITE, its ACK taken away.
fn challenge(
    line: &mut Line,
    request: &Request,
    status: u16,
    challenges: &[&str],
) -> Option<Request> {
    let name = if status == 401 {
        "WWW-Authenticate"
    } else {
        "Proxy-Authenticate"
    };
    let extra: Vec<(&str, &str)> = challenges.iter().map(|value| (name, *value)).collect();
    line.answer_with(request, status, "x", "", &extra);
    let mut sent = line.requests().into_iter();
    let first = sent.next()?;
    if request.method == Method::Bye {
        return Some(first);
    }
    assert_eq!(first.method, Method::Ack);
    sent.next()
}

fn authorization(request: &Request) -> &str {
    request.headers.first("Authorization").expect("authorised")
}

#[test]
fn a_challenged_invite_goes_again_with_a_new_branch_and_cseq() {
    let (mut line, invite) = Line::dialled();
    let again = challenge(&mut line, &invite, 401, &[MD5]).expect("a second INVITE");
    assert_eq!(again.headers.cseq(), Some((2, Method::Invite)));
    assert_ne!(again.headers.branch(), invite.headers.branch());
    assert_eq!(again.headers.from_tag(), invite.headers.from_tag());
    assert_eq!(again.headers.to_tag(), None);
    let value = authorization(&again);
    for part in [
        "username=\"robot\"",
        "nc=00000001",
        "qop=auth",
        "algorithm=MD5",
        "opaque=\"o\"",
    ] {
        assert!(value.contains(part), "{part} in {value}");
    }
    line.answer(&again, 200, "a", ANSWER);
    let ack = line.request(Method::Ack);
    assert_eq!(ack.headers.cseq(), Some((2, Method::Ack)));
    assert_eq!(
        authorization(&ack),
        value,
        "the ACK carries the INVITE's credentials (RFC 3261 §22.1)"
    );
    // The old refusal comes again: it still gets its own ACK.
    line.answer(&invite, 401, "x", "");
    assert_eq!(
        line.request(Method::Ack).headers.cseq(),
        Some((1, Method::Ack))
    );
}

#[test]
fn sha_256_is_answered_wherever_it_stands_else_the_topmost_that_we_know() {
    for (challenges, algorithm) in [
        (vec![SHA256, MD5], "algorithm=SHA-256"),
        (vec![MD5, SHA256], "algorithm=SHA-256"),
        (vec![UNKNOWN, SHA256, MD5], "algorithm=SHA-256"),
        (vec!["Basic realm=\"pbx\"", MD5], "algorithm=MD5"),
        (
            vec![
                "Basic realm=\"pbx\", Digest realm=\"pbx\",nonce=\"n\",algorithm=sha-256-sess,qop=\"auth\"",
            ],
            "algorithm=SHA-256-sess",
        ),
    ] {
        let (mut line, invite) = Line::dialled();
        let again = challenge(&mut line, &invite, 401, &challenges).expect("a second INVITE");
        assert!(
            authorization(&again).contains(algorithm),
            "{}",
            authorization(&again)
        );
    }
}

#[test]
fn challenges_that_cannot_be_answered_end_the_call() {
    let mut anonymous = config();
    anonymous.credentials = None;
    for (config, challenges) in [
        (config(), vec![UNKNOWN]),
        (config(), vec!["Digest nonce=\"n\""]),
        (config(), vec![]),
        (anonymous, vec![MD5]),
    ] {
        let mut line = Line::with(config);
        let invite = line.request(Method::Invite);
        assert_eq!(challenge(&mut line, &invite, 401, &challenges), None);
        line.ended_as(EndCause::AuthFailed, Some(401));
        line.comes_to_rest();
    }
}

#[test]
fn a_wrong_password_is_not_tried_twice_but_a_stale_nonce_is() {
    let (mut line, invite) = Line::dialled();
    let second = challenge(&mut line, &invite, 407, &[MD5]).expect("a second INVITE");
    let stale = "Digest realm=\"pbx\", nonce=\"n9\", stale=TRUE, qop=\"auth\"";
    let third = challenge(&mut line, &second, 407, &[stale]).expect("a third INVITE");
    let value = third
        .headers
        .first("Proxy-Authorization")
        .expect("authorised");
    assert!(value.contains("nonce=\"n9\"") && value.contains("nc=00000001"));
    assert_eq!(third.headers.all("Proxy-Authorization").count(), 1);
    assert_eq!(challenge(&mut line, &third, 407, &[MD5]), None);
    line.ended_as(EndCause::AuthFailed, Some(407));
}

#[test]
fn a_peer_that_calls_every_nonce_stale_is_left_in_the_end() {
    let (mut line, mut invite) = Line::dialled();
    let stale = "Digest realm=\"pbx\", nonce=\"n\", stale=true";
    let mut rounds = 0;
    while let Some(again) = challenge(&mut line, &invite, 401, &[stale]) {
        invite = again;
        rounds += 1;
        assert!(rounds < 10);
    }
    line.ended_as(EndCause::AuthFailed, Some(401));
}

#[test]
fn a_proxy_and_a_server_each_get_their_answer() {
    let (mut line, invite) = Line::dialled();
    let proxy = "Digest realm=\"proxy\", nonce=\"p\", algorithm=SHA-256, qop=\"auth\"";
    let second = challenge(&mut line, &invite, 407, &[proxy]).expect("a second INVITE");
    let third = challenge(&mut line, &second, 401, &[SHA256]).expect("a third INVITE");
    assert!(
        third
            .headers
            .first("Proxy-Authorization")
            .expect("proxy")
            .contains("nc=00000002")
    );
    assert!(authorization(&third).contains("nc=00000001"));
    line.answer(&third, 180, "a", "");
    line.answer(&third, 200, "a", ANSWER);
    line.request(Method::Ack);
    // The dialog's BYE is challenged too.
    line.hang_up();
    let bye = line.request(Method::Bye);
    let again = challenge(&mut line, &bye, 407, &[proxy]).expect("a second BYE");
    assert_eq!(
        (again.method.clone(), again.headers.cseq()),
        (Method::Bye, Some((5, Method::Bye)))
    );
    assert!(
        again
            .headers
            .first("Proxy-Authorization")
            .expect("proxy")
            .contains("uri=\"sip:callee@192.0.2.20:5060")
    );
    line.answer(&again, 200, "a", "");
    line.comes_to_rest();
}

#[test]
fn two_realms_that_ask_in_one_answer_each_get_theirs() {
    let (mut line, invite) = Line::dialled();
    let edge = "Digest realm=\"edge\", nonce=\"e\", algorithm=MD5, qop=\"auth\"";
    let core = "Digest realm=\"core\", nonce=\"c\", algorithm=SHA-256, qop=\"auth\"";
    let weaker = "Digest realm=\"core\", nonce=\"c\", algorithm=MD5, qop=\"auth\"";
    let again = challenge(&mut line, &invite, 407, &[edge, core, weaker]).expect("an INVITE");
    let answers: Vec<&str> = again.headers.all("Proxy-Authorization").collect();
    assert_eq!(answers.len(), 2);
    assert!(answers[0].contains("realm=\"edge\"") && answers[0].contains("algorithm=MD5"));
    assert!(answers[1].contains("realm=\"core\"") && answers[1].contains("algorithm=SHA-256"));
}

#[test]
fn a_challenge_after_we_hung_up_is_acked_and_ends_it() {
    let (mut line, invite) = Line::dialled();
    line.hang_up();
    assert_eq!(challenge(&mut line, &invite, 401, &[MD5]), None);
    line.ended_as(EndCause::Cancelled, Some(401));
}

#[test]
fn an_invite_stays_below_1100_bytes_with_the_longest_usual_challenge() {
    let (mut line, invite) = Line::dialled();
    let nonce = "Zm9ydHktZWlnaHQgYnl0ZXMgb2YgYSBub25jZSBsaWtlIEthbWFpbGlvJ3M=";
    let long = format!(
        "Digest realm=\"sip.hospital.example\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth\""
    );
    let again = challenge(&mut line, &invite, 401, &[&long]).expect("a second INVITE");
    assert!(again.to_bytes().len() < 1_100, "{}", again.to_bytes().len());
}
