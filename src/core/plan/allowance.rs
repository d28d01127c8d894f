//! What a trunk allows beside the law: its hours, its calls a second, and how often each caller id may ring a day.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::{Time, time};
use jiff::tz::TimeZone;

use super::hours::{Hours, OnHolidays, Window};
use super::policy::Layer;
use super::reason::Reason;
use super::retry::spread;
use crate::attempt::Disposition;
use crate::id::StepId;
use crate::time::{Timestamp, start_of_day};

/// A number that callees see, and how many calls a day may show it: carriers mark one that rings too often as spam.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerId {
    pub user: String,
    /// `None`: as many as there are.
    pub daily_cap: Option<u32>,
}

/// How often one caller id may be shown within any hour, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourlyCap {
    pub layer: Layer,
    pub calls: u32,
}

/// How often a caller id was shown, whatever became of the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// On the hospital's day.
    pub today: u32,
    /// When, within the last hour, oldest first.
    pub last_hour: Vec<Timestamp>,
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The first caller id, in the order of the trunk file, that may be shown once more.
///
/// # Errors
/// Why none may, and when one may again: of those who wait, the one behind `waiting` others. Daily caps end at `tomorrow`.
pub fn caller_with_room<'a>(
    callers: &'a [CallerId],
    shown: &BTreeMap<String, Shown>,
    hourly: &[HourlyCap],
    waiting: usize,
    tomorrow: Timestamp,
) -> Result<&'a CallerId, (Timestamp, Reason)> {
    // The widest layer, where several allow the same.
    let cap = hourly.iter().min_by_key(|cap| cap.calls);
    let most = cap.map_or(usize::MAX, |cap| {
        usize::try_from(cap.calls).unwrap_or(usize::MAX)
    });
    let nothing = Shown::default();
    let of = |caller: &CallerId| shown.get(&caller.user).unwrap_or(&nothing);
    let today = callers.iter().filter(|caller| {
        let today = of(caller).today;
        caller.daily_cap.is_none_or(|cap| today < cap)
    });
    let mut free: Vec<Timestamp> = Vec::new();
    for caller in today {
        let times = &of(caller).last_hour;
        let Some(full) = times.len().checked_sub(most) else {
            return Ok(caller);
        };
        free.extend(times[full..].iter().map(|shown| *shown + HOUR));
    }
    free.sort_unstable();
    match (cap, waiting.checked_div(free.len())) {
        (Some(HourlyCap { layer, calls }), Some(rounds)) => {
            let hours = i64::try_from(rounds).unwrap_or(i64::MAX);
            let until = free[waiting % free.len()]
                .saturating_add(SignedDuration::from_hours(hours.min(24)));
            let why = Reason::CallerHour {
                layer: layer.clone(),
                calls: *calls,
            };
            Err((until.unwrap_or(Timestamp::MAX), why))
        }
        (Some(_), None) | (None, _) => Err((tomorrow, Reason::CallerIdsUsed)),
    }
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

/// How many calls at once are answered fast. When the ears fall behind, three quarters of those that were too many; from
/// then on one more for each minute in which as many talk as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    lines: u32,
    most: u32,
    is_behind: bool,
    changed: Option<Timestamp>,
}

const ONE_MORE_EACH: SignedDuration = SignedDuration::from_mins(1);

impl Capacity {
    /// As many as there are lines, until the ears say otherwise.
    pub fn new(lines: u32) -> Self {
        Self {
            lines,
            most: lines,
            is_behind: false,
            changed: None,
        }
    }

    /// The ears are behind while so many calls live.
    pub fn behind(&mut self, live: u32, now: Timestamp) {
        if !std::mem::replace(&mut self.is_behind, true) {
            self.most = self
                .most
                .min((live - live / 4).min(live.saturating_sub(1)))
                .max(1);
            self.changed = Some(now);
        }
    }

