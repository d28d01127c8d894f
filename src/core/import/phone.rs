//! A telephone number as a list writes it, in the one spelling that caps and the do-not-call list know (E.164).
//!
//! Numbering plans are the `phonenumber` crate's (libphonenumber's tables).

use std::sync::LazyLock;

use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Mode, country};
use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use crate::phone::{PhoneError, PhoneNumber};

/// Why a number of a list was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneFault {
    #[error(transparent)]
    Number(#[from] PhoneError),
    #[error("telephone number has no area code")]
    NoAreaCode,
    #[error("field holds more than one telephone number")]
    Several,
    #[error("telephone number was rounded by a spreadsheet")]
    Rounded,
    #[error("telephone number is none that {0} gives out")]
    NotGiven(String),
}

/// The longest number that is taken for an extension of the site's own exchange, or a test telephone, and kept.
const INTERNAL: usize = 6;

/// Reads a number; without a country code it is one of `country` (ISO 3166, such as `CN`).
///
/// # Errors
/// As [`PhoneFault`].
pub fn phone_number(text: &str, country: &str) -> Result<PhoneNumber, PhoneFault> {
    let text: String = text.trim().nfkc().collect();
    let chinese = country == "CN";
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')');
    let is_plain = text.chars().all(plain);
    if is_plain && let Some(number) = chinese_mobile(&text, &digits, chinese) {
        return Ok(number);
    }
    if digits.len() <= INTERNAL && is_plain {
        return Ok(PhoneNumber::parse(&text)?);
    }
    if text.to_lowercase().contains("e+") {
        return Err(PhoneFault::Rounded);
    }
    if several(&text) {
        return Err(PhoneFault::Several);
    }
    if let Some((number, extension)) = split_extension(&text) {
        return Ok(phone_number(&number, country)?.with_extension(&extension)?);
    }
    if !is_plain && !text.starts_with("tel:") {
        return Err(PhoneError::Character.into());
    }
    let region: Option<country::Id> = country.parse().ok();
    let read = phonenumber::parse(region, &text).ok();
    // Abroad, who writes the country code is believed: tables follow new ranges late.
    let home = region
        .and_then(|region| DATABASE.by_id(region.as_ref()))
        .map(Metadata::country_code);
    let is_given = |number: &phonenumber::PhoneNumber| {
        let abroad = text.starts_with('+') && Some(number.code().value()) != home;
        phonenumber::is_valid(number)
            || abroad && DATABASE.by_code(&number.code().value()).is_some()
    };
    let Some(number) = read.filter(is_given) else {
        if chinese && matches!(digits.len(), 7 | 8) {
            return Err(PhoneFault::NoAreaCode);
        }
        PhoneNumber::parse(&text)?;
        return Err(PhoneFault::NotGiven(country.to_owned()));
    };
    let spelt = number.format().mode(Mode::E164).to_string();
    Ok(PhoneNumber::parse(&spelt)?)
}

/// A number of a do-not-call list, which holds also what no table knows: nobody is rung for a doubt.
///
/// # Errors
/// As [`PhoneFault`], where the number could not even be dialled.
pub fn listed_number(text: &str, country: &str) -> Result<PhoneNumber, PhoneFault> {
    match phone_number(text, country) {
        Err(PhoneFault::NotGiven(_) | PhoneFault::NoAreaCode) => Ok(PhoneNumber::parse(text)?),
        read => read,
    }
}

/// 11 digits from 13 to 19, where operators open new ranges faster than tables follow; most numbers of a Chinese list.
/// `0086…` and `86…` of one are the same; with a plus sign only +86 is China, for +1 303 … has eleven digits too.
fn chinese_mobile(text: &str, digits: &str, at_home: bool) -> Option<PhoneNumber> {
    let international = text.starts_with('+');
    let national = match digits
        .strip_prefix("0086")
        .or_else(|| digits.strip_prefix("86"))
    {
        Some(rest) if rest.len() == 11 => rest,
        _ if at_home && !international => digits.strip_prefix('0').unwrap_or(digits),
        _ => return None,
    };
    let mut first = national.chars();
    let mobile = national.len() == 11
        && first.next() == Some('1')
        && matches!(first.next(), Some('3'..='9'));
    mobile.then(|| PhoneNumber::parse(&format!("+86{national}")).ok())?
}

