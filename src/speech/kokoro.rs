//! The embedded voice: Kokoro-82M through `rten`, Mandarin and English from one model.
//!
//! Text becomes pieces (`reading`), pieces become symbols (`syllable`; English by `misaki-rs`), symbols become sound at
//! 24 kHz. One thread a text: two share a busy machine badly. The weights are fetched, not shipped (`models/`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftercall_core::lang::Lang;
use misaki_rs::{G2P, Language};
use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
use rten_tensor::AsView;

use crate::speech::reading::{LexiconError, Piece, Reader};
use crate::speech::syllable;

/// Of what the model gives.
pub const RATE_HZ: u32 = 24_000;
/// Values of a style, one row for each length of text; the longest text the model takes.
const STYLE: usize = 256;
const LONGEST: usize = 510;
/// What stands for a word that no reading was found for.
const UNREAD: char = '❓';

/// Kokoro's symbols by their numbers: each run begins with the number given.
const SYMBOLS: [(u16, &str); 30] = [
    (1, ";:,.!?"),
    (9, "—…\"()“” \u{303}ʣʥʦʨᵝꭧAI"),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
];

/// Which model and speakers, and what the site knows better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KokoroConfig {
    pub model: PathBuf,
    pub voice_zh: PathBuf,
    pub voice_en: PathBuf,
    pub lexicon: Option<PathBuf>,
}

/// Why the voice cannot speak. Texts are PHI and never named.
#[derive(Debug, thiserror::Error)]
pub enum KokoroError {
    #[error("{path}: not there; fetch it: aftercall models fetch NAME (aftercall models list)")]
    Missing { path: PathBuf },
    #[error("{path}: not the graph of Kokoro that `aftercall models fetch` makes ({words})")]
    Model { path: PathBuf, words: String },
    #[error("{path}: not a voice of Kokoro: it holds {values} values, no multiple of 256")]
    Voice { path: PathBuf, values: usize },
    #[error(transparent)]
    Lexicon(#[from] LexiconError),
    #[error("nothing to say in the text")]
    Empty,
    #[error("the model failed: {words}")]
    Run { words: String },
}

/// The model, its speakers and its readers.
pub struct Kokoro {
    model: Model,
    inputs: [NodeId; 3],
    output: NodeId,
    pool: Arc<ThreadPool>,
    reader: Reader,
    english: G2P,
    style_zh: Vec<f32>,
    style_en: Vec<f32>,
}

impl Kokoro {
    /// Loads everything: about 0.1 s, and 400 MB while it speaks.
    ///
    /// # Errors
    /// When a file is missing or not what it should be.
    pub fn load(config: &KokoroConfig) -> Result<Kokoro, KokoroError> {
        let path = || config.model.clone();
        if !config.model.is_file() {
            return Err(KokoroError::Missing { path: path() });
        }
        let broken = |words: String| KokoroError::Model {
            path: path(),
            words,
        };
        let model = Model::load_file(&config.model).map_err(|error| broken(error.to_string()))?;
        let node = |name: &str| {
            model
                .node_id(name)
                .map_err(|error| broken(error.to_string()))
        };
        Ok(Kokoro {
            inputs: [node("tokens")?, node("style")?, node("speed")?],
            output: node("audio")?,
            pool: Arc::new(ThreadPool::with_num_threads(1)),
            reader: match &config.lexicon {
                Some(lexicon) => Reader::with_lexicon(lexicon)?,
                None => Reader::default(),
            },
            english: G2P::new(Language::EnglishUS),
            style_zh: style(&config.voice_zh)?,
            style_en: style(&config.voice_en)?,
            model,
        })
    }

    /// The text as symbols, sentence by sentence, each short enough for the model.
    pub fn symbols(&self, text: &str, lang: Lang) -> Vec<String> {
        let said = match lang {
            Lang::Zh => mandarin(&self.reader.read(text), &self.english),
            Lang::En => english(&self.english, text),
        };
        sentences(&said)
    }

    /// Speaks a text at a speed (1 as taught), 24 kHz.
    ///
    /// # Errors
    /// When there is nothing to say, or the model fails.
    pub fn speak(&self, text: &str, lang: Lang, speed: f32) -> Result<Vec<f32>, KokoroError> {
        let mut sound = Vec::new();
        for sentence in self.symbols(text, lang) {
            sound.extend(self.sentence(&sentence, lang, speed)?);
        }
        if sound.is_empty() {
            return Err(KokoroError::Empty);
        }
        Ok(sound)
    }

