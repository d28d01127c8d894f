//! Session descriptions of a telephone call: a lenient reader, and the offers and answers that we write.
//!
//! RFC 4566/8866 and 3264 as trunks really speak them: `s=` and `t=` may be missing, lines may come in any order
//! and with blanks, session ids may be longer than 64 bits. One audio stream and telephone-event, in the clear, encrypted
//! by SDES (RFC 4568) or by DTLS (RFC 5763), never one for the other; every
//! other m-line is answered with port 0. A host name in `c=` is taken for the host that we signal with: its audio mostly
//! comes from there, and where it does not, the latch finds it. A missing `c=` is read alike.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::crypto::{Crypto, OUR_TAG};
use crate::codec::{Codec, TELEPHONE_EVENT};
use crate::media_key::{Fingerprint, Guard, MediaKeys};

/// One port for RTP and RTCP, where the peer wants it too (RFC 5761 §5.1.1).
const RTCP_MUX: &str = "a=rtcp-mux\r\n";
/// Packet time that our media uses; the peer's `ptime` is a wish of its own.
const OUR_PTIME_MS: u32 = 20;

/// Which way audio may flow, seen from our side (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    fn attribute(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn parse(attribute: &str) -> Option<Direction> {
        match attribute {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// The same stream seen from the other end.
    fn mirrored(self) -> Direction {
        match self {
            Direction::SendRecv => Direction::SendRecv,
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            Direction::Inactive => Direction::Inactive,
        }
    }

    /// May we send?
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// The same direction without our sending, for a peer that gave `c=0.0.0.0` (RFC 3264 §8.4).
    fn muted(self) -> Direction {
        match self {
            Direction::SendRecv | Direction::RecvOnly => Direction::RecvOnly,
            Direction::SendOnly | Direction::Inactive => Direction::Inactive,
        }
    }
}

/// What was agreed for the audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaAnswer {
    /// Where to send RTP.
    pub remote: SocketAddr,
    /// Where to send RTCP: the next port, unless `a=rtcp:` says otherwise (RFC 3605).
    pub rtcp: SocketAddr,
    /// RTCP goes where RTP goes, and from the same port (RFC 5761).
    pub rtcp_mux: bool,
    pub codec: Codec,
    pub payload_type: u8,
    /// The payload type of RFC 4733 keys, where the peer takes them.
    pub telephone_event: Option<u8>,
    /// The stream is encrypted; `tag` is that of the offer's `a=crypto` (RFC 4568).
    pub srtp: Option<Srtp>,
    /// The stream is encrypted once a handshake on it has given the keys (RFC 5763).
    pub dtls: Option<Dtls>,
    /// The packet time that the peer wishes to receive.
    pub ptime_ms: u32,
    /// Seen from our side: `SendOnly` means that we may send and will hear nothing.
    pub direction: Direction,
}

impl MediaAnswer {
    /// Where to send RTCP, where it has a port of its own.
    pub fn rtcp_apart(&self) -> Option<SocketAddr> {
        (!self.rtcp_mux).then_some(self.rtcp)
    }
}

/// An encrypted stream's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Srtp {
    pub tag: u32,
    pub keys: MediaKeys,
}

/// With whom the handshake is made, and who begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtls {
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
    /// We are the client: our `a=setup` is `active` (RFC 4145 §4).
    pub we_connect: bool,
}

/// `a=setup` of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setup {
    Active,
    Passive,
    Either,
}

/// Why a session description cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("the body is no session description")]
    NotSdp,
    #[error("there is no audio stream over RTP/AVP")]
    NoAudio,
    #[error("the audio stream was refused with port 0")]
    Refused,
    #[error("the audio stream has no connection address")]
    NoAddress,
    #[error("no `a=crypto` or `a=fingerprint` line that we can use")]
    NoKey,
    #[error("no codec in common")]
    NoCommonCodec,
}

