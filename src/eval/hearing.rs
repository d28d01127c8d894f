//! How well short and whole replies are heard: a spoken set through every line, read as a call reads it.
//!
//! Nothing is asked twice here. A reply is understood when the first decode means what was said; what a call would
//! ask about once more (`doubtful`, `unclear`, nothing heard) counts as not understood.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aftercall_core::call::hearing::{judge, words};
use aftercall_core::call::{Findings, Spot};
use aftercall_core::ear::ListenSpec;
use aftercall_core::finding::{Confirmation, Finding};
use aftercall_core::heard::{Choices, Chosen, Transcript};
use aftercall_core::id::{ConceptId, NodeId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::{Assessment, Lexicon, Reply, assess};
use aftercall_core::script::{Act, Conversation, Facts, Input, Listen, Note, Script, hot};
use anyhow::{Context, bail, ensure};
use jiff::civil::date;
use serde::{Deserialize, Serialize};

use super::line::{Beds, Condition, carried, utterances};
use super::score;
use super::set::table;
use crate::speech::audio::decode_file;
use crate::speech::callbacks::Stop;
use crate::speech::whisper::{Habits, Recogniser, Wanted};

/// How a question waits for an open answer: long enough for every reply of the set.
pub(super) const OPEN: ListenSpec = ListenSpec {
    end_silence_ms: 900,
    no_input_ms: 5_000,
    max_ms: 45_000,
};

/// The prompt whose end comes back from a hands-free telephone.
pub const ECHOED: &str = "common/prompts/zh/screen_chest.flac";

/// What is left out of the ear, to see what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// Nothing: as calls hear.
    Full,
    NoHotWords,
    NoChoices,
    /// Unsure words stand as they were first heard.
    NoRelistening,
    /// Whisper's whole window of 30 s instead of one cut to the utterance.
    WholeContext,
    /// Without the quiet before and after.
    NoPadding,
    /// As the second ear hears after a call: five hypotheses, and nothing expected.
    Beam,
}

impl Variant {
    pub const ALL: [Variant; 7] = [
        Variant::Full,
        Variant::NoHotWords,
        Variant::NoChoices,
        Variant::NoRelistening,
        Variant::WholeContext,
        Variant::NoPadding,
        Variant::Beam,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Variant::Full => "full",
            Variant::NoHotWords => "no-hot-words",
            Variant::NoChoices => "no-choices",
            Variant::NoRelistening => "no-relistening",
            Variant::WholeContext => "whole-context",
            Variant::NoPadding => "no-padding",
            Variant::Beam => "beam",
        }
    }

    pub fn parse(name: &str) -> Option<Variant> {
        Variant::ALL.into_iter().find(|one| one.name() == name)
    }

    pub fn habits(self) -> Habits {
        Habits {
            relistens: self != Variant::NoRelistening,
            cuts_context: self != Variant::WholeContext,
            pads: self != Variant::NoPadding,
            beam: if self == Variant::Beam { 5 } else { 1 },
        }
    }
}

/// One clip of the set; a line of `hearing.tsv` (`make_speech.py hearing`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    /// `frozen` or `tuning`.
    pub half: String,
    pub lang: Lang,
    /// `yes_no`, `choice`, `number` or `row`.
    pub group: String,
    /// The script's node, or the labelled row.
    pub node: String,
    /// What the transcript notes of it; for a row whether it alerts.
    pub means: String,
    pub text: String,
}

/// One reply, heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub condition: String,
    pub variant: String,
    /// `None` where no speech was found.
    pub heard: Option<String>,
    pub logprob: Option<f32>,
    /// The other hearings, and the choice by its sound.
    #[serde(default)]
    pub otherwise: Vec<String>,
    #[serde(default)]
    pub choice: Option<Chosen>,
    /// What the written words mean to the question, and what the heard ones do.
    pub from_text: String,
    pub from_sound: String,
    /// Processor time of the recogniser, in milliseconds.
    pub cpu_ms: f64,
}

/// Reads the table beside the clips.
///
/// # Errors
/// No table, or a line without its columns.
pub fn items(folder: &Path) -> anyhow::Result<Vec<Item>> {
    let (path, text) = table(folder, "hearing")?;
    let rows = text.lines().enumerate().skip(1);
    let items = rows.map(|(nth, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, half, lang, group, _voice, _speed, node, means, text] = columns[..] else {
            bail!("{}:{}: nine columns are wanted", path.display(), nth + 1);
        };
        Ok(Item {
            id: id.to_owned(),
            half: half.to_owned(),
            lang: Lang::parse(lang).context("zh or en is wanted")?,
            group: group.to_owned(),
            node: node.to_owned(),
            means: means.to_owned(),
            text: text.to_owned(),
        })
    });
    items.collect()
}

