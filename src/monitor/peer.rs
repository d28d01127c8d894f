//! One browser's connection, by the sans-IO `rtc`: ICE as the lite side (RFC 8445 §2.5), DTLS-SRTP, PCMA both ways.
//!
//! The browser does the checks of ICE, so its own candidates are not needed: they are names that only it can resolve
//! (mDNS), or places that we have no business to probe.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aftercall_core::codec::FRAME;
use mio::Registry;
use mio::net::UdpSocket;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_PCMA, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{
    CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCDtlsTransportState, RTCIceCandidate,
    RTCIceCandidateInit,
};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp;
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::marshal::Marshal;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use tracing::debug;

use super::{ListenError, Seat};

/// The payload type of PCMA (RFC 3551 §6).
const PCMA: u8 = 8;
/// A browser asks whether we still agree every few seconds (RFC 7675 §5.1); one that was silent for so long has gone.
const SILENT: Duration = Duration::from_secs(10);
/// A call gives a frame every 20 ms, also on hold; where none came for so long it has ended.
const OVER: Duration = Duration::from_secs(5);
/// A microphone sends every 20 ms.
const SPEAKS: Duration = Duration::from_secs(1);
const DATAGRAM: usize = 2_048;

/// One listener.
pub(super) struct Peer {
    pub(super) seat: Seat,
    socket: UdpSocket,
    /// Our own place, as the browser was told.
    at: SocketAddr,
    connection: RTCPeerConnection,
    sender: RTCRtpSenderId,
    ssrc: u32,
    next_seq: u16,
    is_connected: bool,
    has_failed: bool,
    /// When the browser was heard last, and the call.
    heard_at: Instant,
    played_at: Instant,
    /// What its microphone has sent, and when last.
    voice: VecDeque<Vec<u8>>,
    spoke_at: Option<Instant>,
}

impl Peer {
    /// A connection as the offer wants it, and our answer.
    pub(super) fn answer(
        seat: Seat,
        offer: &str,
        (socket, at): (UdpSocket, SocketAddr),
        now: Instant,
    ) -> Result<(Peer, String), ListenError> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(refused)?;
        let ssrc = u32::from_ne_bytes(random);
        let (mut connection, sender) = connection(ssrc, now).map_err(refused)?;
        let offer = RTCSessionDescription::offer(without_candidates(offer)).map_err(refused)?;
        connection
            .set_remote_description(now, offer)
            .map_err(refused)?;
        connection
            .add_local_candidate(candidate(at).map_err(refused)?)
            .map_err(refused)?;
        let answer = connection.create_answer(None).map_err(refused)?;
        connection
            .set_local_description(now, answer)
            .map_err(refused)?;
        let answer = connection.local_description().map(|answer| answer.sdp);
        let answer = answer.ok_or_else(|| ListenError::Offer("it has no answer".to_owned()))?;
        if !answer.contains("PCMA/8000") {
            return Err(ListenError::Offer("it does not offer PCMA".to_owned()));
        }
        let peer = Peer {
            seat,
            socket,
            at,
            connection,
            sender,
            ssrc,
            next_seq: 0,
            is_connected: false,
            has_failed: false,
            heard_at: now,
            played_at: now,
            voice: VecDeque::new(),
            spoke_at: None,
        };
        Ok((peer, answer))
    }

    pub(super) fn port(&self) -> u16 {
        self.at.port()
    }

    /// Takes what has come to the socket.
    pub(super) fn receive(&mut self, now: Instant) {
        let mut buffer = [0; DATAGRAM];
        loop {
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    debug!(%error, "a browser's packet");
                    continue;
                }
            };
            let packet = TaggedBytesMut {
                now,
                transport: TransportContext {
                    local_addr: self.at,
                    peer_addr: from,
                    ecn: None,
                    transport_protocol: TransportProtocol::UDP,
                },
                message: buffer[..length].into(),
            };
            match self.connection.handle_read(packet) {
                Ok(()) => self.heard_at = now,
                Err(error) => debug!(%error, "a browser's packet"),
            }
        }
    }

    /// Sends 20 ms of the call. Its place in time is its slot's, so that a lost frame is a gap and no shift.
    pub(super) fn play(&mut self, slot: u64, payload: &[u8; FRAME], now: Instant) {
        self.played_at = now;
        if !self.is_connected {
            return;
        }
        let packet = rtp::Packet {
            header: rtp::Header {
                version: 2,
                payload_type: PCMA,
                sequence_number: self.next_seq,
                // The clock of RTP goes round.
                timestamp: slot.wrapping_mul(FRAME as u64) as u32,
                ssrc: self.ssrc,
                marker: self.next_seq == 0,
                ..rtp::Header::default()
            },
            payload: payload.to_vec().into(),
        };
        self.next_seq = self.next_seq.wrapping_add(1);
        let sent = self
            .connection
            .rtp_sender(self.sender)
            .map(|mut sender| sender.write_rtp(now, packet));
        if let Some(Err(error)) = sent {
            debug!(%error, "a frame for a browser");
        }
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    /// Timers that are due, and what the connection wants sent.
    pub(super) fn go_on(&mut self, now: Instant) {
        if self.connection.poll_timeout().is_some_and(|due| due <= now)
            && let Err(error) = self.connection.handle_timeout(now)
        {
            debug!(%error, "a browser's connection");
        }
        while let Some(event) = self.connection.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.is_connected = state == RTCPeerConnectionState::Connected;
                self.has_failed |= matches!(
                    state,
                    RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed
                );
            }
        }
        while let Some(read) = self.connection.poll_read() {
            if let RTCMessage::RtpPacket(_, packet) = read.message {
                self.spoke_at = Some(now);
                self.voice.extend(plain(&packet));
            }
        }
        let sender = self.connection.rtp_sender(self.sender);
        let is_closed = sender.is_some_and(|sender| {
            let transport = sender.transport();
            transport.is_some_and(|transport| transport.state() == RTCDtlsTransportState::Closed)
        });
        self.has_failed |= is_closed;
        self.send();
    }

    fn send(&mut self) {
        while let Some(packet) = self.connection.poll_write() {
            let to = packet.transport.peer_addr;
            if let Err(error) = self.socket.send_to(&packet.message, to) {
                debug!(%error, "a packet for a browser");
            }
        }
    }

    /// The next packet of the microphone.
    pub(super) fn poll_voice(&mut self) -> Option<Vec<u8>> {
        self.voice.pop_front()
    }

    /// Sound comes from there, be it silence.
    pub(super) fn has_microphone(&self, now: Instant) -> bool {
        let since = |at| now.saturating_duration_since(at);
        self.spoke_at.is_some_and(|at| since(at) < SPEAKS)
    }

    /// Why the connection is over.
    pub(super) fn has_gone(&self, now: Instant) -> Option<&'static str> {
        if self.has_failed {
            Some("the browser closed it")
        } else if now.saturating_duration_since(self.heard_at) > SILENT {
            Some("the browser is silent")
        } else if now.saturating_duration_since(self.played_at) > OVER {
            Some("the call has ended")
        } else {
            None
        }
    }

    /// Says good-bye (DTLS close_notify) and lets the port go.
    pub(super) fn close(mut self, registry: &Registry) {
        if let Err(error) = self.connection.close() {
            debug!(%error, "a browser's connection");
        }
        self.send();
        if let Err(error) = registry.deregister(&mut self.socket) {
            debug!(%error, "a browser's socket");
        }
    }
}

