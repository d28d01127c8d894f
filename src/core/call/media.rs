//! The call's 20 ms slots: one frame each way, on one clock, and what SIP says of the media.

use std::net::SocketAddr;
use std::time::Duration;

use super::echo::Echo;
use super::player::Played;
use super::{Call, CallEvent, FRAME, Output, SLOT, Stage, part_seed};
use crate::attempt::LineRecord;
use crate::codec::G711;
use crate::ear::{Ear, EarConfig, ListenSpec};
use crate::rtp::{Stream, StreamConfig};
use crate::sip::event::{LegEnding, LegEvent};
use crate::sip::sdp::MediaAnswer;
use crate::time::Instant;

/// What the robot waits for after the answer: the callee's "喂" ends quickly, and must not be spoken over.
const GREETING: ListenSpec = ListenSpec {
    end_silence_ms: 250,
    no_input_ms: 750,
    max_ms: 6_000,
};

/// An announcement before the answer, cut at its pauses.
pub(super) const ANNOUNCEMENT: ListenSpec = ListenSpec {
    end_silence_ms: 700,
    no_input_ms: 60_000,
    max_ms: 10_000,
};

impl Call {
    pub(super) fn handle_leg_event(&mut self, event: LegEvent, now: Instant) {
        match event {
            LegEvent::Trying => self.remember_dialog(),
            LegEvent::Ringing { status } => {
                self.rang = true;
                self.remember_dialog();
                self.event(CallEvent::Ringing { status });
            }
            LegEvent::EarlyMedia(answer) => {
                self.rang = true;
                self.set_media(&answer, now);
                self.ear.listen(ANNOUNCEMENT, 0);
                self.remember_dialog();
                self.event(CallEvent::EarlyMedia);
            }
            LegEvent::Answered(answer) => self.answered(&answer, now),
            LegEvent::MediaChanged(answer) => {
                self.set_media(&answer, now);
                self.hold(&answer, now);
            }
            LegEvent::Key(key) => self.key(key),
            // A script asks for none.
            LegEvent::Transfer(_) => {}
            LegEvent::Ended(ending) => {
                self.say_goodbye(now);
                self.end_lines(now);
                self.finish(&ending);
            }
        }
    }

    fn answered(&mut self, answer: &MediaAnswer, now: Instant) {
        self.rang = true;
        self.answered_at = Some(now);
        self.set_media(answer, now);
        self.hold(answer, now);
        // What was heard before belongs to the network, not to the callee.
        self.ear = Ear::new(EarConfig {
            seed: self.ear_seed,
        });
        self.pending = None;
        self.echo = Some(Echo::new(answer.codec));
        self.slots = 0;
        if self.stage == Stage::Dialling {
            self.stage = Stage::Greeting;
            let no_input_ms =
                u32::try_from(self.kit.limits.greeting.as_millis()).unwrap_or(GREETING.no_input_ms);
            self.ear.listen(
                ListenSpec {
                    no_input_ms,
                    ..GREETING
                },
                0,
            );
        }
        self.remember_dialog();
        self.event(CallEvent::Answered);
    }

    /// RTCP, when it is due.
    fn report(&mut self, now: Instant) {
        if let (Some(stream), Some(to)) = (&mut self.stream, self.remote_rtcp)
            && let Some(packet) = stream.report(now)
        {
            self.send_rtcp(to, packet);
        }
    }

    fn say_goodbye(&mut self, now: Instant) {
        if let (Some(stream), Some(to)) = (&mut self.stream, self.remote_rtcp.take()) {
            let packet = stream.goodbye(now);
            self.send_rtcp(to, packet);
        }
    }

    /// A packet that could not be encrypted is empty, and stays here.
    fn send_rtp(&mut self, to: SocketAddr, packet: Vec<u8>) {
        if !packet.is_empty() {
            self.outputs.push_back(Output::Rtp { to, packet });
        }
    }

    fn send_rtcp(&mut self, to: SocketAddr, packet: Vec<u8>) {
        if packet.is_empty() {
            return;
        }
        let output = match self.remote {
            // One port for both: where the audio goes.
            Some(to) if self.rtcp_mux => Output::Rtp { to, packet },
            Some(_) | None => Output::Rtcp { to, packet },
        };
        self.outputs.push_back(output);
    }

