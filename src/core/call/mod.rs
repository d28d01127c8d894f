//! `Call`: one attempt, from INVITE to disposition.
//!
//! Composes the SIP leg, the RTP stream, the ear, the script's conversation and the red-flag judgement,
//! which do not know each other. Four verbs: [`Call::handle_input`], [`Call::handle_timeout`],
//! [`Call::poll_output`], [`Call::poll_timeout`]. Same inputs and seed, same bytes out.
//!
//! Positions in milliseconds (`at_ms`) count the 20 ms slots since the answer; the recording has the same
//! zero, so a finding's interval can be played as it is.

mod bridge;
pub mod echo;
mod findings;
pub mod hearing;
mod interrupt;
mod machine;
mod media;
mod opening;
mod player;
mod second;
pub mod second_look;
mod takeover;
mod talk;
mod verdict;

pub use findings::{Findings, Spot};
pub use verdict::call_notes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{AnsweredBy, CallRecord, Progress, Turn};
use crate::codec::Codec;
use crate::ear::amd::{self, Amd, Answerer};
use crate::ear::announcement::Announcement;
use crate::ear::{Ear, EarConfig, Utterance};
use crate::finding::PlacedFinding;
use crate::heard::{Choices, Heard, Transcript};
use crate::id::{NodeId, UtteranceId};
use crate::lang::Lang;
use crate::media_key::MediaKeys;
use crate::phi::Phi;
use crate::reading::Reading;
use crate::redflag::Lexicon;
use crate::rtp::{Stream, StreamStats};
use crate::script::{Act, Conversation, Facts, Note, RingBack, Script};
use crate::sip::dialog::DialogSnapshot;
use crate::sip::event::{LegConfig, LegEnding, LegOutput};
use crate::sip::leg::Leg;
use crate::sip::sdp::Dtls;
use crate::time::Instant;

pub use crate::codec::FRAME;

/// One slot of the media clock.
const SLOT: Duration = Duration::from_millis(20);
/// A late shell sends this much backlog at most; more is skipped and the timeline moved on (telephony.md).
const BACKLOG: Duration = Duration::from_millis(60);

/// Read-only things that calls share.
#[derive(Debug)]
pub struct CallKit {
    pub lexicon: Arc<Lexicon>,
    /// Recorded prompts by place (`PromptId::recording`, as `common/zh/opening_hello`), 8 kHz.
    pub prompts: BTreeMap<String, Arc<[i16]>>,
    pub limits: Limits,
}

/// Times after which the call stops waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After the answer: how long the robot lets the callee speak first. Default 0.75 s, so that who says nothing is
    /// greeted within 0.8 s.
    pub greeting: Duration,
    /// No RTP at all for so long ends the call. Default 20 s.
    pub media: Duration,
    /// A call that the callee put on hold, by its switchboard or a second call, is waited for. Default 2 min.
    pub hold: Duration,
    /// Words of an utterance must be here by then, or they are too late. Default 4 s.
    pub words: Duration,
    /// From the end of a turn to a word that the robot is listening, where its words are late. Default 0.7 s, which is
    /// 1.2 s after the last word of a yes or no.
    pub filler: Duration,
    /// The longest call. Default 8 min.
    pub talk: Duration,
    /// The longest call in which an emergency was met: the robot stays on the line. Default 45 min.
    pub stay: Duration,
    /// How long the robot holds its next word until an emergent finding is on disk. Default 2 s.
    pub store: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            greeting: Duration::from_millis(750),
            media: Duration::from_secs(20),
            hold: Duration::from_secs(120),
            words: Duration::from_secs(4),
            filler: Duration::from_millis(700),
            talk: Duration::from_secs(480),
            stay: Duration::from_secs(2_700),
            store: Duration::from_secs(2),
        }
    }
}

