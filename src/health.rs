//! Whether this engine may be trusted with a call: clock, disks, trunk, ears, ladder and database, each by its own name.
//!
//! `/health` shows them; while clock or disk is in doubt the engine dials nobody (`run.rs`), because the law's hours and
//! the record of a call hang on them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aftercall_core::time::Timestamp;
use jiff::SignedDuration;

use crate::speech::ears::Ears;
use crate::store::{Store, StoreError};
use crate::trunk::pulse::Pulse;

/// How long the database may take to say that it lives.
const PATIENCE: Duration = Duration::from_secs(2);
/// A wall clock that goes so much faster or slower than time itself between two looks has been set.
const JUMP: SignedDuration = SignedDuration::from_secs(2);
/// So long a clock that was set is in doubt: somebody is to see that it is right now.
const DOUBT: SignedDuration = SignedDuration::from_mins(10);
/// How far the database's clock may be from ours.
const APART_MS: i64 = 2_000;
/// The ears may be behind for so long before a monitor is told: nobody else is dialled from the first moment on.
const BEHIND: Duration = Duration::from_secs(30);
/// A climb that is so late means that no engine climbs.
const CLIMB_LATE: SignedDuration = SignedDuration::from_secs(60);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable: `clock`, `disk`, `trunk`, …
    pub name: &'static str,
    /// What is wrong: a stable code, and words. `None`: nothing.
    pub fault: Option<(&'static str, String)>,
}

impl Check {
    fn of(name: &'static str, fault: Option<(&'static str, String)>) -> Self {
        Self { name, fault }
    }
}

/// What is looked at.
#[derive(Debug, Default)]
pub struct Health {
    /// Folders that are written to: what, and where.
    disks: Vec<(&'static str, PathBuf)>,
    /// Bytes below which a disk counts as full.
    least_free: u64,
    pulse: Option<Arc<Pulse>>,
    ears: Option<Arc<Ears>>,
    ears_behind_since: Mutex<Option<Instant>>,
    clock: Mutex<Clock>,
}

/// The wall clock held against one that nobody can set.
#[derive(Debug, Default)]
struct Clock {
    last: Option<(Timestamp, Instant)>,
    /// When it was seen to jump, by the clock that nobody can set, and how far.
    jumped: Option<(Instant, SignedDuration)>,
}

impl Clock {
    fn look(&mut self, wall: Timestamp, steady: Instant) {
        if let Some((wall_before, steady_before)) = self.last.replace((wall, steady)) {
            let passed = steady.duration_since(steady_before);
            let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
            let jump = wall.duration_since(wall_before) - passed;
            if jump.abs() > JUMP {
                self.jumped = Some((steady, jump));
            }
        }
    }

