//! How values are spoken: telephone numbers digit by digit, dates, quantities read back.

use jiff::civil::Date;

use crate::lang::Lang;

const DIGITS_ZH: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
/// The months in English, January first.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A telephone number, digit by digit; 一 is spoken 幺.
pub fn telephone(number: &str, lang: Lang) -> String {
    let digits = number.chars().filter_map(|c| c.to_digit(10));
    match lang {
        Lang::Zh => digits
            .map(|d| if d == 1 { "幺" } else { DIGITS_ZH[d as usize] })
            .collect(),
        Lang::En => digits.map(|d| d.to_string()).collect::<Vec<_>>().join(" "),
    }
}

/// Month and day.
pub fn date(date: Date, lang: Lang) -> String {
    let (month, day) = (date.month(), date.day());
    match lang {
        Lang::Zh => format!(
            "{}月{}号",
            whole_zh(u32::from(month.unsigned_abs())),
            whole_zh(u32::from(day.unsigned_abs()))
        ),
        Lang::En => {
            let month = MONTHS.get(usize::from(month.unsigned_abs()).saturating_sub(1));
            format!("{} {day}", month.copied().unwrap_or_default())
        }
    }
}

/// A number with its unit.
pub fn quantity(value: f64, unit: &str, lang: Lang) -> String {
    let value = (value * 10.0).round() / 10.0;
    match lang {
        Lang::Zh => format!("{}{unit}", number_zh(value)),
        Lang::En if unit.is_empty() => format!("{value}"),
        Lang::En => format!("{value} {unit}"),
    }
}

/// 38.5 → 三十八点五. Values are in the believed ranges of `number`, far below 10,000.
fn number_zh(value: f64) -> String {
    let tenths = (value.clamp(0.0, 9_999.0) * 10.0).round() as u32;
    let whole = whole_zh(tenths / 10);
    match tenths % 10 {
        0 => whole,
        tenth => format!("{whole}点{}", DIGITS_ZH[tenth as usize]),
    }
}

/// A whole number below 10,000 in Chinese numerals: 21 → 二十一.
pub fn whole_zh(value: u32) -> String {
    if value == 0 {
        return "零".to_owned();
    }
    let mut text = String::new();
    let mut gap = false;
    for (scale, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = (value / scale % 10) as usize;
        if digit == 0 {
            gap = !text.is_empty();
            continue;
        }
        if gap {
            text.push('零');
            gap = false;
        }
        // 十二, not 一十二.
        if !(scale == 10 && digit == 1 && text.is_empty()) {
            text.push_str(DIGITS_ZH[digit]);
        }
        text.push_str(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{quantity, telephone};
    use crate::lang::Lang;

    #[test]
    fn values_are_spoken_as_people_say_them() {
        assert_eq!(quantity(38.5, "度", Lang::Zh), "三十八点五度");
        assert_eq!(quantity(103.0, "", Lang::Zh), "一百零三");
        assert_eq!(quantity(130.0, "", Lang::Zh), "一百三十");
        assert_eq!(quantity(12.0, "斤", Lang::Zh), "十二斤");
        assert_eq!(telephone("010-1120", Lang::Zh), "零幺零幺幺二零");
        assert_eq!(telephone("010", Lang::En), "0 1 0");
    }
}
