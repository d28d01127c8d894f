//! Recordings of real people, heard as an answer to nothing: how many syllables or words come out wrong over a line.

use std::collections::BTreeMap;
use std::path::Path;

use aftercall_core::heard::Choices;
use aftercall_core::lang::Lang;
use anyhow::{Context, bail};
use serde::Serialize;

use super::hearing::OPEN;
use super::line::{Beds, Condition, carried, utterances};
use super::set::table;
use super::voice::errors;
use crate::speech::audio::decode_file;
use crate::speech::callbacks::Stop;
use crate::speech::whisper::{Recogniser, Wanted};

/// One recording; a line of `clips.tsv`, with the audio beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    pub id: String,
    pub lang: Lang,
    /// What kind it is, such as `zh_word`.
    pub set: String,
    pub text: String,
}

/// What came of a kind over a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub clips: usize,
    /// No syllable or word wrong.
    pub right: usize,
    /// Taken for no speech.
    pub nothing: usize,
    /// Syllables (toneless) or words heard otherwise, of so many.
    pub wrong: usize,
    pub of: usize,
}

/// Reads the table beside the recordings.
///
/// # Errors
/// No table, or a line without its columns.
pub fn clips(folder: &Path) -> anyhow::Result<Vec<Clip>> {
    let (path, text) = table(folder, "clips")?;
    let rows = text.lines().enumerate().skip(1);
    let clips = rows.map(|(nth, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, lang, set, _seconds, text, _source] = columns[..] else {
            bail!("{}:{}: six columns are wanted", path.display(), nth + 1);
        };
        Ok(Clip {
            id: id.to_owned(),
            lang: Lang::parse(lang).context("zh or en is wanted")?,
            set: set.to_owned(),
            text: text.to_owned(),
        })
    });
    clips.collect()
}

/// Hears every recording over a line that adds no sound of its own.
///
/// # Errors
/// A recording that cannot be read, a recogniser that fails.
pub fn measure(
    recogniser: &mut Recogniser,
    (folder, clips): (&Path, &[Clip]),
    condition: Condition,
) -> anyhow::Result<BTreeMap<String, Figures>> {
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for clip in clips {
        let path = folder.join(format!("{}.flac", clip.id));
        let samples =
            decode_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let wanted = Wanted {
            lang: clip.lang,
            hot_words: &[],
            choices: &Choices::None,
        };
        let mut heard = String::new();
        let frames = carried(&samples, condition, &Beds::default(), &clip.id);
        for utterance in utterances(&frames, OPEN) {
            let part = recogniser.recognise(&utterance.samples, &wanted, &Stop::default())?;
            if part.is_speech {
                heard.push_str(&part.text);
                heard.push(' ');
            }
        }
        let (wrong, of) = errors(&clip.text, &spelt(&heard, clip.lang), clip.lang);
        let figures = all.entry(clip.set.clone()).or_default();
        figures.clips += 1;
        figures.right += usize::from(wrong == 0);
        figures.nothing += usize::from(heard.is_empty());
        figures.wrong += wrong;
        figures.of += of;
    }
    Ok(all)
}

/// Figures as words: the recordings' texts have none, and the ear writes them.
fn spelt(heard: &str, lang: Lang) -> String {
    let words = match lang {
        Lang::Zh => ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"],
        Lang::En => [
            " zero ", " one ", " two ", " three ", " four ", " five ", " six ", " seven ",
            " eight ", " nine ",
        ],
    };
    let mut spelt = heard.replace("10", if lang == Lang::Zh { "十" } else { " ten " });
    for (digit, word) in ('0'..='9').zip(words) {
        spelt = spelt.replace(digit, word);
    }
    spelt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_words() {
        assert_eq!(errors("七", &spelt("7。", Lang::Zh), Lang::Zh), (0, 1));
        assert_eq!(errors("seven", &spelt("7.", Lang::En), Lang::En), (0, 1));
        assert_eq!(errors("十", &spelt("10", Lang::Zh), Lang::Zh), (0, 1));
    }
}
