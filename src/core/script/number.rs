//! Numbers in a reply, spoken or keyed: 三十八度五, 38.5, 三八五, 一百三 (130), 两斤半, "one thirty over eighty".
//!
//! A number counts only inside the range its question believes in. Units are turned into the one the
//! record keeps (°C, kg, mmHg, points); the read-back uses the unit that was spoken.

use serde::Deserialize;

use super::node::NumberSpec;
use super::spoken;
use crate::lang::Lang;

/// Kilograms in an English pound.
const POUND_KG: f64 = 0.453_592_37;

/// What a number measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Kept in °C; English speakers may mean °F.
    Celsius,
    /// Kept in kg; 斤 (0.5 kg), 两 (0.05 kg) and pounds are understood.
    WeightKg,
    Score,
    Mmhg,
}

/// A number understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// In the unit of the record.
    pub value: f64,
    /// As it is read back.
    pub spoken: String,
}

/// The first number of a reply that its question can believe. Points that are called so come first: 五打九分 is nine
/// (我 is often heard as 五).
pub fn read(text: &str, spec: &NumberSpec, lang: Lang) -> Option<Quantity> {
    let mut found = match lang {
        Lang::Zh => numbers_zh(text),
        Lang::En => numbers_en(text),
    };
    if spec.unit == Unit::Score {
        found.sort_by_key(|number| !number.after.starts_with('分'));
    }
    found.iter().find_map(|n| believe(n, spec, lang))
}

/// Usual short replies to a question for a score, a group for each point from `spec.min` to `spec.max`, and one for
/// those that give none. Where pain is asked for, none is zero.
pub fn usual_scores(spec: &NumberSpec, of_pain: bool, lang: Lang) -> Vec<Vec<String>> {
    let points = (0..=10_u32).filter(|point| (spec.min..=spec.max).contains(&f64::from(*point)));
    let mut groups: Vec<Vec<String>> = points.clone().map(|point| score(point, lang)).collect();
    let painless: &[&str] = match lang {
        Lang::Zh => &["不疼", "不痛", "一点都不疼", "不疼，零分"],
        Lang::En => &["No pain", "No pain at all"],
    };
    let of_none = points.zip(&mut groups).find(|(point, _)| *point == 0);
    if let Some((_, none)) = of_none.filter(|_| of_pain) {
        none.extend(painless.iter().map(|words| (*words).to_owned()));
    }
    let other: &[&str] = match lang {
        Lang::Zh => &["不知道", "说不好", "挺好的", "还可以", "没有", "有"],
        Lang::En => &["I don't know", "Not sure", "Good", "Yes", "No"],
    };
    groups.push(other.iter().map(|words| (*words).to_owned()).collect());
    groups
}

/// How a score is said, as recognisers write it.
fn score(point: u32, lang: Lang) -> Vec<String> {
    match lang {
        Lang::Zh => {
            let number = spoken::whole_zh(point);
            let whole = ["", "打", "我打", "给"].map(|before| format!("{before}{number}分"));
            let softened = ["", "打"].map(|before| format!("{before}{number}分吧"));
            let short = [number, format!("{point}分")];
            whole.into_iter().chain(softened).chain(short).collect()
        }
        Lang::En => {
            let word = SMALL[point as usize];
            let begun = format!("{}{}", word[..1].to_uppercase(), &word[1..]);
            vec![
                begun.clone(),
                format!("A {word}"),
                format!("{begun} out of ten"),
                point.to_string(),
            ]
        }
    }
}

/// A keyed number: 385 stands for 38.5 where a temperature is asked for; `*` is the point.
pub fn read_keys(keys: &str, spec: &NumberSpec, lang: Lang) -> Option<Quantity> {
    let text = keys.trim_end_matches('#').replace('*', ".");
    let value: f64 = text.parse().ok()?;
    let found = Found {
        value,
        after: String::new(),
        range_top: None,
    };
    believe(&found, spec, lang)
}

/// A number as it stands in the text, with the words after it.
#[derive(Debug)]
struct Found {
    value: f64,
    after: String,
    /// 七八分: the upper of two neighbours said together.
    range_top: Option<f64>,
}

/// A unit as it was spoken.
struct Said {
    factor: f64,
    name: &'static str,
}

