//! Who is on duty: people, their shifts by ward and rung, and who stands in for whom. A file that an admin edits weekly.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use serde::Deserialize;

use crate::lang::Lang;
use crate::phi::Phi;
use crate::plan::{DayKind, Holidays};
use crate::time::Timestamp;
use crate::work_order::Rung;

/// The rota of a hospital.
#[derive(Clone, Debug, PartialEq)]
pub struct Rota {
    people: BTreeMap<String, Person>,
    shifts: Vec<Shift>,
    replacements: Vec<Replacement>,
}

/// Somebody who can be told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// As they sign in.
    pub name: String,
    #[serde(default = "mandarin")]
    pub lang: Lang,
    /// Where they are told, the first first.
    #[serde(default)]
    pub at: Vec<Address>,
}

/// A person's address on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// A channel's name, as the configuration has it.
    pub by: String,
    /// Number, mailbox or user id.
    pub to: Phi<String>,
}

fn mandarin() -> Lang {
    Lang::Zh
}

#[derive(Clone, Debug, PartialEq)]
struct Shift {
    /// `None`: every ward.
    ward: Option<String>,
    rung: Rung,
    people: Vec<String>,
    days: Vec<Weekday>,
    from: Time,
    /// At or before `from`: on the next day.
    to: Time,
    holidays: OnHolidays,
    first: Date,
    last: Date,
}

/// What a public holiday is to a shift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnHolidays {
    /// A day like any other.
    #[default]
    AsUsual,
    /// The shift falls out, and a weekend day that is worked instead is a Monday.
    Off,
    /// The shift is for holidays alone, whatever their weekday.
    Only,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Replacement {
    person: String,
    by: String,
    first: Date,
    last: Date,
}

/// Where and on which days a rota is read.
#[derive(Clone, Copy, Debug)]
pub struct Calendar<'a> {
    pub zone: &'a TimeZone,
    pub holidays: Option<&'a Holidays>,
}