    /// How the line was.
    pub(super) fn line_record(&self, ending: &LegEnding) -> LineRecord {
        let after = |at: Option<Instant>| {
            let after = at?.since(self.began).as_millis();
            u64::try_from(after).ok()
        };
        let stream = self.stream.as_ref();
        LineRecord {
            why: ending.why,
            codec: self.codec,
            rtcp_mux: self.rtcp_mux,
            answered_after_ms: after(self.answered_at),
            first_heard_after_ms: after(stream.and_then(Stream::first_received)),
            last_heard_after_ms: after(stream.and_then(Stream::last_received)),
            rtp: stream.map(|stream| stream.stats().figures()),
        }
    }

    /// Where the peer does not listen, nothing is said.
    fn hold(&mut self, answer: &MediaAnswer, now: Instant) {
        if !answer.direction.sends() {
            self.held_since.get_or_insert(now);
        } else if self.held_since.take().is_some() {
            self.resumed_at = Some(now);
            // The reply is waited for from now on: nobody could give it before.
            if self.stage == Stage::Listening
                && let Some(listen) = self.listen.take()
            {
                self.begin_listening(listen);
            }
        }
    }

    pub(super) fn remember_dialog(&mut self) {
        if let Some(mut snapshot) = self.leg.dialog_snapshot() {
            for beside in self.bridge.dialog_snapshots() {
                snapshot = snapshot.and(&beside);
            }
            self.event(CallEvent::Dialog(Box::new(snapshot)));
        }
    }

