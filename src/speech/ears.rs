//! The ears: a bounded queue of utterances before a fixed number of recogniser threads.
//!
//! Nothing here waits for a call and no call waits for it: `submit` returns at once, and each job is answered
//! exactly once on its channel. What comes too late, is shed or fails is [`Heard::TooLate`], an input like any
//! other to the conversation.
//!
//! Who has not been heard at all goes before who is to be heard again: a second hearing of unsure words takes as long as
//! the first, and most alarms are in the first. Nobody waits for it longer than half the deadline.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use aftercall_core::heard::{Choices, Heard, Transcript};
use aftercall_core::lang::Lang;
use tracing::{error, warn};

use crate::speech::callbacks::Stop;
use crate::speech::lag::Lag;
use crate::speech::model::{Model, ModelError};
use crate::speech::remote::{Remote, RemoteConfig};
use crate::speech::whisper::{
    Hearing, RecogniseError, Recogniser, Recognition, Wanted, is_one_piece,
};

/// How many ears, and how long anyone may wait for them.
#[derive(Clone, Debug)]
pub struct EarsConfig {
    /// A GGML whisper file.
    pub model: PathBuf,
    /// Recogniser threads: one a core, at least 1.
    pub workers: usize,
    /// Jobs that may wait: at least 1; 4 a worker is plenty.
    pub queue: usize,
    /// From `submit` to the answer: what is not done by then is too late. Default 4 s.
    pub deadline: Duration,
    /// Another machine's ear, asked before our own.
    pub remote: Option<RemoteConfig>,
}

/// Why the ears did not start.
#[derive(Debug, thiserror::Error)]
pub enum EarsError {
    #[error("speech model cannot be used: {0}")]
    Model(#[from] ModelError),
    #[error(
        "speech recogniser cannot start: {0}; the machine may be short of memory (47 MB an ear)"
    )]
    Recogniser(#[from] RecogniseError),
    #[error("no thread for a speech recogniser")]
    Thread { source: std::io::Error },
}

/// The end of a turn goes before a guess that the turn may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Final,
    Speculative,
}

/// One utterance to be recognised. Speech is PHI: there is no `Debug`.
pub struct Job {
    /// Comes back with the answer; its meaning is the caller's.
    pub token: u64,
    /// Mono, 8 kHz, without padding.
    pub samples: Arc<[i16]>,
    pub lang: Lang,
    pub priority: Priority,
    /// Answers that the question invites: written a little more readily. Empty for none.
    pub hot_words: Vec<String>,
    /// Answers to be told apart by their sound.
    pub choices: Choices,
    /// Set by the caller when the answer is of no more use.
    pub cancelled: Arc<AtomicBool>,
    pub reply: Sender<(u64, Heard)>,
}

/// Names a submitted job, for [`Ears::promote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(u64);

/// How busy the ears are, and what became of the jobs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarLoad {
    pub workers: usize,
    pub busy: usize,
    pub queued: usize,
    pub answered: u64,
    pub too_late: u64,
}

struct Waiting {
    id: u64,
    job: Job,
    submitted: Instant,
    /// What it was heard as so far, where that was unsure, and how long that took.
    so_far: Option<(Hearing, Duration)>,
}

#[derive(Default)]
struct Queue {
    finals: VecDeque<Waiting>,
    speculative: VecDeque<Waiting>,
    /// Heard once, and unsurely.
    again: VecDeque<Waiting>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    closing: Arc<AtomicBool>,
    deadline: Duration,
    capacity: usize,
    next_id: AtomicU64,
    busy: AtomicUsize,
    answered: AtomicU64,
    too_late: AtomicU64,
    lag: Mutex<Lag>,
    remote: Option<Remote>,
}

/// The recogniser threads. Dropping it ends them; waiting jobs are then too late.
pub struct Ears {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Ears {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ears").finish_non_exhaustive()
    }
}

