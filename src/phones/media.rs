//! The one media thread: every 20 ms, at absolute deadlines, each call hears a frame and says a frame.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant as Clock};

use aftercall_core::codec::{Codec, FRAME_MS, G711};
use aftercall_core::rtp::packet::Packet;
use aftercall_core::rtp::{Stream, StreamConfig};
use aftercall_core::sip::sdp::MediaAnswer;
use aftercall_core::time::Instant;
use serde_json::json;

use super::book::Phone;
use super::journal::{CallName, Journal, round};
use super::person::{Act, Note, Person, Question};
use super::recognise::{Recognised, is_voice, last_said};
use super::tape::Tape;

/// More than this behind, slots are passed over instead of sent late (telephony.md, RTP pacing).
const MOST_BEHIND: u64 = 3;

/// Frames that the robot's packets may be late and are still heard: on a busy machine its prompts must be
/// recognised all the same. Latencies are measured before this.
const PATIENCE: u8 = 9;

/// What the signalling asks of the media.
pub enum ToMedia {
    Start(Box<Start>),
    Stop {
        call: u64,
    },
    Known {
        call: u64,
        number: u32,
        recognised: Option<Recognised>,
    },
}

/// A call whose media begins.
pub struct Start {
    pub name: CallName,
    pub phone: Arc<Phone>,
    pub socket: UdpSocket,
    pub answer: MediaAnswer,
    pub seed: u64,
}

/// What the media asks of the signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromMedia {
    HangUp { call: u64 },
    Announced { call: u64 },
}

/// A question for the recogniser's thread.
pub struct Wondering {
    pub call: u64,
    pub phone: Arc<Phone>,
    pub question: Question,
}

/// Everything the media thread holds on to.
pub struct Media {
    pub began: Clock,
    pub inbox: Receiver<ToMedia>,
    pub signalling: Sender<FromMedia>,
    pub recogniser: Sender<Wondering>,
    pub journal: Journal,
    pub record: Option<PathBuf>,
}

struct Line {
    name: CallName,
    phone: Arc<Phone>,
    socket: UdpSocket,
    remote: SocketAddr,
    stream: Stream,
    person: Person,
    codec: Codec,
    tape: Option<Tape>,
    /// When our last voiced sample left, until the robot's first voiced one has come.
    awaited: Option<Awaited>,
    /// When our first voiced sample into the robot's speech left, until it has fallen silent.
    interrupted_ms: Option<f64>,
    /// When the robot's last voiced sample came.
    robot_ms: f64,
}

/// The robot has fallen silent: it gives way, and does not only take a breath.
const GAVE_WAY_MS: f64 = 900.0;

#[derive(Clone, Copy)]
struct Awaited {
    sent_ms: f64,
    after: &'static str,
}

impl Media {
    /// Runs until the signalling is gone.
    pub fn run(self) {
        let mut lines: BTreeMap<u64, Line> = BTreeMap::new();
        let mut slot: u64 = 0;
        loop {
            let deadline = self.began + Duration::from_millis(slot * FRAME_MS);
            std::thread::sleep(deadline.saturating_duration_since(Clock::now()));
            let behind = deadline.elapsed().as_millis() as u64 / FRAME_MS;
            let missed = if behind > MOST_BEHIND { behind } else { 0 };
            if !self.take_orders(&mut lines) {
                return;
            }
            let mut leaving = Vec::new();
            for (&call, line) in &mut lines {
                line.stream.skip(missed as u32);
                if self.serve(call, line, slot + missed).is_err() {
                    leaving.push(call);
                }
            }
            for call in leaving {
                self.close(lines.remove(&call));
            }
            slot += 1 + missed;
        }
    }

