//! Arguments in, errors out, nothing else.

use std::process::ExitCode;

use aftercall::cli::{Cli, run};
use clap::Parser;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("aftercall: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// Help and version are answers; anything else is a usage error, which exits with 1 as the commands promise.
fn usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::from(1);
    }
    ExitCode::from(u8::from(error.use_stderr()))
}
