//! The data keys of patients, wrapped: made when first needed, wrapped anew by a rotation, and destroyed.

use std::sync::{Arc, OnceLock};

use aftercall_core::audit_chain::Hashing;
use aftercall_core::id::AttemptId;
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use super::many;
use super::row::Columns;
use super::site::Site;
use super::{Backend, Store, StoreError, ms};
use crate::vault::{Cipher, Class, DataKey, Source, Vault, Wrapped};

/// Keys wrapped anew in one transaction.
const AT_ONCE: i64 = 500;

/// Where the master key comes from, and the vault once it was needed.
#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    vault: OnceLock<Arc<Vault>>,
    /// The hospital's own key, once it is known to be in the database.
    pub(super) site: OnceLock<Site>,
}

impl Keys {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            vault: OnceLock::new(),
            site: OnceLock::new(),
        }
    }

    /// What the audit log goes on by: SM3 where SM4 seals.
    pub(super) fn hashing(&self) -> Hashing {
        match self.source.cipher() {
            Cipher::Aes => Hashing::Sha256,
            Cipher::Sm4 => Hashing::Sm3,
        }
    }
}

/// What the database holds of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCount {
    /// The id of the master key that wraps new keys; empty before the first.
    pub master: String,
    /// How many data keys it wraps.
    pub wrapped: u64,
    /// How many others wrap: a rotation was broken off.
    pub by_others: u64,
    pub destroyed: u64,
}

/// A key as it is kept: wrapped, or destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCopy {
    pub owner: String,
    pub class: String,
    pub master: Option<String>,
    pub wrapped: Option<String>,
    pub destroyed_at_ms: Option<i64>,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    pub from: String,
    pub to: String,
    pub keys: u64,
    /// The old master key was taken out of the key file; elsewhere it is the operator's to do.
    pub forgot: bool,
}

impl Store {
    /// Reads the master key, which is made where its file is not there and nothing is sealed yet. Returns its id.
    ///
    /// # Errors
    /// When there is none, or it is another than the one that this database's keys are wrapped by.
    pub async fn unlock(&self) -> Result<String, StoreError> {
        let mut tx = self.begin().await?;
        let vault = unlocked(&mut tx, &self.keys).await?;
        tx.commit().await?;
        Ok(vault.current())
    }

    /// The data key of a patient (or of an attempt without one) for a class; made when first asked for.
    ///
    /// # Errors
    /// [`StoreError::Destroyed`] after its destruction; when there is no master key.
    pub async fn data_key(&self, owner: &str, class: Class) -> Result<DataKey, StoreError> {
        let mut connection = self.pool.acquire().await?;
        if let Some(key) = find(&mut connection, &self.keys, owner, class).await? {
            return Ok(key);
        }
        drop(connection);
        let mut tx = self.begin().await?;
        let key = key(&mut tx, &self.keys, owner, class).await?;
        tx.commit().await?;
        Ok(key)
    }

    /// What the recording of an attempt is encrypted by.
    ///
    /// # Errors
    /// As [`Store::data_key`]; [`StoreError::NotFound`] when there is no such attempt.
    pub async fn recording_key(&self, attempt: &AttemptId) -> Result<DataKey, StoreError> {
        let row = sqlx::query(
            "select coalesce(sealed_by, patient_id, id) as owner from attempt where id = $1",
        )
        .bind(&attempt.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Err(StoreError::NotFound {
                what: "attempt",
                id: attempt.0.clone(),
            });
        };
        self.data_key(&Columns(&row).text("owner")?, Class::Audio)
            .await
    }

