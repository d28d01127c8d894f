//! Session timers (RFC 4028): who refreshes, how, and when a session that nobody refreshes is over.
//!
//! We refresh by UPDATE where the peer takes it, else by a re-INVITE with the description unchanged.

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::rand_core::Rng;

use super::{Leg, State};
use crate::sip::authorize::MAX_CHALLENGES;
use crate::sip::event::{EndCause, Transport};
use crate::sip::message::{Headers, Method, Request, Response, parameter};
use crate::sip::transaction::{
    Backoff, ClientInvite, ClientRequest, InvitePhase, Purpose, TIMEOUT,
};
use crate::time::Instant;

/// The least interval that we accept where we are asked (RFC 4028 §5).
pub const LEAST_INTERVAL: Duration = Duration::from_secs(90);
/// A refresh that was refused for a reason that passes is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// A session that ends unless somebody refreshes it.
pub struct Session {
    interval: Duration,
    ours: bool,
    /// `None` while our refresh is on its way, and where the peer refreshes.
    pub refresh_at: Option<Instant>,
    /// Before the interval's very end, so that the BYE is there before the peer forgets us (§10).
    pub ends_at: Instant,
}

/// Our re-INVITE, kept until the next one: its last answer may come again.
pub struct Refresh {
    pub invite: ClientInvite,
    /// Timer B.
    pub until: Instant,
    challenged: usize,
}

impl Session {
    fn new(interval: Duration, ours: bool, now: Instant) -> Session {
        Session {
            interval,
            ours,
            refresh_at: ours.then(|| now + interval / 2),
            ends_at: now + (interval - (interval / 3).min(Duration::from_secs(32))),
        }
    }

    /// The header that tells the peer of it, seen from the side that asked last.
    fn header(&self, we_asked: bool) -> String {
        let refresher = if self.ours == we_asked { "uac" } else { "uas" };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }
}

/// `Session-Expires`, and whether the side that sent the request refreshes.
fn agreed(headers: &Headers) -> Option<(Duration, Option<bool>)> {
    let interval = headers
        .seconds("Session-Expires")
        .filter(|interval| !interval.is_zero())?;
    let refresher = parameter(headers.first("Session-Expires")?, "refresher");
    let is_uac = refresher.map(|who| !who.eq_ignore_ascii_case("uas"));
    Some((interval, is_uac))
}

impl Leg {
    /// What the INVITE says of session timers.
    pub(super) fn offer_session(&self, headers: &mut Headers) {
        let interval = match (self.config.session_expires, self.min_session) {
            (Some(wanted), Some(least)) => Some(wanted.max(least)),
            (wanted, least) => wanted.or(least),
        };
        if let Some(interval) = interval {
            headers.push("Session-Expires", interval.as_secs().to_string());
        }
        self.push_min_session(headers);
    }

    fn push_min_session(&self, headers: &mut Headers) {
        if let Some(least) = self.min_session {
            headers.push("Min-SE", least.as_secs().to_string());
        }
    }

    /// What a 2xx to our own request agreed to; without its header the session has no end.
    pub(super) fn session_of(&self, response: &Response, now: Instant) -> Option<Session> {
        let (interval, is_uac) = agreed(&response.headers)?;
        Some(Session::new(interval, is_uac.unwrap_or(true), now))
    }

    /// 422 for an interval that is too short, where the peer knows what to do with it.
    pub(super) fn is_too_short(request: &Request) -> bool {
        let knows = request.headers.lists("Supported", "timer")
            || request.headers.lists("Require", "timer");
        knows && agreed(&request.headers).is_some_and(|(interval, _)| interval < LEAST_INTERVAL)
    }

    /// The peer's re-INVITE or UPDATE refreshed the session: what its 2xx says of that.
    pub(super) fn refreshed_by_peer(
        &mut self,
        request: &Request,
        response: &mut Response,
        now: Instant,
    ) {
        let State::Talking(talk) = &mut self.state else {
            return;
        };
        let knows = request.headers.lists("Supported", "timer")
            || request.headers.lists("Require", "timer");
        talk.session = match (agreed(&request.headers), talk.session.take()) {
            (Some((interval, is_uac)), _) => {
                let peer_refreshes = is_uac.unwrap_or(knows);
                Some(Session::new(interval, !peer_refreshes, now))
            }
            // The peer has none of its own; ours goes on.
            (None, Some(session)) if session.ours => {
                Some(Session::new(session.interval, true, now))
            }
            (None, _) => None,
        };
        if let Some(session) = &talk.session {
            if knows && !session.ours {
                response.headers.push("Require", "timer");
            }
            response
                .headers
                .push("Session-Expires", session.header(false));
        }
    }

