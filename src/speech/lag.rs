//! How far the ears are behind: utterances that wait for a recogniser will be answered late, and more calls would
//! make them later.

use std::time::{Duration, Instant};

/// A mean wait from which on no more calls are begun: with the decode itself (0.3 to 0.5 s) the answer is still in
/// time, and a call that is dialled now talks in ten seconds.
const BEHIND: Duration = Duration::from_millis(300);
/// It must have shrunk to this before calls are begun again, so that the loop does not swing.
const CAUGHT_UP: Duration = Duration::from_millis(100);
/// An ear that nobody has asked for so long waits for nobody.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The waits of the last utterances.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    mean: Duration,
    at: Instant,
    is_behind: bool,
}

impl Lag {
    pub fn new(now: Instant) -> Lag {
        Lag {
            mean: Duration::ZERO,
            at: now,
            is_behind: false,
        }
    }

    /// An utterance waited so long until it was begun: the mean moves a quarter of the way towards it.
    pub fn waited(&mut self, wait: Duration, now: Instant) {
        self.mean = (self.mean_at(now) * 3 + wait) / 4;
        self.at = now;
        self.is_behind = self.is_behind_at(now);
    }

    /// Whether no more calls should be begun.
    pub fn is_behind_at(&self, now: Instant) -> bool {
        let enough = if self.is_behind { CAUGHT_UP } else { BEHIND };
        self.mean_at(now) >= enough
    }

    /// The mean wait of the last utterances.
    pub fn mean_at(&self, now: Instant) -> Duration {
        if now.duration_since(self.at) >= FORGOTTEN {
            Duration::ZERO
        } else {
            self.mean
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ears_are_behind_until_they_have_caught_up_or_rested() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lag = Lag::new(start);
        lag.waited(Duration::from_millis(800), at(0));
        assert!(!lag.is_behind_at(at(0)), "one late answer is none");
        lag.waited(Duration::from_millis(800), at(1));
        assert!(lag.is_behind_at(at(1)));
        lag.waited(Duration::ZERO, at(2));
        assert!(
            lag.is_behind_at(at(2)),
            "under the first mark, over the second"
        );
        assert!(!lag.is_behind_at(at(12)), "nobody waited for ten seconds");
        for second in 3..8 {
            lag.waited(Duration::ZERO, at(second));
        }
        assert!(!lag.is_behind_at(at(8)));
    }
}
