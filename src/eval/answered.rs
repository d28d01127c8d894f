//! Who answered: labelled openings, each through the whole call in virtual time, and what the call took them for.
//!
//! The call is the real one, with the ear, the tones, the script's first words and whisper; only the network is
//! virtual. The recogniser answers after the time that it needs on an idle machine, so figures do not depend on ours.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::call::{CallEvent, CallKit, CallOrder, Limits};
use aftercall_core::codec::{Codec, FRAME};
use aftercall_core::ear::tone::ToneVerdict;
use aftercall_core::ear::{Ear, EarConfig, EarEvent};
use aftercall_core::heard::{Choices, Heard, Transcript};
use aftercall_core::lang::Lang;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::{Facts, Script};
use aftercall_core::sim::{self, Fixture, Outcome, World};
use aftercall_core::sip::event::{FIRST_ANSWER_LIMIT, LegConfig, Protection, Target, Transport};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hearing::facts;
use super::line::{Beds, Condition, level, over};
use super::set::table;
use crate::speech::audio::decode_file;
use crate::speech::callbacks::Stop;
use crate::speech::prompts::Prompts;
use crate::speech::whisper::{Recogniser, Wanted};

/// What whisper needs for an utterance on an idle machine: so much, and so much for each second (hearing.md §2).
const DECODE: Duration = Duration::from_millis(90);
const DECODE_PER_SECOND: Duration = Duration::from_millis(80);
/// Root mean square that counts as the talker's where a clip has none.
const QUIET_TALKER: f32 = 1_000.0;

/// One opening; a line of `answered.tsv` (`make_speech.py answered`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub id: String,
    /// `frozen` or `tuning`.
    pub half: String,
    /// `None` where nobody speaks.
    pub lang: Option<Lang>,
    pub label: String,
    pub kind: String,
    /// The first sound, and the beep, in milliseconds from the beginning.
    pub first_ms: Option<u64>,
    pub beep_ms: Option<(u64, u64)>,
    pub text: String,
}

impl Opening {
    /// Heard after the answer; else before it.
    pub fn is_answered(&self) -> bool {
        let after = ["human", "voicemail", "screening", "fax", "silence"];
        after.contains(&self.label.as_str())
    }
}

/// What a call took an opening for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub id: String,
    pub line: String,
    pub met: String,
    pub by: String,
    /// Milliseconds from the answer, or from the first early media.
    pub met_ms: Option<u64>,
    /// When the robot was first heard.
    pub spoke_ms: Option<u64>,
    /// Where the beep ended, as the call believes.
    pub beep_end_ms: Option<u64>,
    pub words: Vec<String>,
}

/// Reads the table beside the clips.
///
/// # Errors
/// No table, or a line without its columns.
pub fn openings(folder: &Path) -> anyhow::Result<Vec<Opening>> {
    let (path, text) = table(folder, "answered")?;
    let rows = text.lines().enumerate().skip(1);
    let openings = rows.map(|(nth, line)| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [
            id,
            half,
            lang,
            label,
            kind,
            _voice,
            _speed,
            first,
            beep,
            beep_end,
            text,
        ] = columns[..]
        else {
            bail!("{}:{}: eleven columns are wanted", path.display(), nth + 1);
        };
        Ok(Opening {
            id: id.to_owned(),
            half: half.to_owned(),
            lang: Lang::parse(lang),
            label: label.to_owned(),
            kind: kind.to_owned(),
            first_ms: first.parse().ok(),
            beep_ms: beep.parse().ok().zip(beep_end.parse().ok()),
            text: text.to_owned(),
        })
    });
    openings.collect()
}

/// Words by the sound they were heard from: what was heard once is not heard again.
pub struct Listener {
    recogniser: Recogniser,
    known: BTreeMap<String, Option<Kept>>,
    file: File,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    text: String,
    logprob: f32,
    no_speech: f32,
}

#[derive(Serialize, Deserialize)]
struct Line {
    sound: String,
    heard: Option<Kept>,
}

