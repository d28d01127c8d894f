//! One call of a recording, without script and ear: its signalling, its two sockets, its 20 ms slots.
//!
//! Whoever drives it owns the clock, the event queue and the carrier: `playback` drives one, `load` many.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::call::echo::Echo;
use aftercall_core::codec::{Codec, FRAME, FRAME_MS, G711};
use aftercall_core::ear::{Ear, EarConfig, EarEvent, ListenSpec};
use aftercall_core::rtp::{Stream, StreamConfig, StreamStats};
use aftercall_core::sip::event::{LegConfig, LegEnding, LegEvent, LegOutput, Transfer};
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::sdp::{Dtls, MediaAnswer};
use aftercall_core::time::Instant;
use mio::net::UdpSocket;

use super::config::Trunk;
use super::dtls::{Handshakes, Identity, Port, Secured};
use super::tape::Tape;

const SLOT: Duration = Duration::from_millis(20);
/// How long the answer to our last request is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is done with the far end's sound besides recording it, as a call with a script does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Hears {
    #[default]
    Nothing,
    /// Voice activity and tones: the ear.
    Voice,
    /// The same, with our own voice taken out of what comes back.
    Echo,
}

/// What is to be played, and when the call ends.
pub struct Playback {
    pub samples: Arc<[i16]>,
    pub hears: Hears,
    pub until: Until,
    /// From the INVITE, whatever is left to play.
    pub longest: Duration,
    /// Sent by RFC 4733 after the recording.
    pub keys: String,
    /// Whom the callee is handed to, and how long after the answer (RFC 3515). When that has worked we hang up.
    pub refer: Option<(String, Duration)>,
    pub recording: Option<Tape>,
    /// Set from outside to hang up now.
    pub stop: Arc<AtomicBool>,
}

/// What came of it.
#[derive(Debug)]
pub struct Played {
    pub ending: LegEnding,
    /// Each that was agreed on, in the order of its first use.
    pub codecs: Vec<Codec>,
    pub rtcp_mux: bool,
    pub srtp: bool,
    /// Health data on a patient's call; this is a tester's.
    pub keys_heard: String,
    /// From the INVITE.
    pub answered_after: Option<Duration>,
    pub talked: Duration,
    /// When a session description first let audio flow, and when the peer's first and last packet came: from the INVITE.
    pub media_after: Option<Duration>,
    pub first_heard_after: Option<Duration>,
    pub last_heard_after: Option<Duration>,
    /// Every step of the transfer.
    pub transfer: Vec<Transfer>,
    pub rtp: Option<StreamStats>,
}

/// When the call ends by our will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All is played and sent.
    Said,
    /// So long after the INVITE.
    SinceInvite(Duration),
    /// So long after the answer; the recording begins anew as often as it must.
    SinceAnswer(Duration),
}

/// An RTP port of the trunk's range that is free, and the next for RTCP; `skip` pairs of ports from its beginning.
pub fn open_rtp(trunk: &Trunk, skip: usize) -> Option<(UdpSocket, UdpSocket, u16)> {
    let ports = trunk.rtp_ports.clone().filter(|port| port % 2 == 0);
    let open = |port| UdpSocket::bind(SocketAddr::new(trunk.bind.ip(), port)).ok();
    let both = |port| Some((open(port)?, open(port + 1)?, port));
    ports.skip(skip).find_map(both)
}

/// One call. Times count from its INVITE's clock, which is the driver's.
pub struct Line {
    leg: Leg,
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    began: Instant,
    order: Playback,
    media_seed: [u8; 12],
    stream: Option<Stream>,
    remote: Option<SocketAddr>,
    remote_rtcp: Option<SocketAddr>,
    rtcp_mux: bool,
    srtp: bool,
    identity: Option<Arc<Identity>>,
    handshakes: Option<Handshakes>,
    sends: bool,
    next_slot: Option<Instant>,
    /// Samples played.
    at: usize,
    ear: Option<Listener>,
    keys: VecDeque<char>,
    answered_at: Option<Instant>,
    ended: Option<(LegEnding, Instant)>,
    codecs: Vec<Codec>,
    heard: String,
    media_at: Option<Instant>,
    transfer: Vec<Transfer>,
    sip: VecDeque<(Vec<u8>, SocketAddr)>,
    events: VecDeque<LegEvent>,
}

