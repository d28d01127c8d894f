//! A call that somebody makes to us (RFC 3261 §13.3): told that we try, rung, answered or refused. From its answer on
//! it is a call as any other.

use std::net::SocketAddr;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::incoming::UnackedAnswer;
use super::{Leg, State, Talk};
use crate::sip::dialog::Dialog;
use crate::sip::event::{EndCause, LegConfig, LegEvent, LegOutput, Target, Timer, Transport};
use crate::sip::message::{Method, Request, Response, address_uri, token};
use crate::sip::sdp::{Direction, MediaAnswer};
use crate::sip::transaction::{Backoff, T2, TIMEOUT};
use crate::time::Instant;

/// The peer's INVITE, not answered yet, or answered by an offer of ours.
pub struct Rung {
    request: Request,
    from: SocketAddr,
    transport: Transport,
    /// Nobody has decided by then: it is refused.
    until: Instant,
    /// A provisional answer that wants its PRACK (RFC 3262 §3), and its number.
    reliable: Option<(Vec<u8>, Backoff)>,
    rseq: u32,
    /// The 2xx held our offer: the ACK holds the peer's answer.
    awaits_answer: Option<Dialog>,
}

impl Leg {
    /// Takes an INVITE that is no leg's, from where it came; it is told at once that we try. The targets of `config`
    /// are not asked: all that is sent goes back there. What we cannot do is refused at once, and has ended then.
    pub fn rung(
        mut config: LegConfig,
        mut request: Request,
        from: SocketAddr,
        seed: [u8; 32],
        now: Instant,
    ) -> Leg {
        let from = request.came_from(from);
        let mut random = ChaCha20Rng::from_seed(seed);
        let local_tag = token(&mut random, 10);
        let call_id = request.headers.call_id().to_owned();
        let transport = request.carried_by();
        let caller = request.headers.first("From").unwrap_or_default();
        config.targets = vec![Target {
            request_uri: address_uri(caller).to_owned(),
            address: from,
            transport,
        }];
        let rung = Rung {
            request,
            from,
            transport,
            until: now + config.ring_timeout,
            reliable: None,
            rseq: 0,
            awaits_answer: None,
        };
        let state = State::Rung(Box::new(rung));
        let mut leg = Leg::of(config, random, (call_id, local_tag), state);
        leg.media.face(from.ip());
        leg.try_request(now);
        leg
    }

    fn try_request(&mut self, now: Instant) {
        let Some(request) = self.ringing_request() else {
            return;
        };
        if let Some(refusal) = self.refuse_extension(&request) {
            return self.turn_away(refusal, EndCause::Refused, now);
        }
        if Self::is_too_short(&request) {
            let refusal = self.too_short(&request);
            return self.turn_away(refusal, EndCause::Refused, now);
        }
        let trying = request.respond(100, &self.local_tag);
        self.respond(&request, &trying);
    }

    /// 180, once; again and again until its PRACK where the caller wants that.
    pub fn ring(&mut self, now: Instant) {
        let Some(request) = self.ringing_request() else {
            return;
        };
        let is_wanted = request.headers.lists("Require", "100rel");
        if is_wanted && request.body.is_empty() {
            // It would have to hold our offer already (RFC 3261 §13.2.1): that waits for the answer.
            return;
        }
        let contact = self.contact();
        let mut ringing = self.reply_with(&request, 180, &[("Contact", &contact)]);
        let State::Rung(rung) = &mut self.state else {
            return;
        };
        if rung.reliable.is_some() || rung.awaits_answer.is_some() {
            return;
        }
        if is_wanted {
            rung.rseq += 1;
            ringing.headers.push("Require", "100rel");
            ringing.headers.push("RSeq", rung.rseq.to_string());
            rung.reliable = Some((ringing.to_bytes(), Backoff::new(TIMEOUT, now)));
        }
        self.respond(&request, &ringing);
    }

    /// 200 with our session description; 488 where no audio fits. Nothing where the call is not ringing any more.
    pub fn accept(&mut self, now: Instant) {
        let Some(request) = self.ringing_request() else {
            return;
        };
        if request.body.is_empty() {
            return self.offer_back(&request, now);
        }
        let Ok((offer, answer)) = self.negotiate(&request, None) else {
            self.stats.bad_sdp += 1;
            let refusal = self.reply(&request, 488);
            return self.turn_away(refusal, EndCause::NoCommonMedia, now);
        };
        let body = self.media.answer(&offer, &answer);
        let mut response = self.reply_sdp(&request, body);
        let Some(dialog) = self.dialog_of_caller() else {
            return;
        };
        self.begin_talk(&request, dialog, answer);
        self.refreshed_by_peer(&request, &mut response, now);
        self.await_ack(&request, &response, false, now);
    }

    /// Refuses the call, as long as it rings.
    pub fn reject(&mut self, status: u16, now: Instant) {
        if let Some(request) = self.ringing_request() {
            let refusal = self.reply(&request, status);
            self.turn_away(refusal, EndCause::Refused, now);
        }
    }

    fn ringing_request(&self) -> Option<Request> {
        match &self.state {
            State::Rung(rung) if rung.awaits_answer.is_none() => Some(rung.request.clone()),
            State::Rung(_) | State::Inviting(_) | State::Talking(_) | State::Ended { .. } => None,
        }
    }

    fn dialog_of_caller(&self) -> Option<Dialog> {
        let State::Rung(rung) = &self.state else {
            return None;
        };
        let way = (rung.from, rung.transport);
        let host = &self.config.via_host;
        Some(Dialog::of_request(
            &rung.request,
            &self.local_tag,
            host,
            way,
        ))
    }

