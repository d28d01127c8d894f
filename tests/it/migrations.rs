//! A database that is brought up to date: one process at a time, copied first, and never by a version that is too old.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aftercall::store::{Store, StoreError};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use crate::postgres::Postgres;
use crate::record::master_key;

/// The newest migration but two: what an installation of some weeks ago has.
async fn old(url: &str) -> i64 {
    sqlx::any::install_default_drivers();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
    let migrator = Migrator::new(folder).await.expect("our own");
    let versions: Vec<i64> = migrator.iter().map(|migration| migration.version).collect();
    let old = versions[versions.len() - 3];
    let mut connection = AnyConnection::connect(url).await.expect("a database");
    migrator
        .run_to(old, &mut connection)
        .await
        .expect("a new database takes them");
    connection.close().await.expect("closed");
    old
}

async fn newest(url: &str) -> i64 {
    let mut connection = AnyConnection::connect(url).await.expect("a database");
    let row = connection
        .fetch_one("select max(version) as version from _sqlx_migrations")
        .await
        .expect("it has some");
    connection.close().await.expect("closed");
    row.get("version")
}

/// Four processes start at once on a database of before.
async fn is_brought_up_once(url: &str) {
    let old = old(url).await;
    let opened = [(); 4].map(|()| tokio::spawn(open(url.to_owned())));
    for opened in opened {
        let store = opened
            .await
            .expect("no panic")
            .expect("one after the other");
        store.close().await;
    }
    assert!(newest(url).await > old);
}

async fn open(url: String) -> Result<Store, StoreError> {
    Store::open(&url, &master_key()).await
}

async fn is_refused_when_it_is_newer(url: &str) {
    let mut connection = AnyConnection::connect(url).await.expect("a database");
    let row = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
               select 9999, description, success, checksum, execution_time from _sqlx_migrations where version = 1";
    connection.execute(row).await.expect("a row");
    connection.close().await.expect("closed");
    let error = Store::open(url, &master_key())
        .await
        .expect_err("it knows more than we do");
    let known = StoreError::Newer {
        found: 9999,
        known: 0,
    };
    assert_eq!(
        std::mem::discriminant(&error),
        std::mem::discriminant(&known),
        "{error}"
    );
    assert!(error.to_string().contains("9999"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_is_copied_first_and_brought_up_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("it's.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    is_brought_up_once(&url).await;
    let names = fs::read_dir(folder.path()).expect("readable").flatten();
    let copies: Vec<_> = names
        .map(|entry| entry.path())
        .filter(|path| path.display().to_string().contains(".db.before-"))
        .collect();
    let [copy] = copies.as_slice() else {
        panic!("one copy, not {copies:?}");
    };
    let mode = fs::metadata(copy).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "its owner's alone");
    let before = newest(&format!("sqlite://{}", copy.display())).await;
    assert!(before < newest(&url).await, "of before the change");
    is_refused_when_it_is_newer(&url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_is_brought_up_once() {
    let server = Postgres::start();
    let url = server.database("old").await;
    is_brought_up_once(&url).await;
    is_refused_when_it_is_newer(&url).await;
}
