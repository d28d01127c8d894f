//! Dates as hospitals write them: ISO, Chinese, with a month's name, as a spreadsheet's serial number.
//!
//! `03/04/2026` is refused: it is a day in March here and in April there. So is a year of two digits.

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use unicode_normalization::UnicodeNormalization;

/// Why a date was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateFault {
    #[error("is not a date")]
    NotADate,
    #[error("may be read with the day or the month first")]
    Ambiguous,
    #[error("has a year of two digits")]
    ShortYear,
}

/// Reads a date; a time of day behind it is dropped.
///
/// # Errors
/// As [`DateFault`].
pub fn read_date(text: &str) -> Result<Date, DateFault> {
    civil(text).map(|(date, _)| date)
}

/// Reads an instant with its offset, or a local date and time; a date alone is its noon.
///
/// # Errors
/// As [`DateFault`].
pub fn read_instant(text: &str, zone: &TimeZone) -> Result<Timestamp, DateFault> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let (date, time) = civil(text)?;
    let local = time.map_or_else(|| date.at(12, 0, 0, 0), |time| date.to_datetime(time));
    zone.to_timestamp(local).map_err(|_| DateFault::NotADate)
}

fn civil(text: &str) -> Result<(Date, Option<Time>), DateFault> {
    let plain: String = text.trim().nfkc().collect();
    if plain.chars().all(|c| c.is_ascii_digit() || c == '.') && plain.matches('.').count() < 2 {
        return number(&plain);
    }
    let mut spaced = String::with_capacity(plain.len());
    let chars: Vec<char> = plain.chars().collect();
    for (place, c) in chars.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| chars.get(place));
        match c {
            '年' | '月' => spaced.push('-'),
            '日' | '号' | ',' => spaced.push(' '),
            '时' | '時' | '点' | '分' => spaced.push(':'),
            '秒' => {}
            'T' if before.is_some_and(char::is_ascii_digit) => spaced.push(' '),
            c => spaced.push(*c),
        }
    }
    let spaced = spaced
        .replace("上午", " am ")
        .replace("下午", " pm ")
        .to_lowercase();
    let (mut parts, mut time, mut afternoon) = (Vec::new(), None, None);
    for word in spaced.split_whitespace() {
        match word {
            "am" => afternoon = Some(false),
            "pm" => afternoon = Some(true),
            _ if word.contains(':') => time = Some(clock(word)?),
            _ => parts.extend(word.split(['-', '/', '.']).filter(|part| !part.is_empty())),
        }
    }
    let time = match (time, afternoon) {
        (Some(time), Some(afternoon)) => Some(twelve_hours(time, afternoon)?),
        (time, None) => time,
        (None, Some(_)) => return Err(DateFault::NotADate),
    };
    Ok((of_parts(&parts)?, time))
}

/// `20261119`, with a time behind it `202611191030`, or days since 1899-12-30 as spreadsheets count them.
fn number(text: &str) -> Result<(Date, Option<Time>), DateFault> {
    let cut = |from: usize, to: usize| -> Result<i64, DateFault> {
        let part = text.get(from..to).unwrap_or_default();
        part.parse().map_err(|_| DateFault::NotADate)
    };
    if text.contains('.') || text.len() < 8 {
        return serial(text.parse().map_err(|_| DateFault::NotADate)?);
    }
    let day = of_numbers(cut(0, 4)?, cut(4, 6)?, cut(6, 8)?)?;
    let time = match text.len() {
        8 => None,
        12 => Some(of_clock(cut(8, 10)?, cut(10, 12)?, 0)?),
        14 => Some(of_clock(cut(8, 10)?, cut(10, 12)?, cut(12, 14)?)?),
        _ => return Err(DateFault::NotADate),
    };
    Ok((day, time))
}

/// From 1900-03-01 on, for spreadsheets believe in a 29 February 1900, to 2199.
fn serial(days: f64) -> Result<(Date, Option<Time>), DateFault> {
    if !(61.0..109_575.0).contains(&days) {
        return Err(DateFault::NotADate);
    }
    // Whole seconds: a fraction such as 0.4375 is seldom exact.
    let seconds = (days * 86_400.0).round() as i64;
    let at: DateTime = date(1899, 12, 30)
        .at(0, 0, 0, 0)
        .checked_add(Span::new().seconds(seconds))
        .map_err(|_| DateFault::NotADate)?;
    let time = (at.time() != Time::midnight()).then(|| at.time());
    Ok((at.date(), time))
}

fn of_parts(parts: &[&str]) -> Result<Date, DateFault> {
    let &[first, second, third] = parts else {
        return Err(DateFault::NotADate);
    };
    let value = |part: &str| part.parse::<i64>().map_err(|_| DateFault::NotADate);
    if first.len() == 4 {
        let month = month_named(second).map_or_else(|| value(second), Ok)?;
        return of_numbers(value(first)?, month, value(third)?);
    }
    if third.len() != 4 {
        let known =
            |part: &str| part.len() <= 2 && value(part).is_ok() || month_named(part).is_some();
        let short = parts.iter().all(|part| known(part));
        return Err(if short {
            DateFault::ShortYear
        } else {
            DateFault::NotADate
        });
    }
    let year = value(third)?;
    match (month_named(first), month_named(second)) {
        (Some(month), None) => of_numbers(year, month, value(second)?),
        (None, Some(month)) => of_numbers(year, month, value(first)?),
        (Some(_), Some(_)) => Err(DateFault::NotADate),
        (None, None) => {
            let (first, second) = (value(first)?, value(second)?);
            if first > 12 {
                of_numbers(year, second, first)
            } else if second > 12 || first == second {
                of_numbers(year, first, second)
            } else {
                Err(DateFault::Ambiguous)
            }
        }
    }
}