/// One track of PCMA both ways, and nothing else.
fn connection(
    ssrc: u32,
    now: Instant,
) -> Result<(RTCPeerConnection, RTCRtpSenderId), rtc::shared::error::Error> {
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
        payload_type: PCMA,
    };
    codecs.register_codec(offered, RtpCodecKind::Audio)?;
    let settings = SettingEngineBuilder::new()
        .with_lite(true)
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .build();
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_setting_engine(settings)
        .with_media_engine(codecs)
        .build(now)?;
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            ..RTCRtpCodingParameters::default()
        },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    let name = |part: &str| format!("call-{part}");
    let track = MediaStreamTrack::new(
        name("stream"),
        name("track"),
        name("sound"),
        RtpCodecKind::Audio,
        vec![encoding],
    );
    let sender = connection.add_track(track)?;
    Ok((connection, sender))
}

fn candidate(at: SocketAddr) -> Result<RTCIceCandidateInit, rtc::shared::error::Error> {
    let candidate = CandidateHostConfig {
        base_config: CandidateConfig {
            network: "udp".to_owned(),
            address: at.ip().to_string(),
            port: at.port(),
            component: 1,
            ..CandidateConfig::default()
        },
        ..CandidateHostConfig::default()
    };
    RTCIceCandidate::from(&candidate.new_candidate_host()?).to_json()
}

/// The packet as the call's own streams have it: without the extensions that the browser was granted.
fn plain(packet: &rtp::Packet) -> Option<Vec<u8>> {
    let header = rtp::Header {
        extension: false,
        extensions: Vec::new(),
        ..packet.header.clone()
    };
    let payload = packet.payload.clone();
    let plain = rtp::Packet { header, payload };
    plain.marshal().ok().map(|bytes| bytes.to_vec())
}

fn without_candidates(offer: &str) -> String {
    let lines = offer.lines().filter(|line| {
        !line.starts_with("a=candidate:") && !line.starts_with("a=end-of-candidates")
    });
    lines.flat_map(|line| [line, "\r\n"]).collect()
}

fn refused(error: impl std::fmt::Display) -> ListenError {
    ListenError::Offer(error.to_string())
}
