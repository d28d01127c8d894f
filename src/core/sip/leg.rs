//! Our side of one outgoing call, from INVITE to the last retransmission that must be answered.
//!
//! Here is the client's half: INVITE, provisional answers, ACK, CANCEL and its races, BYE (RFC 3261 §9, §13, §15,
//! §17.1). What it sends is written in `send`, challenges are answered in `authorize`, the peer's requests in
//! `incoming`; `timers` wakes it.

mod authorize;
mod incoming;
mod send;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use self::authorize::{Authorization, MAX_CHALLENGES};
use self::incoming::{Served, UnackedAnswer};
use self::send::token;
use super::dialog::{Dialog, DialogSnapshot, MAGIC_COOKIE};
use super::event::{EndCause, LegConfig, LegEnding, LegEvent, LegOutput, LegStats};
use super::front_door::parse_message;
use super::message::{Message, Method, Response};
use super::sdp::{LocalMedia, MediaAnswer, Sdp, SdpError};
use super::transaction::{ClientInvite, ClientRequest, InvitePhase, Purpose, TIMEOUT};
use crate::codec::Codec;
use crate::time::Instant;

/// One outgoing call's signalling.
pub struct Leg {
    config: LegConfig,
    random: ChaCha20Rng,
    call_id: String,
    local_tag: String,
    /// Kept aside for the BYE of a snapshot.
    farewell_branch: String,
    media: LocalMedia,
    state: State,
    /// All INVITEs of this call, each challenge making a new one; the last is the live one.
    invites: Vec<ClientInvite>,
    requests: Vec<ClientRequest>,
    /// The ACK of each 2xx by its To-tag: one dialog a tag, forks included.
    acks: BTreeMap<String, Vec<u8>>,
    authorizations: Vec<Authorization>,
    served: VecDeque<Served>,
    unacked: Option<UnackedAnswer>,
    rang: bool,
    outputs: VecDeque<LegOutput>,
    stats: LegStats,
}

enum State {
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
}

impl Leg {
    /// The INVITE is queued at once.
    pub fn new(config: LegConfig, seed: [u8; 32], now: Instant) -> Leg {
        let mut random = ChaCha20Rng::from_seed(seed);
        let (call_id, local_tag) = (token(&mut random, 20), token(&mut random, 10));
        let farewell_branch = format!("{MAGIC_COOKIE}{}", token(&mut random, 14));
        let session_id = random.next_u32();
        let setup = Setup {
            early: BTreeMap::new(),
            told: BTreeSet::new(),
            leaving: None,
            first_answer: now + config.first_answer_limit,
            ring: now + config.ring_timeout,
        };
        let media = LocalMedia::new(
            config.media_host,
            config.media_port,
            config.codecs.clone(),
            session_id,
        );
        let mut leg = Leg {
            config,
            random,
            call_id,
            local_tag,
            farewell_branch,
            media,
            state: State::Inviting(setup),
            invites: Vec::new(),
            requests: Vec::new(),
            acks: BTreeMap::new(),
            authorizations: Vec::new(),
            served: VecDeque::new(),
            unacked: None,
            rang: false,
            outputs: VecDeque::new(),
            stats: LegStats::default(),
        };
        leg.send_invite(1, now);
        leg
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Takes a datagram that the endpoint routed here. Never fails; nonsense is counted.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        match parse_message(datagram) {
            Err(_) => self.stats.malformed += 1,
            Ok(message) if message.headers().call_id() != self.call_id => self.stats.stray += 1,
            Ok(Message::Response(response)) => self.handle_response(&response, now),
            Ok(Message::Request(request)) => self.handle_request(&request, now),
        }
    }

