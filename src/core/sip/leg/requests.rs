//! Answers to what we sent besides the INVITE: CANCEL, BYE, PRACK, UPDATE, REFER.

use super::{Leg, State};
use crate::sip::authorize::MAX_CHALLENGES;
use crate::sip::message::{Method, Response};
use crate::sip::transaction::{ClientRequest, Purpose};
use crate::time::Instant;

impl Leg {
    pub(super) fn handle_request_response(
        &mut self,
        index: usize,
        response: &Response,
        now: Instant,
    ) {
        if response.is_provisional() {
            self.requests[index].backoff.slow_down(now);
            return;
        }
        let ClientRequest {
            request,
            purpose,
            to,
            transport,
            challenged,
            ..
        } = self.requests.swap_remove(index);
        let challenged = challenged + 1;
        let may_repeat = matches!(response.status, 401 | 407)
            && challenged <= MAX_CHALLENGES
            && !matches!(purpose, Purpose::Cancel)
            && self.authorizer.learn(&request, response);
        match purpose {
            // A CANCEL cannot be challenged (RFC 3261 §22.1).
            Purpose::Cancel | Purpose::Outside => {}
            Purpose::Bye(mut dialog) if may_repeat => {
                let branch = self.branch();
                let mut request = dialog.request(Method::Bye, &branch);
                self.authorizer.sign(&mut request, &mut self.random);
                let purpose = Purpose::Bye(dialog);
                let bye = ClientRequest::new(request, branch, purpose, to, transport, now);
                self.send_request(bye, challenged);
            }
            Purpose::Bye(_) => {}
            Purpose::Prack { tag, rack } if may_repeat => {
                self.send_prack(tag, rack, challenged, now);
            }
            // The call goes on: a peer that misses its PRACK ends it by itself.
            Purpose::Prack { .. } => {}
            Purpose::Refresh if may_repeat => self.send_update(challenged, now),
            Purpose::Refresh => self.refreshed(response, now),
            Purpose::Refer if may_repeat => self.send_refer(challenged, now),
            Purpose::Refer => self.referred(response),
        }
    }

    /// Timer F of a request: only a session refresh that nobody answers says that the peer is gone (§12.2.1.2).
    pub(super) fn request_timed_out(&mut self, request: &ClientRequest, now: Instant) {
        match request.purpose {
            Purpose::Refresh if matches!(self.state, State::Talking(_)) => self.peer_is_gone(now),
            Purpose::Refer => self.refer_timed_out(),
            Purpose::Refresh
            | Purpose::Cancel
            | Purpose::Bye(_)
            | Purpose::Prack { .. }
            | Purpose::Outside => {}
        }
    }
}
