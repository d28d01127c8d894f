//! The hours of a week in which a telephone may ring, and what a holiday makes of them.

use jiff::civil::{Date, Time, Weekday, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::holiday::{DayKind, Holidays};
use crate::time::start_of_day;

/// The instant of a local time: in a gap the one as much later as the gap is long, in a fold the earlier.
pub(super) fn at_local(date: Date, time: Time, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(date.to_datetime(time))
        .unwrap_or(Timestamp::MAX)
}

/// Local hours on some weekdays, half open: `to` itself is outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    #[serde(with = "weekdays")]
    pub days: Vec<Weekday>,
    pub from: Time,
    pub to: Time,
}

impl Window {
    pub fn daily(from: Time, to: Time) -> Self {
        let days = Weekday::Monday.cycle_forward().take(7).collect();
        Self { days, from, to }
    }
}

/// What a holiday is to some hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHolidays {
    /// As its weekday; nobody asks the calendar.
    Ordinary,
    /// As a Sunday, and a weekend day that is worked as a Monday.
    #[default]
    AsSunday,
    /// No hour is open; a weekend day that is worked is as a Monday.
    Closed,
}

/// The open hours of each weekday, Monday first: sorted, non-empty, half open; and of holidays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    week: [Vec<(Time, Time)>; 7],
    on_holidays: OnHolidays,
}

/// How far ahead an opening is looked for: longer than any week with holidays.
const HORIZON_DAYS: i64 = 15;

impl Hours {
    /// Cuts the windows to `earliest..latest` and takes `rest` out of them.
    pub(super) fn new(
        windows: &[Window],
        law: (Time, Time),
        rest: Option<(Time, Time)>,
        on_holidays: OnHolidays,
    ) -> Self {
        let mut week: [Vec<(Time, Time)>; 7] = Default::default();
        for window in windows {
            for day in &window.days {
                let lawful = (window.from.max(law.0), window.to.min(law.1));
                let parts = match rest {
                    Some((from, to)) => {
                        vec![(lawful.0, lawful.1.min(from)), (lawful.0.max(to), lawful.1)]
                    }
                    None => vec![lawful],
                };
                let open = &mut week[place(*day)];
                open.extend(parts.into_iter().filter(|(from, to)| from < to));
            }
        }
        for open in &mut week {
            open.sort_unstable();
        }
        Self { week, on_holidays }
    }

    /// The same hours every day.
    pub(super) fn daily(from: Time, to: Time) -> Self {
        Self {
            week: std::array::from_fn(|_| vec![(from, to)]),
            on_holidays: OnHolidays::Ordinary,
        }
    }

    /// Every hour but these; `None` where there are none to leave out.
    pub(super) fn without(closed: impl Iterator<Item = (Weekday, i8)>) -> Option<Self> {
        let mut open = [[true; 24]; 7];
        let mut is_any = false;
        for (day, hour) in closed {
            let hour = usize::try_from(hour).unwrap_or_default().min(23);
            open[place(day)][hour] = false;
            is_any = true;
        }
        let at = |hour: usize| time(i8::try_from(hour).unwrap_or_default(), 0, 0, 0);
        let week = open.map(|hours| {
            let open = (0..24).filter(|hour| hours[*hour]);
            let stretches =
                open.map(|hour| (at(hour), if hour == 23 { Time::MAX } else { at(hour + 1) }));
            stretches.collect()
        });
        is_any.then_some(Self {
            week,
            on_holidays: OnHolidays::Ordinary,
        })
    }

    /// The open stretches of each weekday, Monday first.
    pub(super) fn week(&self) -> &[Vec<(Time, Time)>; 7] {
        &self.week
    }

    pub(super) fn on_holidays(&self) -> OnHolidays {
        self.on_holidays
    }

    pub(super) fn is_empty(&self) -> bool {
        self.week.iter().all(Vec::is_empty)
    }

    pub(super) fn is_open(
        &self,
        zone: &TimeZone,
        holidays: Option<&Holidays>,
        at: Timestamp,
    ) -> bool {
        let local = zone.to_datetime(at);
        let is_within = |open: &[(Time, Time)]| {
            open.iter()
                .any(|(from, to)| (*from..*to).contains(&local.time()))
        };
        self.readings(local.date(), holidays)
            .iter()
            .flatten()
            .all(|open| is_within(open))
    }

    /// Whether the instant would be open were the calendar to say more.
    pub(super) fn is_doubtful(
        &self,
        zone: &TimeZone,
        holidays: Option<&Holidays>,
        at: Timestamp,
    ) -> bool {
        let local = zone.to_datetime(at);
        let readings = self.readings(local.date(), holidays);
        let is_within = |open: &&[(Time, Time)]| {
            open.iter()
                .any(|(from, to)| (*from..*to).contains(&local.time()))
        };
        readings.iter().flatten().count() > 1 && readings.iter().flatten().any(is_within)
    }

