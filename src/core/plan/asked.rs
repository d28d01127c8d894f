//! The hour somebody asked to be called at: "下午三点", "tomorrow at ten", "in half an hour".
//!
//! Reads little and guesses nothing: what is not understood gives `None`, and the plan then tries another
//! part of the day. Windows and caps hold for the hour asked for as for any other.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};

use super::hours::at_local;
use crate::lang::Lang;
use crate::time::Timestamp;

/// Reads the hour out of the words; `now` is when they were said, `zone` where.
pub fn hour_asked_for(
    words: &str,
    lang: Lang,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<Timestamp> {
    let words = words.to_lowercase();
    let said = match lang {
        Lang::Zh => Said::chinese(&words),
        Lang::En => Said::english(&words),
    };
    let at = match said {
        Said {
            after_minutes: Some(minutes),
            ..
        } => now + SignedDuration::from_mins(minutes),
        Said {
            day: None,
            part: None,
            clock: None,
            ..
        } => return None,
        Said {
            day, part, clock, ..
        } => {
            let local = zone.to_datetime(now);
            let date = local
                .date()
                .saturating_add(Span::new().days(day.unwrap_or(0)));
            let time = match (clock, part) {
                (Some((hour, minute)), part) => {
                    Time::new(on_24h(hour, part)?, minute, 0, 0).ok()?
                }
                (None, Some(part)) => part.begins(),
                (None, None) => Time::midnight(),
            };
            at_local(date, time, zone)
        }
    };
    (at > now && at.duration_since(now) <= SignedDuration::from_hours(72)).then_some(at)
}

/// A part of the day as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Morning,
    Afternoon,
    Evening,
}

impl Part {
    fn begins(self) -> Time {
        let hour = match self {
            Part::Morning => 9,
            Part::Afternoon => 14,
            Part::Evening => 18,
        };
        Time::constant(hour, 0, 0, 0)
    }
}