impl Listener {
    /// Takes up what `kept` holds; a last line that was cut short is left out.
    ///
    /// # Errors
    /// A file that can be neither read nor written.
    pub fn new(recogniser: Recogniser, kept: &Path) -> anyhow::Result<Listener> {
        let text = fs::read_to_string(kept).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let known = lines.map(|line: Line| (line.sound, line.heard)).collect();
        let file = OpenOptions::new().create(true).append(true).open(kept);
        Ok(Listener {
            recogniser,
            known,
            file: file.with_context(|| format!("cannot write {}", kept.display()))?,
        })
    }

    fn hear(&mut self, samples: &[i16], lang: Lang) -> anyhow::Result<Heard> {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let digest = Sha256::new().chain_update(bytes).finalize();
        let key: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
        let key = format!("{lang} {key}");
        if !self.known.contains_key(&key) {
            let wanted = Wanted {
                lang,
                hot_words: &[],
                choices: &Choices::None,
            };
            let heard = self
                .recogniser
                .recognise(samples, &wanted, &Stop::default())?;
            let heard = heard.is_speech.then_some(Kept {
                text: heard.text,
                logprob: heard.logprob,
                no_speech: heard.no_speech,
            });
            let line = Line {
                sound: key.clone(),
                heard: heard.clone(),
            };
            writeln!(self.file, "{}", serde_json::to_string(&line)?)
                .context("cannot keep what was heard")?;
            self.known.insert(key.clone(), heard);
        }
        Ok(match self.known.get(&key).cloned().flatten() {
            Some(kept) => Heard::Words(Transcript {
                text: kept.text,
                logprob: kept.logprob,
                no_speech: kept.no_speech,
                ..Transcript::default()
            }),
            None => Heard::NoSpeech,
        })
    }
}

/// What every call shares.
pub struct Robot {
    kit: Arc<CallKit>,
    /// One a language.
    scripts: Vec<Arc<Script>>,
}

impl Robot {
    pub fn new(lexicon: Lexicon, prompts: &Prompts, scripts: Vec<Arc<Script>>) -> Robot {
        let prompts = prompts
            .keys()
            .filter_map(|key| Some((key.to_owned(), Arc::clone(prompts.find(key)?))))
            .collect();
        Robot {
            kit: Arc::new(CallKit {
                lexicon: Arc::new(lexicon),
                prompts,
                limits: Limits::default(),
            }),
            scripts,
        }
    }

    pub(super) fn kit(&self) -> Arc<CallKit> {
        Arc::clone(&self.kit)
    }

    /// Places one call to the opening, over one kind of line.
    ///
    /// # Errors
    /// A clip that cannot be read, a recogniser that fails.
    pub fn call(
        &self,
        opening: &Opening,
        condition: Condition,
        beds: &Beds,
        folder: &Path,
        listener: &mut Listener,
    ) -> anyhow::Result<Row> {
        let path = folder.join(format!("{}.flac", opening.id));
        let mut clip =
            decode_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        clip.resize(clip.len().next_multiple_of(FRAME), 0);
        let talker = talker(&clip);
        let frames = over(&clip, talker, condition, beds, &opening.id);
        let sound = frames.concat();
        let ms = sound.len() as u64 / 8;
        let lang = opening.lang.unwrap_or(Lang::Zh);
        let fixture = Fixture::parse(&opening.id, &fixture(opening, lang, ms))?;
        let script = self.scripts.iter().find(|script| script.lang == lang);
        let script = script.context("no script in this language")?;
        let order = order(script, facts(lang, 3));
        let world = World::new(fixture, order, self.kit(), [7; 32]).with_clip(sound);
        let outcome = to_the_end(world, |wanted| listener.hear(&wanted.samples, wanted.lang))?;
        let mut row = row(opening, condition, &outcome);
        // A call leaves a voicemail that it knows by its words before the beep comes, so the ear hears it alone.
        row.beep_end_ms = opening.beep_ms.and_then(|_| beep_end(&frames));
        Ok(row)
    }
}

/// Runs a call to its end; each utterance is heard as late as an idle machine hears it.
pub(super) fn to_the_end(
    mut world: World,
    mut hear: impl FnMut(&sim::Wanted) -> anyhow::Result<Heard>,
) -> anyhow::Result<Outcome> {
    while world.step() {
        while let Some(wanted) = world.poll_wanted() {
            let seconds = wanted.samples.len() as f64 / 8_000.0;
            let after = DECODE + DECODE_PER_SECOND.mul_f64(seconds);
            world.hear(wanted.utterance, hear(&wanted)?, after);
        }
    }
    Ok(world.outcome())
}

