//! The command line: one file a command, each with an example in its `--help`.

pub mod answered;
pub mod assess;
pub mod audit;
mod audit_log;
pub mod backup;
pub mod bench;
mod bench_ears;
pub mod call;
pub mod calls;
pub mod check;
pub mod demo;
pub mod dialling;
pub mod feed;
pub mod hearing;
pub mod import;
pub mod keys;
pub mod line;
pub mod migrate;
pub mod models;
pub mod openapi;
pub mod outbox;
pub mod patients;
pub mod phones;
pub mod play;
pub mod redflags;
pub mod rehearse;
pub mod rota;
pub mod say;
pub mod serve;
pub mod staff;
pub mod token;
pub mod transcribe;
pub mod trunk;
pub mod version;
pub mod voice;
pub mod why;
pub mod windows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A voice robot that telephones patients after they leave hospital.
#[derive(Debug, Parser)]
#[command(name = "aftercall", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Answered(answered::Args),
    Assess(assess::Args),
    Audit(audit::Args),
    Backup(backup::Args),
    Bench(bench::Args),
    Call(Box<call::Args>),
    Calls(calls::Args),
    Check(check::Args),
    Demo(demo::Args),
    Dialling(dialling::Args),
    Feed(feed::Args),
    Hearing(hearing::Args),
    Import(import::Args),
    Keys(keys::Args),
    Migrate(migrate::Args),
    Models(models::Args),
    Openapi(openapi::Args),
    Outbox(outbox::Args),
    Patients(patients::Args),
    Phones(phones::Args),
    Redflags(redflags::Args),
    Rehearse(rehearse::Args),
    Restore(backup::RestoreArgs),
    Rota(rota::Args),
    Say(say::Args),
    Serve(serve::Args),
    Staff(staff::Args),
    Token(token::Args),
    Transcribe(transcribe::Args),
    Trunk(trunk::Args),
    Version(version::Args),
    Voice(voice::Args),
    Why(why::Args),
    Windows(windows::Args),
}

/// Runs one command.
///
/// # Errors
/// Usage and local errors; `main` prints them and exits with 1.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    start_log(&cli.command);
    match cli.command {
        Command::Answered(args) => answered::run(&args),
        Command::Assess(args) => assess::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Calls(args) => calls::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Dialling(args) => dialling::run(&args),
        Command::Feed(args) => feed::run(&args),
        Command::Hearing(args) => hearing::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Openapi(args) => openapi::run(&args),
        Command::Outbox(args) => outbox::run(&args),
        Command::Patients(args) => patients::run(&args),
        Command::Phones(args) => phones::run(&args),
        Command::Redflags(args) => redflags::run(&args),
        Command::Rehearse(args) => rehearse::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Rota(args) => rota::run(&args),
        Command::Say(args) => say::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Staff(args) => staff::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Transcribe(args) => transcribe::run(&args),
        Command::Trunk(args) => trunk::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Voice(args) => voice::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Windows(args) => windows::run(&args),
    }
}

/// Logs to standard error. `RUST_LOG` says more or less; a command that talks to people only warns.
fn start_log(command: &Command) {
    let usual = match command {
        Command::Serve(_) => "error,symphonia=off,aftercall=info",
        _ => "error,symphonia=off,aftercall=warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
