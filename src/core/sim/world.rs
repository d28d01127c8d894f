//! The time, a call, a telephone and two links. `step` drains, delivers what is due, and jumps.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::callee::Callee;
use super::fixture::Fixture;
use super::link::{Link, LinkConfig};
use super::person::{Deed, Leaves, Person, Takeover};
use crate::attempt::CallRecord;
use crate::call::{Call, CallEvent, CallKit, CallOrder, Input, Output};
use crate::codec::G711;
use crate::heard::{Choices, Heard, Transcript};
use crate::id::UtteranceId;
use crate::lang::Lang;
use crate::script::{Note, RingBack};
use crate::sip::event::LegConfig;
use crate::sip::front_door::parse_message;
use crate::sip::leg::Leg;
use crate::sip::message::Message;
use crate::time::Instant;

/// What the recogniser needs in virtual time.
const EAR_DELAY: Duration = Duration::from_millis(350);
/// A sample that is the robot's voice.
const LOUD: i16 = 300;
/// No call is longer than this, whatever the fixture does.
const END_OF_TIME: Duration = Duration::from_secs(3_600);

/// The telephone's address, which nobody looks at here.
const CALLEE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 5_060);
/// Its audio's, as its description says.
const CALLEE_MEDIA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 4_000);

#[derive(Debug)]
enum Datagram {
    Sip(Vec<u8>),
    Rtp(Vec<u8>),
}

/// A telephone of the ladder, and the way there and back.
struct Nurse {
    callee: Callee,
    there: Link<Datagram>,
    back: Link<Datagram>,
}

impl Nurse {
    fn new(fixture: Fixture, line: u32) -> Nurse {
        let mut callee = Callee::new(fixture);
        callee.asked("offer");
        let seed = [u8::try_from(line).unwrap_or(u8::MAX); 32];
        Nurse {
            callee,
            there: Link::new(LinkConfig::default(), seed),
            back: Link::new(LinkConfig::default(), seed),
        }
    }
}

/// One call in virtual time.
pub struct World {
    leg: LegConfig,
    ladder: Vec<Fixture>,
    nurses: BTreeMap<u32, Nurse>,
    nurse_said: u32,
    person: Option<Person>,
    fixture: Fixture,
    now: Instant,
    call: Call,
    callee: Callee,
    to_callee: Link<Datagram>,
    to_call: Link<Datagram>,
    words: Vec<(Instant, UtteranceId, Heard)>,
    /// A clip is on the line: its words are for whoever runs the world to tell.
    by_sound: bool,
    wanted: VecDeque<Wanted>,
    /// Findings that are on disk at an instant.
    stored: Vec<(Instant, u32)>,
    shutdown_at: Option<Instant>,
    events: Vec<CallEvent>,
    event_ms: Vec<u64>,
    trace: Vec<String>,
    record: Option<CallRecord>,
    frames: u64,
    spoke_ms: Option<u64>,
}

/// Sound whose words the call asks for.
#[derive(Debug)]
pub struct Wanted {
    pub utterance: UtteranceId,
    pub samples: Arc<[i16]>,
    pub lang: Lang,
    pub hot_words: Vec<String>,
    pub choices: Choices,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub record: CallRecord,
    pub events: Vec<CallEvent>,
    /// When each came, in milliseconds from the INVITE.
    pub event_ms: Vec<u64>,
    /// When the robot was first heard, on the recording's clock.
    pub spoke_ms: Option<u64>,
    /// SIP ladder and events, a line each, with virtual times.
    pub trace: Vec<String>,
    /// Frames recorded, 20 ms each.
    pub frames: u64,
    pub bye_received: bool,
    pub cancelled: bool,
    pub took: Duration,
    /// How long the robot talked on each time that somebody spoke into its speech.
    pub talked_over: Vec<Duration>,
    /// How long it held its breath within a speech each time.
    pub breaths: Vec<Duration>,
    /// Voice that each telephone of the ladder heard since its key was pressed, and that came from there or from a browser.
    pub nurse_heard_ms: BTreeMap<u32, u64>,
    pub nurse_said_ms: u64,
}