fn believe(found: &Found, spec: &NumberSpec, lang: Lang) -> Option<Quantity> {
    let raw = found.value;
    let (value, said) = match spec.unit {
        Unit::Celsius if raw > 80.0 && raw < 120.0 => ((raw - 32.0) / 1.8, (raw, fahrenheit(lang))),
        Unit::Celsius if (340.0..=430.0).contains(&raw) => {
            (raw / 10.0, (raw / 10.0, degrees(lang)))
        }
        Unit::Celsius => (raw, (raw, degrees(lang))),
        Unit::WeightKg => {
            let unit = weight_unit(&found.after, lang);
            (raw * unit.factor, (raw, unit.name))
        }
        Unit::Score => {
            let raw = found.range_top.unwrap_or(raw);
            (raw, (raw, if lang == Lang::Zh { "分" } else { "" }))
        }
        Unit::Mmhg => (raw, (raw, "")),
    };
    let inside = (spec.min..=spec.max).contains(&value);
    inside.then(|| Quantity {
        value: (value * 100.0).round() / 100.0,
        spoken: spoken::quantity(said.0, said.1, lang),
    })
}

fn degrees(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "度",
        Lang::En => "degrees",
    }
}

fn fahrenheit(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "华氏度",
        Lang::En => "degrees Fahrenheit",
    }
}

fn weight_unit(after: &str, lang: Lang) -> Said {
    let starts = |names: &[&str]| names.iter().any(|n| after.starts_with(n));
    let said = |factor, name| Said { factor, name };
    match lang {
        Lang::Zh if starts(&["公斤", "千克", "kg", "KG", "Kg"]) => said(1.0, "公斤"),
        Lang::Zh if starts(&["磅"]) => said(POUND_KG, "磅"),
        Lang::Zh if starts(&["两"]) => said(0.05, "两"),
        Lang::Zh => said(0.5, "斤"),
        Lang::En if starts(&["kilo", "kg"]) => said(1.0, "kilograms"),
        Lang::En => said(POUND_KG, "pounds"),
    }
}

// ---- Mandarin

fn digit_zh(c: char) -> Option<u32> {
    "零一二三四五六七八九"
        .chars()
        .position(|d| d == c)
        .and_then(|p| u32::try_from(p).ok())
        .or(match c {
            '〇' => Some(0),
            '两' => Some(2),
            '幺' => Some(1),
            _ => c.to_digit(10),
        })
}

