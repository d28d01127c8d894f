//! A leg's timers: which is next, and what each does when it is due.

use super::{Leg, Setup, State, Talk};
use crate::sip::event::{EndCause, Timer};
use crate::sip::transaction::InvitePhase;
use crate::time::Instant;

impl Leg {
    /// When to call [`Leg::handle_timeout`] next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let state = match &self.state {
            State::Rung(rung) => Self::rung_timer(rung),
            State::Inviting(setup) => self.setup_timer(setup),
            State::Talking(talk) => Self::talk_timer(talk),
            State::Ended { finished: true, .. } => None,
            State::Ended { linger, .. } => Some((*linger, Timer::Linger)),
        };
        let requests = self.requests.iter().flat_map(|request| {
            [
                (request.backoff.due, Timer::RequestRetransmit),
                (request.until, Timer::RequestTimeout),
            ]
        });
        let answer = self.unacked.iter().flat_map(|answer| {
            [
                (answer.backoff.due, Timer::AnswerRetransmit),
                (answer.until, Timer::RequestTimeout),
            ]
        });
        let transfer = self.referral.iter();
        let transfer = transfer.map(|referral| (referral.until, Timer::Transfer));
        state
            .into_iter()
            .chain(requests)
            .chain(answer)
            .chain(transfer)
            .min()
    }

    fn talk_timer(talk: &Talk) -> Option<(Instant, Timer)> {
        let session = talk.session.iter().flat_map(|session| {
            let refresh = session.refresh_at.map(|at| (at, Timer::SessionRefresh));
            refresh
                .into_iter()
                .chain([(session.ends_at, Timer::SessionExpires)])
        });
        let reinvite = talk.refresh.iter().flat_map(|refresh| {
            let [again, until] = Self::reinvite_timers(refresh);
            [
                again.map(|at| (at, Timer::InviteRetransmit)),
                until.map(|at| (at, Timer::RequestTimeout)),
            ]
        });
        session.chain(reinvite.flatten()).min()
    }

    fn setup_timer(&self, setup: &Setup) -> Option<(Instant, Timer)> {
        let invite = self.invites.last()?;
        let ring = setup.leaving.is_none().then_some((setup.ring, Timer::Ring));
        let phase = match &invite.phase {
            InvitePhase::Calling(backoff) => Some(
                (backoff.due, Timer::InviteRetransmit)
                    .min((setup.first_answer, Timer::FirstAnswer)),
            ),
            InvitePhase::Proceeding => invite.cancelled_until.map(|until| (until, Timer::GiveUp)),
            InvitePhase::Completed { .. } | InvitePhase::Accepted => None,
        };
        ring.into_iter().chain(phase).min()
    }

    /// Does whatever is due; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.repeat_requests(now);
        self.repeat_answer(now);
        self.check_transfer(now);
        match &mut self.state {
            State::Rung(_) => self.check_rung(now),
            State::Inviting(_) => self.check_setup(now),
            State::Talking(_) => self.check_session(now),
            State::Ended { linger, finished } => *finished = *finished || now >= *linger,
        }
    }

    fn check_setup(&mut self, now: Instant) {
        let State::Inviting(setup) = &self.state else {
            return;
        };
        let Some(invite) = self.invites.last_mut() else {
            return;
        };
        match &mut invite.phase {
            InvitePhase::Calling(_) if now >= setup.first_answer => {
                self.give_up_target(now);
                return;
            }
            InvitePhase::Calling(backoff) => {
                if backoff.fire(now) {
                    self.stats.retransmitted += 1;
                    let (bytes, to) = (invite.bytes.clone(), invite.to);
                    self.send(bytes, to);
                }
            }
            InvitePhase::Proceeding if invite.cancelled_until.is_some_and(|until| now >= until) => {
                let why = setup.leaving.unwrap_or(EndCause::NoResponse);
                self.end(why, None, None, now);
                return;
            }
            InvitePhase::Proceeding | InvitePhase::Completed { .. } | InvitePhase::Accepted => {}
        }
        let is_out_of_time = matches!(&self.state, State::Inviting(setup) if setup.leaving.is_none() && now >= setup.ring);
        if is_out_of_time {
            self.leave(EndCause::RingTimeout, now);
        }
    }

    fn repeat_requests(&mut self, now: Instant) {
        for request in self
            .requests
            .extract_if(.., |request| now >= request.until)
            .collect::<Vec<_>>()
        {
            self.request_timed_out(&request, now);
        }
        let mut again = Vec::new();
        for request in &mut self.requests {
            if request.backoff.fire(now) {
                again.push((request.bytes.clone(), request.to));
            }
        }
        for (bytes, to) in again {
            self.stats.retransmitted += 1;
            self.send(bytes, to);
        }
    }

    /// Our final answer to an INVITE until its ACK; a peer that never sends one is gone (§13.3.1.4).
    fn repeat_answer(&mut self, now: Instant) {
        let Some(answer) = &mut self.unacked else {
            return;
        };
        if now >= answer.until {
            self.unacked = None;
            self.peer_is_gone(now);
            self.lose_caller(now);
        } else if answer.backoff.fire(now) {
            self.stats.retransmitted += 1;
            let (bytes, to) = (answer.bytes.clone(), answer.to);
            self.send(bytes, to);
        }
    }
}