/// 1–7 without a part of the day is the afternoon: nobody asks for a call at three in the night.
fn on_24h(hour: i8, part: Option<Part>) -> Option<i8> {
    match (hour, part) {
        (13..=23, _) | (12, Some(Part::Morning | Part::Afternoon) | None) => Some(hour),
        (1..=11, Some(Part::Afternoon | Part::Evening)) | (1..=7, None) => Some(hour + 12),
        (5..=11, Some(Part::Morning)) | (8..=11, None) => Some(hour),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    /// Days from today.
    day: Option<i64>,
    part: Option<Part>,
    /// Hour as said, minute.
    clock: Option<(i8, i8)>,
    after_minutes: Option<i64>,
}

impl Said {
    fn chinese(words: &str) -> Self {
        let text: Vec<char> = words.chars().filter(|c| !c.is_whitespace()).collect();
        let joined: String = text.iter().collect();
        let has = |names: &[&str]| names.iter().any(|name| joined.contains(name));
        let day = if has(&["后天"]) {
            Some(2)
        } else if has(&["明天", "明早", "明晚"]) {
            Some(1)
        } else {
            has(&["今天", "今晚"]).then_some(0)
        };
        let part = if has(&["上午", "早上", "明早"]) {
            Some(Part::Morning)
        } else if has(&["下午", "中午"]) {
            Some(Part::Afternoon)
        } else {
            has(&["晚上", "傍晚", "今晚", "明晚"]).then_some(Part::Evening)
        };
        Self {
            day,
            part,
            clock: chinese_clock(&text),
            after_minutes: chinese_after(&joined),
        }
    }

    fn english(words: &str) -> Self {
        let split = words.split(|c: char| !c.is_alphanumeric() && c != ':');
        let tokens: Vec<&str> = split.filter(|word| !word.is_empty()).collect();
        let has = |names: &[&str]| tokens.iter().any(|token| names.contains(token));
        let day = if has(&["tomorrow"]) {
            Some(1)
        } else {
            has(&["today", "tonight"]).then_some(0)
        };
        let spaced = tokens.join(" ").replace("a m", "am").replace("p m", "pm");
        let tokens: Vec<&str> = spaced.split(' ').collect();
        let has = |names: &[&str]| tokens.iter().any(|token| names.contains(token));
        let part = if has(&["morning", "am"]) {
            Some(Part::Morning)
        } else if has(&["evening", "tonight"]) {
            Some(Part::Evening)
        } else {
            has(&["afternoon", "pm"]).then_some(Part::Afternoon)
        };
        Self {
            day,
            part,
            clock: english_clock(&tokens),
            after_minutes: english_after(&tokens),
        }
    }
}

/// `三点`, `十点半`, `3点20分`, `两点一刻`.
fn chinese_clock(text: &[char]) -> Option<(i8, i8)> {
    let dot = text.iter().position(|c| matches!(c, '点' | '點'))?;
    let digits = |c: &&char| chinese_digit(**c).is_some() || **c == '十' || c.is_ascii_digit();
    let before = text[..dot].iter().rev().take_while(digits).count();
    let hour = chinese_number(&text[dot - before..dot])?;
    let rest = &text[dot + 1..];
    let minute = match rest.first() {
        Some('半') => 30,
        Some(_) => {
            let length = rest.iter().take_while(digits).count();
            match chinese_number(&rest[..length]) {
                Some(quarter) if rest.get(length) == Some(&'刻') => quarter.checked_mul(15)?,
                Some(minutes) => minutes,
                None => 0,
            }
        }
        None => 0,
    };
    Some((hour, minute))
}

/// `半小时后`, `一个小时以后`, `过两个小时`, `二十分钟后`.
fn chinese_after(text: &str) -> Option<i64> {
    let later = ["后", "过", "等"].iter().any(|word| text.contains(word));
    if !later || text.contains("后天") {
        return None;
    }
    if ["半小时", "半个小时", "半个钟头"]
        .iter()
        .any(|half| text.contains(half))
    {
        return Some(30);
    }
    let (unit, at) = ["小时", "钟头", "分钟"]
        .iter()
        .find_map(|unit| Some((*unit, text.find(unit)?)))?;
    let before: Vec<char> = text[..at].trim_end_matches('个').chars().collect();
    let is_number = |c: &&char| chinese_digit(**c).is_some() || **c == '十' || c.is_ascii_digit();
    let length = before.iter().rev().take_while(is_number).count();
    let count = i64::from(chinese_number(&before[before.len() - length..])?);
    Some(if unit == "分钟" { count } else { count * 60 })
}

fn chinese_digit(c: char) -> Option<i8> {
    let digits = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
    let found = digits
        .iter()
        .position(|digit| *digit == c)
        .or((c == '两').then_some(2))?;
    i8::try_from(found).ok()
}

/// 0–99, in characters or figures.
fn chinese_number(text: &[char]) -> Option<i8> {
    let figures: String = text.iter().collect();
    if let Ok(number) = figures.parse::<i8>() {
        return Some(number);
    }
    let digit = |c: &char| chinese_digit(*c);
    match text {
        [only] if *only != '十' => digit(only),
        ['十'] => Some(10),
        ['十', ones] => Some(10 + digit(ones)?),
        [tens, '十'] => digit(tens)?.checked_mul(10),
        [tens, '十', ones] => digit(tens)?.checked_mul(10)?.checked_add(digit(ones)?),
        _ => None,
    }
}

/// `at three`, `3 pm`, `3:30`, `half past two`, `ten o'clock`.
fn english_clock(tokens: &[&str]) -> Option<(i8, i8)> {
    for (place, token) in tokens.iter().enumerate() {
        let before = |back: usize| {
            place
                .checked_sub(back)
                .and_then(|at| tokens.get(at))
                .copied()
        };
        if let Some((hour, minute)) = token.split_once(':') {
            return Some((hour.parse().ok()?, minute.parse().ok()?));
        }
        let glued = token
            .strip_suffix("am")
            .or_else(|| token.strip_suffix("pm"));
        let Some(hour) = english_number(glued.filter(|rest| !rest.is_empty()).unwrap_or(token))
        else {
            continue;
        };
        if before(1) == Some("past") && before(2) == Some("half") {
            return Some((hour, 30));
        }
        let follows = tokens.get(place + 1).copied();
        let marked = matches!(before(1), Some("at" | "around" | "about" | "after"))
            || matches!(follows, Some("am" | "pm" | "o" | "oclock"))
            || glued.is_some_and(|rest| !rest.is_empty());
        let counts = matches!(follows, Some("minutes" | "minute" | "hours" | "hour"));
        if marked && !counts {
            let spelt = [("fifteen", 15), ("thirty", 30)];
            let minute = spelt.iter().find(|(word, _)| follows == Some(*word));
            return Some((hour, minute.map_or(0, |(_, minute)| *minute)));
        }
    }
    None
}

/// `in an hour`, `in half an hour`, `in two hours`, `in twenty minutes`.
fn english_after(tokens: &[&str]) -> Option<i64> {
    let from = tokens.iter().position(|token| *token == "in")? + 1;
    let rest = tokens.get(from..)?;
    match rest {
        ["half", "an", "hour", ..] => Some(30),
        ["an", "hour", ..] => Some(60),
        [count, "hour" | "hours", ..] => Some(i64::from(english_number(count)?) * 60),
        [count, "minute" | "minutes", ..] => english_number(count).map(i64::from),
        _ => None,
    }
}

fn english_number(word: &str) -> Option<i8> {
    const WORDS: [&str; 13] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve",
    ];
    let tens = [
        ("fifteen", 15),
        ("twenty", 20),
        ("thirty", 30),
        ("forty", 40),
    ];
    let spelt = WORDS
        .iter()
        .position(|known| *known == word)
        .and_then(|at| i8::try_from(at).ok());
    let tens = tens
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, value)| *value);
    word.parse()
        .ok()
        .or(spelt)
        .or(tens)
        .filter(|number| (0..=60).contains(number))
}

