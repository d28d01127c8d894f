//! `aftercall dialling`.

use std::process::ExitCode;

use aftercall_core::time::Timestamp;

use super::migrate::Place;
use crate::store::decision::Pause;

/// Stop dialling, for everybody or for one ward, and go on.
///
/// Calls in talk go on. Every engine on the database obeys within seconds, and each patient's record says why she was
/// not rung (`aftercall why`).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall dialling status\n  aftercall dialling pause --ward 9C --why \"ward moves\" --by li\n  \
    aftercall dialling resume --ward 9C --by li"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print what is stopped.
    Status,
    /// Stop.
    Pause {
        /// One ward, as records have it; left out: everybody.
        #[arg(long)]
        ward: Option<String>,
        /// The reason, which the audit log keeps.
        #[arg(long)]
        why: String,
        /// Who stops it; this name stands in the audit log.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Go on.
    Resume {
        /// One ward; left out: what was stopped for everybody.
        #[arg(long)]
        ward: Option<String>,
        /// Who lets it go on.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// Stops, goes on, or prints.
///
/// # Errors
/// A database that refuses.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        let now = Timestamp::now();
        let scope = |ward: &Option<String>| match ward {
            Some(ward) => format!("ward/{ward}"),
            None => String::new(),
        };
        match &args.command {
            Command::Status => {}
            Command::Pause { ward, why, by } => {
                let pause = Pause {
                    scope: scope(ward),
                    why: why.clone(),
                    by: by.clone(),
                    at: now,
                };
                store
                    .audit(by, "dialling.pause", &pause.scope, why, now)
                    .await?;
                if !store.pause(&pause).await? {
                    eprintln!("it was paused already");
                }
            }
            Command::Resume { ward, by } => {
                let scope = scope(ward);
                store.audit(by, "dialling.resume", &scope, "", now).await?;
                if !store.resume(&scope, now).await? {
                    eprintln!("it was not paused");
                }
            }
        }
        let pauses = store.pauses().await?;
        if args.json {
            let rows: Vec<_> = pauses
                .iter()
                .map(|pause| {
                    serde_json::json!({
                        "ward": pause.scope.strip_prefix("ward/"),
                        "why": pause.why,
                        "by": pause.by,
                        "since": pause.at,
                    })
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else if pauses.is_empty() {
            println!("nothing is paused");
        } else {
            for pause in &pauses {
                let what = pause.scope.strip_prefix("ward/");
                let what = what.map_or("everybody".to_owned(), |ward| format!("ward {ward}"));
                println!(
                    "{what} is paused since {} by {}: {}",
                    pause.at, pause.by, pause.why
                );
            }
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}
