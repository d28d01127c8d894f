//! Numbers as people say them: 三十八度五, 一百八, 三八五, "one oh one point three", "one eighty over one ten", 38.5.
//!
//! Only the value is read here; what was measured and whether it can be true is [`super::measure`]'s.

use super::normal::{Cut, Unit};

/// A number with the units of the reply that say it, half open.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub start: usize,
    pub end: usize,
    pub value: f64,
}

/// Every number in the reply, in order.
pub fn numbers(units: &[Unit]) -> Vec<Number> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < units.len() {
        let in_words = || match units[at].is_han() {
            true => chinese(units, at),
            false => chinese(units, at).or_else(|| english(units, at)),
        };
        let read = figure(units, at).or_else(in_words);
        match read {
            Some(number) => {
                at = number.end;
                found.push(number);
            }
            None => at += 1,
        }
    }
    found
}

fn text(units: &[Unit], at: usize) -> &str {
    units.get(at).map_or("", |u| u.text.as_str())
}

/// 38, 38.5, and 38度5.
fn figure(units: &[Unit], start: usize) -> Option<Number> {
    let said = text(units, start);
    let digits = said.starts_with(|c: char| c.is_ascii_digit());
    let value = digits.then(|| said.parse().ok()).flatten()?;
    Some(with_tenth(
        units,
        Number {
            start,
            end: start + 1,
            value,
        },
    ))
}

/// The tenth said behind 度: 三十八度五, 38度半.
fn with_tenth(units: &[Unit], number: Number) -> Number {
    if text(units, number.end) != "度" || units[number.end].after != Cut::None {
        return number;
    }
    let said = text(units, number.end + 1);
    let tenth = match said {
        "半" => Some(5.0),
        _ => digit(said).or_else(|| {
            said.parse()
                .ok()
                .filter(|n: &f64| (0.0..10.0).contains(n) && n.fract() == 0.0)
        }),
    };
    let counts = ["天", "次", "个", "十", "多", "点"].contains(&text(units, number.end + 2));
    match tenth {
        Some(tenth) if !counts && number.value.fract() == 0.0 => Number {
            end: number.end + 2,
            value: number.value + tenth / 10.0,
            ..number
        },
        Some(_) | None => number,
    }
}

fn digit(said: &str) -> Option<f64> {
    let value = match said {
        "零" | "〇" => 0,
        "一" | "幺" => 1,
        "二" | "两" | "俩" => 2,
        "三" => 3,
        "四" => 4,
        "五" => 5,
        "六" => 6,
        "七" => 7,
        "八" => 8,
        "九" => 9,
        _ => return None,
    };
    Some(f64::from(value))
}

/// A spoken Chinese number: with ranks (一百八 is 180, 一百零八 is 108), or digit by digit (三八五 is 385).
fn chinese(units: &[Unit], start: usize) -> Option<Number> {
    let first = text(units, start);
    if digit(first).is_none() && !matches!(first, "十" | "几") {
        return None;
    }
    let (whole, mut end) = ranked(units, start)
        .or_else(|| between(units, start))
        .or_else(|| spelt(units, start))?;
    let mut value = whole;
    // 三十七八度 lies between the two.
    let ones = (value % 10.0, digit(text(units, end)));
    if let (last, Some(next)) = ones
        && last > 0.0
        && (next - last - 1.0).abs() < f64::EPSILON
        && rank(text(units, end + 1)).is_none()
        && units[end - 1].after == Cut::None
    {
        value += 0.5;
        end += 1;
    }
    // 三十六八 is a temperature said without its point.
    if let Some(tenth) = digit(text(units, end)).filter(|_| (35.0..=42.0).contains(&value))
        && value.fract() == 0.0
        && units[end - 1].after == Cut::None
        && (units[end].after != Cut::None
            || matches!(text(units, end + 1), "" | "度" | "了" | "吧"))
    {
        value = (value * 10.0 + tenth) / 10.0;
        end += 1;
        return Some(Number { start, end, value });
    }
    let counted = |at: usize| {
        rank(text(units, at)).is_some() || ["月", "天", "次", "小"].contains(&text(units, at))
    };
    // 七个二 is said of a blood sugar of 7.2, 三块四 of 3.4.
    let colloquial = matches!(text(units, end), "个" | "块")
        && value < 40.0
        && digit(text(units, end + 1)).is_some()
        && digit(text(units, end + 2)).is_none()
        && !counted(end + 2);
    if (text(units, end) == "点" || colloquial) && units[end - 1].after == Cut::None {
        let mut scale = 0.1;
        let mut to = end + 1;
        while let Some(d) = decimal(text(units, to)) {
            value += d * scale;
            scale /= 10.0;
            to += 1;
        }
        if to > end + 1 {
            // Four decimals at most, so that 38.7 is 38.7 and not 38.7000000001.
            value = (value * 1e4).round() / 1e4;
            end = to;
        }
    }
    Some(with_tenth(units, Number { start, end, value }))
}