impl World {
    pub fn new(fixture: Fixture, order: CallOrder, kit: Arc<CallKit>, seed: [u8; 32]) -> World {
        let now = Instant::from_millis(1_000);
        let leg = order.leg.clone();
        let call = Call::new(order, kit, seed, now);
        World::of(fixture, leg, call, seed)
    }

    /// The telephone rings the robot, which answers at once.
    ///
    /// # Panics
    /// Never: its INVITE can be read.
    pub fn ringing_back(
        fixture: Fixture,
        order: CallOrder,
        kind: RingBack,
        kit: Arc<CallKit>,
        seed: [u8; 32],
    ) -> World {
        let now = Instant::from_millis(1_000);
        let config = order.leg.clone();
        let Ok(Message::Request(invite)) = parse_message(Callee::call().as_bytes()) else {
            unreachable!("an INVITE of ours");
        };
        let leg = Leg::rung(config.clone(), invite, CALLEE, seed, now);
        let call = Call::answering(order, leg, kind, kit, seed, now);
        World::of(fixture, config, call, seed)
    }

    fn of(fixture: Fixture, leg: LegConfig, call: Call, seed: [u8; 32]) -> World {
        let now = Instant::from_millis(1_000);
        let link = LinkConfig {
            jitter: Duration::from_millis(fixture.jitter_ms),
            loss: fixture.loss,
            ..LinkConfig::default()
        };
        let mut back = seed;
        back[0] ^= 1;
        World {
            leg,
            ladder: Vec::new(),
            nurses: BTreeMap::new(),
            nurse_said: 0,
            person: None,
            now,
            call,
            callee: Callee::new(fixture.clone()),
            to_callee: Link::new(link.clone(), seed),
            to_call: Link::new(link, back),
            words: Vec::new(),
            by_sound: false,
            wanted: VecDeque::new(),
            stored: Vec::new(),
            shutdown_at: fixture
                .shutdown_ms
                .map(|ms| now + Duration::from_millis(ms)),
            fixture,
            events: Vec::new(),
            event_ms: Vec::new(),
            trace: Vec::new(),
            record: None,
            frames: 0,
            spoke_ms: None,
        }
    }

    /// With these telephones of people on call; what they do when told of the call stands under `offer`.
    pub fn with_ladder(mut self, ladder: Vec<Fixture>) -> World {
        self.ladder = ladder;
        self
    }

    /// With somebody at a browser who takes the patient over.
    pub fn with_takeover(mut self, plan: Takeover) -> World {
        self.person = Some(Person::new(plan));
        self
    }

    /// With 8 kHz samples on the line, from the first media on, instead of a made-up voice. What is wanted of them
    /// comes from [`World::poll_wanted`] and is answered by [`World::hear`].
    pub fn with_clip(mut self, clip: Vec<i16>) -> World {
        self.by_sound = true;
        self.callee.play(clip);
        self
    }

    /// The next sound whose words the call asks for.
    pub fn poll_wanted(&mut self) -> Option<Wanted> {
        self.wanted.pop_front()
    }

    /// The words of an utterance, so long after they were asked for.
    pub fn hear(&mut self, utterance: UtteranceId, heard: Heard, after: Duration) {
        self.words.push((self.now + after, utterance, heard));
    }

    /// Runs to the end of the call.
    ///
    /// # Panics
    /// When an invariant breaks (two final events, output after the end, a wake time in the past) or the
    /// call never ends: the test that runs it has failed.
    pub fn run(mut self) -> Outcome {
        while self.step() {}
        self.outcome()
    }