    /// One SSRC and one timestamp line for the whole call, whatever SIP renegotiates.
    fn set_media(&mut self, answer: &MediaAnswer, now: Instant) {
        self.remote = Some(answer.remote);
        self.remote_rtcp = Some(answer.rtcp).filter(|to| !to.ip().is_unspecified());
        self.rtcp_mux = answer.rtcp_mux;
        self.codec = Some(answer.codec);
        match &mut self.stream {
            Some(stream) => {
                stream.retarget(answer.codec, answer.payload_type, answer.telephone_event)
            }
            None => {
                let seed = part_seed(self.stream_seed, 1);
                self.stream = Some(Stream::new(StreamConfig {
                    codec: answer.codec,
                    payload_type: answer.payload_type,
                    telephone_event: answer.telephone_event,
                    ssrc: u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]),
                    first_seq: u16::from_be_bytes([seed[4], seed[5]]),
                    first_timestamp: u32::from_be_bytes([seed[6], seed[7], seed[8], seed[9]]),
                }));
            }
        }
        if let Some(stream) = &mut self.stream {
            match answer.dtls {
                None => stream.set_keys(answer.srtp.map(|srtp| srtp.keys)),
                // The same certificate and the same roles are the same keys.
                Some(dtls) if self.dtls == Some(dtls) => {}
                Some(dtls) => {
                    self.dtls = Some(dtls);
                    stream.await_keys(!answer.rtcp_mux);
                    self.outputs.push_back(Output::Secure {
                        line: None,
                        to: answer.remote,
                        reports_to: answer.rtcp_apart(),
                        dtls,
                    });
                }
            }
            // On hold at 0.0.0.0 the peer is where it was.
            if !answer.remote.ip().is_unspecified() {
                stream.aim(answer.remote);
                self.remote = stream.target();
            }
        }
        self.next_slot.get_or_insert(now);
    }

    /// Moves the timelines over a gap that the shell slept through.
    pub(super) fn skip(&mut self, gap: Duration, now: Instant) {
        let slots = (gap.as_micros() / SLOT.as_micros()).max(1);
        for _ in 0..slots {
            if let Some(due) = self.next_slot {
                self.next_slot = Some(due + SLOT);
            }
            if let Some(stream) = &mut self.stream {
                stream.skip(1);
            }
            let received = self.receive_slot(now);
            self.sent(&[0; FRAME], received);
        }
    }

    /// A slot on hold, or before the keys are there: silence keeps the way through the NAT open, the script stands still,
    /// the clock goes on.
    fn held_slot(&mut self, now: Instant) {
        let silence = [0; FRAME];
        if let Some(stream) = &mut self.stream {
            stream.pull(now);
            while stream.poll_key().is_some() {}
            match self.remote.filter(|to| !to.ip().is_unspecified()) {
                Some(to) => {
                    let packet = stream.send(&silence);
                    self.send_rtp(to, packet);
                }
                // What cannot be sent takes no number: the peer would count it as lost.
                None => stream.skip(1),
            }
        }
        if self.record {
            let (left, right) = (alaw(&silence), alaw(&silence));
            self.outputs.push_back(Output::Frame { left, right });
        }
        self.slots += 1;
        self.overheard(&silence, &silence);
        self.line_slot(None, now);
        self.check_limits(now);
    }

    /// One slot: a frame in, a frame out; who is heard in this one stops the robot's next sample.
    pub(super) fn slot(&mut self, now: Instant) {
        self.report(now);
        let awaits_keys = self.stream.as_ref().is_some_and(Stream::awaits_keys);
        if self.held_since.is_some() || awaits_keys {
            self.held_slot(now);
            return;
        }
        let at_ms = self.at_ms();
        let received = self.receive_slot(now);
        if matches!(self.stage, Stage::Ended) {
            return;
        }
        let second = self.line_slot(received.as_ref(), now);
        self.hold_breath();
        let frame = match (&self.stage, second) {
            (Stage::Joined, Some(second)) => Played::Frame(second),
            // What it is to be told is ready, and waits for its silence.
            (Stage::Machine { .. }, _) => Played::Waiting,
            _ => self.player.next_frame(now),
        };
        let frame = match frame {
            Played::Frame(frame) => {
                if !self.asks_for_patience() {
                    self.note_latency(&frame, at_ms);
                }
                frame
            }
            Played::Waiting | Played::Finished => [0; FRAME],
        };
        if let (Some(stream), Some(to)) = (&mut self.stream, self.remote) {
            let packet = stream.send(&frame);
            self.send_rtp(to, packet);
        }
        self.sent(&frame, received);
        self.after_slot(now);
    }

    /// What came in, if anything is heard at all.
    fn receive_slot(&mut self, now: Instant) -> Option<[i16; FRAME]> {
        let stream = self.stream.as_mut()?;
        let pulled = stream.pull(now);
        let mut keys = Vec::new();
        while let Some(key) = stream.poll_key() {
            keys.push(key);
        }
        if self.answered_at.is_none() {
            self.ear.push(&pulled.samples, self.early_slots * 20);
            self.opening.heard_early(&pulled.samples);
            self.early_slots += 1;
        } else {
            let at_ms = self.at_ms();
            let heard = match &mut self.echo {
                Some(echo) => echo.cancel(&self.sent, &pulled.samples),
                None => pulled.samples,
            };
            self.ear.push(&heard, at_ms);
            self.slots += 1;
        }
        for key in keys {
            self.key(key);
        }
        while let Some(event) = self.ear.poll() {
            self.handle_ear(event);
        }
        self.answered_at.map(|_| pulled.samples)
    }

    /// Both sides of a slot are known: to the recording, to who listens in, and for its echo.
    fn sent(&mut self, frame: &[i16; FRAME], received: Option<[i16; FRAME]>) {
        self.sent = *frame;
        let Some(received) = received else {
            return;
        };
        if self.record {
            let (left, right) = (alaw(frame), alaw(&received));
            self.outputs.push_back(Output::Frame { left, right });
        }
        self.overheard(frame, &received);
    }

    /// A slot for whoever listens in.
    fn overheard(&mut self, frame: &[i16; FRAME], received: &[i16; FRAME]) {
        if self.is_monitored {
            let both = std::array::from_fn(|at| frame[at].saturating_add(received[at]));
            self.outputs.push_back(Output::Monitor {
                slot: self.slots,
                both: alaw(&both),
                callee: alaw(received),
            });
        }
    }

    /// Ends a call without media, and one that lasts too long.
    pub(super) fn check_limits(&mut self, now: Instant) {
        let Some(answered) = self.answered_at else {
            return;
        };
        let heard = self
            .stream
            .as_ref()
            .and_then(Stream::last_received)
            .unwrap_or(answered);
        let silent = match self.held_since {
            Some(since) => now.since(since) > self.kit.limits.hold,
            None => {
                let began = self.resumed_at.unwrap_or(answered);
                now.since(heard.max(began)) > self.kit.limits.media
            }
        };
        let longest = if self.conversation.met_emergency() || self.stage == Stage::Joined {
            self.kit.limits.stay
        } else {
            self.kit.limits.talk
        };
        if silent || now.since(answered) > longest {
            self.hang_up(now);
        }
    }
}

fn alaw(samples: &[i16; FRAME]) -> [u8; FRAME] {
    samples.map(|sample| G711::A.encode(sample))
}