    /// Our refresh is due.
    pub(super) fn refresh_session(&mut self, now: Instant) {
        let is_busy = self.unacked.is_some();
        let State::Talking(talk) = &mut self.state else {
            return;
        };
        let takes_update = talk.takes_update;
        let Some(session) = &mut talk.session else {
            return;
        };
        if is_busy && !takes_update {
            // The peer's own re-INVITE is not over yet (RFC 3261 §14.1).
            session.refresh_at = Some(now + Duration::from_secs(1));
            return;
        }
        session.refresh_at = None;
        if takes_update {
            self.send_update(0, now);
        } else {
            self.send_reinvite(0, now);
        }
    }

    pub(super) fn send_update(&mut self, challenged: usize, now: Instant) {
        let branch = self.branch();
        let Some((mut request, to, transport)) = self.refresh_request(Method::Update, &branch)
        else {
            return;
        };
        if challenged > 0 {
            self.authorizer.sign(&mut request, &mut self.random);
        }
        let update = ClientRequest::new(request, branch, Purpose::Refresh, to, transport, now);
        self.send_request(update, challenged);
    }

    fn send_reinvite(&mut self, challenged: usize, now: Instant) {
        let branch = self.branch();
        let Some((mut request, to, transport)) = self.refresh_request(Method::Invite, &branch)
        else {
            return;
        };
        request.headers.push("Content-Type", "application/sdp");
        request.body = self.media.again();
        if challenged > 0 {
            self.authorizer.sign(&mut request, &mut self.random);
        }
        let cseq = request.headers.cseq().map_or(0, |(number, _)| number);
        let invite = ClientInvite::new(request, cseq, branch, to, transport, now);
        self.send(invite.bytes.clone(), to);
        if let State::Talking(talk) = &mut self.state {
            talk.refresh = Some(Refresh {
                invite,
                until: now + TIMEOUT,
                challenged,
            });
        }
    }

    fn refresh_request(
        &mut self,
        method: Method,
        branch: &str,
    ) -> Option<(Request, SocketAddr, Transport)> {
        let contact = self.contact();
        let State::Talking(talk) = &mut self.state else {
            return None;
        };
        let session = talk.session.as_ref()?;
        let expires = session.header(true);
        let mut request = talk.dialog.request(method, branch);
        let (to, transport) = (talk.dialog.flow(), talk.dialog.transport());
        request.headers.push("Contact", contact);
        request.headers.push("Supported", "timer");
        request.headers.push("Session-Expires", expires);
        self.push_min_session(&mut request.headers);
        Some((request, to, transport))
    }

    /// The final answer to our UPDATE or re-INVITE; a challenge was looked at before.
    pub(super) fn refreshed(&mut self, response: &Response, now: Instant) {
        let (method, status) = (
            response.headers.cseq().map(|(_, method)| method),
            response.status,
        );
        let State::Talking(talk) = &mut self.state else {
            return;
        };
        let Some(session) = &mut talk.session else {
            return;
        };
        let mut at_once = false;
        match status {
            200..=299 => {
                talk.session = agreed(&response.headers)
                    .map(|(interval, is_uac)| Session::new(interval, is_uac.unwrap_or(true), now));
            }
            422 => {
                let least = response.headers.seconds("Min-SE").unwrap_or_default();
                at_once = least > session.interval;
                session.interval = session.interval.max(least);
                session.refresh_at = Some(now + AGAIN);
                self.min_session = self.min_session.max(Some(least));
            }
            405 | 501 if method == Some(Method::Update) => {
                talk.takes_update = false;
                at_once = true;
            }
            408 | 481 => self.peer_is_gone(now),
            491 => {
                // Glare: who made the Call-ID waits the longer time (RFC 3261 §14.1).
                let wait = 2_100 + 10 * u64::from(self.random.next_u32() % 190);
                session.refresh_at = Some(now + Duration::from_millis(wait));
            }
            _ => session.refresh_at = Some(now + AGAIN),
        }
        if at_once {
            self.refresh_session(now);
        }
    }

