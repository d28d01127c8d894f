//! Columns that lie under a patient's key. What was written before there were keys is read as it is.

use aftercall_core::phone::PhoneNumber;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::StoreError;
use super::key::{self, Keys};
use super::row::{Columns, json};
use crate::vault::{Class, DataKey, Wrapped};

/// No text of ours begins with a control character.
pub(super) const MARK: &str = "\u{1}1:";

/// Columns of a key that is joined as `k`; `$owner` is whose it is.
pub(super) const KEY: &str =
    "k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped";

/// Joins the key of names and numbers to a query on a table of this owner.
pub(super) fn key_of(owner: &str) -> String {
    format!("left join data_key k on k.owner = {owner} and k.class = 'identity'")
}

/// Joins the key of a record to a query on `attempt a`.
pub(super) const KEY_OF_ATTEMPT: &str = "left join data_key k on k.owner = coalesce(a.sealed_by, a.patient_id, a.id) and k.class = 'record'";

/// Reads rows that have the columns [`KEY`], each with what opens it.
pub(super) async fn read_each<T>(
    connection: &mut AnyConnection,
    keys: &Keys,
    rows: &[AnyRow],
    class: Class,
    read: impl Fn(&AnyRow, &Seal) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let seal = Seal::of_row(connection, keys, row, class).await?;
        all.push(read(row, &seal)?);
    }
    Ok(all)
}

/// What seals and opens the columns of one patient.
#[derive(Clone)]
pub(super) struct Seal(Option<DataKey>);

impl Seal {
    /// To write with: the key is made where there is none. Within a transaction.
    pub(super) async fn of(
        connection: &mut AnyConnection,
        keys: &Keys,
        owner: &str,
        class: Class,
    ) -> Result<Self, StoreError> {
        let key = key::key(connection, keys, owner, class).await?;
        Ok(Self(Some(key)))
    }

    /// To write with a key that is in hand.
    pub(super) fn by(key: DataKey) -> Self {
        Self(Some(key))
    }

    /// To write what a call told.
    pub(super) async fn of_attempt(
        connection: &mut AnyConnection,
        keys: &Keys,
        attempt: &str,
    ) -> Result<Self, StoreError> {
        let row = sqlx::query(
            "select coalesce(sealed_by, patient_id, id) as owner from attempt where id = $1",
        )
        .bind(attempt)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else {
            return Err(StoreError::NotFound {
                what: "attempt",
                id: attempt.to_owned(),
            });
        };
        let owner = Columns(&row).text("owner")?;
        Self::of(connection, keys, &owner, Class::Record).await
    }

    /// To read one row that has the columns [`KEY`].
    pub(super) async fn of_row(
        connection: &mut AnyConnection,
        keys: &Keys,
        row: &AnyRow,
        class: Class,
    ) -> Result<Self, StoreError> {
        Self::of_rows(connection, keys, std::slice::from_ref(row), class).await
    }

    /// To read rows that have the columns [`KEY`] of one owner.
    pub(super) async fn of_rows(
        connection: &mut AnyConnection,
        keys: &Keys,
        rows: &[AnyRow],
        class: Class,
    ) -> Result<Self, StoreError> {
        let Some(row) = rows.first().map(Columns) else {
            return Ok(Self(None));
        };
        let (by, text) = (
            row.text_or_null("key_master")?,
            row.text_or_null("key_wrapped")?,
        );
        let (Some(by), Some(text)) = (by, text) else {
            return Ok(Self(None));
        };
        let vault = key::unlocked(connection, keys).await?;
        let owner = row.text("key_owner")?;
        let key = vault.unwrap(&Wrapped { by, text }, &owner, class)?;
        Ok(Self(Some(key)))
    }

    /// Seals a text for its place, in which alone it opens.
    pub(super) fn text(&self, place: &str, plain: &str) -> Result<String, StoreError> {
        let key = self
            .0
            .as_ref()
            .ok_or(StoreError::Corrupt { column: "key" })?;
        let sealed = key.seal(plain.as_bytes(), place.as_bytes())?;
        let mut text = String::with_capacity(MARK.len() + sealed.len() * 4 / 3 + 1);
        text.push_str(MARK);
        STANDARD_NO_PAD.encode_string(sealed, &mut text);
        Ok(text)
    }

    pub(super) fn text_or_null(
        &self,
        place: &str,
        plain: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        plain.map(|plain| self.text(place, plain)).transpose()
    }

    pub(super) fn json<T: Serialize>(&self, place: &str, value: &T) -> Result<String, StoreError> {
        self.text(place, &json(value))
    }

    /// What is in a column.
    pub(super) fn open(
        &self,
        row: &Columns<'_>,
        column: &'static str,
        place: &str,
    ) -> Result<String, StoreError> {
        self.plain(row.text(column)?, column, place)
    }

    pub(super) fn open_json<T: DeserializeOwned>(
        &self,
        row: &Columns<'_>,
        column: &'static str,
        place: &str,
    ) -> Result<T, StoreError> {
        let text = self.open(row, column, place)?;
        serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { column })
    }

    pub(super) fn open_json_or_null<T: DeserializeOwned>(
        &self,
        row: &Columns<'_>,
        column: &'static str,
        place: &str,
    ) -> Result<Option<T>, StoreError> {
        match row.text_or_null(column)? {
            Some(_) => self.open_json(row, column, place).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn open_or_null(
        &self,
        row: &Columns<'_>,
        column: &'static str,
        place: &str,
    ) -> Result<Option<String>, StoreError> {
        let text = row.text_or_null(column)?;
        text.map(|text| self.plain(text, column, place)).transpose()
    }

    pub(super) fn open_phone_or_null(
        &self,
        row: &Columns<'_>,
        column: &'static str,
        place: &str,
    ) -> Result<Option<PhoneNumber>, StoreError> {
        let text = self.open_or_null(row, column, place)?;
        text.map(|text| PhoneNumber::of_record(&text).map_err(|_| StoreError::Corrupt { column }))
            .transpose()
    }

    fn plain(&self, text: String, column: &'static str, place: &str) -> Result<String, StoreError> {
        let Some(sealed) = text.strip_prefix(MARK) else {
            return Ok(text);
        };
        let corrupt = || StoreError::Corrupt { column };
        let key = self.0.as_ref().ok_or_else(corrupt)?;
        let sealed = STANDARD_NO_PAD.decode(sealed).map_err(|_| corrupt())?;
        let plain = key.open(&sealed, place.as_bytes()).ok_or_else(corrupt)?;
        String::from_utf8(plain).map_err(|_| corrupt())
    }
}
