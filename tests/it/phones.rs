//! The telephone network over real UDP: a robot that dials with the core's own leg, and speaks recorded prompts.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};

use aftercall::phones::book::Folders;
use aftercall::phones::recognise::is_voice;
use aftercall::phones::{PhonesConfig, run};
use aftercall::speech::audio::decode_file;
use aftercall_core::codec::{Codec, FRAME};
use aftercall_core::rtp::{Stream, StreamConfig};
use aftercall_core::sip::event::{
    EndCause, LegConfig, LegEnding, LegEvent, LegOutput, Protection, Target, Transport,
};
use aftercall_core::sip::leg::Leg;
use aftercall_core::time::Instant;
use serde_json::Value;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A telephone network in this process, and its log.
pub struct Network {
    pub at: String,
    /// Its log and its tapes.
    pub folder: tempfile::TempDir,
}

impl Network {
    fn start() -> Network {
        Network::of(&root().join("fixtures/phones"))
    }

    /// A network of the telephones in a folder.
    pub fn of(phones: &Path) -> Network {
        Network::with(phones, true)
    }

    /// The same; where `tapes` is false no call is recorded.
    pub fn with(phones: &Path, tapes: bool) -> Network {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = PhonesConfig {
            listen: (LOCAL, 0).into(),
            folders: Folders {
                phones: phones.to_owned(),
                audio: root().join("fixtures/audio"),
                dialogs: root().join("dialogs"),
            },
            domain: None,
            log: Some(folder.path().join("log")),
            record: tapes.then(|| folder.path().to_owned()),
        };
        std::thread::spawn(move || run(&config, |error| panic!("{error}")));
        let mut network = Network {
            at: String::new(),
            folder,
        };
        let deadline = Clock::now() + Duration::from_secs(60);
        while network.at.is_empty() {
            assert!(Clock::now() < deadline, "the network did not start");
            std::thread::yield_now();
            if let Some(line) = network.log().first() {
                network.at = line["at"].as_str().unwrap_or_default().to_owned();
            }
        }
        network
    }

    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON lines"))
            .collect()
    }

    /// The events of the telephone as words.
    pub fn story(&self, phone: &str) -> Vec<String> {
        let log = self.log();
        let mine = log.iter().filter(|line| line["phone"] == phone);
        mine.map(|line| {
            let detail = ["prompt", "clip", "keys", "by", "status"].map(|key| &line[key]);
            let detail = detail.iter().find(|value| !value.is_null());
            match detail {
                Some(detail) => format!("{} {detail}", line["event"]).replace('"', ""),
                None => line["event"].to_string().replace('"', ""),
            }
        })
        .collect()
    }
}

/// A robot that plays one recording after another, each when the other side has been silent for a while.
struct Robot {
    leg: Leg,
    sip: UdpSocket,
    media: UdpSocket,
    stream: Option<(Stream, std::net::SocketAddr)>,
    began: Clock,
    ending: Option<LegEnding>,
    keys: String,
    early: bool,
    heard_voice: u32,
    silent_slots: u32,
}

