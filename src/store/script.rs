//! Published scripts: immutable rows. An edit is a new version.

use aftercall_core::time::Timestamp;
use sqlx::any::AnyRow;

use super::row::Columns;
use super::{Store, StoreError, ms};

/// One published version of a script, exactly as it was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptVersion {
    pub id: String,
    pub version: String,
    /// Languages it can be held in, sorted, with commas: `en,zh`.
    pub langs: String,
    /// Hash over the canonical content; each attempt stores it.
    pub hash: String,
    pub content: String,
    /// The signature block of a clinician.
    pub signature: Option<String>,
    pub published_by: String,
    pub published_at: Timestamp,
}

impl Store {
    /// Publishes a version; true when it is new, false when the very same content is there already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when this version was published with another content or signature.
    pub async fn publish_script(&self, version: &ScriptVersion) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into script_version (id, version, langs, hash, content, signature, published_by, published_at_ms) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id, version) do nothing",
        )
        .bind(&version.id)
        .bind(&version.version)
        .bind(&version.langs)
        .bind(&version.hash)
        .bind(&version.content)
        .bind(version.signature.clone())
        .bind(&version.published_by)
        .bind(ms(version.published_at))
        .execute(&self.pool)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(true);
        }
        let kept = self.script_version(&version.id, &version.version).await?;
        if kept.hash != version.hash || kept.signature != version.signature {
            let id = format!("{} {}", version.id, version.version);
            return Err(StoreError::Conflict {
                what: "script",
                id,
                state: "published with another content".to_owned(),
            });
        }
        Ok(false)
    }

    /// One version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was never published.
    pub async fn script_version(
        &self,
        id: &str,
        version: &str,
    ) -> Result<ScriptVersion, StoreError> {
        let row = sqlx::query(
            "select id, version, langs, hash, content, signature, published_by, published_at_ms from script_version \
             where id = $1 and version = $2",
        )
        .bind(id)
        .bind(version)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Err(StoreError::NotFound {
                what: "script",
                id: format!("{id} {version}"),
            });
        };
        read_script(&row)
    }

    /// The version published last, if any.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn latest_script(&self, id: &str) -> Result<Option<ScriptVersion>, StoreError> {
        let row = sqlx::query(
            "select id, version, langs, hash, content, signature, published_by, published_at_ms from script_version \
             where id = $1 order by published_at_ms desc, version desc limit 1",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read_script).transpose()
    }

    /// The version that an attempt ran.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn script_by_hash(&self, hash: &str) -> Result<Option<ScriptVersion>, StoreError> {
        let row = sqlx::query(
            "select id, version, langs, hash, content, signature, published_by, published_at_ms from script_version \
             where hash = $1 order by published_at_ms limit 1",
        )
        .bind(hash)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read_script).transpose()
    }
}

fn read_script(row: &AnyRow) -> Result<ScriptVersion, StoreError> {
    let row = Columns(row);
    Ok(ScriptVersion {
        id: row.text("id")?,
        version: row.text("version")?,
        langs: row.text("langs")?,
        hash: row.text("hash")?,
        content: row.text("content")?,
        signature: row.text_or_null("signature")?,
        published_by: row.text("published_by")?,
        published_at: row.time("published_at_ms")?,
    })
}
