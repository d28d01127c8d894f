//! A scripted telephone: rings, answers, listens, speaks, presses keys, hangs up. A user agent server in
//! virtual time, small because it only ever meets our own INVITE.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::fixture::{Fixture, LineEvent};
use super::voice::spoken;
use crate::codec::Codec;
use crate::rtp::{Stream, StreamConfig};
use crate::time::Instant;

const SLOT: Duration = Duration::from_millis(20);
/// The robot's prompt is over after so much silence.
const PROMPT_OVER: Duration = Duration::from_millis(700);
/// The robot held its breath, when it is silent for so long within its speech.
const BREATH: Duration = Duration::from_millis(100);
/// Mean level that counts as the robot's voice.
const LOUD: i32 = 150;

/// A greeting that ends so is followed by 600 ms of silence and a beep.
const BEEPS: &str = " (beep)";

/// What the telephone does when a question is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    Say(String),
    Keys(String),
    /// Done so long into the robot's speech.
    Into {
        after: Duration,
        what: Box<Pick>,
    },
    /// A noise of 100 ms, and no word.
    Cough,
    /// Somebody in the room, without a word to be made out; this follows a second later.
    Else(Box<Pick>),
    HangUp,
    Silence,
}

/// The telephone and the person on it.
#[derive(Debug)]
pub struct Callee {
    fixture: Fixture,
    invite: Option<String>,
    /// The robot's answer, where this telephone rang it.
    accepted: Option<String>,
    to_tag: &'static str,
    due: VecDeque<(Instant, LineEvent)>,
    out_sip: VecDeque<Vec<u8>>,
    out_rtp: VecDeque<Vec<u8>>,
    stream: Option<Stream>,
    next_slot: Option<Instant>,
    speech: VecDeque<i16>,
    /// Played from the first media on, instead of what the fixture says.
    clip: Vec<i16>,
    keys: VecDeque<char>,
    asked: Option<String>,
    times: BTreeMap<String, usize>,
    robot_loud_at: Option<Instant>,
    /// The robot began to speak.
    robot_from: Option<Instant>,
    /// Somebody spoke into the robot's speech from here on, and it has not fallen silent yet.
    into_at: Option<Instant>,
    /// How long the robot went on each time, to its last loud frame.
    pub talked_over: Vec<Duration>,
    /// How long it held its breath each time, before it went on.
    pub breaths: Vec<Duration>,
    /// Once a question.
    spoke_into: bool,
    /// What is done then.
    then: Option<(Instant, Pick)>,
    noise: u32,
    echo: VecDeque<[i16; 160]>,
    answered: bool,
    gone: bool,
    final_sent: bool,
    /// What was said last, for the recogniser that the world stands in for.
    pub last_words: Option<String>,
    pub bye_received: bool,
    pub cancelled: bool,
    pub acks: u32,
    /// A key was pressed then, and so many frames of somebody's voice were heard since.
    pub key_at: Option<Instant>,
    pub heard_since_key: u32,
}

impl Callee {
    pub fn new(fixture: Fixture) -> Callee {
        Callee {
            fixture,
            invite: None,
            accepted: None,
            to_tag: "callee",
            due: VecDeque::new(),
            out_sip: VecDeque::new(),
            out_rtp: VecDeque::new(),
            stream: None,
            next_slot: None,
            speech: VecDeque::new(),
            clip: Vec::new(),
            keys: VecDeque::new(),
            asked: None,
            times: BTreeMap::new(),
            robot_loud_at: None,
            robot_from: None,
            into_at: None,
            talked_over: Vec::new(),
            breaths: Vec::new(),
            spoke_into: false,
            then: None,
            noise: 0x2545_f491,
            echo: VecDeque::new(),
            answered: false,
            gone: false,
            final_sent: false,
            last_words: None,
            bye_received: false,
            cancelled: false,
            acks: 0,
            key_at: None,
            heard_since_key: 0,
        }
    }

    /// Whoever picks up, or the network before, sounds like this.
    pub(super) fn play(&mut self, clip: Vec<i16>) {
        self.clip = clip;
    }

    /// The robot opened a turn: the next silence is for its answer.
    pub fn asked(&mut self, node: &str) {
        self.asked = Some(node.to_owned());
        self.robot_loud_at = None;
        self.robot_from = None;
        self.spoke_into = false;
    }

