//! A call that plays one recording and listens for keys: no script, no ear, so that a trunk can be tried by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::codec::{Codec, FRAME, G711};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::rtp::{Stream, StreamConfig, StreamStats};
use aftercall_core::sip::event::{LegEnding, LegEvent, LegOutput, Transfer};
use aftercall_core::sip::leg::Leg;
use aftercall_core::sip::sdp::MediaAnswer;
use aftercall_core::time::Instant;
use anyhow::Context;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::carrier::{Carrier, Received};
use super::config::Trunk;
use super::socket::{self, SipSocket};
use crate::recording::RecordingWriter;

const RTP: Token = Token(1);
const RTCP: Token = Token(2);
const SLOT: Duration = Duration::from_millis(20);
/// How long the answer to our last request is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is to be played, and when the call ends.
pub struct Playback {
    pub samples: Arc<[i16]>,
    /// From the INVITE; `None`: when all is played and sent.
    pub hang_up_after: Option<Duration>,
    /// From the INVITE, whatever is left to play.
    pub longest: Duration,
    /// Sent by RFC 4733 after the recording.
    pub keys: String,
    /// Whom the callee is handed to, and how long after the answer (RFC 3515). When that has worked we hang up.
    pub refer: Option<(String, Duration)>,
    pub recording: Option<RecordingWriter>,
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

/// Places the call and stays with it to its end; `told` hears of each event as it happens.
///
/// # Errors
/// When a socket cannot be had or the password is missing.
pub fn play(
    trunk: &Trunk,
    number: &PhoneNumber,
    order: Playback,
    told: impl FnMut(&LegEvent),
) -> anyhow::Result<Played> {
    let SipSocket { bound, reach } = SipSocket::open(trunk)?;
    let poll = Poll::new()?;
    let tls = socket::tls(trunk, &reach)?;
    let carrier = Carrier::new(bound, tls, poll.registry().try_clone()?)?;
    let (mut rtp, mut rtcp, port) = open_rtp(trunk)?;
    let registry = poll.registry();
    registry.register(&mut rtp, RTP, Interest::READABLE)?;
    registry.register(&mut rtcp, RTCP, Interest::READABLE)?;
    let (mut seed, mut media_seed) = ([0; 32], [0; 12]);
    getrandom::fill(&mut seed)
        .and_then(|()| getrandom::fill(&mut media_seed))
        .map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let config = trunk.leg_config(number, &reach, port, trunk.credentials()?);
    let began = StdInstant::now();
    let line = Line {
        leg: Leg::new(config, seed, Instant::ZERO),
        carrier,
        rtp,
        rtcp,
        remote_rtcp: None,
        rtcp_mux: false,
        srtp: false,
        began,
        media_seed,
        stream: None,
        remote: None,
        sends: true,
        next_slot: None,
        at: 0,
        keys: order.keys.chars().collect(),
        order,
        answered_at: None,
        ended: None,
        codecs: Vec::new(),
        heard: String::new(),
        media_at: None,
        transfer: Vec::new(),
        told,
    };
    line.run(poll)
}

fn open_rtp(trunk: &Trunk) -> anyhow::Result<(UdpSocket, UdpSocket, u16)> {
    let mut ports = trunk.rtp_ports.clone().filter(|port| port % 2 == 0);
    let open = |port| UdpSocket::bind(SocketAddr::new(trunk.bind.ip(), port)).ok();
    let both = |port| Some((open(port)?, open(port + 1)?, port));
    ports.find_map(both).context("no free pair of RTP ports")
}

struct Line<F> {
    leg: Leg,
    carrier: Carrier,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    remote_rtcp: Option<SocketAddr>,
    rtcp_mux: bool,
    srtp: bool,
    began: StdInstant,
    media_seed: [u8; 12],
    stream: Option<Stream>,
    remote: Option<SocketAddr>,
    sends: bool,
    next_slot: Option<Instant>,
    /// Samples played.
    at: usize,
    keys: std::collections::VecDeque<char>,
    order: Playback,
    answered_at: Option<Instant>,
    ended: Option<(LegEnding, Instant)>,
    codecs: Vec<Codec>,
    heard: String,
    media_at: Option<Instant>,
    transfer: Vec<Transfer>,
    told: F,
}

impl<F: FnMut(&LegEvent)> Line<F> {
    fn run(mut self, mut poll: Poll) -> anyhow::Result<Played> {
        let mut events = Events::with_capacity(64);
        self.drain();
        while self.is_open() {
            if let Err(error) = poll.poll(&mut events, Some(self.nap()))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            for event in &events {
                match event.token() {
                    RTP => self.receive_rtp(),
                    RTCP => self.receive_rtcp(),
                    token => self.receive_sip(token),
                }
            }
            self.leg.handle_timeout(self.now());
            self.drain();
            while let Some(due) = self.next_slot.filter(|due| *due <= self.now()) {
                self.next_slot = Some(due + SLOT);
                self.slot()?;
            }
            self.refer();
            if self.is_time() {
                self.leg.hang_up(self.now());
                self.drain();
            }
        }
        let Some((ending, ended_at)) = self.ended else {
            anyhow::bail!("the call did not end");
        };
        if let Some(recording) = self.order.recording {
            recording.finish()?;
        }
        let after = |at: Option<Instant>| at.map(|at| at.since(Instant::ZERO));
        let last_heard = self.stream.as_ref().and_then(Stream::last_received);
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
            first_heard_after: after(self.stream.as_ref().and_then(Stream::first_received)),
            last_heard_after: after(last_heard),
            transfer: self.transfer,
            rtp: self.stream.map(|stream| stream.stats()),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn is_open(&self) -> bool {
        let is_late = |at: Instant| self.now().since(at) > FAREWELL;
        let over = |at| self.leg.is_finished() || (is_late(at) && !self.leg.awaits_transfer());
        !self.ended.as_ref().is_some_and(|(_, at)| over(*at))
    }

    fn nap(&self) -> Duration {
        let leg = self.leg.poll_timeout().map(|(at, _)| at);
        let next = leg.into_iter().chain(self.next_slot).min();
        next.map_or(SLOT, |at| at.since(self.now()).min(SLOT))
    }

    /// All was said, or the time is over.
    fn is_time(&self) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let is_asked = self.order.stop.load(Ordering::Relaxed);
        let is_said = self.answered_at.is_some()
            && self.at >= self.order.samples.len()
            && self.keys.is_empty()
            && self.order.refer.is_none()
            && !self.leg.awaits_transfer()
            && !self.stream.as_ref().is_some_and(Stream::is_pressing);
        is_asked
            || self.began.elapsed() >= self.order.longest
            || match self.order.hang_up_after {
                Some(limit) => self.began.elapsed() >= limit,
                None => is_said,
            }
    }

