//! What went over a call's line, for the day something fails: its SIP messages, blanked before they are kept, and its
//! RTP in a line for each run of packets of one source. Drawn as a ladder between us and the far ends.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::blank::blank;
use super::event::Transport;
use super::front_door::parse_message;
use super::message::{Message, Method, Response, carried_by};
use crate::time::Instant;

/// No call needs more; what comes after is counted only.
const MOST_MESSAGES: usize = 200;
const MOST_RUNS: usize = 64;
/// The longest message that is kept whole.
const LONGEST: usize = 8_192;
/// No packet for so long ends a run: a hold, or a far end that sends nothing in silence.
const GAP_US: u64 = 1_000_000;

/// What went over the line at once; times count from the trace's beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub at_us: u64,
    /// By us; else it came.
    pub sent: bool,
    pub ours: SocketAddr,
    pub theirs: SocketAddr,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A message, blanked.
    Sip { transport: Transport, text: String },
    /// Packets of one source and codec, until a hold or a pause.
    Rtp {
        /// 0 the patient's line, then those of people on call.
        line: u32,
        ssrc: u32,
        payload_type: u8,
        packets: u64,
        until_us: u64,
    },
}

/// One end of a packet's way, and which of the call's lines it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub line: u32,
    pub sent: bool,
    pub ours: SocketAddr,
    pub theirs: SocketAddr,
}

/// The trace of one live call.
#[derive(Debug)]
pub struct Trace {
    began: Instant,
    messages: Vec<Passed>,
    runs: Vec<Passed>,
    left_out: u64,
    /// The direction of the last session description: another one begins new runs.
    direction: Option<String>,
    /// Runs before this one are over.
    closed: usize,
}

impl Trace {
    pub fn new(began: Instant) -> Trace {
        Trace {
            began,
            messages: Vec::new(),
            runs: Vec::new(),
            left_out: 0,
            direction: None,
            closed: 0,
        }
    }

    /// Keeps a message, blanked.
    pub fn sip(&mut self, way: Way, datagram: &[u8], now: Instant) {
        let Some(mut text) = blank(datagram) else {
            return;
        };
        if self.messages.len() == MOST_MESSAGES {
            self.left_out += 1;
            return;
        }
        if text.len() > LONGEST {
            text = format!("unreadable: {} bytes\r\n", text.len());
        }
        let direction = direction_of(&text);
        if direction.is_some() && direction != self.direction {
            self.direction = direction;
            self.closed = self.runs.len();
        }
        let transport = carried_by(datagram);
        let what = What::Sip { transport, text };
        let at_us = self.at_us(now);
        self.messages.push(passed(way, at_us, what));
    }

    /// Counts a packet of audio.
    pub fn rtp(&mut self, way: Way, packet: &[u8], now: Instant) {
        let Some((its_ssrc, its_type)) = rtp_head(packet) else {
            return;
        };
        let at_us = self.at_us(now);
        let is_of_way = |run: &&mut Passed| {
            let is_line = matches!(run.what, What::Rtp { line, .. } if line == way.line);
            is_line && run.sent == way.sent && run.theirs == way.theirs
        };
        let last = self.runs[self.closed..].iter_mut().rev().find(is_of_way);
        if let Some(Passed {
            what:
                What::Rtp {
                    ssrc,
                    payload_type,
                    packets,
                    until_us,
                    ..
                },
            ..
        }) = last
        {
            // Keys and comfort noise share the audio's source.
            let is_same = *payload_type == its_type || !is_audio(its_type);
            if *ssrc == its_ssrc && is_same && at_us < *until_us + GAP_US {
                *packets += 1;
                *until_us = at_us;
                return;
            }
        }
        if self.runs.len() == MOST_RUNS {
            self.left_out += 1;
            return;
        }
        let what = What::Rtp {
            line: way.line,
            ssrc: its_ssrc,
            payload_type: its_type,
            packets: 1,
            until_us: at_us,
        };
        self.runs.push(passed(way, at_us, what));
    }

    /// How many messages there are by now, by which a later look knows whether there are more.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// All of it, in the order of time.
    pub fn kept(&self) -> Kept {
        let mut passed = [&self.messages[..], &self.runs[..]].concat();
        passed.sort_by_key(|passed| passed.at_us);
        Kept {
            passed,
            left_out: self.left_out,
        }
    }

