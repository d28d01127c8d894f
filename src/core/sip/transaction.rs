//! Client transactions (RFC 3261 §17.1): what was sent, when it goes out again over UDP, when to stop.
//!
//! The INVITE's 2xx are kept with it for 64 × T1 (RFC 6026's Accepted state). Deciding is the leg's work.

use std::net::SocketAddr;
use std::time::Duration;

use super::dialog::Dialog;
use super::event::Transport;
use super::message::{Headers, Method, Request, Response};
use crate::time::Instant;

/// The round-trip estimate (RFC 3261 §17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// The longest pause between repetitions of anything but an INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// 64 × T1: Timers B, D, F, H and J over UDP.
pub const TIMEOUT: Duration = Duration::from_secs(32);

/// Repetition at doubling pauses.
#[derive(Clone, Debug)]
pub struct Backoff {
    pub due: Instant,
    pause: Duration,
    longest: Duration,
}

impl Backoff {
    /// First repetition after T1; pauses double up to `longest`.
    pub fn new(longest: Duration, now: Instant) -> Backoff {
        Backoff {
            due: now + T1,
            pause: T1,
            longest,
        }
    }

    /// [`Backoff::new`] over UDP; a stream repeats by itself, and the transaction's own limit comes first.
    fn over(transport: Transport, longest: Duration, now: Instant) -> Backoff {
        let mut backoff = Backoff::new(longest, now);
        if transport.is_stream() {
            backoff.due = now + 2 * TIMEOUT;
            backoff.longest = 2 * TIMEOUT;
        }
        backoff
    }

    /// True when a repetition is due, and sets the next.
    pub fn fire(&mut self, now: Instant) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.pause = (self.pause * 2).min(self.longest);
            self.due = now + self.pause;
        }
        is_due
    }

    /// A provisional answer came: only the slowest pace from now on (§17.1.2.2).
    pub fn slow_down(&mut self, now: Instant) {
        self.pause = self.longest;
        self.due = now + self.pause;
    }
}

/// Where an INVITE stands.
#[derive(Clone, Debug)]
pub enum InvitePhase {
    /// Nothing came back yet; goes out again (Timer A).
    Calling(Backoff),
    Proceeding,
    /// Refused: the ACK goes out again for each repeated refusal.
    Completed {
        ack: Vec<u8>,
    },
    /// A 2xx came.
    Accepted,
}

/// One INVITE, with or without authorisation: a branch and a CSeq of its own.
#[derive(Clone, Debug)]
pub struct ClientInvite {
    pub request: Request,
    pub bytes: Vec<u8>,
    pub cseq: u32,
    pub to: SocketAddr,
    pub transport: Transport,
    pub phase: InvitePhase,
    /// When to stop waiting for the answer to the CANCEL that was sent (§9.1).
    pub cancelled_until: Option<Instant>,
    branch: String,
}

impl ClientInvite {
    pub fn new(
        request: Request,
        cseq: u32,
        branch: String,
        to: SocketAddr,
        transport: Transport,
        now: Instant,
    ) -> ClientInvite {
        let bytes = request.to_bytes();
        let phase = InvitePhase::Calling(Backoff::over(transport, TIMEOUT, now));
        ClientInvite {
            request,
            bytes,
            cseq,
            to,
            transport,
            phase,
            cancelled_until: None,
            branch,
        }
    }

    pub fn is_answered_by(&self, branch: &str, cseq: u32) -> bool {
        self.branch == branch && self.cseq == cseq
    }

    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The ACK of a refusal: the INVITE's own branch, the answer's To (§17.1.1.3).
    pub fn ack_refusal(&self, response: &Response) -> Vec<u8> {
        let to = response.headers.first("To").unwrap_or_default();
        self.companion(Method::Ack, to).to_bytes()
    }

    /// The CANCEL: the INVITE's own branch, CSeq number and Route, no To-tag (§9.1).
    pub fn cancel(&self) -> Request {
        self.companion(
            Method::Cancel,
            self.request.headers.first("To").unwrap_or_default(),
        )
    }

    fn companion(&self, method: Method, to: &str) -> Request {
        let mut headers = Headers::default();
        for name in ["Via", "Route", "Max-Forwards", "From"] {
            self.request
                .headers
                .all(name)
                .for_each(|value| headers.push(name, value));
        }
        headers.push("To", to);
        headers.push("Call-ID", self.request.headers.call_id());
        headers.push("CSeq", format!("{} {method}", self.cseq));
        Request {
            method,
            uri: self.request.uri.clone(),
            headers,
            body: Vec::new(),
        }
    }
}

/// What a non-INVITE request of ours was for.
#[derive(Clone, Debug)]
pub enum Purpose {
    Cancel,
    /// With the dialog, from which a challenged BYE is built anew.
    Bye(Box<Dialog>),
    /// In the early dialog of this To-tag, for the provisional answer that this RAck names (RFC 3262 §7.2).
    Prack {
        tag: String,
        rack: String,
    },
    /// The UPDATE that keeps the session up (RFC 4028).
    Refresh,
    /// Hands the callee on (RFC 3515).
    Refer,
    /// Outside any call: REGISTER, OPTIONS.
    Outside,
}

/// One request that is no INVITE (§17.1.2).
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub request: Request,
    pub bytes: Vec<u8>,
    pub purpose: Purpose,
    pub backoff: Backoff,
    pub to: SocketAddr,
    pub transport: Transport,
    /// Timer F.
    pub until: Instant,
    /// How often this request was challenged.
    pub challenged: usize,
    branch: String,
}

impl ClientRequest {
    pub fn new(
        request: Request,
        branch: String,
        purpose: Purpose,
        to: SocketAddr,
        transport: Transport,
        now: Instant,
    ) -> ClientRequest {
        let bytes = request.to_bytes();
        let backoff = Backoff::over(transport, T2, now);
        ClientRequest {
            request,
            bytes,
            to,
            transport,
            purpose,
            backoff,
            until: now + TIMEOUT,
            challenged: 0,
            branch,
        }
    }

    pub fn is_answered_by(&self, branch: &str, method: &Method) -> bool {
        self.branch == branch && self.request.method == *method
    }
}
