//! What a trunk allows beside the law: its hours, its calls a second, and how often each caller id may ring a day.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::{Time, time};
use jiff::tz::TimeZone;

use super::hours::{Hours, OnHolidays, Window, start_of_day};
use super::retry::spread;
use crate::attempt::Disposition;
use crate::id::StepId;
use crate::time::Timestamp;

/// A number that callees see, and how many calls a day may show it: carriers mark one that rings too often as spam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerId {
    pub user: String,
    /// `None`: as many as there are.
    pub daily_cap: Option<u32>,
}

/// The first caller id, in the order of the trunk file, that may be shown once more today; `shown` counts the attempts
/// of the day by caller id, whatever became of them.
pub fn caller_with_room<'a>(
    callers: &'a [CallerId],
    shown: &BTreeMap<String, u32>,
) -> Option<&'a CallerId> {
    callers.iter().find(|caller| {
        let today = shown.get(&caller.user).copied().unwrap_or(0);
        caller.daily_cap.is_none_or(|cap| today < cap)
    })
}

/// The beginning of the day that `now` is in, and of the next: between them daily caps count.
pub fn day_around(now: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
    let today = zone.to_datetime(now).date();
    let tomorrow = today.saturating_add(jiff::Span::new().days(1));
    (start_of_day(today, zone), start_of_day(tomorrow, zone))
}

/// When a trunk takes calls, in the hospital's zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkHours(Hours);

/// The end of a day, for a window that has none: half open, so the last nanosecond is lost.
const DAY: (Time, Time) = (time(0, 0, 0, 0), Time::MAX);

impl TrunkHours {
    /// `None` where no window is open at all.
    pub fn new(windows: &[Window]) -> Option<TrunkHours> {
        let hours = Hours::new(windows, DAY, None, OnHolidays::Ordinary);
        (!hours.is_empty()).then_some(TrunkHours(hours))
    }

    /// `now` while the trunk is open, else when it opens next.
    pub fn next_open(&self, zone: &TimeZone, now: Timestamp) -> Timestamp {
        self.0.next_open(zone, None, now).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn hours(&self) -> &Hours {
        &self.0
    }
}

/// Calls a second: each waits until the one before it is old enough, so that no second sees more than it may.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    least: SignedDuration,
    last: Option<Timestamp>,
}

impl Pace {
    /// `per_second` is above 0; `None`: as fast as lines are free.
    pub fn new(per_second: Option<f64>) -> Pace {
        let least = per_second.map(|rate| SignedDuration::from_secs_f64(1.0 / rate));
        Pace {
            least: least.unwrap_or_default(),
            last: None,
        }
    }

    pub fn is_limited(&self) -> bool {
        !self.least.is_zero()
    }

    /// How long the next call has to wait. A clock that was set back holds nobody up.
    pub fn wait(&self, now: Timestamp) -> SignedDuration {
        let Some(last) = self.last.filter(|last| *last <= now) else {
            return SignedDuration::ZERO;
        };
        let gone = now.duration_since(last);
        (self.least - gone).max(SignedDuration::ZERO)
    }

    /// A call was begun.
    pub fn began(&mut self, now: Timestamp) {
        self.last = Some(now);
    }
}

/// A trunk that fails call after call is given rest: then one call at a time, until one gets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failed: u32,
    last: Option<Timestamp>,
}

/// Failures in a row after which a trunk rests.
const FAILURES: u32 = 5;
/// The first rest; each further failure doubles it.
const FIRST_REST: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_REST: SignedDuration = SignedDuration::from_mins(10);

impl Breaker {
    /// `endings`: when the trunk's last calls were begun and how they ended, newest first.
    pub fn of(endings: &[(Timestamp, Disposition)]) -> Self {
        let failures = endings
            .iter()
            .take_while(|(_, ended)| *ended == Disposition::TrunkFailure);
        Self {
            failed: u32::try_from(failures.count()).unwrap_or(u32::MAX),
            last: endings.first().map(|(begun, _)| *begun),
        }
    }

