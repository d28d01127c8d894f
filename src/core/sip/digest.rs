//! Digest authentication (RFC 8760 on RFC 7616 and RFC 2617): reading challenges, answering the one we prefer.
//!
//! MD5 and SHA-256, plain and `-sess`; qop `auth` and `auth-int`, or none. Of each realm SHA-256
//! is answered wherever it stands, else the topmost challenge with a known algorithm: RFC 8760 §2.4 lets our own policy go
//! before the peer's order, and many list MD5 first out of habit. Unknown algorithms are passed over.

use md5::Md5;
use sha2::{Digest, Sha256};

use super::message::split_list;
use crate::phi::Phi;

/// A trunk's account.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: String,
    pub password: Phi<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Algorithm> {
        [
            Algorithm::Md5,
            Algorithm::Md5Sess,
            Algorithm::Sha256,
            Algorithm::Sha256Sess,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    fn hash(self, text: &[u8]) -> String {
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess => hex(&Md5::digest(text)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => hex(&Sha256::digest(text)),
        }
    }

    fn is_weaker_than(self, other: Algorithm) -> bool {
        let is_md5 = |algorithm| matches!(algorithm, Algorithm::Md5 | Algorithm::Md5Sess);
        is_md5(self) && !is_md5(other)
    }

    fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qop {
    None,
    Auth,
    AuthInt,
}

/// A challenge that we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub stale: bool,
    pub algorithm: Algorithm,
    /// The algorithm was named, so the answer names it too.
    named: bool,
    opaque: Option<String>,
    qop: Qop,
}

impl Challenge {
    /// Of each realm the strongest challenge that can be answered, the topmost among equals, of all header values.
    pub fn of_each_realm<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
        let mut chosen: Vec<Challenge> = Vec::new();
        let readable = values
            .flat_map(split_challenges)
            .filter_map(|pairs| Challenge::read(&pairs));
        for challenge in readable {
            let mut known = chosen.iter_mut();
            match known.find(|known| known.realm == challenge.realm) {
                None => chosen.push(challenge),
                Some(known) if known.algorithm.is_weaker_than(challenge.algorithm) => {
                    *known = challenge;
                }
                Some(_) => {}
            }
        }
        chosen
    }

    fn read(pairs: &[(String, String)]) -> Option<Challenge> {
        let value = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let qop = match value("qop") {
            None | Some("") => Qop::None,
            Some(list) => {
                [("auth", Qop::Auth), ("auth-int", Qop::AuthInt)]
                    .into_iter()
                    .find(|(name, _)| {
                        list.split(',')
                            .any(|offered| offered.trim().eq_ignore_ascii_case(name))
                    })?
                    .1
            }
        };
        Some(Challenge {
            realm: value("realm")?.to_owned(),
            nonce: value("nonce")?.to_owned(),
            stale: value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            algorithm: value("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            named: value("algorithm").is_some(),
            opaque: value("opaque").map(str::to_owned),
            qop,
        })
    }

    /// Whether `answer`, the value of an Authorization, is for this realm.
    pub fn has_realm_of(&self, answer: &str) -> bool {
        split_challenges(answer)
            .iter()
            .flatten()
            .any(|(key, value)| key.eq_ignore_ascii_case("realm") && *value == self.realm)
    }

    /// The value of Authorization or Proxy-Authorization; `count` is how often this nonce was used, from 1.
    pub fn answer(
        &self,
        credentials: &Credentials,
        request: &Signed<'_>,
        cnonce: &str,
        count: u32,
    ) -> String {
        let response = self.response(credentials, request, cnonce, count);
        let Challenge {
            realm,
            nonce,
            algorithm,
            ..
        } = self;
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(&credentials.username),
            quoted(realm),
            quoted(nonce),
            quoted(request.uri),
        );
        if self.named {
            value.push_str(&format!(", algorithm={}", algorithm.name()));
        }
        match self.qop {
            Qop::None if algorithm.is_session() => {
                value.push_str(&format!(", cnonce=\"{cnonce}\""))
            }
            Qop::None => {}
            Qop::Auth => {
                value.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""))
            }
            Qop::AuthInt => value.push_str(&format!(
                ", qop=auth-int, nc={count:08x}, cnonce=\"{cnonce}\""
            )),
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        value
    }

    /// RFC 7616 §3.4.1.
    fn response(
        &self,
        credentials: &Credentials,
        request: &Signed<'_>,
        cnonce: &str,
        count: u32,
    ) -> String {
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let Challenge { realm, nonce, .. } = self;
        let account = hash(format!(
            "{}:{realm}:{}",
            credentials.username,
            credentials.password.expose()
        ));
        let ha1 = if self.algorithm.is_session() {
            hash(format!("{account}:{nonce}:{cnonce}"))
        } else {
            account
        };
        let Signed { method, uri, body } = request;
        match self.qop {
            Qop::None => {
                let ha2 = hash(format!("{method}:{uri}"));
                hash(format!("{ha1}:{nonce}:{ha2}"))
            }
            Qop::Auth => {
                let ha2 = hash(format!("{method}:{uri}"));
                hash(format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"))
            }
            Qop::AuthInt => {
                let ha2 = hash(format!("{method}:{uri}:{}", self.algorithm.hash(body)));
                hash(format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth-int:{ha2}"))
            }
        }
    }
}

/// What of a request the digest covers.
pub struct Signed<'a> {
    pub method: &'a str,
    pub uri: &'a str,
    pub body: &'a [u8],
}

