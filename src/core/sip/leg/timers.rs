//! A leg's timers: which is next, and what each does when it is due.

use super::{Leg, Setup, State};
use crate::sip::event::{EndCause, LegOutput, Timer};
use crate::sip::transaction::InvitePhase;
use crate::time::Instant;

impl Leg {
    /// When to call [`Leg::handle_timeout`] next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let state = match &self.state {
            State::Inviting(setup) => self.setup_timer(setup),
            State::Talking(_) => None,
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
        state.into_iter().chain(requests).chain(answer).min()
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
        match &mut self.state {
            State::Inviting(_) => self.check_setup(now),
            State::Talking(_) => {}
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
                let why = setup.leaving.unwrap_or(EndCause::NoResponse);
                self.end(why, None, None, now);
                return;
            }
            InvitePhase::Calling(backoff) => {
                if backoff.fire(now) {
                    self.stats.retransmitted += 1;
                    self.outputs
                        .push_back(LegOutput::Send(invite.bytes.clone()));
                }
            }
            InvitePhase::Proceeding if invite.cancelled_until.is_some_and(|until| now >= until) => {
                let why = setup.leaving.unwrap_or(EndCause::NoResponse);
                self.end(why, None, None, now);
                return;
            }
            InvitePhase::Proceeding | InvitePhase::Completed { .. } | InvitePhase::Accepted => {}
        }
        if setup.leaving.is_none() && now >= setup.ring {
            self.leave(EndCause::RingTimeout, now);
        }
    }

    fn repeat_requests(&mut self, now: Instant) {
        self.requests.retain(|request| now < request.until);
        for request in &mut self.requests {
            if request.backoff.fire(now) {
                self.stats.retransmitted += 1;
                self.outputs
                    .push_back(LegOutput::Send(request.bytes.clone()));
            }
        }
    }

    /// Our 2xx to a re-INVITE until its ACK; a peer that never sends one is gone (§13.3.1.4).
    fn repeat_answer(&mut self, now: Instant) {
        let Some(answer) = &mut self.unacked else {
            return;
        };
        if now < answer.until {
            if answer.backoff.fire(now) {
                self.stats.retransmitted += 1;
                self.outputs
                    .push_back(LegOutput::Send(answer.bytes.clone()));
            }
            return;
        }
        self.unacked = None;
        if let State::Talking(talk) = &self.state {
            let dialog = talk.dialog.clone();
            self.send_bye(dialog, now);
            self.end(EndCause::NoResponse, Some(200), None, now);
        }
    }
}
