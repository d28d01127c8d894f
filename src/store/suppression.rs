//! The do-not-call list: it belongs to the number, whoever shares it.

use aftercall_core::phone::PhoneNumber;
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::key::Keys;
use super::page::{Page, PageRequest};
use super::row::Columns;
use super::sealed::Seal;
use super::site::{Indexed, Site};
use super::{Store, StoreError, ms};

/// A number that no robot may ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressedNumber {
    /// `None` once the patient was erased whose number it is; it is not rung all the same.
    pub phone: Option<PhoneNumber>,
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
        self.site().await?;
        let mut connection = self.pool.acquire().await?;
        suppress(&mut connection, &self.keys, phone, why, by, now).await
    }

    /// Takes a number off the list, by a person's word; true when it was there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unsuppress_number(&self, phone: &PhoneNumber) -> Result<bool, StoreError> {
        let [own, second, third, fourth] = indices(&self.site().await?, phone);
        let done = sqlx::query("delete from do_not_call where phone_index in ($1, $2, $3, $4)")
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
        suppressed(&mut connection, &self.keys, phone).await
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
            "select phone_index, phone, why, added_by, added_at_ms from do_not_call where added_at_ms >= $1 \
             order by added_at_ms, phone_index limit $2 offset $3",
        )
        .bind(after_ms)
        .bind(page.fetch())
        .bind(skip)
        .fetch_all(&self.pool)
        .await?;
        let seal = self.site().await?.seal();
        let numbers = rows
            .iter()
            .map(|row| read_suppressed(row, &seal))
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
    keys: &Keys,
    phone: &PhoneNumber,
) -> Result<Option<SuppressedNumber>, StoreError> {
    let site = Site::of(connection, keys).await?;
    let [own, second, third, fourth] = indices(&site, phone);
    let row = sqlx::query(
        "select phone_index, phone, why, added_by, added_at_ms from do_not_call \
         where phone_index in ($1, $2, $3, $4)",
    )
    .bind(own)
    .bind(second)
    .bind(third)
    .bind(fourth)
    .fetch_optional(connection)
    .await?;
    row.map(|row| read_suppressed(&row, &site.seal()))
        .transpose()
}

/// A number by each of its spellings.
fn indices(site: &Site, phone: &PhoneNumber) -> [String; 4] {
    phone
        .spellings()
        .map(|spelling| site.index(Indexed::Phone, &spelling))
}

pub(super) async fn suppress(
    connection: &mut AnyConnection,
    keys: &Keys,
    phone: &PhoneNumber,
    why: &str,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let site = Site::of(connection, keys).await?;
    let index = site.index(Indexed::Phone, phone.expose());
    let seal = site.seal();
    let done = sqlx::query(
        "insert into do_not_call (phone_index, phone, why, added_by, added_at_ms) values ($1, $2, $3, $4, $5) \
         on conflict (phone_index) do nothing",
    )
    .bind(&index)
    .bind(seal.text(&place("phone", &index), phone.expose())?)
    .bind(seal.text(&place("why", &index), why)?)
    .bind(by)
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Where a sealed column of a number stands.
fn place(column: &str, index: &str) -> String {
    format!("do_not_call/{column}/{index}")
}

fn read_suppressed(row: &AnyRow, seal: &Seal) -> Result<SuppressedNumber, StoreError> {
    let row = Columns(row);
    let index = row.text("phone_index")?;
    Ok(SuppressedNumber {
        phone: seal.open_phone_or_null(&row, "phone", &place("phone", &index))?,
        why: seal.open(&row, "why", &place("why", &index))?,
        added_by: row.text("added_by")?,
        added_at: row.time("added_at_ms")?,
    })
}
