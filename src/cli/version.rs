//! `aftercall version`.

use std::process::ExitCode;

/// Print the version, for bug reports.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  aftercall version")]
pub struct Args {}

/// Prints name and version.
///
/// # Errors
/// None.
pub fn run(_args: &Args) -> anyhow::Result<ExitCode> {
    println!("aftercall {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}
