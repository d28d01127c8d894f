//! One direction of a network: latency, jitter (and so reordering) and loss, all from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::time::Instant;

/// How a link treats its datagrams.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    pub latency: Duration,
    /// Added on top of the latency, uniformly.
    pub jitter: Duration,
    /// Share of datagrams that never arrive, 0–1.
    pub loss: f64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(30),
            jitter: Duration::ZERO,
            loss: 0.0,
        }
    }
}

/// Datagrams under way.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    rng: ChaCha8Rng,
    /// By arrival, then by order of sending.
    under_way: BTreeMap<(Instant, u64), T>,
    sent: u64,
}

impl<T> Link<T> {
    pub fn new(config: LinkConfig, seed: [u8; 32]) -> Self {
        Self {
            config,
            rng: ChaCha8Rng::from_seed(seed),
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    pub fn send(&mut self, datagram: T, now: Instant) {
        let lost = unit(&mut self.rng) < self.config.loss;
        let jitter = self.config.jitter.mul_f64(unit(&mut self.rng));
        if !lost {
            self.sent += 1;
            self.under_way
                .insert((now + self.config.latency + jitter, self.sent), datagram);
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }

    /// A datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<T> {
        let entry = self
            .under_way
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

/// Uniform in [0, 1).
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_loses_the_same_datagrams() {
        let config = LinkConfig {
            loss: 0.5,
            jitter: Duration::from_millis(40),
            ..LinkConfig::default()
        };
        let run = || {
            let mut link = Link::new(config.clone(), [7; 32]);
            for n in 0..100u32 {
                link.send(n, Instant::from_millis(u64::from(n) * 20));
            }
            std::iter::from_fn(|| link.receive(Instant::from_millis(60_000))).collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        assert!((30..70).contains(&first.len()), "{}", first.len());
        assert!(
            first.windows(2).any(|pair| pair[0] > pair[1]),
            "jitter of two packets reorders some"
        );
    }
}
