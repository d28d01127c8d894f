//! A browser as WebRTC sees it: offers a track of PCMA, does ICE's checks, hears and speaks. By the crate that serves it,
//! as the full agent where the server is the lite one; Chromium is met in web/tests.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aftercall_core::codec::{FRAME, G711};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_PCMA, MediaEngine};
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsTransportState, RTCIceCandidate,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

const SSRC: u32 = 0x0b0e_0b0e;
const SLOT: Duration = Duration::from_millis(20);

/// What it has heard, and what it is to do.
#[derive(Default)]
struct Shared {
    /// Frames by their place on the sender's clock, in frames from the first.
    heard: Mutex<BTreeMap<u32, Vec<i16>>>,
    /// What is said into the microphone, over and over, while there is any.
    says: Mutex<Vec<i16>>,
    connected: AtomicBool,
    closed: AtomicBool,
    stop: AtomicBool,
}

/// One browser's connection.
pub struct Browser {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    offering: Option<Offering>,
}

struct Offering {
    connection: RTCPeerConnection,
    sender: RTCRtpSenderId,
    socket: UdpSocket,
}

impl Browser {
    /// Its offer's session description.
    pub fn offer() -> (Browser, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let now = Instant::now();
        let codec = RTCRtpCodec {
            mime_type: MIME_TYPE_PCMA.to_owned(),
            clock_rate: 8_000,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: Vec::new(),
        };
        let mut codecs = MediaEngine::default();
        let offered = RTCRtpCodecParameters {
            rtp_codec: codec.clone(),
            payload_type: 8,
        };
        codecs
            .register_codec(offered, RtpCodecKind::Audio)
            .expect("known");
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_media_engine(codecs)
            .build(now)
            .expect("a connection");
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(SSRC),
                ..RTCRtpCodingParameters::default()
            },
            codec,
            ..RTCRtpEncodingParameters::default()
        };
        let [stream, track, label] = ["stream", "track", "label"].map(str::to_owned);
        let track = MediaStreamTrack::new(stream, track, label, RtpCodecKind::Audio, vec![coding]);
        let sender = connection.add_track(track).expect("a sender");
        let at = socket.local_addr().expect("bound");
        let host = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".to_owned(),
                address: at.ip().to_string(),
                port: at.port(),
                component: 1,
                ..CandidateConfig::default()
            },
            ..CandidateHostConfig::default()
        };
        let host = RTCIceCandidate::from(&host.new_candidate_host().expect("a candidate"));
        let host = host.to_json().expect("JSON");
        connection.add_local_candidate(host).expect("taken");
        let offer = connection.create_offer(None).expect("an offer");
        connection.set_local_description(now, offer).expect("taken");
        let offer = connection.local_description().expect("set").sdp;
        let offering = Offering {
            connection,
            sender,
            socket,
        };
        let browser = Browser {
            shared: Arc::default(),
            thread: None,
            offering: Some(offering),
        };
        (browser, offer)
    }

    /// Takes the answer: it connects and goes on by itself.
    pub fn connect(&mut self, answer: &str) {
        let mut offering = self.offering.take().expect("once");
        let answer = RTCSessionDescription::answer(answer.to_owned()).expect("a description");
        let now = Instant::now();
        let taken = offering.connection.set_remote_description(now, answer);
        taken.expect("an answer to our offer");
        let shared = Arc::clone(&self.shared);
        self.thread = Some(std::thread::spawn(move || go_on(offering, &shared)));
    }

    /// The other side has ended it.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// What was heard so far; what did not come is silence.
    pub fn heard(&self) -> Vec<i16> {
        let heard = self.shared.heard.lock().expect("the thread lives");
        let Some((first, last)) = heard
            .first_key_value()
            .map(|(at, _)| *at)
            .zip(heard.last_key_value().map(|(at, _)| *at))
        else {
            return Vec::new();
        };
        let silence = vec![0; FRAME];
        let frames = (first..=last).map(|at| heard.get(&at).unwrap_or(&silence));
        frames.flatten().copied().collect()
    }

    /// From now on this is said over and over; nothing: the microphone is off.
    pub fn say(&self, samples: Vec<i16>) {
        *self.shared.says.lock().expect("the thread lives") = samples;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn go_on(mut offering: Offering, shared: &Shared) {
    let connection = &mut offering.connection;
    let at = offering.socket.local_addr().expect("bound");
    let timeout = Some(Duration::from_millis(2));
    offering.socket.set_read_timeout(timeout).expect("set");
    let mut buffer = [0; 2_048];
    let (mut next, mut spoken, mut seq) = (Instant::now(), 0_usize, 0_u16);
    let mut first = None;
    while !shared.stop.load(Ordering::Relaxed) {
        while let Some(packet) = connection.poll_write() {
            let to = packet.transport.peer_addr;
            offering.socket.send_to(&packet.message, to).ok();
        }
        while let Some(event) = connection.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                let is_connected = state == RTCPeerConnectionState::Connected;
                shared.connected.store(is_connected, Ordering::Relaxed);
            }
        }
        if is_over(connection, offering.sender) {
            shared.closed.store(true, Ordering::Relaxed);
        }
        while let Some(read) = connection.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = read.message {
                let clock = packet.header.timestamp;
                let from = clock.wrapping_sub(*first.get_or_insert(clock)) / FRAME as u32;
                let samples = G711::A.decode_all(&packet.payload);
                let mut heard = shared.heard.lock().expect("ours");
                heard.insert(from, samples);
            }
        }
        let now = Instant::now();
        if connection.poll_timeout().is_some_and(|due| due <= now) {
            connection.handle_timeout(now).ok();
        }
        if now >= next {
            next += SLOT;
            let says = shared.says.lock().expect("ours").clone();
            if !says.is_empty() && shared.connected.load(Ordering::Relaxed) {
                let frame: [i16; FRAME] =
                    std::array::from_fn(|sample| says[(spoken + sample) % says.len()]);
                spoken += FRAME;
                let packet = rtp::Packet {
                    header: rtp::Header {
                        version: 2,
                        payload_type: 8,
                        sequence_number: seq,
                        timestamp: spoken as u32,
                        ssrc: SSRC,
                        ..rtp::Header::default()
                    },
                    payload: G711::A.encode_all(&frame).to_vec().into(),
                };
                seq = seq.wrapping_add(1);
                if let Some(mut sender) = connection.rtp_sender(offering.sender) {
                    sender.write_rtp(now, packet).expect("it is negotiated");
                }
            }
        }
        if let Ok((length, from)) = offering.socket.recv_from(&mut buffer) {
            let packet = TaggedBytesMut {
                now: Instant::now(),
                transport: TransportContext {
                    local_addr: at,
                    peer_addr: from,
                    ecn: None,
                    transport_protocol: TransportProtocol::UDP,
                },
                message: buffer[..length].into(),
            };
            connection.handle_read(packet).ok();
        }
    }
    connection.close().ok();
    while let Some(packet) = connection.poll_write() {
        let to = packet.transport.peer_addr;
        offering.socket.send_to(&packet.message, to).ok();
    }
}

/// The other end has said good-bye.
fn is_over(connection: &mut RTCPeerConnection, sender: RTCRtpSenderId) -> bool {
    let sender = connection.rtp_sender(sender).expect("ours");
    let dtls = sender.transport().map(|transport| transport.state());
    dtls == Some(RTCDtlsTransportState::Closed)
}
