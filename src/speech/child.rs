//! A program that speaks, run once a text, within a time, without a shell.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Why a program did not speak. Texts are PHI and never named.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error(
        "{program} is not installed; install it (apt-get install {program}) or record the prompt"
    )]
    Missing { program: String },
    #[error("{program} cannot be run")]
    Run {
        program: String,
        source: std::io::Error,
    },
    #[error("{program} took longer than {} ms", timeout.as_millis())]
    Timeout { program: String, timeout: Duration },
    #[error("{program} gave no sound: {words}")]
    NoSound { program: String, words: String },
}

/// Gives the text to the program's stdin and returns what it writes to stdout, where that is piped.
///
/// # Errors
/// When it is missing, fails, or takes longer than `timeout`; it is killed then.
pub fn run(mut command: Command, text: String, timeout: Duration) -> Result<Vec<u8>, ChildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| ChildError::Run {
        program: program.clone(),
        source,
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ChildError::Missing {
                program: program.clone(),
            },
            _ => failed(source),
        })?;
    let exchanged = exchange(&mut child, text, timeout);
    if exchanged.is_none() {
        // It may have ended by itself; then there is nothing to kill.
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    let Some(exchanged) = exchanged else {
        return Err(ChildError::Timeout { program, timeout });
    };
    if !status.success() {
        let words = status.to_string();
        return Err(ChildError::NoSound { program, words });
    }
    exchanged.map_err(failed)
}

/// Text in, sound out; `None` when the time is over.
fn exchange(
    child: &mut Child,
    text: String,
    timeout: Duration,
) -> Option<Result<Vec<u8>, std::io::Error>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut sound = Vec::new();
        // The pipe's buffer holds any text we say; closing it ends the input. Who does not read it is no failure.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(text.as_bytes());
        }
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut sound));
        // Nobody listens after a time-out.
        let _ = send.send(read.map(|_| sound));
    });
    receive.recv_timeout(timeout).ok()
}
