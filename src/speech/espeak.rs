//! espeak-ng as a child process, for developers: text goes in by stdin, WAV comes back by stdout; no shell, and no library
//! of it is linked (it is GPL-3). Mandarin is read to it as pinyin, for its own reading of characters is broken in Debian
//! 12 (1.51).

use std::process::{Command, Stdio};
use std::time::Duration;

use aftercall_core::lang::Lang;

use crate::speech::audio::RATE_HZ;
use crate::speech::child::{self, ChildError};
use crate::speech::reading::pinyin;
use crate::speech::resample::resample;

/// How to run it.
#[derive(Clone, Debug)]
pub struct EspeakConfig {
    /// Name or path of espeak-ng.
    pub program: String,
    /// Words a minute, espeak-ng's measure: 80–450.
    pub speed_zh: u16,
    pub speed_en: u16,
    /// A text that takes longer is given up.
    pub timeout: Duration,
}

impl Default for EspeakConfig {
    fn default() -> EspeakConfig {
        EspeakConfig {
            program: "espeak-ng".to_owned(),
            speed_zh: 150,
            speed_en: 140,
            timeout: Duration::from_secs(5),
        }
    }
}

/// Speaks a text: about 30 ms.
///
/// # Errors
/// When the program is missing, fails, takes too long or gives no WAV.
pub fn speak(config: &EspeakConfig, text: &str, lang: Lang) -> Result<Vec<f32>, ChildError> {
    let (voice, speed, text) = match lang {
        Lang::Zh => ("cmn-latn-pinyin", config.speed_zh, pinyin(text)),
        Lang::En => ("en", config.speed_en, text.to_owned()),
    };
    let mut command = Command::new(&config.program);
    command
        .args(["-v", voice, "-s", &speed.to_string(), "--stdin", "--stdout"])
        .stdout(Stdio::piped());
    let wav = child::run(command, text, config.timeout)?;
    let no_sound = |words: &str| ChildError::NoSound {
        program: config.program.clone(),
        words: words.to_owned(),
    };
    let (rate_hz, samples) = read_wav(&wav).ok_or_else(|| no_sound("its output is not WAV"))?;
    resample(&samples, rate_hz, RATE_HZ).map_err(|why| no_sound(&why))
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
