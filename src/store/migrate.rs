//! Tables brought up to date: one process at a time, a copy of the file before anything changes, and never under a
//! version that does not know them.

use std::fs::File;
use std::path::{Path, PathBuf};

use aftercall_core::time::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Executor as _};
use tracing::{info, warn};

use super::row::Columns;
use super::{Backend, StoreError, create_file};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// Runs what is missing. PostgreSQL holds an advisory lock meanwhile; SQLite, which has none, a lock on a file beside the
/// database, given here where it is a file.
///
/// # Errors
/// [`StoreError::Newer`], a copy that cannot be made, or a migration that fails: each is a transaction of its own.
pub(super) async fn run(
    pool: &AnyPool,
    backend: Backend,
    file: Option<&Path>,
) -> Result<(), StoreError> {
    let lock = match file {
        Some(path) => Some(locked(path).await?),
        None => None,
    };
    let mut connection = pool.acquire().await?;
    let applied = applied(&mut connection, backend).await?;
    let known = newest();
    if let Some(found) = applied.iter().copied().find(|found| *found > known) {
        return Err(StoreError::Newer { found, known });
    }
    let missing = MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .count();
    if missing > 0 && !applied.is_empty() {
        match file {
            Some(path) => copy(&mut connection, path).await?,
            None if backend == Backend::Postgres => {
                warn!(
                    missing,
                    "the tables change now; PostgreSQL is not copied by us"
                );
            }
            None => {}
        }
    }
    drop(connection);
    MIGRATIONS.run(pool).await?;
    if missing > 0 {
        info!(missing, newest = known, "the database is up to date");
    }
    drop(lock);
    Ok(())
}

/// The newest migration of this version.
fn newest() -> i64 {
    let versions = MIGRATIONS.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

async fn applied(connection: &mut AnyConnection, backend: Backend) -> Result<Vec<i64>, StoreError> {
    let is_there = match backend {
        Backend::Sqlite => {
            "select count(*) as tables from sqlite_master where name = '_sqlx_migrations'"
        }
        Backend::Postgres => {
            "select count(*) as tables from information_schema.tables \
             where table_name = '_sqlx_migrations' and table_schema = current_schema()"
        }
    };
    let row = sqlx::query(is_there).fetch_one(&mut *connection).await?;
    let tables: u64 = Columns(&row).count("tables")?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("select version from _sqlx_migrations order by version")
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Columns(row).int("version")).collect()
}

/// Waits until no other process changes this file's tables; the lock ends with the handle.
async fn locked(database: &Path) -> Result<File, StoreError> {
    let path = beside(database, "lock");
    create_file(&path)?;
    let failed = {
        let path = path.clone();
        move |source| StoreError::File { path, source }
    };
    let waited = tokio::task::spawn_blocking(move || {
        let file = File::open(&path)?;
        file.lock()?;
        Ok(file)
    });
    waited
        .await
        .unwrap_or_else(|lost| Err(std::io::Error::other(lost)))
        .map_err(failed)
}

/// A whole copy beside the file, readable by its owner alone.
async fn copy(connection: &mut AnyConnection, database: &Path) -> Result<(), StoreError> {
    let at = Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let path = beside(database, &format!("before-{:04}-{at}", newest()));
    // SQLite writes into an empty file, which has our mode.
    create_file(&path)?;
    let quoted = path.display().to_string().replace('\'', "''");
    connection
        .execute(AssertSqlSafe(format!("vacuum into '{quoted}'")))
        .await?;
    info!(copy = %path.display(), "the database was copied before its tables change");
    Ok(())
}

/// `aftercall.db` and `lock`: `aftercall.db.lock`.
fn beside(database: &Path, what: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}
