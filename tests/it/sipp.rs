//! A leg on real sockets against SIPp's own user agent server, from Debian's package.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as WallClock};

use aftercall::trunk::carrier::{Carrier, Received};
use aftercall::trunk::config::Trunk;
use aftercall::trunk::socket::{self, Reach, SipSocket};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::{EndCause, LegEnding, LegEvent, LegOutput};
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::sdp::Direction;
use aftercall_core::time::Instant;
use mio::{Events, Poll};
use serde_json::Value;

use crate::process::Process;

/// Ends SIPp even when the test fails.
pub struct Sipp(pub Child);

impl Drop for Sipp {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub fn sipp(port: u16, folder: &Path) -> Sipp {
    sipp_over("u1", "127.0.0.1", port, folder)
}

/// SIPp's own user agent server for one call over `u1` (UDP) or `t1` (TCP).
pub fn sipp_over(transport: &str, host: &str, port: u16, folder: &Path) -> Sipp {
    let child = Command::new("sipp")
        .args([
            "-sn",
            "uas",
            "-t",
            transport,
            "-i",
            host,
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

/// Until it listens for connections. (One that is closed again does not disturb it.)
pub fn wait_for_listener(port: u16) {
    let deadline = WallClock::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(WallClock::now() < deadline, "SIPp does not listen");
        std::thread::yield_now();
    }
}

/// Free for datagrams and connections, and the next one too: a telephone takes it for TLS.
pub fn free_port() -> u16 {
    loop {
        let probe = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = probe.local_addr().expect("bound").port();
        let tls = port.saturating_add(1);
        if [port, tls].map(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) == [true, true] {
            return port;
        }
    }
}

/// A trunk's sockets, and the leg's clock.
pub struct Line {
    pub trunk: Trunk,
    pub reach: Reach,
    carrier: Carrier,
    poll: Poll,
    start: WallClock,
}

/// When the leg hangs up by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// Before anybody has said anything.
    AtOnce,
    AtAnswer,
    AtRinging,
    Never,
}

/// The loopback trunk with these targets in place of its own, and these lines before its tables.
pub fn trunk(targets: &[u16], lines: &str) -> Trunk {
    let places: Vec<String> = targets
        .iter()
        .map(|port| format!("\"127.0.0.1:{port}\""))
        .collect();
    let text = include_str!("../../sip_config/loopback.toml").replace(
        "target = \"127.0.0.1:5080\"",
        &format!("targets = [{}]\n{lines}", places.join(", ")),
    );
    Trunk::parse(Path::new("loopback.toml"), &text).unwrap_or_else(|error| panic!("{error}"))
}

impl Line {
    pub fn open(trunk: Trunk) -> Line {
        let SipSocket { bound, reach } = SipSocket::open(&trunk).expect("the loopback is bound");
        let poll = Poll::new().expect("a queue of events");
        let registry = poll.registry().try_clone().expect("a registry");
        let tls = socket::tls(&trunk, &reach).expect("certificates that can be read");
        let carrier = Carrier::new(bound, tls, registry).expect("sockets can be registered");
        Line {
            trunk,
            reach,
            carrier,
            poll,
            start: WallClock::now(),
        }
    }

    /// A leg to the number 1000.
    pub fn leg(&self, account: Option<Credentials>) -> Leg {
        let number = PhoneNumber::parse("1000").expect("a number");
        let config = self.trunk.leg_config(&number, &self.reach, 20_000, account);
        Leg::new(config, [3; 32], self.now())
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(0))
    }

    /// Runs the leg on the wall clock until it ended and its last request was answered.
    pub fn drive(&mut self, leg: &mut Leg, hang_up: HangUp) -> Vec<LegEvent> {
        let mut queue = Events::with_capacity(16);
        let mut events = Vec::new();
        let mut quiet_since = None;
        if hang_up == HangUp::AtOnce {
            leg.hang_up(self.now());
        }
        while self.start.elapsed() < Duration::from_secs(30)
            && quiet_since.is_none_or(|at: WallClock| at.elapsed() < Duration::from_millis(300))
        {
            self.poll
                .poll(&mut queue, Some(Duration::from_millis(10)))
                .expect("events can be waited for");
            for event in &queue {
                for Received { datagram, from } in self.carrier.receive(event.token()) {
                    leg.handle_datagram(&datagram, from, self.now());
                }
            }
            while let Some(to) = self.carrier.poll_refused() {
                leg.handle_refused_connection(to, self.now());
            }
            leg.handle_timeout(self.now());
            while let Some(output) = leg.poll_output() {
                match output {
                    // Refused while SIPp is still starting: the INVITE goes again.
                    LegOutput::Send { bytes, to } => self.carrier.send(&bytes, to),
                    LegOutput::Rest { .. } => {}
                    LegOutput::Event(event) => {
                        let leaves = match &event {
                            LegEvent::Answered(_) => hang_up == HangUp::AtAnswer,
                            LegEvent::Ringing { .. } => hang_up == HangUp::AtRinging,
                            _ => false,
                        };
                        if matches!(event, LegEvent::Ended(_)) {
                            quiet_since = Some(WallClock::now());
                        }
                        events.push(event);
                        if leaves {
                            leg.hang_up(self.now());
                        }
                    }
                }
            }
        }
        events
    }
}

/// How a leg ended.
pub fn ending(events: &[LegEvent]) -> &LegEnding {
    match events.last() {
        Some(LegEvent::Ended(ending)) => ending,
        other => panic!("not ended: {other:?} after {events:?}"),
    }
}

fn was_answered(events: &[LegEvent]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, LegEvent::Answered(_)))
}