    /// The question that was asked last.
    pub fn question(&self) -> String {
        self.asked.clone().unwrap_or_default()
    }

    /// The INVITE by which this telephone rings the robot.
    pub(super) fn call() -> String {
        let body = sdp(Codec::Pcma);
        format!(
            "INVITE sip:robot@10.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKrings\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+8613800138000@10.0.0.2>;tag=callee\r\nTo: <sip:robot@10.0.0.1>\r\n\
             Call-ID: rings-back\r\nCSeq: 1 INVITE\r\nContact: <sip:callee@10.0.0.2:5060>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The robot has answered: the ACK, and the caller's voice.
    fn accepted(&mut self, answer: String, now: Instant) {
        self.out_sip.push_back(in_dialog(&answer, "ACK", 1));
        if self.accepted.is_none() {
            self.accepted = Some(answer);
            self.answered = true;
            self.start_media(Codec::Pcma, now);
            if let Some(greeting) = self.fixture.greeting.clone() {
                self.say(&greeting);
            }
        }
    }

    pub fn handle_sip(&mut self, datagram: &[u8], now: Instant) {
        let text = String::from_utf8_lossy(datagram).into_owned();
        let method = text.split(' ').next().unwrap_or_default();
        if text.starts_with("SIP/2.0 200") && header(&text, "CSeq").ends_with("INVITE") {
            return self.accepted(text, now);
        }
        match method {
            "INVITE" if self.invite.is_none() => {
                for event in self.fixture.line.clone() {
                    self.due.push_back((now + event.after(), event));
                }
                self.invite = Some(text);
            }
            "ACK" => self.acks += 1,
            "CANCEL" => {
                self.cancelled = true;
                self.out_sip
                    .push_back(response(&text, 200, "OK", None, "", &[]));
                if !self.final_sent {
                    self.final_status(487);
                }
            }
            "BYE" => {
                self.bye_received = true;
                self.gone = true;
                self.next_slot = None;
                self.out_sip
                    .push_back(response(&text, 200, "OK", None, "", &[]));
            }
            _ => {}
        }
    }

    pub fn handle_rtp(&mut self, datagram: &[u8], now: Instant) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.receive(datagram, now);
    }

    pub fn poll_sip(&mut self) -> Option<Vec<u8>> {
        self.out_sip.pop_front()
    }

    pub fn poll_rtp(&mut self) -> Option<Vec<u8>> {
        self.out_rtp.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.due.front().map(|(at, _)| *at);
        match (due, self.next_slot) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, event)) = self.due.pop_front() {
            if at > now {
                self.due.push_front((at, event));
                break;
            }
            self.happen(event, now);
        }
        while let Some(at) = self.next_slot.filter(|at| *at <= now) {
            self.next_slot = Some(at + SLOT);
            self.slot(now);
        }
    }

    fn happen(&mut self, event: LineEvent, now: Instant) {
        if self.gone || (self.final_sent && !matches!(event, LineEvent::HangUp { .. })) {
            return;
        }
        match event {
            LineEvent::Status { status, .. } if status < 200 => self.provisional(status),
            LineEvent::Status { status, .. } => self.final_status(status),
            LineEvent::Announce { text, .. } => {
                self.reply(183, Some(Codec::Pcma));
                let has_clip = !self.clip.is_empty();
                self.start_media(Codec::Pcma, now);
                if !has_clip {
                    self.say(&text);
                }
            }
            LineEvent::Answer { codec, .. } => {
                self.answered = true;
                self.final_sent = true;
                self.reply(200, Some(codec));
                self.speech.clear();
                self.start_media(codec, now);
                if let Some(greeting) = self.fixture.greeting.clone() {
                    let words = greeting.strip_suffix(BEEPS);
                    self.say(words.unwrap_or(&greeting));
                    if words.is_some() {
                        self.speech.extend(beep());
                    }
                }
            }
            LineEvent::HangUp { .. } => self.hang_up(),
        }
    }

    fn start_media(&mut self, codec: Codec, now: Instant) {
        if self.stream.is_none() {
            self.stream = Some(Stream::new(StreamConfig {
                codec,
                payload_type: payload_type(codec),
                telephone_event: Some(101),
                ssrc: 0xca11_ee00,
                first_seq: 65_000,
                first_timestamp: u32::MAX - 40_000,
            }));
        }
        self.next_slot.get_or_insert(now);
        self.speech.extend(std::mem::take(&mut self.clip));
    }

    fn slot(&mut self, now: Instant) {
        let mut frame = [0i16; 160];
        for sample in &mut frame {
            *sample = self.speech.pop_front().unwrap_or(0);
        }
        if let Some(path) = self.fixture.echo
            && self.echo.len() as u64 * 20 >= path.delay_ms
            && let Some(back) = self.echo.pop_front()
        {
            let share = 10.0_f32.powf(-path.loss_db / 20.0);
            for (sample, back) in frame.iter_mut().zip(back) {
                *sample = sample.saturating_add((f32::from(back) * share) as i16);
            }
        }
        if let Some(level_db) = self.fixture.noise_db {
            // Even noise from -a to a has a level of a/√3.
            let highest = 32_768.0 * 10.0_f32.powf(level_db / 20.0) * 3.0_f32.sqrt();
            for sample in &mut frame {
                self.noise = self
                    .noise
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                let share = (self.noise >> 16) as f32 / 32_768.0 - 1.0;
                *sample = sample.saturating_add((share * highest) as i16);
            }
        }
        if let Some((_, pick)) = self.then.take_if(|(at, _)| now >= *at) {
            self.act(pick, now);
        }
        if let Some(stream) = &mut self.stream {
            if !stream.is_pressing()
                && let Some(key) = self.keys.pop_front()
            {
                stream.press(key);
                self.key_at = Some(now);
                self.heard_since_key = 0;
            }
            if !self.fixture.mute {
                self.out_rtp.push_back(stream.send(&frame));
            }
            let heard = stream.pull(now).samples;
            let level = heard.iter().map(|s| i32::from(*s).abs()).sum::<i32>() / 160;
            if self.fixture.echo.is_some() {
                self.echo.push_back(heard);
            }
            if level > LOUD {
                self.heard_since_key += 1;
                let held = self.robot_loud_at.map(|at| now.since(at));
                let held = held.filter(|held| self.into_at.is_some() && *held >= BREATH);
                self.breaths.extend(held);
                self.robot_loud_at = Some(now);
                self.robot_from.get_or_insert(now);
            }
        }
        self.speak_into(now);
        let over = self
            .robot_loud_at
            .is_some_and(|at| now.since(at) >= PROMPT_OVER);
        if over && let Some(from) = self.into_at.take() {
            let last = self.robot_loud_at.unwrap_or(from);
            self.talked_over.push(last.since(from));
            // The robot stopped for these words: they are the answer, whatever comes of them.
            if !self.speech.is_empty() {
                self.robot_loud_at = None;
            }
        }
        if self.answered && over && self.speech.is_empty() {
            self.robot_loud_at = None;
            self.answer_question(now);
        }
    }

    /// Speaks while the robot does, where the fixture says so.
    fn speak_into(&mut self, now: Instant) {
        let (Some(from), Some(node), false) =
            (self.robot_from, self.asked.clone(), self.spoke_into)
        else {
            return;
        };
        let nth = self.times.get(&node).copied().unwrap_or(0);
        let Pick::Into { after, what } = self.fixture.pick(&node, nth) else {
            return;
        };
        if now.since(from) >= after {
            self.times.insert(node, nth + 1);
            self.into_at = Some(now);
            self.spoke_into = true;
            self.act(*what, now);
        }
    }

    fn answer_question(&mut self, now: Instant) {
        let Some(node) = self.asked.clone() else {
            return;
        };
        let nth = self.times.entry(node.clone()).or_insert(0);
        let pick = self.fixture.pick(&node, *nth);
        *nth += 1;
        self.act(pick, now);
    }

    fn act(&mut self, pick: Pick, now: Instant) {
        match pick {
            Pick::Say(text) => self.say(&text),
            Pick::Cough => {
                self.speech = spoken(100).into();
                self.last_words = None;
            }
            Pick::Else(then) => {
                self.speech = spoken(300).into();
                self.last_words = None;
                self.then = Some((now + Duration::from_millis(1_300), *then));
            }
            Pick::Keys(keys) => self.keys = keys.chars().collect(),
            Pick::HangUp => self.hang_up(),
            Pick::Into { what, .. } => self.act(*what, now),
            Pick::Silence => {}
        }
    }

    fn say(&mut self, text: &str) {
        let ms = 300
            + 130 * text.chars().filter(|c| !c.is_ascii()).count() as u64
            + 60 * text.chars().filter(char::is_ascii).count() as u64;
        self.speech = spoken(ms).into();
        self.last_words = Some(text.to_owned());
    }

    fn hang_up(&mut self) {
        if self.gone {
            return;
        }
        self.gone = true;
        self.next_slot = None;
        let bye = match (&self.accepted, &self.invite) {
            (Some(answer), _) => in_dialog(answer, "BYE", 2),
            (None, Some(invite)) if self.answered => bye(invite, self.to_tag),
            (None, _) => return,
        };
        self.out_sip.push_back(bye);
    }

    fn provisional(&mut self, status: u16) {
        self.reply(status, None);
    }

    fn final_status(&mut self, status: u16) {
        self.final_sent = true;
        self.next_slot = None;
        self.reply(status, None);
    }

    fn reply(&mut self, status: u16, media: Option<Codec>) {
        let Some(invite) = &self.invite else { return };
        let body = media.map(sdp).unwrap_or_default();
        let extra = self
            .fixture
            .reason
            .as_ref()
            .filter(|_| status >= 300)
            .map(|r| format!("Reason: {r}\r\n"));
        let tag = (status > 100).then_some(self.to_tag);
        let bytes = response(
            invite,
            status,
            "Phrase",
            tag,
            &body,
            &extra.into_iter().collect::<Vec<_>>(),
        );
        self.out_sip.push_back(bytes);
    }
}

