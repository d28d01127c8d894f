//! RTP both ways for one call (RFC 3550, RFC 3551, RFC 4733): datagrams in, exactly 20 ms of audio out on
//! every slot, and the other way round.
//!
//! Sans-IO: `now` comes as a parameter; sockets, pacing and the peer's address belong to the shell. Sending
//! keeps one SSRC and one unbroken line of timestamps for the whole call, whatever is sent (telephony.md trap 17).

pub mod conceal;
pub mod dtmf;
mod g722;
pub mod jitter;
mod latch;
pub mod packet;
pub mod rtcp;
mod secure;
pub mod sequence;

use self::rtcp::{PeerView, Reception, Rtcp, Sending};
use crate::attempt::{FarFigures, RtpFigures};
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

use self::dtmf::{KeyReceiver, KeySender};
use self::g722::G722;
use self::jitter::JitterBuffer;
use self::latch::Latch;
use self::packet::{Header, Packet};
use self::secure::Secure;
use self::sequence::{Order, Sequence};
use crate::codec::{Codec, FRAME, TELEPHONE_EVENT};
use crate::media_key::MediaKeys;

/// Comfort noise (RFC 3389), payload type 13 by RFC 3551 §6.
const COMFORT_NOISE: u8 = 13;
/// The longest packet we decode: 200 ms.
const MAX_PAYLOAD: usize = 1_600;

/// What was negotiated, and where our own line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    pub codec: Codec,
    pub payload_type: u8,
    /// The payload type of `telephone-event/8000`, if the peer takes it.
    pub telephone_event: Option<u8>,
    pub ssrc: u32,
    pub first_seq: u16,
    pub first_timestamp: u32,
}

/// Where a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Received, for the greater part.
    Voice,
    /// Lost, and made up from what went before.
    Concealed,
    /// The sender was silent, or nothing has come for longer than concealment lasts.
    Silence,
    /// Nothing has been played yet.
    Waiting,
}

/// Twenty milliseconds of the peer's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub samples: [i16; FRAME],
    pub kind: FrameKind,
}

impl StreamStats {
    /// What of it stands in a call's record.
    pub fn figures(&self) -> RtpFigures {
        RtpFigures {
            sent: self.sent,
            received: self.received,
            lost: self.lost,
            late: self.late,
            duplicates: self.duplicates,
            concealed: self.concealed,
            jitter_ms: self.jitter_ms,
            far: FarFigures {
                reports: self.far.reports,
                lost: self.far.lost,
                jitter_ms: self.far.jitter_ms,
                round_trip_ms: self.far.round_trip.map(|time| time.as_secs_f64() * 1_000.0),
            },
        }
    }
}

impl Pulled {
    /// A frame of nothing.
    pub fn silence(kind: FrameKind) -> Pulled {
        Pulled {
            samples: [0; FRAME],
            kind,
        }
    }
}

/// Counts since the call began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamStats {
    pub sent: u64,
    /// Packets of the peer's line, each counted once.
    pub received: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    pub duplicates: u64,
    /// Packets of a payload type that was not negotiated.
    pub foreign: u64,
    /// Datagrams that are not RTP, or whose source was not trusted.
    pub malformed: u64,
    /// Frames made up for missing speech, and frames inserted or dropped for the clocks' sake.
    pub concealed: u64,
    pub inserted: u64,
    pub dropped: u64,
    /// Times that the peer began another line: a new SSRC, or a jump.
    pub restarts: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter_ms: f32,
    /// Audio waiting to be played.
    pub depth_ms: u32,
    /// What the peer says of our packets.
    pub far: PeerView,
}

/// One call's RTP.
#[derive(Debug)]
pub struct Stream {
    config: StreamConfig,
    next_seq: u16,
    next_timestamp: u32,
    /// The next packet begins a talk spurt: the first one, and the one after a skip (RFC 3551 §4.1).
    marks: bool,
    key_sender: KeySender,
    peer: Option<Peer>,
    candidate: Option<Candidate>,
    buffer: JitterBuffer,
    key_receiver: KeyReceiver,
    keys: VecDeque<char>,
    first_received: Option<Instant>,
    last_received: Option<Instant>,
    /// Bytes of payload sent.
    octets: u32,
    rtcp: Rtcp,
    secrecy: Secrecy,
    /// Of reports on a port of their own, where a handshake on that port gives its keys; `None`: as the audio.
    reports: Option<Secrecy>,
    /// Where the peer is; `None`: whoever sends is believed, and the owner knows where to send.
    latch: Option<Latch>,
    /// Where it was ever agreed on.
    g722: Option<Box<G722>>,
    stats: StreamStats,
}

