//! Our side of one call, from INVITE to the last retransmission that must be answered.
//!
//! Here is what a leg is and what its owner may ask of it. What it sends is written in `send`; what comes back is read
//! in `invite` (answers to the INVITE, RFC 3261 §9, §13, §17.1), `reliable` (PRACK, RFC 3262), `session` (session
//! timers, RFC 4028), `transfer` (REFER, RFC 3515) and `requests` (answers to all else); the peer's own requests in
//! `incoming`, a call that the peer makes in `rung`; `timers` wakes it.

mod incoming;
mod invite;
mod reliable;
mod requests;
mod rung;
mod send;
mod session;
mod timers;
mod transfer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use self::incoming::{Served, UnackedAnswer};
use self::reliable::EarlyDialog;
use self::rung::Rung;
use self::session::{Refresh, Session};
use self::transfer::Referral;
use super::authorize::Authorizer;
use super::dialog::{Dialog, DialogSnapshot, MAGIC_COOKIE};
use super::event::{
    EndCause, LegConfig, LegEnding, LegEvent, LegOutput, LegStats, Protection, Target,
};
use super::front_door::parse_message;
use super::message::{Message, Method, Response, token};
use super::sdp::{LocalMedia, MediaAnswer};
use super::transaction::{ClientInvite, ClientRequest, TIMEOUT};
use crate::media_key::{Guard, MediaKey};
use crate::time::Instant;

/// One call's signalling.
pub struct Leg {
    config: LegConfig,
    random: ChaCha20Rng,
    call_id: String,
    local_tag: String,
    /// Kept aside for the BYE of a snapshot.
    farewell_branch: String,
    media: LocalMedia,
    state: State,
    /// All INVITEs of this call: each challenge, redirect and change of target makes a new one; the last is the live one.
    invites: Vec<ClientInvite>,
    /// Where the live INVITE went, and which of the configured targets that was.
    here: Target,
    target: usize,
    tries: Tries,
    /// The least session interval that a 422 asked for; it holds for the whole call.
    min_session: Option<Duration>,
    requests: Vec<ClientRequest>,
    early_dialogs: BTreeMap<String, EarlyDialog>,
    /// The ACK of each 2xx by its To-tag, and where it goes: one dialog a tag, forks included.
    acks: BTreeMap<String, (Vec<u8>, SocketAddr)>,
    authorizer: Authorizer,
    referral: Option<Referral>,
    /// A transfer was asked for: its notices are ours even after the end.
    has_referred: bool,
    served: VecDeque<Served>,
    unacked: Option<UnackedAnswer>,
    rang: bool,
    outputs: VecDeque<LegOutput>,
    stats: LegStats,
}

/// How often each kind of refusal made the INVITE go again; each kind has its own limit.
#[derive(Default)]
struct Tries {
    challenges: usize,
    intervals: usize,
    /// Contacts that were followed, so that none is followed twice, and those that may still be.
    redirects: Vec<String>,
    elsewhere: Vec<Target>,
    /// The live target takes no TCP: a large INVITE goes by UDP all the same.
    tcp_refused: bool,
}

enum State {
    /// The peer calls us.
    Rung(Box<Rung>),
    Inviting(Setup),
    Talking(Box<Talk>),
    /// Told; late retransmissions are answered until `linger`.
    Ended {
        linger: Instant,
        finished: bool,
    },
}

struct Setup {
    /// Session descriptions of provisional answers, by To-tag: branches of a fork each have their own.
    early: BTreeMap<String, MediaAnswer>,
    /// Statuses that were told.
    told: BTreeSet<u16>,
    /// `Some` when we want out: then an answer is hung up on.
    leaving: Option<EndCause>,
    first_answer: Instant,
    ring: Instant,
}

struct Talk {
    dialog: Dialog,
    answer: MediaAnswer,
    /// The peer takes UPDATE (RFC 3311), so that a session refresh needs no description.
    takes_update: bool,
    session: Option<Session>,
    /// Our latest re-INVITE.
    refresh: Option<Refresh>,
}

impl Leg {
    /// The INVITE is queued at once.
    pub fn new(config: LegConfig, seed: [u8; 32], now: Instant) -> Leg {
        let mut random = ChaCha20Rng::from_seed(seed);
        let names = (token(&mut random, 20), token(&mut random, 10));
        let setup = Setup {
            early: BTreeMap::new(),
            told: BTreeSet::new(),
            leaving: None,
            first_answer: now + config.first_answer_limit,
            ring: now + config.ring_timeout,
        };
        let mut leg = Leg::of(config, random, names, State::Inviting(setup));
        leg.send_invite(1, now);
        leg
    }