/// What one call needs to know of its own. No `Debug`: the leg's URIs hold telephone numbers.
#[derive(Clone)]
pub struct CallOrder {
    pub leg: LegConfig,
    pub script: Arc<Script>,
    pub facts: Facts,
    /// The patient agreed to be recorded; without it no frame leaves the call.
    pub record: bool,
    /// A voicemail is left the neutral name and the call-back number, after its beep.
    pub leaves_message: bool,
    /// Telephones of people on call that may be tried when a person is asked for, by [`Output::OpenLine`].
    pub rungs: u32,
}

/// What the world tells the call. No `Debug`: a leg's URIs hold telephone numbers.
pub enum Input<'a> {
    Sip {
        datagram: &'a [u8],
        from: SocketAddr,
    },
    /// A connection that SIP was to go over could not be made.
    SipRefused {
        to: SocketAddr,
    },
    Rtp {
        datagram: &'a [u8],
        from: SocketAddr,
    },
    Rtcp(&'a [u8]),
    Heard {
        utterance: UtteranceId,
        heard: Heard,
    },
    /// Audio for [`Output::Speak`]; `None` when it could not be made.
    Spoken {
        id: u32,
        audio: Option<Arc<[i16]>>,
    },
    /// The handshake of [`Output::Secure`] gave these keys; `None`: it failed, and that line ends.
    Secured {
        line: Option<u32>,
        keys: Option<MediaKeys>,
    },
    /// The handshake on a line's port for reports gave these; without them there are no reports.
    ReportsSecured {
        line: Option<u32>,
        keys: MediaKeys,
    },
    /// A finding that was told is on disk.
    Stored {
        position: u32,
    },
    /// The answer to [`Output::OpenLine`]; `None` where no line can be had.
    Line {
        line: u32,
        leg: Option<Box<LegConfig>>,
    },
    LineSip {
        line: u32,
        datagram: &'a [u8],
        from: SocketAddr,
    },
    LineRtp {
        line: u32,
        datagram: &'a [u8],
        from: SocketAddr,
    },
    LineRtcp {
        line: u32,
        datagram: &'a [u8],
    },
    /// Somebody listens in, or nobody any more.
    Monitor {
        is_on: bool,
    },
    /// Who listens in takes the patient over under this name; nothing happens where
    /// [`Call::may_be_taken_over`] says no.
    TakeOver {
        by: String,
    },
    /// An RTP packet of that person's microphone: PCMA, payload type 8.
    Voice(&'a [u8]),
    /// The person has done, or is gone: the robot goes on.
    HandBack,
    /// The engine shuts down or an operator ends the call.
    HangUp,
}

/// What the call wants done.
#[derive(Debug)]
pub enum Output {
    Sip {
        bytes: Vec<u8>,
        to: SocketAddr,
    },
    /// This target of the trunk failed: other calls had better rest it for so long.
    RestTarget {
        target: SocketAddr,
        pause: Duration,
    },
    Rtp {
        to: SocketAddr,
        packet: Vec<u8>,
    },
    /// A DTLS handshake is to give the keys of a line's audio, from its RTP port with this place (line `None`: of the
    /// patient's), and another those of its reports, where they have a port of their own.
    Secure {
        line: Option<u32>,
        to: SocketAddr,
        reports_to: Option<SocketAddr>,
        dtls: Dtls,
    },
    /// From the port above RTP's.
    Rtcp {
        to: SocketAddr,
        packet: Vec<u8>,
    },
    /// A second line, to the telephone of this number in the ladder of those on call; its messages come by
    /// [`Output::Sip`] too.
    OpenLine {
        line: u32,
    },
    /// Nothing more is sent on it.
    CloseLine {
        line: u32,
    },
    LineRtp {
        line: u32,
        to: SocketAddr,
        packet: Vec<u8>,
    },
    LineRtcp {
        line: u32,
        to: SocketAddr,
        packet: Vec<u8>,
    },
    Transcribe {
        utterance: UtteranceId,
        samples: Arc<[i16]>,
        lang: Lang,
        hot_words: Vec<String>,
        choices: Choices,
    },
    /// The turn did end with this utterance: its words are waited for now.
    Promote {
        utterance: UtteranceId,
    },
    /// The utterance goes on: its words are no longer wanted.
    Forget {
        utterance: UtteranceId,
    },
    /// Text to be synthesised now: names, dates, read-backs.
    Speak {
        id: u32,
        lang: Lang,
        text: Phi<String>,
    },
    /// 20 ms of the recording, A-law: left the robot, right the callee.
    Frame {
        left: [u8; FRAME],
        right: [u8; FRAME],
    },
    /// 20 ms for whoever listens in, A-law, while somebody does: both sides mixed, and the callee alone.
    Monitor {
        /// Slots since the answer.
        slot: u64,
        both: [u8; FRAME],
        callee: [u8; FRAME],
    },
    Event(CallEvent),
}

/// What happened, for the record and the live table.
#[derive(Clone, Debug)]
pub enum CallEvent {
    Ringing {
        status: u16,
    },
    EarlyMedia,
    Announced(Announcement),
    /// Who is held to have answered: new, or changed.
    Met(amd::Verdict),
    /// A machine asks for a message after this; on the recording's clock.
    Beep {
        from_ms: u64,
        to_ms: u64,
    },
    Answered,
    /// Enough to say BYE or CANCEL after a crash.
    Dialog(Box<DialogSnapshot>),
    Asked {
        node: NodeId,
        prompt: Phi<String>,
    },
    HeardWords(Phi<Transcript>),
    TurnClosed(Box<Turn>),
    /// The words of the reply are late: the robot asked for a moment.
    AskedForPatience,
    /// New, or changed: settled by its confirming question, or denied later. It keeps its position.
    /// [`Input::Stored`] answers it.
    Found {
        position: u32,
        placed: Box<PlacedFinding>,
    },
    Noted(Note),
    /// A person has the patient; the robot is silent and deaf.
    TakenOver {
        by: String,
    },
    /// They have the patient no longer.
    HandedBack,
    Progressed(Progress),
    /// The last event: nothing comes after it.
    Ended(Box<CallRecord>),
}

/// Why the call wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    Sip(crate::sip::event::Timer),
    /// The next 20 ms of media.
    Slot,
}

