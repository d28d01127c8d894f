//! Public holidays, and the weekend days that are worked instead: data, one file a country.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

/// What kind of day a date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// As its weekday says.
    Ordinary,
    Holiday,
    /// A Saturday or Sunday that is worked.
    Working,
}

/// The holidays of some years. What it does not cover is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holidays {
    name: String,
    from: Date,
    until: Date,
    holidays: BTreeSet<Date>,
    working: BTreeSet<Date>,
}

/// Why a holiday file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolidayError {
    #[error("{0}")]
    Syntax(String),
    #[error("version is {0}; this engine reads 1")]
    Version(u32),
    #[error("{what} {date} lies outside the days that the file covers, {from} to {until}")]
    Outside {
        what: &'static str,
        date: Date,
        from: Date,
        until: Date,
    },
    #[error("a stretch ends at {until}, before it begins at {from}")]
    Backwards { from: Date, until: Date },
    #[error("{0} stands both among the holidays and the working days")]
    Both(Date),
    #[error("{0} is no Saturday or Sunday, so it is worked anyhow")]
    NoWeekend(Date),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    name: String,
    from: toml::value::Datetime,
    until: toml::value::Datetime,
    holidays: Vec<Stretch>,
    #[serde(default)]
    working: Vec<toml::value::Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stretch {
    from: toml::value::Datetime,
    until: toml::value::Datetime,
}

/// The longest file that is read: a century.
const LONGEST_DAYS: usize = 36_600;

impl Holidays {
    /// The shipped file of mainland China.
    pub const CN: &'static str = include_str!("holidays/cn.toml");

    /// Reads a file.
    ///
    /// # Errors
    /// A fault of form, a day outside what the file covers, a stretch that ends before it begins, a day that is both
    /// a holiday and worked, or a working day that is no weekend.
    pub fn parse(text: &str) -> Result<Self, HolidayError> {
        let file: File =
            toml::from_str(text).map_err(|error| HolidayError::Syntax(error.to_string()))?;
        if file.version != 1 {
            return Err(HolidayError::Version(file.version));
        }
        let (from, until) = stretch(file.from, file.until)?;
        let covered = |what, date: Date| {
            if (from..=until).contains(&date) {
                Ok(date)
            } else {
                Err(HolidayError::Outside {
                    what,
                    date,
                    from,
                    until,
                })
            }
        };
        let mut holidays = BTreeSet::new();
        for named in file.holidays {
            let (first, last) = stretch(named.from, named.until)?;
            covered("holiday", first)?;
            covered("holiday", last)?;
            let days = first.series(jiff::Span::new().days(1)).take(LONGEST_DAYS);
            holidays.extend(days.take_while(|day| *day <= last));
        }
        let mut working = BTreeSet::new();
        for named in file.working {
            let day = covered("working day", date(named)?)?;
            if holidays.contains(&day) {
                return Err(HolidayError::Both(day));
            }
            if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
                return Err(HolidayError::NoWeekend(day));
            }
            working.insert(day);
        }
        Ok(Self {
            name: file.name,
            from,
            until,
            holidays,
            working,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last day that is known.
    pub fn until(&self) -> Date {
        self.until
    }

    /// Whether people work on a day; a day that the file does not cover goes by its weekday.
    pub fn is_worked(&self, day: Date) -> bool {
        match self.kind(day) {
            Some(DayKind::Holiday) => false,
            Some(DayKind::Working) => true,
            Some(DayKind::Ordinary) | None => {
                !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
            }
        }
    }

    /// `None`: the file does not cover it.
    pub fn kind(&self, day: Date) -> Option<DayKind> {
        if !(self.from..=self.until).contains(&day) {
            return None;
        }
        Some(if self.holidays.contains(&day) {
            DayKind::Holiday
        } else if self.working.contains(&day) {
            DayKind::Working
        } else {
            DayKind::Ordinary
        })
    }
}

fn stretch(
    from: toml::value::Datetime,
    until: toml::value::Datetime,
) -> Result<(Date, Date), HolidayError> {
    let (from, until) = (date(from)?, date(until)?);
    if from <= until {
        Ok((from, until))
    } else {
        Err(HolidayError::Backwards { from, until })
    }
}

fn date(value: toml::value::Datetime) -> Result<Date, HolidayError> {
    let text = value.to_string();
    text.parse()
        .map_err(|_| HolidayError::Syntax(format!("{text} is not a date such as 2026-10-01")))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_shipped_calendar_knows_its_year_and_nothing_else() {
        let cn = Holidays::parse(Holidays::CN).expect("the shipped file is sound");
        for (day, kind) in [
            (date(2026, 2, 14), Some(DayKind::Working)),
            (date(2026, 2, 15), Some(DayKind::Holiday)),
            (date(2026, 2, 23), Some(DayKind::Holiday)),
            (date(2026, 2, 24), Some(DayKind::Ordinary)),
            (date(2026, 10, 8), Some(DayKind::Ordinary)),
            (date(2026, 12, 31), Some(DayKind::Ordinary)),
            (date(2027, 1, 1), None),
            (date(2025, 12, 31), None),
        ] {
            assert_eq!(cn.kind(day), kind, "{day}");
        }
        assert_eq!(cn.holidays.len(), 3 + 9 + 3 + 5 + 3 + 3 + 7);
    }

    #[test]
    fn a_broken_file_says_where() {
        let file = |holidays: &str, working: &str| {
            let text = format!(
                "version = 1\nname = \"x\"\nfrom = 2026-01-01\nuntil = 2026-12-31\nholidays = [{holidays}]\nworking = [{working}]\n"
            );
            Holidays::parse(&text).map(|_| ())
        };
        let day = "{ from = 2026-05-01, until = 2026-05-03 }";
        assert_eq!(file(day, "2026-05-09"), Ok(()));
        assert!(matches!(
            file("{ from = 2026-05-03, until = 2026-05-01 }", ""),
            Err(HolidayError::Backwards { .. })
        ));
        assert!(matches!(
            file("{ from = 2026-12-31, until = 2027-01-02 }", ""),
            Err(HolidayError::Outside { .. })
        ));
        assert_eq!(
            file(day, "2026-05-02"),
            Err(HolidayError::Both(date(2026, 5, 2)))
        );
        assert_eq!(
            file(day, "2026-05-11"),
            Err(HolidayError::NoWeekend(date(2026, 5, 11)))
        );
        assert!(matches!(
            Holidays::parse(
                "version = 2\nname = \"x\"\nfrom = 2026-01-01\nuntil = 2026-01-01\nholidays = []"
            ),
            Err(HolidayError::Version(2))
        ));
        assert!(matches!(
            Holidays::parse("version = 1"),
            Err(HolidayError::Syntax(_))
        ));
    }
}