    fn fault(&self, steady: Instant) -> Option<String> {
        let (at, jump) = self.jumped?;
        let since = SignedDuration::try_from(steady.duration_since(at)).ok()?;
        (since < DOUBT).then(|| {
            let (seconds, minutes) = (jump.as_secs(), since.as_mins());
            format!("the clock was set by {seconds} s, {minutes} min ago")
        })
    }
}

impl Health {
    /// Looks at these folders, this trunk and these ears.
    pub fn new(
        disks: Vec<(&'static str, PathBuf)>,
        least_free: u64,
        pulse: Arc<Pulse>,
        ears: Arc<Ears>,
    ) -> Self {
        Self {
            disks,
            least_free,
            pulse: Some(pulse),
            ears: Some(ears),
            ..Self::default()
        }
    }

    /// Some times a second: holds the clock against one that nobody can set, and the ears against their queue.
    pub fn tick(&self, now: Timestamp) {
        let steady = Instant::now();
        lock(&self.clock).look(now, steady);
        let behind = self.ears.as_ref().is_some_and(|ears| ears.are_behind());
        let mut since = lock(&self.ears_behind_since);
        *since = behind.then(|| since.unwrap_or(steady));
    }

    /// Why nobody may be dialled now, if nobody may: the law's hours need the clock, the record of a call the disk.
    pub fn why_no_call(&self) -> Option<String> {
        let clock = lock(&self.clock).fault(Instant::now());
        clock.or_else(|| self.full_disk())
    }

    /// Everything; `now` is the plan's clock.
    pub async fn look(&self, store: &Store, now: Timestamp) -> Vec<Check> {
        let runs = self.pulse.is_some();
        let asked = tokio::time::timeout(PATIENCE, database(store, now, runs)).await;
        let unavailable = || {
            let words = "the database does not answer".to_owned();
            vec![Check::of("database", Some(("database_unavailable", words)))]
        };
        let mut checks = match asked {
            Ok(Ok(checks)) => checks,
            Ok(Err(_)) | Err(_) => unavailable(),
        };
        let jumped = lock(&self.clock).fault(Instant::now());
        if let Some(jumped) = jumped {
            checks.retain(|check| check.name != "clock");
            checks.push(Check::of("clock", Some(("clock_wrong", jumped))));
        }
        let full = self.full_disk().map(|words| ("disk_full", words));
        checks.push(Check::of("disk", full));
        if let Some(pulse) = &self.pulse {
            checks.push(Check::of("trunk", trunk(pulse)));
        }
        if self.ears.is_some() {
            let since = *lock(&self.ears_behind_since);
            let late = since.filter(|since| since.elapsed() > BEHIND).map(|since| {
                let seconds = since.elapsed().as_secs();
                let words = format!("utterances have waited too long for {seconds} s");
                ("ears_behind", words)
            });
            checks.push(Check::of("ears", late));
        }
        checks
    }

    fn full_disk(&self) -> Option<String> {
        self.disks.iter().find_map(|(what, path)| {
            let free = free_bytes(path)?;
            (free < self.least_free).then(|| {
                let (mb, least) = (free / 1_000_000, self.least_free / 1_000_000);
                format!(
                    "the disk of the {what} has {mb} MB left, under the {least} MB that calls need"
                )
            })
        })
    }
}

/// What the database tells of itself, of the ladder and, where an engine `runs` here, of its clock and its climbs.
async fn database(store: &Store, now: Timestamp, runs: bool) -> Result<Vec<Check>, StoreError> {
    let exhausted = store.exhausted_work_orders().await?;
    let (ahead, late) = match runs {
        true => (
            store.clock_ahead_ms(now).await?,
            store.ladder_late(now).await?,
        ),
        false => (0, SignedDuration::ZERO),
    };
    let unanswered = (exhausted > 0).then(|| {
        let words = format!(
            "{exhausted} work orders were told to everybody on their ladder, and nobody has answered"
        );
        ("work_orders_unanswered", words)
    });
    let late = (late > CLIMB_LATE).then(|| {
        let words = format!("a work order should have climbed {} s ago", late.as_secs());
        ("ladder_late", words)
    });
    let apart = (ahead.abs() > APART_MS).then(|| {
        let words = format!("the database's clock is {ahead} ms before ours");
        ("clock_wrong", words)
    });
    Ok(vec![
        Check::of("database", None),
        Check::of("ladder", late.or(unanswered)),
        Check::of("clock", apart),
    ])
}

fn trunk(pulse: &Pulse) -> Option<(&'static str, String)> {
    let stand = pulse.stand();
    stand.is_down().then(|| {
        let words = if stand.unregistered {
            "the registrar does not take us".to_owned()
        } else {
            format!("none of {} targets answers", stand.targets)
        };
        ("trunk_down", words)
    })
}

/// What an ordinary user may still write where this path lies or will lie; `None` where the system does not say.
fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_in_doubt_for_ten_minutes() {
        let (wall, steady) = (Timestamp::UNIX_EPOCH, Instant::now());
        let after = |seconds: u64| steady + Duration::from_secs(seconds);
        let mut clock = Clock::default();
        clock.look(wall, steady);
        clock.look(wall + SignedDuration::from_secs(11), after(10));
        assert_eq!(clock.fault(after(10)), None, "a second is no jump");
        clock.look(wall - SignedDuration::from_secs(3_580), after(20));
        let words = clock.fault(after(30)).expect("an hour back");
        assert!(words.contains("by -3601 s"), "{words}");
        clock.look(wall - SignedDuration::from_secs(3_000), after(600));
        assert!(clock.fault(after(600)).is_some());
        assert_eq!(clock.fault(after(621)), None);
    }

    #[test]
    fn a_disk_with_too_little_left_stops_calls() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let disk = || vec![("recordings", folder.path().join("not/yet/there"))];
        let health = |least_free| Health {
            disks: disk(),
            least_free,
            ..Health::default()
        };
        assert_eq!(health(1).why_no_call(), None);
        let why = health(u64::MAX).why_no_call().expect("no disk is so large");
        assert!(why.starts_with("the disk of the recordings has "), "{why}");
    }
}
