//! Recordings: stereo A-law (left robot, right patient) at 8 kHz, on the playout clock of the call.
//!
//! One directory an attempt, named by its id (no PHI), with append-only chunk files of five seconds behind one
//! reader. A chunk is a header (which chunk, which first sample), frames of 20 ms, each encrypted by itself under the
//! patient's key for audio, and once it is full or the call is over a seal (how many frames). A chunk without a seal is being written, or was torn by a crash: it ends at its last whole frame.

mod chunk;
mod cipher;
mod reader;
mod remote;
mod wav;
mod writer;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftercall_core::id::AttemptId;
use anyhow::Context as _;
use tracing::info;

pub use chunk::{CHUNK_FRAMES, ChunkState, FRAME_BYTES};
pub use reader::RecordingReader;
pub use remote::Remote;
pub use wav::speech_wav;
pub use writer::RecordingWriter;

use crate::config::Config;
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
    #[error("cannot {doing} the recording of attempt {attempt} in the object store")]
    Away {
        doing: &'static str,
        attempt: AttemptId,
        source: Box<object_store::Error>,
    },
    #[error("cannot list the recordings in the object store")]
    NoList(#[source] Box<object_store::Error>),
    #[error("chunk {index} of attempt {attempt} came back from the object store changed")]
    Changed { attempt: AttemptId, index: u32 },
}

/// The folder that holds all recordings, or holds them until an object store has them.
#[derive(Clone, Debug)]
pub struct Recordings {
    root: PathBuf,
    remote: Option<Arc<Remote>>,
}

impl Recordings {
    /// In this folder alone.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            remote: None,
        }
    }

    /// Those of a hospital.
    ///
    /// # Errors
    /// An address of an object store that is none.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        let url = &config.recordings.url;
        let remote = (!url.is_empty()).then(|| Remote::open(url));
        let remote = remote.transpose().context("recordings.url")?;
        Ok(Self::new(config.recordings_dir()).kept_by(remote))
    }

    /// The same, kept by an object store in the end.
    pub fn kept_by(self, remote: Option<Remote>) -> Self {
        Self {
            remote: remote.map(Arc::new),
            ..self
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Copies what the object store has, a chunk at a time, into another folder of recordings; what lies there already stays
    /// as it is. Returns how many files came.
    ///
    /// # Errors
    /// When the store or the disk refuses.
    pub fn fetch(&self, to: &Recordings) -> Result<u64, RecordingError> {
        let Some(remote) = &self.remote else {
            return Ok(0);
        };
        let attempts = remote.attempts();
        let attempts = attempts.map_err(|source| RecordingError::NoList(Box::new(source)))?;
        let (count, mut files) = (attempts.len(), 0);
        for (at, attempt) in attempts.iter().enumerate() {
            // Somebody else's, in the same bucket.
            let Ok(folder) = to.folder(attempt) else {
                continue;
            };
            files += fetch_one(remote, attempt, &folder)?;
            if at % 1_000 == 999 {
                info!(
                    calls = at + 1,
                    of = count,
                    files,
                    "fetched from the object store"
                );
            }
        }
        Ok(files)
    }

    /// Whether an object store has them in the end.
    pub fn has_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// Attempts of which something lies here.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn here(&self) -> Result<Vec<AttemptId>, RecordingError> {
        let failed = |error| io_error("list", &self.root)(error);
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut here = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            here.extend(name.to_str().map(|name| AttemptId(name.to_owned())));
        }
        here.sort_unstable();
        Ok(here)
    }

    /// Hands the recording of an attempt that is over to the object store, and lets the files here go once the store has
    /// given every one of them back unchanged; false where there is none, or what lies here is not encrypted (an older
    /// version wrote it) and so stays. May be broken off at any point and made again.
    ///
    /// # Errors
    /// When the store or the disk refuses; the files here stay.
    pub fn hand_over(&self, attempt: &AttemptId) -> Result<bool, RecordingError> {
        let Some(remote) = &self.remote else {
            return Ok(false);
        };
        let folder = self.folder(attempt)?;
        if !folder.is_dir() {
            return Ok(false);
        }
        let chunks = reader::files(&folder).map_err(io_error("list", &folder))?;
        for index in chunks {
            let path = folder.join(chunk::file_name(index));
            let bytes = fs::read(&path).map_err(io_error("read", &path))?;
            if chunk::Layout::of(&bytes) == chunk::Layout::Plain {
                return Ok(false);
            }
            let sent = remote.write(attempt, index, bytes.clone());
            sent.map_err(not_here("store", attempt))?;
            let kept = remote.read(attempt, index);
            let kept = kept.map_err(not_here("read back", attempt))?;
            if kept != bytes {
                return Err(RecordingError::Changed {
                    attempt: attempt.clone(),
                    index,
                });
            }
        }
        fs::remove_dir_all(&folder).map_err(io_error("remove", &folder))?;
        Ok(true)
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
        RecordingReader::open(self.folder(attempt)?, self.remote.clone(), attempt, key)
    }

    /// Whether anything was recorded; where the object store does not say, there may be.
    pub fn exists(&self, attempt: &AttemptId) -> bool {
        match self.folder(attempt) {
            Err(_) => false,
            Ok(folder) if folder.is_dir() => true,
            Ok(_) => away(self.remote.as_ref(), attempt).map_or(true, |away| !away.is_empty()),
        }
    }

    /// Removes the recording of an attempt; false when there was none.
    ///
    /// # Errors
    /// When the disk or the object store refuses.
    pub fn remove(&self, attempt: &AttemptId) -> Result<bool, RecordingError> {
        let folder = self.folder(attempt)?;
        let was_here = match fs::remove_dir_all(&folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(io_error("remove", &folder)(error)),
        };
        let Some(remote) = &self.remote else {
            return Ok(was_here);
        };
        let removed = remote.remove(attempt);
        Ok(removed.map_err(not_here("remove", attempt))? || was_here)
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

/// The chunks of an attempt in the object store, by their bytes.
fn away(
    remote: Option<&Arc<Remote>>,
    attempt: &AttemptId,
) -> Result<BTreeMap<u32, u64>, RecordingError> {
    let listed = remote.map(|remote| remote.list(attempt)).transpose();
    Ok(listed
        .map_err(not_here("list", attempt))?
        .unwrap_or_default())
}

/// The chunks of one attempt that do not lie in the folder yet; what retention removes meanwhile is left out.
fn fetch_one(remote: &Remote, attempt: &AttemptId, folder: &Path) -> Result<u64, RecordingError> {
    let mut files = 0;
    let chunks = remote.list(attempt).map_err(not_here("list", attempt))?;
    for index in chunks.into_keys() {
        let path = folder.join(chunk::file_name(index));
        if path.exists() {
            continue;
        }
        let bytes = match remote.read(attempt, index) {
            Err(object_store::Error::NotFound { .. }) => continue,
            read => read.map_err(not_here("fetch", attempt))?,
        };
        let mut make = DirBuilder::new();
        let made = make.recursive(true).mode(0o700).create(folder);
        made.map_err(io_error("make", folder))?;
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(io_error("write", &path))?;
        files += 1;
    }
    Ok(files)
}

fn not_here(
    doing: &'static str,
    attempt: &AttemptId,
) -> impl FnOnce(object_store::Error) -> RecordingError + use<> {
    let attempt = attempt.clone();
    move |source| RecordingError::Away {
        doing,
        attempt,
        source: Box::new(source),
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
