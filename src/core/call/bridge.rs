//! The call is handed to a person on call: a second line a rung of the ladder, joined to the patient's when a key is pressed.
//!
//! The ladder is climbed from the moment a person is asked for, beside the conversation. Where that is over the patient
//! is kept company, and hears the rest of it, which says that somebody will call, when nobody took the call. Each rung is
//! one INVITE; a machine presses no key, and whoever answers hears nothing of the patient before they do. What is noted
//! raises the work order, unless patient and nurse have talked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::second::{Second, Slot, Wants};
use super::talk::TAIL_MS;
use super::{Call, FRAME, Output, Stage, part_seed};
use crate::attempt::CallNote;
use crate::media_key::MediaKeys;
use crate::script::{Act, Segment};
use crate::sip::dialog::DialogSnapshot;
use crate::sip::event::{LegConfig, LegOutput, Timer};
use crate::time::Instant;

/// The patient hears that the call goes on after so much silence.
const COMPANY_MS: u64 = 8_000;
/// Less than this was no talk: the next rung is tried.
pub(super) const TALK: Duration = Duration::from_secs(5);

/// The way to a person.
#[derive(Default)]
pub(super) struct Bridge {
    rungs: u32,
    state: State,
    /// The present one, and those that still owe a message.
    lines: Vec<Second>,
    /// What the robot would have said next.
    kept: VecDeque<Act>,
    quiet_since_ms: u64,
    /// Who took the call, and since when.
    connected: Option<CallNote>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// The line is out, or on its way.
    Trying {
        rung: u32,
    },
    Joined {
        rung: u32,
        since: Instant,
    },
    Over,
}

impl Bridge {
    pub(super) fn new(rungs: u32) -> Bridge {
        Bridge {
            rungs,
            ..Bridge::default()
        }
    }

    /// For the record: patient and nurse have talked.
    pub(super) fn note(&self) -> Option<CallNote> {
        self.connected.clone()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.lines
            .iter()
            .filter_map(Second::poll_timeout)
            .min_by_key(|(at, _)| *at)
    }

    /// What ends each line after a crash.
    pub(super) fn dialog_snapshots(&self) -> impl Iterator<Item = DialogSnapshot> {
        self.lines.iter().filter_map(Second::dialog_snapshot)
    }

    fn is_trying(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    fn line(&mut self, line: u32) -> Option<&mut Second> {
        self.lines.iter_mut().find(|second| second.line == line)
    }

    fn present(&mut self) -> Option<&mut Second> {
        let (State::Trying { rung } | State::Joined { rung, .. }) = self.state else {
            return None;
        };
        self.line(rung)
    }
}

impl Call {
    /// A person is asked for: the first of the ladder is called.
    pub(super) fn ask_for_person(&mut self) {
        if self.bridge.state == State::Idle && self.bridge.rungs > 0 {
            self.bridge.state = State::Trying { rung: 0 };
            self.outputs.push_back(Output::OpenLine { line: 0 });
        }
    }

    /// The conversation is over, and somebody may still come: its last words wait.
    pub(super) fn keep_company(&mut self) -> bool {
        if !self.bridge.is_trying() || !self.conversation.is_over() {
            return false;
        }
        self.bridge.kept = std::mem::take(&mut self.acts);
        self.stage = Stage::Connecting;
        self.say(self.conversation.company(true));
        true
    }

    /// The shell has opened a line to the rung's telephone, or cannot.
    pub(super) fn line_opened(&mut self, line: u32, config: Option<LegConfig>, now: Instant) {
        let is_wanted = self.bridge.state == (State::Trying { rung: line });
        let is_over = matches!(self.stage, Stage::Leaving | Stage::Ended);
        match config.filter(|_| is_wanted && !is_over) {
            Some(config) => {
                let part = 16u8.wrapping_add(u8::try_from(line).unwrap_or(u8::MAX));
                let seed = part_seed(self.stream_seed, part);
                self.bridge.lines.push(Second::new(line, config, seed, now));
                self.remember_dialog();
            }
            None => {
                self.outputs.push_back(Output::CloseLine { line });
                if is_wanted {
                    self.next_rung();
                }
            }
        }
    }

