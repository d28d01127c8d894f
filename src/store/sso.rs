//! Single sign-on: who is on their way through the provider, and which account its word belongs to.

use aftercall_core::time::Timestamp;

use super::row::Columns;
use super::staff::{STAFF, Staff, nobody, read_staff, taken};
use super::token::{hash, secret};
use super::{Store, StoreError, ms};

/// An account that a provider's claim names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub staff: Staff,
    /// Somebody has signed in under it before.
    pub is_bound: bool,
}

impl Store {
    /// Remembers that a browser leaves for the provider, and returns what its cookie holds; forgets who never came back.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn begin_journey(
        &self,
        (state, nonce, verifier): (&str, &str, &str),
        until: Timestamp,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let browser = secret();
        let mut tx = self.begin().await?;
        sqlx::query("delete from sso_journey where expires_at_ms <= $1")
            .bind(ms(now))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "insert into sso_journey (state_hash, browser_hash, nonce, verifier, expires_at_ms) \
             values ($1, $2, $3, $4, $5)",
        )
        .bind(hash(state))
        .bind(hash(&browser))
        .bind(nonce)
        .bind(verifier)
        .bind(ms(until))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(browser)
    }

    /// Ends a journey: its nonce and verifier, once, and only to the browser that began it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_journey(
        &self,
        state: &str,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<(String, String)>, StoreError> {
        let row = sqlx::query(
            "delete from sso_journey where state_hash = $1 and browser_hash = $2 and expires_at_ms > $3 \
             returning nonce, verifier",
        )
        .bind(hash(state))
        .bind(hash(browser))
        .bind(ms(now))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            let columns = Columns(&row);
            Ok((columns.text("nonce")?, columns.text("verifier")?))
        })
        .transpose()
    }

    /// Whose account a provider's subject has signed in to before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn staff_of_subject(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Staff>, StoreError> {
        let sql = format!("{STAFF} where sso_issuer = $1 and sso_subject = $2");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(issuer)
            .bind(subject)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read_staff).transpose()
    }

    /// The account that an admin has written this name of the provider's down for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn staff_of_sso_name(&self, name: &str) -> Result<Option<Named>, StoreError> {
        let sql = format!("{STAFF} where sso_name = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        let named = |row| {
            Ok(Named {
                staff: read_staff(row)?,
                is_bound: Columns(row).text_or_null("sso_subject")?.is_some(),
            })
        };
        row.as_ref().map(named).transpose()
    }

    /// Binds an account to a subject for good; false when another was faster.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn bind_subject(
        &self,
        staff: &str,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update staff set sso_issuer = $2, sso_subject = $3, changed_at_ms = $4 where id = $1 and sso_subject is null",
        )
        .bind(staff)
        .bind(issuer)
        .bind(subject)
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes down what the provider calls somebody, or that it is not asked about them; who signed in under the old name is
    /// forgotten, and their sessions end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when another account has the name.
    pub async fn set_sso_name(
        &self,
        name: &str,
        sso_name: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if let Some(wanted) = sso_name {
            let other = sqlx::query("select name from staff where sso_name = $1 and name <> $2")
                .bind(wanted)
                .bind(name)
                .fetch_optional(&mut *tx)
                .await?;
            if other.is_some() {
                return Err(taken("name at the provider", wanted));
            }
        }
        let row = sqlx::query(
            "update staff set sso_name = $2, sso_issuer = null, sso_subject = null, changed_at_ms = $3 \
             where name = $1 returning id",
        )
        .bind(name)
        .bind(sso_name)
        .bind(ms(now))
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| nobody(name))?;
        let id = Columns(&row).text("id")?;
        sqlx::query(
            "update session set ended_at_ms = $2 where staff_id = $1 and sso = 1 and ended_at_ms is null",
        )
        .bind(id)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
