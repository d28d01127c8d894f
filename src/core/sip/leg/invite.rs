//! Answers to our INVITE: provisional, accepted, refused, and which refusals make it go again.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Leg, Setup, State, Talk};
use crate::sip::authorize::MAX_CHALLENGES;
use crate::sip::dialog::Dialog;
use crate::sip::event::{EndCause, LegEvent, LegOutput, RedirectHost, Target};
use crate::sip::message::{Response, address_uri, host_port, is_uri, parameter};
use crate::sip::sdp::{MediaAnswer, SdpError};
use crate::sip::transaction::InvitePhase;
use crate::time::Instant;

/// The most 3xx that one call follows (RFC 3261 §8.1.3.4 leaves it to us).
const MAX_REDIRECTS: usize = 5;
/// The most 422 that one call answers with a longer interval: each proxy on the way may have its own least.
const MAX_INTERVALS: usize = 3;
/// The longest rest that a 503 may ask for a target.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// The rest of a target that kept silent or gave no `Retry-After`.
const REST: Duration = Duration::from_secs(30);

impl Leg {
    pub(super) fn handle_invite_response(
        &mut self,
        index: usize,
        response: &Response,
        now: Instant,
    ) {
        match response.status {
            ..=199 => self.handle_provisional(index, response, now),
            200..=299 => self.handle_accepted(index, response, now),
            300.. => self.handle_refused(index, response, now),
        }
    }