impl Robot {
    fn dial(network: &Network, user: &str) -> Robot {
        let sip = UdpSocket::bind((LOCAL, 0)).expect("a free port");
        let media = UdpSocket::bind((LOCAL, 0)).expect("a free port");
        sip.set_nonblocking(true)
            .expect("a socket can be non-blocking");
        media
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let local = sip.local_addr().expect("it is bound");
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&local.port().to_be_bytes());
        let config = LegConfig {
            targets: vec![Target {
                request_uri: format!("sip:{user}@{}", network.at),
                address: network.at.parse().expect("an address"),
                transport: Transport::Udp,
            }],
            large_by_tcp: false,
            from_uri: format!("sip:robot@{local}"),
            from_display: None,
            contact_uri: format!("sip:robot@{local}"),
            via_host: local.to_string(),
            credentials: None,
            media_host: LOCAL,
            media_port: media.local_addr().expect("it is bound").port(),
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            ring_timeout: Duration::from_secs(30),
            first_answer_limit: Duration::from_secs(6),
            extra_headers: Vec::new(),
            user_agent: "test".to_owned(),
            reliable_provisional: true,
            session_expires: None,
            redirects: Vec::new(),
            srtp: Protection::Off,
        };
        Robot {
            leg: Leg::new(config, seed, Instant::ZERO),
            sip,
            media,
            stream: None,
            began: Clock::now(),
            ending: None,
            keys: String::new(),
            early: false,
            heard_voice: 0,
            silent_slots: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    /// One slot of 20 ms: everything in, everything out, `frame` to the telephone.
    fn slot(&mut self, frame: &[i16; FRAME]) {
        let mut buffer = [0_u8; 4_096];
        while let Ok((length, from)) = self.sip.recv_from(&mut buffer) {
            self.leg
                .handle_datagram(&buffer[..length], from, self.now());
        }
        let now = self.now();
        self.leg.handle_timeout(now);
        while let Some(output) = self.leg.poll_output() {
            match output {
                LegOutput::Send { bytes, to } => {
                    self.sip.send_to(&bytes, to).expect("loopback takes it");
                }
                LegOutput::Rest { .. } => {}
                LegOutput::Event(event) => self.event(event),
            }
        }
        if let Some((stream, remote)) = &mut self.stream {
            while let Ok(length) = self.media.recv(&mut buffer) {
                stream.receive(&buffer[..length], now);
            }
            let pulled = stream.pull(now).samples;
            self.keys.extend(std::iter::from_fn(|| stream.poll_key()));
            let bytes = stream.send(frame);
            self.media
                .send_to(&bytes, *remote)
                .expect("loopback takes it");
            if is_voice(&pulled) {
                self.heard_voice += 1;
                self.silent_slots = 0;
            } else {
                self.silent_slots += 1;
            }
        }
        self.wait();
    }

    fn wait(&self) {
        let slots = self.began.elapsed().as_millis() as u64 / 20 + 1;
        let next = self.began + Duration::from_millis(slots * 20);
        std::thread::sleep(next.saturating_duration_since(Clock::now()));
    }

    fn event(&mut self, event: LegEvent) {
        match event {
            LegEvent::EarlyMedia(answer) | LegEvent::Answered(answer) => {
                self.early |= self.stream.is_none();
                let config = StreamConfig {
                    codec: answer.codec,
                    payload_type: answer.payload_type,
                    telephone_event: answer.telephone_event,
                    ssrc: 5,
                    first_seq: 65_500,
                    first_timestamp: 4_294_900_000,
                };
                self.stream
                    .get_or_insert((Stream::new(config), answer.remote));
            }
            LegEvent::Ended(ending) => self.ending = Some(ending),
            LegEvent::Trying
            | LegEvent::Ringing { .. }
            | LegEvent::MediaChanged(_)
            | LegEvent::Key(_)
            | LegEvent::Transfer(_) => {}
        }
    }

    /// Waits for the telephone to speak and to fall silent; at most `seconds`.
    fn listen(&mut self, seconds: u64) {
        self.heard_voice = 0;
        let until = Clock::now() + Duration::from_secs(seconds);
        while Clock::now() < until && self.ending.is_none() {
            self.slot(&[0; FRAME]);
            if self.heard_voice > 5 && self.silent_slots > 30 {
                return;
            }
        }
    }

    fn say(&mut self, id: &str) {
        let path: PathBuf = root()
            .join("dialogs/common/prompts/zh")
            .join(format!("{id}.flac"));
        let mut samples = decode_file(&path).expect("prompts can be read");
        samples.resize(samples.len().div_ceil(FRAME) * FRAME, 0);
        for frame in samples.chunks_exact(FRAME) {
            self.slot(frame.try_into().expect("one frame"));
        }
    }

    fn hang_up(&mut self) {
        let now = self.now();
        self.leg.hang_up(now);
        self.listen(2);
    }
}

#[test]
fn a_patient_answers_what_the_robot_says_over_real_udp() {
    let network = Network::start();
    let mut robot = Robot::dial(&network, "+8613800001001");
    robot.listen(8);
    for id in ["identity_tail", "screen_chest"] {
        robot.say(id);
        robot.listen(8);
    }
    robot.say("screen_breath");
    robot.say("keys_yes_no");
    robot.listen(8);
    robot.hang_up();
    assert_eq!(
        robot.ending.as_ref().map(|ending| ending.why),
        Some(EndCause::LocalBye)
    );
    let story = network.story("rh10001_li");
    let wanted = [
        "invited",
        "answered",
        "says mrs_bei_hello",
        "turn",
        "prompt common/zh/identity_tail",
        "says mrs_bei_me",
        "turn",
        "prompt common/zh/screen_chest",
        "says mrs_bei_chest",
        "turn",
        "prompt common/zh/screen_breath",
        "says mrs_bei_breath",
        "hung_up robot",
    ];
    assert_eq!(story[..wanted.len().min(story.len())], wanted);
    let log = network.log();
    let turns: Vec<f64> = log
        .iter()
        .filter_map(|line| line["latency_ms"].as_f64())
        .collect();
    // This robot waits for 600 ms of silence, its buffer holds 40–60 ms.
    assert!(
        turns.iter().all(|ms| (500.0..1_200.0).contains(ms)),
        "{turns:?}"
    );
    let scores: Vec<f64> = log
        .iter()
        .filter_map(|line| line["score"].as_f64())
        .collect();
    assert!(scores.iter().all(|&score| score > 0.85), "{scores:?}");
}

#[test]
fn telephones_ring_on_are_busy_decline_announce_and_press_keys() {
    let network = Network::start();
    let end = |user: &str, seconds| {
        let mut robot = Robot::dial(&network, user);
        robot.listen(seconds);
        if robot.ending.is_none() {
            robot.hang_up();
        }
        let ending = robot.ending.expect("every call ends");
        (ending.status, ending.rang)
    };
    assert_eq!(end("+19990000", 2), (Some(404), false));
    let log = network.log();
    let phones: Vec<PathBuf> = std::fs::read_dir(root().join("fixtures/phones"))
        .expect("the demo's telephones")
        .map(|entry| entry.expect("readable").path())
        .collect();
    let number = |does: &str| {
        let text = phones
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok());
        let mut found = text.filter(|text| text.contains(&format!("does = \"{does}\"")));
        let text = found.next().expect("the demo has one of each kind");
        let line = text
            .lines()
            .find(|line| line.starts_with("number"))
            .unwrap_or_default();
        line.split('"').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(log.len(), 2);
    assert_eq!(end(&number("busy"), 10).0, Some(486));
    assert_eq!(end(&number("decline"), 10).0, Some(603));
    let (status, rang) = end(&number("no_answer"), 3);
    assert_eq!((status, rang), (Some(487), true));
    let mut announced = Robot::dial(&network, &number("announcement"));
    while announced.ending.is_none() && announced.began.elapsed() < Duration::from_secs(20) {
        announced.slot(&[0; FRAME]);
    }
    assert!(
        announced.early && announced.heard_voice > 100,
        "{}",
        announced.heard_voice
    );
    let mut keys = Robot::dial(&network, "+8613800001007");
    keys.listen(8);
    keys.say("identity_birth");
    let until = Clock::now() + Duration::from_secs(4);
    while keys.keys.len() < 4 && Clock::now() < until {
        keys.slot(&[0; FRAME]);
    }
    assert_eq!(keys.keys, "0412");
    keys.hang_up();
}
