//! A second line of the call: its signalling and its audio, for somebody who is asked to take the patient's call.

use std::net::SocketAddr;
use std::time::Duration;

use super::player::{Played, Player};
use super::{FRAME, Output, part_seed};
use crate::media_key::MediaKeys;
use crate::rtp::{Stream, StreamConfig};
use crate::sip::dialog::DialogSnapshot;
use crate::sip::event::{LegConfig, LegEvent, LegOutput, Timer};
use crate::sip::leg::Leg;
use crate::sip::sdp::{Dtls, MediaAnswer};
use crate::time::Instant;

/// The key that takes the call: a voicemail presses none.
const ACCEPTS: char = '1';
/// How often the call is offered, and the silence after each time.
const OFFERS: u8 = 3;
const PAUSE: Duration = Duration::from_secs(4);

/// One try at one telephone: one INVITE.
pub(super) struct Second {
    /// By which the shell knows its sockets.
    pub(super) line: u32,
    pub(super) player: Player,
    leg: Leg,
    seed: [u8; 32],
    stream: Option<Stream>,
    remote: Option<SocketAddr>,
    remote_rtcp: Option<SocketAddr>,
    /// Reports go where the audio goes, and from the same port.
    pub(super) rtcp_mux: bool,
    answered: bool,
    offers: u8,
    /// The next offer is due, or the last one was not taken.
    offer_at: Option<Instant>,
    accepted: bool,
    /// What would end it after a crash has changed.
    changed: bool,
    /// Whose handshake gives the audio's keys, and where it and its reports are, until it was asked for.
    dtls: Option<Dtls>,
    handshake: Option<(SocketAddr, Option<SocketAddr>)>,
    pub(super) ended: bool,
}

/// What a slot of a second line brings.
pub(super) struct Slot {
    pub(super) heard: [i16; FRAME],
    pub(super) packet: Option<(SocketAddr, Vec<u8>)>,
    pub(super) report: Option<(SocketAddr, Vec<u8>)>,
}

/// What a second line is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// To be told that there is a call for it.
    Offer,
    /// It was told often enough.
    HangUp,
}

impl Second {
    /// The INVITE is the first output.
    pub(super) fn new(line: u32, config: LegConfig, seed: [u8; 32], now: Instant) -> Second {
        Second {
            line,
            player: Player::default(),
            leg: Leg::new(config, part_seed(seed, 1), now),
            seed: part_seed(seed, 2),
            stream: None,
            remote: None,
            remote_rtcp: None,
            rtcp_mux: false,
            answered: false,
            offers: 0,
            offer_at: None,
            accepted: false,
            changed: false,
            dtls: None,
            handshake: None,
            ended: false,
        }
    }

    pub(super) fn call_id(&self) -> &str {
        self.leg.call_id()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.leg.is_finished()
    }

    pub(super) fn dialog_snapshot(&self) -> Option<DialogSnapshot> {
        self.leg.dialog_snapshot()
    }

    /// Once for each answer and end.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Somebody pressed the key.
    pub(super) fn has_accepted(&self) -> bool {
        self.accepted && !self.ended
    }

    pub(super) fn handle_sip(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        self.leg.handle_datagram(datagram, from, now);
    }

    pub(super) fn handle_rtp(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        if let Some(stream) = &mut self.stream {
            stream.receive_from(datagram, from, now);
            self.remote = stream.target().or(self.remote);
        }
    }

