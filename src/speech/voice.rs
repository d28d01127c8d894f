//! The voice for names, dates and read-backs: Kokoro in this process, a speech server or a program of the site, or espeak-ng
//! for developers. Each text is rendered once and kept in memory; what is said to everybody alike is kept on disk too.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aftercall_core::lang::Lang;
use tracing::warn;

use crate::speech::audio::{RATE_HZ, to_i16};
use crate::speech::child::ChildError;
use crate::speech::command::{self, CommandConfig, CommandError};
use crate::speech::espeak::{self, EspeakConfig};
use crate::speech::kokoro::{self, Kokoro, KokoroConfig, KokoroError};
use crate::speech::loudness::levelled;
use crate::speech::models::hash_file;
use crate::speech::openai::{OpenAi, OpenAiConfig, OpenAiError};
use crate::speech::rendered::{Entry, Rendered};
use crate::speech::resample::resample;

/// A tenth slower than the voice was taught: patients are old.
const KOKORO_SPEED: f32 = 0.9;
/// The memory is emptied when it holds so many texts; each is about 30 kB.
const MEMORY: usize = 2000;
/// Samples quieter than this are silence (−50 dB).
const SILENCE: u16 = 100;

/// What speaks, and where it is kept.
#[derive(Clone, Debug, Default)]
pub struct VoiceConfig {
    pub engine: Engine,
    /// Folder of rendered prompts; nothing is kept on disk without one.
    pub rendered: Option<PathBuf>,
}

/// What speaks.
#[derive(Clone, Debug)]
pub enum Engine {
    Espeak(EspeakConfig),
    Kokoro(KokoroConfig),
    OpenAi(OpenAiConfig),
    Command(CommandConfig),
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::Espeak(EspeakConfig::default())
    }
}

/// Why a text was not spoken. The text itself is PHI and never named.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    #[error(transparent)]
    Espeak(ChildError),
    #[error("{0}")]
    Kokoro(Arc<KokoroError>),
    #[error(transparent)]
    OpenAi(OpenAiError),
    #[error(transparent)]
    Command(CommandError),
    #[error("its rate cannot be brought to 8 kHz ({why})")]
    Rate { why: String },
    #[error("the voice gave silence; is there anything to say in the text")]
    Silence,
}

#[derive(PartialEq, Eq, Hash)]
struct Said {
    lang: Lang,
    text: String,
}

/// The voice and what it has said so far.
pub struct Voice {
    engine: Speaker,
    said: Mutex<HashMap<Said, Arc<[i16]>>>,
    rendered: Option<Rendered>,
    /// What stands for the voice in the names of rendered files.
    identity: OnceLock<String>,
    renders: AtomicU64,
}

enum Speaker {
    Espeak(EspeakConfig),
    Kokoro {
        config: KokoroConfig,
        /// Loaded when the first text needs it: the service starts without.
        loaded: OnceLock<Result<Box<Kokoro>, Arc<KokoroError>>>,
    },
    OpenAi(Box<OpenAi>),
    Command(CommandConfig),
}

impl Voice {
    pub fn new(config: VoiceConfig) -> Voice {
        let rendered = config.rendered.and_then(|folder| {
            let opened = Rendered::open(&folder);
            opened
                .inspect_err(|error| warn!(folder = %folder.display(), %error, "rendered speech is not kept"))
                .ok()
        });
        let engine = match config.engine {
            Engine::Espeak(config) => Speaker::Espeak(config),
            Engine::Kokoro(config) => Speaker::Kokoro {
                config,
                loaded: OnceLock::new(),
            },
            Engine::OpenAi(config) => Speaker::OpenAi(Box::new(OpenAi::new(config))),
            Engine::Command(config) => Speaker::Command(config),
        };
        Voice {
            engine,
            said: Mutex::default(),
            rendered,
            identity: OnceLock::new(),
            renders: AtomicU64::new(0),
        }
    }

    /// Speaks a text, 8 kHz, at once where this process rendered it before; it may name a patient, and reaches no disk.
    /// Blocks; do it before dialling.
    ///
    /// # Errors
    /// When the engine is missing, fails or takes too long.
    pub fn speak(&self, text: &str, lang: Lang) -> Result<Arc<[i16]>, VoiceError> {
        self.said(text, lang, || self.render(text, lang))
    }

    /// Speaks a prompt that has nothing of a patient: rendered once and for all, for it is kept on disk.
    ///
    /// # Errors
    /// As [`Voice::speak`].
    pub fn speak_prompt(&self, text: &str, lang: Lang) -> Result<Arc<[i16]>, VoiceError> {
        self.said(text, lang, || self.stored_or_rendered(text, lang))
    }

    fn said(
        &self,
        text: &str,
        lang: Lang,
        render: impl FnOnce() -> Result<Vec<i16>, VoiceError>,
    ) -> Result<Arc<[i16]>, VoiceError> {
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
        let samples: Arc<[i16]> = render()?.into();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MEMORY {
            said.clear();
        }
        said.insert(key, Arc::clone(&samples));
        Ok(samples)
    }