impl Ears {
    /// Loads the model and starts the threads; returns when all can hear.
    ///
    /// # Errors
    /// When the model cannot be used, or there is no memory or thread for a recogniser.
    pub fn start(config: EarsConfig) -> Result<Ears, EarsError> {
        let model = Model::load(&config.model)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            closing: Arc::default(),
            deadline: config.deadline,
            capacity: config.queue.max(1),
            next_id: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            too_late: AtomicU64::new(0),
            lag: Mutex::new(Lag::new(Instant::now())),
            remote: config.remote.map(Remote::new),
        });
        let mut ears = Ears {
            shared,
            threads: Vec::new(),
        };
        for worker in 0..config.workers.max(1) {
            let (shared, model) = (Arc::clone(&ears.shared), Arc::clone(&model));
            let (ready, is_ready) = std::sync::mpsc::channel();
            let thread = Builder::new()
                .name(format!("ear-{worker}"))
                .spawn(move || work(&shared, &model, &ready));
            ears.threads
                .push(thread.map_err(|source| EarsError::Thread { source })?);
            // A worker that died before it said anything is noticed by its jobs' deadline.
            if let Ok(Err(error)) = is_ready.recv() {
                return Err(error.into());
            }
        }
        Ok(ears)
    }

    /// Queues an utterance and returns at once. A full queue sheds its newest guess for a final; else the job
    /// itself is too late.
    pub fn submit(&self, job: Job) -> JobId {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting {
            id,
            job,
            submitted: Instant::now(),
            so_far: None,
        };
        let mut queue = self.shared.queue();
        // Who is to be heard again was let in before.
        let full = queue.finals.len() + queue.speculative.len() >= self.shared.capacity;
        let shed = match (full, waiting.job.priority) {
            (false, _) => {
                queue.push(waiting);
                None
            }
            (true, Priority::Final) => match queue.speculative.pop_back() {
                Some(guess) => {
                    queue.push(waiting);
                    Some(guess)
                }
                None => Some(waiting),
            },
            (true, Priority::Speculative) => Some(waiting),
        };
        drop(queue);
        match shed {
            Some(shed) => self.shared.answer(shed.job, Heard::TooLate),
            None => self.shared.wake.notify_one(),
        }
        JobId(id)
    }

    /// Makes a waiting guess final: the turn did end there. Without effect when it is being recognised or done.
    pub fn promote(&self, id: JobId) {
        let mut queue = self.shared.queue();
        let is_it = |waiting: &Waiting| waiting.id == id.0;
        if let Some(waiting) = queue.again.iter_mut().find(|waiting| is_it(waiting)) {
            waiting.job.priority = Priority::Final;
        }
        let place = queue.speculative.iter().position(is_it);
        if let Some(mut waiting) = place.and_then(|place| queue.speculative.remove(place)) {
            waiting.job.priority = Priority::Final;
            queue.push(waiting);
        }
    }

    /// Whether anybody is being heard, or waits to be.
    pub fn are_busy(&self) -> bool {
        let load = self.load();
        load.busy + load.queued > 0
    }

    /// Whether utterances wait so long that no more calls should be begun.
    pub fn are_behind(&self) -> bool {
        self.shared.lag().is_behind_at(Instant::now())
    }

    /// How long utterances have waited of late.
    pub fn wait(&self) -> Duration {
        self.shared.lag().mean_at(Instant::now())
    }

    pub fn load(&self) -> EarLoad {
        let queue = self.shared.queue();
        EarLoad {
            workers: self.threads.len(),
            busy: self.shared.busy.load(Ordering::Relaxed),
            queued: queue.len(),
            answered: self.shared.answered.load(Ordering::Relaxed),
            too_late: self.shared.too_late.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        {
            // Under the lock, so that no worker misses it between its look and its wait.
            let _queue = self.shared.queue();
            self.shared.closing.store(true, Ordering::Relaxed);
        }
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so in the log.
            let _ = thread.join();
        }
        let left = std::mem::take(&mut *self.shared.queue());
        let first = left.finals.into_iter().chain(left.speculative);
        for waiting in first.chain(left.again) {
            self.shared.answer_so_far(waiting);
        }
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.finals.len() + self.speculative.len() + self.again.len()
    }

    fn push(&mut self, waiting: Waiting) {
        match (&waiting.so_far, waiting.job.priority) {
            (Some(_), _) => self.again.push_back(waiting),
            (None, Priority::Final) => self.finals.push_back(waiting),
            (None, Priority::Speculative) => self.speculative.push_back(waiting),
        }
    }

    /// The next to be heard; who is to be heard again goes first once they have waited for `patience`.
    fn pop(&mut self, now: Instant, patience: Duration) -> Option<Waiting> {
        let has_waited = |waiting: &Waiting| now - waiting.submitted >= patience;
        if let Some(place) = self.again.iter().position(has_waited) {
            return self.again.remove(place);
        }
        let first = self.finals.pop_front();
        let first = first.or_else(|| self.speculative.pop_front());
        first.or_else(|| {
            let is_final = |waiting: &Waiting| waiting.job.priority == Priority::Final;
            let place = self.again.iter().position(is_final).unwrap_or(0);
            self.again.remove(place)
        })
    }
}

