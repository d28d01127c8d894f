//! The same replies through a telephone: spoken, coded, carried, heard by whisper, and judged again.
//!
//! What is lost against the text is hearing's fault where the text was judged right, and the judgement's where it was
//! not. A reply of which nothing was heard is asked again in a call, and counted apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aftercall_core::ear::ListenSpec;
use aftercall_core::heard::{Choices, Transcript};
use aftercall_core::redflag::{Lexicon, Reply, assess};
use aftercall_core::script::hot;
use anyhow::{Context, bail};
use serde::Serialize;

use super::line::{Beds, Condition, carried, utterances};
use super::score::{Item, Share};
use crate::speech::audio::decode_file;
use crate::speech::callbacks::Stop;
use crate::speech::whisper::{Recogniser, Wanted};

/// How a question waits for an open answer: long enough for every row.
const LISTEN: ListenSpec = ListenSpec {
    end_silence_ms: 900,
    no_input_ms: 5_000,
    max_ms: 45_000,
};

/// How one row was spoken; a line of `spoken.tsv` (`make_speech.py rows`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    pub id: String,
    /// `clear`, `noise` or `loss`.
    pub condition: String,
}

/// Text and sound of one group of rows, judged alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    pub rows: usize,
    /// Labelled alerts that were raised, from the text and from the sound.
    pub sensitivity_text: Counted,
    pub sensitivity_heard: Counted,
    pub specificity_text: Counted,
    pub specificity_heard: Counted,
    /// Alerts lost though the text is judged right: other words were heard.
    pub lost_by_hearing: usize,
    /// Alerts lost because nothing was heard: the call asks again.
    pub not_heard: usize,
    /// Alerts lost on the text already.
    pub lost_by_judging: usize,
}

/// Hits of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub hits: usize,
    pub of: usize,
}

impl Counted {
    fn add(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.of += 1;
    }

    pub fn share(self) -> Share {
        Share::new(self.hits, self.of)
    }
}

/// One row, heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard {
    pub id: String,
    pub condition: String,
    pub said: String,
    /// `None` where no speech was found.
    pub heard: Option<String>,
    pub labelled: bool,
    pub from_text: bool,
    pub from_sound: bool,
}

/// Reads the table beside the clips.
///
/// # Errors
/// No table, or a line without its columns.
pub fn clips(folder: &Path) -> anyhow::Result<Vec<Clip>> {
    let path = folder.join("spoken.tsv");
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}; make the clips first: python fixtures/speech/make_speech.py rows --out {}",
            path.display(),
            folder.display()
        )
    })?;
    let rows = text.lines().enumerate().skip(1);
    let clips = rows.map(|(nth, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, _lang, _voice, _speed, condition] = columns[..] else {
            bail!("{}:{}: five columns are wanted", path.display(), nth + 1);
        };
        Ok(Clip {
            id: id.to_owned(),
            condition: condition.to_owned(),
        })
    });
    clips.collect()
}

/// Hears one clip as a call would and judges it beside its text.
///
/// # Errors
/// A clip that cannot be read; a recogniser that fails.
pub fn hear(
    recogniser: &mut Recogniser,
    lexicon: &Lexicon,
    folder: &Path,
    clip: &Clip,
    item: &Item,
) -> anyhow::Result<Heard> {
    let path = folder.join(format!("{}.flac", clip.id));
    let samples = decode_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The noise of a clip is in it already.
    let condition = match clip.condition.as_str() {
        "loss" => Condition::Loss3,
        _ => Condition::Alaw,
    };
    let question = &item.question;
    let hot_words = hot::for_question(question);
    let mut words: Vec<Transcript> = Vec::new();
    let frames = carried(&samples, condition, &Beds::default(), &clip.id);
    for utterance in utterances(&frames, LISTEN) {
        let wanted = Wanted {
            lang: question.lang,
            hot_words: &hot_words,
            choices: &Choices::None,
        };
        let heard = recogniser.recognise(&utterance.samples, &wanted, &Stop::default())?;
        if heard.is_speech {
            words.push(Transcript {
                text: heard.text,
                logprob: heard.logprob,
                ..Transcript::default()
            });
        }
    }
    let heard = (!words.is_empty()).then(|| {
        let texts: Vec<&str> = words.iter().map(|part| part.text.as_str()).collect();
        texts.join(" ")
    });
    let least = words.iter().map(|part| part.logprob).reduce(f32::min);
    let judged = |text: &str, logprob| assess(lexicon, question, &Reply { text, logprob }).alert;
    Ok(Heard {
        id: clip.id.clone(),
        condition: clip.condition.clone(),
        said: item.reply.clone(),
        from_text: judged(&item.reply, None),
        from_sound: heard.as_ref().is_some_and(|text| judged(text, least)),
        heard,
        labelled: item.alert,
    })
}

/// Groups by condition, and all together.
pub fn compare(rows: &[Heard]) -> BTreeMap<String, Compared> {
    let mut groups: BTreeMap<String, Compared> = BTreeMap::new();
    for row in rows {
        for name in [row.condition.as_str(), "all"] {
            groups.entry(name.to_owned()).or_default().add(row);
        }
    }
    groups
}

impl Compared {
    fn add(&mut self, row: &Heard) {
        self.rows += 1;
        if !row.labelled {
            self.specificity_text.add(!row.from_text);
            self.specificity_heard.add(!row.from_sound);
            return;
        }
        self.sensitivity_text.add(row.from_text);
        self.sensitivity_heard.add(row.from_sound);
        match (row.from_sound, row.from_text, &row.heard) {
            (true, ..) => {}
            (false, false, _) => self.lost_by_judging += 1,
            (false, true, None) => self.not_heard += 1,
            (false, true, Some(_)) => self.lost_by_hearing += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(condition: &str, labelled: bool, from_text: bool, from_sound: bool) -> Heard {
        Heard {
            id: String::new(),
            condition: condition.to_owned(),
            said: String::new(),
            heard: Some(String::new()),
            labelled,
            from_text,
            from_sound,
        }
    }

    #[test]
    fn a_loss_is_put_down_to_hearing_or_to_judging() {
        let unheard = Heard {
            heard: None,
            ..row("loss", true, true, false)
        };
        let rows = [
            row("clear", true, true, true),
            row("clear", true, true, false),
            row("clear", true, false, false),
            row("clear", false, false, true),
            unheard,
        ];
        let groups = compare(&rows);
        let all = &groups["all"];
        assert_eq!(all.rows, 5);
        assert_eq!(all.sensitivity_heard, Counted { hits: 1, of: 4 });
        assert_eq!(all.sensitivity_text, Counted { hits: 3, of: 4 });
        assert_eq!(all.specificity_heard, Counted { hits: 0, of: 1 });
        assert_eq!(
            (all.lost_by_hearing, all.not_heard, all.lost_by_judging),
            (1, 1, 1)
        );
        assert_eq!(groups["loss"].not_heard, 1);
    }
}