fn several(text: &str) -> bool {
    let numbers = text.split(['/', ';', ',', '、', '|', '或']);
    let long = |part: &str| part.chars().filter(char::is_ascii_digit).count() >= 7;
    numbers.filter(|part| long(part)).count() > 1
}

/// `…转8001`, `… 分机 8001`, `… ext. 8001`, `…x8001`, `…#8001`, `…;ext=8001` and `010-62345678-8001`, in two.
fn split_extension(text: &str) -> Option<(String, String)> {
    static MARKED: LazyLock<Regex> = LazyLock::new(|| {
        let marks = r"(?i)^(.*?)[\s,;]*(?:转|轉|分机|分機|extension|ext|x|#)[\s.:=号]*([0-9]+)$";
        Regex::new(marks).expect("a pattern that the tests read")
    });
    if let Some(found) = MARKED.captures(text) {
        return Some((found[1].to_owned(), found[2].to_owned()));
    }
    let groups: Vec<&str> = text.split('-').map(str::trim).collect();
    match groups.as_slice() {
        [area, number, extension]
            if area.starts_with('0')
                && matches!(number.len(), 7 | 8)
                && (1..=6).contains(&extension.len()) =>
        {
            Some((format!("{area}-{number}"), (*extension).to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::phone_number;

    #[test]
    fn one_telephone_has_one_spelling() {
        for (text, country, spelt) in [
            ("13800138000", "CN", "+8613800138000"),
            ("86 138-0013-8000", "CN", "+8613800138000"),
            ("008613800138000", "CN", "+8613800138000"),
            ("+8613800138000", "CN", "+8613800138000"),
            ("+86 138 0013 8000", "US", "+8613800138000"),
            ("１３８００１３８０００", "CN", "+8613800138000"),
            ("013800138000", "CN", "+8613800138000"),
            ("010-62345678", "CN", "+861062345678"),
            ("(0755) 8234 5678", "CN", "+8675582345678"),
            ("0086 21 6234 5678", "CN", "+862162345678"),
            ("+13035550100", "CN", "+13035550100"),
            ("(303) 555-0100", "US", "+13035550100"),
            ("13035550100", "US", "+13035550100"),
            ("+6580001014", "CN", "+6580001014"),
            ("+447700900033", "CN", "+447700900033"),
            ("1000", "CN", "1000"),
            ("010-62345678-8001", "CN", "+861062345678;ext=8001"),
            ("01062345678转8001", "CN", "+861062345678;ext=8001"),
            (
                "０１０－６２３４５６７８ 转 ８００１",
                "CN",
                "+861062345678;ext=8001",
            ),
            ("010-62345678 分机8001", "CN", "+861062345678;ext=8001"),
            ("0755-82345678#6", "CN", "+8675582345678;ext=6"),
            ("010 6234 5678 ext. 12", "CN", "+861062345678;ext=12"),
            ("(303) 555-0100 x12", "US", "+13035550100;ext=12"),
            ("+861062345678;ext=8001", "CN", "+861062345678;ext=8001"),
        ] {
            let read = phone_number(text, country);
            assert_eq!(
                read.as_ref().map(|number| number.expose()),
                Ok(spelt),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_with_its_reason() {
        for (text, reason) in [
            ("010-62345678转", "cannot be dialled"),
            ("010-62345678转123456789", "extension"),
            ("62345678转8001", "area code"),
            ("转8001", "empty"),
            ("62345678", "area code"),
            ("13800138000/13900139000", "more than one"),
            ("13800138000、010-62345678", "more than one"),
            ("1.38001E+10", "rounded"),
            ("12ab", "cannot be dialled"),
            ("1380013800", "gives out"),
            ("+861380013800", "gives out"),
            ("+86101380013800077", "digits"),
            ("无", "cannot be dialled"),
        ] {
            let refused = phone_number(text, "CN").expect_err(text).to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
            assert!(!refused.contains(text), "{text}");
        }
    }
}
