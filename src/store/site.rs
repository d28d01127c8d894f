//! The hospital's own key: what lies under no patient's, and the keyed hashes by which sealed numbers are looked up.
//!
//! It is a data key like any other, so a rotation of the master key wraps it anew and no hash changes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::AnyConnection;

use super::key::{self, Keys};
use super::sealed::Seal;
use super::{Store, StoreError};
use crate::vault::{Class, DataKey};

/// Whose key it is in `data_key`; no patient's id is a word.
pub(super) const SITE: &str = "site";
/// Begins every hash, and nothing that a hospital writes.
pub(super) const INDEX_MARK: &str = "\u{1}";
/// Of HMAC-SHA-256 (RFC 2104): 128 bits, so that no two numbers meet.
const INDEX_BYTES: usize = 16;

/// What is looked up: equal texts of two kinds have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Indexed {
    Phone,
    /// The hospital's number of a patient.
    Number,
    /// Its number of a stay.
    Encounter,
    /// How a name begins: many share it.
    Name,
    /// The content of a message of its bus.
    Message,
}

impl Indexed {
    fn word(self) -> &'static str {
        match self {
            Indexed::Phone => "phone",
            Indexed::Number => "number",
            Indexed::Encounter => "encounter",
            Indexed::Name => "name",
            Indexed::Message => "message",
        }
    }
}

/// The hospital's key in hand.
#[derive(Clone, Debug)]
pub(super) struct Site {
    key: DataKey,
    index: DataKey,
}

impl Site {
    fn new(key: DataKey) -> Self {
        let index = key.derive(b"aftercall", b"index of numbers");
        Self { key, index }
    }

    /// Within a transaction; the key is made where there is none.
    pub(super) async fn of(
        connection: &mut AnyConnection,
        keys: &Keys,
    ) -> Result<Self, StoreError> {
        if let Some(known) = keys.site.get() {
            return Ok(known.clone());
        }
        // Not kept: who makes it may yet roll back.
        let key = key::key(connection, keys, SITE, Class::Identity).await?;
        Ok(Self::new(key))
    }

    /// What a text is looked up by.
    pub(super) fn index(&self, what: Indexed, text: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.index.bytes()).expect("a key of any length");
        mac.update(what.word().as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        let hash = mac.finalize().into_bytes();
        format!(
            "{INDEX_MARK}{}",
            STANDARD_NO_PAD.encode(&hash[..INDEX_BYTES])
        )
    }

    /// Of a visit's number, which is empty for what was told of the person.
    pub(super) fn encounter(&self, text: &str) -> String {
        match text {
            "" => String::new(),
            text => self.index(Indexed::Encounter, text),
        }
    }

    pub(super) fn seal(&self) -> Seal {
        Seal::by(self.key.clone())
    }
}

impl Store {
    /// The hospital's key outside of a transaction, kept from then on: what asks for it first spares its transaction a look.
    pub(super) async fn site(&self) -> Result<Site, StoreError> {
        if let Some(known) = self.keys.site.get() {
            return Ok(known.clone());
        }
        let key = self.data_key(SITE, Class::Identity).await?;
        Ok(self.keys.site.get_or_init(|| Site::new(key)).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_key_and_kind_and_tells_nothing() {
        let (one, other) = (DataKey::new([1; 32]), DataKey::new([2; 32]));
        let (one, other) = (Site::new(one), Site::new(other));
        let hash = one.index(Indexed::Phone, "+8613800138000");
        assert_eq!(hash, one.index(Indexed::Phone, "+8613800138000"));
        for different in [
            one.index(Indexed::Phone, "+8613800138001"),
            one.index(Indexed::Number, "+8613800138000"),
            other.index(Indexed::Phone, "+8613800138000"),
        ] {
            assert_ne!(hash, different);
        }
        assert!(hash.starts_with(INDEX_MARK) && hash.len() == 23, "{hash}");
        assert_eq!(one.encounter(""), "");
    }
}
