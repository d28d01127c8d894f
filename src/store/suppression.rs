//! The do-not-call list: it belongs to the number, whoever shares it.

use aftercall_core::phone::PhoneNumber;
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::page::{Page, PageRequest};
use super::row::Columns;
use super::{Store, StoreError, ms};

/// A number that no robot may ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressedNumber {
    pub phone: PhoneNumber,
    /// `opted_out`, `imported`, `complaint`, … or the words of the person who added it.
    pub why: String,
    pub added_by: String,
    pub added_at: Timestamp,
}

impl Store {
    /// Puts a number on the list; true when it was not there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn suppress_number(
        &self,
        phone: &PhoneNumber,
        why: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut connection = self.pool.acquire().await?;
        suppress(&mut connection, phone, why, by, now).await
    }

    /// Takes a number off the list, by a person's word; true when it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unsuppress_number(&self, phone: &PhoneNumber) -> Result<bool, StoreError> {
        let [own, second, third, fourth] = phone.spellings();
        let done = sqlx::query("delete from do_not_call where phone in ($1, $2, $3, $4)")
            .bind(own)
            .bind(second)
            .bind(third)
            .bind(fourth)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Why a number must not be rung, if it must not.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn suppressed_number(
        &self,
        phone: &PhoneNumber,
    ) -> Result<Option<SuppressedNumber>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        suppressed(&mut connection, phone).await
    }

    /// The list, in the order added. The cursor carries a time and a count, never a number.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn suppressed_numbers(
        &self,
        page: &PageRequest,
    ) -> Result<Page<SuppressedNumber>, StoreError> {
        let ([after_ms, skip], _) = page.keys::<2>()?.unwrap_or(([i64::MIN, 0], ""));
        let rows = sqlx::query(
            "select phone, why, added_by, added_at_ms from do_not_call where added_at_ms >= $1 \
             order by added_at_ms, phone limit $2 offset $3",
        )
        .bind(after_ms)
        .bind(page.fetch())
        .bind(skip)
        .fetch_all(&self.pool)
        .await?;
        let numbers = rows
            .iter()
            .map(read_suppressed)
            .collect::<Result<Vec<_>, _>>()?;
        let shown = &numbers[..numbers.len().min(page.limit())];
        // How many of the last time were shown: a key made of the numbers themselves would put PHI into URLs.
        let last = shown
            .last()
            .map(|number| ms(number.added_at))
            .unwrap_or(after_ms);
        let same = shown
            .iter()
            .filter(|number| ms(number.added_at) == last)
            .count();
        let same = i64::try_from(same).unwrap_or(0) + if last == after_ms { skip } else { 0 };
        Ok(page.cut(numbers, |_| (vec![last, same], String::new())))
    }
}

/// The row of a number, however the list spells it.
pub(super) async fn suppressed(
    connection: &mut AnyConnection,
    phone: &PhoneNumber,
) -> Result<Option<SuppressedNumber>, StoreError> {
    let [own, second, third, fourth] = phone.spellings();
    let row = sqlx::query(
        "select phone, why, added_by, added_at_ms from do_not_call where phone in ($1, $2, $3, $4)",
    )
    .bind(own)
    .bind(second)
    .bind(third)
    .bind(fourth)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read_suppressed).transpose()
}

pub(super) async fn suppress(
    connection: &mut AnyConnection,
    phone: &PhoneNumber,
    why: &str,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into do_not_call (phone, why, added_by, added_at_ms) values ($1, $2, $3, $4) \
         on conflict (phone) do nothing",
    )
    .bind(phone.expose())
    .bind(why)
    .bind(by)
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn read_suppressed(row: &AnyRow) -> Result<SuppressedNumber, StoreError> {
    let row = Columns(row);
    Ok(SuppressedNumber {
        phone: PhoneNumber::parse(&row.text("phone")?)
            .map_err(|_| StoreError::Corrupt { column: "phone" })?,
        why: row.text("why")?,
        added_by: row.text("added_by")?,
        added_at: row.time("added_at_ms")?,
    })
}