/// Where the call stands.
#[derive(Debug, PartialEq)]
enum Stage {
    Dialling,
    /// Answered; the callee speaks first, or nobody does.
    Greeting,
    /// The robot's turn, or a silence before it hangs up.
    Speaking,
    Listening,
    /// The reply ended; its words are awaited, and whoever speaks on meanwhile is heard.
    Waiting {
        until_ms: u64,
        /// The robot asks for patience then, once a turn.
        filler_ms: Option<u64>,
    },
    /// A machine answered: its beep is waited for, or whoever it fetches.
    Machine {
        until_ms: u64,
    },
    /// It is told a name, or the message.
    Telling,
    /// The conversation is over, and somebody on call is being asked for.
    Connecting,
    /// Two people talk.
    Joined,
    /// Said everything; a short silence so that the last word is not cut.
    Closing {
        until_ms: u64,
    },
    /// BYE or CANCEL is on its way.
    Leaving,
    Ended,
}

/// One live attempt.
pub struct Call {
    kit: Arc<CallKit>,
    lang: Lang,
    record: bool,
    leaves_message: bool,
    leg: Leg,
    /// They rang us.
    is_inbound: bool,
    stream: Option<Stream>,
    remote: Option<SocketAddr>,
    remote_rtcp: Option<SocketAddr>,
    /// RTCP shares RTP's port.
    rtcp_mux: bool,
    /// What the audio's keys were last asked for by.
    dtls: Option<Dtls>,
    codec: Option<Codec>,
    began: Instant,
    /// The peer put us on hold, then: nobody listens, and what comes is music.
    held_since: Option<Instant>,
    resumed_at: Option<Instant>,
    ear: Ear,
    ear_seed: u64,
    stream_seed: [u8; 32],
    conversation: Conversation,
    player: player::Player,
    stage: Stage,
    acts: VecDeque<Act>,
    outputs: VecDeque<Output>,
    next_slot: Option<Instant>,
    /// Slots since the answer.
    slots: u64,
    /// Slots of early media.
    early_slots: u64,
    answered_at: Option<Instant>,
    pending: Option<talk::Pending>,
    filler: talk::Filler,
    /// What was said before the robot waited for its words, where the same reply went on afterwards.
    before: Option<Utterance>,
    /// Somebody may speak into the question that is being asked.
    barge: Option<interrupt::Barge>,
    /// How often the robot fell silent for nobody since somebody did speak.
    holds_in_vain: u8,
    /// The robot's last frame.
    sent: [i16; FRAME],
    is_monitored: bool,
    echo: Option<echo::Echo>,
    /// Utterances heard before the robot spoke, or in early media: classified, never answered.
    overheard: Vec<UtteranceId>,
    keys: String,
    keys_until_ms: Option<u64>,
    listen: Option<crate::script::Listen>,
    open_turn: Option<Turn>,
    turns: Vec<Turn>,
    findings: Findings,
    /// Findings that the next word waits for.
    unstored: BTreeSet<u32>,
    stored_by_ms: u64,
    /// Told in the turn that is open.
    readings: Vec<Reading>,
    notes: Vec<Note>,
    announcement: Option<Announcement>,
    opening: opening::Opening,
    machine: machine::Machine,
    bridge: bridge::Bridge,
    takeovers: takeover::Takeovers,
    amd: Amd,
    /// Somebody spoke or pressed a key.
    human: bool,
    rang: bool,
    next_speech: u32,
    /// So far the room was heard where a reply is waited for, and nobody in it.
    only_room: bool,
    /// Last voiced sample of the reply that the next prompt answers.
    reply_end_ms: Option<u64>,
    progress: Progress,
}

