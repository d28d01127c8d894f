//! How much one caller may ask: enough for a page that loads everything at once, too little to guess or to flood.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, StatusCode};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::Problem;

/// Requests a second of one caller, and at once.
const REQUESTS: (u32, u32) = (50, 300);
/// Sign-ins a minute from one address, and at once: a ward's PCs may share one.
const SIGN_INS: (u32, u32) = (6, 30);
/// Keys are forgotten beyond so many.
const MANY: usize = 10_000;

/// The limits of one server.
#[derive(Debug)]
pub struct Limits {
    requests: DefaultKeyedRateLimiter<String>,
    sign_ins: DefaultKeyedRateLimiter<IpAddr>,
    trusted_proxies: Vec<IpAddr>,
}

impl Limits {
    pub fn new(trusted_proxies: Vec<IpAddr>) -> Self {
        let count = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let second = Quota::per_second(count(REQUESTS.0)).allow_burst(count(REQUESTS.1));
        let minute = Quota::per_minute(count(SIGN_INS.0)).allow_burst(count(SIGN_INS.1));
        Self {
            requests: RateLimiter::keyed(second),
            sign_ins: RateLimiter::keyed(minute),
            trusted_proxies,
        }
    }

    /// One request of this caller.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub fn request(&self, caller: &str) -> Result<(), Problem> {
        if self.requests.len() > MANY {
            self.requests.retain_recent();
        }
        let taken = self.requests.check_key(&caller.to_owned());
        taken.map_err(|wait| refused(wait.wait_time_from(DefaultClock::default().now())))
    }

    /// One attempt to sign in from where this request comes from.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub fn sign_in(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), Problem> {
        let Some(address) = self.client(headers, extensions) else {
            return Ok(());
        };
        if self.sign_ins.len() > MANY {
            self.sign_ins.retain_recent();
        }
        let taken = self.sign_ins.check_key(&address);
        taken.map_err(|wait| refused(wait.wait_time_from(DefaultClock::default().now())))
    }

    /// The peer; behind a trusted proxy whom that one names last. Others may write there what they like.
    pub fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let peer = peer.ip();
        if !self.trusted_proxies.contains(&peer) {
            return Some(peer);
        }
        let named = headers.get_all("x-forwarded-for").iter().next_back();
        let named = named.and_then(|line| line.to_str().ok());
        let last = named.and_then(|line| line.rsplit(',').next());
        Some(last.and_then(|ip| ip.trim().parse().ok()).unwrap_or(peer))
    }
}

fn refused(wait: std::time::Duration) -> Problem {
    let seconds = wait.as_secs().max(1);
    let detail = format!("too many requests: wait {seconds} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(peer: &str, forwarded: Option<&str>) -> (HeaderMap, Extensions) {
        let mut headers = HeaderMap::new();
        if let Some(named) = forwarded {
            headers.insert("x-forwarded-for", named.parse().expect("ASCII"));
        }
        let mut extensions = Extensions::new();
        let peer: SocketAddr = format!("{peer}:5000").parse().expect("an address");
        extensions.insert(ConnectInfo(peer));
        (headers, extensions)
    }

    #[test]
    fn only_a_trusted_proxy_says_who_asks() {
        let limits = Limits::new(vec!["10.0.0.1".parse().expect("an address")]);
        for (peer, forwarded, client) in [
            ("10.0.0.9", None, "10.0.0.9"),
            ("10.0.0.9", Some("1.2.3.4"), "10.0.0.9"),
            ("10.0.0.1", Some("6.6.6.6, 1.2.3.4"), "1.2.3.4"),
            ("10.0.0.1", Some("nonsense"), "10.0.0.1"),
            ("10.0.0.1", None, "10.0.0.1"),
        ] {
            let (headers, extensions) = asked_by(peer, forwarded);
            let found = limits.client(&headers, &extensions).expect("a peer");
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn one_address_cannot_guess_for_ever_and_stops_nobody_else() {
        let limits = Limits::new(Vec::new());
        let (headers, extensions) = asked_by("10.0.0.9", None);
        let taken = (0..100).filter(|_| limits.sign_in(&headers, &extensions).is_ok());
        assert_eq!(taken.count(), 30);
        let (headers, extensions) = asked_by("10.0.0.8", None);
        assert!(limits.sign_in(&headers, &extensions).is_ok());
    }
}
