//! `aftercall redflags`: what a clinician needs to judge the red flags, one file a subcommand.

mod eval;
mod kappa;
mod label;
mod report;
mod spoken;

use std::process::ExitCode;

/// Judge the red flags themselves: how well they score, and how far clinicians agree on the labels.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall redflags eval --errors 20\n  aftercall redflags kappa li.jsonl wang.jsonl"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Eval(eval::Args),
    Kappa(kappa::Args),
    Label(label::Args),
    Report(report::Args),
    Spoken(spoken::Args),
}

/// Runs one subcommand.
///
/// # Errors
/// As the subcommand's.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Eval(args) => eval::run(args),
        Command::Kappa(args) => kappa::run(args),
        Command::Label(args) => label::run(args),
        Command::Report(args) => report::run(args),
        Command::Spoken(args) => spoken::run(args),
    }
}
