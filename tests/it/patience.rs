//! Waiting for what another process will do: its database, files and wire are looked at until they say so.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// What was found, or `None` when the time was up.
pub async fn until<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    let mut looks = interval(LOOKS_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let found = look().await;
        if found.is_some() || began.elapsed() > limit {
            return found;
        }
    }
}