/// 600 ms of silence and 400 ms of 1,000 Hz at -15 dBFS.
fn beep() -> Vec<i16> {
    let tone = |n: u16| (f32::from(n) * std::f32::consts::FRAC_PI_4).sin() * 5_800.0;
    let mut samples = vec![0; 4_800];
    samples.extend((0..3_200).map(|n| tone(n) as i16));
    samples
}

fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 8,
        Codec::Pcmu => 0,
        Codec::G722 => 9,
    }
}

fn sdp(codec: Codec) -> String {
    let pt = payload_type(codec);
    format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP {pt} 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
    )
}

fn headers<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    message
        .split("\r\n")
        .take_while(|line| !line.is_empty())
        .filter_map(move |line| {
            line.split_once(": ")
                .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v)
        })
}

fn header<'a>(message: &'a str, name: &'a str) -> &'a str {
    headers(message, name).next().unwrap_or_default()
}

fn response(
    request: &str,
    status: u16,
    phrase: &str,
    tag: Option<&str>,
    body: &str,
    extra: &[String],
) -> Vec<u8> {
    let mut out = format!("SIP/2.0 {status} {phrase}\r\n");
    for via in headers(request, "Via") {
        out += &format!("Via: {via}\r\n");
    }
    let to = header(request, "To");
    let to = match tag {
        Some(tag) if !to.contains(";tag=") => format!("{to};tag={tag}"),
        _ => to.to_owned(),
    };
    out += &format!(
        "From: {}\r\nTo: {to}\r\nCall-ID: {}\r\n",
        header(request, "From"),
        header(request, "Call-ID")
    );
    out += &format!(
        "CSeq: {}\r\nContact: <sip:callee@10.0.0.2:5060>\r\n",
        header(request, "CSeq")
    );
    for line in extra {
        out += line;
    }
    if !body.is_empty() {
        out += "Content-Type: application/sdp\r\n";
    }
    out += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    out.into_bytes()
}

/// A request of whoever rang the robot, in the dialog that the robot's answer made.
fn in_dialog(answer: &str, method: &str, cseq: u32) -> Vec<u8> {
    format!(
        "{method} sip:robot@10.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{method}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         Content-Length: 0\r\n\r\n",
        header(answer, "From"),
        header(answer, "To"),
        header(answer, "Call-ID"),
    )
    .into_bytes()
}

fn bye(invite: &str, tag: &str) -> Vec<u8> {
    let target = header(invite, "Contact")
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap_or_default();
    format!(
        "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKcallee\r\nMax-Forwards: 70\r\n\
         From: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        header(invite, "To"),
        header(invite, "From"),
        header(invite, "Call-ID"),
    )
    .into_bytes()
}
