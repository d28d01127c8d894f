//! A call on hold: nothing is said to music, nothing goes to 0.0.0.0, and the script goes on where it stood.

use std::net::SocketAddr;
use std::time::Duration;

use aftercall_core::call::{Call, CallEvent, Input, Output};
use aftercall_core::sip::front_door::parse_message;
use aftercall_core::sip::message::{Message, Method, Request};
use aftercall_core::time::Instant;

use crate::sip::peer::{ANSWER, peer_request, response, target};
use crate::whole::{fixture, kit, order};

/// A call, and what it did since it was last looked at.
struct Line {
    call: Call,
    now: Instant,
    invite: Request,
    cseq: u32,
    /// Frames sent, and those of them with sound.
    sent: u32,
    /// The last sequence number: whatever is held, none is left out, for it would count as lost.
    seq: Option<u16>,
    voiced: u32,
    asked: u32,
    ended: bool,
    bye: bool,
    /// RTCP: where to and what.
    reports: Vec<(SocketAddr, Vec<u8>)>,
}

impl Line {
    fn dialled() -> Line {
        let now = Instant::from_millis(1_000);
        let fixture = fixture("chest_tightness.toml");
        let mut call = Call::new(order(&fixture), kit(500), [9; 32], now);
        let Some(Output::Sip { bytes, .. }) = call.poll_output() else {
            panic!("a call begins with its INVITE")
        };
        let invite = request(&bytes).expect("an INVITE");
        Line {
            call,
            now,
            invite,
            cseq: 0,
            sent: 0,
            seq: None,
            voiced: 0,
            asked: 0,
            ended: false,
            bye: false,
            reports: Vec::new(),
        }
    }

    /// Answered, and the robot has begun to speak.
    fn talking() -> Line {
        let mut line = Line::dialled();
        let answer = response(&line.invite, 200, "a", ANSWER, &[]);
        line.deliver(&answer);
        line.pass(3);
        assert!(line.voiced > 0, "the robot speaks by now");
        line
    }

    fn deliver(&mut self, datagram: &[u8]) {
        let from = target(20).address;
        self.call
            .handle_input(Input::Sip { datagram, from }, self.now);
        self.drain();
    }

    /// A re-INVITE with the answer's description, changed.
    fn reinvite(&mut self, change: impl Fn(&str) -> String) {
        self.cseq += 1;
        let sdp = "Content-Type: application/sdp\r\n";
        let offer = change(ANSWER);
        let invite = peer_request(&self.invite, "a", "INVITE", self.cseq, sdp, &offer);
        self.deliver(&invite);
        self.deliver(&peer_request(&self.invite, "a", "ACK", self.cseq, "", ""));
        (self.sent, self.voiced, self.asked) = (0, 0, 0);
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some((at, _)) = self.call.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.call.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.call.poll_output() {
            match output {
                // With rtcp-mux (RFC 5761 §4) both come by one port.
                Output::Rtp { to, packet } if (200..=204).contains(&packet[1]) => {
                    self.reports.push((to, packet));
                }
                Output::Rtp { packet, .. } => {
                    self.sent += 1;
                    let seq = u16::from_be_bytes([packet[2], packet[3]]);
                    let before = self.seq.replace(seq);
                    assert!(before.is_none_or(|before| seq == before.wrapping_add(1)));
                    let silence = packet[12..].iter().all(|byte| byte & 0x7f == 0x55);
                    self.voiced += u32::from(!silence);
                }
                Output::Rtcp { to, packet } => self.reports.push((to, packet)),
                Output::Speak { id, .. } => {
                    let audio = None;
                    self.call
                        .handle_input(Input::Spoken { id, audio }, self.now);
                }
                Output::Sip { bytes, .. } => {
                    self.bye |= request(&bytes).is_some_and(|asked| asked.method == Method::Bye);
                }
                Output::Event(CallEvent::Asked { .. }) => self.asked += 1,
                Output::Event(CallEvent::Ended(_)) => self.ended = true,
                _ => {}
            }
        }
    }
}

fn request(bytes: &[u8]) -> Option<Request> {
    match parse_message(bytes) {
        Ok(Message::Request(request)) => Some(request),
        Ok(Message::Response(_)) | Err(_) => None,
    }
}

#[test]
fn on_hold_the_robot_keeps_silent_and_the_line_open_and_then_goes_on() {
    for held in ["a=sendonly", "a=inactive"] {
        let mut line = Line::talking();
        line.reinvite(|sdp| format!("{sdp}{held}\r\n"));
        line.pass(60);
        assert_eq!(
            (line.sent, line.voiced, line.asked),
            (3_000, 0, 0),
            "{held}"
        );
        assert!(!line.ended);
        line.reinvite(|sdp| format!("{sdp}a=sendrecv\r\n"));
        line.pass(15);
        assert!(line.voiced > 0 && !line.ended, "the script goes on");
    }
}

#[test]
fn nothing_is_sent_to_the_address_that_means_hold() {
    let mut line = Line::talking();
    line.reinvite(|sdp| sdp.replace("c=IN IP4 192.0.2.20", "c=IN IP4 0.0.0.0"));
    line.pass(30);
    assert_eq!((line.sent, line.ended), (0, false));
    line.reinvite(str::to_owned);
    line.pass(15);
    assert!(line.voiced > 0);
}

#[test]
fn a_call_that_is_answered_on_hold_begins_when_it_is_resumed() {
    let mut line = Line::dialled();
    line.deliver(&response(
        &line.invite,
        200,
        "a",
        &format!("{ANSWER}a=inactive\r\n"),
        &[],
    ));
    line.pass(30);
    assert_eq!((line.voiced, line.asked, line.ended), (0, 0, false));
    line.reinvite(|sdp| format!("{sdp}a=sendrecv\r\n"));
    line.pass(5);
    assert!(line.voiced > 0 && line.asked > 0);
}

#[test]
fn a_hold_that_does_not_end_is_not_waited_for_longer_than_the_limit() {
    let mut line = Line::talking();
    line.reinvite(|sdp| format!("{sdp}a=inactive\r\n"));
    line.pass(119);
    assert!(!line.ended);
    line.pass(2);
    assert!(line.ended && line.bye);
}

#[test]
fn the_line_is_reported_on_until_it_ends() {
    for (attribute, port) in [
        ("", 30_001),
        ("a=rtcp:30009 IN IP4 192.0.2.20\r\n", 30_009),
        ("a=rtcp-mux\r\n", 30_000),
    ] {
        let mut line = Line::dialled();
        let answer = format!("{ANSWER}{attribute}");
        line.deliver(&response(&line.invite, 200, "a", &answer, &[]));
        line.pass(18);
        let is_sender_report = |packet: &[u8]| packet.get(1) == Some(&200);
        let target: SocketAddr = ([192, 0, 2, 20], port).into();
        assert!(line.reports.len() >= 2, "{} in 18 s", line.reports.len());
        for (to, packet) in &line.reports {
            assert!(*to == target && is_sender_report(packet), "{to}");
        }
        // Nothing is heard for 20 s: the call ends, and with it the stream.
        line.pass(10);
        assert!(line.ended);
        let (_, last) = line.reports.last().expect("there were some");
        assert_eq!(last[last.len() - 7], 203, "BYE");
    }
}
