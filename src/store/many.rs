//! Many rows or values in one statement, as one JSON text: the statement reads the same however many they are, and SQLite, which
//! looks every numbered value's name up from the first one on, is given a single one.

use std::borrow::Cow;

use futures_util::future::join;
use serde::Serialize;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Database};

use super::StoreError;
use super::row::json;

/// One value of a row.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Null(()),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null(()), Into::into)
    }
}

/// Rows of one table, ready to be inserted.
pub(super) struct Rows<const N: usize> {
    table: &'static str,
    columns: [&'static str; N],
    /// `None`: there is no row.
    text: Option<String>,
}

impl<const N: usize> Rows<N> {
    /// As many cells a row as there are columns; one that holds numbers is written `name:int`.
    pub(super) fn of(
        table: &'static str,
        columns: [&'static str; N],
        rows: &[[Cell<'_>; N]],
    ) -> Self {
        let cells: Vec<&[Cell<'_>]> = rows.iter().map(<[_; N]>::as_slice).collect();
        Self {
            table,
            columns,
            text: (!rows.is_empty()).then(|| json(&cells)),
        }
    }

    /// `then` is what follows the values, such as `on conflict …`.
    pub(super) async fn insert(
        &self,
        connection: &mut AnyConnection,
        then: &str,
    ) -> Result<(), StoreError> {
        let Some(text) = &self.text else {
            return Ok(());
        };
        let names = self
            .columns
            .map(|column| column.trim_end_matches(INT))
            .join(", ");
        let sqlite = is_sqlite(connection);
        let value = |(place, column): (usize, &&str)| match column.ends_with(INT) && !sqlite {
            true => format!("(v.value ->> {place})::bigint"),
            false => format!("v.value ->> {place}"),
        };
        let values: Vec<String> = self.columns.iter().enumerate().map(value).collect();
        // Without `where` SQLite would read `on conflict` as a join's.
        let from = match sqlite {
            true => "json_each($1) v where true",
            false => "jsonb_array_elements($1::jsonb) v (value) where true",
        };
        let sql = format!(
            "insert into {} ({names}) select {} from {from} {then}",
            self.table,
            values.join(", ")
        );
        query(sql).bind(text).execute(connection).await?;
        Ok(())
    }
}

/// Makes the next rows while the database, which has a thread or process of its own, writes the last ones.
pub(super) async fn meanwhile<T>(
    writing: impl Future<Output = Result<(), StoreError>>,
    make: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (written, made) = join(writing, async { make() }).await;
    written?;
    made
}

/// A statement over a list. It is planned each time: a plan that PostgreSQL made for a table while it was empty, and kept, would
/// read the whole table for every list until the next analysis.
pub(super) fn query<'q>(sql: String) -> Query<'q, Any, AnyArguments> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false)
}

const INT: &str = ":int";

/// After a column: it is one of the texts of a JSON list that is bound at `place`. PostgreSQL reads the list once, as an array; a
/// subquery it may read again for every row.
pub(super) fn listed(connection: &AnyConnection, place: u8) -> String {
    match is_sqlite(connection) {
        true => format!("in (select value from json_each(${place}))"),
        false => format!("= any (array(select jsonb_array_elements_text(${place}::jsonb)))"),
    }
}

pub(super) fn is_sqlite(connection: &AnyConnection) -> bool {
    connection.backend_name() == sqlx::Sqlite::NAME
}
