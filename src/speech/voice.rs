//! The voice for names, dates and read-backs: Kokoro where it is configured, else espeak-ng as a child process, for
//! developers. Each text is rendered once.
//!
//! espeak-ng: text goes in by stdin, WAV comes back by stdout; no shell, and no library of it is linked (it is GPL-3).
//! Mandarin is read to it as pinyin, for its own reading of characters is broken in Debian 12 (1.51).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aftercall_core::lang::Lang;

use crate::speech::audio::{RATE_HZ, to_i16};
use crate::speech::kokoro::{self, Kokoro, KokoroConfig, KokoroError};
use crate::speech::reading::pinyin;
use crate::speech::resample::resample;

/// Mean level of the loud parts that prompts have, in dB below full scale (telephone practice is -24 to -26 dBov).
const LEVEL_DB: f32 = -21.0;
/// No sample louder than this share of full scale (-3 dB).
const PEAK: f32 = 0.708;
/// A tenth slower than the voice was taught: patients are old.
const KOKORO_SPEED: f32 = 0.9;
/// The cache is emptied when it holds so many texts; each is about 30 kB.
const CACHE: usize = 2000;

/// How to run the voice.
#[derive(Clone, Debug)]
pub struct VoiceConfig {
    /// Name or path of espeak-ng.
    pub program: String,
    /// Words a minute, espeak-ng's measure: 80–450.
    pub speed_zh: u16,
    pub speed_en: u16,
    /// A text that takes longer is given up.
    pub timeout: Duration,
    /// Speaks instead of espeak-ng.
    pub kokoro: Option<KokoroConfig>,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        VoiceConfig {
            program: "espeak-ng".to_owned(),
            speed_zh: 150,
            speed_en: 140,
            timeout: Duration::from_secs(5),
            kokoro: None,
        }
    }
}

/// Why a text was not spoken. The text itself is PHI and never named.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    #[error(
        "{program} is not installed; install it (apt-get install espeak-ng) or record the prompt"
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
    #[error("{0}")]
    Kokoro(Arc<KokoroError>),
}

#[derive(PartialEq, Eq, Hash)]
struct Said {
    lang: Lang,
    text: String,
}

/// The voice and what it has said so far.
pub struct Voice {
    config: VoiceConfig,
    said: Mutex<HashMap<Said, Arc<[i16]>>>,
    /// Loaded when the first text needs it: the service starts without.
    kokoro: OnceLock<Result<Kokoro, Arc<KokoroError>>>,
}

impl Voice {
    pub fn new(config: VoiceConfig) -> Voice {
        Voice {
            config,
            said: Mutex::default(),
            kokoro: OnceLock::new(),
        }
    }

    /// Speaks a text, 8 kHz: about 30 ms the first time, at once from then on. Blocks; do it before dialling.
    ///
    /// # Errors
    /// When espeak-ng is missing, fails or takes too long.
    pub fn speak(&self, text: &str, lang: Lang) -> Result<Arc<[i16]>, VoiceError> {
        let key = Said {
            lang,
            text: text.to_owned(),
        };
        // The map is whole after every lock, so a panic elsewhere does not spoil it.
        if let Some(samples) = self
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(Arc::clone(samples));
        }
        let samples: Arc<[i16]> = self.render(text, lang)?.into();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= CACHE {
            said.clear();
        }
        said.insert(key, Arc::clone(&samples));
        Ok(samples)
    }

    fn render(&self, text: &str, lang: Lang) -> Result<Vec<i16>, VoiceError> {
        if let Some(config) = &self.config.kokoro {
            let loaded = self
                .kokoro
                .get_or_init(|| Kokoro::load(config).map_err(Arc::new));
            let voice = loaded
                .as_ref()
                .map_err(|error| VoiceError::Kokoro(Arc::clone(error)))?;
            let sound = voice
                .speak(text, lang, KOKORO_SPEED)
                .map_err(|error| VoiceError::Kokoro(Arc::new(error)))?;
            return self.on_the_line(&sound, kokoro::RATE_HZ);
        }
        let (voice, speed, text) = match lang {
            Lang::Zh => ("cmn-latn-pinyin", self.config.speed_zh, pinyin(text)),
            Lang::En => ("en", self.config.speed_en, text.to_owned()),
        };
        let wav = self.run(voice, speed, text)?;
        let (rate_hz, samples) =
            read_wav(&wav).ok_or_else(|| self.no_sound("its output is not WAV"))?;
        self.on_the_line(&samples, rate_hz)
    }

    /// At the rate and the level of the recorded prompts, without the silence around it.
    fn on_the_line(&self, samples: &[f32], rate_hz: u32) -> Result<Vec<i16>, VoiceError> {
        let narrow = resample(samples, rate_hz, RATE_HZ).map_err(|why| self.no_sound(&why))?;
        let spoken = trimmed(&narrow);
        if spoken.is_empty() {
            return Err(self.no_sound("silence; is there anything to say in the text"));
        }
        Ok(levelled(spoken))
    }

    fn run(&self, voice: &str, speed: u16, text: String) -> Result<Vec<u8>, VoiceError> {
        let program = || self.config.program.clone();
        let failed = |source| VoiceError::Run {
            program: program(),
            source,
        };
        let mut child = Command::new(&self.config.program)
            .args(["-v", voice, "-s", &speed.to_string(), "--stdin", "--stdout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => VoiceError::Missing { program: program() },
                _ => failed(source),
            })?;
        let exchanged = self.exchange(&mut child, text);
        if exchanged.is_err() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = child.kill();
        }
        let status = child.wait().map_err(failed)?;
        let wav = exchanged?;
        if !status.success() {
            return Err(self.no_sound(&status.to_string()));
        }
        Ok(wav)
    }

    /// Text in, sound out, within the time allowed.
    fn exchange(&self, child: &mut Child, text: String) -> Result<Vec<u8>, VoiceError> {
        let failed = |source| VoiceError::Run {
            program: self.config.program.clone(),
            source,
        };
        let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(self.no_sound("no pipes"));
        };
        let (send, receive) = channel();
        std::thread::spawn(move || {
            let mut wav = Vec::new();
            // The pipe's buffer holds any text we say; closing it ends the input.
            let done = stdin
                .write_all(text.as_bytes())
                .map(|()| drop(stdin))
                .and_then(|()| stdout.read_to_end(&mut wav));
            // Nobody listens after a time-out.
            let _ = send.send(done.map(|_| wav));
        });
        match receive.recv_timeout(self.config.timeout) {
            Ok(done) => done.map_err(failed),
            Err(RecvTimeoutError::Timeout) => Err(VoiceError::Timeout {
                program: self.config.program.clone(),
                timeout: self.config.timeout,
            }),
            Err(RecvTimeoutError::Disconnected) => Err(self.no_sound("its reader broke off")),
        }
    }

    fn no_sound(&self, words: &str) -> VoiceError {
        VoiceError::NoSound {
            program: self.config.program.clone(),
            words: words.to_owned(),
        }
    }
}