    /// The first open instant at or after `from`.
    pub(super) fn next_open(
        &self,
        zone: &TimeZone,
        holidays: Option<&Holidays>,
        from: Timestamp,
    ) -> Option<Timestamp> {
        if self.is_open(zone, holidays, from) {
            return Some(from);
        }
        self.openings(zone, holidays, from).find(|at| *at >= from)
    }

    /// Every start of an open stretch from the day of `from` on, in order.
    pub(super) fn openings<'a>(
        &'a self,
        zone: &'a TimeZone,
        holidays: Option<&'a Holidays>,
        from: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + 'a {
        let today = zone.to_datetime(from).date();
        (0..HORIZON_DAYS)
            .map(move |days| today.saturating_add(Span::new().days(days)))
            .flat_map(move |date| {
                let readings = self.readings(date, holidays);
                let mut starts: Vec<Time> = readings
                    .into_iter()
                    .flatten()
                    .flat_map(|open| open.iter().map(|(start, _)| *start))
                    .collect();
                starts.sort_unstable();
                starts.dedup();
                starts
                    .into_iter()
                    .map(move |start| at_local(date, start, zone))
            })
            .filter(move |at| self.is_open(zone, holidays, *at))
    }

    /// Whether every instant from `from` to `to` is open. A stretch to the end of a day goes on into the next.
    pub(super) fn covers(
        &self,
        zone: &TimeZone,
        holidays: Option<&Holidays>,
        from: Timestamp,
        to: Timestamp,
    ) -> bool {
        let mut at = from;
        while at < to {
            let local = zone.to_datetime(at);
            let ends = self
                .readings(local.date(), holidays)
                .into_iter()
                .flatten()
                .map(|open| {
                    let around = open
                        .iter()
                        .filter(|(from, to)| (*from..*to).contains(&local.time()));
                    around.map(|(_, to)| *to).max()
                })
                .min()
                .flatten();
            let Some(end) = ends else { return false };
            let next = if end >= DAY_ENDS {
                start_of_day(local.date().saturating_add(Span::new().days(1)), zone)
            } else {
                at_local(local.date(), end, zone)
            };
            // Where the clocks change before, the local time is read again from there.
            let change = zone.following(at).next().map(|change| change.timestamp());
            let next = change.map_or(next, |change| next.min(change));
            // In a fold the end may lie behind: it is looked for again beyond it.
            at = next.max(at + SignedDuration::from_mins(1));
        }
        true
    }

    /// The hours a date may have: one where its kind is known, else every one that it may be.
    fn readings(&self, date: Date, holidays: Option<&Holidays>) -> [Option<&[(Time, Time)]>; 3] {
        let weekday = date.weekday();
        let ordinary = Some(self.week[place(weekday)].as_slice());
        let holiday = match self.on_holidays {
            OnHolidays::Ordinary => return [ordinary, None, None],
            OnHolidays::AsSunday => Some(self.week[place(Weekday::Sunday)].as_slice()),
            OnHolidays::Closed => Some([].as_slice()),
        };
        let Some(holidays) = holidays else {
            return [ordinary, None, None];
        };
        let working = Some(self.week[place(Weekday::Monday)].as_slice());
        match holidays.kind(date) {
            Some(DayKind::Ordinary) => [ordinary, None, None],
            Some(DayKind::Holiday) => [holiday, None, None],
            Some(DayKind::Working) => [working, None, None],
            None if matches!(weekday, Weekday::Saturday | Weekday::Sunday) => {
                [ordinary, holiday, working]
            }
            None => [ordinary, holiday, None],
        }
    }
}

/// From here on a stretch lasts to the end of its day: `24:00` cannot be written as a time.
const DAY_ENDS: Time = time(23, 59, 0, 0);

fn place(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

/// Weekdays as they are kept: 1 is Monday, 7 is Sunday (ISO 8601).
mod weekdays {
    use jiff::civil::Weekday;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(days: &[Weekday], to: S) -> Result<S::Ok, S::Error> {
        let numbers: Vec<i8> = days.iter().map(|day| day.to_monday_one_offset()).collect();
        numbers.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Weekday>, D::Error> {
        let numbers = Vec::<i8>::deserialize(from)?;
        let day = |number| Weekday::from_monday_one_offset(number).map_err(D::Error::custom);
        numbers.into_iter().map(day).collect()
    }
}
