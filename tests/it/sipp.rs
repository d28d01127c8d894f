//! A leg on a real UDP socket against SIPp's own user agent server, from Debian's package.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as WallClock};

use aftercall::trunk::config::Trunk;
use aftercall::trunk::socket::SipSocket;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::{EndCause, LegEvent, LegOutput};
use aftercall_core::sip::leg::Leg;
use aftercall_core::time::Instant;

/// Ends SIPp even when the test fails.
pub struct Sipp(Child);

impl Drop for Sipp {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub fn sipp(port: u16, folder: &Path) -> Sipp {
    let child = Command::new("sipp")
        .args([
            "-sn",
            "uas",
            "-i",
            "127.0.0.1",
            "-m",
            "1",
            "-nostdin",
            "-p",
            &port.to_string(),
        ])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("SIPp is installed (apt install sip-tester)");
    Sipp(child)
}

pub fn free_port() -> u16 {
    let probe = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("bound").port()
}

/// Runs the leg on the wall clock until it ended and its BYE was answered, hanging up when it is answered.
pub fn drive(leg: &mut Leg, sip: &SipSocket) -> Vec<LegEvent> {
    let start = WallClock::now();
    let clock = |start: WallClock| {
        Instant::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(0))
    };
    sip.socket
        .set_read_timeout(Some(Duration::from_millis(10)))
        .expect("a timeout can be set");
    let (mut events, mut buffer) = (Vec::new(), [0; 4_096]);
    let mut quiet_since = None;
    while start.elapsed() < Duration::from_secs(20)
        && quiet_since.is_none_or(|at: WallClock| at.elapsed() < Duration::from_millis(300))
    {
        if let Ok((length, _)) = sip.socket.recv_from(&mut buffer) {
            leg.handle_datagram(&buffer[..length], clock(start));
        }
        leg.handle_timeout(clock(start));
        while let Some(output) = leg.poll_output() {
            match output {
                LegOutput::Send(datagram) => {
                    // Refused while SIPp is still starting: the INVITE goes again.
                    sip.socket.send_to(&datagram, sip.target).ok();
                }
                LegOutput::Event(LegEvent::Answered(answer)) => {
                    events.push(LegEvent::Answered(answer));
                    leg.hang_up(clock(start));
                }
                LegOutput::Event(LegEvent::Ended(ending)) => {
                    events.push(LegEvent::Ended(ending));
                    quiet_since = Some(WallClock::now());
                }
                LegOutput::Event(event) => events.push(event),
            }
        }
    }
    events
}

#[test]
fn sipp_answers_a_leg_and_takes_its_bye() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut sipp = sipp(port, folder.path());
    let text = include_str!("../../sip_config/loopback.toml")
        .replace("127.0.0.1:5080", &format!("127.0.0.1:{port}"));
    let trunk = Trunk::parse(Path::new("loopback.toml"), &text).expect("the example is right");
    let sip = SipSocket::open(&trunk).expect("the loopback can be bound");
    let number = PhoneNumber::parse("1000").expect("a number");
    let config = trunk.leg_config(&number, sip.local, 20_000, None);
    let mut leg = Leg::new(config, [3; 32], Instant::ZERO);
    let events = drive(&mut leg, &sip);
    assert!(
        events.contains(&LegEvent::Ringing { status: 180 }),
        "{events:?}"
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, LegEvent::Answered(_))),
        "{events:?}"
    );
    let Some(LegEvent::Ended(ending)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(
        (ending.why, ending.status, ending.rang),
        (EndCause::LocalBye, Some(200), true)
    );
    // SIPp exits 0 only when its scenario ran to the end: ACK and BYE came in their places.
    let deadline = WallClock::now() + Duration::from_secs(10);
    let status = loop {
        match sipp.0.try_wait().expect("SIPp can be waited for") {
            Some(status) => break status,
            None => assert!(
                WallClock::now() < deadline,
                "SIPp waits for more than it got"
            ),
        }
        sip.socket.recv_from(&mut [0; 64]).ok();
    };
    assert_eq!(status.code(), Some(0));
}