    pub(super) fn handle_report(&mut self, datagram: &[u8], now: Instant) {
        if let Some(stream) = &mut self.stream {
            stream.receive_report(datagram, now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.leg.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.leg.poll_timeout()
    }

    pub(super) fn hang_up(&mut self, now: Instant) {
        self.leg.hang_up(now);
    }

    /// The next message to send, or target to rest; the line's own events are taken here.
    pub(super) fn poll(&mut self, now: Instant) -> Option<LegOutput> {
        loop {
            match self.leg.poll_output()? {
                LegOutput::Event(event) => self.happened(event, now),
                output @ (LegOutput::Send { .. } | LegOutput::Rest { .. }) => return Some(output),
            }
        }
    }

    fn happened(&mut self, event: LegEvent, now: Instant) {
        match event {
            LegEvent::Answered(answer) => {
                (self.answered, self.changed) = (true, true);
                self.offer_at = Some(now);
                self.set_media(&answer);
            }
            LegEvent::MediaChanged(answer) => self.set_media(&answer),
            LegEvent::Key(key) => self.pressed(key),
            LegEvent::Ended(_) => {
                (self.ended, self.changed) = (true, true);
                self.player.clear();
            }
            // What is heard before the answer is nobody's.
            LegEvent::EarlyMedia(_)
            | LegEvent::Trying
            | LegEvent::Ringing { .. }
            | LegEvent::Transfer(_) => {}
        }
    }

    fn pressed(&mut self, key: char) {
        if self.answered && key == ACCEPTS {
            self.accepted = true;
            self.player.clear();
        }
    }

    fn set_media(&mut self, answer: &MediaAnswer) {
        self.remote_rtcp = Some(answer.rtcp).filter(|to| !to.ip().is_unspecified());
        self.rtcp_mux = answer.rtcp_mux;
        let (codec, payload_type, event) =
            (answer.codec, answer.payload_type, answer.telephone_event);
        let seed = part_seed(self.seed, 1);
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| seed[at + i]));
        let stream = self.stream.get_or_insert_with(|| {
            Stream::new(StreamConfig {
                codec,
                payload_type,
                telephone_event: event,
                ssrc: word(0),
                first_seq: (word(4) >> 16) as u16,
                first_timestamp: word(8),
            })
        });
        stream.retarget(codec, payload_type, event);
        match answer.dtls {
            None => stream.set_keys(answer.srtp.map(|srtp| srtp.keys)),
            // The same certificate and the same roles are the same keys.
            Some(dtls) if self.dtls == Some(dtls) => {}
            Some(dtls) => {
                self.dtls = Some(dtls);
                self.handshake = Some((answer.remote, answer.rtcp_apart()));
                stream.await_keys(!answer.rtcp_mux);
            }
        }
        // On hold at 0.0.0.0 nothing is sent.
        self.remote = None;
        if !answer.remote.ip().is_unspecified() {
            stream.aim(answer.remote);
            self.remote = stream.target();
        }
    }

    /// With whom a handshake is to be made, once.
    pub(super) fn poll_handshake(&mut self) -> Option<Output> {
        let (to, reports_to) = self.handshake.take()?;
        Some(Output::Secure {
            line: Some(self.line),
            to,
            reports_to,
            dtls: self.dtls?,
        })
    }

    pub(super) fn reports_secured(&mut self, keys: MediaKeys) {
        if let Some(stream) = &mut self.stream {
            stream.set_report_keys(keys);
        }
    }

    /// What came of it; without keys nothing can be said.
    pub(super) fn secured(&mut self, keys: Option<MediaKeys>, now: Instant) {
        match (keys, &mut self.stream) {
            (Some(keys), Some(stream)) => stream.set_keys(Some(keys)),
            (None, _) | (_, None) => self.hang_up(now),
        }
    }

    /// What it needs now.
    pub(super) fn wants(&mut self, now: Instant) -> Wants {
        let is_deaf = self.stream.as_ref().is_none_or(Stream::awaits_keys);
        if !self.answered || self.ended || self.accepted || is_deaf || !self.player.is_idle() {
            return Wants::Nothing;
        }
        let at = *self.offer_at.get_or_insert(now + PAUSE);
        if now < at {
            return Wants::Nothing;
        }
        self.offer_at = None;
        self.offers += 1;
        if self.offers > OFFERS {
            return Wants::HangUp;
        }
        Wants::Offer
    }

    /// 20 ms: the patient's voice out once it was accepted, else the offer; what is heard in.
    pub(super) fn slot(&mut self, patient: &[i16; FRAME], now: Instant) -> Option<Slot> {
        if self.ended {
            return None;
        }
        let stream = self.stream.as_mut()?;
        let heard = stream.pull(now).samples;
        let keys: Vec<char> = std::iter::from_fn(|| stream.poll_key()).collect();
        for key in keys {
            self.pressed(key);
        }
        let frame = match self.player.next_frame(now) {
            _ if self.accepted => *patient,
            Played::Frame(frame) => frame,
            Played::Waiting | Played::Finished => [0; FRAME],
        };
        let stream = self.stream.as_mut()?;
        let report = stream.report(now);
        let packet = match self.remote {
            Some(remote) => Some((remote, stream.send(&frame))),
            None => {
                stream.skip(1);
                None
            }
        };
        let to = if self.rtcp_mux {
            self.remote
        } else {
            self.remote_rtcp
        };
        Some(Slot {
            heard,
            packet,
            report: to.zip(report),
        })
    }
}