/// One value may hold several challenges (RFC 3261 §20.27 forbids it, peers do it): cut before each scheme.
fn split_challenges(value: &str) -> Vec<Vec<(String, String)>> {
    let mut challenges: Vec<Vec<(String, String)>> = Vec::new();
    let mut is_digest = false;
    for item in split_list(value, ',') {
        let (head, text) = item.split_once('=').unwrap_or((item, ""));
        let mut words = head.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        let key = match second {
            Some(key) => {
                is_digest = first.eq_ignore_ascii_case("Digest");
                if is_digest {
                    challenges.push(Vec::new());
                }
                key
            }
            None => first,
        };
        if let Some(pairs) = challenges.last_mut().filter(|_| is_digest) {
            pairs.push((key.to_owned(), unquoted(text.trim())));
        }
    }
    challenges
}

fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else {
        return text.to_owned();
    };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' {
            chars.next().unwrap_or(c)
        } else {
            c
        });
    }
    plain
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Challenge, Credentials, Signed};
    use crate::phi::Phi;

    fn only(value: &str) -> Challenge {
        let mut all = Challenge::of_each_realm([value].into_iter());
        assert_eq!(all.len(), 1, "one challenge that we know");
        all.remove(0)
    }

    fn response(challenge: &str, password: &str, cnonce: &str) -> String {
        let challenge = only(challenge);
        let credentials = Credentials {
            username: "Mufasa".into(),
            password: Phi::new(password.into()),
        };
        let request = Signed {
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
        };
        let answer = challenge.answer(&credentials, &request, cnonce, 1);
        let (_, rest) = answer.split_once("response=\"").expect("a response");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_examples_of_the_rfcs_come_out() {
        let rfc7616 = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
            nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", algorithm=";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        assert_eq!(
            response(&format!("{rfc7616}SHA-256"), "Circle of Life", cnonce),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
        assert_eq!(
            response(&format!("{rfc7616}MD5"), "Circle of Life", cnonce),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
        let rfc2617 = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        assert_eq!(
            response(rfc2617, "Circle Of Life", "0a4f113b"),
            "6629fae49393a05397450978507c4ef1"
        );
    }

    #[test]
    fn quoted_pairs_are_unquoted_for_the_hash_and_quoted_again() {
        let value = "Digest realm=\"a\\\"b, c\", nonce=\"n\"";
        let challenge = only(value);
        assert_eq!(challenge.realm, "a\"b, c");
        let credentials = Credentials {
            username: "u".into(),
            password: Phi::new("p".into()),
        };
        let request = Signed {
            method: "BYE",
            uri: "sip:h",
            body: b"",
        };
        let answer = challenge.answer(&credentials, &request, "c", 1);
        assert!(answer.contains("realm=\"a\\\"b, c\"") && !answer.contains("qop"));
    }

    #[test]
    fn sessions_whole_bodies_and_no_qop_at_all_are_reckoned_by_their_own_rules() {
        // Reckoned apart, with Python's hashlib.
        for (algorithm, qop, expected) in [
            ("MD5-sess", "auth", "b7d3aedaa7e5fc933d4166d0246eeccf"),
            (
                "SHA-256-sess",
                "auth",
                "62c799f26d36c816132123b90abf1571656a3563dd608929ceb31ae515974c4b",
            ),
            ("MD5", "auth-int", "9834efdafb5ae6d6b404dca1218d6696"),
            ("MD5", "", "9751d92a32ff61a7c3716b4554ed66dd"),
        ] {
            let value =
                format!("Digest realm=\"r\", nonce=\"n\", algorithm={algorithm}, qop=\"{qop}\"");
            assert_eq!(response(&value, "p", "c"), expected, "{algorithm} {qop}");
        }
    }
}
