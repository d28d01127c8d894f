//! The database: every SQL text of aftercall, one for SQLite and PostgreSQL (text, bigint, double precision).
//!
//! One function a query or transaction, one file a table group. Rows become the core's types here; policy is
//! not decided here, but every transition names the state it leaves, so the loser of a race learns it.

pub mod attempt;
mod audio;
pub mod audit;
pub mod audit_item;
pub mod call;
pub mod call_list;
pub mod change;
mod conditions;
pub mod decision;
pub mod draft;
pub mod enrol;
pub mod erase;
pub mod errand;
pub mod expected;
pub mod feed;
pub mod figures;
mod find;
pub mod history;
pub mod hours;
pub mod import;
pub mod key;
pub mod life;
mod many;
pub mod message;
mod migrate;
pub mod observation;
pub mod outbox;
pub mod page;
pub mod patient;
pub mod reach;
pub mod review;
pub mod rota;
mod row;
mod scope;
pub mod script;
mod sealed;
pub mod second_look;
mod site;
pub mod sso;
pub mod staff;
pub mod step;
pub mod suppression;
mod sweep;
pub mod token;
pub mod trace;
pub mod work_order;

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use aftercall_core::time::Timestamp;
use sqlx::any::{Any, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};
use tokio::time::timeout;

use crate::vault::{Source, VaultError};

static DRIVERS: Once = Once::new();

/// How long a database may say nothing: then what was asked is given up, like one that cannot be reached.
const SILENCE: Duration = Duration::from_secs(30);

/// The database of one hospital. Cheap to clone: it is a handle on a pool.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    backend: Backend,
    /// What every handle knows: the rota is asked for often and changes weekly.
    rota: Arc<Mutex<rota::Known>>,
    keys: Arc<key::Keys>,
    silence: Duration,
}

/// Which database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Why the database did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "database address has no known scheme; write sqlite://PATH or postgres://USER@HOST/NAME"
    )]
    Scheme,
    #[error("cannot create the database file {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot open the database")]
    Open(#[source] sqlx::Error),
    #[error("cannot bring the database's tables up to date")]
    Migrate(#[from] MigrateError),
    #[error(
        "a newer aftercall has changed this database (its tables are at {found:04}, this version knows up to {known:04}); \
         install that version, or take the copy that stands beside the database from before the change"
    )]
    Newer { found: i64, known: i64 },
    #[error("{what} {id} is not in the database")]
    NotFound { what: &'static str, id: String },
    /// Somebody was faster, or the row is in a state that this transition does not leave.
    #[error("{what} {id} is {state} by now")]
    Conflict {
        what: &'static str,
        id: String,
        state: String,
    },
    /// A row holds what this version cannot read.
    #[error("column {column} holds a value that cannot be read")]
    Corrupt { column: &'static str },
    /// Something stands against an erasure.
    #[error("patient {id} is not erased: {why}")]
    Kept { id: String, why: &'static str },
    /// What it sealed is gone for good.
    #[error("the keys of {id} were destroyed")]
    Destroyed { id: String },
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the erasure was not written down outside the database")]
    Journal(#[source] io::Error),
    #[error("page cursor was not made by this list")]
    Cursor,
    /// The database's own words; its detail, which may quote values, is dropped.
    #[error("database refused: {message} (code {code})")]
    Refused { code: String, message: String },
    #[error("database cannot be reached")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(refusal) => StoreError::Refused {
                code: refusal
                    .code()
                    .map(|code| code.into_owned())
                    .unwrap_or_default(),
                message: refusal.message().to_owned(),
            },
            None => StoreError::Database(error),
        }
    }
}