    pub(super) fn handle_refresh_response(&mut self, response: &Response, now: Instant) {
        let ack_branch = self.branch();
        let State::Talking(talk) = &mut self.state else {
            return;
        };
        let Some(refresh) = &mut talk.refresh else {
            return;
        };
        let to = refresh.invite.to;
        if let InvitePhase::Completed { ack } = &refresh.invite.phase {
            self.stats.retransmitted += 1;
            let ack = ack.clone();
            self.send(ack, to);
            return;
        }
        if response.is_provisional() {
            refresh.invite.phase = InvitePhase::Proceeding;
            return;
        }
        let is_accepted = response.status < 300;
        let ack = if is_accepted {
            talk.dialog.refresh_target(&response.headers);
            talk.dialog.ack(refresh.invite.cseq, &ack_branch).to_bytes()
        } else {
            refresh.invite.ack_refusal(response)
        };
        refresh.invite.phase = InvitePhase::Completed { ack: ack.clone() };
        let challenged = refresh.challenged + 1;
        let request = refresh.invite.request.clone();
        let codec = talk.answer.codec;
        self.send(ack, to);
        if is_accepted && !response.body.is_empty() {
            match self.media.read_answer(&response.body, Some(codec)) {
                Ok(answer) => self.change_media(answer),
                Err(_) => self.stats.bad_sdp += 1,
            }
        }
        let may_repeat = matches!(response.status, 401 | 407)
            && challenged <= MAX_CHALLENGES
            && self.authorizer.learn(&request, response);
        if may_repeat {
            self.send_reinvite(challenged, now);
        } else {
            self.refreshed(response, now);
        }
    }

    /// Our re-INVITE is under way: a re-INVITE or a changing UPDATE of the peer's collides with it.
    pub(super) fn is_reinviting(&self) -> bool {
        let State::Talking(talk) = &self.state else {
            return false;
        };
        talk.refresh.as_ref().is_some_and(|refresh| {
            matches!(
                refresh.invite.phase,
                InvitePhase::Calling(_) | InvitePhase::Proceeding
            )
        })
    }

    /// Timers A and B of our re-INVITE, and the session's own two.
    pub(super) fn check_session(&mut self, now: Instant) {
        self.repeat_reinvite(now);
        let State::Talking(talk) = &self.state else {
            return;
        };
        let Some(session) = &talk.session else {
            return;
        };
        if now >= session.ends_at {
            self.end_talk(EndCause::SessionExpired, now);
        } else if session.refresh_at.is_some_and(|at| now >= at) {
            self.refresh_session(now);
        }
    }

    fn repeat_reinvite(&mut self, now: Instant) {
        if !self.is_reinviting() {
            return;
        }
        let State::Talking(talk) = &mut self.state else {
            return;
        };
        let Some(Refresh { invite, until, .. }) = &mut talk.refresh else {
            return;
        };
        let is_over = now >= *until;
        let again = match &mut invite.phase {
            InvitePhase::Calling(backoff) => backoff.fire(now),
            InvitePhase::Proceeding | InvitePhase::Completed { .. } | InvitePhase::Accepted => {
                false
            }
        };
        let (bytes, to) = (invite.bytes.clone(), invite.to);
        if is_over {
            self.peer_is_gone(now);
        } else if again {
            self.stats.retransmitted += 1;
            self.send(bytes, to);
        }
    }

    /// When our re-INVITE goes again or is given up.
    pub(super) fn reinvite_timers(refresh: &Refresh) -> [Option<Instant>; 2] {
        let again = |backoff: &Backoff| backoff.due;
        match &refresh.invite.phase {
            InvitePhase::Calling(backoff) => [Some(again(backoff)), Some(refresh.until)],
            InvitePhase::Proceeding => [None, Some(refresh.until)],
            InvitePhase::Completed { .. } | InvitePhase::Accepted => [None, None],
        }
    }

    /// 408, 481 or silence within the dialog ends it (RFC 3261 §12.2.1.2).
    pub(super) fn peer_is_gone(&mut self, now: Instant) {
        self.end_talk(EndCause::NoResponse, now);
    }
}