/// How the stream is protected.
#[derive(Debug)]
enum Secrecy {
    Clear,
    /// It will be encrypted; until the keys are there nothing is sent and nothing is believed.
    Awaited,
    Encrypted(Box<Secure>),
}

#[derive(Clone, Debug)]
struct Peer {
    ssrc: u32,
    sequence: Sequence,
}

/// A packet that may begin another line; the next of its kind proves it (RFC 3550 §A.1).
#[derive(Clone, Debug)]
struct Candidate {
    header: Header,
    payload: Vec<u8>,
}

impl Stream {
    /// Begins a call's stream. Nothing is sent until [`Stream::send`].
    pub fn new(config: StreamConfig) -> Stream {
        Stream {
            config,
            next_seq: config.first_seq,
            next_timestamp: config.first_timestamp,
            marks: true,
            key_sender: KeySender::default(),
            peer: None,
            candidate: None,
            buffer: JitterBuffer::default(),
            key_receiver: KeyReceiver::default(),
            keys: VecDeque::new(),
            first_received: None,
            last_received: None,
            octets: 0,
            rtcp: Rtcp::default(),
            secrecy: Secrecy::Clear,
            reports: None,
            latch: None,
            g722: None,
            stats: StreamStats::default(),
        }
    }

    /// Plays the peer after a fixed delay of whole frames instead of 40–60 ms: fewer packets are late.
    pub fn with_delay(mut self, frames: u8) -> Stream {
        self.buffer = JitterBuffer::with_delay(frames);
        self
    }

    /// Goes on with what was negotiated anew: 183 and then 200, or a re-INVITE. Our SSRC and timestamps go on.
    pub fn retarget(&mut self, codec: Codec, payload_type: u8, telephone_event: Option<u8>) {
        self.config.codec = codec;
        self.config.payload_type = payload_type;
        self.config.telephone_event = telephone_event;
    }

    /// Encrypts from now on, with these keys; `None`: no longer.
    pub fn set_keys(&mut self, keys: Option<MediaKeys>) {
        match (&mut self.secrecy, keys) {
            (Secrecy::Encrypted(secure), Some(keys)) => secure.renew(keys),
            (Secrecy::Clear | Secrecy::Awaited, Some(keys)) => {
                self.secrecy = Secrecy::Encrypted(Box::new(Secure::new(keys)));
            }
            (_, None) => (self.secrecy, self.reports) = (Secrecy::Clear, None),
        }
    }

    /// Reports go on with these keys, which are not the audio's.
    pub fn set_report_keys(&mut self, keys: MediaKeys) {
        self.reports = Some(Secrecy::Encrypted(Box::new(Secure::new(keys))));
    }

    /// Falls silent and deaf until [`Stream::set_keys`]: a handshake is to give the keys; where reports have a port of
    /// their own, they wait for [`Stream::set_report_keys`] (RFC 5764 §3).
    pub fn await_keys(&mut self, reports_apart: bool) {
        self.secrecy = Secrecy::Awaited;
        self.reports = reports_apart.then_some(Secrecy::Awaited);
    }

    /// Whether nothing can be said or heard yet.
    pub fn awaits_keys(&self) -> bool {
        matches!(self.secrecy, Secrecy::Awaited)
    }

    /// The peer's place as its description names it; from now on only who is believed to be there is heard.
    pub fn aim(&mut self, described: SocketAddr) {
        match &mut self.latch {
            Some(latch) => latch.describe(described),
            None => self.latch = Some(Latch::new(described)),
        }
    }

    /// Where to send.
    pub fn target(&self) -> Option<SocketAddr> {
        self.latch.map(|latch| latch.target())
    }