    /// What came of a call that is over.
    ///
    /// # Panics
    /// When it is not.
    pub fn outcome(self) -> Outcome {
        let record = self.record.expect("a call ends with exactly one record");
        let nurses = self.nurses.iter();
        let heard = nurses.map(|(line, nurse)| {
            let frames = match nurse.callee.key_at {
                Some(_) => nurse.callee.heard_since_key,
                None => 0,
            };
            (*line, u64::from(frames) * 20)
        });
        Outcome {
            record,
            events: self.events,
            event_ms: self.event_ms,
            spoke_ms: self.spoke_ms,
            trace: self.trace,
            frames: self.frames,
            bye_received: self.callee.bye_received,
            cancelled: self.callee.cancelled,
            talked_over: self.callee.talked_over,
            breaths: self.callee.breaths,
            nurse_heard_ms: heard.collect(),
            nurse_said_ms: u64::from(self.nurse_said) * 20,
            took: self.now.since(Instant::from_millis(1_000)),
        }
    }

    /// One instant: drain, deliver, jump. `false` when nothing can happen any more.
    pub fn step(&mut self) -> bool {
        self.drain();
        let Some(next) = self.next_event() else {
            return false;
        };
        assert!(
            next.since(Instant::ZERO) < END_OF_TIME,
            "the call never ends: {:#?}",
            self.trace
        );
        self.now = next.max(self.now);
        let now = self.now;
        while let Some(datagram) = self.to_callee.receive(now) {
            match datagram {
                Datagram::Sip(bytes) => self.callee.handle_sip(&bytes, now),
                Datagram::Rtp(bytes) => self.callee.handle_rtp(&bytes, now),
            }
        }
        self.callee.handle_timeout(now);
        while let Some(datagram) = self.to_call.receive(now) {
            match datagram {
                Datagram::Sip(bytes) => {
                    let (datagram, from) = (&bytes[..], CALLEE);
                    self.call.handle_input(Input::Sip { datagram, from }, now);
                }
                Datagram::Rtp(bytes) => {
                    let (datagram, from) = (&bytes[..], CALLEE_MEDIA);
                    self.call.handle_input(Input::Rtp { datagram, from }, now);
                }
            }
            self.drain();
        }
        self.step_nurses();
        self.step_person();
        while let Some(place) = self.words.iter().position(|(at, ..)| *at <= now) {
            let (_, utterance, heard) = self.words.remove(place);
            self.call
                .handle_input(Input::Heard { utterance, heard }, now);
            self.drain();
        }
        while let Some(place) = self.stored.iter().position(|(at, _)| *at <= now) {
            let (_, position) = self.stored.remove(place);
            self.line(format!("stored {position}"));
            self.call.handle_input(Input::Stored { position }, now);
            self.drain();
        }
        if self.shutdown_at.is_some_and(|at| at <= now) {
            self.shutdown_at = None;
            self.call.handle_input(Input::HangUp, now);
        }
        self.call.handle_timeout(now);
        self.drain();
        if let Some((wake, why)) = self.call.poll_timeout() {
            assert!(
                wake > now,
                "{why:?} is due in the past: {wake:?} <= {now:?}"
            );
        }
        !self.call.is_finished()
    }

    fn step_person(&mut self) {
        let deeds = self.person.as_mut().map(|person| person.act(self.now));
        for deed in deeds.unwrap_or_default() {
            let by = "li.na".to_owned();
            let input = match &deed {
                Deed::TakesOver => Input::TakeOver { by },
                Deed::Says(packet) => Input::Voice(packet),
                Deed::Leaves(Leaves::HandsBack) => Input::HandBack,
                Deed::Leaves(Leaves::HangsUp) => Input::HangUp,
                Deed::Leaves(Leaves::Vanishes) => continue,
            };
            self.call.handle_input(input, self.now);
            self.drain();
        }
    }

