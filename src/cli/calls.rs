//! `aftercall calls`: what went over the line of a call.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::id::AttemptId;
use anyhow::{Context as _, bail};
use serde_json::json;

use super::migrate::Place;
use crate::trunk::capture;

/// Look at calls that were made.
#[derive(Debug, clap::Args)]
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
    Trace(Trace),
}

/// Draw what went over a call's line: every SIP message, and the audio in runs.
///
/// Numbers, names, credentials and keys were blanked before they were kept. Traces are kept for 30 days.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall calls trace 0199d2c4-…\n  aftercall calls trace 0199d2c4-… --pcapng call.pcapng"
)]
struct Trace {
    /// The call's id, as the API and the log name it.
    id: String,
    /// Write the SIP messages as a capture too, for Wireshark or sngrep; what went over a stream stands as UDP in it.
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
}

/// Draws the call.
///
/// # Errors
/// A database that refuses, a call that is not there or has no trace, a file that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Trace(Trace { id, pcapng }) = &args.command;
    let attempt = AttemptId(id.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (began_at, trace) = runtime.block_on(async {
        let store = args.place.open().await?;
        let began_at = store.attempt(&attempt).await?.attempt.started_at;
        let trace = store.trace(&attempt).await?;
        store.close().await;
        anyhow::Ok((began_at, trace))
    })?;
    let Some(trace) = trace else {
        bail!(
            "call {id} has no trace: it never began, an engine crashed, or it is older than 30 days"
        );
    };
    if args.json {
        let told = json!({ "id": id, "began_at": began_at, "trace": trace });
        println!("{told}");
    } else {
        println!("call {id}, begun {began_at}\n\n{}", trace.ladder());
    }
    if let Some(path) = pcapng {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        capture::write(&trace, began_at, BufWriter::new(file))
            .with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