    /// Destroys keys: what they sealed can never be read again, here and in every copy whose keys are destroyed too. Returns
    /// how many were there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn destroy_keys(
        &self,
        owner: &str,
        classes: &[Class],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let destroyed = destroy(&mut tx, owner, classes, now).await?;
        tx.commit().await?;
        self.scrub().await?;
        Ok(destroyed)
    }

    /// How many keys there are, and by whom they are wrapped.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn key_count(&self) -> Result<KeyCount, StoreError> {
        let row = sqlx::query(
            "select v.master, \
             (select count(*) from data_key where master = v.master) as wrapped, \
             (select count(*) from data_key where master <> v.master) as others, \
             (select count(*) from data_key where wrapped is null) as destroyed from vault v where v.id = 1",
        )
        .fetch_one(&self.pool)
        .await?;
        let row = Columns(&row);
        Ok(KeyCount {
            master: row.text("master")?,
            wrapped: row.count("wrapped")?,
            by_others: row.count("others")?,
            destroyed: row.count("destroyed")?,
        })
    }

    /// Wraps every data key under a new master key; what was broken off goes on. The data stays as it is. `progress` hears
    /// how many are done.
    ///
    /// # Errors
    /// When there is no new master key, or a key does not unwrap.
    pub async fn rotate_keys(&self, mut progress: impl FnMut(u64)) -> Result<Rotated, StoreError> {
        let mut tx = self.begin().await?;
        let vault = unlocked(&mut tx, &self.keys).await?;
        // From here on to the commit nobody makes a key.
        let from = locked(&mut tx).await?;
        let to = vault.advance(&from)?;
        sqlx::query("update vault set master = $1 where id = 1")
            .bind(&to)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let mut keys = 0;
        loop {
            let done = self.rewrap(&vault, &to).await?;
            keys += done;
            progress(keys);
            if done == 0 {
                break;
            }
        }
        let forgot = vault.forget_old()?;
        self.scrub().await?;
        Ok(Rotated {
            from,
            to,
            keys,
            forgot,
        })
    }

    async fn rewrap(&self, vault: &Vault, to: &str) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "select owner, class, master, wrapped from data_key where master <> $1 \
             order by owner, class limit $2",
        )
        .bind(to)
        .bind(AT_ONCE)
        .fetch_all(&mut *tx)
        .await?;
        let mut done = 0;
        for row in &rows {
            let row = Columns(row);
            let owner = row.text("owner")?;
            let class = class_of(&row.text("class")?)?;
            let old = Wrapped {
                by: row.text("master")?,
                text: row.text("wrapped")?,
            };
            let key = vault.unwrap(&old, &owner, class)?;
            let new = vault.wrap(to, &key, &owner, class)?;
            // A key that was destroyed meanwhile stays so.
            sqlx::query(
                "update data_key set master = $3, wrapped = $4 \
                 where owner = $1 and class = $2 and wrapped = $5",
            )
            .bind(&owner)
            .bind(class.word())
            .bind(&new.by)
            .bind(&new.text)
            .bind(&old.text)
            .execute(&mut *tx)
            .await?;
            done += 1;
        }
        tx.commit().await?;
        Ok(done)
    }

    /// Sees that what was overwritten is gone from the files too. SQLite's pages are overwritten (`secure_delete`), its log
    /// is emptied; PostgreSQL writes the small table of keys anew, whose log keeps what it held until it is recycled.
    pub(super) async fn scrub(&self) -> Result<(), StoreError> {
        let statement = match self.backend {
            Backend::Sqlite => "pragma wal_checkpoint(truncate)",
            Backend::Postgres => "vacuum full data_key",
        };
        sqlx::query(statement).fetch_all(&self.pool).await?;
        Ok(())
    }
}

/// The key within a transaction; made when first asked for.
pub(super) async fn key(
    connection: &mut AnyConnection,
    keys: &Keys,
    owner: &str,
    class: Class,
) -> Result<DataKey, StoreError> {
    if let Some(key) = find(connection, keys, owner, class).await? {
        return Ok(key);
    }
    let vault = unlocked(connection, keys).await?;
    let made = vault.new_key()?;
    let by = held(connection).await?;
    let wrapped = vault.wrap(&by, &made, owner, class)?;
    let done = sqlx::query(
        "insert into data_key (owner, class, master, wrapped) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(owner)
    .bind(class.word())
    .bind(&wrapped.by)
    .bind(&wrapped.text)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(made);
    }
    // Another was faster.
    let key = find(connection, keys, owner, class).await?;
    key.ok_or_else(|| StoreError::NotFound {
        what: "key of",
        id: owner.to_owned(),
    })
}