/// A session description as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdp {
    media: Vec<Media>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Media {
    /// The m-line's own words, repeated where the stream is refused.
    kind: String,
    port: u16,
    protocol: String,
    formats: Vec<String>,
    /// The c-line's address that holds here.
    address: Option<String>,
    /// `a=rtpmap`: payload type, upper-case encoding name, clock rate.
    rtpmaps: Vec<(u8, String, u32)>,
    ptime_ms: Option<u32>,
    /// `a=rtcp:`'s port.
    rtcp: Option<u16>,
    rtcp_mux: bool,
    cryptos: Vec<Crypto>,
    fingerprint: Option<Fingerprint>,
    setup: Option<Setup>,
    direction: Direction,
}

impl Sdp {
    /// Reads a description.
    ///
    /// # Errors
    /// [`SdpError::NotSdp`] where there is not one m-line that can be read.
    pub fn parse(body: &[u8]) -> Result<Sdp, SdpError> {
        let text = String::from_utf8_lossy(body);
        let mut media: Vec<Media> = Vec::new();
        let mut session = Media::unknown();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else {
                continue;
            };
            let value = value.trim();
            if key.trim().eq_ignore_ascii_case("m") {
                media.push(Media::parse(value, &session).ok_or(SdpError::NotSdp)?);
            } else {
                media
                    .last_mut()
                    .unwrap_or(&mut session)
                    .read(key.trim(), value);
            }
        }
        if media.is_empty() {
            Err(SdpError::NotSdp)
        } else {
            Ok(Sdp { media })
        }
    }

    /// What both ends can use, `ours` being the codecs in our order and `keep` the one in use now, if any. Only a
    /// stream that is guarded as our `guard` is can be used. A host name, or no `c=` at all, stands for the address `peer`.
    ///
    /// # Errors
    /// [`SdpError`], saying what is missing.
    pub fn negotiate(
        &self,
        ours: &[Codec],
        keep: Option<Codec>,
        guard: Guard,
        peer: Option<IpAddr>,
    ) -> Result<MediaAnswer, SdpError> {
        let audio = &self.media[self.audio(guard)?];
        if audio.port == 0 {
            return Err(SdpError::Refused);
        }
        let (ip, direction) = audio.connection(peer)?;
        let (mut srtp, mut dtls) = (None, None);
        match guard {
            Guard::Clear => {}
            Guard::Sdes(ours) => {
                let Crypto { tag, key: theirs } = *audio.cryptos.first().ok_or(SdpError::NoKey)?;
                let keys = MediaKeys { ours, theirs };
                srtp = Some(Srtp { tag, keys });
            }
            Guard::Dtls(_) => {
                dtls = Some(Dtls {
                    fingerprint: audio.fingerprint.ok_or(SdpError::NoKey)?,
                    // Who may be either leaves the choice to us; who says nothing connects (RFC 4145 §4).
                    we_connect: matches!(audio.setup, Some(Setup::Passive | Setup::Either)),
                });
            }
        }
        let common: Vec<(Codec, u8)> = audio
            .payload_types()
            .filter_map(|pt| Some((audio.codec(pt)?, pt)))
            .filter(|(codec, _)| ours.contains(codec))
            .collect();
        let kept = common.iter().find(|(codec, _)| Some(*codec) == keep);
        let (codec, payload_type) = *kept.or(common.first()).ok_or(SdpError::NoCommonCodec)?;
        let rtcp_port = match audio.rtcp {
            _ if audio.rtcp_mux => audio.port,
            Some(port) => port,
            None => audio.port.saturating_add(1),
        };
        Ok(MediaAnswer {
            remote: SocketAddr::new(ip, audio.port),
            rtcp: SocketAddr::new(ip, rtcp_port),
            rtcp_mux: audio.rtcp_mux,
            codec,
            payload_type,
            telephone_event: audio.telephone_event(),
            srtp,
            dtls,
            ptime_ms: audio
                .ptime_ms
                .filter(|ms| (10..=200).contains(ms))
                .unwrap_or(OUR_PTIME_MS),
            direction,
        })
    }

    /// No stream of any kind is open.
    pub fn is_closed(&self) -> bool {
        self.media.iter().all(|media| media.port == 0)
    }

    fn audio(&self, guard: Guard) -> Result<usize, SdpError> {
        let is_audio = |media: &Media| media.is_audio(guard);
        let usable = |media: &Media| is_audio(media) && media.port != 0;
        self.media
            .iter()
            .position(usable)
            .or_else(|| self.media.iter().position(is_audio))
            .ok_or(SdpError::NoAudio)
    }
}

