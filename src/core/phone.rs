//! Telephone numbers. Caps and suppression belong to the number, whoever shares it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A callee: an E.164 number (`+8613800138000`) or, on a loopback trunk, a SIP user part (`1000`).
///
/// A record's number may have an extension behind a switchboard (`+861062345678;ext=8001`, RFC 3966 section 5.3). No robot
/// dials it: whoever answers there is not the patient, and no cap can be kept behind it.
///
/// `Debug` and `Display` hide it: a patient's number is PHI.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

/// Why a telephone number was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    #[error("telephone number is empty")]
    Empty,
    #[error("telephone number has a character that cannot be dialled; write it as +8613800138000")]
    Character,
    #[error("telephone number has {0} digits; 3 to 15 can be dialled (E.164)")]
    Length(usize),
    #[error("extension of a telephone number has other than 1 to 8 digits")]
    Extension,
}

/// What parts a number from its extension.
const EXTENSION: &str = ";ext=";

impl PhoneNumber {
    /// Reads a number, dropping spaces, dashes, dots and brackets.
    ///
    /// # Errors
    /// When a character cannot be dialled, or fewer than 3 or more than 15 digits are left (E.164).
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let kept: String = text
            .trim()
            .chars()
            .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')'))
            .collect();
        if kept.is_empty() {
            return Err(PhoneError::Empty);
        }
        let digits = kept.strip_prefix('+').unwrap_or(&kept);
        if !digits.chars().all(|c| c.is_ascii_digit()) {
            return Err(PhoneError::Character);
        }
        if !(3..=15).contains(&digits.len()) {
            return Err(PhoneError::Length(digits.len()));
        }
        Ok(Self(kept))
    }

    /// Reads a number of a record, which may have an extension (`;ext=8001`).
    ///
    /// # Errors
    /// As [`PhoneNumber::parse`], or for an extension of other than 1 to 8 digits.
    pub fn of_record(text: &str) -> Result<Self, PhoneError> {
        match text.split_once(EXTENSION) {
            Some((number, extension)) => Self::parse(number)?.with_extension(extension),
            None => Self::parse(text),
        }
    }

    /// The telephone behind this one's switchboard.
    ///
    /// # Errors
    /// For an extension of other than 1 to 8 digits.
    pub fn with_extension(self, extension: &str) -> Result<Self, PhoneError> {
        let is_plain = extension.chars().all(|c| c.is_ascii_digit());
        if !is_plain || !(1..=8).contains(&extension.len()) {
            return Err(PhoneError::Extension);
        }
        Ok(Self(format!("{}{EXTENSION}{extension}", self.0)))
    }

    /// Whether a robot may ring it, and a message be sent to it: it is nobody's extension.
    pub fn is_direct(&self) -> bool {
        !self.0.contains(EXTENSION)
    }

    /// The user part of a SIP URI, which need not be a number: a test telephone's name.
    ///
    /// # Errors
    /// When it is empty, longer than 32 bytes, or has other than letters, digits, `+`, `-`, `_` and `.`.
    pub fn of_user(user: &str) -> Result<Self, PhoneError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-_.".contains(c);
        match user.len() {
            0 => Err(PhoneError::Empty),
            1..=32 if user.chars().all(is_plain) => Ok(Self(user.to_owned())),
            _ => Err(PhoneError::Character),
        }
    }

    /// Every way in which lists spell the number, itself first: a do-not-call list of another year may hold a landline as
    /// `01062345678` and a mobile without its country. Who had a switchboard taken off meant its extensions too.
    pub fn spellings(&self) -> [String; 4] {
        let own = self.0.clone();
        let parts = self.0.split_once(EXTENSION);
        let number = parts.map_or(self.0.as_str(), |(number, _)| number);
        let (country, national) = match number.strip_prefix('+') {
            Some(full) => match (full.strip_prefix("86"), full.strip_prefix('1')) {
                (Some(rest), _) => ("86", rest),
                (None, Some(rest)) => ("1", rest),
                (None, None) => {
                    let number = number.to_owned();
                    return [own, number.clone(), number.clone(), number];
                }
            },
            None => ("86", number.trim_start_matches('0')),
        };
        [
            own,
            format!("+{country}{national}"),
            national.to_owned(),
            format!("0{national}"),
        ]
    }

    /// The whole text: PHI, so only for the SIP URI, rows and API views.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = PhoneError;

    fn try_from(text: String) -> Result<Self, PhoneError> {
        Self::of_record(&text)
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> String {
        number.0
    }
}

#[cfg(test)]
mod tests {
    use super::{PhoneError, PhoneNumber};

    #[test]
    fn one_number_meets_itself_in_every_spelling() {
        let number = |text: &str| PhoneNumber::of_record(text).expect("a number");
        for (a, b) in [
            ("+861062345678", "010-6234 5678"),
            ("010-62345678", "+861062345678"),
            ("+8613800138000", "13800138000"),
            ("13800138000", "+8613800138000"),
            ("+14155550100", "4155550100"),
            ("1000", "1000"),
            ("+861062345678;ext=8001", "010-62345678"),
            ("+442079460000;ext=12", "+442079460000"),
        ] {
            let spelled = number(a).spellings();
            assert!(spelled.contains(&number(b).expose().to_owned()), "{a} {b}");
        }
        let another = "+8613800138001".to_owned();
        assert!(!number("+8613800138000").spellings().contains(&another));
        assert_eq!(number("+442079460000").spellings()[3], "+442079460000");
    }

    #[test]
    fn an_extension_is_kept_and_never_dialled() {
        let number = PhoneNumber::of_record("+86 10 6234 5678;ext=8001").expect("a number");
        assert_eq!(number.expose(), "+861062345678;ext=8001");
        assert!(!number.is_direct());
        assert!(PhoneNumber::parse(number.expose()).is_err());
        for extension in ["", "1a", "123456789"] {
            let text = format!("+861062345678;ext={extension}");
            assert_eq!(
                PhoneNumber::of_record(&text),
                Err(PhoneError::Extension),
                "{text}"
            );
        }
    }
}
