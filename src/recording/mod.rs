//! Recordings: stereo A-law (left robot, right patient) at 8 kHz, on the playout clock of the call.
//!
//! One directory an attempt, named by its id (no PHI), with append-only chunk files of five seconds behind one
//! reader. A chunk is a header (which chunk, which first sample), frames of 20 ms, each encrypted by itself under the
//! patient's key for audio, and once it is full or the call is over a seal (how many frames). A chunk without a seal is being written, or was torn by a crash: it ends at its last whole frame.

mod chunk;
mod cipher;
mod reader;
mod wav;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use aftercall_core::id::AttemptId;

pub use chunk::{CHUNK_FRAMES, ChunkState, FRAME_BYTES};
pub use reader::RecordingReader;
pub use wav::speech_wav;
pub use writer::RecordingWriter;

use crate::vault::DataKey;

/// Samples of one channel in a frame: 20 ms at 8 kHz.
pub const FRAME_SAMPLES: usize = 160;
/// A-law silence (ITU-T G.711: the code of +0).
pub const SILENCE: u8 = 0xd5;

/// Why a recording could not be kept or played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("attempt id cannot name a directory: only letters, digits and dashes can")]
    Id,
    #[error("there is no recording of attempt {0}")]
    None(AttemptId),
    #[error("attempt {0} has a recording already; a recording is never written over")]
    Exists(AttemptId),
    #[error("cannot {doing} recording {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// The folder that holds all recordings.
#[derive(Clone, Debug)]
pub struct Recordings {
    root: PathBuf,
}

impl Recordings {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Begins the recording of an attempt, under the key for audio of its patient.
    ///
    /// # Errors
    /// When there is one already, or the folder cannot be written.
    pub fn writer(
        &self,
        attempt: &AttemptId,
        key: &DataKey,
    ) -> Result<RecordingWriter, RecordingError> {
        RecordingWriter::create(&self.folder(attempt)?, attempt, key)
    }

    /// Opens the recording of an attempt as it stands now; the call may still run.
    ///
    /// # Errors
    /// [`RecordingError::None`] when nothing was recorded.
    pub fn reader(
        &self,
        attempt: &AttemptId,
        key: &DataKey,
    ) -> Result<RecordingReader, RecordingError> {
        RecordingReader::open(&self.folder(attempt)?, attempt, key)
    }

    /// Whether anything was recorded.
    pub fn exists(&self, attempt: &AttemptId) -> bool {
        self.folder(attempt).is_ok_and(|folder| folder.is_dir())
    }

    /// Removes the recording of an attempt; false when there was none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, attempt: &AttemptId) -> Result<bool, RecordingError> {
        let folder = self.folder(attempt)?;
        match std::fs::remove_dir_all(&folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("remove", &folder)(error)),
        }
    }

    /// The id comes from outside in a request: it must not climb out of the folder.
    fn folder(&self, attempt: &AttemptId) -> Result<PathBuf, RecordingError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if attempt.0.is_empty() || attempt.0.len() > 64 || !attempt.0.chars().all(fits) {
            return Err(RecordingError::Id);
        }
        Ok(self.root.join(&attempt.0))
    }
}

fn io_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> RecordingError + use<'a> {
    move |source| RecordingError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
