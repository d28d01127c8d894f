//! `aftercall migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::Config;
use crate::store::Store;

/// Bring the database's tables up to date; every other command does so too when it opens it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall migrate\n  aftercall migrate --database postgres://aftercall@localhost/aftercall"
)]
pub struct Args {
    #[command(flatten)]
    pub place: Place,
}

/// Which database: named, or the configuration's.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Database address (sqlite://PATH or postgres://…); by default the configuration's.
    #[arg(long, value_name = "URL", global = true)]
    pub database: Option<String>,
    /// Configuration file; by default aftercall.toml where there is one.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

impl Place {
    /// The configuration that stands beside the database.
    ///
    /// # Errors
    /// A broken configuration.
    pub fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::find(self.config.as_deref())?)
    }

    /// Opens the database, which brings it up to date.
    ///
    /// # Errors
    /// A broken configuration, or a database that cannot be opened or migrated.
    pub async fn open(&self) -> anyhow::Result<Store> {
        let config = self.config()?;
        let url = match &self.database {
            Some(url) => url.clone(),
            None => config.database_url(),
        };
        Store::open(&url, &config.master_key())
            .await
            .context("the database was not opened")
    }
}

/// Opens the database, which runs the migrations that are missing.
///
/// # Errors
/// When it cannot be opened or migrated.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let store = runtime.block_on(args.place.open())?;
    println!("the {:?} database is up to date", store.backend());
    runtime.block_on(store.close());
    Ok(ExitCode::SUCCESS)
}
