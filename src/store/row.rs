//! Reading a row: columns into the core's types, each failure naming its column.

use aftercall_core::time::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;

/// One row, read column by column.
pub(super) struct Columns<'a>(pub(super) &'a AnyRow);

impl Columns<'_> {
    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn text_or_null(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn int_or_null(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn double(&self, column: &'static str) -> Result<f64, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn double_or_null(&self, column: &'static str) -> Result<Option<f64>, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    /// An integer that must fit its type.
    pub(super) fn count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        T::try_from(self.int(column)?).map_err(|_| StoreError::Corrupt { column })
    }

    pub(super) fn count_or_null<T: TryFrom<i64>>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let value: Option<i64> = self.0.try_get(column)?;
        value
            .map(|value| T::try_from(value).map_err(|_| StoreError::Corrupt { column }))
            .transpose()
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_millisecond(self.int(column)?).map_err(|_| StoreError::Corrupt { column })
    }

    pub(super) fn time_or_null(
        &self,
        column: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let value: Option<i64> = self.0.try_get(column)?;
        value
            .map(|ms| Timestamp::from_millisecond(ms).map_err(|_| StoreError::Corrupt { column }))
            .transpose()
    }

    /// The middle of a year: what figures take for a birthday, whose date is sealed.
    pub(super) fn mid_year_or_null(
        &self,
        column: &'static str,
    ) -> Result<Option<Date>, StoreError> {
        let corrupt = || StoreError::Corrupt { column };
        let middle = |text: String| {
            let year = text.get(..4).unwrap_or_default();
            let year = year.parse().map_err(|_| corrupt())?;
            Date::new(year, 7, 1).map_err(|_| corrupt())
        };
        self.text_or_null(column)?.map(middle).transpose()
    }

    /// A value that is one word in JSON: an enum, a date.
    pub(super) fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        parse_word(column, self.text(column)?)
    }

    pub(super) fn word_or_null<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.text_or_null(column)?
            .map(|text| parse_word(column, text))
            .transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|_| StoreError::Corrupt { column })
    }

    pub(super) fn json_or_null<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let text = self.text_or_null(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { column }))
            .transpose()
    }
}

fn parse_word<T: DeserializeOwned>(column: &'static str, text: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|_| StoreError::Corrupt { column })
}

/// The JSON word of an enum or date, as columns and `check` clauses spell it.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// JSON text of a nested value.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("core types have no maps with keys that are no strings")
}