    fn of(
        config: LegConfig,
        mut random: ChaCha20Rng,
        (call_id, local_tag): (String, String),
        state: State,
    ) -> Leg {
        let farewell_branch = format!("{MAGIC_COOKIE}{}", token(&mut random, 14));
        let session_id = random.next_u32();
        let guard = match config.srtp {
            Protection::Off => Guard::Clear,
            Protection::Sdes => Guard::Sdes(MediaKey::random(&mut random)),
            Protection::Dtls(ours) => Guard::Dtls(ours),
        };
        let media = LocalMedia::new(
            config.media_host,
            config.media_port,
            config.codecs.clone(),
            guard,
            session_id,
        );
        let here = config.targets.first().expect("a leg has a target").clone();
        Leg {
            authorizer: Authorizer::new(config.credentials.clone()),
            config,
            random,
            call_id,
            local_tag,
            farewell_branch,
            media,
            state,
            invites: Vec::new(),
            here,
            target: 0,
            tries: Tries::default(),
            min_session: None,
            requests: Vec::new(),
            early_dialogs: BTreeMap::new(),
            acks: BTreeMap::new(),
            referral: None,
            has_referred: false,
            served: VecDeque::new(),
            unacked: None,
            rang: false,
            outputs: VecDeque::new(),
            stats: LegStats::default(),
        }
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Takes a datagram that the endpoint routed here. Never fails; nonsense is counted.
    ///
    /// A request is answered to where it came `from` (`Request::came_from`): a proxy that did not stay in the route, or
    /// another node behind the target.
    pub fn handle_datagram(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) {
        match parse_message(datagram) {
            Err(_) => self.stats.malformed += 1,
            Ok(message) if message.headers().call_id() != self.call_id => self.stats.stray += 1,
            Ok(Message::Response(response)) => self.handle_response(&response, now),
            Ok(Message::Request(mut request)) => {
                let to = request.came_from(from);
                self.handle_request(&request, to, now);
            }
        }
    }

    /// Ends the call: CANCEL, BYE or nothing, as the state demands.
    ///
    /// Before the answer, `Ended` comes when the peer has confirmed or the wait for that is over; after it, at once.
    pub fn hang_up(&mut self, now: Instant) {
        match &self.state {
            State::Inviting(setup) if setup.leaving.is_none() => {
                self.leave(EndCause::Cancelled, now)
            }
            State::Inviting(_) => {}
            State::Rung(_) => {
                self.reject(480, now);
                self.lose_caller(now);
            }
            State::Talking(_) => self.end_talk(EndCause::LocalBye, now),
            State::Ended { .. } => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<LegOutput> {
        self.outputs.pop_front()
    }

    /// Told, and nothing but late retransmissions comes.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    /// Ended, and no late retransmission needs an answer any more.
    pub fn is_finished(&self) -> bool {
        let is_over = matches!(self.state, State::Ended { finished: true, .. });
        is_over && self.requests.is_empty() && self.referral.is_none()
    }

    pub fn stats(&self) -> LegStats {
        self.stats
    }

    /// What a later start needs to end this call after a crash; `None` once it has ended.
    pub fn dialog_snapshot(&self) -> Option<DialogSnapshot> {
        match &self.state {
            State::Inviting(_) => Some(DialogSnapshot::of_cancel(&self.invites.last()?.cancel())),
            State::Talking(talk) => Some(talk.dialog.snapshot(&self.farewell_branch)),
            State::Rung(_) | State::Ended { .. } => None,
        }
    }

    fn handle_response(&mut self, response: &Response, now: Instant) {
        let (Some((cseq, method)), Some(branch)) =
            (response.headers.cseq(), response.headers.branch())
        else {
            self.stats.stray += 1;
            return;
        };
        if method != Method::Invite {
            let asked = |request: &ClientRequest| request.is_answered_by(&branch, &method);
            match self.requests.iter().position(asked) {
                Some(index) => self.handle_request_response(index, response, now),
                None => self.stats.stray += 1,
            }
            return;
        }
        let asked = |invite: &ClientInvite| invite.is_answered_by(&branch, cseq);
        if let Some(index) = self.invites.iter().position(asked) {
            self.handle_invite_response(index, response, now);
        } else if matches!(&self.state, State::Talking(talk) if talk.refresh.as_ref().is_some_and(|refresh| asked(&refresh.invite)))
        {
            self.handle_refresh_response(response, now);
        } else {
            self.stats.stray += 1;
        }
    }

    /// BYE, and the end of an answered call.
    fn end_talk(&mut self, why: EndCause, now: Instant) {
        if let State::Talking(talk) = &self.state {
            let dialog = talk.dialog.clone();
            self.send_bye(dialog, now);
            self.end(why, Some(200), None, now);
        }
    }

    /// The one place where a leg ends; nothing but late retransmissions after it.
    fn end(&mut self, why: EndCause, status: Option<u16>, q850_cause: Option<u16>, now: Instant) {
        if matches!(self.state, State::Ended { .. }) {
            return;
        }
        self.state = State::Ended {
            linger: now + TIMEOUT,
            finished: false,
        };
        self.unacked = None;
        self.hasten_transfer(now);
        self.early_dialogs.clear();
        let ending = LegEnding {
            why,
            status,
            q850_cause,
            rang: self.rang,
        };
        self.outputs
            .push_back(LegOutput::Event(LegEvent::Ended(ending)));
    }

    fn send(&mut self, bytes: Vec<u8>, to: SocketAddr) {
        self.outputs.push_back(LegOutput::Send { bytes, to });
    }
}
