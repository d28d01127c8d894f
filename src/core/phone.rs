//! Telephone numbers. Caps and suppression belong to the number, whoever shares it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A callee: an E.164 number (`+8613800138000`) or, on a loopback trunk, a SIP user part (`1000`).
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
}

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

    /// The dialable text: PHI, so only for the SIP URI, rows and API views.
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
        Self::parse(&text)
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> String {
        number.0
    }
}
