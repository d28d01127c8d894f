//! What a leg is told at its birth and what it tells: configuration, events, the way it ended, its timers' names.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::digest::Credentials;
use super::sdp::MediaAnswer;
use crate::codec::Codec;
use crate::media_key::Fingerprint;

/// How long a target may keep silent before the next one is tried: Timer B's 32 s is too long for that.
pub const FIRST_ANSWER_LIMIT: Duration = Duration::from_secs(6);

/// How SIP travels (RFC 3261 §18): over UDP a request is repeated, a stream does that by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// The name in a Via.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// What a URI says of it: nothing means UDP (RFC 3263 §4.1).
    pub fn uri_parameter(self) -> &'static str {
        match self {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        }
    }

    pub fn is_stream(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        }
    }
}

/// A place that the INVITE can be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// `sip:+8613800138000@10.0.0.5:5060`.
    pub request_uri: String,
    pub address: SocketAddr,
    pub transport: Transport,
}

/// A host that a 3xx may send us to, and its address. All others are refused: toll fraud is a redirect too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectHost {
    /// As it stands in the Contact of the 3xx; an IPv6 address without brackets.
    pub host: String,
    /// `None`: any port.
    pub port: Option<u16>,
    pub ip: IpAddr,
}

/// What keeps the audio from being overheard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    #[default]
    Off,
    /// SRTP with a key in the session description (RFC 4568).
    Sdes,
    /// SRTP with keys by DTLS (RFC 5763); the fingerprint of our certificate.
    Dtls(Fingerprint),
}

/// Everything one outgoing call needs to know. No `Debug`: the URIs hold telephone numbers.
#[derive(Clone)]
pub struct LegConfig {
    /// In the order in which they are tried; at least one. The URI of the first is the To URI too.
    pub targets: Vec<Target>,
    /// An INVITE that UDP would cut into fragments goes by TCP, and by UDP after all where TCP is refused
    /// (RFC 3261 §18.1.1).
    pub large_by_tcp: bool,
    /// `sip:robot@hospital.example`, as the trunk wants it in From.
    pub from_uri: String,
    pub from_display: Option<String>,
    /// `sip:host:port` of our socket; what carries the call is said after it where that is not UDP.
    pub contact_uri: String,
    /// `host:port` of our socket.
    pub via_host: String,
    pub credentials: Option<Credentials>,
    pub media_host: IpAddr,
    pub media_port: u16,
    /// In the order of our offer; at least one.
    pub codecs: Vec<Codec>,
    /// From the INVITE until the phone must have answered; then CANCEL (RFC 3261 §9.1).
    pub ring_timeout: Duration,
    /// From the INVITE until the first answer of any kind; usually [`FIRST_ANSWER_LIMIT`].
    pub first_answer_limit: Duration,
    /// Further headers of the INVITE. A `Route` among them goes into CANCEL and ACK as well.
    pub extra_headers: Vec<(String, String)>,
    pub user_agent: String,
    /// Offer reliable provisional answers (RFC 3262). They are never required.
    pub reliable_provisional: bool,
    /// The session interval that the INVITE asks for (RFC 4028): 90 s or more. `None` leaves it to the peer.
    pub session_expires: Option<Duration>,
    pub redirects: Vec<RedirectHost>,
    /// The audio is encrypted as this says, or there is none. Only SIP over TLS keeps SDES's keys secret.
    pub srtp: Protection,
}

/// What a leg wants done, in order.
#[derive(Clone, PartialEq, Eq)]
pub enum LegOutput {
    /// A message for `to`: always the flow that we dialled by, never the peer's Contact.
    Send {
        bytes: Vec<u8>,
        to: SocketAddr,
    },
    /// A target did not answer, or refused with 503: other calls had better rest it for so long.
    Rest {
        target: SocketAddr,
        pause: Duration,
    },
    Event(LegEvent),
}

impl fmt::Debug for LegOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LegOutput::Send { bytes, to } => write!(f, "Send({} bytes to {to})", bytes.len()),
            LegOutput::Rest { target, pause } => write!(f, "Rest({target} for {pause:?})"),
            LegOutput::Event(event) => write!(f, "Event({event:?})"),
        }
    }
}

/// What happened on a leg.
#[derive(Clone, PartialEq, Eq)]
pub enum LegEvent {
    /// The first provisional answer, if it was a 100.
    Trying,
    /// A provisional answer from 101 on, told once for each status.
    Ringing {
        status: u16,
    },
    /// There is audio before the answer; told again where it changes or another branch sends its own.
    EarlyMedia(MediaAnswer),
    Answered(MediaAnswer),
    /// A re-INVITE or UPDATE moved, held or resumed the audio.
    MediaChanged(MediaAnswer),
    /// A key by SIP INFO: `0`-`9`, `*`, `#`, `A`-`D`. Health data.
    Key(char),
    /// How a transfer that we asked for goes (RFC 3515).
    Transfer(Transfer),
    /// The last event of a leg, but for the outcome of a transfer.
    Ended(LegEnding),
}