fn of_numbers(year: i64, month: i64, day: i64) -> Result<Date, DateFault> {
    let small = |value: i64| i8::try_from(value).map_err(|_| DateFault::NotADate);
    let year = i16::try_from(year).map_err(|_| DateFault::NotADate)?;
    Date::new(year, small(month)?, small(day)?).map_err(|_| DateFault::NotADate)
}

fn month_named(word: &str) -> Option<i64> {
    let names = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let found = (1..).zip(names).find(|(_, name)| {
        *name == word
            || word == "sept" && *name == "september"
            || word.len() == 3 && name.starts_with(word)
    });
    found.map(|(month, _)| month)
}

/// `10:30`, `10:30:00`, `10:30:00.000`, `10:` (10时), `10:30am`.
fn clock(word: &str) -> Result<Time, DateFault> {
    let (word, afternoon) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(rest), _) => (rest, Some(false)),
        (None, Some(rest)) => (rest, Some(true)),
        (None, None) => (word, None),
    };
    let mut values = [0; 3];
    let parts: Vec<&str> = word.trim_end_matches(':').split(':').collect();
    if parts.len() > values.len() {
        return Err(DateFault::NotADate);
    }
    for (value, part) in values.iter_mut().zip(parts) {
        let whole = part.split('.').next().unwrap_or(part);
        *value = whole.parse().map_err(|_| DateFault::NotADate)?;
    }
    let time = of_clock(values[0], values[1], values[2])?;
    afternoon.map_or(Ok(time), |afternoon| twelve_hours(time, afternoon))
}

fn of_clock(hour: i64, minute: i64, second: i64) -> Result<Time, DateFault> {
    let small = |value: i64| i8::try_from(value).map_err(|_| DateFault::NotADate);
    Time::new(small(hour)?, small(minute)?, small(second)?, 0).map_err(|_| DateFault::NotADate)
}

/// 12 am is midnight; an hour past 12 needs no afternoon and is left (下午 15:30).
fn twelve_hours(time: Time, afternoon: bool) -> Result<Time, DateFault> {
    let hour = match (time.hour(), afternoon) {
        (12, false) => 0,
        (hour @ 1..=11, true) => hour + 12,
        (hour, _) => hour,
    };
    of_clock(hour.into(), time.minute().into(), time.second().into())
}

#[cfg(test)]
mod tests {
    use super::{DateFault, read_date, read_instant};
    use crate::time;

    #[test]
    fn a_date_has_many_spellings_and_one_meaning() {
        for text in [
            "2026-11-19",
            "2026/11/19",
            "2026.11.19",
            "20261119",
            "2026年11月19日",
            "2026年11月19号 10时30分",
            "２０２６－１１－１９",
            "11/19/2026",
            "19/11/2026",
            "Nov 19, 2026",
            "19 November 2026",
            "19-Nov-2026",
            "2026-11-19T10:30:00",
            "46345",
            "46345.4375",
        ] {
            let read = read_date(text).map(|date| date.to_string());
            assert_eq!(read, Ok("2026-11-19".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_local_time_is_read_in_the_zone() {
        let zone = time::zone("Asia/Shanghai").expect("a zone");
        for text in [
            "2026-11-19 10:30",
            "2026-11-19T10:30:00+08:00",
            "2026年11月19日10时30分",
            "2026年11月19日 上午10点30分",
            "202611191030",
            "20261119103000",
            "11/19/2026 10:30 AM",
            "46345.4375",
        ] {
            let read = read_instant(text, &zone).map(|at| at.to_string());
            assert_eq!(read, Ok("2026-11-19T02:30:00Z".to_owned()), "{text}");
        }
        let noon = read_instant("2026-11-19", &zone).map(|at| at.to_string());
        assert_eq!(noon, Ok("2026-11-19T04:00:00Z".to_owned()));
        let evening = read_instant("2026-11-19 下午3:05", &zone).map(|at| at.to_string());
        assert_eq!(evening, Ok("2026-11-19T07:05:00Z".to_owned()));
    }

    #[test]
    fn what_may_mean_two_days_or_none_is_refused() {
        for (text, fault) in [
            ("03/04/2026", DateFault::Ambiguous),
            ("19-11-26", DateFault::ShortYear),
            ("1.2.50", DateFault::ShortYear),
            ("19-Nov-26", DateFault::ShortYear),
            ("2026-02-30", DateFault::NotADate),
            ("2026-13-01", DateFault::NotADate),
            ("13/13/2026", DateFault::NotADate),
            ("yesterday", DateFault::NotADate),
            ("12", DateFault::NotADate),
            ("999999", DateFault::NotADate),
            ("2026-11-19 25:00", DateFault::NotADate),
            ("", DateFault::NotADate),
        ] {
            let zone = jiff::tz::TimeZone::UTC;
            assert_eq!(read_instant(text, &zone), Err(fault), "{text}");
        }
        assert_eq!(
            read_date("05/05/2026").map(|date| date.to_string()),
            Ok("2026-05-05".to_owned())
        );
    }
}
