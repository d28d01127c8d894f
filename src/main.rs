//! Arguments in, errors out, nothing else.

use std::process::ExitCode;

use aftercall::cli::{Cli, run};
use clap::Parser;

fn main() -> ExitCode {
    end_quietly_without_a_reader();
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

/// A reader that has gone, as `head` goes, is no fault: the end is that of SIGPIPE (128 + 13), without a word.
fn end_quietly_without_a_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>();
        let is_gone = |said: &String| {
            said.starts_with("failed printing to stdout") && said.contains("Broken pipe")
        };
        if said.is_some_and(is_gone) {
            std::process::exit(141);
        }
        usual(panic);
    }));
}

/// Help and version are answers; anything else is a usage error, which exits with 1 as the commands promise.
fn usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::from(1);
    }
    ExitCode::from(u8::from(error.use_stderr()))
}
