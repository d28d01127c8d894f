//! Replies with long pauses inside, as old people speak: is the end of the reply waited for, and for how long after it?
//!
//! Each is said to the whole call in virtual time, by the ear's front and whisper as they are, to one question of every
//! type, under the profile for who hears badly. A reply is cut off when the robot speaks before its last voiced sample.

use std::path::Path;
use std::sync::Arc;

use aftercall_core::call::CallEvent;
use aftercall_core::codec::FRAME;
use aftercall_core::heard::Heard;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::script::{Script, speaking};
use aftercall_core::sim::{self, Fixture, Outcome, World};
use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::answered::{Robot, order, talker, to_the_end};
use super::heard::{Errors, share};
use super::hearing::{Item, beginning_at, facts};
use super::line::{Beds, Condition, Dice, level, over};
use crate::speech::audio::decode_file;
use crate::speech::callbacks::Stop;
use crate::speech::prompts::Prompts;
use crate::speech::whisper::{Recogniser, Wanted};

/// How long each pause is: 2.5 s.
const PAUSE: usize = 125 * FRAME;
/// From the end of the question to the reply.
const THINKS_MS: usize = 700;
/// What a line sounds like when nobody speaks on it (root mean square): -60 dBFS.
const LINE_NOISE: f64 = 33.0;
/// A reply's frame is voiced down to so much of its loudest.
const VOICED: f32 = 0.018;
/// The robot is given so long to go on, in milliseconds.
const PATIENCE_MS: usize = 12_000;
/// One question of each type: yes or no, choice, number, open.
const ASKED: [&str; 4] = ["screen_chest", "trend", "temperature", "open_question"];

/// How a reply is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// As it was recorded, without a pause.
    Fluent,
    /// A sentence in three parts: 我… 这两天… 有点闷.
    Hesitating,
    /// A short answer, and after a pause what it leaves out: 没有… 就是有点闷.
    Adding,
}

impl Manner {
    pub const ALL: [Manner; 3] = [Manner::Fluent, Manner::Hesitating, Manner::Adding];

    fn name(self) -> &'static str {
        match self {
            Manner::Fluent => "fluent",
            Manner::Hesitating => "hesitating",
            Manner::Adding => "adding",
        }
    }
}

/// What came of one reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub line: String,
    pub manner: Manner,
    pub node: String,
    pub lang: Lang,
    /// The robot spoke into it.
    pub is_cut: bool,
    /// From the last voiced sample to the robot's next word; `None` where it was cut off or nothing more was said.
    pub latency_ms: Option<u64>,
    pub said: String,
    /// The words of the turn.
    pub heard: String,
}

/// The calls' robot, and what it is told by.
pub struct Elder<'a> {
    pub robot: &'a Robot,
    pub scripts: &'a [Arc<Script>],
    pub prompts: &'a Prompts,
    pub beds: &'a Beds,
    pub clips: &'a Path,
}