/// SIPp with a scenario of ours, for one call.
pub fn scenario(port: u16, name: &str, keys: &[(&str, &str)]) -> Process {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/sip/{name}.xml"));
    let mut command = Command::new("sipp");
    command.arg("-sf").arg(file);
    command.args(["-i", "127.0.0.1", "-m", "1", "-nostdin", "-p"]);
    command.arg(port.to_string());
    for (key, value) in keys {
        command.args(["-key", key, value]);
    }
    // Not asked whether it is there: it would take the question for a wrong call. The INVITE goes again.
    Process::start(&mut command, "apt-get install sip-tester (make test does)")
}

/// SIPp exits 0 only when its scenario ran to the end: every request and answer came in its place.
pub fn ran_to_its_end(mut sipp: Process) {
    let exit = sipp.finish(Duration::from_secs(20));
    assert_eq!(exit, 0, "{}", sipp.said.join("\n"));
}

/// Calls of one process that end by every way there is: nothing of them is left. 24,000 in a soak of 400.
#[test]
fn every_way_to_end_leaves_nothing_behind() {
    let times = option_env!("AFTERCALL_SOAK").unwrap_or("1");
    let calls = 60 * times.parse::<u32>().expect("AFTERCALL_SOAK is a number");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let far_end = Command::new("sipp")
        .arg("-sf")
        .arg(root.join("fixtures/sip/sipp_ends.xml"))
        .args([
            "-i",
            "127.0.0.1",
            "-mi",
            "127.0.0.1",
            "-rtp_echo",
            "-nostdin",
            "-p",
        ])
        .arg(port.to_string())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("SIPp is installed (apt install sip-tester)");
    let _far_end = Sipp(far_end);
    let output = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["bench", "calls", "--json", "--rate", "60", "--seconds", "1"])
        .args([
            "--to",
            &format!("sip:1000@127.0.0.1:{port}"),
            "--calls",
            &calls.to_string(),
        ])
        .arg("--play")
        .arg(root.join("dialogs/common/prompts/zh/screen_chest.flac"))
        .output()
        .expect("the bench runs");
    let found: Value = serde_json::from_slice(&output.stdout).expect("a JSON object");
    assert_eq!(found["placed"], calls, "{found}");
    for end in ["local_bye", "remote_bye", "rejected"] {
        assert!(found["ends"][end].as_u64() > Some(0), "{end}: {found}");
    }
    for held in ["descriptors", "routes", "alarms"] {
        assert_eq!(
            found["held_after"][held], found["held_before"][held],
            "{held}: {found}"
        );
    }
}