/// Why a rota was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotaError {
    #[error("{0}")]
    Syntax(String),
    #[error("version is {0}; this engine reads 1")]
    Version(u32),
    #[error("{0} stands twice among the people")]
    Twice(String),
    #[error("{what} {at}: there is no person {name}")]
    NoPerson {
        what: &'static str,
        at: usize,
        name: String,
    },
    #[error("shift {0} has no {1}")]
    Empty(usize, &'static str),
    #[error("{what} {at} ends before it begins")]
    Backwards { what: &'static str, at: usize },
    #[error("{0} has no address, and so cannot be told")]
    NoAddress(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    person: Vec<Person>,
    #[serde(default)]
    shift: Vec<ShiftInFile>,
    #[serde(default)]
    replacement: Vec<ReplacementInFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftInFile {
    ward: Option<String>,
    rung: Rung,
    people: Vec<String>,
    days: Vec<Day>,
    from: Time,
    to: Time,
    #[serde(default)]
    holidays: OnHolidays,
    first: Option<toml::value::Datetime>,
    last: Option<toml::value::Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplacementInFile {
    person: String,
    by: String,
    first: toml::value::Datetime,
    last: toml::value::Datetime,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// How far ahead somebody on duty is looked for.
const HORIZON_DAYS: i64 = 60;

/// Who replaces whom is followed so far: A by B, B by C.
const LONGEST_CHAIN: usize = 8;

impl Rota {
    /// Reads a file.
    ///
    /// # Errors
    /// A fault of form, a name that no person has, a person without an address, a shift without people or days.
    pub fn parse(text: &str) -> Result<Self, RotaError> {
        let file: File =
            toml::from_str(text).map_err(|error| RotaError::Syntax(error.to_string()))?;
        if file.version != 1 {
            return Err(RotaError::Version(file.version));
        }
        let mut people = BTreeMap::new();
        for person in file.person {
            if person.at.is_empty() {
                return Err(RotaError::NoAddress(person.name));
            }
            if let Some(twice) = people.insert(person.name.clone(), person) {
                return Err(RotaError::Twice(twice.name));
            }
        }
        let known = |what, at, name: &String| {
            if people.contains_key(name) {
                Ok(())
            } else {
                let name = name.clone();
                Err(RotaError::NoPerson { what, at, name })
            }
        };
        let mut shifts = Vec::with_capacity(file.shift.len());
        for (at, shift) in (1..).zip(file.shift) {
            for name in &shift.people {
                known("shift", at, name)?;
            }
            shifts.push(shift.read(at)?);
        }
        let mut replacements = Vec::with_capacity(file.replacement.len());
        for (at, replacement) in (1..).zip(file.replacement) {
            known("replacement", at, &replacement.person)?;
            known("replacement", at, &replacement.by)?;
            let (first, last) = (date(replacement.first)?, date(replacement.last)?);
            if last < first {
                let what = "replacement";
                return Err(RotaError::Backwards { what, at });
            }
            replacements.push(Replacement {
                person: replacement.person,
                by: replacement.by,
                first,
                last,
            });
        }
        Ok(Self {
            people,
            shifts,
            replacements,
        })
    }

    pub fn person(&self, name: &str) -> Option<&Person> {
        self.people.get(name)
    }

    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// The wards that are named.
    pub fn wards(&self) -> Vec<&str> {
        let mut wards: Vec<&str> = self
            .shifts
            .iter()
            .filter_map(|shift| shift.ward.as_deref())
            .collect();
        wards.sort_unstable();
        wards.dedup();
        wards
    }

    /// Whether the rota says anything of who looks after a ward.
    pub fn knows(&self, ward: &str) -> bool {
        self.shifts.iter().any(|shift| shift.looks_after(ward))
    }

    /// Who stands on a rung for a ward, the ward's own people first. Who is replaced is left out for who replaces.
    pub fn on_duty(
        &self,
        ward: &str,
        rung: Rung,
        at: Timestamp,
        calendar: Calendar<'_>,
    ) -> Vec<&Person> {
        let of_ward = |own: bool| {
            self.shifts.iter().filter(move |shift| {
                shift.rung == rung && shift.is_for(ward) && shift.ward.is_some() == own
            })
        };
        let mut names: Vec<&str> = Vec::new();
        for shift in of_ward(true).chain(of_ward(false)) {
            let Some((day, _)) = shift.covers(at, calendar) else {
                continue;
            };
            for name in &shift.people {
                let name = self.in_place_of(name, day);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let people = names.into_iter().map(|name| self.people.get(name));
        people.flatten().collect()
    }

    /// Whom to tell: who stands on the rung, else on the next one above on which somebody stands, else below.
    pub fn tell(
        &self,
        ward: &str,
        rung: Rung,
        at: Timestamp,
        calendar: Calendar<'_>,
    ) -> Option<(Rung, Vec<&Person>)> {
        let above = Rung::ALL.into_iter().filter(|other| *other >= rung);
        let below = Rung::ALL.into_iter().rev().filter(|other| *other < rung);
        above.chain(below).find_map(|rung| {
            let people = self.on_duty(ward, rung, at, calendar);
            (!people.is_empty()).then_some((rung, people))
        })
    }

    /// Whether somebody looks after a ward at every instant from `from` to `to`. The switchboard does not.
    pub fn is_staffed(
        &self,
        ward: &str,
        from: Timestamp,
        to: Timestamp,
        calendar: Calendar<'_>,
    ) -> bool {
        let mut at = from;
        while at < to {
            let Some(until) = self.until(ward, at, calendar) else {
                return false;
            };
            at = until;
        }
        true
    }

    /// The first instant from `from` on from which a ward is looked after for so long.
    pub fn next_staffed(
        &self,
        ward: &str,
        from: Timestamp,
        lasting: SignedDuration,
        calendar: Calendar<'_>,
    ) -> Option<Timestamp> {
        let is_enough = |at: &Timestamp| {
            let to = at.saturating_add(lasting).unwrap_or(Timestamp::MAX);
            *at >= from && self.is_staffed(ward, *at, to, calendar)
        };
        let mut starts = vec![from];
        let today = calendar.zone.to_datetime(from).date();
        let shifts = self.shifts.iter().filter(|shift| shift.looks_after(ward));
        for shift in shifts {
            let days = (0..HORIZON_DAYS).map(|days| today.saturating_add(Span::new().days(days)));
            let days = days.filter(|day| shift.is_on(*day, calendar));
            starts.extend(days.filter_map(|day| Some(shift.on(day, calendar)?.0)));
        }
        starts.sort_unstable();
        starts.into_iter().find(is_enough)
    }

    /// When nobody looks after a ward between two instants.
    pub fn gaps(
        &self,
        ward: &str,
        from: Timestamp,
        to: Timestamp,
        calendar: Calendar<'_>,
    ) -> Vec<(Timestamp, Timestamp)> {
        let mut gaps = Vec::new();
        let mut at = from;
        while at < to {
            if let Some(until) = self.until(ward, at, calendar) {
                at = until;
                continue;
            }
            let next = self.next_staffed(ward, at, SignedDuration::from_secs(1), calendar);
            let until = next.unwrap_or(to).min(to);
            gaps.push((at, until));
            at = until;
        }
        gaps
    }

    /// Until when somebody looks after a ward who does so now.
    fn until(&self, ward: &str, at: Timestamp, calendar: Calendar<'_>) -> Option<Timestamp> {
        let shifts = self.shifts.iter().filter(|shift| shift.looks_after(ward));
        let ends = shifts.filter_map(|shift| Some(shift.covers(at, calendar)?.1));
        ends.max()
    }

    fn in_place_of<'a>(&'a self, name: &'a str, day: Date) -> &'a str {
        let mut name = name;
        for _ in 0..LONGEST_CHAIN {
            let replaced = self.replacements.iter().find(|replacement| {
                replacement.person == name && (replacement.first..=replacement.last).contains(&day)
            });
            match replaced {
                Some(replacement) => name = &replacement.by,
                None => break,
            }
        }
        name
    }
}

impl Shift {
    fn is_for(&self, ward: &str) -> bool {
        self.ward.as_deref().is_none_or(|own| own == ward)
    }

    fn looks_after(&self, ward: &str) -> bool {
        self.rung != Rung::Switchboard && self.is_for(ward)
    }

    fn is_on(&self, day: Date, calendar: Calendar<'_>) -> bool {
        let kind = calendar.holidays.and_then(|holidays| holidays.kind(day));
        let weekday = match (self.holidays, kind) {
            (OnHolidays::Only, kind) => {
                return kind == Some(DayKind::Holiday) && self.is_within(day);
            }
            (OnHolidays::Off, Some(DayKind::Holiday)) => return false,
            (OnHolidays::Off, Some(DayKind::Working)) => Weekday::Monday,
            (OnHolidays::Off | OnHolidays::AsUsual, _) => day.weekday(),
        };
        self.days.contains(&weekday) && self.is_within(day)
    }

    fn is_within(&self, day: Date) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// Start and end of the shift that begins on a day.
    fn on(&self, day: Date, calendar: Calendar<'_>) -> Option<(Timestamp, Timestamp)> {
        let ends_on = if self.to <= self.from {
            day.saturating_add(Span::new().days(1))
        } else {
            day
        };
        let at = |day: Date, time| calendar.zone.to_timestamp(day.to_datetime(time)).ok();
        Some((at(day, self.from)?, at(ends_on, self.to)?))
    }

    /// The day on which the shift began that lasts now, and when it ends.
    fn covers(&self, at: Timestamp, calendar: Calendar<'_>) -> Option<(Date, Timestamp)> {
        let today = calendar.zone.to_datetime(at).date();
        [today, today.saturating_sub(Span::new().days(1))]
            .into_iter()
            .filter(|day| self.is_on(*day, calendar))
            .find_map(|day| {
                let (from, to) = self.on(day, calendar)?;
                (from..to).contains(&at).then_some((day, to))
            })
    }
}

impl ShiftInFile {
    fn read(self, at: usize) -> Result<Shift, RotaError> {
        if self.people.is_empty() {
            return Err(RotaError::Empty(at, "people"));
        }
        if self.days.is_empty() && self.holidays != OnHolidays::Only {
            return Err(RotaError::Empty(at, "days"));
        }
        let first = self.first.map_or(Ok(Date::MIN), date)?;
        let last = self.last.map_or(Ok(Date::MAX), date)?;
        if last < first {
            return Err(RotaError::Backwards { what: "shift", at });
        }
        Ok(Shift {
            ward: self.ward,
            rung: self.rung,
            people: self.people,
            days: self.days.into_iter().map(Day::weekday).collect(),
            from: self.from,
            to: self.to,
            holidays: self.holidays,
            first,
            last,
        })
    }
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Day::Mon => Weekday::Monday,
            Day::Tue => Weekday::Tuesday,
            Day::Wed => Weekday::Wednesday,
            Day::Thu => Weekday::Thursday,
            Day::Fri => Weekday::Friday,
            Day::Sat => Weekday::Saturday,
            Day::Sun => Weekday::Sunday,
        }
    }
}

fn date(value: toml::value::Datetime) -> Result<Date, RotaError> {
    let text = value.to_string();
    let day = text.parse();
    day.map_err(|_| RotaError::Syntax(format!("{text} is not a date such as 2026-10-01")))
}