impl StoreError {
    /// Whether the same statement may succeed later: the database cannot be reached, its disk is full or fails, another
    /// holds it, or it only reads for a while. What is told meanwhile is kept and tried again.
    pub fn may_pass(&self) -> bool {
        match self {
            StoreError::Database(_) => true,
            StoreError::Refused { code, .. } => code_may_pass(code),
            StoreError::Scheme
            | StoreError::File { .. }
            | StoreError::Open(_)
            | StoreError::Migrate(_)
            | StoreError::Newer { .. }
            | StoreError::NotFound { .. }
            | StoreError::Conflict { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Kept { .. }
            | StoreError::Destroyed { .. }
            | StoreError::Cursor => false,
            // A master key that is not there now may come back: what is told waits for it.
            StoreError::Vault(_) | StoreError::Journal(_) => true,
        }
    }
}

/// SQLite's result codes (<https://www.sqlite.org/rescode.html>; the primary code is the low byte): busy, locked, out of
/// memory, read-only, disk error, full, cannot open, locking protocol. PostgreSQL's SQLSTATE (appendix A of its manual):
/// connection, serialisation and deadlock, resources (53100: disk full), lock not available, shutdown, system error,
/// and a server that only reads after a failover.
fn code_may_pass(code: &str) -> bool {
    const SQLITE: [u32; 8] = [5, 6, 7, 8, 10, 13, 14, 15];
    const POSTGRES: [&str; 7] = ["08", "25006", "40", "53", "55P03", "57P", "58"];
    if code.len() == 5 {
        return POSTGRES.iter().any(|class| code.starts_with(class));
    }
    let code: Option<u32> = code.parse().ok();
    code.is_some_and(|code| SQLITE.contains(&(code & 0xff)))
}

impl Store {
    /// Opens `sqlite://PATH`, `sqlite::memory:` or `postgres://…`, runs the migrations that are missing, and seals what an
    /// earlier version left open.
    ///
    /// A SQLite file is created (mode 0600) where there is none. The master key is read, and made, when it is first needed.
    ///
    /// # Errors
    /// When the address is no database's, the database cannot be reached, or a migration fails; when there is something to
    /// seal and no master key.
    pub async fn open(url: &str, master_key: &Source) -> Result<Self, StoreError> {
        let store = Self::open_as_it_lies(url, master_key).await?;
        store.sweep().await?;
        Ok(store)
    }

    /// The same, and seals nothing: a restore brings the keys back first.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_as_it_lies(url: &str, master_key: &Source) -> Result<Self, StoreError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let backend = Backend::of(url).ok_or(StoreError::Scheme)?;
        let in_memory = url.contains(":memory:");
        let file = (backend == Backend::Sqlite && !in_memory).then(|| sqlite_path(url));
        if let Some(path) = &file {
            create_file(path)?;
        }
        // The pool would try again for half a minute and then forget why it failed.
        let first = AnyConnection::connect(url)
            .await
            .map_err(StoreError::Open)?;
        first.close().await.map_err(StoreError::Open)?;
        let options = AnyPoolOptions::new()
            // Every connection to `:memory:` is a database of its own.
            .max_connections(if in_memory { 1 } else { 8 })
            .acquire_timeout(SILENCE)
            .idle_timeout(None)
            .max_lifetime(if in_memory {
                None
            } else {
                Some(Duration::from_secs(1800))
            })
            .after_connect(move |connection, _| {
                Box::pin(async move { backend.prepare(connection).await })
            })
            // After a full disk SQLite has rolled back by itself; sqlx, whose own rollback then fails, believes itself in a
            // transaction for ever, and would begin no other.
            .before_acquire(|connection, _| {
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
            .after_release(move |connection, _| {
                Box::pin(async move { backend.still_answers(connection).await })
            });
        let pool = options.connect(url).await.map_err(StoreError::Open)?;
        migrate::run(&pool, backend, file.as_deref()).await?;
        let store = Self {
            pool,
            backend,
            rota: Arc::default(),
            keys: Arc::new(key::Keys::new(master_key.clone())),
            silence: SILENCE,
        };
        let mut tx = store.begin().await?;
        audit::adopt(&mut tx).await?;
        tx.commit().await?;
        Ok(store)
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The same store, which waits so long for [`Store::answered`]; 30 s by default.
    pub fn patient_for(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// Waits for work on the database, and gives it up where that says nothing: a line may stand and carry nothing for ever.
    /// Whether it was done is then not known, as when a line breaks before a commit is answered.
    ///
    /// # Errors
    /// The work's own; [`StoreError::Database`] after the silence.
    pub async fn answered<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let silent = |_| {
            let why = io::Error::new(io::ErrorKind::TimedOut, "it says nothing");
            Err(StoreError::Database(sqlx::Error::Io(why)))
        };
        timeout(self.silence, work).await.unwrap_or_else(silent)
    }

    /// How far the database's clock is before ours, in milliseconds. SQLite has ours: there it is the newest call's
    /// beginning, where that lies in the future; else 0.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clock_ahead_ms(&self, now: Timestamp) -> Result<i64, StoreError> {
        let sql = match self.backend {
            Backend::Sqlite => "select coalesce(max(started_at_ms), 0) as ms from attempt",
            Backend::Postgres => {
                "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint) as ms"
            }
        };
        let row = sqlx::query(sql).fetch_one(&self.pool).await?;
        let ahead = row::Columns(&row).int("ms")? - ms(now);
        Ok(match self.backend {
            Backend::Sqlite => ahead.max(0),
            Backend::Postgres => ahead,
        })
    }

    /// Waits for running queries and closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Copies a SQLite database as it stands, without its keys, into a new file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub async fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        create_file(to)?;
        sqlx::query("vacuum into $1")
            .bind(to.display().to_string())
            .execute(&self.pool)
            .await?;
        let mut copy = AnyConnection::connect(&format!("sqlite://{}", to.display())).await?;
        // Vacuum again, so that no page that is free by now holds a key.
        for statement in ["delete from data_key", "vacuum"] {
            copy.execute(statement).await?;
        }
        Ok(copy.close().await?)
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let statement = match self.backend {
            // A deferred transaction that reads first cannot wait for a writer: it fails at once (SQLITE_BUSY).
            Backend::Sqlite => "begin immediate",
            Backend::Postgres => "begin",
        };
        Ok(self.pool.begin_with(statement).await?)
    }
}

impl Backend {
    fn of(url: &str) -> Option<Backend> {
        if url.starts_with("sqlite:") {
            Some(Backend::Sqlite)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Some(Backend::Postgres)
        } else {
            None
        }
    }

