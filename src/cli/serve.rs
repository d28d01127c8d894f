//! `aftercall serve`: runs the engine until it is told to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::jobs::PlanClock;
use crate::jobs::windows::log_set_hours;
use crate::run::Engine;

/// Run the engine: plan, line, API.
///
/// Ctrl-C or SIGTERM: nobody is dialled any more, what rings is cancelled, who talks has `trunk.talk_on_s` to come to an
/// end (a second signal ends talk at once), and what was heard is committed. After a crash the next start closes every live attempt before it dials.
///
/// SIGHUP reads the configuration again: [calling] (but its cadence), [work_orders], [audit], [staff], channels and on_call
/// hold at once, other keys from the next start, each said in a line; a file that cannot be used changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall serve --config aftercall.toml

AFTERCALL_AUDIT_KEY (base64 of 32 bytes) signs the heads of the audit log that go out each hour as audit.head.
Log level by the environment: RUST_LOG=aftercall=debug. Logs hold no names, numbers or words of patients.")]
pub struct Args {
    /// Configuration file; by default aftercall.toml where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Serves until a signal.
///
/// # Errors
/// As [`Engine::start`].
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::find(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = Engine::start(&config, PlanClock::system(), None).await?;
        let scheme = if engine.https { "https" } else { "http" };
        println!(
            "API on {scheme}://{}/api/v1, OpenAPI document at {scheme}://{}/openapi.json",
            engine.api, engine.api
        );
        serve(&engine, args.config.as_deref()).await?;
        info!("stopping");
        let hurry = engine.hurry();
        tokio::select! {
            () = engine.stop() => {}
            () = twice(hurry) => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs until a signal that stops; SIGHUP reads the configuration again.
async fn serve(engine: &Engine, config: Option<&Path>) -> std::io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            stopped = stop_signal() => return stopped,
            _ = hang_up.recv() => {
                read_again(engine, config);
                if let Err(error) = log_set_hours(&engine.store).await {
                    warn!(%error, "whether an admin set calling hours is not known");
                }
            }
        }
    }
}

/// Each outcome is a line of its own; a file that cannot be used changes nothing.
fn read_again(engine: &Engine, config: Option<&Path>) {
    let swapped = Config::find(config)
        .map_err(anyhow::Error::from)
        .and_then(|new| engine.swap(new));
    match swapped {
        Ok(swap) => {
            for key in &swap.waiting {
                warn!("configuration: {key} holds from the next start");
            }
            for key in &swap.swapped {
                info!("configuration: {key} holds now");
            }
            if swap.waiting.is_empty() && swap.swapped.is_empty() {
                info!("configuration: nothing has changed");
            }
        }
        Err(error) => error!("configuration: the old one stays: {error:#}"),
    }
}

/// At a second signal ends the talk that is waited for; never resolves, since the engine's own end is awaited.
async fn twice(hurry: impl FnOnce()) {
    if stop_signal().await.is_ok() {
        hurry();
    }
    std::future::pending().await
}

/// Resolves at SIGINT or SIGTERM.
///
/// # Errors
/// When the system lets no handler be set.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