impl fmt::Debug for LegEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LegEvent::Trying => f.write_str("Trying"),
            LegEvent::Ringing { status } => write!(f, "Ringing({status})"),
            LegEvent::EarlyMedia(answer) => write!(f, "EarlyMedia({answer:?})"),
            LegEvent::Answered(answer) => write!(f, "Answered({answer:?})"),
            LegEvent::MediaChanged(answer) => write!(f, "MediaChanged({answer:?})"),
            LegEvent::Key(_) => f.write_str("Key([phi])"),
            LegEvent::Transfer(transfer) => write!(f, "{transfer:?}"),
            LegEvent::Ended(ending) => write!(f, "Ended({ending:?})"),
        }
    }
}

/// How a transfer goes. `Refused` and `Ended` are the last of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// The peer will try; that is no success yet.
    Accepted,
    /// The peer will not try; `None`: it did not answer.
    Refused { status: Option<u16> },
    /// A provisional answer of whom the callee is handed to.
    Trying { status: u16 },
    /// The final answer; `None`: it was never told.
    Ended { status: Option<u16> },
}

impl Transfer {
    /// The callee was handed on.
    pub fn has_succeeded(self) -> bool {
        matches!(
            self,
            Transfer::Ended {
                status: Some(200..=299)
            }
        )
    }
}

/// How a leg ended, each source of evidence apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegEnding {
    pub why: EndCause,
    /// The final status of the INVITE, where one came.
    pub status: Option<u16>,
    /// `Reason: Q.850;cause=` of the BYE or the refusal (RFC 3326).
    pub q850_cause: Option<u16>,
    /// An 18x was seen.
    pub rang: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The other end hung up after the answer.
    RemoteBye,
    /// We hung up after the answer.
    LocalBye,
    /// 4xx, 5xx or 6xx.
    Rejected,
    /// 3xx that was not followed: its hosts are not allowed, or there were too many.
    Redirected,
    /// We hung up before the answer.
    Cancelled,
    /// Nobody answered the phone within the ring limit.
    RingTimeout,
    /// The target did not answer the INVITE, or stopped answering.
    NoResponse,
    /// Challenged, and our credentials are missing, refused or of no known algorithm.
    AuthFailed,
    /// Answered with audio that we cannot use; hung up at once.
    NoCommonMedia,
    /// We did not take a call that came.
    Refused,
    /// Whoever called us hung up before we answered.
    Abandoned,
    /// The session interval passed without a refresh (RFC 4028 §10).
    SessionExpired,
}

/// Why a leg wants to be woken; the names are those of RFC 3261 §17 where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// Timer A: the INVITE again.
    InviteRetransmit,
    /// No answer of any kind within the limit.
    FirstAnswer,
    /// The phone rang long enough.
    Ring,
    /// 64 × T1 after CANCEL without a final answer (§9.1), or Timer B of an INVITE given up.
    GiveUp,
    /// Timer E: anything but an INVITE again.
    RequestRetransmit,
    /// Timer F: a request that nobody answers; Timer B of a re-INVITE.
    RequestTimeout,
    /// Our session refresh is due (RFC 4028 §10).
    SessionRefresh,
    /// The session interval is over without a refresh of the peer's.
    SessionExpires,
    /// Our 2xx to a re-INVITE again until its ACK comes (§13.3.1.4).
    AnswerRetransmit,
    /// The outcome of a transfer is waited for no longer.
    Transfer,
    /// Timers D and J: late retransmissions are answered until then.
    Linger,
}

impl Timer {
    /// The name in a trace.
    pub fn name(self) -> &'static str {
        match self {
            Timer::InviteRetransmit => "invite-retransmit",
            Timer::FirstAnswer => "first-answer",
            Timer::Ring => "ring",
            Timer::GiveUp => "give-up",
            Timer::RequestRetransmit => "request-retransmit",
            Timer::RequestTimeout => "request-timeout",
            Timer::SessionRefresh => "session-refresh",
            Timer::SessionExpires => "session-expires",
            Timer::AnswerRetransmit => "answer-retransmit",
            Timer::Transfer => "transfer",
            Timer::Linger => "linger",
        }
    }
}

/// What a leg counted for the record; misbehaviour of the peer is not our error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// Datagrams that the front door refused.
    pub malformed: u32,
    /// Messages that fit no transaction or dialog of this leg.
    pub stray: u32,
    /// Our own repetitions.
    pub retransmitted: u32,
    /// Session descriptions that could not be used.
    pub bad_sdp: u32,
}
