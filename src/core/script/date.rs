//! Month and day of birth, spoken or keyed: 四月十二号, 4月12日, "April twelfth", "four twelve", `0412`.

use super::number;
use crate::lang::Lang;
use crate::pinyin;

/// A month and a day that exist in some year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthDay {
    pub month: i8,
    pub day: i8,
}

impl MonthDay {
    /// `None` where no year has such a day.
    pub fn new(month: u32, day: u32) -> Option<MonthDay> {
        const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let index = usize::try_from(month).ok()?.checked_sub(1)?;
        let fits = (1..=*LONGEST.get(index)?).contains(&day);
        fits.then_some(MonthDay {
            month: i8::try_from(month).ok()?,
            day: i8::try_from(day).ok()?,
        })
    }
}

/// The month and day in a reply.
pub fn read(text: &str, lang: Lang) -> Option<MonthDay> {
    match lang {
        Lang::Zh => read_zh(text),
        Lang::En => read_en(text),
    }
}

/// Whether a Mandarin reply that names no date outright sounds like this one and like no other:
/// "11月站好" for 十一月三号. Only for a date that is known, so that a misheard one can still be recognised.
pub fn sounds_like(text: &str, date: MonthDay) -> bool {
    let heard = heard_syllables(text);
    let heard: Vec<&str> = heard.iter().map(String::as_str).collect();
    let wanted = strain_of(&heard, date);
    let others =
        (1..=12).flat_map(|month| (1..=31).filter_map(move |day| MonthDay::new(month, day)));
    wanted <= CLOSE
        && others
            .filter(|other| *other != date && !is_twin(*other, date))
            .all(|other| strain_of(&heard, other) >= wanted + APART)
}

/// The most that a date may be bent, and the least that every other must be bent more.
const CLOSE: f32 = 0.5;
const APART: f32 = 0.3;

/// 是一月 and 十一月 sound alike: nothing but the record can tell them apart.
fn is_twin(a: MonthDay, b: MonthDay) -> bool {
    a.day == b.day && (a.month - b.month).abs() == 10
}

fn heard_syllables(text: &str) -> Vec<String> {
    let mut heard = Vec::new();
    let mut digits = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if let Ok(number) = std::mem::take(&mut digits).parse::<u32>() {
            heard.extend(spoken_number(number).into_iter().map(str::to_owned));
        }
        heard.extend(
            pinyin::toneless(&c.to_string())
                .into_iter()
                .map(str::to_owned),
        );
    }
    heard
}

fn strain_of(heard: &[&str], date: MonthDay) -> f32 {
    let number = |n: i8| spoken_number(u32::try_from(n).unwrap_or(0));
    let mut pattern = number(date.month);
    pattern.push("yue");
    pattern.extend(number(date.day));
    let day = ["hao", "ri"].map(|end| {
        let mut pattern = pattern.clone();
        pattern.push(end);
        pinyin::strain(heard, &pattern)
    });
    day[0].min(day[1])
}

/// 1–99 in syllables; larger ones digit by digit.
fn spoken_number(number: u32) -> Vec<&'static str> {
    const DIGITS: [&str; 10] = [
        "ling", "yi", "er", "san", "si", "wu", "liu", "qi", "ba", "jiu",
    ];
    let digit = |n: u32| DIGITS[(n % 10) as usize];
    match number {
        0..=9 => vec![digit(number)],
        10 => vec!["shi"],
        11..=19 => vec!["shi", digit(number)],
        20..=99 if number.is_multiple_of(10) => vec![digit(number / 10), "shi"],
        20..=99 => vec![digit(number / 10), "shi", digit(number)],
        _ => number
            .to_string()
            .chars()
            .filter_map(|c| c.to_digit(10))
            .map(digit)
            .collect(),
    }
}

/// Two digits of month and two of day; 412 is read as 0412.
pub fn read_keys(keys: &str) -> Option<MonthDay> {
    let digits: Vec<u32> = keys.chars().filter_map(|c| c.to_digit(10)).collect();
    of_digits(&digits)
}

