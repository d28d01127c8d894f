//! A headless baresip, from Debian's package: answers by itself, plays one WAV, records what it hears, and hangs up
//! when its WAV ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aftercall::speech::audio::decode_file;

use crate::process::{Process, wait_for_sip};

/// The running telephone.
pub struct Baresip {
    process: Process,
    folder: tempfile::TempDir,
}

impl Baresip {
    /// Answers calls on `port`, and plays `samples` to each.
    pub fn start(port: u16, samples: &[i16]) -> Baresip {
        Baresip::with(port, samples, "", "audio_codecs=pcma")
    }

    /// [`Baresip::start`] with more lines of its configuration, and these parameters of its account.
    pub fn with(port: u16, samples: &[i16], lines: &str, parameters: &str) -> Baresip {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().display();
        // Without an auplay the audio would not be decoded: aubridge plays it to nobody, sndfile writes it down.
        let config = format!(
            "sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\nmodule_path {}\nmodule g711.so\nmodule aufile.so\n\
             module aubridge.so\nmodule sndfile.so\nmodule_tmp account.so\nmodule_app menu.so\nsnd_path {at}\n\
             audio_source aufile,{at}/says.wav\naudio_player aubridge,ear\naudio_alert aubridge,bell\n{lines}",
            modules().display()
        );
        let account =
            format!("<sip:1000@127.0.0.1:{port}>;regint=0;answermode=auto;{parameters}\n");
        for (name, text) in [
            ("config", config),
            ("accounts", account),
            ("contacts", String::new()),
        ] {
            std::fs::write(folder.path().join(name), text).expect("the folder can be written");
        }
        std::fs::write(folder.path().join("says.wav"), wav(samples))
            .expect("the folder can be written");
        let process = Process::start(
            Command::new("baresip")
                .arg("-4")
                .arg("-f")
                .arg(folder.path()),
            "apt-get install baresip-core (make test does)",
        );
        wait_for_sip(port);
        Baresip { process, folder }
    }

    /// Waits until it has seen the end of a call; the line that tells it.
    pub fn ended(&mut self) -> String {
        self.process
            .wait_for("terminated (duration", Duration::from_secs(10))
    }

    /// Whether it has said this.
    pub fn said(&self, words: &str) -> bool {
        self.process.said.iter().any(|line| line.contains(words))
    }

    /// What it has heard.
    pub fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.folder.path()).expect("its folder is there");
        let mut files = files.filter_map(|file| Some(file.ok()?.path()));
        let file = files.find(|file| file.to_string_lossy().ends_with("-dec.wav"));
        decode_file(&file.expect("sndfile wrote what was decoded")).expect("a WAV")
    }
}

/// Debian's folder of modules, or another distribution's.
fn modules() -> &'static Path {
    let folders = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/local/lib/baresip/modules",
    ];
    let found = folders
        .into_iter()
        .map(Path::new)
        .find(|folder| folder.is_dir());
    found.expect("baresip's modules. Cure: apt-get install baresip-core (make test does)")
}

/// 16-bit mono at 8 kHz.
fn wav(samples: &[i16]) -> Vec<u8> {
    let length = u32::try_from(samples.len() * 2).expect("a short clip");
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}