impl Call {
    /// Starts one attempt: the INVITE is the first output.
    pub fn new(order: CallOrder, kit: Arc<CallKit>, seed: [u8; 32], now: Instant) -> Call {
        let leg = Leg::new(order.leg.clone(), part_seed(seed, 1), now);
        let conversation = Conversation::new(Arc::clone(&order.script), order.facts.clone());
        Call::of(order, leg, conversation, kit, seed, now)
    }

    /// Answers a leg that rings: the session description is the first output. It is no ring of the patient's telephone.
    pub fn answering(
        order: CallOrder,
        mut leg: Leg,
        kind: RingBack,
        kit: Arc<CallKit>,
        seed: [u8; 32],
        now: Instant,
    ) -> Call {
        leg.accept(now);
        let (script, facts) = (Arc::clone(&order.script), order.facts.clone());
        let conversation = Conversation::ringing_back(script, facts, kind);
        let mut call = Call::of(order, leg, conversation, kit, seed, now);
        call.is_inbound = true;
        call
    }

    fn of(
        order: CallOrder,
        leg: Leg,
        conversation: Conversation,
        kit: Arc<CallKit>,
        seed: [u8; 32],
        now: Instant,
    ) -> Call {
        let lang = order.facts.lang;
        let ear_seed = u64::from_be_bytes(first_eight(part_seed(seed, 2)));
        let mut call = Call {
            kit,
            lang,
            record: order.record,
            leaves_message: order.leaves_message,
            leg,
            is_inbound: false,
            stream: None,
            remote: None,
            remote_rtcp: None,
            dtls: None,
            rtcp_mux: false,
            codec: None,
            began: now,
            held_since: None,
            resumed_at: None,
            ear: Ear::new(EarConfig { seed: ear_seed }),
            ear_seed,
            stream_seed: part_seed(seed, 3),
            conversation,
            player: player::Player::default(),
            stage: Stage::Dialling,
            acts: VecDeque::new(),
            outputs: VecDeque::new(),
            next_slot: None,
            slots: 0,
            early_slots: 0,
            answered_at: None,
            pending: None,
            filler: talk::Filler::default(),
            before: None,
            barge: None,
            holds_in_vain: 0,
            sent: [0; FRAME],
            is_monitored: false,
            echo: None,
            overheard: Vec::new(),
            keys: String::new(),
            keys_until_ms: None,
            listen: None,
            open_turn: None,
            turns: Vec::new(),
            findings: Findings::default(),
            unstored: BTreeSet::new(),
            stored_by_ms: 0,
            readings: Vec::new(),
            notes: Vec::new(),
            announcement: None,
            opening: opening::Opening::default(),
            machine: machine::Machine::default(),
            bridge: bridge::Bridge::new(order.rungs),
            takeovers: takeover::Takeovers::default(),
            amd: Amd::default(),
            human: false,
            rang: false,
            next_speech: 0,
            only_room: false,
            reply_end_ms: None,
            progress: Progress::default(),
        };
        call.drain_leg(now);
        call
    }