fn numbers_zh(text: &str) -> Vec<Found> {
    let chars: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if let Some((number, end)) = number_zh(&chars, at) {
            found.push(number);
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// One number from `at`, with what follows it: 度五 and 斤半 belong to it.
fn number_zh(chars: &[char], at: usize) -> Option<(Found, usize)> {
    if chars[at] == '半' && matches!(chars.get(at + 1), Some('斤' | '公')) {
        let after = chars[at + 1..].iter().collect();
        return Some((
            Found {
                value: 0.5,
                after,
                range_top: None,
            },
            at + 1,
        ));
    }
    let (mut value, mut end, range_top) = whole_zh(chars, at)?;
    if matches!(chars.get(end), Some('点' | '.')) {
        let (tail, tail_end) = decimals(chars, end + 1);
        if tail_end > end + 1 {
            value += tail;
            end = tail_end;
        }
    }
    let after: String = chars[end..].iter().collect();
    let unit = ["公斤", "斤", "度"]
        .into_iter()
        .find(|u| after.starts_with(u));
    if let Some(unit) = unit {
        let next = end + unit.chars().count();
        match chars.get(next) {
            Some('半') => value += 0.5,
            Some(c) if unit == "度" => value += digit_zh(*c).map_or(0.0, |d| f64::from(d) / 10.0),
            _ => {}
        }
        let used = chars
            .get(next)
            .is_some_and(|c| *c == '半' || digit_zh(*c).is_some());
        end = if used { next + 1 } else { next };
    }
    Some((
        Found {
            value,
            after,
            range_top,
        },
        end,
    ))
}

fn decimals(chars: &[char], from: usize) -> (f64, usize) {
    let mut value = 0.0;
    let mut scale = 0.1;
    let mut at = from;
    while let Some(d) = chars.get(at).copied().and_then(digit_zh) {
        value += f64::from(d) * scale;
        scale /= 10.0;
        at += 1;
    }
    (value, at)
}

/// The whole part: 一百三 is 130, 一百零三 is 103, 三八五 is 385, 七八 is a range.
fn whole_zh(chars: &[char], at: usize) -> Option<(f64, usize, Option<f64>)> {
    let end = (at..chars.len())
        .find(|i| digit_zh(chars[*i]).is_none() && !matches!(chars[*i], '十' | '百' | '千'))
        .unwrap_or(chars.len());
    let run = &chars[at..end];
    if run.is_empty() || run == ['两'] && chars.get(end).is_none() {
        return None;
    }
    if !run.iter().any(|c| matches!(c, '十' | '百' | '千')) {
        let digits: Vec<u32> = run.iter().copied().filter_map(digit_zh).collect();
        let value = digits
            .iter()
            .take(9)
            .fold(0.0, |sum, d| sum * 10.0 + f64::from(*d));
        let neighbours = match digits[..] {
            [a, b] if b == a + 1 && !run[0].is_ascii_digit() => Some(f64::from(b)),
            _ => None,
        };
        return Some((value, end, neighbours));
    }
    let (mut total, mut pending, mut last) = (0.0, None::<f64>, 1.0);
    for c in run {
        let scale = match c {
            '十' => 10.0,
            '百' => 100.0,
            '千' => 1000.0,
            _ => {
                let digit = digit_zh(*c).map(f64::from)?;
                // A zero ends the habit of leaving out the smaller unit: 一百零三.
                last = if digit == 0.0 { 10.0 } else { last };
                let before = if c.is_ascii_digit() {
                    pending.unwrap_or(0.0) * 10.0
                } else {
                    0.0
                };
                pending = Some(before + digit);
                continue;
            }
        };
        total += pending.take().unwrap_or(1.0) * scale;
        last = scale;
    }
    let tail = pending.unwrap_or(0.0);
    // 一百三: the last digit stands for the next smaller unit.
    let omitted = if last >= 100.0 { last / 10.0 } else { 1.0 };
    Some((total + tail * omitted, end, None))
}

// ---- English

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

/// The value of one English number word or figure below 100.
pub fn word_en(word: &str) -> Option<f64> {
    if word == "oh" || word == "o" {
        return Some(0.0);
    }
    let small = SMALL.iter().position(|w| *w == word);
    let tens = TENS.iter().position(|w| *w == word).map(|t| (t + 2) * 10);
    let value = small.or(tens).and_then(|v| u32::try_from(v).ok());
    value.map(f64::from).or_else(|| {
        let figure = word.chars().next()?.is_ascii_digit();
        figure.then(|| word.parse().ok())?
    })
}

fn numbers_en(text: &str) -> Vec<Found> {
    let lower = text.to_lowercase().replace(['-', '/'], " ");
    let cleaned: Vec<String> = lower
        .split_whitespace()
        .flat_map(split_unit)
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
        .filter(|w| !w.is_empty())
        .collect();
    let words: Vec<&str> = cleaned.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        // "Oh, wait" is no zero: only inside a number ("one oh five") oh is one.
        let is_number = !matches!(words[at], "oh" | "o");
        if let Some((value, end)) = number_en(&words, at).filter(|_| is_number) {
            let after = words[end..].join(" ");
            found.push(Found {
                value,
                after,
                range_top: None,
            });
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// `3lbs` is two words.
fn split_unit(word: &str) -> Vec<String> {
    let digits = word
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .count();
    let (number, unit) = word.split_at(digits);
    [number, unit]
        .iter()
        .filter(|p| !p.is_empty())
        .map(|p| (*p).to_owned())
        .collect()
}

fn number_en(words: &[&str], at: usize) -> Option<(f64, usize)> {
    let mut end = at;
    let mut value = match words[at] {
        "a" | "an" if words.get(at + 1) == Some(&"hundred") => 1.0,
        "half" if words.get(at + 1).is_some_and(|w| *w == "a") => {
            return Some((0.5, at + 2));
        }
        word => word_en(word)?,
    };
    end += 1;
    while let Some(word) = words.get(end) {
        let next = word_en(word);
        match (*word, next) {
            ("hundred", _) => value *= 100.0,
            ("and", _)
                if words.get(end + 1) == Some(&"a") && words.get(end + 2) == Some(&"half") =>
            {
                return Some((value + 0.5, end + 3));
            }
            ("and", _)
                if value >= 100.0 && words.get(end + 1).is_some_and(|w| word_en(w).is_some()) => {}
            (_, Some(next)) => value = join_en(value, next)?,
            ("point", _) => {
                let (tail, tail_end) = decimals_en(words, end + 1);
                return Some((value + tail, tail_end));
            }
            _ => break,
        }
        end += 1;
        if next.is_some() && words.get(end) == Some(&"over") {
            break;
        }
    }
    Some((value, end))
}

/// Two number words in a row: `thirty eight`, `one thirty` (130), `one oh one`.
fn join_en(value: f64, next: f64) -> Option<f64> {
    if value >= 20.0 && value % 10.0 == 0.0 && next < 10.0 {
        return Some(value + next);
    }
    if value >= 100.0 && value % 100.0 == 0.0 && next < 100.0 {
        return Some(value + next);
    }
    if (10.0..100.0).contains(&next) && value < 10.0 {
        return Some(value * 100.0 + next);
    }
    if next < 10.0 && value < 10_000.0 {
        return Some(value * 10.0 + next);
    }
    Some(value)
}

fn decimals_en(words: &[&str], from: usize) -> (f64, usize) {
    let mut value = 0.0;
    let mut scale = 0.1;
    let mut at = from;
    while let Some(d) = words.get(at).and_then(|w| word_en(w)).filter(|d| *d < 10.0) {
        value += d * scale;
        scale /= 10.0;
        at += 1;
    }
    (value, at)
}