impl Elder<'_> {
    /// Says one item of the spoken set; `short` is the answer that [`Manner::Adding`] begins with, and `nth` chooses the
    /// question.
    ///
    /// # Errors
    /// A clip that cannot be read, a script without the question, a recogniser that fails.
    pub fn call(
        &self,
        recogniser: &mut Recogniser,
        (item, short, nth): (&Item, &Item, usize),
        condition: Condition,
        manner: Manner,
    ) -> anyhow::Result<Row> {
        let read = |item: &Item| {
            let path = self.clips.join(format!("{}.flac", item.id));
            decode_file(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (said, sound) = match manner {
            Manner::Fluent => (item.text.clone(), read(item)?),
            Manner::Hesitating => (item.text.clone(), paused(&in_three(&read(item)?))),
            Manner::Adding => (
                format!("{} {}", short.text, item.text),
                paused(&[&read(short)?, &read(item)?]),
            ),
        };
        let node = ASKED[nth % ASKED.len()];
        let script = self.scripts.iter().find(|one| one.lang == item.lang);
        let script = script.context("no script in this language")?;
        let start = script.find(node);
        let start = start.with_context(|| format!("{node}: no such node"))?;
        let script = Arc::new(beginning_at(script, start));
        let name = format!("{} {}", item.id, manner.name());
        let mut hear = |wanted: &sim::Wanted| heard(recogniser, wanted);
        // In noise the robot may begin a little earlier or later: then once more, so that the reply meets a listener.
        let mut begins_ms = 1_600 + self.asking_ms(&script, start) + THINKS_MS;
        let mut outcome = None;
        for _ in 0..3 {
            let over = self.line(&sound, begins_ms, condition, &name);
            let came = to_the_end(self.world(&script, item.lang, over)?, &mut hear)?;
            let wanted_ms = asked_at(&came, 0)
                .map(|ms| ms as usize + self.asking_ms(&script, start) + THINKS_MS);
            outcome = Some(came);
            match wanted_ms.filter(|ms| ms.abs_diff(begins_ms) > 100) {
                Some(ms) => begins_ms = ms,
                None => break,
            }
        }
        let outcome = outcome.context("at least one call was made")?;
        let ends_ms = begins_ms as u64 + last_voiced_ms(&sound);
        let next_ms = asked_at(&outcome, 1);
        let words = outcome.events.iter().filter_map(|event| match event {
            CallEvent::TurnClosed(turn) => turn.reply.as_ref(),
            _ => None,
        });
        let reply = words.map(|reply| reply.heard.expose().text.clone()).next();
        Ok(Row {
            id: item.id.clone(),
            line: condition.name().to_owned(),
            manner,
            node: node.to_owned(),
            lang: item.lang,
            is_cut: next_ms.is_some_and(|ms| ms < ends_ms),
            latency_ms: next_ms.and_then(|ms| ms.checked_sub(ends_ms)),
            said,
            heard: reply.unwrap_or_default(),
        })
    }

    /// How long the question lasts.
    fn asking_ms(&self, script: &Script, start: usize) -> usize {
        let of = facts(script.lang, 3);
        let segments = speaking::question(script, &of, &script.nodes[start]);
        let keys = segments.iter().filter_map(|segment| match segment {
            aftercall_core::script::act::Segment::Recorded { prompt, .. } => {
                self.prompts.find(&prompt.recording(script.lang))
            }
            aftercall_core::script::act::Segment::Spoken(_) => None,
        });
        keys.map(|samples| samples.len() / 8).sum()
    }

    /// The reply on its line, from the answer on.
    fn line(&self, sound: &[i16], begins_ms: usize, condition: Condition, name: &str) -> Vec<i16> {
        let mut dice = Dice::new(name);
        let whole = begins_ms * 8 + sound.len() + PATIENCE_MS * 8;
        let mut line: Vec<i16> = (0..whole.next_multiple_of(FRAME))
            .map(|_| ((dice.share() - 0.5) * LINE_NOISE * 12_f64.sqrt()) as i16)
            .collect();
        for (out, &voice) in line[begins_ms * 8..].iter_mut().zip(sound) {
            *out = out.saturating_add(voice);
        }
        over(&line, talker(sound), condition, self.beds, name).concat()
    }

    fn world(&self, script: &Arc<Script>, lang: Lang, line: Vec<i16>) -> anyhow::Result<World> {
        let ms = line.len() / 8;
        let fixture = format!(
            "script = \"general\"\nday = 3\nlang = \"{lang}\"\nline = [\"+0ms 200 pcma\", \"+{ms}ms bye\"]\n\
             otherwise = \"(silent)\"\n[expect]\ndisposition = \"\"\norder = \"\"\n"
        );
        let mut facts = facts(lang, 3);
        facts.hearing = Hearing::Hard;
        let fixture = Fixture::parse("elder", &fixture)?;
        let kit = self.robot.kit();
        Ok(World::new(fixture, order(script, facts), kit, [7; 32]).with_clip(line))
    }
}

fn heard(recogniser: &mut Recogniser, wanted: &sim::Wanted) -> anyhow::Result<Heard> {
    let question = Wanted {
        lang: wanted.lang,
        hot_words: &wanted.hot_words,
        choices: &wanted.choices,
    };
    let heard = recogniser.recognise(&wanted.samples, &question, &Stop::default())?;
    Ok(match heard.is_speech {
        true => Heard::Words(heard.into()),
        false => Heard::NoSpeech,
    })
}

/// When the robot opened its `nth` turn, in milliseconds from the answer.
fn asked_at(outcome: &Outcome, nth: usize) -> Option<u64> {
    let times = outcome.events.iter().zip(&outcome.event_ms);
    let of = |wanted: fn(&CallEvent) -> bool| {
        let times = times.clone();
        times.filter_map(move |(event, &ms)| wanted(event).then_some(ms))
    };
    let answered = of(|event| matches!(event, CallEvent::Answered)).next()?;
    let asked = of(|event| matches!(event, CallEvent::Asked { .. })).nth(nth)?;
    asked.checked_sub(answered)
}

/// A clip in three parts, cut where it is quietest near its thirds.
fn in_three(clip: &[i16]) -> [&[i16]; 3] {
    let near = |part: usize| {
        let (middle, slack) = (clip.len() * part / 3, clip.len() / 8);
        let places = (middle.saturating_sub(slack)..(middle + slack).min(clip.len() - FRAME))
            .step_by(FRAME / 4);
        let quiet = |&at: &usize| level(&clip[at..at + FRAME]) as u32;
        places.min_by_key(quiet).map_or(middle, |at| at + FRAME / 2)
    };
    let (first, second) = (near(1), near(2));
    [&clip[..first], &clip[first..second], &clip[second..]]
}

fn paused(parts: &[&[i16]]) -> Vec<i16> {
    parts.join(&[0; PAUSE][..])
}

fn last_voiced_ms(sound: &[i16]) -> u64 {
    let frames = sound.as_chunks::<FRAME>().0;
    let levels: Vec<f32> = frames.iter().map(|frame| level(frame)).collect();
    let loudest = levels.iter().copied().fold(0.0, f32::max);
    let last = levels.iter().rposition(|&level| level >= loudest * VOICED);
    last.map_or(0, |last| (last as u64 + 1) * 20)
}

/// The figures, in lines to be read.
pub fn lines(rows: &[Row]) -> String {
    let mut out = Vec::new();
    for manner in Manner::ALL {
        let of: Vec<&Row> = rows.iter().filter(|row| row.manner == manner).collect();
        if of.is_empty() {
            continue;
        }
        let cut = of.iter().filter(|row| row.is_cut).count();
        let mut errors = Errors::default();
        for row in &of {
            errors.of_reply(row.lang, &row.said, &row.heard);
        }
        out.push(format!(
            "{:<11} cut off {}  {}  syllables and words wrong {:.1} %",
            manner.name(),
            share(cut, of.len()),
            latency(&of),
            errors.percent()
        ));
        for node in ASKED {
            let of: Vec<&Row> = of.iter().copied().filter(|row| row.node == node).collect();
            let cut = of.iter().filter(|row| row.is_cut).count();
            out.push(format!(
                "  {node:<14} cut off {}  {}",
                share(cut, of.len()),
                latency(&of)
            ));
        }
    }
    let paused: Vec<&Row> = rows
        .iter()
        .filter(|row| row.manner != Manner::Fluent)
        .collect();
    let cut = paused.iter().filter(|row| row.is_cut).count();
    out.push(format!("with pauses cut off {}", share(cut, paused.len())));
    out.join("\n")
}

/// By nearest rank.
fn latency(rows: &[&Row]) -> String {
    let mut all: Vec<u64> = rows.iter().filter_map(|row| row.latency_ms).collect();
    all.sort_unstable();
    let rank = |percent: usize| all.get((all.len() * percent).div_ceil(100).max(1) - 1);
    match (rank(50), rank(95)) {
        (Some(p50), Some(p95)) => format!("latency p50 {p50} p95 {p95} ms"),
        _ => "no latency".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_cut_where_it_is_quiet_and_nothing_of_it_is_lost() {
        let mut clip = vec![3_000_i16; 24_000];
        clip[7_600..7_920].fill(1);
        clip[16_800..17_120].fill(1);
        let parts = in_three(&clip);
        assert!(
            (7_600..7_920).contains(&parts[0].len()),
            "{}",
            parts[0].len()
        );
        let third = clip.len() - parts[2].len();
        assert!((16_800..17_120).contains(&third), "{third}");
        assert_eq!(parts.concat(), clip);
        assert_eq!(paused(&parts).len(), clip.len() + 2 * PAUSE);
    }

    #[test]
    fn the_last_voiced_sample_stands_before_the_quiet() {
        let sound = [vec![5_000_i16; 1_600], vec![20; 1_600]].concat();
        assert_eq!(last_voiced_ms(&sound), 200);
    }
}