impl Shared {
    /// The queue is whole after every lock, so a panic elsewhere does not spoil it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As whole as the queue.
    fn lag(&self) -> MutexGuard<'_, Lag> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job; `None` when the ears close.
    fn next(&self) -> Option<Waiting> {
        let mut queue = self.queue();
        loop {
            if self.closing.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(waiting) = queue.pop(Instant::now(), self.deadline / 2) {
                return Some(waiting);
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts an utterance back that is to be heard again, behind those that were not heard yet.
    fn put_back(&self, waiting: Waiting) {
        self.queue().push(waiting);
        self.wake.notify_one();
    }

    /// Who was heard unsurely is answered with that.
    fn answer_so_far(&self, waiting: Waiting) {
        let heard = match waiting.so_far {
            Some((hearing, took)) => heard(hearing.recognition(), took),
            None => Heard::TooLate,
        };
        self.answer(waiting.job, heard);
    }

    fn answer(&self, job: Job, heard: Heard) {
        match heard {
            Heard::TooLate => self.too_late.fetch_add(1, Ordering::Relaxed),
            Heard::Words(_) | Heard::NoSpeech => self.answered.fetch_add(1, Ordering::Relaxed),
        };
        // A call that is over no longer listens.
        let _ = job.reply.send((job.token, heard));
    }
}

/// One worker's life.
fn work(shared: &Shared, model: &Arc<Model>, ready: &Sender<Result<(), RecogniseError>>) {
    let mut recogniser = match Recogniser::new(model) {
        Ok(recogniser) => Some(recogniser),
        Err(error) => {
            // Whoever started us reads it, or has gone.
            let _ = ready.send(Err(error));
            return;
        }
    };
    // As above.
    let _ = ready.send(Ok(()));
    while let Some(waiting) = shared.next() {
        shared.busy.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if waiting.so_far.is_none() {
            shared.lag().waited(now - waiting.submitted, now);
        }
        let left = attend(shared, &mut recogniser, model, waiting);
        shared.busy.fetch_sub(1, Ordering::Relaxed);
        if let Some(unsure) = left {
            shared.put_back(unsure);
        }
    }
}

/// Hears an utterance for the first time, or once more, and answers; gives it back where it is to be heard again.
fn attend(
    shared: &Shared,
    recogniser: &mut Option<Recogniser>,
    model: &Arc<Model>,
    waiting: Waiting,
) -> Option<Waiting> {
    let stop = Stop {
        cancelled: Arc::clone(&waiting.job.cancelled),
        closing: Arc::clone(&shared.closing),
        deadline: Some(waiting.submitted + shared.deadline),
    };
    if stop.is_due() {
        shared.answer_so_far(waiting);
        return None;
    }
    let job = &waiting.job;
    let remote = shared.remote.as_ref();
    if let (None, Some(ear)) = (&waiting.so_far, remote) {
        let patience = shared.deadline.saturating_sub(waiting.submitted.elapsed());
        if let Some(heard) = ear.hear(&job.samples, job.lang, patience) {
            shared.answer(waiting.job, heard);
            return None;
        }
    }
    let began = Instant::now();
    let Waiting {
        id,
        job,
        submitted,
        so_far,
    } = waiting;
    let (so_far, took) = so_far.unzip();
    let took = || took.unwrap_or_default() + began.elapsed();
    match hear(recogniser, model, &job, so_far, &stop) {
        Some(Outcome::Whole(recognition)) => shared.answer(job, heard(recognition, took())),
        Some(Outcome::Piece(hearing)) if hearing.is_unsure() && !stop.is_due() => {
            return Some(Waiting {
                id,
                job,
                submitted,
                so_far: Some((hearing, took())),
            });
        }
        Some(Outcome::Piece(hearing)) => shared.answer(job, heard(hearing.recognition(), took())),
        None => shared.answer(job, Heard::TooLate),
    }
    None
}

/// What became of an utterance under a recogniser.
enum Outcome {
    /// One that is decoded at once, and may be heard again.
    Piece(Hearing),
    Whole(Recognition),
}

/// Recognises one job; a failure costs this answer and a new state, not the ear.
fn hear(
    recogniser: &mut Option<Recogniser>,
    model: &Arc<Model>,
    job: &Job,
    so_far: Option<Hearing>,
    stop: &Stop,
) -> Option<Outcome> {
    let Some(mut ear) = recogniser.take().or_else(|| Recogniser::new(model).ok()) else {
        error!("no memory for a speech recogniser; an utterance was not heard");
        return None;
    };
    let wanted = Wanted {
        lang: job.lang,
        hot_words: &job.hot_words,
        choices: &job.choices,
    };
    match catch_unwind(AssertUnwindSafe(|| {
        pass(&mut ear, &job.samples, so_far, &wanted, stop)
    })) {
        Ok(Ok(outcome)) => {
            *recogniser = Some(ear);
            Some(outcome)
        }
        Ok(Err(RecogniseError::Stopped)) => {
            *recogniser = Some(ear);
            None
        }
        Ok(Err(failure)) => {
            warn!(%failure, "an utterance was not recognised; the recogniser is made anew");
            None
        }
        Err(_) => {
            error!("speech recogniser panicked; it is made anew");
            None
        }
    }
}

/// One hearing of an utterance; a long one is heard as often as it must be, a piece after the other.
fn pass(
    ear: &mut Recogniser,
    samples: &[i16],
    so_far: Option<Hearing>,
    wanted: &Wanted<'_>,
    stop: &Stop,
) -> Result<Outcome, RecogniseError> {
    Ok(match so_far {
        Some(mut hearing) => {
            ear.again(&mut hearing, samples, wanted, stop)?;
            Outcome::Piece(hearing)
        }
        None if is_one_piece(samples) => Outcome::Piece(ear.first(samples, wanted, stop)?),
        None => Outcome::Whole(ear.recognise(samples, wanted, stop)?),
    })
}

fn heard(recognition: Recognition, took: Duration) -> Heard {
    if !recognition.is_speech {
        return Heard::NoSpeech;
    }
    Heard::Words(Transcript {
        took_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
        ..recognition.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: u64, priority: Priority, submitted: Instant, is_unsure: bool) -> Waiting {
        let (reply, _) = std::sync::mpsc::channel();
        Waiting {
            id,
            job: Job {
                token: id,
                samples: Arc::from([]),
                lang: Lang::Zh,
                priority,
                hot_words: Vec::new(),
                choices: Choices::None,
                cancelled: Arc::default(),
                reply,
            },
            submitted,
            so_far: is_unsure.then(|| (Hearing::unsure(), Duration::ZERO)),
        }
    }

    #[test]
    fn who_was_not_heard_yet_goes_before_who_is_heard_again() {
        use Priority::{Final, Speculative};
        let start = Instant::now();
        let patience = Duration::from_secs(2);
        let order = |after: Duration| {
            let mut queue = Queue::default();
            for (id, priority, is_unsure) in [
                (1, Speculative, true),
                (2, Final, true),
                (3, Speculative, false),
                (4, Final, false),
            ] {
                queue.push(waiting(id, priority, start, is_unsure));
            }
            assert_eq!(queue.len(), 4);
            let next = || queue.pop(start + after, patience).map(|waiting| waiting.id);
            std::iter::from_fn(next).collect::<Vec<_>>()
        };
        assert_eq!(order(Duration::from_millis(1_900)), [4, 3, 2, 1]);
        assert_eq!(order(patience), [1, 2, 4, 3], "nobody waits for ever");
    }
}
