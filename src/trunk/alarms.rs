//! Who is to be woken when: one alarm a call, found without looking at every call.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_core::time::Instant;

/// Alarms of numbered calls.
#[derive(Debug, Default)]
pub struct Alarms {
    by_time: BTreeSet<(Instant, usize)>,
    of: BTreeMap<usize, Instant>,
}

impl Alarms {
    /// Sets the one alarm of a call, in the place of any before; `None` takes it away.
    pub fn set(&mut self, number: usize, at: Option<Instant>) {
        let before = self.of.get(&number).copied();
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, number));
        }
        match at {
            Some(at) => {
                self.by_time.insert((at, number));
                self.of.insert(number, at);
            }
            None => {
                self.of.remove(&number);
            }
        }
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// When the first goes off.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Whose alarm has gone off, the earliest first. Each goes off until it is set anew.
    pub fn due(&self, now: Instant) -> Vec<usize> {
        let due = self.by_time.range(..=(now, usize::MAX));
        due.map(|(_, number)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_call_has_one_alarm_and_the_earliest_goes_off_first() {
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        let mut alarms = Alarms::default();
        assert_eq!(alarms.next(), None);
        alarms.set(1, Some(at(40)));
        alarms.set(2, Some(at(20)));
        alarms.set(3, Some(at(20)));
        assert_eq!(alarms.next(), Some(at(20)));
        assert_eq!(alarms.due(at(19)), [] as [usize; 0]);
        assert_eq!(alarms.due(at(40)), [2, 3, 1]);
        alarms.set(2, Some(at(60)));
        alarms.set(3, None);
        assert_eq!(alarms.due(at(60)), [1, 2]);
        alarms.set(1, None);
        alarms.set(2, None);
        assert_eq!((alarms.next(), alarms.len()), (None, 0));
    }
}