    /// The Call-ID, by which the shell routes datagrams of a shared socket.
    pub fn call_id(&self) -> &str {
        self.leg.call_id()
    }

    /// Takes one input. Never fails: a peer's nonsense is counted by the part that met it.
    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Sip { datagram, from } => self.leg.handle_datagram(datagram, from, now),
            Input::SipRefused { to } => self.leg.handle_refused_connection(to, now),
            Input::Secured {
                line: Some(line),
                keys,
            } => self.line_secured(line, keys, now),
            Input::Secured { line: None, keys } => match (keys, &mut self.stream) {
                (Some(keys), Some(stream)) => stream.set_keys(Some(keys)),
                (None, _) | (_, None) => self.hang_up(now),
            },
            Input::ReportsSecured { line: None, keys } => {
                if let Some(stream) = &mut self.stream {
                    stream.set_report_keys(keys);
                }
            }
            Input::ReportsSecured {
                line: Some(line),
                keys,
            } => self.line_reports_secured(line, keys),
            Input::Rtp { datagram, from } => {
                if let Some(stream) = &mut self.stream {
                    stream.receive_from(datagram, from, now);
                    self.remote = stream.target().or(self.remote);
                }
            }
            Input::Rtcp(datagram) => {
                if let Some(stream) = &mut self.stream {
                    stream.receive_report(datagram, now);
                }
            }
            Input::Heard { utterance, heard } => self.handle_heard(utterance, heard),
            Input::Spoken { id, audio } => {
                if audio.is_none() {
                    self.machine.spoil();
                }
                self.fill_lines(id, audio.as_ref());
                self.player.fill(id, audio);
            }
            Input::Line { line, leg } => self.line_opened(line, leg.map(|leg| *leg), now),
            Input::LineSip {
                line,
                datagram,
                from,
            } => self.line_sip(line, datagram, from, now),
            Input::LineRtp {
                line,
                datagram,
                from,
            } => self.line_rtp(line, datagram, from, now),
            Input::LineRtcp { line, datagram } => self.line_report(line, datagram, now),
            Input::Stored { position } => {
                self.unstored.remove(&position);
            }
            Input::Monitor { is_on } => self.is_monitored = is_on,
            Input::TakeOver { by } => self.take_over(by, now),
            Input::Voice(datagram) => self.voice(datagram, now),
            Input::HandBack => self.hand_back(now),
            Input::HangUp => self.hang_up(now),
        }
        self.drain_leg(now);
    }

    /// Does what is due at `now`; early, late or repeated calls are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.leg.handle_timeout(now);
        self.wake_lines(now);
        self.drain_leg(now);
        while let Some(due) = self.next_slot.filter(|due| *due <= now) {
            let behind = now.since(due);
            if behind > BACKLOG {
                self.skip(behind - BACKLOG, now);
                continue;
            }
            self.next_slot = Some(due + SLOT);
            self.slot(now);
            self.drain_leg(now);
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to wake, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let sip = self
            .leg
            .poll_timeout()
            .map(|(at, timer)| (at, Timer::Sip(timer)));
        let line = self.bridge.poll_timeout();
        let line = line.map(|(at, timer)| (at, Timer::Sip(timer)));
        let slot = self.next_slot.map(|at| (at, Timer::Slot));
        [sip, line, slot]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// Ended, and no retransmission is owed to the peer any more.
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Ended && self.leg.is_finished() && self.bridge.is_finished()
    }

    /// Counts and measures of the audio so far; `None` before there was any.
    pub fn media(&self) -> Option<StreamStats> {
        self.stream.as_ref().map(Stream::stats)
    }

    /// The callee picked up, and nobody has hung up yet.
    pub fn is_talking(&self) -> bool {
        self.answered_at.is_some() && !matches!(self.stage, Stage::Leaving | Stage::Ended)
    }

    /// Ended; retransmissions may still be owed to the peer.
    pub fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    fn hang_up(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Leaving | Stage::Ended) {
            self.player.clear();
            self.acts.clear();
            self.stage = Stage::Leaving;
            self.end_lines(now);
            self.leg.hang_up(now);
        }
    }

    fn drain_leg(&mut self, now: Instant) {
        while let Some(output) = self.leg.poll_output() {
            match output {
                LegOutput::Send { bytes, to } => {
                    self.outputs.push_back(Output::Sip { bytes, to });
                }
                LegOutput::Rest { target, pause } => {
                    self.outputs.push_back(Output::RestTarget { target, pause });
                }
                LegOutput::Event(event) => self.handle_leg_event(event, now),
            }
        }
        self.drain_lines(now);
    }

    fn event(&mut self, event: CallEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Position on the recording's clock.
    fn at_ms(&self) -> u64 {
        self.slots * 20
    }

    fn finish(&mut self, leg: &LegEnding) {
        if self.stage == Stage::Ended {
            return;
        }
        self.stage = Stage::Ended;
        self.next_slot = None;
        self.close_turn("line_ended".to_owned());
        self.findings.end();
        self.tell_findings();
        let (findings, suppressed) = std::mem::take(&mut self.findings).into_parts();
        let mut notes = verdict::call_notes(&self.notes);
        notes.extend(self.bridge.note());
        notes.extend(self.takeovers.notes());
        let record = CallRecord {
            ending: self.ending(leg),
            progress: self.conversation.progress(),
            turns: std::mem::take(&mut self.turns),
            findings,
            suppressed,
            line: Some(self.line_record(leg)),
            notes,
        };
        self.event(CallEvent::Ended(Box::new(record)));
    }

    fn answered_by(&self) -> AnsweredBy {
        if self.answered_at.is_none() {
            AnsweredBy::Nobody
        } else if self.amd.verdict().answerer == Answerer::Machine {
            AnsweredBy::Machine
        } else if self.conversation.is_identified() {
            match self.conversation.respondent() {
                crate::question::Respondent::Patient => AnsweredBy::Patient,
                crate::question::Respondent::Caregiver => AnsweredBy::Proxy,
            }
        } else if self.human {
            AnsweredBy::Human
        } else {
            AnsweredBy::Unsure
        }
    }
}

/// A seed of its own for each part, so that one part's draws never shift another's.
fn part_seed(seed: [u8; 32], part: u8) -> [u8; 32] {
    let mut own = seed;
    own[31] ^= part.wrapping_mul(0x3b);
    own[0] = own[0].wrapping_add(part);
    own
}

fn first_eight(seed: [u8; 32]) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(&seed[..8]);
    eight
}
