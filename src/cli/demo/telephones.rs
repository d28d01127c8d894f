//! The demo's telephone network: this program once more, in a process of its own, which a `kill -9` of the demo leaves.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tracing::warn;

/// The process of the telephones.
#[derive(Debug)]
pub enum Telephones {
    Ours(Child),
    /// Of a demo that was killed: they rang on.
    Inherited {
        pid: u32,
        log: PathBuf,
    },
}

impl Telephones {
    /// Takes over the telephones of this folder that still ring, or starts them.
    ///
    /// # Errors
    /// When they end at once, or the folder cannot be written.
    pub fn start(fixtures: &Path, data: &Path, listen: &str) -> anyhow::Result<Telephones> {
        let (pid_file, log) = (data.join("phones.pid"), data.join("phones.jsonl"));
        let earlier = std::fs::read_to_string(&pid_file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(pid) = earlier.filter(|pid| is_running(*pid, &log)) {
            println!("the telephones of the earlier run still ring (process {pid})");
            return Ok(Telephones::Inherited { pid, log });
        }
        let mut phones = Command::new(std::env::current_exe()?)
            .args(["phones", "--listen", listen])
            .arg("--phones")
            .arg(fixtures.join("phones"))
            .arg("--audio")
            .arg(fixtures.join("audio"))
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("the telephones did not start")?;
        // They decode their audio first; the engine's own loading takes longer, and an INVITE is repeated.
        if let Some(status) = phones.try_wait()? {
            bail!("the telephones ended at once: {status}");
        }
        if let Some(pid) = phones.id() {
            std::fs::write(&pid_file, pid.to_string())
                .with_context(|| pid_file.display().to_string())?;
        }
        Ok(Telephones::Ours(phones))
    }

    /// How they ended, if they did.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> std::io::Result<Option<String>> {
        Ok(match self {
            Telephones::Ours(child) => child.try_wait()?.map(|status| status.to_string()),
            Telephones::Inherited { pid, log } => {
                (!is_running(*pid, log)).then(|| format!("process {pid} is gone"))
            }
        })
    }

    /// Ends them.
    pub async fn stop(self) {
        let stopped = match self {
            Telephones::Ours(mut child) => child.kill().await,
            Telephones::Inherited { pid, log } if is_running(pid, &log) => {
                // The shell's own kill: Debian has the program only where procps is installed.
                let kill = Command::new("sh")
                    .args(["-c", "kill \"$0\"", &pid.to_string()])
                    .status()
                    .await;
                kill.map(|_| ())
            }
            Telephones::Inherited { .. } => return,
        };
        if let Err(error) = stopped {
            warn!(%error, "the telephones had ended by themselves");
        }
    }
}

/// Whether the process is the telephones that write this log: a number alone may be anybody's by now.
fn is_running(pid: u32, log: &Path) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = command.split(|byte| *byte == 0);
    words.any(|word| word == b"phones")
        && words.any(|word| word == log.as_os_str().as_encoded_bytes())
}
