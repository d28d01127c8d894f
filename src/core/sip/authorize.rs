//! Answers to 401 and 407, before and within a dialog (RFC 3261 §22).

use rand_chacha::ChaCha20Rng;

use super::digest::{Challenge, Credentials, Signed};
use super::message::{Request, Response, token};

/// The most challenges that one request may meet: two proxies and a server, one stale nonce each, fit in.
pub const MAX_CHALLENGES: usize = 5;

/// What one client of a server has learnt of its challenges.
pub struct Authorizer {
    credentials: Option<Credentials>,
    known: Vec<Known>,
}

/// A challenge that was learnt, and how often its nonce was used.
struct Known {
    challenge: Challenge,
    /// Authorization or Proxy-Authorization.
    header: &'static str,
    count: u32,
}

impl Authorizer {
    pub fn new(credentials: Option<Credentials>) -> Authorizer {
        Authorizer {
            credentials,
            known: Vec::new(),
        }
    }

    /// Learns the challenges that refused `request`, one a realm; false when a repetition is hopeless.
    ///
    /// A request that already answered a realm is repeated only for `stale=true` (RFC 7616 §3.3), or where it used a nonce of an
    /// earlier one: many servers forget it without a word.
    pub fn learn(&mut self, request: &Request, response: &Response) -> bool {
        if self.credentials.is_none() {
            return false;
        }
        let (asks, header) = match response.status {
            401 => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let mut learnt = false;
        for challenge in Challenge::of_each_realm(response.headers.all(asks)) {
            let was_answered = request
                .headers
                .all(header)
                .any(|value| challenge.has_realm_of(value));
            let mut known = self.known.iter();
            let is_reused = known.any(|known| {
                known.header == header
                    && known.challenge.realm == challenge.realm
                    && known.challenge.nonce != challenge.nonce
                    && known.count > 1
            });
            if was_answered && !challenge.stale && !is_reused {
                continue;
            }
            self.known
                .retain(|known| known.header != header || known.challenge.realm != challenge.realm);
            self.known.push(Known {
                challenge,
                header,
                count: 0,
            });
            learnt = true;
        }
        learnt
    }

    /// Answers every challenge learnt so far: several proxies may each want theirs.
    pub fn sign(&mut self, request: &mut Request, random: &mut ChaCha20Rng) {
        let Some(credentials) = &self.credentials else {
            return;
        };
        for known in &mut self.known {
            known.count += 1;
            let cnonce = token(random, 16);
            let signed = Signed {
                method: request.method.name(),
                uri: &request.uri,
                body: &request.body,
            };
            let value = known
                .challenge
                .answer(credentials, &signed, &cnonce, known.count);
            request.headers.push(known.header, value);
        }
    }
}