fn of_digits(digits: &[u32]) -> Option<MonthDay> {
    match *digits {
        [a, b, c, d] => MonthDay::new(a * 10 + b, c * 10 + d),
        [b, c, d] => MonthDay::new(b, c * 10 + d),
        [a, b] => MonthDay::new(a, b),
        _ => None,
    }
}

// ---- Mandarin

/// What a date is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Digit(u32),
    Ten,
    Month,
    Other,
}

fn read_zh(text: &str) -> Option<MonthDay> {
    // As written first; by sound only where that says nothing, because 是二月 sounds like 十二月.
    let written: Vec<Mark> = text.chars().filter_map(written_mark).collect();
    let spoken: Vec<Mark> = text.chars().filter_map(spoken_mark).collect();
    of_marks(&written).or_else(|| of_marks(&spoken))
}

fn written_mark(c: char) -> Option<Mark> {
    let mark = match c {
        '十' => Mark::Ten,
        '月' => Mark::Month,
        '〇' | '零' => Mark::Digit(0),
        '幺' => Mark::Digit(1),
        '两' => Mark::Digit(2),
        '初' => return None,
        c if c.is_whitespace() => return None,
        c => "零一二三四五六七八九"
            .chars()
            .position(|d| d == c)
            .and_then(|p| u32::try_from(p).ok())
            .or_else(|| c.to_digit(10))
            .map_or(Mark::Other, Mark::Digit),
    };
    Some(mark)
}

fn spoken_mark(c: char) -> Option<Mark> {
    let Some(reading) = pinyin::reading(c) else {
        return written_mark(c);
    };
    let mark = match reading.plain {
        "ling" => Mark::Digit(0),
        "yi" | "yao" => Mark::Digit(1),
        "er" | "liang" => Mark::Digit(2),
        "san" => Mark::Digit(3),
        "si" => Mark::Digit(4),
        "wu" => Mark::Digit(5),
        "liu" => Mark::Digit(6),
        "qi" => Mark::Digit(7),
        "ba" => Mark::Digit(8),
        "jiu" => Mark::Digit(9),
        "shi" => Mark::Ten,
        "yue" => Mark::Month,
        "chu" => return None,
        _ => Mark::Other,
    };
    Some(mark)
}

fn of_marks(marks: &[Mark]) -> Option<MonthDay> {
    let Some(at) = marks.iter().position(|m| *m == Mark::Month) else {
        let digits = marks.iter().filter_map(|m| match m {
            Mark::Digit(d) => Some(*d),
            Mark::Ten | Mark::Month | Mark::Other => None,
        });
        let digits: Vec<u32> = digits.collect();
        let plain = !marks.contains(&Mark::Ten) && digits.len() >= 3;
        return plain.then(|| of_digits(&digits))?;
    };
    let month = (at.saturating_sub(3)..at).find_map(|from| {
        let value = value(&marks[from..at])?;
        (1..=12).contains(&value).then_some(value)
    })?;
    let rest = &marks[at + 1..];
    let day = (1..=rest.len().min(4))
        .rev()
        .find_map(|to| value(&rest[..to]))?;
    MonthDay::new(month, day)
}

/// The value of a run that is a number and nothing else.
fn value(run: &[Mark]) -> Option<u32> {
    use Mark::{Digit, Ten};
    match *run {
        [Digit(a)] => Some(a),
        [Digit(a), Digit(b)] => Some(a * 10 + b),
        [Ten] => Some(10),
        [Ten, Digit(b)] => Some(10 + b),
        [Digit(a), Ten] => Some(a * 10),
        [Digit(a), Ten, Digit(b)] => Some(a * 10 + b),
        _ => None,
    }
}

// ---- English

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const ORDINALS: [&str; 20] = [
    "",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];

