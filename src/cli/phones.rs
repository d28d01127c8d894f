//! `aftercall phones`: the telephone network of the demo.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::phones::book::Folders;
use crate::phones::{PhonesConfig, run as ring};

/// Be the telephone network: telephones on loopback that ring, answer, speak, press keys and hang up.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall phones --listen 127.0.0.1:5080
  aftercall call sip:+8613800001001@127.0.0.1:5080 --script cardiac --day 3

Prints a JSON line for each event: listening, invited, answered, prompt (id and score), says, presses, turn
(latency_ms from the last voiced sample sent to the first voiced sample received), hung_up, media. Times are
milliseconds since the start, on one clock. Runs until it is stopped.")]
pub struct Args {
    /// Where SIP is taken.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5080")]
    listen: SocketAddr,
    /// One TOML file a telephone; fixtures/phones/README.md describes them.
    #[arg(long, value_name = "DIR", default_value = "fixtures/phones")]
    phones: PathBuf,
    /// What the telephones say.
    #[arg(long, value_name = "DIR", default_value = "fixtures/audio")]
    audio: PathBuf,
    /// What the robot says: to recognise its prompts by their sound.
    #[arg(long, value_name = "DIR", default_value = "dialogs")]
    dialogs: PathBuf,
    /// Take calls to this host only; others get 404.
    #[arg(long, value_name = "HOST")]
    domain: Option<String>,
    /// Append the events to this file instead of printing them.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Record each call as a stereo WAV, the robot left.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Accepted for symmetry: the output is always JSON lines.
    #[arg(long)]
    json: bool,
}

/// Rings until stopped.
///
/// # Errors
/// When no telephone can ring.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = PhonesConfig {
        listen: args.listen,
        folders: Folders {
            phones: args.phones.clone(),
            audio: args.audio.clone(),
            dialogs: args.dialogs.clone(),
        },
        domain: args.domain.clone(),
        log: args.log.clone(),
        record: args.record.clone(),
    };
    ring(&config, |error| {
        eprintln!("aftercall phones: {error}; the others ring")
    })?;
    Ok(ExitCode::SUCCESS)
}