impl Media {
    fn unknown() -> Media {
        Media {
            kind: String::new(),
            port: 0,
            protocol: String::new(),
            formats: Vec::new(),
            address: None,
            rtpmaps: Vec::new(),
            ptime_ms: None,
            rtcp: None,
            rtcp_mux: false,
            cryptos: Vec::new(),
            fingerprint: None,
            setup: None,
            direction: Direction::SendRecv,
        }
    }

    /// An m-line; what the session said above it holds until the stream says otherwise.
    fn parse(value: &str, session: &Media) -> Option<Media> {
        let mut words = value.split_whitespace();
        let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
        Some(Media {
            kind: kind.to_ascii_lowercase(),
            port: port.split('/').next()?.parse().ok()?,
            protocol: protocol.to_owned(),
            formats: words.map(str::to_owned).collect(),
            ..session.clone()
        })
    }

    /// A line below the session or the m-line; what is not understood is passed over (RFC 8866 §5).
    fn read(&mut self, key: &str, value: &str) {
        match key {
            "c" => self.address = value.split_whitespace().nth(2).map(str::to_owned),
            "a" => self.read_attribute(value),
            _ => {}
        }
    }

    fn read_attribute(&mut self, attribute: &str) {
        if let Some(direction) = Direction::parse(attribute) {
            self.direction = direction;
        } else if let Some(value) = attribute.strip_prefix("ptime:") {
            self.ptime_ms = value.trim().parse().ok();
        } else if let Some(value) = attribute.strip_prefix("crypto:") {
            self.cryptos.extend(Crypto::parse(value));
        } else if let Some(value) = attribute.strip_prefix("fingerprint:") {
            self.fingerprint = Fingerprint::parse(value).or(self.fingerprint);
        } else if let Some(value) = attribute.strip_prefix("setup:") {
            self.setup = match value.trim().to_ascii_lowercase().as_str() {
                "active" => Some(Setup::Active),
                "passive" => Some(Setup::Passive),
                "actpass" => Some(Setup::Either),
                _ => None,
            };
        } else if attribute == "rtcp-mux" {
            self.rtcp_mux = true;
        } else if let Some(value) = attribute.strip_prefix("rtcp:") {
            let port = value.split_whitespace().next().unwrap_or_default();
            self.rtcp = port.parse().ok().filter(|port| *port != 0);
        } else if let Some((pt, encoding)) = attribute
            .strip_prefix("rtpmap:")
            .and_then(|value| value.trim().split_once(char::is_whitespace))
        {
            let mut parts = encoding.trim().split('/');
            let name = parts.next().unwrap_or_default().trim().to_ascii_uppercase();
            let rate = parts
                .next()
                .and_then(|rate| rate.trim().parse().ok())
                .unwrap_or(8_000);
            if let Ok(pt) = pt.parse() {
                self.rtpmaps.push((pt, name, rate));
            }
        }
    }

    /// Its m-line, refused (RFC 3264 §6).
    fn closed(&self) -> String {
        let formats = if self.formats.is_empty() {
            "0".to_owned()
        } else {
            self.formats.join(" ")
        };
        format!("m={} 0 {} {formats}\r\n", self.kind, self.protocol)
    }

    fn is_audio(&self, guard: Guard) -> bool {
        let known: &[&str] = match guard {
            Guard::Clear => &["RTP/AVP", "RTP/AVPF"],
            Guard::Sdes(_) => &["RTP/SAVP", "RTP/SAVPF"],
            // Older ends leave out what carries it (RFC 8842 §5.5).
            Guard::Dtls(_) => &[
                "UDP/TLS/RTP/SAVP",
                "UDP/TLS/RTP/SAVPF",
                "RTP/SAVP",
                "RTP/SAVPF",
            ],
        };
        self.kind == "audio"
            && known
                .iter()
                .any(|known| self.protocol.eq_ignore_ascii_case(known))
    }

    fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats
            .iter()
            .filter_map(|format| format.parse().ok())
            .filter(|&pt| pt < 128)
    }

    fn mapped(&self, payload_type: u8) -> Option<&(u8, String, u32)> {
        self.rtpmaps.iter().find(|(pt, _, _)| *pt == payload_type)
    }

    /// By `a=rtpmap`, else by the static table (RFC 3551 §6).
    fn codec(&self, payload_type: u8) -> Option<Codec> {
        match self.mapped(payload_type) {
            Some((_, name, 8_000)) => Codec::parse(name),
            Some(_) => None,
            None => Codec::of_payload_type(payload_type),
        }
    }

    /// The telephone-event that has our clock (RFC 4733 §2.1: the rate of the audio it goes with).
    fn telephone_event(&self) -> Option<u8> {
        self.payload_types().find(
            |&pt| matches!(self.mapped(pt), Some((_, name, 8_000)) if name == "TELEPHONE-EVENT"),
        )
    }

    fn connection(&self, peer: Option<IpAddr>) -> Result<(IpAddr, Direction), SdpError> {
        let address = self.address.as_deref().unwrap_or_default();
        let host = address.split('/').next().unwrap_or_default();
        let ip = host.parse().ok().or(peer).ok_or(SdpError::NoAddress)?;
        let ours = self.direction.mirrored();
        Ok((
            ip,
            if ip.is_unspecified() {
                ours.muted()
            } else {
                ours
            },
        ))
    }
}

/// Our end of the session: address and codecs, and the o-line that RFC 3264 §8 wants counted up.
#[derive(Clone, Debug)]
pub struct LocalMedia {
    host: IpAddr,
    port: u16,
    codecs: Vec<Codec>,
    guard: Guard,
    /// Where the other end's signalling is.
    peer: Option<IpAddr>,
    /// Who began the handshake of the stream, once that is agreed on: a later offer changes it not (RFC 8842 §5.5).
    connects: Option<bool>,
    session_id: u32,
    version: u64,
    /// What we last sent below the o-line, and the whole of it.
    last: String,
    text: String,
}

impl LocalMedia {
    pub fn new(
        host: IpAddr,
        port: u16,
        codecs: Vec<Codec>,
        guard: Guard,
        session_id: u32,
    ) -> LocalMedia {
        LocalMedia {
            host,
            port,
            codecs,
            guard,
            peer: None,
            connects: None,
            session_id,
            version: 1,
            last: String::new(),
            text: String::new(),
        }
    }

    /// The other end's signalling is at this address now.
    pub fn face(&mut self, peer: IpAddr) {
        self.peer = Some(peer);
    }

    /// What we can use of the peer's offer.
    ///
    /// # Errors
    /// [`SdpError`], saying what is missing.
    pub fn read_offer(&self, offer: &Sdp, keep: Option<Codec>) -> Result<MediaAnswer, SdpError> {
        let mut agreed = offer.negotiate(&self.codecs, keep, self.guard, self.peer)?;
        let setup = offer.media[offer.audio(self.guard)?].setup;
        if let (Some(dtls), Some(Setup::Either), Some(connects)) =
            (&mut agreed.dtls, setup, self.connects)
        {
            dtls.we_connect = connects;
        }
        Ok(agreed)
    }

    /// Takes note of what both ends have agreed on.
    pub fn settle(&mut self, agreed: &MediaAnswer) {
        self.connects = agreed.dtls.map(|dtls| dtls.we_connect).or(self.connects);
    }

    /// Reads the peer's answer to our offer.
    ///
    /// # Errors
    /// [`SdpError`], saying what is missing.
    pub fn read_answer(&self, body: &[u8], keep: Option<Codec>) -> Result<MediaAnswer, SdpError> {
        let answer = self.read_offer(&Sdp::parse(body)?, keep)?;
        match answer.srtp {
            // The tag says which line was taken, and ours has but one (RFC 4568 §5.1.2).
            Some(srtp) if srtp.tag != OUR_TAG => Err(SdpError::NoKey),
            Some(_) | None => Ok(answer),
        }
    }

