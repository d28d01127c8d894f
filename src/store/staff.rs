//! Staff and their sessions. Passwords come hashed; of a session's secret only the hash is kept.

use std::time::Duration;

use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use sqlx::any::AnyRow;

use super::row::{Columns, json};
use super::token::{hash, secret};
use super::{Store, StoreError, ms, new_id};

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staff {
    pub id: String,
    /// What is typed at sign-in, and stands in the audit log.
    pub name: String,
    pub display_name: String,
    pub roles: Vec<Role>,
    pub wards: Wards,
    /// A code is asked for beside the password.
    pub two_factor: bool,
    /// What the provider of single sign-on calls them.
    pub sso_name: Option<String>,
    pub active: bool,
    pub locked_until: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What sign-in is checked against.
pub struct Credentials {
    pub staff: Staff,
    /// PHC string; none until one is set.
    pub password: Option<String>,
    /// Base32.
    pub totp: Option<String>,
    /// Failures in a row so far.
    pub failures: u32,
}

/// A sign-in that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub staff: Staff,
    pub by: SignedInBy,
    /// What a request that changes something must carry.
    pub csrf: String,
    pub expires_at: Timestamp,
}

/// Who said that it is they.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedInBy {
    Password,
    /// The provider of single sign-on; a second factor is its matter.
    Provider,
}

/// How long a sign-in lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without a request.
    pub idle: Duration,
    pub longest: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            longest: Duration::from_secs(12 * 3600),
        }
    }
}

/// `last seen` is written no oftener.
const SEEN_EVERY: Duration = Duration::from_secs(60);

pub(super) const STAFF: &str = "select id, name, display_name, roles, wards, password, totp, active, failures, \
    locked_until_ms, created_at_ms, sso_name, sso_subject from staff";

impl Store {
    /// Makes an account without a password.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken, also by one who has left: names stand in the audit log.
    pub async fn add_staff(
        &self,
        name: &str,
        display_name: &str,
        roles: &[Role],
        wards: &Wards,
        now: Timestamp,
    ) -> Result<Staff, StoreError> {
        let done = sqlx::query(
            "insert into staff (id, name, display_name, roles, wards, active, created_at_ms, changed_at_ms) \
             values ($1, $2, $3, $4, $5, 1, $6, $6) on conflict do nothing",
        )
        .bind(new_id())
        .bind(name)
        .bind(display_name)
        .bind(json(&roles))
        .bind(wards.names().map(|names| json(&names)))
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 0 {
            return Err(taken("account", name));
        }
        self.staff_member(name).await
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn staff(&self) -> Result<Vec<Staff>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{STAFF} order by name")))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_staff).collect()
    }