impl Line {
    /// The INVITE is the first that [`Line::poll_sip`] gives.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(
        config: LegConfig,
        order: Playback,
        (rtp, rtcp): (UdpSocket, UdpSocket),
        identity: Option<Arc<Identity>>,
        now: Instant,
    ) -> std::io::Result<Line> {
        let (mut seed, mut media_seed) = ([0; 32], [0; 12]);
        getrandom::fill(&mut seed)
            .and_then(|()| getrandom::fill(&mut media_seed))
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let mut line = Line {
            leg: Leg::new(config, seed, now),
            rtp,
            rtcp,
            began: now,
            keys: order.keys.chars().collect(),
            order,
            media_seed,
            stream: None,
            remote: None,
            remote_rtcp: None,
            rtcp_mux: false,
            srtp: false,
            identity,
            handshakes: None,
            sends: true,
            next_slot: None,
            at: 0,
            ear: None,
            answered_at: None,
            ended: None,
            codecs: Vec::new(),
            heard: String::new(),
            media_at: None,
            transfer: Vec::new(),
            sip: VecDeque::new(),
            events: VecDeque::new(),
        };
        line.drain(now);
        Ok(line)
    }

    pub fn call_id(&self) -> &str {
        self.leg.call_id()
    }

    pub fn poll_sip(&mut self) -> Option<(Vec<u8>, SocketAddr)> {
        self.sip.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<LegEvent> {
        self.events.pop_front()
    }

    /// When to wake.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let leg = self.leg.poll_timeout().map(|(at, _)| at);
        leg.into_iter().chain(self.next_slot).min()
    }

    /// The next slot's time, while there is audio.
    pub fn next_slot(&self) -> Option<Instant> {
        self.next_slot
    }

    pub fn is_open(&self, now: Instant) -> bool {
        let is_late = |at: Instant| now.since(at) > FAREWELL;
        let over = |at| self.leg.is_finished() || (is_late(at) && !self.leg.awaits_transfer());
        !self.ended.as_ref().is_some_and(|(_, at)| over(*at))
    }

    pub fn handle_sip(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        self.leg.handle_datagram(datagram, from, now);
        self.drain(now);
    }

    /// A connection that SIP was to go over could not be made.
    pub fn handle_refused(&mut self, to: SocketAddr, now: Instant) {
        self.leg.handle_refused_connection(to, now);
        self.drain(now);
    }

    /// Timers, slots that are due, and what the order asks for by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.leg.handle_timeout(now);
        self.drain(now);
        if let Some(handshakes) = &mut self.handshakes {
            handshakes.handle_timeout(StdInstant::now());
            self.shake_hands(now);
        }
        while let Some(due) = self.next_slot.filter(|due| *due <= now) {
            self.next_slot = Some(due + SLOT);
            self.slot(now);
        }
        self.refer(now);
        if self.is_time(now) {
            self.leg.hang_up(now);
            self.drain(now);
        }
    }

    pub fn hang_up(&mut self, now: Instant) {
        self.leg.hang_up(now);
        self.drain(now);
    }

    /// What came of it.
    ///
    /// # Errors
    /// When the call has not ended.
    pub fn finish(self) -> anyhow::Result<Played> {
        let Some((ending, ended_at)) = self.ended else {
            anyhow::bail!("the call did not end");
        };
        let after = |at: Option<Instant>| at.map(|at| at.since(self.began));
        let stream = self.stream.as_ref();
        Ok(Played {
            ending,
            codecs: self.codecs,
            rtcp_mux: self.rtcp_mux,
            srtp: self.srtp,
            keys_heard: self.heard,
            answered_after: after(self.answered_at),
            talked: self
                .answered_at
                .map_or(Duration::ZERO, |at| ended_at.since(at)),
            media_after: after(self.media_at),
            first_heard_after: after(stream.and_then(Stream::first_received)),
            last_heard_after: after(stream.and_then(Stream::last_received)),
            transfer: self.transfer,
            rtp: stream.map(Stream::stats),
        })
    }

    /// All was said, or the time is over.
    fn is_time(&self, now: Instant) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let is_asked = self.order.stop.load(Ordering::Relaxed);
        let is_said = || {
            self.answered_at.is_some()
                && self.at >= self.order.samples.len()
                && self.keys.is_empty()
                && self.order.refer.is_none()
                && !self.leg.awaits_transfer()
                && !self.stream.as_ref().is_some_and(Stream::is_pressing)
        };
        is_asked
            || now.since(self.began) >= self.order.longest
            || match self.order.until {
                Until::Said => is_said(),
                Until::SinceInvite(limit) => now.since(self.began) >= limit,
                Until::SinceAnswer(limit) => self
                    .answered_at
                    .is_some_and(|answered| now.since(answered) >= limit),
            }
    }

    /// Hands the callee on, when it is time.
    fn refer(&mut self, now: Instant) {
        let answered_at = self.answered_at;
        let is_due =
            |(_, after): &mut (String, Duration)| answered_at.is_some_and(|at| now >= at + *after);
        if let Some((uri, _)) = self.order.refer.take_if(is_due) {
            self.leg.refer(&uri, now);
            self.drain(now);
        }
    }

    pub fn receive_rtp(&mut self, now: Instant) {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = self.rtp.recv_from(&mut buffer) {
            if self.shakes_hands(Port::Audio, &buffer[..length], from, now) {
                continue;
            }
            if let Some(stream) = &mut self.stream {
                stream.receive_from(&buffer[..length], from, now);
                self.remote = self.remote.and(stream.target());
            }
        }
    }

    pub fn receive_rtcp(&mut self, now: Instant) {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = self.rtcp.recv_from(&mut buffer) {
            if self.shakes_hands(Port::Reports, &buffer[..length], from, now) {
                continue;
            }
            if let Some(stream) = &mut self.stream {
                stream.receive_report(&buffer[..length], now);
            }
        }
    }

    /// Whether a datagram was a handshake's.
    fn shakes_hands(
        &mut self,
        port: Port,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> bool {
        let known = self.handshakes.as_mut();
        let takes =
            known.is_some_and(|known| known.handle(port, datagram, from, StdInstant::now()));
        if takes {
            self.shake_hands(now);
        }
        takes
    }

    /// What the handshakes want sent, and what came of them: without keys there is no call.
    fn shake_hands(&mut self, now: Instant) {
        let Some(handshakes) = &mut self.handshakes else {
            return;
        };
        while let Some((port, packet, to)) = handshakes.poll_send() {
            let socket = match port {
                Port::Audio => &self.rtp,
                Port::Reports => &self.rtcp,
            };
            if let Err(error) = socket.send_to(&packet, to) {
                tracing::debug!(%error, "handshake not sent");
            }
        }
        let outcomes: Vec<Secured> = std::iter::from_fn(|| handshakes.poll_outcome()).collect();
        for outcome in outcomes {
            match (outcome, &mut self.stream) {
                (Secured::Reports(keys), Some(stream)) => stream.set_report_keys(keys),
                (Secured::Reports(_), None) => {}
                (Secured::Audio(Ok(keys)), Some(stream)) => {
                    stream.set_keys(Some(keys));
                    self.srtp = true;
                }
                (Secured::Audio(outcome), _) => {
                    if let Err(error) = outcome {
                        tracing::warn!(%error, "no keys for the audio: the call ends");
                    }
                    self.hang_up(now);
                }
            }
        }
    }

    /// Keys by DTLS; the same certificate and the same roles go on with the same keys.
    fn secure(&mut self, dtls: Dtls, answer: &MediaAnswer, now: Instant) {
        let known = self.handshakes.as_ref();
        if known.is_some_and(|known| known.agreed() == dtls) {
            return;
        }
        if let Some(stream) = &mut self.stream {
            stream.await_keys(!answer.rtcp_mux);
        }
        self.srtp = false;
        self.handshakes = self.identity.as_ref().and_then(|identity| {
            let local = self.rtp.local_addr().ok()?;
            let peer = (answer.remote, answer.rtcp_apart());
            Handshakes::new(identity, dtls, local, peer, StdInstant::now()).ok()
        });
        if self.handshakes.is_none() {
            self.hang_up(now);
        }
        self.shake_hands(now);
    }

    fn send_rtcp(&mut self, packet: &[u8]) {
        if packet.is_empty() {
            return;
        }
        let socket = if self.rtcp_mux { &self.rtp } else { &self.rtcp };
        let to = if self.rtcp_mux {
            self.remote
        } else {
            self.remote_rtcp
        };
        if let Some(to) = to
            && let Err(error) = socket.send_to(packet, to)
        {
            tracing::debug!(%error, "report not sent");
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.leg.poll_output() {
            match output {
                LegOutput::Send { bytes, to } => self.sip.push_back((bytes, to)),
                LegOutput::Rest { .. } => {}
                LegOutput::Event(event) => {
                    self.events.push_back(event.clone());
                    self.happened(event, now);
                }
            }
        }
    }

    fn happened(&mut self, event: LegEvent, now: Instant) {
        match event {
            LegEvent::Trying | LegEvent::Ringing { .. } => {}
            LegEvent::EarlyMedia(answer) | LegEvent::MediaChanged(answer) => {
                self.set_media(&answer, now)
            }
            LegEvent::Answered(answer) => {
                self.answered_at = Some(now);
                self.set_media(&answer, now);
            }
            LegEvent::Key(key) => self.heard.push(key),
            LegEvent::Transfer(transfer) => {
                self.transfer.push(transfer);
                if transfer.has_succeeded() {
                    self.leg.hang_up(now);
                }
            }
            LegEvent::Ended(ending) => {
                if let Some(packet) = self.stream.as_mut().map(|stream| stream.goodbye(now)) {
                    self.send_rtcp(&packet);
                }
                self.next_slot = None;
                self.ended = Some((ending, now));
            }
        }
    }

    /// The ear of the call, from its answer on.
    fn hear(&mut self, sent: &[i16; FRAME], received: &[i16; FRAME]) {
        if self.answered_at.is_none() || self.order.hears == Hears::Nothing {
            return;
        }
        let codec = self.codecs.last().copied().unwrap_or(Codec::Pcma);
        let hears = self.order.hears;
        let listener = self.ear.get_or_insert_with(|| Listener::new(hears, codec));
        listener.push(sent, received);
    }

    fn set_media(&mut self, answer: &MediaAnswer, now: Instant) {
        self.remote = Some(answer.remote).filter(|to| !to.ip().is_unspecified());
        self.remote_rtcp = Some(answer.rtcp).filter(|to| !to.ip().is_unspecified());
        self.sends = answer.direction.sends();
        self.rtcp_mux = answer.rtcp_mux;
        if !self.codecs.contains(&answer.codec) {
            self.codecs.push(answer.codec);
        }
        self.media_at.get_or_insert(now);
        let (codec, payload_type, event) =
            (answer.codec, answer.payload_type, answer.telephone_event);
        match &mut self.stream {
            Some(stream) => stream.retarget(codec, payload_type, event),
            None => {
                let word =
                    |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| self.media_seed[at + i]));
                self.stream = Some(Stream::new(StreamConfig {
                    codec,
                    payload_type,
                    telephone_event: event,
                    ssrc: word(0),
                    first_seq: (word(4) >> 16) as u16,
                    first_timestamp: word(8),
                }));
            }
        }
        if let Some(stream) = &mut self.stream {
            if answer.dtls.is_none() {
                stream.set_keys(answer.srtp.map(|srtp| srtp.keys));
                self.srtp = answer.srtp.is_some();
            }
            if let Some(remote) = self.remote {
                stream.aim(remote);
                self.remote = stream.target();
            }
        }
        if let Some(dtls) = answer.dtls {
            self.secure(dtls, answer, now);
        }
        self.next_slot.get_or_insert(now);
    }

    /// 20 ms out, 20 ms in.
    fn slot(&mut self, now: Instant) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let mut frame = [0; FRAME];
        if self.answered_at.is_some() && self.sends && !stream.awaits_keys() {
            let rest = self.order.samples.get(self.at..).unwrap_or_default();
            let length = rest.len().min(FRAME);
            frame[..length].copy_from_slice(&rest[..length]);
            self.at += FRAME;
            if matches!(self.order.until, Until::SinceAnswer(_))
                && self.at >= self.order.samples.len()
            {
                self.at = 0;
            }
            if rest.is_empty()
                && !stream.is_pressing()
                && let Some(key) = self.keys.pop_front()
            {
                stream.press(key);
            }
        }
        let report = stream.report(now);
        // What cannot be sent takes no number: the far end would count it as lost.
        let packet = match self.remote {
            Some(_) => stream.send(&frame),
            None => {
                stream.skip(1);
                Vec::new()
            }
        };
        let pulled = stream.pull(now).samples;
        while let Some(key) = stream.poll_key() {
            self.heard.push(key);
            self.events.push_back(LegEvent::Key(key));
        }
        if let Some(to) = self.remote.filter(|_| !packet.is_empty())
            && let Err(error) = self.rtp.send_to(&packet, to)
        {
            tracing::debug!(%error, "packet not sent");
        }
        if let Some(report) = report {
            self.send_rtcp(&report);
        }
        self.hear(&frame, &pulled);
        if self.answered_at.is_some()
            && let Some(recording) = &self.order.recording
        {
            let alaw = |samples: [i16; FRAME]| samples.map(|sample| G711::A.encode(sample));
            recording.append(alaw(frame), alaw(pulled));
        }
    }
}