    /// An offer of all our codecs and telephone-event.
    pub fn offer(&mut self, direction: Direction) -> Vec<u8> {
        let mut payloads: Vec<(Codec, u8)> = Vec::new();
        for &codec in &self.codecs {
            payloads.push((codec, codec.payload_type()));
        }
        let protocol = match self.guard {
            Guard::Clear => "RTP/AVP",
            Guard::Sdes(_) => "RTP/SAVP",
            Guard::Dtls(_) => "UDP/TLS/RTP/SAVP",
        };
        let event = Some(TELEPHONE_EVENT);
        let mut body = audio_section(self.port, protocol, &payloads, event, direction);
        match self.guard {
            Guard::Clear => {}
            Guard::Sdes(key) => body.push_str(&Crypto { tag: OUR_TAG, key }.line()),
            Guard::Dtls(ours) => body.push_str(&dtls_lines(ours, "actpass")),
        }
        body.push_str(RTCP_MUX);
        self.finish(body)
    }

    /// The answer to `offer`, of which `agreed` was negotiated: as many m-lines as the offer has (RFC 3264 §6).
    pub fn answer(&mut self, offer: &Sdp, agreed: &MediaAnswer) -> Vec<u8> {
        let audio = offer.audio(self.guard).ok();
        let mut body = String::new();
        for (index, media) in offer.media.iter().enumerate() {
            if Some(index) == audio {
                let payloads = [(agreed.codec, agreed.payload_type)];
                body.push_str(&audio_section(
                    self.port,
                    &media.protocol,
                    &payloads,
                    agreed.telephone_event,
                    agreed.direction,
                ));
                if let Some(Srtp { tag, keys }) = agreed.srtp {
                    let key = keys.ours;
                    body.push_str(&Crypto { tag, key }.line());
                }
                if let (Some(dtls), Guard::Dtls(ours)) = (agreed.dtls, self.guard) {
                    let setup = if dtls.we_connect { "active" } else { "passive" };
                    body.push_str(&dtls_lines(ours, setup));
                }
                if agreed.rtcp_mux {
                    body.push_str(RTCP_MUX);
                }
            } else {
                body.push_str(&media.closed());
            }
        }
        self.finish(body)
    }

    /// The answer to an offer in which no stream is open.
    pub fn answer_closed(&mut self, offer: &Sdp) -> Vec<u8> {
        let body = offer.media.iter().map(Media::closed).collect();
        self.finish(body)
    }

    /// Puts the session lines on top; the version rises only when something changed.
    fn finish(&mut self, body: String) -> Vec<u8> {
        if !self.last.is_empty() && self.last != body {
            self.version += 1;
        }
        let family = if self.host.is_ipv4() { "IP4" } else { "IP6" };
        let Self {
            host,
            session_id,
            version,
            ..
        } = self;
        let text = format!(
            "v=0\r\no=- {session_id} {version} IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n{body}"
        );
        self.last = body;
        self.text.clone_from(&text);
        text.into_bytes()
    }

    /// What we said last, for a session refresh: same version, nothing to negotiate (RFC 4028 §7.4).
    pub fn again(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }
}

fn dtls_lines(ours: Fingerprint, setup: &str) -> String {
    format!("a=fingerprint:{ours}\r\na=setup:{setup}\r\n")
}

fn audio_section(
    port: u16,
    protocol: &str,
    payloads: &[(Codec, u8)],
    event: Option<u8>,
    direction: Direction,
) -> String {
    let mut formats = String::new();
    let mut maps = String::new();
    for (codec, pt) in payloads {
        formats.push_str(&format!(" {pt}"));
        maps.push_str(&format!("a=rtpmap:{pt} {codec}/8000\r\n"));
    }
    if let Some(pt) = event {
        formats.push_str(&format!(" {pt}"));
        maps.push_str(&format!(
            "a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-15\r\n"
        ));
    }
    let direction = direction.attribute();
    format!(
        "m=audio {port} {protocol}{formats}\r\n{maps}a=ptime:{OUR_PTIME_MS}\r\na={direction}\r\n"
    )
}