    fn handle_provisional(&mut self, index: usize, response: &Response, now: Instant) {
        let is_live = index + 1 == self.invites.len();
        let invite = &mut self.invites[index];
        match invite.phase {
            InvitePhase::Calling(_) => invite.phase = InvitePhase::Proceeding,
            InvitePhase::Proceeding => {}
            InvitePhase::Completed { .. } | InvitePhase::Accepted => return,
        }
        self.rang |= (180..190).contains(&response.status);
        let is_new = self.acknowledge_provisional(index, response, now);
        match &self.state {
            State::Inviting(Setup { leaving: None, .. }) if is_live && !is_new => {}
            State::Inviting(Setup { leaving: None, .. }) if is_live => self.tell_progress(response),
            // We left, were answered elsewhere, or went on to the next target; only now may the CANCEL go out (§9.1).
            State::Rung(_) | State::Inviting(_) | State::Talking(_) | State::Ended { .. } => {
                self.send_cancel(index, now);
            }
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
        match self.media.read_answer(&response.body, None) {
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
            let (ack, to) = ack.clone();
            self.send(ack, to);
            return;
        }
        self.invites[index].phase = InvitePhase::Accepted;
        let invite = &self.invites[index];
        let mut dialog = Dialog::of_answer(invite, response, &self.config.via_host);
        if let Some(early) = self.early_dialogs.get(&tag) {
            dialog.continue_from(&early.dialog);
        }
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
        match self.answer_of(setup, &dialog, response) {
            Ok(answer) => self.talk(index, dialog, answer, response, now),
            Err(_) => {
                self.stats.bad_sdp += 1;
                self.send_bye(dialog, now);
                self.end(EndCause::NoCommonMedia, Some(response.status), None, now);
            }
        }
    }

    /// The description in a 2xx, or the one that came before it with a provisional of its branch, or of the only one.
    fn answer_of(
        &self,
        setup: &Setup,
        dialog: &Dialog,
        response: &Response,
    ) -> Result<MediaAnswer, SdpError> {
        if !response.body.is_empty() {
            return self.media.read_answer(&response.body, None);
        }
        let only = setup.early.values().next();
        let only = only.filter(|_| setup.early.len() == 1);
        let known = setup.early.get(dialog.remote_tag()).or(only);
        known.cloned().ok_or(SdpError::NotSdp)
    }

    fn talk(
        &mut self,
        index: usize,
        dialog: Dialog,
        answer: MediaAnswer,
        response: &Response,
        now: Instant,
    ) {
        let session = self.session_of(response, now);
        self.media.settle(&answer);
        self.state = State::Talking(Box::new(Talk {
            dialog,
            answer: answer.clone(),
            takes_update: response.headers.lists("Allow", "UPDATE"),
            session,
            refresh: None,
        }));
        self.early_dialogs.clear();
        self.outputs
            .push_back(LegOutput::Event(LegEvent::Answered(answer)));
        // A target that was given up may be ringing still.
        for other in 0..self.invites.len() {
            if other != index {
                self.send_cancel(other, now);
            }
        }
    }

    fn handle_refused(&mut self, index: usize, response: &Response, now: Instant) {
        let is_live = index + 1 == self.invites.len();
        let invite = &mut self.invites[index];
        match &invite.phase {
            InvitePhase::Calling(_) | InvitePhase::Proceeding => {}
            InvitePhase::Completed { ack } => {
                self.stats.retransmitted += 1;
                let (ack, to) = (ack.clone(), invite.to);
                self.send(ack, to);
                return;
            }
            InvitePhase::Accepted => {
                self.stats.stray += 1;
                return;
            }
        }
        let ack = invite.ack_refusal(response);
        invite.phase = InvitePhase::Completed { ack: ack.clone() };
        let to = invite.to;
        self.send(ack, to);
        let State::Inviting(setup) = &self.state else {
            return;
        };
        if !is_live {
            return;
        }
        let (status, q850) = (response.status, response.headers.q850_cause());
        let leaving = setup.leaving;
        let why = match leaving {
            Some(why) => why,
            None if self.tries_again(index, response, now) => return,
            None => match status {
                401 | 407 => EndCause::AuthFailed,
                300..=399 => EndCause::Redirected,
                _ => EndCause::Rejected,
            },
        };
        self.end(why, Some(status), q850, now);
    }

    /// Whether the refusal names a cure, and the INVITE went out again with it (§8.1.3.5: same Call-ID and From, the
    /// next CSeq, a new branch).
    fn tries_again(&mut self, index: usize, response: &Response, now: Instant) -> bool {
        let again = match response.status {
            401 | 407 => self.learn_challenge(index, response),
            422 => self.learn_interval(response),
            300..=399 => self.follow(response),
            // A telephone that was reached is not rung a second time by another way.
            503 if self.is_under_way() => false,
            503 => {
                let pause = response.headers.seconds("Retry-After").unwrap_or(REST);
                return self.next_target(pause.min(LONGEST_REST), now);
            }
            _ => false,
        };
        if again {
            let cseq = self.invites[index].cseq + 1;
            self.send_invite(cseq, now);
        }
        again
    }

    fn learn_challenge(&mut self, index: usize, response: &Response) -> bool {
        if self.tries.challenges == MAX_CHALLENGES {
            return false;
        }
        self.tries.challenges += 1;
        self.authorizer
            .learn(&self.invites[index].request, response)
    }

    /// 422: the interval was too short for somebody on the way (RFC 4028 §7.3).
    fn learn_interval(&mut self, response: &Response) -> bool {
        let Some(least) = response.headers.seconds("Min-SE") else {
            return false;
        };
        let is_longer = self.min_session.is_none_or(|known| least > known);
        if !is_longer || self.tries.intervals == MAX_INTERVALS {
            return false;
        }
        self.tries.intervals += 1;
        self.min_session = Some(least);
        true
    }

    /// 3xx: the Contacts on allowed hosts that were not tried yet, the most wanted one first (§8.1.3.4).
    fn follow(&mut self, response: &Response) -> bool {
        let quality = |contact: &str| {
            parameter(contact, "q")
                .and_then(|q| q.parse().ok())
                .unwrap_or(1.0_f32)
        };
        let mut contacts: Vec<&str> = response.headers.all("Contact").collect();
        contacts.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
        let mut allowed: Vec<Target> = Vec::new();
        for contact in contacts {
            let uri = without_headers(address_uri(contact));
            let is_known = uri == self.here.request_uri
                || self.tries.redirects.iter().any(|followed| followed == uri)
                || allowed.iter().any(|target| target.request_uri == uri);
            if let Some(address) = allowed_address(&self.config.redirects, uri)
                && is_uri(uri)
                && !is_known
            {
                allowed.push(Target {
                    request_uri: uri.to_owned(),
                    address,
                    transport: self.here.transport,
                });
            }
        }
        // What this answer names comes before what an earlier one left.
        allowed.append(&mut self.tries.elsewhere);
        self.tries.elsewhere = allowed;
        self.go_elsewhere()
    }

    /// On to the next place that a 3xx named, where there is one left.
    fn go_elsewhere(&mut self) -> bool {
        if self.tries.elsewhere.is_empty() || self.tries.redirects.len() == MAX_REDIRECTS {
            return false;
        }
        self.here = self.tries.elsewhere.remove(0);
        self.tries.redirects.push(self.here.request_uri.clone());
        true
    }

    /// Goes on to the next target, if there is one; the one that failed should rest for `pause`.
    pub(super) fn next_target(&mut self, pause: Duration, now: Instant) -> bool {
        self.outputs.push_back(LegOutput::Rest {
            target: self.here.address,
            pause,
        });
        let Some(cseq) = self.invites.last().map(|invite| invite.cseq + 1) else {
            return false;
        };
        if !self.go_elsewhere() {
            let Some(next) = self.config.targets.get(self.target + 1) else {
                return false;
            };
            self.here = next.clone();
            self.target += 1;
        }
        self.tries.challenges = 0;
        self.tries.tcp_refused = false;
        self.send_invite(cseq, now);
        true
    }

    /// More than 100 came back: a telephone may have rung, or an announcement was heard.
    fn is_under_way(&self) -> bool {
        matches!(&self.state, State::Inviting(setup) if setup.told.iter().any(|status| *status > 100))
    }

    /// The connection to `to` could not be made: what was to go over it was heard by nobody.
    pub fn handle_refused_connection(&mut self, to: SocketAddr, now: Instant) {
        let State::Inviting(setup) = &self.state else {
            return;
        };
        let Some(invite) = self.invites.last() else {
            return;
        };
        let is_unheard = matches!(invite.phase, InvitePhase::Calling(_));
        if invite.to != to || !invite.transport.is_stream() || !is_unheard {
            return;
        }
        if setup.leaving.is_none() && !self.here.transport.is_stream() {
            self.tries.tcp_refused = true;
            let cseq = invite.cseq + 1;
            self.send_invite(cseq, now);
        } else {
            self.give_up_target(now);
        }
    }

    /// The live target kept silent for the whole limit.
    pub(super) fn give_up_target(&mut self, now: Instant) {
        let leaving = match &self.state {
            State::Inviting(setup) => setup.leaving,
            State::Rung(_) | State::Talking(_) | State::Ended { .. } => return,
        };
        match leaving {
            Some(why) => self.end(why, None, None, now),
            None if self.next_target(REST, now) => {}
            None => self.end(EndCause::NoResponse, None, None, now),
        }
    }
}

/// A Contact's URI may carry headers after `?` that its server wants in the INVITE: they are not taken over (§19.1.5).
fn without_headers(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

fn allowed_address(allowed: &[RedirectHost], uri: &str) -> Option<SocketAddr> {
    let (host, port) = host_port(uri)?;
    let known = allowed.iter().find(|known| {
        known.host.eq_ignore_ascii_case(host) && known.port.is_none_or(|only| only == port)
    })?;
    Some((known.ip, port).into())
}