/// 七八分, 两三天: two neighbouring digits before a unit lie between the two.
fn between(units: &[Unit], start: usize) -> Option<(f64, usize)> {
    let (low, high) = (digit(text(units, start))?, digit(text(units, start + 1))?);
    let counted =
        ["分", "斤", "公", "次", "天", "个", "回", "度", "点"].contains(&text(units, start + 2));
    let near = (high - low - 1.0).abs() < f64::EPSILON;
    (near && counted).then_some((low + 0.5, start + 2))
}

fn rank(said: &str) -> Option<f64> {
    match said {
        "十" => Some(10.0),
        "百" => Some(100.0),
        "千" => Some(1000.0),
        _ => None,
    }
}

/// A digit behind the point; 几 and 多 ("something") are taken as the middle.
fn decimal(said: &str) -> Option<f64> {
    match said {
        "几" | "多" => Some(5.0),
        _ => digit(said),
    }
}

fn ranked(units: &[Unit], start: usize) -> Option<(f64, usize)> {
    let rank_of = |at: usize| rank(text(units, at));
    let (mut value, mut at, mut last) = (0.0, start, 0.0);
    loop {
        let zero = text(units, at) == "零" && last > 10.0;
        let here = at + usize::from(zero);
        let said = match text(units, here) {
            "几" => Some(5.0),
            other => digit(other),
        };
        let (count, rank_at) = match said {
            Some(count) => (count, here + 1),
            None if rank_of(here) == Some(10.0) => (1.0, here),
            None => break,
        };
        match rank_of(rank_at) {
            Some(rank) if last == 0.0 || rank < last => {
                value += count * rank;
                last = rank;
                at = rank_at + 1;
            }
            None if last > 0.0 && said.is_some() => {
                // 一百八 is 180, 一百零八 is 108, 二十八 is 28.
                value += if zero || last <= 10.0 {
                    count
                } else {
                    count * last / 10.0
                };
                return Some((value, rank_at));
            }
            Some(_) | None => break,
        }
    }
    (last > 0.0).then_some((value, at))
}

fn spelt(units: &[Unit], start: usize) -> Option<(f64, usize)> {
    // 一直, 一样, 一起 count nothing.
    const WORDS: &str = "直样定般起共些下会边旦向切味阵时身脸头肚早晚觉块家手旁概律辈";
    if text(units, start) == "一"
        && units[start].after == Cut::None
        && units
            .get(start + 1)
            .is_some_and(|u| WORDS.contains(u.text.as_str()))
    {
        return None;
    }
    let mut value = digit(text(units, start))?;
    let mut at = start + 1;
    while let Some(next) = digit(text(units, at)).filter(|_| at - start < 5) {
        value = value * 10.0 + next;
        at += 1;
    }
    Some((value, at))
}

/// A spoken English number: "a hundred and two point four", "one oh one", "one eighty", "ninety one".
fn english(units: &[Unit], start: usize) -> Option<Number> {
    if text(units, start) == "one" && is_pronoun(units, start) {
        return None;
    }
    if let Some((value, end)) = some_weight(units, start) {
        return Some(Number { start, end, value });
    }
    let (mut value, mut end) = match text(units, start) {
        "a" if text(units, start + 1) == "hundred" => hundreds(units, 1.0, start + 2),
        "hundred" => hundreds(units, 1.0, start + 1),
        _ => {
            let (first, next) = below_hundred(units, start)?;
            match text(units, next) {
                "hundred" => hundreds(units, first, next + 1),
                _ if (1.0..10.0).contains(&first) => shorthand(units, first, next),
                _ => (first, next),
            }
        }
    };
    if matches!(text(units, end), "point" | "dot") {
        let (mut scale, mut to) = (0.1, end + 1);
        while let Some(d) = small(text(units, to)).filter(|d| *d < 10.0) {
            value += d * scale;
            scale /= 10.0;
            to += 1;
        }
        if to > end + 1 {
            end = to;
            value = (value * 1e4).round() / 1e4;
        }
    } else if (text(units, end), text(units, end + 1), text(units, end + 2)) == ("and", "a", "half")
    {
        (value, end) = (value + 0.5, end + 3);
    } else if let Some(tenth) = unsaid_point(units, value, end) {
        return Some(Number {
            start,
            end: end + 1,
            value: value + tenth,
        });
    }
    Some(Number { start, end, value })
}

/// "half a stone", "a pound", "a couple of kilos", "few pounds": what is counted in words before a unit of weight.
fn some_weight(units: &[Unit], start: usize) -> Option<(f64, usize)> {
    const WEIGHTS: [&str; 7] = ["stone", "stones", "pound", "pounds", "kilo", "kilos", "kg"];
    let said = |more: usize| text(units, start + more);
    let (value, words) = match (said(0), said(1)) {
        ("half", "a") => (0.5, 2),
        ("couple", "of") => (2.0, 2),
        ("few", _) => (3.0, 1),
        ("a", _) => (1.0, 1),
        _ => return None,
    };
    WEIGHTS
        .contains(&said(words))
        .then_some((value, start + words))
}

