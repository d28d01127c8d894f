//! Handing the callee on to somebody else: REFER (RFC 3515), and the NOTIFYs that say what came of it.
//!
//! A 202 is no success: only a NOTIFY tells one, and some peers leave its body out, send it before the 202, or hang up
//! before it. So the wait outlives the call, and ends by itself.

use std::time::Duration;

use super::{Leg, State};
use crate::sip::event::{LegEvent, LegOutput, Transfer};
use crate::sip::message::{Method, Request, Response, parameter};
use crate::sip::transaction::{ClientRequest, Purpose, TIMEOUT};
use crate::time::Instant;

/// The longest wait for the outcome, unless the peer grants its notices longer.
const PATIENCE: Duration = Duration::from_secs(90);
/// No peer's grant is believed beyond this.
const LONGEST: Duration = Duration::from_secs(600);

/// A transfer that is under way.
pub struct Referral {
    to: String,
    pub until: Instant,
    /// The last status that a notice told.
    told: Option<u16>,
}

impl Leg {
    /// Asks the peer to call `uri` in our place. False where there is no call, or a transfer is under way.
    ///
    /// [`LegEvent::Transfer`] tells what comes of it; the call goes on until somebody hangs up.
    pub fn refer(&mut self, uri: &str, now: Instant) -> bool {
        if !matches!(self.state, State::Talking(_)) || self.referral.is_some() {
            return false;
        }
        self.referral = Some(Referral {
            to: uri.to_owned(),
            until: now + PATIENCE,
            told: None,
        });
        self.has_referred = true;
        self.send_refer(0, now);
        true
    }

    /// A transfer has no outcome yet. After the end of the call too: the outcome is told even then.
    pub fn awaits_transfer(&self) -> bool {
        self.referral.is_some()
    }

    pub(super) fn send_refer(&mut self, challenged: usize, now: Instant) {
        let branch = self.branch();
        let (contact, by) = (self.contact(), format!("<{}>", self.config.from_uri));
        let (State::Talking(talk), Some(referral)) = (&mut self.state, &self.referral) else {
            return;
        };
        let mut request = talk.dialog.request(Method::Refer, &branch);
        let (to, transport) = (talk.dialog.flow(), talk.dialog.transport());
        request.headers.push("Contact", contact);
        request
            .headers
            .push("Refer-To", format!("<{}>", referral.to));
        request.headers.push("Referred-By", by);
        if challenged > 0 {
            self.authorizer.sign(&mut request, &mut self.random);
        }
        let refer = ClientRequest::new(request, branch, Purpose::Refer, to, transport, now);
        self.send_request(refer, challenged);
    }

    /// The final answer to our REFER; a challenge was looked at before.
    pub(super) fn referred(&mut self, response: &Response) {
        if self.referral.is_none() {
            return;
        }
        if response.status < 300 {
            self.tell_transfer(Transfer::Accepted);
        } else {
            self.end_transfer(Transfer::Refused {
                status: Some(response.status),
            });
        }
    }

    /// Whether a NOTIFY is of our transfer; then it was read.
    pub(super) fn is_notice(&mut self, request: &Request, now: Instant) -> bool {
        let event = request.headers.first("Event").unwrap_or_default();
        let name = event.split(';').next().unwrap_or_default().trim();
        if !self.has_referred || !name.eq_ignore_ascii_case("refer") {
            return false;
        }
        let state = request
            .headers
            .first("Subscription-State")
            .unwrap_or_default();
        let is_last = state
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("terminated");
        let status = fragment_status(&request.body);
        let Some(referral) = &mut self.referral else {
            // The outcome is known; the peer says it again.
            return true;
        };
        let granted = parameter(state, "expires").and_then(|seconds| seconds.parse().ok());
        if let Some(seconds) = granted {
            referral.until = referral
                .until
                .max(now + Duration::from_secs(seconds).min(LONGEST));
        }
        match status {
            Some(status) if status >= 200 => {
                self.end_transfer(Transfer::Ended {
                    status: Some(status),
                });
                return true;
            }
            Some(status) if referral.told != Some(status) => {
                referral.told = Some(status);
                self.tell_transfer(Transfer::Trying { status });
            }
            Some(_) | None => {}
        }
        if is_last {
            self.end_transfer(Transfer::Ended { status: None });
        }
        true
    }

    /// The peer hung up: what is not told by then is never told.
    pub(super) fn hasten_transfer(&mut self, now: Instant) {
        if let Some(referral) = &mut self.referral {
            referral.until = referral.until.min(now + TIMEOUT);
        }
    }

    pub(super) fn check_transfer(&mut self, now: Instant) {
        if self
            .referral
            .as_ref()
            .is_some_and(|referral| now >= referral.until)
        {
            self.end_transfer(Transfer::Ended { status: None });
        }
    }

    /// No answer to the REFER at all.
    pub(super) fn refer_timed_out(&mut self) {
        if self.referral.is_some() {
            self.end_transfer(Transfer::Refused { status: None });
        }
    }

    fn end_transfer(&mut self, outcome: Transfer) {
        self.referral = None;
        self.tell_transfer(outcome);
    }

    fn tell_transfer(&mut self, transfer: Transfer) {
        self.outputs
            .push_back(LegOutput::Event(LegEvent::Transfer(transfer)));
    }
}

/// The status of a `message/sipfrag` (RFC 3420): the new target's status line, whatever follows it.
fn fragment_status(body: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(body);
    let line = text.trim_start().lines().next()?;
    let mut words = line.split_whitespace();
    let version = words.next()?.to_ascii_uppercase();
    let status = words.next()?.parse().ok()?;
    (version.starts_with("SIP/") && (100..700).contains(&status)).then_some(status)
}