/// What a reply is held against.
pub struct Asking<'a> {
    pub lexicon: &'a Lexicon,
    /// One a language.
    pub scripts: &'a [Script],
    /// Labelled rows by their id.
    pub rows: &'a BTreeMap<String, score::Item>,
}

/// A question that waits for its reply.
enum Asked {
    /// A node of a script.
    Node(Box<(Conversation, Listen)>),
    /// A labelled row's own question.
    Row(Question),
}

impl Asking<'_> {
    fn ask(&self, item: &Item) -> anyhow::Result<Asked> {
        if item.group == "row" {
            let row = self.rows.get(&item.node);
            let row = row.with_context(|| format!("{}: no such row in the sets", item.node))?;
            return Ok(Asked::Row(row.question.clone()));
        }
        let script = self.scripts.iter().find(|s| s.lang == item.lang);
        let script = script.with_context(|| format!("no script in {}", item.lang))?;
        let start = script.find(&item.node);
        let start = start.with_context(|| format!("{}: no such node", item.node))?;
        let script = beginning_at(script, start);
        let day = script.days.first().copied().unwrap_or(3);
        let mut conversation = Conversation::new(Arc::new(script), facts(item.lang, day));
        let listen = conversation.start().into_iter().find_map(|act| match act {
            Act::Listen(listen) => Some(listen),
            Act::Say(_) | Act::Note(_) | Act::HangUp => None,
        });
        let listen = listen.with_context(|| format!("{}: the node asks nothing", item.node))?;
        Ok(Asked::Node(Box::new((conversation, listen))))
    }

    /// What the words mean to the question: a node's answer, or `alert`, `asked` (a confirming question first) and
    /// `quiet` for a row.
    fn meaning(&self, asked: Asked, transcript: &Transcript) -> String {
        match asked {
            Asked::Row(question) => of_row(&self.judged(&question, transcript)).to_owned(),
            Asked::Node(node) => {
                let (mut conversation, _) = *node;
                let verdict = conversation.question().map(|question| {
                    let judged = judge(self.lexicon, &conversation, &question, transcript);
                    Findings::default().place(&question.asks, judged.findings, &spot(), None)
                });
                let verdict = verdict.unwrap_or_default();
                let (text, logprob) = words(&conversation, transcript, &verdict);
                let said = Input::Said {
                    text,
                    logprob,
                    verdict: verdict.clone(),
                };
                let closed = conversation
                    .handle(said)
                    .into_iter()
                    .find_map(|act| match act {
                        Act::Note(Note::TurnClosed { meaning }) => Some(meaning),
                        Act::Note(_) | Act::Say(_) | Act::Listen(_) | Act::HangUp => None,
                    });
                closed.unwrap_or_default()
            }
        }
    }

    fn judged(&self, question: &Question, transcript: &Transcript) -> Assessment {
        let reply = Reply {
            text: &transcript.text,
            logprob: Some(transcript.logprob),
        };
        let mut found = assess(self.lexicon, question, &reply);
        for otherwise in &transcript.alternates {
            if !found.has_emergent() {
                found.doubt_by(self.lexicon, question, otherwise);
            }
        }
        found
    }
}

fn of_row(judged: &Assessment) -> &'static str {
    let alerting = || judged.findings.iter().filter(|f| f.alerts());
    let is_asked = |f: &&Finding| f.confirmation == Confirmation::Due;
    match (alerting().next(), alerting().all(|f| is_asked(&f))) {
        (None, _) => "quiet",
        (Some(_), true) => "asked",
        (Some(_), false) => "alert",
    }
}