    /// Ends the call: CANCEL, BYE or nothing, as the state demands.
    ///
    /// Before the answer, `Ended` comes when the peer has confirmed or the wait for that is over; after it, at once.
    pub fn hang_up(&mut self, now: Instant) {
        match &mut self.state {
            State::Inviting(setup) if setup.leaving.is_none() => {
                self.leave(EndCause::Cancelled, now)
            }
            State::Inviting(_) => {}
            State::Talking(talk) => {
                let dialog = talk.dialog.clone();
                self.send_bye(dialog, now);
                self.end(EndCause::LocalBye, Some(200), None, now);
            }
            State::Ended { .. } => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<LegOutput> {
        self.outputs.pop_front()
    }

    /// Ended, and no late retransmission needs an answer any more.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Ended { finished: true, .. }) && self.requests.is_empty()
    }

    pub fn stats(&self) -> LegStats {
        self.stats
    }

    /// What a later start needs to end this call after a crash; `None` once it has ended.
    pub fn dialog_snapshot(&self) -> Option<DialogSnapshot> {
        match &self.state {
            State::Inviting(_) => Some(DialogSnapshot::of_cancel(&self.invites.last()?.cancel())),
            State::Talking(talk) => Some(talk.dialog.snapshot(&self.farewell_branch)),
            State::Ended { .. } => None,
        }
    }

    fn handle_response(&mut self, response: &Response, now: Instant) {
        let (Some((cseq, method)), Some(branch)) =
            (response.headers.cseq(), response.headers.branch())
        else {
            self.stats.stray += 1;
            return;
        };
        if method == Method::Invite {
            match self
                .invites
                .iter()
                .position(|invite| invite.is_answered_by(&branch, cseq))
            {
                Some(index) => self.handle_invite_response(index, response, now),
                None => self.stats.stray += 1,
            }
        } else {
            match self
                .requests
                .iter()
                .position(|request| request.is_answered_by(&branch, &method))
            {
                Some(index) => self.handle_request_response(index, response, now),
                None => self.stats.stray += 1,
            }
        }
    }

    fn handle_invite_response(&mut self, index: usize, response: &Response, now: Instant) {
        match response.status {
            ..=199 => self.handle_provisional(index, response, now),
            200..=299 => self.handle_accepted(index, response, now),
            300.. => self.handle_refused(index, response, now),
        }
    }

    fn handle_provisional(&mut self, index: usize, response: &Response, now: Instant) {
        let invite = &mut self.invites[index];
        match invite.phase {
            InvitePhase::Calling(_) => invite.phase = InvitePhase::Proceeding,
            InvitePhase::Proceeding => {}
            InvitePhase::Completed { .. } | InvitePhase::Accepted => return,
        }
        self.rang |= (180..190).contains(&response.status);
        match &self.state {
            State::Inviting(Setup { leaving: None, .. }) => self.tell_progress(response),
            // Only now may the CANCEL go out (§9.1).
            State::Inviting(_) | State::Ended { .. } => self.send_cancel(now),
            State::Talking(_) => {}
        }
    }

    fn tell_progress(&mut self, response: &Response) {
        let State::Inviting(setup) = &mut self.state else {
            return;
        };
        let status = response.status;
        let is_first = setup.told.is_empty();
        if setup.told.insert(status) {
            match status {
                100 if is_first => self.outputs.push_back(LegOutput::Event(LegEvent::Trying)),
                100 => {}
                _ => self
                    .outputs
                    .push_back(LegOutput::Event(LegEvent::Ringing { status })),
            }
        }
        if status == 100 || response.body.is_empty() {
            return;
        }
        match read_answer(&response.body, self.media.codecs(), None) {
            Ok(answer) => {
                let tag = response.headers.to_tag().unwrap_or_default();
                if setup.early.insert(tag, answer.clone()).as_ref() != Some(&answer) {
                    self.outputs
                        .push_back(LegOutput::Event(LegEvent::EarlyMedia(answer)));
                }
            }
            Err(_) => self.stats.bad_sdp += 1,
        }
    }

    /// A 2xx always gets its ACK; what we cannot use gets a BYE after it (§13.2.2.4).
    fn handle_accepted(&mut self, index: usize, response: &Response, now: Instant) {
        let tag = response.headers.to_tag().unwrap_or_default();
        if let Some(ack) = self.acks.get(&tag) {
            self.stats.retransmitted += 1;
            self.outputs.push_back(LegOutput::Send(ack.clone()));
            return;
        }
        self.invites[index].phase = InvitePhase::Accepted;
        let invite = &self.invites[index];
        let dialog = Dialog::of_answer(
            &invite.request,
            response,
            invite.cseq,
            &self.config.via_host,
        );
        self.send_ack(index, &dialog);
        let State::Inviting(setup) = &self.state else {
            self.send_bye(dialog, now);
            return;
        };
        if let Some(why) = setup.leaving {
            self.send_bye(dialog, now);
            self.end(why, Some(response.status), None, now);
            return;
        }
        let answer = if response.body.is_empty() {
            // The answer came before, with a provisional of this branch, or of the only one there is.
            let only = setup
                .early
                .values()
                .next()
                .filter(|_| setup.early.len() == 1);
            setup
                .early
                .get(dialog.remote_tag())
                .or(only)
                .cloned()
                .ok_or(SdpError::NotSdp)
        } else {
            read_answer(&response.body, self.media.codecs(), None)
        };
        match answer {
            Ok(answer) => {
                self.state = State::Talking(Box::new(Talk {
                    dialog,
                    answer: answer.clone(),
                }));
                self.outputs
                    .push_back(LegOutput::Event(LegEvent::Answered(answer)));
            }
            Err(_) => {
                self.stats.bad_sdp += 1;
                self.send_bye(dialog, now);
                self.end(EndCause::NoCommonMedia, Some(response.status), None, now);
            }
        }
    }

    fn handle_refused(&mut self, index: usize, response: &Response, now: Instant) {
        let invite = &mut self.invites[index];
        match &invite.phase {
            InvitePhase::Calling(_) | InvitePhase::Proceeding => {}
            InvitePhase::Completed { ack } => {
                self.stats.retransmitted += 1;
                self.outputs.push_back(LegOutput::Send(ack.clone()));
                return;
            }
            InvitePhase::Accepted => {
                self.stats.stray += 1;
                return;
            }
        }
        let ack = invite.ack_refusal(response);
        self.outputs.push_back(LegOutput::Send(ack.clone()));
        invite.phase = InvitePhase::Completed { ack };
        let State::Inviting(setup) = &self.state else {
            return;
        };
        let (status, q850) = (response.status, response.headers.q850_cause());
        let why = match (setup.leaving, status) {
            (Some(why), _) => why,
            (None, 401 | 407) if self.learn_challenge(index, response) => {
                let cseq = self.invites[index].cseq + 1;
                self.send_invite(cseq, now);
                return;
            }
            (None, 401 | 407) => EndCause::AuthFailed,
            (None, 300..=399) => EndCause::Redirected,
            (None, _) => EndCause::Rejected,
        };
        self.end(why, Some(status), q850, now);
    }

    fn learn_challenge(&mut self, index: usize, response: &Response) -> bool {
        // Each challenge made one more INVITE.
        if self.invites.len() > MAX_CHALLENGES {
            return false;
        }
        let request = self.invites[index].request.clone();
        self.learn(&request, response)
    }

    fn handle_request_response(&mut self, index: usize, response: &Response, now: Instant) {
        if response.is_provisional() {
            self.requests[index].backoff.slow_down(now);
            return;
        }
        let ClientRequest {
            request,
            purpose,
            challenged,
            ..
        } = self.requests.swap_remove(index);
        match purpose {
            Purpose::Cancel => {}
            Purpose::Bye(mut dialog) => {
                let may_retry = usize::from(challenged) < MAX_CHALLENGES;
                if matches!(response.status, 401 | 407)
                    && may_retry
                    && self.learn(&request, response)
                {
                    let branch = self.branch();
                    let mut request = dialog.request(Method::Bye, &branch);
                    self.sign(&mut request);
                    self.send_request(request, branch, Purpose::Bye(dialog), challenged + 1, now);
                }
            }
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
        let ending = LegEnding {
            why,
            status,
            q850_cause,
            rang: self.rang,
        };
        self.outputs
            .push_back(LegOutput::Event(LegEvent::Ended(ending)));
    }
}

fn read_answer(body: &[u8], ours: &[Codec], keep: Option<Codec>) -> Result<MediaAnswer, SdpError> {
    Sdp::parse(body)?.negotiate(ours, keep)
}