    /// One account by its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn staff_member(&self, name: &str) -> Result<Staff, StoreError> {
        self.credentials(name)
            .await?
            .map(|known| known.staff)
            .ok_or_else(|| nobody(name))
    }

    /// What sign-in under this name is checked against.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn credentials(&self, name: &str) -> Result<Option<Credentials>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{STAFF} where name = $1")))
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (staff, columns) = (read_staff(&row)?, Columns(&row));
        Ok(Some(Credentials {
            password: columns.text_or_null("password")?,
            totp: self.open_totp(&staff.id, &columns, "totp").await?,
            failures: columns.count("failures")?,
            staff,
        }))
    }

    /// Changes what somebody may do or see. Open sessions go on with it from their next request.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account.
    pub async fn change_staff(&self, staff: &Staff, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update staff set display_name = $2, roles = $3, wards = $4, active = $5, changed_at_ms = $6 where id = $1",
        )
        .bind(&staff.id)
        .bind(&staff.display_name)
        .bind(json(&staff.roles))
        .bind(staff.wards.names().map(|names| json(&names)))
        .bind(i64::from(staff.active))
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(nobody(&staff.name));
        }
        if !staff.active {
            end_sessions(&mut tx, &staff.id, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Sets a password by its PHC string, opens a lock, and ends every session of the account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account.
    pub async fn set_password(
        &self,
        name: &str,
        phc: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update staff set password = $2, failures = 0, locked_until_ms = null, changed_at_ms = $3 \
             where name = $1 returning id",
        )
        .bind(name)
        .bind(phc)
        .bind(ms(now))
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| nobody(name))?;
        let id = Columns(&row).text("id")?;
        end_sessions(&mut tx, &id, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Sets or takes away the second factor (base32), and ends every session of the account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such account.
    pub async fn set_totp(
        &self,
        name: &str,
        secret: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = self.staff_member(name).await?.id;
        let sealed = match secret {
            Some(secret) => Some(self.seal_totp(&id, secret).await?),
            None => None,
        };
        let mut tx = self.begin().await?;
        sqlx::query(
            "update staff set totp = $2, totp_pending = null, totp_step = 0, changed_at_ms = $3 where id = $1",
        )
        .bind(&id)
        .bind(sealed)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        end_sessions(&mut tx, &id, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Keeps a second factor (base32) that counts only when it is confirmed; an earlier one that never was is forgotten.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the account has one: only a security admin takes that away.
    pub async fn begin_totp(&self, id: &str, secret: &str) -> Result<(), StoreError> {
        let done = sqlx::query("update staff set totp_pending = $2 where id = $1 and totp is null")
            .bind(id)
            .bind(self.seal_totp(id, secret).await?)
            .execute(&self.pool)
            .await?;
        if done.rows_affected() == 0 {
            return Err(taken("second factor", id));
        }
        Ok(())
    }

    /// The second factor (base32) that an account is setting up.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pending_totp(&self, id: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("select totp_pending from staff where id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => self.open_totp(id, &Columns(&row), "totp_pending").await,
            None => Ok(None),
        }
    }

    /// A second factor lies under the hospital's key: who reads the database alone makes no codes.
    async fn seal_totp(&self, id: &str, secret: &str) -> Result<String, StoreError> {
        self.site().await?.seal().text(&totp_of(id), secret)
    }

    async fn open_totp(
        &self,
        id: &str,
        row: &Columns<'_>,
        column: &'static str,
    ) -> Result<Option<String>, StoreError> {
        if row.text_or_null(column)?.is_none() {
            return Ok(None);
        }
        let seal = self.site().await?.seal();
        seal.open_or_null(row, column, &totp_of(id))
    }

    /// Makes a second factor count from now on, its first code's step taken, and ends the account's other sessions; false
    /// when it is no longer the one that was being set up.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn confirm_totp(
        &self,
        id: &str,
        (secret, step): (&str, u64),
        session: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let seal = self.site().await?.seal();
        let mut tx = self.begin().await?;
        let row = sqlx::query("select totp_pending from staff where id = $1")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let row = Columns(&row);
        let pending = seal.open_or_null(&row, "totp_pending", &totp_of(id))?;
        if pending.as_deref() != Some(secret) {
            return Ok(false);
        }
        // As it was read: another may have begun anew meanwhile.
        let done = sqlx::query(
            "update staff set totp = totp_pending, totp_pending = null, totp_step = $3, changed_at_ms = $4 \
             where id = $1 and totp_pending = $2 and totp is null",
        )
        .bind(id)
        .bind(row.text_or_null("totp_pending")?)
        .bind(i64::try_from(step).unwrap_or(i64::MAX))
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "update session set ended_at_ms = $3 where staff_id = $1 and hash <> $2 and ended_at_ms is null",
        )
        .bind(id)
        .bind(hash(session))
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Counts one more failure; `lock` is told how many they are and says until when nobody may try.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sign_in_failed(
        &self,
        id: &str,
        lock: impl Fn(u32) -> Option<Timestamp> + Send,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "update staff set failures = failures + 1 where id = $1 returning failures",
        )
        .bind(id)
        .fetch_one(&mut *tx)
        .await?;
        let until = lock(Columns(&row).count("failures")?);
        if let Some(until) = until {
            sqlx::query("update staff set locked_until_ms = $2 where id = $1")
                .bind(id)
                .bind(ms(until))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(until)
    }

    /// Takes a code's step for this account: false when it, or a later one, was taken before (RFC 6238 §5.2).
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_totp_step(&self, id: &str, step: u64) -> Result<bool, StoreError> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let done = sqlx::query("update staff set totp_step = $2 where id = $1 and totp_step < $2")
            .bind(id)
            .bind(step)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Opens a session and forgets the failures before it; its secret goes into the cookie and is not kept.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_session(
        &self,
        staff: Staff,
        by: SignedInBy,
        limits: &SessionLimits,
        now: Timestamp,
    ) -> Result<(Session, String), StoreError> {
        let (key, csrf) = (secret(), secret());
        let expires_at = after(now, limits.longest);
        let mut tx = self.begin().await?;
        sqlx::query("update staff set failures = 0, locked_until_ms = null where id = $1")
            .bind(&staff.id)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "insert into session (hash, staff_id, csrf, created_at_ms, seen_at_ms, expires_at_ms, sso) \
             values ($1, $2, $3, $4, $4, $5, $6)",
        )
        .bind(hash(&key))
        .bind(&staff.id)
        .bind(&csrf)
        .bind(ms(now))
        .bind(ms(expires_at))
        .bind(i64::from(by == SignedInBy::Provider))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let session = Session {
            staff,
            by,
            csrf,
            expires_at,
        };
        Ok((session, key))
    }

    /// The session of this secret, if it is in force; the look counts as use.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn session(
        &self,
        key: &str,
        limits: &SessionLimits,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let idle_since = before(now, limits.idle);
        let row = sqlx::query(
            "select s.id, s.name, s.display_name, s.roles, s.wards, s.totp, s.active, s.locked_until_ms, s.created_at_ms, \
             s.sso_name, x.csrf, x.expires_at_ms, x.seen_at_ms, x.sso from session x join staff s on s.id = x.staff_id \
             where x.hash = $1 and x.ended_at_ms is null and x.expires_at_ms > $2 and x.seen_at_ms > $3 and s.active = 1",
        )
        .bind(hash(key))
        .bind(ms(now))
        .bind(ms(idle_since))
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns(&row);
        if columns.time("seen_at_ms")? < before(now, SEEN_EVERY) {
            sqlx::query("update session set seen_at_ms = $2 where hash = $1")
                .bind(hash(key))
                .bind(ms(now))
                .execute(&self.pool)
                .await?;
        }
        Ok(Some(Session {
            staff: read_staff(&row)?,
            by: match columns.flag("sso")? {
                true => SignedInBy::Provider,
                false => SignedInBy::Password,
            },
            csrf: columns.text("csrf")?,
            expires_at: columns.time("expires_at_ms")?,
        }))
    }

    /// Ends a session at once.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_session(&self, key: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update session set ended_at_ms = $2 where hash = $1 and ended_at_ms is null")
            .bind(hash(key))
            .bind(ms(now))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// Where a second factor opens, before and after it counts.
