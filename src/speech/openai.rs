//! A speech server of the site, by the interface that OpenAI made common: `POST {url}/v1/audio/speech`.
//!
//! WAV is asked for, whose header holds the rate; bare PCM (`audio/pcm`) is taken as 24 kHz, 16 bits, mono, as that
//! interface has it. A server that fails (5xx, 429) or does not answer is asked three times.

use std::time::Duration;

use aftercall_core::lang::Lang;
use serde_json::json;
use ureq::Agent;

use crate::speech::audio::{AudioError, RATE_HZ, decode_bytes, to_i16};
use crate::speech::resample::resample;

const CONNECT: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// Of bare PCM.
const PCM_HZ: u32 = 24_000;
/// No text we say is longer than this as sound.
const MOST_BYTES: u64 = 32 << 20;

/// Which server, and what to ask it for.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiConfig {
    /// As `http://tts.hospital.example:8880`.
    pub url: String,
    /// The environment variable that holds the key, where one is needed.
    pub key_env: Option<String>,
    pub model: String,
    pub voice_zh: String,
    pub voice_en: String,
    /// 1 as taught.
    pub speed: f32,
    /// A text that takes longer is given up.
    pub timeout: Duration,
}

/// Why the server did not speak. Texts are PHI and never named.
#[derive(Debug, thiserror::Error)]
pub enum OpenAiError {
    #[error("the environment variable {name} (voice.key_env) is not set")]
    Key { name: String },
    #[error("{url}: no answer ({why})")]
    Unreachable { url: String, why: String },
    #[error("{url}: answered {status}")]
    Refused { url: String, status: u16 },
    #[error("{url}: {source}")]
    Sound { url: String, source: AudioError },
    #[error("{url}: its sound cannot be brought to 8 kHz ({why})")]
    Rate { url: String, why: String },
}

/// The server, its connections kept open.
#[derive(Debug)]
pub struct OpenAi {
    config: OpenAiConfig,
    agent: Agent,
}

impl OpenAi {
    pub fn new(config: OpenAiConfig) -> OpenAi {
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .build()
            .into();
        OpenAi { config, agent }
    }

    /// What it was built with.
    pub fn config(&self) -> &OpenAiConfig {
        &self.config
    }

    /// Speaks a text, 8 kHz. Blocks.
    ///
    /// # Errors
    /// See [`OpenAiError`].
    pub fn speak(&self, text: &str, lang: Lang) -> Result<Vec<i16>, OpenAiError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.ask(text, lang) {
                Err(error) if tried < TRIES && may_pass(&error) => std::thread::sleep(PAUSE),
                result => return result,
            }
        }
    }

    fn ask(&self, text: &str, lang: Lang) -> Result<Vec<i16>, OpenAiError> {
        let config = &self.config;
        let url = format!("{}/v1/audio/speech", config.url.trim_end_matches('/'));
        let voice = match lang {
            Lang::Zh => &config.voice_zh,
            Lang::En => &config.voice_en,
        };
        let body = json!({
            "model": config.model, "input": text, "voice": voice, "response_format": "wav", "speed": config.speed,
        });
        let mut request = self.agent.post(&url).content_type("application/json");
        if let Some(name) = &config.key_env {
            let key = std::env::var(name).map_err(|_| OpenAiError::Key { name: name.clone() })?;
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let unreachable = |error: ureq::Error| OpenAiError::Unreachable {
            url: url.clone(),
            why: error.to_string(),
        };
        let mut response = request.send(body.to_string()).map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            let status = status.as_u16();
            return Err(OpenAiError::Refused { url, status });
        }
        let kind = response.headers().get("content-type");
        let is_pcm = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"audio/pcm"));
        let body = response.body_mut().with_config().limit(MOST_BYTES);
        let sound = body.read_to_vec().map_err(unreachable)?;
        if is_pcm {
            return pcm(&sound).map_err(|why| OpenAiError::Rate { url, why });
        }
        decode_bytes(sound, "speech.wav").map_err(|source| OpenAiError::Sound { url, source })
    }
}

fn may_pass(error: &OpenAiError) -> bool {
    match error {
        OpenAiError::Unreachable { .. } => true,
        OpenAiError::Refused { status, .. } => *status >= 500 || *status == 429,
        OpenAiError::Key { .. } | OpenAiError::Sound { .. } | OpenAiError::Rate { .. } => false,
    }
}

fn pcm(bytes: &[u8]) -> Result<Vec<i16>, String> {
    let wide: Vec<f32> = bytes
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect();
    let narrow = resample(&wide, PCM_HZ, RATE_HZ)?;
    Ok(narrow.into_iter().map(to_i16).collect())
}
