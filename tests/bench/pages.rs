//! The pages before a large hospital: 50,000 patients, 200,000 calls and 2,000 open orders, on SQLite and PostgreSQL. How long
//! each question takes that a page asks the API, and how long Chromium takes to show a page and to answer a press.
//!
//! The data is written by the store as an engine writes it, call by call, which takes some minutes: `BENCH_KEEP=FOLDER` keeps
//! it there for the next run. `BENCH_PATIENTS`, `BENCH_CALLS` take fewer, `BENCH_ON=sqlite` one database alone,
//! `BENCH_BROWSER=no` the API alone.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall::store::{Backend, Store};
use aftercall::vault::{DataKey, KEY_BYTES, Source};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::process::Command;
use tokio::runtime;

#[path = "pages/asked.rs"]
mod asked;
#[path = "pages/fill.rs"]
mod fill;
#[path = "../it/postgres.rs"]
mod postgres;
#[path = "pages/server.rs"]
mod server;

use fill::Hospital;
use postgres::Postgres;
use server::Server;

fn main() -> ExitCode {
    if !env::args().any(|argument| argument == "--bench") {
        println!("`make bench-pages` measures; nothing to test here");
        return ExitCode::SUCCESS;
    }
    let size = Hospital {
        patients: number("BENCH_PATIENTS", 50_000),
        calls: number("BENCH_CALLS", 200_000),
        open_orders: 2_000,
    };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let missed = runtime.expect("a runtime").block_on(measure(&size));
    if missed == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{missed} goals are missed");
    ExitCode::FAILURE
}

fn number(name: &str, usual: usize) -> usize {
    let text = env::var(name).ok();
    text.map_or(usual, |text| text.parse().expect("a number"))
}

async fn measure(size: &Hospital) -> usize {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let keep = env::var_os("BENCH_KEEP").map(PathBuf::from);
    let folder = keep.as_deref().unwrap_or(scratch.path());
    fs::create_dir_all(folder).expect("a folder of one's own");
    let only = env::var("BENCH_ON").unwrap_or_default();
    let mut missed = 0;
    if only != "postgresql" {
        let url = format!("sqlite://{}/pages.db", folder.display());
        missed += on("SQLite", &url, size, folder).await;
    }
    if only != "sqlite" {
        let postgres = match &keep {
            Some(folder) => Postgres::start_in(folder, None),
            None => Postgres::start(),
        };
        let url = postgres.database("pages").await;
        missed += on("PostgreSQL", &url, size, folder).await;
    }
    missed
}

async fn on(name: &str, url: &str, size: &Hospital, folder: &Path) -> usize {
    let key = Source::Given(DataKey::new([7; KEY_BYTES]));
    let store = Store::open(url, &key).await.expect("the database opens");
    fill::fill(name, &store, size).await;
    if store.backend() == Backend::Postgres {
        analyse(url).await;
    }
    let server = Server::start(&store, folder).await;
    let mut missed = asked::ask(name, &server).await;
    if env::var("BENCH_BROWSER").is_ok_and(|with| with == "no") {
        store.close().await;
        return missed;
    }
    println!("{name}: in Chromium");
    // Chromium's requests are answered by this runtime.
    let told = Command::new("npx")
        .args(["playwright", "test", "--config", "bench.config.ts"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("web"))
        .env("AFTERCALL_URL", server.url())
        .status();
    missed += usize::from(!told.await.is_ok_and(|status| status.success()));
    store.close().await;
    missed
}

/// As PostgreSQL does by itself after some minutes.
async fn analyse(url: &str) {
    let mut connection = AnyConnection::connect(url).await.expect("it was open");
    connection.execute("vacuum analyze").await.expect("done");
}
