//! Listens again to what was said on a call that is over, with a slower ear, while nobody speaks on the line. Its words
//! go through the same judgement, and what they add goes to a person.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aftercall_core::attempt::Turn;
use aftercall_core::call::second_look;
use aftercall_core::finding::PlacedFinding;
use aftercall_core::heard::Choices;
use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::question::Question;
use aftercall_core::work_order::Cause;
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::settle::{raise, subject, what_the_whole_raises};
use super::{Rules, next_round};
use crate::config::SecondEar;
use crate::recording::{RecordingError, RecordingReader, Recordings};
use crate::speech::callbacks::Stop;
use crate::speech::ears::Ears;
use crate::speech::model::Model;
use crate::speech::whisper::{Habits, RecogniseError, Recogniser, Recognition, Wanted};
use crate::store::attempt::AttemptRow;
use crate::store::second_look::SecondLook;
use crate::store::{Store, StoreError};
use crate::vault::DataKey;

const ROUND: Duration = Duration::from_secs(5);
/// How long a quiet line is waited for before the next look.
const QUIET: Duration = Duration::from_millis(500);
/// Speech that a detector missed begins and ends outside what it marked.
const MARGIN_MS: u64 = 300;
/// Where no reply was heard: as much of the pause after the prompt.
const LONGEST_PAUSE_MS: u64 = 25_000;
const SHORTEST_MS: u64 = 300;

/// The slower ear, and the calls' own, which go first.
pub struct Listener {
    store: Store,
    rules: Rules,
    recordings: Recordings,
    ears: Arc<Ears>,
    name: String,
    model: Arc<Model>,
    habits: Habits,
    /// None while it listens, and after it failed.
    recogniser: Option<Recogniser>,
    closing: Arc<AtomicBool>,
}

impl Listener {
    /// Loads the model.
    ///
    /// # Errors
    /// When it cannot be used, or there is no memory for it.
    pub fn new(
        ear: &SecondEar,
        (store, rules, recordings): (Store, Rules, Recordings),
        ears: Arc<Ears>,
    ) -> anyhow::Result<Listener> {
        let about = || format!("ears.second: {}", ear.model.display());
        let model = Model::load(&ear.model).with_context(about)?;
        let habits = Habits {
            beam: ear.beam,
            ..Habits::default()
        };
        let recogniser = Recogniser::with(&model, habits).with_context(about)?;
        Ok(Listener {
            store,
            rules,
            recordings,
            ears,
            name: name_of(ear),
            model,
            habits,
            recogniser: Some(recogniser),
            closing: Arc::default(),
        })
    }