    fn take_orders(&self, lines: &mut BTreeMap<u64, Line>) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(ToMedia::Start(start)) => {
                    lines.insert(start.name.number, self.open(*start));
                }
                Ok(ToMedia::Stop { call }) => self.close(lines.remove(&call)),
                Ok(ToMedia::Known {
                    call,
                    number,
                    recognised,
                }) => {
                    if let Some(line) = lines.get_mut(&call) {
                        line.person.told(number, recognised.as_ref());
                    }
                }
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn open(&self, start: Start) -> Line {
        let stream = Stream::new(StreamConfig {
            codec: start.answer.codec,
            payload_type: start.answer.payload_type,
            telephone_event: start.answer.telephone_event,
            ssrc: start.seed as u32,
            first_seq: (start.seed >> 32) as u16,
            first_timestamp: (start.seed >> 16) as u32,
        })
        .with_delay(PATIENCE);
        Line {
            person: Person::new(start.phone.clone(), start.seed),
            tape: self.record.as_ref().map(|_| Tape::default()),
            name: start.name,
            phone: start.phone,
            socket: start.socket,
            remote: start.answer.remote,
            stream,
            codec: start.answer.codec,
            awaited: None,
            interrupted_ms: None,
            robot_ms: 0.0,
        }
    }

    fn close(&self, line: Option<Line>) {
        let Some(line) = line else {
            return;
        };
        let stats = line.stream.stats();
        let fields = json!({
            "received": stats.received, "lost": stats.lost, "late": stats.late,
            "jitter_ms": round(f64::from(stats.jitter_ms)), "sent": stats.sent,
        });
        self.journal
            .call(&line.name, self.now_ms(), "media", fields);
        if let (Some(folder), Some(tape)) = (&self.record, line.tape) {
            let path = folder.join(format!("{:03}_{}.wav", line.name.number, line.name.phone));
            if let Err(error) = tape.write(&path) {
                let fields = json!({ "error": format!("{}: {error}", path.display()) });
                self.journal
                    .call(&line.name, self.now_ms(), "error", fields);
            }
        }
    }

    /// One slot of one call; an error ends it.
    fn serve(&self, call: u64, line: &mut Line, slot: u64) -> Result<(), Gone> {
        self.receive(line);
        self.note_stop(line);
        let slot_ms = (slot * FRAME_MS) as f64;
        let heard = line
            .stream
            .pull(Instant::from_millis(slot * FRAME_MS))
            .samples;
        let mut acts = Vec::new();
        let frame = line.person.slot(&heard, &mut acts);
        let packet = line.stream.send(&frame);
        // A peer that is not there yet, or not any more, is no error of ours: SIP will tell.
        let _unreachable = line.socket.send_to(&packet, line.remote);
        if let Some(tape) = &mut line.tape {
            tape.push(&heard, &frame);
        }
        for act in acts {
            self.follow(call, line, act, slot_ms)?;
        }
        Ok(())
    }

    fn receive(&self, line: &mut Line) {
        let mut buffer = [0_u8; 2_048];
        while let Ok((length, _)) = line.socket.recv_from(&mut buffer) {
            let now_ms = self.now_ms();
            let datagram = &buffer[..length];
            if let Some(voice_ms) = last_voice(datagram, line.codec) {
                line.robot_ms = now_ms + voice_ms;
            }
            if let Some(awaited) = line.awaited
                && let Some(voice_ms) = first_voice(datagram, line.codec)
            {
                line.awaited = None;
                let received_ms = now_ms + voice_ms;
                let fields = json!({
                    "after": awaited.after,
                    "last_sent_ms": round(awaited.sent_ms),
                    "first_received_ms": round(received_ms),
                    "latency_ms": round(received_ms - awaited.sent_ms),
                });
                // Who is answered before the end of the sentence was interrupted.
                if received_ms > awaited.sent_ms {
                    self.journal.call(&line.name, now_ms, "turn", fields);
                }
            }
            line.stream
                .receive(datagram, Instant::from_micros((now_ms * 1_000.0) as u64));
        }
    }

    /// How long the robot talked on over who interrupted it, once it has fallen silent.
    fn note_stop(&self, line: &mut Line) {
        let now_ms = self.now_ms();
        let is_silent = now_ms - line.robot_ms >= GAVE_WAY_MS;
        let Some(sent_ms) = line.interrupted_ms.take_if(|_| is_silent) else {
            return;
        };
        let fields = json!({
            "first_sent_ms": round(sent_ms),
            "last_received_ms": round(line.robot_ms),
            "talked_on_ms": round(line.robot_ms - sent_ms),
        });
        self.journal.call(&line.name, now_ms, "stopped", fields);
    }