fn read_en(text: &str) -> Option<MonthDay> {
    let lower = text.to_lowercase().replace(['-', '/', ',', '.'], " ");
    let words: Vec<&str> = lower.split_whitespace().collect();
    if let Some(at) = words.iter().position(|w| month_en(w).is_some()) {
        let month = month_en(words[at])?;
        let after = day_en(&words[at + 1..]);
        return MonthDay::new(month, after.or_else(|| day_en(&words[..at]))?);
    }
    let numbers = numbers_en(&words);
    match numbers[..] {
        [month, day] if month >= 1 => MonthDay::new(month, day),
        [0, month, ref rest @ ..] => MonthDay::new(month, join(rest)?),
        [_, _, _, ..] if numbers.iter().all(|n| *n < 10) => of_digits(&numbers),
        [month, day, year] if year > 31 => MonthDay::new(month, day),
        _ => None,
    }
}

/// `one two` keyed out as a day, or `twelve`.
fn join(rest: &[u32]) -> Option<u32> {
    match *rest {
        [day] => Some(day),
        [a, b] if a < 10 && b < 10 => Some(a * 10 + b),
        _ => None,
    }
}

fn month_en(word: &str) -> Option<u32> {
    let long_enough = word.len() >= 3 && word.chars().all(char::is_alphabetic);
    let full = |m: &str| match m {
        "mar" => word == "mar" || word.starts_with("march"),
        "may" => word == "may",
        "dec" => word == "dec" || word.starts_with("decem"),
        "sep" => word == "sep" || word.starts_with("sept"),
        m => word.starts_with(m),
    };
    let at = long_enough.then(|| MONTHS.iter().position(|m| full(m)))??;
    u32::try_from(at + 1).ok()
}

/// The first day in the words: `the 12th`, `twelfth`, `twenty first`, `twelve`.
fn day_en(words: &[&str]) -> Option<u32> {
    let numbers = numbers_en(words);
    numbers.into_iter().find(|n| (1..=31).contains(n))
}

/// Numbers in order; tens take the unit after them.
fn numbers_en(words: &[&str]) -> Vec<u32> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut tens_open = false;
    for word in words {
        let Some(value) = number_en(word) else {
            tens_open = false;
            continue;
        };
        if tens_open && (1..10).contains(&value) {
            let last = numbers.last_mut().expect("tens_open follows a push");
            *last += value;
            tens_open = false;
            continue;
        }
        numbers.push(value);
        let spelled = !word.starts_with(|c: char| c.is_ascii_digit());
        tens_open = spelled && matches!(value, 20 | 30);
    }
    numbers
}

fn number_en(word: &str) -> Option<u32> {
    let ordinal = ORDINALS.iter().skip(1).position(|o| *o == word);
    let special = match word {
        "twentieth" => Some(20),
        "thirtieth" => Some(30),
        _ => None,
    };
    let figures = word.trim_end_matches(|c: char| c.is_alphabetic());
    let figure = figures.parse().ok();
    let ordinal = ordinal.and_then(|p| u32::try_from(p + 1).ok());
    let cardinal = || number::word_en(word).map(|v| v as u32);
    ordinal.or(special).or(figure).or_else(cardinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(month: i8, day: i8) -> MonthDay {
        MonthDay { month, day }
    }

    #[test]
    fn a_misheard_date_is_recognised_when_it_sounds_like_no_other() {
        assert!(sounds_like("11月站好", day(11, 3)));
        assert!(sounds_like("于是1月站好", day(11, 3)));
        assert!(!sounds_like("11月站好", day(11, 4)));
        assert!(!sounds_like("11月站好", day(10, 3)));
    }

    #[test]
    fn another_date_is_never_taken_for_the_one_on_record() {
        for said in [
            "五月四号",
            "十月三号",
            "十一月十三号",
            "十一月四号",
            "一月四号",
            "三月十一号",
            "今天天气不错",
            "喂你好",
        ] {
            assert!(!sounds_like(said, day(11, 3)), "{said}");
        }
    }
}