    /// The Call-ID of a second line, by which the shell routes datagrams.
    pub fn line_call_id(&self, line: u32) -> Option<&str> {
        let mut lines = self.bridge.lines.iter();
        lines
            .find(|second| second.line == line)
            .map(Second::call_id)
    }

    pub(super) fn line_sip(&mut self, line: u32, datagram: &[u8], from: SocketAddr, now: Instant) {
        if let Some(second) = self.bridge.line(line) {
            second.handle_sip(datagram, from, now);
        }
    }

    pub(super) fn line_rtp(&mut self, line: u32, datagram: &[u8], from: SocketAddr, now: Instant) {
        if let Some(second) = self.bridge.line(line) {
            second.handle_rtp(datagram, from, now);
        }
    }

    pub(super) fn line_report(&mut self, line: u32, datagram: &[u8], now: Instant) {
        if let Some(second) = self.bridge.line(line) {
            second.handle_report(datagram, now);
        }
    }

    /// A handshake gave a line its keys, or none: then it is as if nobody had answered there.
    pub(super) fn line_secured(&mut self, line: u32, keys: Option<MediaKeys>, now: Instant) {
        if let Some(second) = self.bridge.line(line) {
            second.secured(keys, now);
        }
    }

    pub(super) fn line_reports_secured(&mut self, line: u32, keys: MediaKeys) {
        if let Some(second) = self.bridge.line(line) {
            second.reports_secured(keys);
        }
    }

    pub(super) fn wake_lines(&mut self, now: Instant) {
        for second in &mut self.bridge.lines {
            second.handle_timeout(now);
        }
    }

    /// Messages of the second lines, and what became of the present one.
    pub(super) fn drain_lines(&mut self, now: Instant) {
        for second in &mut self.bridge.lines {
            while let Some(output) = second.poll(now) {
                self.outputs.push_back(match output {
                    LegOutput::Send { bytes, to } => Output::Sip { bytes, to },
                    LegOutput::Rest { target, pause } => Output::RestTarget { target, pause },
                    LegOutput::Event(_) => continue,
                });
            }
        }
        let mut has_changed = false;
        for second in &mut self.bridge.lines {
            has_changed |= second.has_changed();
            self.outputs.extend(second.poll_handshake());
        }
        if has_changed {
            self.remember_dialog();
        }
        let present = self.bridge.present();
        let (is_gone, accepts) = present.map_or((false, false), |second| {
            (second.ended, second.has_accepted())
        });
        if accepts && self.bridge.is_trying() {
            self.join(now);
        } else if is_gone {
            self.line_ended(now);
        }
        let outputs = &mut self.outputs;
        self.bridge.lines.retain(|second| {
            if second.is_finished() {
                let line = second.line;
                outputs.push_back(Output::CloseLine { line });
            }
            !second.is_finished()
        });
    }

    /// The key was pressed: from here on two people talk.
    fn join(&mut self, now: Instant) {
        let State::Trying { rung } = self.bridge.state else {
            return;
        };
        self.bridge.state = State::Joined { rung, since: now };
        self.fall_silent("connected");
    }

    /// The robot's voice and ear yield to a person's.
    pub(super) fn fall_silent(&mut self, meaning: &str) {
        self.player.clear();
        self.acts.clear();
        self.barge = None;
        self.forget_pending();
        self.ear.deafen();
        self.close_turn(meaning.to_owned());
        self.stage = Stage::Joined;
    }

    fn line_ended(&mut self, now: Instant) {
        if let State::Joined { rung, since } = self.bridge.state {
            let talked = now.since(since);
            if talked >= TALK {
                self.bridge.state = State::Over;
                self.has_talked(rung, talked);
                let until_ms = self.at_ms() + TAIL_MS;
                self.stage = Stage::Closing { until_ms };
                return;
            }
            self.bridge.state = State::Trying { rung };
            self.stage = Stage::Connecting;
        }
        self.next_rung();
    }

    fn has_talked(&mut self, rung: u32, talked: Duration) {
        let talk_ms = u64::try_from(talked.as_millis()).unwrap_or(u64::MAX);
        self.bridge.connected = Some(CallNote::Connected { rung, talk_ms });
    }