    /// Runs until shutdown.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        while next_round(ROUND, &mut shutdown).await {
            loop {
                match self.once(&mut shutdown).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        error!(
                            error = format!("{error:#}"),
                            "a call was not listened to again"
                        );
                        break;
                    }
                }
            }
        }
    }

    /// Listens to one call; false when none waits, or the engine stops.
    ///
    /// # Errors
    /// When the database or the disk refuses, or the ear fails.
    pub async fn once(&mut self, shutdown: &mut watch::Receiver<bool>) -> anyhow::Result<bool> {
        let now = self.rules.clock.now();
        let Some(id) = self.store.next_second_look(&self.rules.engine, now).await? else {
            return Ok(false);
        };
        let call = self.store.call(&id).await?;
        let mut look = SecondLook {
            attempt: id.clone(),
            ear: self.name.clone(),
            replies: 0,
            adds: Vec::new(),
            raise: None,
        };
        let mut recording = match self.store.recording_key(&id).await {
            Ok(key) => self.open(&id, key).await?,
            Err(StoreError::Destroyed { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let mut known = call.findings;
        for (at, turn) in call.turns.iter().enumerate() {
            let next = call.turns.get(at + 1).map(|next| next.prompt_from_ms);
            let Some((from_ms, to_ms)) = stretch(turn, next) else {
                continue;
            };
            let Some(reader) = recording.take() else {
                break;
            };
            let (reader, samples) = part(reader, from_ms, to_ms).await?;
            recording = Some(reader);
            let samples = match samples {
                Ok(samples) => samples,
                Err(error) => {
                    warn!(attempt.id = %id, %error, "a part of the recording cannot be listened to again");
                    continue;
                }
            };
            let heard = match self.hear(samples, call.row.lang, shutdown).await {
                Again::Heard(heard) => heard,
                Again::Failed => continue,
                Again::Stopped => return Ok(false),
            };
            look.replies += 1;
            if !heard.is_speech {
                continue;
            }
            let question = question(turn, call.row.lang);
            let words = (heard.text.as_str(), heard.logprob);
            for finding in second_look::adds(&self.rules.clinic.lexicon, &question, words, &known) {
                let placed = PlacedFinding {
                    finding,
                    turn: turn.index,
                    node: turn.node.clone(),
                    from_ms,
                    to_ms,
                    denied: None,
                };
                known.push(placed.clone());
                look.adds.push(placed);
            }
        }
        self.save(look, &call.row, &known).await?;
        Ok(true)
    }

    /// The recording of a call, where there is one.
    async fn open(
        &self,
        attempt: &AttemptId,
        key: DataKey,
    ) -> anyhow::Result<Option<RecordingReader>> {
        let (recordings, attempt) = (self.recordings.clone(), attempt.clone());
        let opened = spawn_blocking(move || recordings.reader(&attempt, &key));
        match opened.await? {
            Ok(recording) => Ok(Some(recording)),
            Err(RecordingError::None(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn save(
        &self,
        mut look: SecondLook,
        row: &AttemptRow,
        known: &[PlacedFinding],
    ) -> anyhow::Result<()> {
        let now = self.rules.clock.now();
        if !look.adds.is_empty() {
            let cause = |placed: &PlacedFinding| Cause::Finding {
                finding: Box::new(placed.clone()),
                attempt: Some(look.attempt.clone()),
            };
            let mut causes: Vec<Cause> = look.adds.iter().map(cause).collect();
            causes.extend(what_the_whole_raises(&self.rules, row, known, &[], &[]));
            look.raise = raise(&self.rules, subject(&self.store, row).await?, causes);
        }
        let raised = self.store.save_second_look(&look, now).await?;
        let (replies, adds) = (look.replies, look.adds.len());
        info!(attempt.id = %look.attempt, replies, adds, "listened to again");
        if let Some(raised) = raised {
            info!(attempt.id = %look.attempt, order.id = %raised.id, urgency = %raised.urgency, "work order");
        }
        Ok(())
    }

    /// The words of one reply, once no call waits for the ears.
    async fn hear(
        &mut self,
        samples: Vec<i16>,
        lang: Lang,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Again {
        while self.ears.are_busy() {
            if !next_round(QUIET, shutdown).await {
                return Again::Stopped;
            }
        }
        let ready = self.recogniser.take();
        let (model, habits) = (Arc::clone(&self.model), self.habits);
        let stop = Stop {
            closing: Arc::clone(&self.closing),
            ..Stop::default()
        };
        let mut listening = spawn_blocking(move || {
            let mut recogniser = match ready {
                Some(ready) => ready,
                None => Recogniser::with(&model, habits)?,
            };
            let wanted = Wanted {
                lang,
                hot_words: &[],
                choices: &Choices::None,
            };
            let heard = recogniser.recognise(&samples, &wanted, &stop)?;
            Ok((recogniser, heard))
        });
        let listened = tokio::select! {
            listened = &mut listening => listened,
            () = stopped(shutdown) => {
                self.closing.store(true, Ordering::Relaxed);
                listening.await
            }
        };
        match listened {
            Ok(Ok((recogniser, heard))) => {
                self.recogniser = Some(recogniser);
                Again::Heard(heard)
            }
            Ok(Err(RecogniseError::Stopped)) => Again::Stopped,
            Ok(Err(failure)) => {
                warn!(%failure, "a reply was not heard again; the second ear is made anew");
                Again::Failed
            }
            Err(_) => {
                error!("the second ear panicked; it is made anew");
                Again::Failed
            }
        }
    }
}

/// What the patient said in a part of the recording, read where waiting for a disk or an object store holds nobody up.
async fn part(
    mut recording: RecordingReader,
    from_ms: u64,
    to_ms: u64,
) -> anyhow::Result<(RecordingReader, io::Result<Vec<i16>>)> {
    let read = spawn_blocking(move || {
        let samples = recording.patient(from_ms, to_ms);
        (recording, samples)
    });
    Ok(read.await?)
}

enum Again {
    Heard(Recognition),
    Failed,
    /// The engine stops.
    Stopped,
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stops| *stops).await.is_err() {
        warn!("whoever stops the engine has gone");
    }
}

/// The reply with some margin; where none was heard, the pause for it.
fn stretch(turn: &Turn, next_prompt_ms: Option<u64>) -> Option<(u64, u64)> {
    let (from, to) = match &turn.reply {
        Some(reply) => (
            reply.from_ms.saturating_sub(MARGIN_MS),
            reply.to_ms + MARGIN_MS,
        ),
        None => (
            turn.prompt_to_ms,
            next_prompt_ms
                .unwrap_or(u64::MAX)
                .min(turn.prompt_to_ms + LONGEST_PAUSE_MS),
        ),
    };
    (from + SHORTEST_MS <= to).then_some((from, to))
}

fn question(turn: &Turn, lang: Lang) -> Question {
    Question {
        lang,
        text: turn.prompt.expose().clone(),
        kind: turn.kind.unwrap_or_default(),
        asks: turn.asks.clone(),
        respondent: turn.respondent,
    }
}

fn name_of(ear: &SecondEar) -> String {
    let file: PathBuf = ear.model.file_stem().unwrap_or_default().into();
    format!("{} beam {}", file.display(), ear.beam)
}