    fn step_nurses(&mut self) {
        let now = self.now;
        let mut arrived = Vec::new();
        for (line, nurse) in &mut self.nurses {
            while let Some(datagram) = nurse.there.receive(now) {
                match datagram {
                    Datagram::Sip(bytes) => nurse.callee.handle_sip(&bytes, now),
                    Datagram::Rtp(bytes) => nurse.callee.handle_rtp(&bytes, now),
                }
            }
            nurse.callee.handle_timeout(now);
            while let Some(bytes) = nurse.callee.poll_sip() {
                nurse.back.send(Datagram::Sip(bytes), now);
            }
            while let Some(bytes) = nurse.callee.poll_rtp() {
                nurse.back.send(Datagram::Rtp(bytes), now);
            }
            while let Some(datagram) = nurse.back.receive(now) {
                arrived.push((*line, datagram));
            }
        }
        for (line, datagram) in arrived {
            match &datagram {
                Datagram::Sip(datagram) => {
                    self.ladder(&format!("nurse {line} <-"), datagram);
                    let from = CALLEE;
                    let input = Input::LineSip {
                        line,
                        datagram,
                        from,
                    };
                    self.call.handle_input(input, now);
                }
                Datagram::Rtp(datagram) => {
                    let from = CALLEE_MEDIA;
                    let input = Input::LineRtp {
                        line,
                        datagram,
                        from,
                    };
                    self.call.handle_input(input, now);
                }
            }
            self.drain();
        }
    }

