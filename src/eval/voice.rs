//! How well the voice is understood through a telephone, by our own ear, how fast it speaks, and what its memory spares.
//!
//! An error is a syllable (toneless) or a word that the ear heard otherwise: of voice, line and ear together, so it ranks
//! voices and finds wrong readings, and is no score of a listener's.

use std::path::Path;
use std::time::Instant;

use aftercall_core::codec::G711;
use aftercall_core::heard::Choices;
use aftercall_core::lang::Lang;
use aftercall_core::pinyin;
use serde::Serialize;

use crate::speech::audio::seconds;
use crate::speech::callbacks::Stop;
use crate::speech::kokoro::KokoroConfig;
use crate::speech::voice::{Engine, Voice, VoiceConfig};
use crate::speech::whisper::{Recogniser, Wanted};

/// What came of one speaker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub texts: usize,
    /// Syllables or words heard otherwise, of so many.
    pub wrong: usize,
    pub of: usize,
    pub audio_s: f64,
    /// To render all texts, with the model loaded.
    pub render_s: f64,
    /// To have all of them again after a restart.
    pub again_s: f64,
}

/// Has a speaker say the texts, twice, and hears them through 8 kHz A-law; `rendered` is an empty folder.
///
/// # Errors
/// When the voice cannot speak or the ear cannot hear.
pub fn measure(
    config: &KokoroConfig,
    lang: Lang,
    texts: &[String],
    rendered: &Path,
    ear: &mut Recogniser,
) -> anyhow::Result<Figures> {
    let start = || {
        Voice::new(VoiceConfig {
            engine: Engine::Kokoro(config.clone()),
            rendered: Some(rendered.to_owned()),
        })
    };
    let voice = start();
    // Loads the model.
    voice.speak_prompt("好 OK", lang)?;
    let began = Instant::now();
    let said = texts.iter().map(|text| voice.speak_prompt(text, lang));
    let said = said.collect::<Result<Vec<_>, _>>()?;
    let render_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let again = start();
    for text in texts {
        again.speak_prompt(text, lang)?;
    }
    let mut figures = Figures {
        texts: texts.len(),
        audio_s: said.iter().map(|samples| seconds(samples)).sum(),
        render_s,
        again_s: began.elapsed().as_secs_f64(),
        ..Figures::default()
    };
    anyhow::ensure!(again.renders() == 0, "a restart rendered again");
    for (text, samples) in texts.iter().zip(&said) {
        let on_the_line = G711::A.decode_all(&G711::A.encode_all(samples));
        let wanted = Wanted {
            lang,
            hot_words: &[],
            choices: &Choices::None,
        };
        let heard = ear.recognise(&on_the_line, &wanted, &Stop::default())?;
        let (wrong, of) = errors(text, &heard.text, lang);
        figures.wrong += wrong;
        figures.of += of;
    }
    Ok(figures)
}

/// Syllables or words wrong, of how many.
pub fn errors(said: &str, heard: &str, lang: Lang) -> (usize, usize) {
    let (said, heard) = (said.to_lowercase(), heard.to_lowercase());
    let (said, heard) = match lang {
        Lang::Zh => (pinyin::toneless(&said), pinyin::toneless(&heard)),
        Lang::En => (words(&said), words(&heard)),
    };
    (pinyin::distance(&said, &heard), said.len())
}

fn words(text: &str) -> Vec<&str> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    parts.filter(|word| !word.is_empty()).collect()
}

/// The texts of a language in a table of spoken lines: its last column, without those that hold figures, which the ear
/// writes in its own way.
pub fn texts(table: &str, lang: Lang) -> Vec<String> {
    let lang = lang.to_string();
    let is_figure = |c: char| c.is_ascii_digit() || "零一二三四五六七八九十百两".contains(c);
    let rows = table.lines().skip(1).map(|row| row.split('\t').collect());
    let rows = rows.filter(|row: &Vec<&str>| row.get(1).is_some_and(|own| *own == lang));
    let mut texts: Vec<String> = rows
        .filter_map(|row| Some((*row.last()?).to_owned()))
        .filter(|text| !text.contains(is_figure) && text.chars().count() >= 6)
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_whole_lines_of_a_language_without_figures() {
        let table = "file\tlang\tvoice\tspeed\tnoise\ttext\n\
                     a\tzh\tv\t1.0\t\t我父亲上个星期去世了。\n\
                     b\tzh\tv\t1.0\t\t五月二十号。\n\
                     c\tzh\tv\t1.0\t\t没有。\n\
                     d\ten\tv\t1.0\t\tI feel much better.\n";
        assert_eq!(texts(table, Lang::Zh), ["我父亲上个星期去世了。"]);
        assert_eq!(texts(table, Lang::En), ["I feel much better."]);
    }

    #[test]
    fn syllables_and_words_heard_otherwise_are_counted() {
        assert_eq!(errors("嗓子干不干", "桑子干部干", Lang::Zh), (0, 5));
        assert_eq!(errors("没有出血", "没有出席", Lang::Zh), (1, 4));
        assert_eq!(errors("I'm well", "I am well.", Lang::En), (2, 2));
    }
}