    /// How many texts the engine has spoken since the start: neither memory nor disk had them.
    pub fn renders(&self) -> u64 {
        self.renders.load(Ordering::Relaxed)
    }

    fn stored_or_rendered(&self, text: &str, lang: Lang) -> Result<Vec<i16>, VoiceError> {
        let Some(rendered) = &self.rendered else {
            return self.render(text, lang);
        };
        let voice = self.identity.get_or_init(|| self.engine.identity());
        let entry = Entry { voice, lang, text };
        if let Some(samples) = rendered.find(&entry) {
            return Ok(samples);
        }
        let samples = self.render(text, lang)?;
        if let Err(error) = rendered.keep(&entry, &samples) {
            warn!(%error, "rendered speech was not kept");
        }
        Ok(samples)
    }

    /// At the rate and the level of the recorded prompts, without the silence around it.
    fn render(&self, text: &str, lang: Lang) -> Result<Vec<i16>, VoiceError> {
        let samples = self.engine.speak(text, lang)?;
        self.renders.fetch_add(1, Ordering::Relaxed);
        match trimmed(&samples) {
            [] => Err(VoiceError::Silence),
            spoken => Ok(levelled(spoken)),
        }
    }
}

impl Speaker {
    fn speak(&self, text: &str, lang: Lang) -> Result<Vec<i16>, VoiceError> {
        match self {
            Speaker::Espeak(config) => {
                let samples = espeak::speak(config, text, lang).map_err(VoiceError::Espeak)?;
                Ok(samples.into_iter().map(to_i16).collect())
            }
            Speaker::Kokoro { config, loaded } => {
                let voice = loaded
                    .get_or_init(|| Kokoro::load(config).map(Box::new).map_err(Arc::new))
                    .as_ref()
                    .map_err(|error| VoiceError::Kokoro(Arc::clone(error)))?;
                let sound = voice
                    .speak(text, lang, KOKORO_SPEED)
                    .map_err(|error| VoiceError::Kokoro(Arc::new(error)))?;
                let narrow = resample(&sound, kokoro::RATE_HZ, RATE_HZ)
                    .map_err(|why| VoiceError::Rate { why })?;
                Ok(narrow.into_iter().map(to_i16).collect())
            }
            Speaker::OpenAi(server) => server.speak(text, lang).map_err(VoiceError::OpenAi),
            Speaker::Command(config) => {
                command::speak(config, text, lang).map_err(VoiceError::Command)
            }
        }
    }

    /// Everything besides the text that its sound depends on. Models are told by their content; what a server or a
    /// program has behind its name is theirs to rename.
    fn identity(&self) -> String {
        let content = |file: &Path| hash_file(file).unwrap_or_default();
        let program = env!("CARGO_PKG_VERSION");
        let engine = match self {
            Speaker::Espeak(config) => format!("{config:?}"),
            Speaker::Kokoro { config, .. } => {
                let files = [&config.model, &config.voice_zh, &config.voice_en];
                let files = files.into_iter().chain(&config.lexicon);
                let files: Vec<String> = files.map(|file| content(file)).collect();
                format!("kokoro {KOKORO_SPEED} {}", files.join(" "))
            }
            Speaker::OpenAi(server) => format!("{:?}", server.config()),
            Speaker::Command(config) => format!("{config:?}"),
        };
        format!("{program} {engine}")
    }
}

/// Without the silence before and after.
fn trimmed(samples: &[i16]) -> &[i16] {
    let loud = |sample: &i16| sample.unsigned_abs() > SILENCE;
    let from = samples.iter().position(loud).unwrap_or(samples.len());
    let to = samples.iter().rposition(loud).map_or(from, |last| last + 1);
    &samples[from..to]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn espeak(program: &str, millis: u64) -> Voice {
        Voice::new(VoiceConfig {
            engine: Engine::Espeak(EspeakConfig {
                program: program.to_owned(),
                timeout: Duration::from_millis(millis),
                ..EspeakConfig::default()
            }),
            rendered: None,
        })
    }

    #[test]
    fn a_missing_program_is_named_with_the_cure() {
        let voice = espeak("no-such-voice", 5_000);
        let error = voice
            .speak("王先生", Lang::Zh)
            .expect_err("no such program")
            .to_string();
        assert!(
            error.contains("no-such-voice") && error.contains("apt-get install"),
            "{error}"
        );
        assert!(!error.contains("王"), "a name is PHI");
    }

    #[test]
    fn a_program_that_gives_no_wav_or_never_ends_is_an_error() {
        assert!(matches!(
            espeak("true", 5000).speak("Mr Wang", Lang::En),
            Err(VoiceError::Espeak(ChildError::NoSound { .. }))
        ));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let endless = folder.path().join("endless");
        std::fs::write(&endless, "#!/bin/sh\nexec tail -f /dev/null\n")
            .expect("the folder is writable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&endless, mode).expect("the file is ours");
        let program = endless.display().to_string();
        assert!(matches!(
            espeak(&program, 50).speak("Mr Wang", Lang::En),
            Err(VoiceError::Espeak(ChildError::Timeout { .. }))
        ));
    }
}