    /// The telephone of the ladder that a message is for.
    fn nurse_of(&self, bytes: &[u8]) -> Option<u32> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = self.nurses.keys();
        let is_of = |line: &&u32| {
            let call_id = self.call.line_call_id(**line);
            call_id.is_some_and(|call_id| text.contains(call_id))
        };
        lines.find(is_of).copied()
    }

    /// The shell's part: a second line to a telephone of the ladder.
    fn open_line(&mut self, line: u32) {
        let fixture = self.ladder.get(line as usize).cloned();
        let leg = fixture.map(|fixture| {
            self.nurses.insert(line, Nurse::new(fixture, line));
            Box::new(self.leg.clone())
        });
        self.call.handle_input(Input::Line { line, leg }, self.now);
    }

    fn next_event(&self) -> Option<Instant> {
        let nurses = self.nurses.values().flat_map(|nurse| {
            [
                nurse.there.next_arrival(),
                nurse.back.next_arrival(),
                nurse.callee.poll_timeout(),
            ]
        });
        [
            self.to_callee.next_arrival(),
            self.to_call.next_arrival(),
            self.callee.poll_timeout(),
            self.call.poll_timeout().map(|(at, _)| at),
            self.words.iter().map(|(at, ..)| *at).min(),
            self.stored.iter().map(|(at, _)| *at).min(),
            self.shutdown_at,
            self.person.as_ref().and_then(Person::poll_timeout),
        ]
        .into_iter()
        .chain(nurses)
        .flatten()
        .min()
    }

    fn drain(&mut self) {
        while let Some(output) = self.call.poll_output() {
            match output {
                Output::RestTarget { .. }
                | Output::Rtcp { .. }
                | Output::Monitor { .. }
                | Output::Secure { .. }
                | Output::LineRtcp { .. }
                | Output::CloseLine { .. } => {}
                Output::Sip { bytes, .. } => match self.nurse_of(&bytes) {
                    Some(line) => {
                        self.ladder(&format!("nurse {line} ->"), &bytes);
                        if let Some(nurse) = self.nurses.get_mut(&line) {
                            nurse.there.send(Datagram::Sip(bytes), self.now);
                        }
                    }
                    None => {
                        self.ladder("->", &bytes);
                        self.to_callee.send(Datagram::Sip(bytes), self.now);
                    }
                },
                Output::OpenLine { line } => self.open_line(line),
                Output::LineRtp { line, packet, .. } => {
                    if let Some(nurse) = self.nurses.get_mut(&line) {
                        nurse.there.send(Datagram::Rtp(packet), self.now);
                    }
                }
                Output::Rtp { packet, .. } => self.to_callee.send(Datagram::Rtp(packet), self.now),
                Output::Transcribe {
                    utterance,
                    samples,
                    lang,
                    hot_words,
                    choices,
                } if self.by_sound => self.wanted.push_back(Wanted {
                    utterance,
                    samples,
                    lang,
                    hot_words,
                    choices,
                }),
                Output::Transcribe { utterance, .. } => self.transcribe(utterance),
                Output::Forget { utterance } => {
                    self.words.retain(|(_, id, _)| *id != utterance);
                    self.wanted.retain(|wanted| wanted.utterance != utterance);
                }
                Output::Speak { id, .. } => {
                    let audio = Some(super::voice::spoken(300).into());
                    self.call
                        .handle_input(Input::Spoken { id, audio }, self.now);
                }
                Output::Promote { .. } => {}
                Output::Frame { left, .. } => {
                    if left.iter().any(|&byte| G711::A.decode(byte).abs() > LOUD) {
                        self.spoke_ms.get_or_insert(self.frames * 20);
                        let pressed = |nurse: &Nurse| nurse.callee.key_at.is_some();
                        let taken = self.call.is_taken_over();
                        let nurse = taken || self.nurses.values().any(pressed);
                        self.nurse_said += u32::from(nurse);
                    }
                    self.frames += 1;
                }
                Output::Event(event) => self.happened(event),
            }
        }
        while let Some(bytes) = self.callee.poll_sip() {
            self.ladder("<-", &bytes);
            self.to_call.send(Datagram::Sip(bytes), self.now);
        }
        while let Some(bytes) = self.callee.poll_rtp() {
            self.to_call.send(Datagram::Rtp(bytes), self.now);
        }
    }

    fn transcribe(&mut self, utterance: UtteranceId) {
        let node = self.callee.question();
        let heard = if self.fixture.late.contains(&node) {
            Heard::TooLate
        } else {
            let logprob = if self.fixture.unsure.contains(&node) {
                -1.2
            } else {
                -0.2
            };
            match &self.callee.last_words {
                Some(text) => Heard::Words(Transcript {
                    text: text.clone(),
                    logprob,
                    no_speech: 0.1,
                    choice: None,
                    alternates: Vec::new(),
                    took_ms: 350,
                }),
                None => Heard::NoSpeech,
            }
        };
        let slow = self.fixture.heard_after_ms.get(&node);
        let after = slow.map_or(EAR_DELAY, |ms| Duration::from_millis(*ms));
        self.words.push((self.now + after, utterance, heard));
    }

    fn happened(&mut self, event: CallEvent) {
        assert!(self.record.is_none(), "an event after the end: {event:?}");
        match &event {
            CallEvent::Asked { node, .. } => {
                self.line(format!("asked {node}"));
                self.callee.asked(&node.0);
                if let Some(person) = &mut self.person {
                    person.asked(&node.0, self.now);
                }
            }
            CallEvent::Found { position, placed } => {
                let finding = &placed.finding;
                self.line(format!(
                    "found {position} {} {} {}",
                    finding.concept, finding.polarity, finding.urgency
                ));
                if let Some(ms) = self.fixture.stores_after_ms {
                    let at = self.now + Duration::from_millis(ms);
                    self.stored.push((at, *position));
                }
            }
            CallEvent::TakenOver { by } => self.line(format!("taken over by {by}")),
            CallEvent::HandedBack => self.line("handed back".to_owned()),
            CallEvent::AskedForPatience => self.line("asked for patience".to_owned()),
            CallEvent::Noted(Note::Interrupted { unheard_ms }) => {
                self.line(format!("interrupted {unheard_ms} ms before the end"));
            }
            CallEvent::TurnClosed(turn) => {
                let meaning = turn
                    .reply
                    .as_ref()
                    .map_or("-", |reply| reply.meaning.as_str());
                self.line(format!("turn {} {}", turn.node, meaning));
            }
            CallEvent::Ended(record) => {
                self.line(format!("ended {}", record.ending.disposition));
                self.record = Some((**record).clone());
            }
            _ => {}
        }
        let ms = self.now.since(Instant::from_millis(1_000)).as_millis();
        self.event_ms.push(u64::try_from(ms).unwrap_or(u64::MAX));
        self.events.push(event);
    }

    fn ladder(&mut self, way: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let first = text.lines().next().unwrap_or_default();
        let what = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => status.split(' ').next().unwrap_or_default().to_owned(),
            None => first.split(' ').next().unwrap_or_default().to_owned(),
        };
        self.line(format!("{way} {what}"));
    }

    fn line(&mut self, text: String) {
        let ms = self.now.since(Instant::from_millis(1_000)).as_millis();
        self.trace.push(format!("{ms:>7} {text}"));
    }
}
