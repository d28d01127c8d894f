//! Bearer tokens of the API, with what they may do: only their hash is kept.

use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;

use super::row::{Columns, json};
use super::staff::{taken, wards};
use super::{Store, StoreError, ms, new_id};

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    /// Who uses it; this name stands in the audit log.
    pub name: String,
    pub roles: Vec<Role>,
    pub wards: Wards,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// Makes a token and returns its secret, which is shown once and not kept.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a token of this name is in force.
    pub async fn create_token(
        &self,
        name: &str,
        roles: &[Role],
        wards: &Wards,
        now: Timestamp,
    ) -> Result<(Token, String), StoreError> {
        let secret = format!("aftercall_{}", secret());
        let token = Token {
            id: new_id(),
            name: name.to_owned(),
            roles: roles.to_vec(),
            wards: wards.clone(),
            created_at: now,
            revoked_at: None,
        };
        let done = sqlx::query(
            "insert into token (id, name, hash, roles, wards, created_at_ms) values ($1, $2, $3, $4, $5, $6) \
             on conflict do nothing",
        )
        .bind(&token.id)
        .bind(name)
        .bind(hash(&secret))
        .bind(json(&roles))
        .bind(wards.names().map(|names| json(&names)))
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 0 {
            return Err(taken("token", name));
        }
        Ok((token, secret))
    }

    /// Whose secret this is, if a token in force has it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn verify_token(&self, secret: &str) -> Result<Option<Token>, StoreError> {
        // The hash of 256 random bits is looked up, so no comparison leaks where it differs.
        let row = sqlx::query(
            "select id, name, roles, wards, created_at_ms, revoked_at_ms from token where hash = $1 and revoked_at_ms is null",
        )
        .bind(hash(secret))
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read_token).transpose()
    }

    /// Ends a token at once; true when one of this name was in force.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revoke_token(&self, name: &str, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update token set revoked_at_ms = $2 where name = $1 and revoked_at_ms is null",
        )
        .bind(name)
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// All tokens, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(
            "select id, name, roles, wards, created_at_ms, revoked_at_ms from token order by id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_token).collect()
    }
}

/// 256 random bits as text.
pub(super) fn secret() -> String {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).expect("the kernel's random source is there after boot");
    URL_SAFE_NO_PAD.encode(random)
}

/// What is kept of a secret: no salt, for nobody guesses 256 bits.
pub(super) fn hash(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))
}

fn read_token(row: &AnyRow) -> Result<Token, StoreError> {
    let row = Columns(row);
    Ok(Token {
        id: row.text("id")?,
        name: row.text("name")?,
        roles: row.json("roles")?,
        wards: wards(&row)?,
        created_at: row.time("created_at_ms")?,
        revoked_at: row.time_or_null("revoked_at_ms")?,
    })
}