#[cfg(test)]
mod tests {
    use super::hour_asked_for;
    use crate::lang::Lang;
    use crate::time;

    /// Said on Thursday 5 March 2026, 10:00 in Shanghai.
    const CASES: [(&str, Lang, &str); 24] = [
        ("下午三点再打吧", Lang::Zh, "2026-03-05 15:00"),
        ("下午 3 点半", Lang::Zh, "2026-03-05 15:30"),
        ("明天上午十点", Lang::Zh, "2026-03-06 10:00"),
        ("明天下午两点一刻", Lang::Zh, "2026-03-06 14:15"),
        ("后天早上九点二十", Lang::Zh, "2026-03-07 09:20"),
        ("三点钟吧", Lang::Zh, "2026-03-05 15:00"),
        ("今晚七点", Lang::Zh, "2026-03-05 19:00"),
        ("下午再打", Lang::Zh, "2026-03-05 14:00"),
        ("明天吧", Lang::Zh, "2026-03-06 00:00"),
        ("过半个小时", Lang::Zh, "2026-03-05 10:30"),
        ("两个小时以后", Lang::Zh, "2026-03-05 12:00"),
        ("二十分钟后", Lang::Zh, "2026-03-05 10:20"),
        ("晚点再说", Lang::Zh, "-"),
        ("我在开车", Lang::Zh, "-"),
        ("早上八点", Lang::Zh, "-"),
        ("call me at three", Lang::En, "2026-03-05 15:00"),
        ("tomorrow at ten thirty", Lang::En, "2026-03-06 10:30"),
        ("tomorrow morning", Lang::En, "2026-03-06 09:00"),
        ("half past two please", Lang::En, "2026-03-05 14:30"),
        ("3:45 p.m. would be fine", Lang::En, "2026-03-05 15:45"),
        ("in an hour", Lang::En, "2026-03-05 11:00"),
        ("try in twenty minutes", Lang::En, "2026-03-05 10:20"),
        ("this evening", Lang::En, "2026-03-05 18:00"),
        ("I have two cats", Lang::En, "-"),
    ];

    #[test]
    fn an_hour_is_read_or_nothing_is() {
        let zone = time::zone("Asia/Shanghai").expect("a known zone");
        let now = "2026-03-05T02:00:00Z".parse().expect("an instant");
        for (words, lang, expected) in CASES {
            let at = hour_asked_for(words, lang, &zone, now);
            let shown = at.map_or("-".to_owned(), |at| {
                zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
            });
            assert_eq!(shown, expected, "{words}");
        }
    }
}