    /// Whether a connection that comes back may be used again. One that was given up in the middle says nothing, and would be
    /// waited for as long as it stands.
    async fn still_answers(self, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
        Ok(self == Backend::Sqlite || timeout(SILENCE, connection.ping()).await.is_ok())
    }

    async fn prepare(self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        match self {
            // FULL, not NORMAL: after a power cut a lost `calling` would ring a patient twice.
            Backend::Sqlite => {
                connection.execute("pragma busy_timeout = 10000").await?;
                connection.execute("pragma journal_mode = wal").await?;
                connection.execute("pragma synchronous = full").await?;
                // 16 MiB: an import's chunk is more than the usual 4, and each would be copied into the file by itself.
                connection
                    .execute("pragma wal_autocheckpoint = 4000")
                    .await?;
                connection.execute("pragma foreign_keys = on").await?;
                // A key that was destroyed is overwritten.
                connection.execute("pragma secure_delete = on").await?;
                // 32 MiB a connection: an import's indices outgrow the usual 2.
                connection.execute("pragma cache_size = -32768").await?;
            }
            // A commit that was answered is on disk here too.
            Backend::Postgres => {
                connection.execute("set synchronous_commit = on").await?;
            }
        }
        Ok(())
    }
}

/// A new opaque id (UUIDv7: ids sort by the time they were made).
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// The file of a SQLite address.
pub(crate) fn file_of(url: &str) -> Option<PathBuf> {
    (Backend::of(url) == Some(Backend::Sqlite)).then(|| sqlite_path(url))
}

/// The path of a SQLite address: between the scheme and the parameters.
fn sqlite_path(url: &str) -> PathBuf {
    let rest = url.trim_start_matches("sqlite:").trim_start_matches("//");
    PathBuf::from(rest.split('?').next().unwrap_or(rest))
}

/// Only this user may read it; SQLite gives its log files the mode of the database file.
fn create_file(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    Ok(())
}

/// The word of an enum as columns and JSON spell it.
pub fn word_of<T: serde::Serialize>(value: &T) -> String {
    row::word(value)
}

fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::code_may_pass;

    #[test]
    fn a_fault_of_disk_or_line_may_pass_and_a_broken_rule_does_not() {
        for (code, passes) in [
            ("5", true),
            ("13", true),
            ("778", true),
            ("4874", true),
            ("1811", false),
            ("2067", false),
            ("1", false),
            ("53100", true),
            ("57P01", true),
            ("40001", true),
            ("25006", true),
            ("57014", false),
            ("23505", false),
            ("", false),
        ] {
            assert_eq!(code_may_pass(code), passes, "{code}");
        }
    }
}