    /// An INVITE without a description: ours is an offer.
    fn offer_back(&mut self, request: &Request, now: Instant) {
        let body = self.media.offer(Direction::SendRecv);
        let response = self.reply_sdp(request, body);
        let dialog = self.dialog_of_caller();
        if let State::Rung(rung) = &mut self.state {
            rung.awaits_answer = dialog;
            rung.reliable = None;
        }
        self.await_ack(request, &response, true, now);
    }

    /// The ACK of an INVITE without a description.
    pub(super) fn answered_by_ack(&mut self, ack: &Request, now: Instant) {
        let State::Rung(rung) = &mut self.state else {
            return;
        };
        let Some(dialog) = rung.awaits_answer.take() else {
            return;
        };
        let request = rung.request.clone();
        match self.media.read_answer(&ack.body, None) {
            Ok(answer) => self.begin_talk(&request, dialog, answer),
            Err(_) => {
                self.stats.bad_sdp += 1;
                self.send_bye(dialog, now);
                self.end(EndCause::NoCommonMedia, Some(200), None, now);
            }
        }
    }

    fn begin_talk(&mut self, request: &Request, dialog: Dialog, answer: MediaAnswer) {
        // By which the peer's late requests are known after the end.
        let (tag, to) = (dialog.remote_tag().to_owned(), dialog.flow());
        self.acks.insert(tag, (Vec::new(), to));
        self.media.settle(&answer);
        self.state = State::Talking(Box::new(Talk {
            dialog,
            answer: answer.clone(),
            takes_update: request.headers.lists("Allow", "UPDATE"),
            session: None,
            refresh: None,
        }));
        self.outputs
            .push_back(LegOutput::Event(LegEvent::Answered(answer)));
    }

    /// Sends the 2xx and repeats it until its ACK.
    fn await_ack(&mut self, request: &Request, response: &Response, is_offer: bool, now: Instant) {
        let to = self.respond(request, response);
        self.unacked = Some(UnackedAnswer {
            bytes: response.to_bytes(),
            backoff: Backoff::new(T2, now),
            until: now + TIMEOUT,
            to,
            cseq: request.headers.cseq().map_or(0, |(cseq, _)| cseq),
            is_offer,
        });
    }

    /// The final refusal, repeated until its ACK (§17.2.1, Timers G and H), and the end.
    fn turn_away(&mut self, refusal: Response, why: EndCause, now: Instant) {
        let Some(request) = self.ringing_request() else {
            return;
        };
        self.await_ack(&request, &refusal, false, now);
        let unacked = self.unacked.take();
        self.end(why, Some(refusal.status), None, now);
        self.unacked = unacked;
    }

    /// CANCEL, or BYE before the answer.
    pub(super) fn abandon(&mut self, now: Instant) {
        if let Some(request) = self.ringing_request() {
            let refusal = self.reply(&request, 487);
            self.turn_away(refusal, EndCause::Abandoned, now);
        }
    }

    /// What the caller asks before the answer.
    pub(super) fn answer_rung(&mut self, request: &Request, now: Instant) -> Response {
        match &request.method {
            Method::Prack => {
                let status = if self.is_acknowledged(request) {
                    200
                } else {
                    481
                };
                self.reply(request, status)
            }
            Method::Bye => {
                self.abandon(now);
                self.reply(request, 200)
            }
            Method::Options | Method::Notify | Method::Info => self.reply(request, 200),
            // Our answer to its first offer is still to come (RFC 3311 §5.2).
            Method::Update | Method::Invite => self.reply(request, 491),
            Method::Cancel
            | Method::Ack
            | Method::Refer
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Publish
            | Method::Other(_) => self.reply(request, 481),
        }
    }

    /// The PRACK that was waited for: `RAck: RSeq CSeq INVITE`.
    fn is_acknowledged(&mut self, prack: &Request) -> bool {
        let State::Rung(rung) = &mut self.state else {
            return false;
        };
        let cseq = rung.request.headers.cseq().map_or(0, |(cseq, _)| cseq);
        let expected = format!("{} {cseq} INVITE", rung.rseq);
        let said = prack.headers.first("RAck").unwrap_or_default();
        let is_right = said.split_ascii_whitespace().eq(expected.split(' '));
        is_right && rung.reliable.take().is_some()
    }

    /// When to look again, and why.
    pub(super) fn rung_timer(rung: &Rung) -> Option<(Instant, Timer)> {
        let again = rung.reliable.as_ref();
        let again = again.map(|(_, backoff)| (backoff.due, Timer::AnswerRetransmit));
        let until = rung.awaits_answer.is_none();
        let until = until.then_some((rung.until, Timer::Ring));
        again.into_iter().chain(until).min()
    }

    pub(super) fn check_rung(&mut self, now: Instant) {
        let State::Rung(rung) = &mut self.state else {
            return;
        };
        let is_late = rung.awaits_answer.is_none() && now >= rung.until;
        let to = rung.from;
        let again = match &mut rung.reliable {
            Some((bytes, backoff)) => backoff.fire(now).then(|| bytes.clone()),
            None => None,
        };
        if is_late {
            self.reject(480, now);
        } else if let Some(bytes) = again {
            self.stats.retransmitted += 1;
            self.send(bytes, to);
        }
    }

    /// The ACK of our offer never came: the peer is told good-bye all the same.
    pub(super) fn lose_caller(&mut self, now: Instant) {
        let State::Rung(rung) = &mut self.state else {
            return;
        };
        if let Some(dialog) = rung.awaits_answer.take() {
            self.send_bye(dialog, now);
            self.end(EndCause::NoResponse, None, None, now);
        }
    }
}