/// New keys of owners who have none, wrapped; who asks inserts them in the same transaction.
pub(super) async fn wrapped(
    connection: &mut AnyConnection,
    keys: &Keys,
    owners: &[&str],
    class: Class,
) -> Result<Vec<(DataKey, Wrapped)>, StoreError> {
    let vault = unlocked(connection, keys).await?;
    let by = held(connection).await?;
    let make = |owner: &&str| {
        let key = vault.new_key()?;
        let wrapped = vault.wrap(&by, &key, owner, class)?;
        Ok((key, wrapped))
    };
    owners.iter().map(make).collect()
}

/// The key that is there.
pub(super) async fn find(
    connection: &mut AnyConnection,
    keys: &Keys,
    owner: &str,
    class: Class,
) -> Result<Option<DataKey>, StoreError> {
    let row = sqlx::query("select master, wrapped from data_key where owner = $1 and class = $2")
        .bind(owner)
        .bind(class.word())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let row = Columns(&row);
    let (Some(by), Some(text)) = (row.text_or_null("master")?, row.text_or_null("wrapped")?) else {
        return Err(StoreError::Destroyed {
            id: owner.to_owned(),
        });
    };
    let vault = unlocked(connection, keys).await?;
    let key = vault.unwrap(&Wrapped { by, text }, owner, class)?;
    Ok(Some(key))
}

pub(super) async fn destroy(
    connection: &mut AnyConnection,
    owner: &str,
    classes: &[Class],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut destroyed = 0;
    for class in classes {
        let done = sqlx::query(
            "update data_key set master = null, wrapped = null, destroyed_at_ms = $3 \
             where owner = $1 and class = $2 and wrapped is not null",
        )
        .bind(owner)
        .bind(class.word())
        .bind(ms(now))
        .execute(&mut *connection)
        .await?;
        destroyed += done.rows_affected();
        // None is made later either.
        sqlx::query(
            "insert into data_key (owner, class, destroyed_at_ms) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(owner)
        .bind(class.word())
        .bind(ms(now))
        .execute(&mut *connection)
        .await?;
    }
    Ok(destroyed)
}

/// The vault, with the master key that this database's keys are wrapped by.
pub(super) async fn unlocked(
    connection: &mut AnyConnection,
    keys: &Keys,
) -> Result<Arc<Vault>, StoreError> {
    if let Some(vault) = keys.vault.get() {
        return Ok(Arc::clone(vault));
    }
    let row = sqlx::query("select master from vault where id = 1")
        .fetch_one(&mut *connection)
        .await?;
    let is_new = Columns(&row).text("master")?.is_empty();
    let vault = Vault::load(keys.source.clone(), is_new)?;
    if is_new {
        sqlx::query("update vault set master = $1 where id = 1 and master = ''")
            .bind(vault.current())
            .execute(&mut *connection)
            .await?;
    }
    let row = sqlx::query("select master from vault where id = 1")
        .fetch_one(&mut *connection)
        .await?;
    vault.must_know(&Columns(&row).text("master")?)?;
    Ok(Arc::clone(keys.vault.get_or_init(|| Arc::new(vault))))
}

/// The master key that wraps, held: a rotation waits for this transaction, and this one for a rotation.
async fn held(connection: &mut AnyConnection) -> Result<String, StoreError> {
    let sql = match many::is_sqlite(connection) {
        true => "select master from vault where id = 1",
        false => "select master from vault where id = 1 for share",
    };
    let row = sqlx::query(sql).fetch_one(connection).await?;
    Columns(&row).text("master")
}

/// The same for who changes it.
async fn locked(connection: &mut AnyConnection) -> Result<String, StoreError> {
    let row = sqlx::query("update vault set master = master where id = 1 returning master")
        .fetch_one(connection)
        .await?;
    Columns(&row).text("master")
}

fn class_of(word: &str) -> Result<Class, StoreError> {
    let found = Class::ALL.into_iter().find(|class| class.word() == word);
    found.ok_or(StoreError::Corrupt { column: "class" })
}