    fn sentence(&self, symbols: &str, lang: Lang, speed: f32) -> Result<Vec<f32>, KokoroError> {
        let failed = |words: String| KokoroError::Run { words };
        let ids: Vec<i32> = symbols.chars().filter_map(number).collect();
        let length = ids.len().min(LONGEST);
        if length == 0 {
            return Ok(Vec::new());
        }
        let styles = match lang {
            Lang::Zh => &self.style_zh,
            Lang::En => &self.style_en,
        };
        let rows = styles.len() / STYLE;
        let row = (length - 1).min(rows - 1) * STYLE;
        let tokens: Vec<i32> = [&[0], &ids[..length], &[0]].concat();
        let value = |shape: &[usize], data: Vec<f32>| {
            Value::from_shape(shape, data).map_err(|error| failed(error.to_string()))
        };
        let tokens = Value::from_shape(&[1, length + 2], tokens)
            .map_err(|error| failed(error.to_string()))?;
        let style = value(&[1, STYLE], styles[row..row + STYLE].to_vec())?;
        let speed = value(&[1], vec![speed])?;
        let [for_tokens, for_style, for_speed] = self.inputs;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let made = self
            .model
            .run(
                vec![
                    (for_tokens, tokens.into()),
                    (for_style, style.into()),
                    (for_speed, speed.into()),
                ],
                &[self.output],
                Some(options),
            )
            .map_err(|error| failed(error.to_string()))?;
        let sound = made.into_iter().next().and_then(Value::into_tensor::<f32>);
        let sound = sound.ok_or_else(|| failed("it gave no sound".to_owned()))?;
        let sound: Vec<f32> = sound.iter().copied().collect();
        // A number that is none would be a click as loud as can be.
        match sound.iter().all(|sample| sample.is_finite()) {
            true => Ok(sound),
            false => Err(failed("it gave numbers that are none".to_owned())),
        }
    }
}

fn style(path: &Path) -> Result<Vec<f32>, KokoroError> {
    let missing = |_| KokoroError::Missing {
        path: path.to_owned(),
    };
    let bytes = std::fs::read(path).map_err(missing)?;
    let values: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect();
    if values.is_empty() || !bytes.len().is_multiple_of(4 * STYLE) {
        return Err(KokoroError::Voice {
            path: path.to_owned(),
            values: bytes.len() / 4,
        });
    }
    Ok(values)
}

/// Mandarin pieces as symbols: a space between words, letters in English.
pub fn mandarin(pieces: &[Piece], letters: &G2P) -> String {
    let mut said = String::new();
    for piece in pieces {
        match piece {
            Piece::Word { syllables, .. } => {
                space(&mut said);
                said.extend(syllables.iter().filter_map(|s| syllable::symbols(s)));
            }
            Piece::Latin(word) => {
                space(&mut said);
                said.push_str(&english(letters, &spelt(word)));
            }
            Piece::Pause(mark) => said.push(*mark),
        }
    }
    said
}

fn space(said: &mut String) {
    if !said.is_empty() {
        said.push(' ');
    }
}

/// Letters in capitals are named one by one: CT, B.
fn spelt(word: &str) -> String {
    if word.chars().any(|c| c.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let letters: Vec<String> = word.chars().map(String::from).collect();
    letters.join(" ")
}

fn english(reader: &G2P, text: &str) -> String {
    match reader.g2p(text) {
        Ok((symbols, _)) => symbols.trim().replace(UNREAD, ""),
        Err(_) => String::new(),
    }
}

/// Cut after full stops, and where that is too long for the model, after commas and spaces.
fn sentences(said: &str) -> Vec<String> {
    let mut cut = Vec::new();
    let mut sentence = String::new();
    for symbol in said.chars() {
        sentence.push(symbol);
        let length = sentence.chars().count();
        let ends = matches!(symbol, '.' | '?' | '!')
            || (symbol == ',' && length > LONGEST / 2)
            || (symbol == ' ' && length > LONGEST * 3 / 4);
        if ends {
            cut.push(std::mem::take(&mut sentence).trim().to_owned());
        }
    }
    cut.push(sentence.trim().to_owned());
    cut.retain(|part| part.chars().any(char::is_alphabetic));
    cut
}

fn number(symbol: char) -> Option<i32> {
    SYMBOLS.iter().find_map(|(first, run)| {
        let at = run.chars().position(|own| own == symbol)?;
        Some(i32::from(*first) + i32::try_from(at).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let english = G2P::new(Language::EnglishUS);
        mandarin(&Reader::default().read(text), &english)
    }

    #[test]
    fn symbols_have_the_numbers_that_the_model_was_taught() {
        let taught = [
            (';', 1),
            ('.', 4),
            (' ', 16),
            ('ꭧ', 23),
            ('a', 43),
            ('ʰ', 162),
            ('↘', 173),
        ];
        for (symbol, wanted) in taught {
            assert_eq!(number(symbol), Some(wanted), "{symbol}");
        }
        assert_eq!(number('好'), None);
    }

    #[test]
    fn mandarin_becomes_words_tones_and_pauses() {
        assert_eq!(
            said("单先生，您好。"),
            "ʂa↘n ɕjɛ→nʂə→ŋ, ni↗nxau↓.".replace("ʂə→ŋ", "ʂəŋ")
        );
        let letters = said("做CT");
        assert!(
            letters.starts_with("ʦwo↘ ") && letters.chars().count() > 6,
            "{letters}"
        );
    }

    #[test]
    fn every_symbol_of_the_hard_phrases_is_known_to_the_model() {
        for row in include_str!("../../fixtures/speech/hard_phrases.tsv").lines() {
            let text = row.split('\t').next().unwrap_or_default();
            let unknown: String = said(text)
                .chars()
                .filter(|c| number(*c).is_none())
                .collect();
            assert_eq!(unknown, "", "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_where_one_breathes() {
        let long = format!("{}。", "出院以后有没有胸口疼，".repeat(40));
        let parts = sentences(&said(&long));
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.chars().count() <= LONGEST));
    }

    #[test]
    fn a_missing_model_is_named_with_the_cure() {
        let config = KokoroConfig {
            model: "no-such-model.onnx".into(),
            voice_zh: "zh.bin".into(),
            voice_en: "en.bin".into(),
            lexicon: None,
        };
        let Err(error) = Kokoro::load(&config) else {
            panic!("there is no such model")
        };
        assert!(
            error.to_string().contains("aftercall models fetch"),
            "{error}"
        );
    }
}
