//! `aftercall call` as a hospital's technician runs it: the real program, its JSON lines, its exit status, its WAV.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aftercall_core::codec::{FRAME, G711};
use serde_json::Value;

use crate::process::Process;
use crate::speech::model;

/// The longest script has four minutes.
const LIMIT: Duration = Duration::from_secs(300);

/// One `aftercall call`, and its folder: configuration, audit log, recording.
pub struct Robot {
    folder: tempfile::TempDir,
    command: Command,
}

/// What it came to.
pub struct Outcome {
    pub exit: i32,
    /// The JSON lines before the last.
    pub events: Vec<Value>,
    /// The last JSON line; null where there was none.
    pub record: Value,
    /// Everything printed, for the message of a failure.
    pub said: String,
    folder: tempfile::TempDir,
}

impl Robot {
    pub fn new(target: &str) -> Robot {
        model();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("aftercall.toml");
        let data = folder.path().join("data");
        std::fs::write(&config, format!("data_dir = {data:?}\n"))
            .expect("the folder can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_aftercall"));
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["call", target, "--json", "--config"])
            .arg(config);
        command.arg("--record").arg(folder.path().join("call.wav"));
        Robot { folder, command }
    }

    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Robot {
        self.command.args(args);
        self
    }

    /// Dials through a trunk file with an account, whose password is in the environment.
    pub fn through(mut self, port: u16, password: &str) -> Robot {
        let account =
            "\n[account]\nusername = \"aftercall\"\npassword_env = \"AFTERCALL_TEST_PASSWORD\"\n";
        let text = include_str!("../../../sip_config/loopback.toml");
        let text = text.replace("127.0.0.1:5080", &format!("127.0.0.1:{port}")) + account;
        let file = self.folder.path().join("loopback.toml");
        std::fs::write(&file, text).expect("the folder can be written");
        self.command
            .arg("--trunk")
            .arg(file)
            .env("AFTERCALL_TEST_PASSWORD", password);
        self
    }

    /// Dials, and waits for the end of the call.
    pub fn call(mut self) -> Outcome {
        let mut process = Process::start(&mut self.command, "cargo build");
        let exit = process.finish(LIMIT);
        let mut events: Vec<Value> = process
            .said
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let record = events
            .pop_if(|last| last["event"] == "record")
            .unwrap_or_default();
        Outcome {
            exit,
            events,
            record,
            said: process.said.join("\n"),
            folder: self.folder,
        }
    }
}

impl Outcome {
    /// Exit status, disposition and SIP status.
    pub fn ending(&self) -> (i32, &str, Option<u64>) {
        (
            self.exit,
            self.record["disposition"].as_str().unwrap_or("none"),
            self.record["sip_status"].as_u64(),
        )
    }

    /// The texts of the events of one kind.
    pub fn texts(&self, kind: &str) -> Vec<&str> {
        let events = self.events.iter().filter(|event| event["event"] == kind);
        events.filter_map(|event| event["text"].as_str()).collect()
    }

    pub fn wav(&self) -> PathBuf {
        self.folder.path().join("call.wav")
    }
}

/// The robot's and the callee's channel of a recording, which is stereo A-law of 8 kHz.
pub fn channels(wav: &Path) -> [Vec<i16>; 2] {
    let bytes = std::fs::read(wav).unwrap_or_else(|error| panic!("{}: {error}", wav.display()));
    let format = [bytes[20], bytes[21], bytes[22], bytes[23]];
    assert_eq!(
        (&bytes[..4], format),
        (&b"RIFF"[..], [6, 0, 2, 0]),
        "A-law, two channels"
    );
    let data = bytes
        .windows(4)
        .position(|four| four == b"data")
        .expect("a data chunk")
        + 8;
    let side = |offset: usize| {
        let own: Vec<u8> = bytes[data..]
            .iter()
            .skip(offset)
            .step_by(2)
            .copied()
            .collect();
        G711::A.decode_all(&own)
    };
    [side(0), side(1)]
}

/// Milliseconds of sound that is louder than a quiet room.
pub fn voiced_ms(samples: &[i16]) -> usize {
    let loud = |frame: &&[i16]| {
        let sum: i64 = frame.iter().map(|&sample| i64::from(sample).pow(2)).sum();
        sum > 300 * 300 * FRAME as i64
    };
    samples.chunks_exact(FRAME).filter(loud).count() * 20
}