fn fixture(opening: &Opening, lang: Lang, ms: u64) -> String {
    let line = if opening.is_answered() {
        format!("\"+0ms 200 pcma\", \"+{ms}ms bye\"")
    } else {
        format!("\"+0ms announce -\", \"+{ms}ms 480\"")
    };
    format!(
        "script = \"general\"\nday = 3\nlang = \"{lang}\"\nline = [{line}]\notherwise = \"(silent)\"\n\
         [expect]\ndisposition = \"\"\norder = \"\"\n"
    )
}

fn row(opening: &Opening, condition: Condition, outcome: &Outcome) -> Row {
    let at = |wanted: fn(&CallEvent) -> bool| {
        let found = outcome.events.iter().position(wanted)?;
        Some(outcome.event_ms[found])
    };
    let began = at(|event| matches!(event, CallEvent::Answered | CallEvent::EarlyMedia));
    let told = at(|event| matches!(event, CallEvent::Announced(_)));
    let ending = &outcome.record.ending;
    let words = outcome.events.iter().filter_map(|event| match event {
        CallEvent::HeardWords(words) => Some(words.expose().text.clone()),
        _ => None,
    });
    let (met, by, met_ms) = match &ending.met {
        Some(met) => (met.who.clone(), met.evidence.clone(), Some(met.at_ms)),
        None => {
            let class = ending.early_media.clone();
            let ms = told
                .zip(began)
                .map(|(told, began)| told.saturating_sub(began));
            (
                class.unwrap_or_else(|| "nothing".to_owned()),
                String::new(),
                ms,
            )
        }
    };
    Row {
        id: opening.id.clone(),
        line: condition.name().to_owned(),
        met,
        by,
        met_ms,
        spoke_ms: outcome.spoke_ms,
        beep_end_ms: None,
        words: words.collect(),
    }
}

/// Where the first beep ends in what came over the line; the receiver plays its first frame as it comes.
fn beep_end(frames: &[[i16; FRAME]]) -> Option<u64> {
    let mut ear = Ear::new(EarConfig::default());
    let mut ends = None;
    for (nth, frame) in frames.iter().enumerate() {
        ear.push(frame, nth as u64 * 20);
        while let Some(event) = ear.poll() {
            if let EarEvent::Tone(tone) = event
                && tone.verdict == ToneVerdict::Beep
            {
                ends.get_or_insert(tone.to_ms);
            }
        }
    }
    ends
}

/// How loud the loud half of a clip is.
pub(super) fn talker(clip: &[i16]) -> f32 {
    let mut levels: Vec<f32> = clip.chunks(FRAME).map(level).collect();
    levels.retain(|&level| level > QUIET_TALKER / 4.0);
    let squares: f32 = levels.iter().map(|level| level * level).sum();
    if levels.is_empty() {
        return QUIET_TALKER;
    }
    (squares / levels.len() as f32).sqrt()
}

pub(super) fn order(script: &Arc<Script>, facts: Facts) -> CallOrder {
    CallOrder {
        leg: LegConfig {
            targets: vec![Target {
                request_uri: "sip:1000@10.0.0.2:5060".to_owned(),
                address: ([10, 0, 0, 2], 5_060).into(),
                transport: Transport::Udp,
            }],
            large_by_tcp: false,
            from_uri: "sip:robot@10.0.0.1".to_owned(),
            from_display: None,
            contact_uri: "sip:10.0.0.1:5060".to_owned(),
            via_host: "10.0.0.1:5060".to_owned(),
            credentials: None,
            media_host: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            media_port: 40_000,
            codecs: vec![Codec::Pcma],
            ring_timeout: Duration::from_secs(60),
            first_answer_limit: FIRST_ANSWER_LIMIT,
            extra_headers: Vec::new(),
            user_agent: "aftercall-eval".to_owned(),
            reliable_provisional: false,
            session_expires: None,
            redirects: Vec::new(),
            srtp: Protection::Off,
        },
        script: Arc::clone(script),
        facts,
        record: true,
        leaves_message: false,
        rungs: 0,
    }
}