    fn follow(&self, call: u64, line: &mut Line, act: Act, slot_ms: f64) -> Result<(), Gone> {
        let log = |event: &str, fields| self.journal.call(&line.name, slot_ms, event, fields);
        match act {
            Act::Wonder(question) => {
                let phone = line.phone.clone();
                let asked = Wondering {
                    call,
                    phone,
                    question,
                };
                self.recogniser.send(asked).map_err(|_| Gone)?;
            }
            Act::Press(key) => {
                if !line.stream.press(key) {
                    log(
                        "error",
                        json!({ "error": "the caller takes no telephone events" }),
                    );
                }
            }
            Act::HangUp => self
                .signalling
                .send(FromMedia::HangUp { call })
                .map_err(|_| Gone)?,
            Act::Announced => {
                self.signalling
                    .send(FromMedia::Announced { call })
                    .map_err(|_| Gone)?;
            }
            Act::Note(Note::Heard { prompt, score }) => {
                let score = (f64::from(score) * 1_000.0).round() / 1_000.0;
                log("prompt", json!({ "prompt": prompt, "score": score }));
            }
            Act::Note(Note::Says {
                clip,
                voiced_ms,
                is_greeting,
            }) => {
                log("says", json!({ "clip": clip }));
                line.awaited = Some(Awaited {
                    sent_ms: slot_ms + voiced_ms as f64,
                    after: if is_greeting { "greeting" } else { "speech" },
                });
            }
            Act::Note(Note::Interrupts { clip, voiced_ms }) => {
                log("interrupts", json!({ "clip": clip }));
                line.interrupted_ms = Some(slot_ms + voiced_ms as f64);
            }
            Act::Note(Note::Presses { keys }) => {
                log("presses", json!({ "keys": keys.len() }));
                line.awaited = Some(Awaited {
                    // Each key sounds for 100 ms; 60 ms lie between two.
                    sent_ms: slot_ms + keys.len() as f64 * 200.0 - 80.0,
                    after: "keys",
                });
            }
            Act::Note(Note::Silent) => log("silent", json!({})),
        }
        Ok(())
    }

    fn now_ms(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * 1_000.0
    }
}

/// The thread that must stop: the others have.
struct Gone;

/// Milliseconds into an audio packet at which its first voice lies.
fn first_voice(datagram: &[u8], codec: Codec) -> Option<f64> {
    let block = samples(datagram, codec)?.chunks(40).position(is_voice)?;
    Some(block as f64 * 5.0)
}

/// Milliseconds into an audio packet at which its last voice ends.
fn last_voice(datagram: &[u8], codec: Codec) -> Option<f64> {
    let samples = samples(datagram, codec)?;
    let block = samples.chunks(40).rposition(is_voice)?;
    Some(block as f64 * 5.0 + 5.0)
}

fn samples(datagram: &[u8], codec: Codec) -> Option<Vec<i16>> {
    let packet = Packet::parse(datagram)?;
    match packet.header.payload_type {
        8 => Some(G711::A.decode_all(packet.payload)),
        0 => Some(G711::Mu.decode_all(packet.payload)),
        96.. if packet.payload.len() >= 80 => Some(codec.g711()?.decode_all(packet.payload)),
        _ => None,
    }
}

/// The recogniser's thread: takes questions until the media thread is gone.
pub fn recognise(questions: &Receiver<Wondering>, media: &Sender<ToMedia>) {
    for asked in questions {
        let prompts = Person::prompts(&asked.phone);
        let recognised = last_said(&asked.question.heard, prompts);
        let known = ToMedia::Known {
            call: asked.call,
            number: asked.question.number,
            recognised,
        };
        if media.send(known).is_err() {
            return;
        }
    }
}