/// Hears one clip over one line, and reads it beside its text.
///
/// # Errors
/// A clip that cannot be read, an item that names no question, a recogniser that fails.
pub fn hear(
    recogniser: &mut Recogniser,
    asking: &Asking<'_>,
    beds: &Beds,
    folder: &Path,
    item: &Item,
    (condition, variant): (Condition, Variant),
) -> anyhow::Result<Row> {
    let path = folder.join(format!("{}.flac", item.id));
    let samples = decode_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(!samples.is_empty(), "{}: no sound", path.display());
    let asked = asking.ask(item)?;
    let (listen, hot_words, choices) = match &asked {
        Asked::Node(node) => {
            let listen = &node.1;
            let spec = ListenSpec {
                end_silence_ms: listen.end_silence_ms,
                no_input_ms: listen.no_input_ms,
                max_ms: listen.max_ms,
            };
            (spec, listen.hot_words.clone(), listen.choices.clone())
        }
        Asked::Row(question) => (OPEN, hot::for_question(question), Choices::None),
    };
    let wanted = Wanted {
        lang: item.lang,
        hot_words: match variant {
            Variant::NoHotWords | Variant::Beam => &[],
            _ => &hot_words,
        },
        choices: match variant {
            Variant::NoChoices | Variant::Beam => &Choices::None,
            _ => &choices,
        },
    };
    let heard = utterances(&carried(&samples, condition, beds, &item.id), listen);
    let mut parts: Vec<Transcript> = Vec::new();
    let began = cpu_ms();
    for utterance in heard {
        let part = recogniser.recognise(&utterance.samples, &wanted, &Stop::default())?;
        // A short answer is the first thing that is heard: a call waits for another only where it was the room.
        let is_last = matches!(asked, Asked::Node(_)) && (part.is_speech || !utterance.in_noise);
        if part.is_speech {
            parts.push(part.into());
        }
        if is_last {
            break;
        }
    }
    let cpu_ms = cpu_ms() - began;
    let written = Transcript {
        text: item.text.clone(),
        ..Transcript::default()
    };
    let from_text = asking.meaning(asking.ask(item)?, &written);
    let whole = joined(parts, item.lang);
    let from_sound = match &whole {
        Some(transcript) => asking.meaning(asked, transcript),
        None => "nothing".to_owned(),
    };
    Ok(Row {
        id: item.id.clone(),
        condition: condition.name().to_owned(),
        variant: variant.name().to_owned(),
        logprob: whole.as_ref().map(|transcript| transcript.logprob),
        otherwise: whole
            .as_ref()
            .map_or_else(Vec::new, |transcript| transcript.alternates.clone()),
        choice: whole
            .as_ref()
            .and_then(|transcript| transcript.choice.clone()),
        heard: whole.map(|transcript| transcript.text),
        from_text,
        from_sound,
        cpu_ms,
    })
}

/// What is heard where nobody spoke, under an emergency question with all its expectations, and how many findings
/// that makes; `None` where it is taken for no speech. Behind the words stand their log-probability and the one of no
/// speech.
///
/// # Errors
/// A recogniser that fails.
pub fn to_nobody(
    recogniser: &mut Recogniser,
    lexicon: &Lexicon,
    samples: &[i16],
    lang: Lang,
) -> anyhow::Result<Option<(String, usize)>> {
    let text = match lang {
        Lang::Zh => "出院以后，有没有胸口疼，或者胸口发闷？",
        Lang::En => "Since you went home, have you had any chest pain or tightness?",
    };
    let question = Question {
        lang,
        text: text.to_owned(),
        kind: QuestionKind::YesNo,
        asks: vec![ConceptId("chest_pain".to_owned())],
        respondent: Respondent::Patient,
    };
    let hot_words = hot::for_question(&question);
    let wanted = Wanted {
        lang,
        hot_words: &hot_words,
        choices: &Choices::None,
    };
    let heard = recogniser.recognise(samples, &wanted, &Stop::default())?;
    if !heard.is_speech {
        return Ok(None);
    }
    let reply = Reply {
        text: &heard.text,
        logprob: Some(heard.logprob),
    };
    let alerting = assess(lexicon, &question, &reply);
    let findings = alerting.findings.iter().filter(|f| f.alerts()).count();
    let text = format!(
        "{} ({:.2}, {:.2})",
        heard.text, heard.logprob, heard.no_speech
    );
    Ok(Some((text, findings)))
}

/// The parts of a reply as one; it is as sure as its least sure part.
fn joined(parts: Vec<Transcript>, lang: Lang) -> Option<Transcript> {
    let between = match lang {
        Lang::Zh => "，",
        Lang::En => " ",
    };
    parts.into_iter().reduce(|mut whole, part| {
        whole.text = format!("{}{between}{}", whole.text, part.text);
        whole.logprob = whole.logprob.min(part.logprob);
        whole.choice = None;
        whole
    })
}

fn spot() -> Spot {
    Spot {
        turn: 0,
        node: NodeId(String::new()),
        from_ms: 0,
        to_ms: 0,
    }
}

/// The script with one of its questions first, whatever was said before.
pub(super) fn beginning_at(script: &Script, start: usize) -> Script {
    let mut script = script.clone();
    script.start = start;
    script.nodes[start].when.clear();
    script.nodes[start].days.clear();
    script
}

/// What a call of an evaluation knows: nothing that could be heard in a reply.
pub(super) fn facts(lang: Lang, day: u16) -> Facts {
    Facts {
        lang,
        day,
        hospital: "医院".to_owned(),
        patient: Phi::new("王建国".to_owned()),
        birth: None,
        contacts: Vec::new(),
        knows_diagnosis: false,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: None,
        crisis_line: None,
        callback_number: "010 0000 0000".to_owned(),
        next_call: None,
        today: date(2026, 11, 1),
        earlier: None,
    }
}

/// Processor time of this thread; 0 where the system does not tell (not Linux).
fn cpu_ms() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.map_or(0.0, |ns: f64| ns / 1e6)
}
