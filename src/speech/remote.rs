//! An ear on another machine: whatever answers OpenAI's `/v1/audio/transcriptions`, so that a hospital's graphics
//! card serves many engines.
//!
//! It is asked first, and for half of the time there is; when it fails, our own ear hears the same sound, and the
//! other is left alone for a while. It knows no hot words and chooses between no answers: what it is unsure of is
//! asked again, as everywhere.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aftercall_core::heard::{Heard, Transcript};
use aftercall_core::lang::Lang;
use serde::Deserialize;
use tracing::warn;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::unversioned::multipart::{Form, Part};

use crate::speech::reject::{Measured, is_not_speech};
use crate::speech::resample::to_16_khz;

/// How long a remote ear that failed is not asked.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// A machine in the same house answers the telephone at once, or not at all.
const CONNECT: Duration = Duration::from_millis(500);

/// Where the other ear is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteConfig {
    /// Up to and without `/audio/transcriptions`: `https://gpu.hospital.example/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The bearer token; `None` where none is wanted.
    pub key: Option<String>,
}

/// Why another ear gave no words. Speech is PHI: nothing of it is named.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("the remote ear cannot be asked: {0}")]
    Unreachable(#[from] ureq::Error),
    #[error("the remote ear answered {0}")]
    Refused(StatusCode),
    #[error(
        "the remote ear answered something else than words with segments: it must know `response_format=verbose_json`"
    )]
    Unmeasured,
}

/// Asks one remote ear, from any thread.
pub struct Remote {
    config: RemoteConfig,
    agent: Agent,
    /// Not asked before.
    rests_until: Mutex<Option<Instant>>,
}

/// The part of `verbose_json` that we read.
#[derive(Deserialize)]
struct Answer {
    text: String,
    #[serde(default)]
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    #[serde(default)]
    avg_logprob: f32,
    #[serde(default)]
    no_speech_prob: f32,
}

impl Remote {
    pub fn new(config: RemoteConfig) -> Remote {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .build();
        Remote {
            config,
            agent: agent.into(),
            rests_until: Mutex::new(None),
        }
    }

    /// What the other ear hears in mono 8 kHz samples; `None` when our own has to.
    pub fn hear(&self, samples: &[i16], lang: Lang, patience: Duration) -> Option<Heard> {
        let now = Instant::now();
        if self.rests_until().is_some_and(|until| now < until) {
            return None;
        }
        match self.ask(samples, lang, patience / 2) {
            Ok(answer) => Some(heard(answer, lang, now.elapsed())),
            Err(error) => {
                warn!(%error, "our own ear hears instead");
                *self.rest() = Some(Instant::now() + LEFT_ALONE);
                None
            }
        }
    }

    fn ask(&self, samples: &[i16], lang: Lang, patience: Duration) -> Result<Answer, RemoteError> {
        let file = wav(samples);
        let language = lang.to_string();
        let file = Part::bytes(&file)
            .file_name("reply.wav")
            .mime_str("audio/wav")?;
        let form = Form::new()
            .part("file", file)
            .text("model", &self.config.model)
            .text("language", &language)
            .text("temperature", "0")
            .text("response_format", "verbose_json");
        let url = format!(
            "{}/audio/transcriptions",
            self.config.url.trim_end_matches('/')
        );
        let request = self.agent.post(url).config();
        let mut request = request.timeout_global(Some(patience)).build();
        if let Some(key) = &self.config.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut answer = request.send(form)?;
        if !answer.status().is_success() {
            return Err(RemoteError::Refused(answer.status()));
        }
        let answer = answer.body_mut().read_to_vec()?;
        // What serde says of a wrong answer may quote it.
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|_| RemoteError::Unmeasured)?;
        if answer.segments.is_empty() && !answer.text.trim().is_empty() {
            return Err(RemoteError::Unmeasured);
        }
        Ok(answer)
    }

    fn rests_until(&self) -> Option<Instant> {
        *self.rest()
    }

    /// Whole after every lock.
    fn rest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn heard(answer: Answer, lang: Lang, took: Duration) -> Heard {
    let count = answer.segments.len().max(1) as f32;
    let logprob = answer.segments.iter().map(|s| s.avg_logprob).sum::<f32>() / count;
    let no_speech = answer.segments.iter().map(|s| s.no_speech_prob);
    let no_speech = no_speech.fold(0.0, f32::max);
    let text = match lang {
        Lang::Zh => fast2s::convert(answer.text.trim()),
        Lang::En => answer.text.trim().to_owned(),
    };
    let measured = Measured {
        text: &text,
        no_speech,
        // The least token is not told: the mean is never below it.
        least_token: logprob.exp(),
    };
    if is_not_speech(&measured) {
        return Heard::NoSpeech;
    }
    Heard::Words(Transcript {
        text,
        logprob,
        no_speech,
        took_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
        ..Transcript::default()
    })
}

/// PCM of 16 bits at 16 kHz (RIFF WAVE).
fn wav(samples: &[i16]) -> Vec<u8> {
    const RATE_HZ: u32 = 16_000;
    let wide = to_16_khz(samples);
    let length = u32::try_from(wide.len() * 2).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(44 + wide.len() * 2);
    file.extend(b"RIFF");
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    for field in [1_u16, 1] {
        file.extend(field.to_le_bytes());
    }
    file.extend(RATE_HZ.to_le_bytes());
    file.extend((RATE_HZ * 2).to_le_bytes());
    for field in [2_u16, 16] {
        file.extend(field.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    for sample in wide {
        let sample = (sample * 32_767.0).clamp(-32_768.0, 32_767.0) as i16;
        file.extend(sample.to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_ear_says_is_judged_like_our_own() {
        let answer = |text: &str, no_speech_prob| Answer {
            text: text.to_owned(),
            segments: vec![Segment {
                avg_logprob: -0.2,
                no_speech_prob,
            }],
        };
        let words = heard(answer(" 沒有 ", 0.1), Lang::Zh, Duration::ZERO);
        let Heard::Words(words) = words else {
            panic!("two characters are words");
        };
        assert_eq!((words.text.as_str(), words.logprob), ("没有", -0.2));
        for nothing in ["字幕由志愿者提供", "[Music]", ""] {
            let heard = heard(answer(nothing, 0.1), Lang::Zh, Duration::ZERO);
            assert_eq!(heard, Heard::NoSpeech, "{nothing}");
        }
    }
}
