//! What the media thread lets others see of itself: how its targets stand, how late it wakes calls, how soon a finding was on
//! disk. Counts and times alone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::driver::Holders;

/// So many of the last times are kept exactly.
const KEPT: usize = 10_000;

/// Shared by the thread, the metrics and the health check.
#[derive(Debug)]
pub struct Pulse {
    targets: AtomicUsize,
    /// Silent, refusing, or resting after a call that failed there.
    ill: AtomicUsize,
    /// The registrar refused us, or said nothing, when it was asked last.
    unregistered: AtomicBool,
    /// Telephones of people on call, beside the patients'.
    second_lines: AtomicU32,
    /// How long after its time a call was woken: a frame is due every 20 ms.
    pub wake_late_seconds: Histogram,
    /// From the end of the utterance to the finding, and the order that it raises, on disk.
    pub order_durable_seconds: Histogram,
    order_durable: Mutex<VecDeque<Delay>>,
    holders: Arc<Holders>,
}

/// How long a certain finding took from the end of its words until it was on disk with its order, and over what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// Until it was certain that nobody speaks on, and until a recogniser was free.
    pub waiting: Duration,
    /// The recogniser itself, every hearing.
    pub hearing: Duration,
    /// From the judgement to the disk.
    pub storing: Duration,
}

impl Delay {
    pub fn whole(self) -> Duration {
        self.waiting + self.hearing + self.storing
    }
}

/// How the trunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    pub targets: usize,
    pub ill: usize,
    pub unregistered: bool,
}

impl Stand {
    /// No call can be made.
    pub fn is_down(self) -> bool {
        self.unregistered || (self.targets > 0 && self.ill >= self.targets)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            targets: AtomicUsize::new(0),
            ill: AtomicUsize::new(0),
            unregistered: AtomicBool::new(false),
            second_lines: AtomicU32::new(0),
            wake_late_seconds: Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 0.5]),
            order_durable_seconds: Histogram::new([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]),
            order_durable: Mutex::default(),
            holders: Arc::default(),
        }
    }
}

impl Pulse {
    /// Who has the patients that people took over.
    pub fn holders(&self) -> Arc<Holders> {
        Arc::clone(&self.holders)
    }

    pub fn has_second_lines(&self, open: usize) {
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        self.second_lines.store(open, Ordering::Relaxed);
    }

    /// How many lines of the trunk are taken beside the calls'.
    pub fn second_lines(&self) -> u32 {
        self.second_lines.load(Ordering::Relaxed)
    }

    pub fn stands(&self, stand: Stand) {
        self.targets.store(stand.targets, Ordering::Relaxed);
        self.ill.store(stand.ill, Ordering::Relaxed);
        self.unregistered
            .store(stand.unregistered, Ordering::Relaxed);
    }

    pub fn stand(&self) -> Stand {
        Stand {
            targets: self.targets.load(Ordering::Relaxed),
            ill: self.ill.load(Ordering::Relaxed),
            unregistered: self.unregistered.load(Ordering::Relaxed),
        }
    }

    /// A certain finding's order is on disk.
    pub fn durable_after(&self, delay: Delay) {
        self.order_durable_seconds
            .observe(delay.whole().as_secs_f64());
        let mut kept = self
            .order_durable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(delay);
    }

    /// The last such delays, the shortest first.
    pub fn durable_delays(&self) -> Vec<Delay> {
        let kept = self
            .order_durable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut delays: Vec<Delay> = kept.iter().copied().collect();
        delays.sort_unstable_by_key(|delay| delay.whole());
        delays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_down_when_no_target_is_left() {
        for (targets, ill, unregistered, down) in [
            (2, 0, false, false),
            (2, 1, false, false),
            (2, 2, false, true),
            (1, 0, true, true),
            (0, 0, false, false),
        ] {
            let stand = Stand {
                targets,
                ill,
                unregistered,
            };
            assert_eq!(stand.is_down(), down, "{stand:?}");
        }
    }

    #[test]
    fn the_last_times_are_kept() {
        let pulse = Pulse::default();
        for ms in 0..=10_000_u64 {
            pulse.durable_after(Delay {
                hearing: Duration::from_millis(10_000 - ms),
                ..Delay::default()
            });
        }
        let delays = pulse.durable_delays();
        assert_eq!(delays.len(), KEPT);
        let longest = delays.last().map(|delay| delay.whole());
        assert_eq!(longest, Some(Duration::from_millis(9_999)));
    }
}
