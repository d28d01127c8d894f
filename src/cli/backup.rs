//! `aftercall backup` and `aftercall restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::time::Timestamp;
use serde_json::json;

use crate::backup::{self, Target};
use crate::config::Config;
use crate::recording::Recordings;
use crate::run::open_store;

/// Copy the data into a new folder and the keys into a new file, while engines run.
///
/// The folder holds the database without its keys, and all recordings, encrypted, those in an object store too: it needs the
/// room for them. The keys are wrapped by the master key, which
/// is in neither: keep the three in three places. PostgreSQL needs its client (pg_dump) on this machine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aftercall backup --to /backup/2026-11-23 --keys-to /safe/2026-11-23.keys"
)]
pub struct Args {
    /// A new folder.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// A new file, elsewhere.
    #[arg(long, value_name = "FILE")]
    keys_to: PathBuf,
    /// Configuration file; by default aftercall.toml where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Bring a backup back into an empty database and a new folder, and erase again whoever was erased since.
///
/// The keys are the newest file that there is, whichever backup the data are of: who was erased in between has no key in it. The
/// journal of erasures beside the master key is obeyed too. Dialling stays paused, for nobody knows whom the lost hours have
/// called: `aftercall dialling resume`. All recordings come into the folder; where `recordings.url` names an object store, the
/// engine hands them over to it. A SQLite file, a PostgreSQL database with tables, or a folder of recordings that is
/// there already is left alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aftercall restore --from /backup/2026-11-23 --keys /safe/2026-11-24.keys"
)]
pub struct RestoreArgs {
    /// The folder of a backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The newest file of keys.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// Configuration file, which says where to; by default aftercall.toml where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Makes a backup.
///
/// # Errors
/// As [`backup::make`].
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::find(args.config.as_deref())?;
    block_on(async {
        let store = open_store(&config).await?;
        let now = Timestamp::now();
        let made = backup::make(
            &store,
            &config.database_url(),
            &Recordings::of(&config)?,
            (&args.to, &args.keys_to),
            now,
        )
        .await?;
        store
            .audit("command_line", "backup", "", &made.master_key, now)
            .await?;
        if args.json {
            println!(
                "{}",
                json!({ "files": made.files, "master_key": made.master_key })
            );
        } else {
            println!(
                "{}: the database and {} files of recordings; without the master key {} nobody reads them",
                args.to.display(),
                made.files,
                made.master_key
            );
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Restores a backup.
///
/// # Errors
/// As [`backup::restore`].
pub fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let config = Config::find(args.config.as_deref())?;
    let (url, recordings) = (config.database_url(), Recordings::of(&config)?);
    let (journal, master_key) = (config.journal(), config.master_key());
    let target = Target {
        url: &url,
        master_key: &master_key,
        recordings: &recordings,
        journal: &journal,
    };
    block_on(async {
        let done = backup::restore(&args.from, &args.keys, target, Timestamp::now()).await?;
        if args.json {
            println!(
                "{}",
                json!({ "made_at": done.made_at, "files": done.files, "erased_again": done.erased })
            );
        } else {
            println!(
                "restored as of {:.0}: {} files of recordings, {} patients erased again",
                done.made_at, done.files, done.erased
            );
            println!("dialling is paused: `aftercall dialling resume --by NAME` lets it go on");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn block_on(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}