    /// [`Stream::receive_from`] whoever sent it.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) {
        self.take(datagram, None, now);
    }

    /// Takes a datagram. Whatever it is, the call goes on: nonsense is counted.
    pub fn receive_from(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        self.take(datagram, Some(from), now);
    }

    fn take(&mut self, datagram: &[u8], from: Option<SocketAddr>, now: Instant) {
        let opened;
        let mut datagram = datagram;
        match &mut self.secrecy {
            Secrecy::Clear => {}
            // The peer may be quicker with its keys than we are.
            Secrecy::Awaited => return,
            Secrecy::Encrypted(_) if is_report(datagram) => {}
            Secrecy::Encrypted(secure) => {
                let Some(plain) = secure.open(datagram) else {
                    self.stats.malformed += 1;
                    return;
                };
                opened = plain;
                datagram = &opened;
            }
        }
        let Some(packet) = Packet::parse(datagram) else {
            // A peer that sends its reports on this port, though we did not agree on that (RFC 5761).
            if !self.receive_report(datagram, now) {
                self.stats.malformed += 1;
            }
            return;
        };
        if self.meaning(packet.header.payload_type).is_none() {
            self.stats.foreign += 1;
            return;
        }
        if let (Some(latch), Some(from)) = (&mut self.latch, from)
            && !latch.admits(from, &packet.header)
        {
            self.stats.malformed += 1;
            return;
        }
        if self.peer.is_none() {
            self.begin(&packet, now);
            return;
        }
        match self.judge(&packet.header) {
            Order::Duplicate => self.stats.duplicates += 1,
            Order::Wild => self.consider(&packet, now),
            order @ (Order::Next | Order::Ahead | Order::Filler) => {
                self.candidate = None;
                self.accept(&packet, order, now);
            }
        }
    }

    /// Encodes one frame into one packet (empty where it may not be sent yet), exactly one 20 ms slot further; while a key is pressed the packet is
    /// its event instead.
    pub fn send(&mut self, frame: &[i16; FRAME]) -> Vec<u8> {
        let encoded = match self.config.codec.g711() {
            Some(law) => law.encode_all(frame),
            None => self.g722().encode(frame),
        };
        self.send_encoded(&encoded)
    }

    /// Sends a frame that is encoded already, as prompts are.
    pub fn send_encoded(&mut self, frame: &[u8]) -> Vec<u8> {
        let packet = self.packet(frame);
        match &mut self.secrecy {
            Secrecy::Clear => packet,
            // Nothing goes out in the clear: what cannot be encrypted is lost.
            Secrecy::Awaited => Vec::new(),
            Secrecy::Encrypted(secure) => secure.seal(&packet).unwrap_or_default(),
        }
    }

    fn packet(&mut self, frame: &[u8]) -> Vec<u8> {
        let event = match self.config.telephone_event {
            Some(payload_type) => self.key_sender.next_slot().map(|slot| (payload_type, slot)),
            None => None,
        };
        let mut header = Header {
            marker: self.marks,
            payload_type: self.config.payload_type,
            seq: self.next_seq,
            timestamp: self.next_timestamp,
            ssrc: self.config.ssrc,
        };
        self.marks = false;
        self.next_seq = self.next_seq.wrapping_add(1);
        self.next_timestamp = self.next_timestamp.wrapping_add(FRAME as u32);
        self.stats.sent += 1;
        self.octets = self.octets.wrapping_add(frame.len() as u32);
        let Some((payload_type, slot)) = event else {
            return header.with_payload(frame);
        };
        let back = u32::from(slot.slots_back) * FRAME as u32;
        header.payload_type = payload_type;
        header.marker = slot.is_first;
        header.timestamp = header.timestamp.wrapping_sub(back);
        header.with_payload(&slot.payload)
    }

    /// Takes an RTCP packet; false where it is none.
    pub fn receive_report(&mut self, datagram: &[u8], now: Instant) -> bool {
        let opened;
        let mut datagram = datagram;
        match self.reports.as_mut().unwrap_or(&mut self.secrecy) {
            Secrecy::Clear => {}
            Secrecy::Awaited => return false,
            Secrecy::Encrypted(secure) => {
                let Some(plain) = secure.open_report(datagram) else {
                    return false;
                };
                opened = plain;
                datagram = &opened;
            }
        }
        self.rtcp.receive(datagram, self.config.ssrc, now)
    }

    /// Our own RTCP report, when one is due.
    pub fn report(&mut self, now: Instant) -> Option<Vec<u8>> {
        let report = self.rtcp.poll(self.sending(), self.reception(), now)?;
        Some(self.sealed_report(report))
    }

    /// The last RTCP packet of the stream.
    pub fn goodbye(&mut self, now: Instant) -> Vec<u8> {
        let report = self.rtcp.goodbye(self.sending(), self.reception(), now);
        self.sealed_report(report)
    }

    fn sealed_report(&mut self, report: Vec<u8>) -> Vec<u8> {
        match self.reports.as_mut().unwrap_or(&mut self.secrecy) {
            Secrecy::Clear => report,
            Secrecy::Awaited => Vec::new(),
            Secrecy::Encrypted(secure) => secure.seal_report(&report).unwrap_or_default(),
        }
    }

    fn sending(&self) -> Sending {
        Sending {
            ssrc: self.config.ssrc,
            timestamp: self.next_timestamp,
            packets: self.stats.sent as u32,
            octets: self.octets,
        }
    }

    fn reception(&self) -> Option<Reception> {
        let Peer { ssrc, sequence } = self.peer.as_ref()?;
        Some(Reception {
            ssrc: *ssrc,
            highest: sequence.highest(),
            expected: sequence.received() + sequence.lost(),
            received: sequence.received(),
            jitter_ticks: self.buffer.jitter_ticks(),
        })
    }

    /// Passes over slots in which nothing could be sent: the timestamp moves, the sequence does not.
    pub fn skip(&mut self, slots: u32) {
        self.next_timestamp = self
            .next_timestamp
            .wrapping_add(slots.wrapping_mul(FRAME as u32));
        self.marks |= slots > 0;
    }

    /// Presses a key: the next slots carry its event. `false` when the peer takes no events, or it is no key.
    pub fn press(&mut self, key: char) -> bool {
        self.config.telephone_event.is_some() && self.key_sender.press(key)
    }

    /// Whether a pressed key is still being sent.
    pub fn is_pressing(&self) -> bool {
        self.key_sender.is_busy()
    }

    /// The next 20 ms of the peer's timeline; called once for each 20 ms slot.
    pub fn pull(&mut self, _now: Instant) -> Pulled {
        self.buffer.pull()
    }

    /// The next key that the peer pressed, each once.
    pub fn poll_key(&mut self) -> Option<char> {
        self.keys.pop_front()
    }

    /// When the peer's line was first heard of.
    pub fn first_received(&self) -> Option<Instant> {
        self.first_received
    }

    /// When the peer's line was last heard of: audio, comfort noise or a key.
    pub fn last_received(&self) -> Option<Instant> {
        self.last_received
    }

    /// Counts and measures so far.
    pub fn stats(&self) -> StreamStats {
        let counts = self.buffer.counts;
        let (received, lost) = self.peer.as_ref().map_or((0, 0), |peer| {
            (peer.sequence.received(), peer.sequence.lost())
        });
        StreamStats {
            received: self.stats.received + received,
            lost: self.stats.lost + lost,
            late: counts.late,
            concealed: counts.concealed,
            inserted: counts.inserted,
            dropped: counts.dropped,
            restarts: counts.restarts,
            jitter_ms: self.buffer.jitter_ms(),
            depth_ms: self.buffer.depth_ms(),
            far: self.rtcp.view(),
            ..self.stats
        }
    }

    fn judge(&self, header: &Header) -> Order {
        let Some(peer) = self.peer.as_ref().filter(|peer| peer.ssrc == header.ssrc) else {
            return Order::Wild;
        };
        match peer.sequence.judge(header.seq) {
            order @ (Order::Duplicate | Order::Wild) => order,
            order @ (Order::Next | Order::Ahead | Order::Filler) => {
                let is_event = self.meaning(header.payload_type) == Some(Meaning::Key);
                // Relays set strange timestamps on events; their sequence numbers are enough.
                if is_event || self.buffer.is_on_line(header.timestamp) {
                    order
                } else {
                    Order::Wild
                }
            }
        }
    }

    /// A packet from elsewhere: only with a second one right behind it does the line change.
    fn consider(&mut self, packet: &Packet<'_>, now: Instant) {
        let is_proof = self.candidate.as_ref().is_some_and(|candidate| {
            let before = &candidate.header;
            before.ssrc == packet.header.ssrc && before.seq.wrapping_add(1) == packet.header.seq
        });
        let held = self.candidate.replace(Candidate {
            header: packet.header,
            payload: packet.payload.to_vec(),
        });
        let (true, Some(held)) = (is_proof, held) else {
            return;
        };
        self.candidate = None;
        self.close_line();
        self.begin(
            &Packet {
                header: held.header,
                payload: &held.payload,
            },
            now,
        );
        self.receive_proof(packet, now);
    }

    fn receive_proof(&mut self, packet: &Packet<'_>, now: Instant) {
        let order = self.judge(&packet.header);
        if matches!(order, Order::Next) {
            self.accept(packet, order, now);
        }
    }

    fn close_line(&mut self) {
        if let Some(peer) = self.peer.take() {
            self.stats.received += peer.sequence.received();
            self.stats.lost += peer.sequence.lost();
        }
        self.buffer.restart();
        self.key_receiver.reset();
    }

    fn begin(&mut self, packet: &Packet<'_>, now: Instant) {
        self.peer = Some(Peer {
            ssrc: packet.header.ssrc,
            sequence: Sequence::new(packet.header.seq),
        });
        self.play(packet, false, now);
    }

    fn accept(&mut self, packet: &Packet<'_>, order: Order, now: Instant) {
        if let Some(peer) = &mut self.peer {
            peer.sequence.take(packet.header.seq);
        }
        self.play(packet, order == Order::Next, now);
    }

    fn play(&mut self, packet: &Packet<'_>, is_next: bool, now: Instant) {
        self.first_received.get_or_insert(now);
        self.last_received = Some(now);
        let Header {
            timestamp, marker, ..
        } = packet.header;
        match self.meaning(packet.header.payload_type) {
            Some(Meaning::Audio(codec)) if packet.payload.len() <= MAX_PAYLOAD => {
                let samples = match codec.g711() {
                    Some(law) => law.decode_all(packet.payload),
                    None => self.g722().decode(packet.payload),
                };
                if samples.is_empty() {
                    return;
                }
                self.buffer.arrived(timestamp, now);
                self.buffer.audio(timestamp, samples, is_next, marker);
            }
            Some(Meaning::Audio(_)) => self.stats.malformed += 1,
            Some(Meaning::ComfortNoise) => self.buffer.quiet(timestamp),
            Some(Meaning::Key) => {
                self.buffer.quiet(timestamp);
                let key = self.key_receiver.receive(packet.payload, timestamp, now);
                self.keys.extend(key);
            }
            None => self.stats.foreign += 1,
        }
    }

    fn g722(&mut self) -> &mut G722 {
        self.g722.get_or_insert_with(|| Box::new(G722::new()))
    }

    /// What a payload type carries. Our codecs are taken by their static numbers too, because a peer may switch between all
    /// that it answered without a word, and keys by the number of our offer: what it answered is where it wants ours (RFC 3264
    /// §6.1), and some answer none and send keys all the same. All else is foreign.
    fn meaning(&self, payload_type: u8) -> Option<Meaning> {
        if payload_type == self.config.payload_type {
            return Some(Meaning::Audio(self.config.codec));
        }
        if [self.config.telephone_event, Some(TELEPHONE_EVENT)].contains(&Some(payload_type)) {
            return Some(Meaning::Key);
        }
        if payload_type == COMFORT_NOISE {
            return Some(Meaning::ComfortNoise);
        }
        Codec::of_payload_type(payload_type).map(Meaning::Audio)
    }
}

/// RTCP on the port of RTP (RFC 5761 §4); both have this byte in the clear.
fn is_report(datagram: &[u8]) -> bool {
    matches!(datagram.get(1), Some(192..=223))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Audio(Codec),
    Key,
    ComfortNoise,
}

#[cfg(test)]
mod tests;