#[test]
fn sipp_answers_a_leg_and_takes_its_bye() {
    for (transport, host) in [("u1", "127.0.0.1"), ("t1", "127.0.0.1"), ("u1", "[::1]")] {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut sipp = sipp_over(transport, host, port, folder.path());
        let mut lines = "";
        if transport == "t1" {
            lines = "transport = \"tcp\"";
            wait_for_listener(port);
        }
        let mut trunk = trunk(&[port], lines);
        if host == "[::1]" {
            trunk.bind = "[::1]:0".parse().expect("an address");
            trunk.targets[0].host = "::1".to_owned();
        }
        let mut line = Line::open(trunk);
        let mut leg = line.leg(None);
        let events = line.drive(&mut leg, HangUp::AtAnswer);
        assert!(
            events.contains(&LegEvent::Ringing { status: 180 }),
            "{events:?}"
        );
        assert!(was_answered(&events), "{events:?}");
        let ending = ending(&events);
        assert_eq!(
            (ending.why, ending.status, ending.rang),
            (EndCause::LocalBye, Some(200), true)
        );
        // SIPp exits 0 only when its scenario ran to the end: ACK and BYE came in their places.
        let status = sipp.0.wait().expect("SIPp can be waited for");
        assert_eq!(status.code(), Some(0), "{transport} {host}");
    }
}

#[test]
fn sipp_rings_reliably_and_changes_everything_within_the_call() {
    let port = free_port();
    let sipp = scenario(port, "sipp_reliable", &[]);
    let mut line = Line::open(trunk(&[port], ""));
    let mut leg = line.leg(None);
    let events = line.drive(&mut leg, HangUp::Never);
    ran_to_its_end(sipp);
    assert_eq!(ending(&events).why, EndCause::RemoteBye);
    let directions: Vec<Direction> = events
        .iter()
        .filter_map(|event| match event {
            LegEvent::MediaChanged(answer) => Some(answer.direction),
            _ => None,
        })
        .collect();
    assert_eq!(directions, [Direction::RecvOnly, Direction::SendRecv]);
    assert!(events.contains(&LegEvent::Key('5')));
}

#[test]
fn sipp_wants_a_longer_session_and_has_it_refreshed() {
    let port = free_port();
    let sipp = scenario(port, "sipp_session", &[]);
    let mut line = Line::open(trunk(&[port], "session_expires_s = 90"));
    let mut leg = line.leg(None);
    let events = line.drive(&mut leg, HangUp::Never);
    ran_to_its_end(sipp);
    assert_eq!(ending(&events).why, EndCause::RemoteBye);
}

#[test]
fn sipp_answers_while_we_cancel() {
    let port = free_port();
    let sipp = scenario(port, "sipp_crosses", &[]);
    let mut line = Line::open(trunk(&[port], ""));
    let mut leg = line.leg(None);
    let events = line.drive(&mut leg, HangUp::AtRinging);
    ran_to_its_end(sipp);
    let ending = ending(&events);
    assert_eq!(
        (ending.why, ending.status),
        (EndCause::Cancelled, Some(200))
    );
    assert!(!was_answered(&events));
}

#[test]
fn sipp_sends_us_elsewhere_and_we_go_only_where_we_may() {
    for (allowed, answered) in [("127.0.0.1", true), ("127.0.0.2", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, next) = (free_port(), free_port());
        let first = scenario(port, "sipp_moved", &[("next", &next.to_string())]);
        let _second = sipp(next, folder.path());
        let lines = format!("redirect_hosts = [\"{allowed}\"]");
        let mut line = Line::open(trunk(&[port], &lines));
        let mut leg = line.leg(None);
        let events = line.drive(&mut leg, HangUp::AtAnswer);
        ran_to_its_end(first);
        assert_eq!(was_answered(&events), answered, "{allowed}: {events:?}");
        let why = if answered {
            EndCause::LocalBye
        } else {
            EndCause::Redirected
        };
        assert_eq!(ending(&events).why, why);
    }
}

#[test]
fn the_second_target_is_called_when_the_first_keeps_silent() {
    let folder = tempfile::tempdir().expect("a folder");
    let (silent, port) = (free_port(), free_port());
    let _sipp = sipp(port, folder.path());
    let mut line = Line::open(trunk(&[silent, port], "first_answer_limit_s = 3"));
    let mut leg = line.leg(None);
    let events = line.drive(&mut leg, HangUp::AtAnswer);
    assert!(was_answered(&events), "{events:?}");
    assert_eq!(ending(&events).why, EndCause::LocalBye);
}