/// A streamed 16-bit mono WAV: its lengths are unknown to the writer, so the data runs to the end.
fn read_wav(wav: &[u8]) -> Option<(u32, Vec<f32>)> {
    let rate_hz = u32::from_le_bytes(wav.get(24..28)?.try_into().ok()?);
    let data = wav.windows(4).position(|name| name == b"data")? + 8;
    let samples = wav
        .get(data..)?
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32768.0);
    Some((rate_hz, samples.collect()))
}

/// Without the silence before and after (below -50 dB).
fn trimmed(samples: &[f32]) -> &[f32] {
    let loud = |sample: &f32| sample.abs() > 0.003;
    let from = samples.iter().position(loud).unwrap_or(samples.len());
    let to = samples.iter().rposition(loud).map_or(from, |last| last + 1);
    &samples[from..to]
}

/// At the level of the recorded prompts: the 20 ms frames above a tenth of the loudest one count.
fn levelled(samples: &[f32]) -> Vec<i16> {
    let powers: Vec<f32> = samples
        .chunks(160)
        .map(|frame| frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32)
        .collect();
    let loudest = powers.iter().copied().fold(0.0, f32::max);
    let loud: Vec<f32> = powers
        .into_iter()
        .filter(|power| *power > loudest / 100.0)
        .collect();
    let level = (loud.iter().sum::<f32>() / loud.len().max(1) as f32).sqrt();
    let peak = samples
        .iter()
        .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let gain = (10_f32.powf(LEVEL_DB / 20.0) / level.max(1e-6)).min(PEAK / peak.max(1e-6));
    samples.iter().map(|sample| to_i16(sample * gain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_cure() {
        let voice = Voice::new(VoiceConfig {
            program: "no-such-voice".to_owned(),
            ..VoiceConfig::default()
        });
        let error = voice
            .speak("王先生", Lang::Zh)
            .expect_err("no such program")
            .to_string();
        assert!(
            error.contains("no-such-voice") && error.contains("apt-get install espeak-ng"),
            "{error}"
        );
        assert!(!error.contains("王"), "a name is PHI");
    }

    #[test]
    fn a_program_that_gives_no_wav_or_never_ends_is_an_error() {
        let voice = |program: &str, millis| {
            Voice::new(VoiceConfig {
                program: program.to_owned(),
                timeout: Duration::from_millis(millis),
                ..VoiceConfig::default()
            })
        };
        assert!(matches!(
            voice("true", 5000).speak("Mr Wang", Lang::En),
            Err(VoiceError::NoSound { .. } | VoiceError::Run { .. })
        ));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let endless = folder.path().join("endless");
        std::fs::write(&endless, "#!/bin/sh\nexec tail -f /dev/null\n")
            .expect("the folder is writable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&endless, mode).expect("the file is ours");
        let program = endless.display().to_string();
        assert!(matches!(
            voice(&program, 50).speak("Mr Wang", Lang::En),
            Err(VoiceError::Timeout { .. })
        ));
    }

    #[test]
    fn a_quiet_voice_is_raised_to_the_level_of_the_prompts() {
        let quiet: Vec<f32> = (0..8000_u16)
            .map(|i| 0.01 * (f32::from(i) * 0.7).sin())
            .collect();
        let raised = levelled(&quiet);
        let power = raised
            .iter()
            .map(|&s| f64::from(s) * f64::from(s))
            .sum::<f64>()
            / raised.len() as f64;
        let level_db = 10.0 * (power / (32768.0 * 32768.0)).log10();
        assert!((level_db + 21.0).abs() < 0.5, "{level_db}");
    }
}
