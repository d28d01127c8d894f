//! Arguments in, errors out, nothing else.

use std::process::ExitCode;

use aftercall::cli::{Cli, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("aftercall: {error:#}");
            ExitCode::from(1)
        }
    }
}