    fn next_rung(&mut self) {
        let State::Trying { rung } = self.bridge.state else {
            return;
        };
        let line = rung + 1;
        if line < self.bridge.rungs {
            self.bridge.state = State::Trying { rung: line };
            return self.outputs.push_back(Output::OpenLine { line });
        }
        self.bridge.state = State::Over;
        if self.stage == Stage::Connecting {
            self.player.clear();
            self.acts = std::mem::take(&mut self.bridge.kept);
            self.stage = Stage::Speaking;
        }
    }

    /// The patient has gone, or the engine goes.
    pub(super) fn end_lines(&mut self, now: Instant) {
        if let State::Joined { rung, since } = self.bridge.state
            && now.since(since) >= TALK
        {
            self.has_talked(rung, now.since(since));
        }
        self.bridge.state = State::Over;
        self.end_in_hands(now);
        for second in &mut self.bridge.lines {
            second.hang_up(now);
        }
    }

    /// A slot of the second line: the patient's voice to it, its voice back once it was joined.
    pub(super) fn line_slot(
        &mut self,
        patient: Option<&[i16; FRAME]>,
        now: Instant,
    ) -> Option<[i16; FRAME]> {
        if let Some(voice) = self.persons_voice(now) {
            return Some(voice);
        }
        let is_joined = self.stage == Stage::Joined;
        let second = self.bridge.present()?;
        let silence = [0; FRAME];
        let patient = patient.filter(|_| is_joined).unwrap_or(&silence);
        let slot = second.slot(patient, now);
        let (line, mux, wants) = (second.line, second.rtcp_mux, second.wants(now));
        match wants {
            Wants::Nothing => {}
            Wants::Offer => self.offer(line),
            Wants::HangUp => {
                if let Some(second) = self.bridge.line(line) {
                    second.hang_up(now);
                }
            }
        }
        let Slot {
            heard,
            packet,
            report,
        } = slot?;
        // What could not be encrypted is empty.
        if let Some((to, packet)) = packet.filter(|(_, packet)| !packet.is_empty()) {
            self.outputs.push_back(Output::LineRtp { line, to, packet });
        }
        if let Some((to, packet)) = report.filter(|(_, packet)| !packet.is_empty()) {
            self.outputs.push_back(if mux {
                Output::LineRtp { line, to, packet }
            } else {
                Output::LineRtcp { line, to, packet }
            });
        }
        is_joined.then_some(heard)
    }

    /// Tells whoever answered that there is a call, and nothing else.
    fn offer(&mut self, line: u32) {
        let speech = self.conversation.offer();
        for (at, segment) in speech.into_iter().enumerate() {
            let recorded = match &segment {
                Segment::Recorded { prompt, .. } => {
                    self.kit.prompts.get(&prompt.recording(self.lang)).cloned()
                }
                Segment::Spoken(_) => None,
            };
            let id = match recorded {
                Some(_) => None,
                None => Some(self.ask_to_speak(segment.text().to_owned())),
            };
            let Some(second) = self.bridge.line(line) else {
                return;
            };
            match (recorded, id) {
                (Some(samples), _) => second.player.queue(samples, at),
                (None, Some(id)) => second.player.queue_awaited(id, at),
                (None, None) => {}
            }
        }
    }

    pub(super) fn fill_lines(&mut self, id: u32, audio: Option<&std::sync::Arc<[i16]>>) {
        for second in &mut self.bridge.lines {
            second.player.fill(id, audio.cloned());
        }
    }

    /// Every slot of the wait: the patient is told that it goes on.
    pub(super) fn watch_company(&mut self) {
        let at_ms = self.at_ms();
        if !self.player.is_idle() {
            self.bridge.quiet_since_ms = at_ms;
        } else if at_ms >= self.bridge.quiet_since_ms + COMPANY_MS {
            self.bridge.quiet_since_ms = at_ms;
            self.say(self.conversation.company(false));
        }
    }

    /// What comes when nobody took the call.
    pub(super) fn bridge_holds(&mut self, act: Act) {
        self.bridge.kept.push_front(act);
    }
}