/// Speech of any length, cut at its pauses.
const SPEECH: ListenSpec = ListenSpec {
    end_silence_ms: 700,
    no_input_ms: u32::MAX,
    max_ms: 10_000,
};

/// An ear that nobody asks for words: what hearing costs without understanding.
struct Listener {
    ear: Ear,
    echo: Option<Echo>,
    /// Of the slot before: what comes in now cannot be the echo of what goes out now.
    sent: [i16; FRAME],
    at_ms: u64,
}

impl Listener {
    fn new(hears: Hears, codec: Codec) -> Listener {
        let mut ear = Ear::new(EarConfig::default());
        ear.listen(SPEECH, 0);
        Listener {
            ear,
            echo: (hears == Hears::Echo).then(|| Echo::new(codec)),
            sent: [0; FRAME],
            at_ms: 0,
        }
    }

    fn push(&mut self, sent: &[i16; FRAME], received: &[i16; FRAME]) {
        let heard = match &mut self.echo {
            Some(echo) => echo.cancel(&self.sent, received),
            None => *received,
        };
        self.sent = *sent;
        self.ear.push(&heard, self.at_ms);
        self.at_ms += FRAME_MS;
        while let Some(event) = self.ear.poll() {
            if matches!(event, EarEvent::Ended { .. }) {
                self.ear.listen(SPEECH, self.at_ms);
            }
        }
    }
}
