//! Many rows or values in one statement, as one JSON text: the statement is prepared once however many they are, and SQLite,
//! which looks every numbered value's name up from the first one on, is given a single one.

use std::borrow::Cow;

use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, Database};

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

/// Inserts rows of as many cells as `columns` names; a column that holds numbers is written `name:int`. `then` is what follows
/// the values, such as `on conflict …`.
pub(super) async fn insert<const N: usize>(
    connection: &mut AnyConnection,
    table: &str,
    columns: [&str; N],
    rows: &[[Cell<'_>; N]],
    then: &str,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let names = columns
        .map(|column| column.trim_end_matches(INT))
        .join(", ");
    let sqlite = is_sqlite(connection);
    let value = |(place, column): (usize, &&str)| match column.ends_with(INT) && !sqlite {
        true => format!("(v.value ->> {place})::bigint"),
        false => format!("v.value ->> {place}"),
    };
    let values: Vec<String> = columns.iter().enumerate().map(value).collect();
    // Without `where` SQLite would read `on conflict` as a join's.
    let from = match sqlite {
        true => "json_each($1) v where true",
        false => "jsonb_array_elements($1::jsonb) v (value) where true",
    };
    let sql = format!(
        "insert into {table} ({names}) select {} from {from} {then}",
        values.join(", ")
    );
    let rows: Vec<&[Cell<'_>]> = rows.iter().map(<[_; N]>::as_slice).collect();
    sqlx::query(AssertSqlSafe(sql))
        .bind(json(&rows))
        .execute(connection)
        .await?;
    Ok(())
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

fn is_sqlite(connection: &AnyConnection) -> bool {
    connection.backend_name() == sqlx::Sqlite::NAME
}
