//! Recordings of calls, written by threads of their own: the one that sends audio never waits for a disk.
//!
//! One thread encrypts frames and hands them to the operating system; another sees full chunks on disk, which may take long.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aftercall_core::codec::FRAME;
use aftercall_core::id::AttemptId;
use tracing::{debug, warn};

use crate::recording::{RecordingError, RecordingWriter, Recordings};
use crate::vault::DataKey;

/// The writer looks for frames so often, instead of being woken for each of thousands a second.
const PAUSE: Duration = Duration::from_millis(10);
/// So many chunks or more that wait to be seen on disk are seen there by one flush of the file system.
const TOGETHER: usize = 4;

/// The threads that write.
pub struct Recorder {
    frames: Sender<ToRecord>,
    next: AtomicUsize,
    writer: JoinHandle<Result<(), RecordingError>>,
}

/// The recording of one call; dropped, it is closed.
pub struct Tape {
    number: usize,
    frames: Sender<ToRecord>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a frame lives for one slot; a box for each would be dearer"
)]
enum ToRecord {
    /// The frames of this call are encrypted by this key.
    Open {
        number: usize,
        attempt: AttemptId,
        key: DataKey,
    },
    Frame {
        number: usize,
        left: [u8; FRAME],
        right: [u8; FRAME],
    },
    Close(usize),
}

impl Recorder {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(root: Recordings) -> io::Result<Recorder> {
        let (frames, inbox) = channel();
        let (full, waiting) = channel();
        let keeper = thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || keep(&waiting))?;
        let writer = thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                let written = write(&root, &inbox, &full);
                drop(full);
                if keeper.join().is_err() {
                    warn!("the thread that sees recordings on disk panicked");
                }
                written
            })?;
        Ok(Recorder {
            frames,
            next: AtomicUsize::new(0),
            writer,
        })
    }

    /// Begins the recording of a call; its folder is made with its first frame.
    pub fn tape(&self, attempt: &AttemptId, key: DataKey) -> Tape {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let attempt = attempt.clone();
        let tape = Tape {
            number,
            frames: self.frames.clone(),
        };
        tape.send(ToRecord::Open {
            number,
            attempt,
            key,
        });
        tape
    }

    /// Waits until all is on disk, once every tape was dropped.
    ///
    /// # Errors
    /// The first frame or file that could not be written.
    pub fn finish(self) -> Result<(), RecordingError> {
        let Recorder { frames, writer, .. } = self;
        drop(frames);
        writer.join().unwrap_or_else(|_| {
            warn!("the recorder panicked");
            Ok(())
        })
    }
}

impl Tape {
    /// 20 ms of both sides, as A-law.
    pub fn append(&self, left: [u8; FRAME], right: [u8; FRAME]) {
        let number = self.number;
        self.send(ToRecord::Frame {
            number,
            left,
            right,
        });
    }

    fn send(&self, message: ToRecord) {
        if self.frames.send(message).is_err() {
            debug!("the recorder has ended");
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.send(ToRecord::Close(self.number));
    }
}

/// The recording of one call; its folder is made with its first frame.
struct Reel {
    attempt: AttemptId,
    key: DataKey,
    writer: Option<RecordingWriter>,
}

impl Reel {
    fn append(
        &mut self,
        root: &Recordings,
        (left, right): (&[u8; FRAME], &[u8; FRAME]),
        full: &Sender<File>,
    ) -> Result<(), RecordingError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => root.writer(&self.attempt, &self.key)?.kept_by(full.clone()),
        };
        self.writer.insert(writer).append(left, right)
    }
}

/// Whatever fails, the other calls are recorded on; the first fault is told at the end.
fn write(
    root: &Recordings,
    inbox: &Receiver<ToRecord>,
    full: &Sender<File>,
) -> Result<(), RecordingError> {
    let mut reels: BTreeMap<usize, Reel> = BTreeMap::new();
    let mut outcome = Ok(());
    let mut note = |fault: RecordingError| {
        warn!(error = %fault, "a recording cannot be written");
        if outcome.is_ok() {
            outcome = Err(fault);
        }
    };
    while let Ok(first) = inbox.recv() {
        for message in std::iter::once(first).chain(inbox.try_iter()) {
            match message {
                ToRecord::Open {
                    number,
                    attempt,
                    key,
                } => {
                    let writer = None;
                    let reel = Reel {
                        attempt,
                        key,
                        writer,
                    };
                    reels.insert(number, reel);
                }
                ToRecord::Frame {
                    number,
                    left,
                    right,
                } => {
                    let Some(reel) = reels.get_mut(&number) else {
                        continue;
                    };
                    if let Err(fault) = reel.append(root, (&left, &right), full) {
                        note(fault);
                        reels.remove(&number);
                    }
                }
                ToRecord::Close(number) => {
                    let writer = reels.remove(&number).and_then(|reel| reel.writer);
                    if let Some(writer) = writer
                        && let Err(fault) = writer.finish()
                    {
                        note(fault);
                    }
                }
            }
        }
        thread::sleep(PAUSE);
    }
    outcome
}

/// Sees full chunks on disk: a power cut spares them then.
fn keep(waiting: &Receiver<File>) {
    while let Ok(first) = waiting.recv() {
        let mut all = vec![first];
        all.extend(waiting.try_iter());
        let kept = if all.len() < TOGETHER {
            all.iter().try_for_each(File::sync_data)
        } else {
            rustix::fs::syncfs(&all[0]).map_err(io::Error::from)
        };
        if let Err(error) = kept {
            warn!(%error, "a recording may not survive a power cut");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{ChunkState, SILENCE};

    #[test]
    fn each_call_has_a_recording_of_its_own_and_a_fault_is_told_at_the_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recordings = Recordings::new(folder.path());
        let key = DataKey::random().expect("randomness");
        let recorder = Recorder::start(recordings.clone()).expect("threads");
        let attempts = ["call-1", "call-2"].map(|name| AttemptId(name.to_owned()));
        let tapes = attempts
            .each_ref()
            .map(|attempt| recorder.tape(attempt, key.clone()));
        for _ in 0..600 {
            for tape in &tapes {
                tape.append([SILENCE; FRAME], [SILENCE; FRAME]);
            }
        }
        drop(tapes);
        // A recording is never written over.
        recorder
            .tape(&attempts[0], key.clone())
            .append([0; FRAME], [0; FRAME]);
        let outcome = recorder.finish();
        assert!(matches!(outcome, Err(RecordingError::Exists(_))));
        for attempt in &attempts {
            let reader = recordings.reader(attempt, &key).expect("a recording");
            assert_eq!(reader.duration_ms(), 12_000);
            let chunks = reader.verify().expect("readable");
            assert!(chunks.iter().all(|(_, state)| *state == ChunkState::Sealed));
        }
    }
}