/// "the bottom one seventy", "not one": here `one` counts nothing.
fn is_pronoun(units: &[Unit], at: usize) -> bool {
    const BEFORE: [&str; 8] = [
        "top", "bottom", "upper", "lower", "first", "second", "other", "last",
    ];
    const COUNTS_NONE: [&str; 3] = ["not", "which", "every"];
    let close = |at: usize| units[at].after == Cut::None;
    let named = at > 1 && close(at - 1) && BEFORE.contains(&text(units, at - 1));
    let none = at > 0 && close(at - 1) && COUNTS_NONE.contains(&text(units, at - 1));
    none || named && close(at - 2) && text(units, at - 2) == "the"
}

/// The tenth of a temperature said without its point: "thirty seven five", "ninety eight six", "one oh one three".
fn unsaid_point(units: &[Unit], value: f64, at: usize) -> Option<f64> {
    let warm = (35.0..=42.0).contains(&value) || (96.0..=106.0).contains(&value);
    let tenth = small(text(units, at)).filter(|d| (1.0..10.0).contains(d))?;
    let apart = units.get(at.checked_sub(1)?)?.after != Cut::None;
    let ends = units[at].after != Cut::None || at + 1 == units.len();
    (warm && !apart && ends).then_some(tenth / 10.0)
}

fn hundreds(units: &[Unit], count: f64, at: usize) -> (f64, usize) {
    let rest = at + usize::from(text(units, at) == "and");
    match below_hundred(units, rest) {
        Some((more, end)) => (count * 100.0 + more, end),
        None => (count * 100.0, at),
    }
}

/// "one eighty" is 180, "one oh five" is 105, "two ten" is 210; "one two" stays one.
fn shorthand(units: &[Unit], first: f64, at: usize) -> (f64, usize) {
    let zero = matches!(text(units, at), "oh" | "o" | "zero");
    if let Some(last) = small(text(units, at + 1)).filter(|d| zero && *d < 10.0) {
        return (first * 100.0 + last, at + 2);
    }
    match below_hundred(units, at) {
        Some((more, end)) if more >= 10.0 => (first * 100.0 + more, end),
        Some(_) | None => (first, at),
    }
}

fn below_hundred(units: &[Unit], at: usize) -> Option<(f64, usize)> {
    let first = small(text(units, at))?;
    if first < 20.0 {
        return Some((first, at + 1));
    }
    let apart = units[at].after != Cut::None;
    match small(text(units, at + 1)).filter(|d| !apart && (1.0..10.0).contains(d)) {
        Some(ones) => Some((first + ones, at + 2)),
        None => Some((first, at + 1)),
    }
}

fn small(word: &str) -> Option<f64> {
    const WORDS: [&str; 20] = [
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
    let place = |list: &[&str]| {
        list.iter()
            .position(|w| *w == word)
            .and_then(|at| u8::try_from(at).ok())
            .map(f64::from)
    };
    place(&WORDS).or_else(|| place(&TENS).map(|tens| tens * 10.0 + 20.0))
}

#[cfg(test)]
mod tests {
    use super::super::normal;
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_said() {
        let cases: &[(&str, &[f64])] = &[
            ("三十八度五", &[38.5]),
            ("38度5", &[38.5]),
            ("一百八", &[180.0]),
            ("高压两百", &[200.0]),
            ("一百零五", &[105.0]),
            ("一百八一百一", &[180.0, 110.0]),
            ("一百四十五", &[145.0]),
            ("三八五", &[385.0]),
            ("十七点八", &[17.8]),
            ("三点几", &[3.5]),
            ("二十几", &[25.0]),
            ("三十九度", &[39.0]),
            ("一天涨了三斤", &[1.0, 3.0]),
            ("one oh one point three", &[101.3]),
            ("a hundred and two point four", &[102.4]),
            ("one eighty over one ten", &[180.0, 110.0]),
            ("fifty eight twice", &[58.0]),
            ("180/110", &[180.0, 110.0]),
            ("three hundred and twenty", &[320.0]),
            ("ninety nine point nine", &[99.9]),
            ("七八分", &[7.5]),
            ("三十七八度", &[37.5]),
            ("上午三十六八", &[36.8]),
            ("三十八二，三十八", &[38.2, 38.0]),
            ("十七点多", &[17.5]),
            ("六七点几", &[7.0]),
            ("七个二", &[7.2]),
            ("两个三十片", &[2.0, 30.0]),
            ("二十三十", &[20.0, 30.0]),
            ("thirty seven five", &[37.5]),
            ("the bottom one seventy", &[70.0]),
            ("not one", &[]),
            ("hundred point six", &[100.6]),
            ("thirty seven and a half", &[37.5]),
            ("one hundred and two", &[102.0]),
            ("one fifty, one sixty", &[150.0, 160.0]),
            ("half a stone, then a couple of pounds", &[0.5, 2.0]),
        ];
        for (said, want) in cases {
            let got: Vec<f64> = numbers(&normal::units(said))
                .iter()
                .map(|n| n.value)
                .collect();
            assert_eq!(got, *want, "{said}");
        }
    }
}