fn totp_of(id: &str) -> String {
    format!("totp/{id}")
}

async fn end_sessions(
    connection: &mut sqlx::AnyConnection,
    staff: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("update session set ended_at_ms = $2 where staff_id = $1 and ended_at_ms is null")
        .bind(staff)
        .bind(ms(now))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) fn read_staff(row: &AnyRow) -> Result<Staff, StoreError> {
    let row = Columns(row);
    Ok(Staff {
        id: row.text("id")?,
        name: row.text("name")?,
        display_name: row.text("display_name")?,
        roles: row.json("roles")?,
        wards: wards(&row)?,
        two_factor: row.text_or_null("totp")?.is_some(),
        sso_name: row.text_or_null("sso_name")?,
        active: row.flag("active")?,
        locked_until: row.time_or_null("locked_until_ms")?,
        created_at: row.time("created_at_ms")?,
    })
}

/// The column `wards`: null is every ward.
pub(super) fn wards(row: &Columns<'_>) -> Result<Wards, StoreError> {
    Ok(row
        .json_or_null::<Vec<String>>("wards")?
        .map_or(Wards::ALL, Wards::only))
}

pub(super) fn nobody(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "account",
        id: name.to_owned(),
    }
}

pub(super) fn taken(what: &'static str, name: &str) -> StoreError {
    StoreError::Conflict {
        what,
        id: name.to_owned(),
        state: "in force".to_owned(),
    }
}

fn after(now: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.saturating_add(span).unwrap_or(Timestamp::MAX)
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}