    /// Failures in a row.
    pub fn failed(&self) -> u32 {
        self.failed
    }

    /// How many calls may be begun beside the live ones; `None`: as many as there are lines.
    pub fn room(&self, live: u32, now: Timestamp) -> Option<u32> {
        let beyond = self.failed.checked_sub(FAILURES)?;
        let rest = FIRST_REST
            .checked_mul(1 << beyond.min(10))
            .unwrap_or(LONGEST_REST)
            .min(LONGEST_REST);
        // A clock that was set back holds nobody up for longer than the rest.
        let is_resting = self.last.is_some_and(|last| {
            let gone = now.duration_since(last);
            gone >= SignedDuration::ZERO && gone < rest
        });
        Some(if is_resting {
            0
        } else {
            1_u32.saturating_sub(live)
        })
    }
}

/// How late a first try may be before it counts as held up by an outage.
const HELD_UP: SignedDuration = SignedDuration::from_mins(30);
/// Over so many minutes are spread those whom an outage held up.
const SPREAD_MINS: u32 = 45;

/// When a step that should have been tried at `expected` is tried after an outage; `None`: now. Steps that an outage held
/// up together would all ring, and raise their orders, in the same minutes.
pub fn after_outage(step: &StepId, expected: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let late = now.duration_since(expected);
    let minutes = spread(&step.0, 0) % SPREAD_MINS;
    (late > HELD_UP && minutes > 0).then(|| now + SignedDuration::from_mins(minutes.into()))
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn caller(user: &str, daily_cap: Option<u32>) -> CallerId {
        CallerId {
            user: user.to_owned(),
            daily_cap,
        }
    }

    #[test]
    fn a_caller_id_whose_cap_is_reached_is_not_shown_again() {
        let callers = [caller("4001", Some(2)), caller("4002", Some(1))];
        let mut shown = BTreeMap::new();
        let mut order = Vec::new();
        while let Some(next) = caller_with_room(&callers, &shown) {
            order.push(next.user.clone());
            *shown.entry(next.user.clone()).or_insert(0) += 1;
        }
        assert_eq!(order, ["4001", "4001", "4002"]);
        let endless = [caller("4001", Some(2)), caller("4003", None)];
        shown.insert("4003".to_owned(), u32::MAX);
        let next = caller_with_room(&endless, &shown).map(|next| next.user.as_str());
        assert_eq!(next, Some("4003"));
        assert_eq!(caller_with_room(&[], &shown), None);
    }

    #[test]
    fn a_cap_counts_from_midnight_to_midnight_of_the_hospital() {
        let shanghai = TimeZone::get("Asia/Shanghai").expect("a zone");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        for (now, zone, from, to) in [
            (
                "2026-11-23T15:59:59Z",
                &shanghai,
                "2026-11-22T16:00:00Z",
                "2026-11-23T16:00:00Z",
            ),
            (
                "2026-11-23T16:00:00Z",
                &shanghai,
                "2026-11-23T16:00:00Z",
                "2026-11-24T16:00:00Z",
            ),
            // The day on which the clocks go back has 25 hours.
            (
                "2026-10-25T12:00:00Z",
                &berlin,
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
        ] {
            assert_eq!(day_around(at(now), zone), (at(from), at(to)), "{now}");
        }
    }

    #[test]
    fn a_closed_trunk_says_when_it_opens() {
        let zone = TimeZone::get("Asia/Shanghai").expect("a zone");
        let window = |days: &[Weekday], from, to| Window {
            days: days.to_vec(),
            from: time(from, 0, 0, 0),
            to: time(to, 0, 0, 0),
        };
        let hours = TrunkHours::new(&[
            window(&[Weekday::Monday, Weekday::Tuesday], 9, 12),
            window(&[Weekday::Monday], 14, 18),
        ]);
        let hours = hours.expect("it opens at times");
        for (now, opens) in [
            ("2026-11-23T01:00:00Z", "2026-11-23T01:00:00Z"),
            ("2026-11-23T03:59:59Z", "2026-11-23T03:59:59Z"),
            ("2026-11-23T04:00:00Z", "2026-11-23T06:00:00Z"),
            ("2026-11-23T10:00:00Z", "2026-11-24T01:00:00Z"),
            ("2026-11-24T04:00:00Z", "2026-11-30T01:00:00Z"),
        ] {
            assert_eq!(hours.next_open(&zone, at(now)), at(opens), "{now}");
        }
        assert_eq!(TrunkHours::new(&[]), None);
        assert_eq!(TrunkHours::new(&[window(&[Weekday::Friday], 9, 9)]), None);
    }

    #[test]
    fn a_trunk_that_fails_is_given_rest_and_tried_with_one_call() {
        let begin = at("2026-11-23T01:00:00Z");
        let endings = |failed: usize| {
            let failures = std::iter::repeat_n((begin, Disposition::TrunkFailure), failed);
            let before = [(begin, Disposition::NoAnswer)];
            Breaker::of(&failures.chain(before).collect::<Vec<_>>())
        };
        for (failed, live, seconds, room) in [
            (0, 3, 0, None),
            (4, 3, 0, None),
            (5, 0, 0, Some(0)),
            (5, 0, 29, Some(0)),
            (5, 0, 30, Some(1)),
            (5, 1, 30, Some(0)),
            (6, 0, 59, Some(0)),
            (6, 0, 60, Some(1)),
            (30, 0, 599, Some(0)),
            (30, 0, 600, Some(1)),
            (5, 0, -60, Some(1)),
        ] {
            let now = begin + SignedDuration::from_secs(seconds);
            let found = endings(failed).room(live, now);
            assert_eq!(found, room, "{failed} failures, {live} live, {seconds} s");
        }
        assert_eq!(Breaker::of(&[]).room(0, begin), None);
    }

    #[test]
    fn whom_an_outage_held_up_is_spread_and_nobody_else() {
        let expected = at("2026-11-23T01:00:00Z");
        let step = |place: u32| StepId(format!("e{place}.d3"));
        let soon = expected + SignedDuration::from_mins(30);
        assert_eq!(after_outage(&step(1), expected, soon), None);
        let late = expected + SignedDuration::from_hours(3);
        let mut minutes = [0_u32; 45];
        for place in 0..4_500 {
            let until = after_outage(&step(place), expected, late).unwrap_or(late);
            let minute = until.duration_since(late).as_mins();
            minutes[usize::try_from(minute).expect("later")] += 1;
        }
        assert!(
            minutes.iter().all(|tried| (50..200).contains(tried)),
            "{minutes:?}"
        );
    }

    #[test]
    fn no_second_sees_more_calls_than_the_trunk_takes() {
        let mut pace = Pace::new(Some(4.0));
        let (begin, mut now) = (at("2026-11-23T01:00:00Z"), at("2026-11-23T01:00:00Z"));
        let mut calls = Vec::new();
        while now < begin + SignedDuration::from_secs(10) {
            let wait = pace.wait(now);
            if wait.is_zero() {
                pace.began(now);
                calls.push(now);
                now += SignedDuration::from_millis(7);
            } else {
                now += wait;
            }
        }
        assert_eq!(calls.len(), 40);
        for first in &calls {
            let second = *first..*first + SignedDuration::from_secs(1);
            assert!(calls.iter().filter(|call| second.contains(call)).count() <= 4);
        }
        // The clock was set back.
        assert!(pace.wait(begin - SignedDuration::from_hours(1)).is_zero());
        let mut free = Pace::new(None);
        free.began(begin);
        assert!(!free.is_limited() && free.wait(begin).is_zero());
    }
}