    fn at_us(&self, now: Instant) -> u64 {
        u64::try_from(now.since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

fn passed(way: Way, at_us: u64, what: What) -> Passed {
    Passed {
        at_us,
        sent: way.sent,
        ours: way.ours,
        theirs: way.theirs,
        what,
    }
}

/// SSRC and payload type; `None` for RTCP, DTLS and what is neither (RFC 7983).
fn rtp_head(packet: &[u8]) -> Option<(u32, u8)> {
    let &[first, second, ..] = packet else {
        return None;
    };
    let payload_type = second & 0x7f;
    let is_rtp = first >> 6 == 2 && !(64..96).contains(&payload_type);
    let ssrc = packet.get(8..12).filter(|_| is_rtp)?;
    Some((
        ssrc.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)),
        payload_type,
    ))
}

/// Not the static types of our codecs: keys and comfort noise (RFC 3551 §6, RFC 3389).
fn is_audio(payload_type: u8) -> bool {
    matches!(payload_type, 0 | 8 | 9)
}

/// The direction of a message's session description, `inactive` where it has no address.
fn direction_of(text: &str) -> Option<String> {
    let (_, body) = text.split_once("\r\n\r\n")?;
    if !body.contains("m=audio") {
        return None;
    }
    let known = ["sendonly", "recvonly", "inactive"];
    let said = known
        .into_iter()
        .find(|word| body.lines().any(|line| line == format!("a={word}")));
    let nowhere = body.lines().any(|line| line == "c=IN IP4 0.0.0.0");
    let usual = if nowhere { "inactive" } else { "sendrecv" };
    Some(said.unwrap_or(usual).to_owned())
}

/// A call's trace as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub passed: Vec<Passed>,
    /// What came when the trace was full.
    pub left_out: u64,
}

/// Columns between the two lines of the ladder.
const WIDTH: usize = 62;

impl Kept {
    /// A line for each, between us and the far end.
    pub fn ladder(&self) -> String {
        let mut drawn = format!(
            "{:>10}  us{:width$}far end\n",
            "seconds",
            "",
            width = WIDTH - 4
        );
        let mut legs: Vec<String> = Vec::new();
        for (at, passed) in self.passed.iter().enumerate() {
            let seconds = Duration::from_micros(passed.at_us).as_secs_f64();
            let (label, stroke) = match &passed.what {
                What::Sip { text, .. } => {
                    let is_again = self.passed[..at]
                        .iter()
                        .any(|earlier| earlier.sent == passed.sent && earlier.what == passed.what);
                    let again = if is_again { " (again)" } else { "" };
                    (format!("{}{again}", in_words(text, &mut legs)), '-')
                }
                What::Rtp {
                    line,
                    ssrc,
                    payload_type,
                    packets,
                    until_us,
                } => {
                    let lasts = Duration::from_micros(until_us - passed.at_us).as_secs_f64();
                    let line = prefix(*line as usize);
                    let codec = codec_name(*payload_type);
                    let label =
                        format!("{line}RTP {codec} {ssrc:08x}, {packets} packets in {lasts:.1} s");
                    (label, '=')
                }
            };
            let arrow = arrow(&label, stroke, passed.sent);
            writeln!(drawn, "{seconds:>10.3}  |{arrow}|  {}", passed.far())
                .expect("a text takes every line");
        }
        if self.left_out > 0 {
            writeln!(drawn, "{:>10}  {} more were not kept", "", self.left_out)
                .expect("a text takes every line");
        }
        drawn
    }
}

impl Passed {
    fn far(&self) -> String {
        match &self.what {
            What::Sip { transport, .. } => format!("{} {}", self.theirs, transport.name()),
            What::Rtp { .. } => self.theirs.to_string(),
        }
    }
}

fn arrow(label: &str, stroke: char, sent: bool) -> String {
    let length = label.chars().count();
    let stroke = stroke.to_string();
    let rest = stroke.repeat(WIDTH.saturating_sub(length + 5));
    if sent {
        format!("{stroke}{stroke} {label} {rest}>")
    } else {
        format!("<{stroke} {label} {rest}{stroke}")
    }
}

/// `INVITE 1, sendrecv`, `401 Unauthorized (INVITE 1)`.
fn in_words(text: &str, legs: &mut Vec<String>) -> String {
    let message = match parse_message(text.as_bytes()) {
        Ok(message) => message,
        Err(_) => return text.trim_end().to_owned(),
    };
    let headers = message.headers();
    let call_id = headers.call_id();
    let leg = legs.iter().position(|known| known == call_id);
    let leg = leg.unwrap_or_else(|| {
        legs.push(call_id.to_owned());
        legs.len() - 1
    });
    let (number, method) = headers.cseq().unwrap_or((0, Method::Other(String::new())));
    let mut words = match &message {
        Message::Request(request) => format!("{} {number}", request.method),
        Message::Response(response) => format!("{} ({method} {number})", status_line(response)),
    };
    if let Some(direction) = direction_of(text) {
        write!(words, ", {direction}").expect("a text takes every word");
    }
    format!("{}{words}", prefix(leg))
}

fn status_line(response: &Response) -> String {
    rsip::StatusCode::from(response.status).to_string()
}

/// The patient's line goes without a number.
fn prefix(line: usize) -> String {
    match line {
        0 => String::new(),
        line => format!("line {line}: "),
    }
}

fn codec_name(payload_type: u8) -> String {
    match payload_type {
        0 => "PCMU".to_owned(),
        8 => "PCMA".to_owned(),
        9 => "G722".to_owned(),
        other => format!("type {other}"),
    }
}