    /// How many calls may be begun while the ears keep up.
    pub fn room(&mut self, live: u32, now: Timestamp) -> u32 {
        self.is_behind = false;
        let held = self.changed.map(|at| now.duration_since(at));
        // A clock that was set back holds nobody down for longer.
        let is_over = held.is_none_or(|held| held >= ONE_MORE_EACH || held.is_negative());
        if live >= self.most && self.most < self.lines && is_over {
            self.most += 1;
            self.changed = Some(now);
        }
        self.most.saturating_sub(live)
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

/// When a step that waits for an hour is tried in it: not all of them ring as it begins.
pub fn within_the_hour(step: &StepId, begins: Timestamp) -> Timestamp {
    begins + SignedDuration::from_mins((spread(&step.0, 0) % SPREAD_MINS).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::Weekday;

    use super::*;
    use crate::plan::Profile;

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
        let tomorrow = at("2026-11-23T16:00:00Z");
        let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
        let mut order = Vec::new();
        while let Ok(next) = caller_with_room(&callers, &shown, &[], 0, tomorrow) {
            order.push(next.user.clone());
            shown.entry(next.user.clone()).or_default().today += 1;
        }
        assert_eq!(order, ["4001", "4001", "4002"]);
        let used = Err((tomorrow, Reason::CallerIdsUsed));
        assert_eq!(caller_with_room(&callers, &shown, &[], 7, tomorrow), used);
        let endless = [caller("4001", Some(2)), caller("4003", None)];
        shown.entry("4003".to_owned()).or_default().today = u32::MAX;
        let next = caller_with_room(&endless, &shown, &[], 0, tomorrow);
        assert_eq!(next.map(|next| next.user.as_str()), Ok("4003"));
        assert_eq!(caller_with_room(&[], &shown, &[], 0, tomorrow), used);
    }

    /// A thousand due at once, two caller ids, three calls an hour each: no hour of either sees a fourth.
    #[test]
    fn no_hour_shows_a_caller_id_more_often_than_law_and_hospital_allow() {
        let callers = [caller("4001", None), caller("4002", Some(40))];
        let hourly = [
            HourlyCap {
                layer: Layer::Law(Profile::Cn),
                calls: 60,
            },
            HourlyCap {
                layer: Layer::Hospital,
                calls: 3,
            },
        ];
        let tomorrow = at("2026-11-23T16:00:00Z");
        let mut now = at("2026-11-23T01:00:00Z");
        let mut due: BTreeSet<(Timestamp, u32)> = (0..50).map(|step| (now, step)).collect();
        let mut calls: Vec<(Timestamp, String)> = Vec::new();
        let mut looked = 0;
        while let Some((next, _)) = due.first() {
            now = now.max(*next);
            let ready: Vec<(Timestamp, u32)> =
                due.iter().copied().filter(|(at, _)| *at <= now).collect();
            let mut waiting = 0;
            for key in ready {
                due.remove(&key);
                looked += 1;
                let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
                for (at, user) in &calls {
                    let shown = shown.entry(user.clone()).or_default();
                    shown.today += 1;
                    if now.duration_since(*at) < HOUR {
                        shown.last_hour.push(*at);
                    }
                }
                match caller_with_room(&callers, &shown, &hourly, waiting, tomorrow) {
                    Ok(caller) => calls.push((now, caller.user.clone())),
                    Err((until, why)) => {
                        let expected = Reason::CallerHour {
                            layer: Layer::Hospital,
                            calls: 3,
                        };
                        assert_eq!(why, expected, "the strictest layer");
                        waiting += 1;
                        due.insert((until, key.1));
                    }
                }
            }
            now += SignedDuration::from_millis(500);
        }
        assert_eq!(calls.len(), 50, "everybody is rung in the end");
        for (first, user) in &calls {
            let hour = calls.iter().filter(|(at, other)| {
                other == user && *at >= *first && at.duration_since(*first) < HOUR
            });
            assert!(hour.count() <= 3, "{user} from {first}");
        }
        let took = calls[49].0.duration_since(calls[0].0);
        assert!(
            took <= SignedDuration::from_hours(9),
            "{took:?}: six an hour"
        );
        assert!(looked < 300, "each waits for its own turn: {looked} looks");
    }

    #[test]
    fn after_the_ears_fell_behind_calls_grow_one_by_one() {
        let begin = at("2026-11-23T01:00:00Z");
        let after = |seconds| begin + SignedDuration::from_secs(seconds);
        let mut capacity = Capacity::new(40);
        assert_eq!(capacity.room(10, begin), 30);
        // Told in every round while it lasts: once counts.
        for second in 0..20 {
            capacity.behind(20, after(second));
        }
        assert_eq!(capacity.room(20, after(20)), 0);
        assert_eq!(capacity.room(12, after(30)), 3);
        // Nobody talks: nothing is learnt of the ears.
        assert_eq!(capacity.room(0, after(600)), 15);
        assert_eq!(capacity.room(15, after(600)), 1);
        assert_eq!(capacity.room(16, after(659)), 0);
        assert_eq!(capacity.room(16, after(660)), 1);
        assert_eq!(capacity.room(0, begin), 17);
        let mut alone = Capacity::new(4);
        alone.behind(1, begin);
        assert_eq!(alone.room(0, after(1)), 1, "never none at all");
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
