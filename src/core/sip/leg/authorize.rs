//! A leg's answers to 401 and 407, before and within the dialog (RFC 3261 §22).

use super::Leg;
use super::send::token;
use crate::sip::digest::{Challenge, Signed};
use crate::sip::message::{Request, Response};

/// The most challenges that one request may meet: two proxies and a server, one stale nonce each, fit in.
pub const MAX_CHALLENGES: usize = 5;

/// A challenge that was learnt, and how often its nonce was used.
pub struct Authorization {
    challenge: Challenge,
    /// Authorization or Proxy-Authorization.
    header: &'static str,
    count: u32,
}

impl Leg {
    /// Learns the challenge that refused `request`; false when a repetition is hopeless.
    ///
    /// A request that already answered this realm is repeated only for `stale=true` (RFC 7616 §3.3).
    pub(super) fn learn(&mut self, request: &Request, response: &Response) -> bool {
        if self.config.credentials.is_none() {
            return false;
        }
        let (asks, header) = match response.status {
            401 => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let Some(challenge) = Challenge::choose(response.headers.all(asks)) else {
            return false;
        };
        let was_answered = request
            .headers
            .all(header)
            .any(|value| challenge.has_realm_of(value));
        if was_answered && !challenge.stale {
            return false;
        }
        self.authorizations
            .retain(|known| known.header != header || known.challenge.realm != challenge.realm);
        self.authorizations.push(Authorization {
            challenge,
            header,
            count: 0,
        });
        true
    }

    /// Answers every challenge learnt so far: several proxies may each want theirs.
    pub(super) fn sign(&mut self, request: &mut Request) {
        let Some(credentials) = &self.config.credentials else {
            return;
        };
        for authorization in &mut self.authorizations {
            authorization.count += 1;
            let cnonce = token(&mut self.random, 16);
            let signed = Signed {
                method: request.method.name(),
                uri: &request.uri,
                body: &request.body,
            };
            let value =
                authorization
                    .challenge
                    .answer(credentials, &signed, &cnonce, authorization.count);
            request.headers.push(authorization.header, value);
        }
    }
}