    /// Hands the callee on, when it is time.
    fn refer(&mut self) {
        let now = self.now();
        let answered_at = self.answered_at;
        let is_due =
            |(_, after): &mut (String, Duration)| answered_at.is_some_and(|at| now >= at + *after);
        if let Some((uri, _)) = self.order.refer.take_if(is_due) {
            self.leg.refer(&uri, now);
            self.drain();
        }
    }

    fn receive_sip(&mut self, token: Token) {
        for Received { datagram, from } in self.carrier.receive(token) {
            self.leg.handle_datagram(&datagram, from, self.now());
            self.drain();
        }
    }

    fn receive_rtp(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = self.rtp.recv_from(&mut buffer) {
            let now = self.now();
            if let Some(stream) = &mut self.stream {
                stream.receive_from(&buffer[..length], from, now);
                self.remote = self.remote.and(stream.target());
            }
        }
    }

    fn receive_rtcp(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((length, _)) = self.rtcp.recv_from(&mut buffer) {
            let now = self.now();
            if let Some(stream) = &mut self.stream {
                stream.receive_report(&buffer[..length], now);
            }
        }
    }

    fn send_rtcp(&mut self, packet: &[u8]) {
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

    fn drain(&mut self) {
        while let Some(output) = self.leg.poll_output() {
            match output {
                LegOutput::Send { bytes, to } => self.carrier.send(&bytes, to),
                LegOutput::Rest { .. } => {}
                LegOutput::Event(event) => {
                    (self.told)(&event);
                    self.happened(event);
                }
            }
        }
    }

    fn happened(&mut self, event: LegEvent) {
        let now = self.now();
        match event {
            LegEvent::Trying | LegEvent::Ringing { .. } => {}
            LegEvent::EarlyMedia(answer) | LegEvent::MediaChanged(answer) => {
                self.set_media(&answer)
            }
            LegEvent::Answered(answer) => {
                self.answered_at = Some(now);
                self.set_media(&answer);
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

    fn set_media(&mut self, answer: &MediaAnswer) {
        self.remote = Some(answer.remote).filter(|to| !to.ip().is_unspecified());
        self.remote_rtcp = Some(answer.rtcp).filter(|to| !to.ip().is_unspecified());
        self.sends = answer.direction.sends();
        self.rtcp_mux = answer.rtcp_mux;
        if !self.codecs.contains(&answer.codec) {
            self.codecs.push(answer.codec);
        }
        let now = self.now();
        self.srtp = answer.srtp.is_some();
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
            stream.set_keys(answer.srtp.map(|srtp| srtp.keys));
            if let Some(remote) = self.remote {
                stream.aim(remote);
                self.remote = stream.target();
            }
        }
        self.next_slot.get_or_insert(now);
    }

    /// 20 ms out, 20 ms in.
    fn slot(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let mut frame = [0; FRAME];
        if self.answered_at.is_some() && self.sends {
            let rest = self.order.samples.get(self.at..).unwrap_or_default();
            let length = rest.len().min(FRAME);
            frame[..length].copy_from_slice(&rest[..length]);
            self.at += FRAME;
            if rest.is_empty()
                && !stream.is_pressing()
                && let Some(key) = self.keys.pop_front()
            {
                stream.press(key);
            }
        }
        let report = stream.report(now);
        let packet = stream.send(&frame);
        let pulled = stream.pull(now).samples;
        self.heard.extend(std::iter::from_fn(|| stream.poll_key()));
        if let Some(to) = self.remote
            && let Err(error) = self.rtp.send_to(&packet, to)
        {
            tracing::debug!(%error, "packet not sent");
        }
        if let Some(report) = report {
            self.send_rtcp(&report);
        }
        if self.answered_at.is_some()
            && let Some(recording) = &mut self.order.recording
        {
            let alaw = |samples: [i16; FRAME]| samples.map(|sample| G711::A.encode(sample));
            recording.append(&alaw(frame), &alaw(pulled))?;
        }
        Ok(())
    }
}
