//! Writing: one `write` a frame from a thread of its own, so a `kill -9` loses no frame that was appended.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use aftercall_core::id::AttemptId;

use super::chunk::{CHUNK_FRAMES, FRAME_BYTES, file_name, header, seal};
use super::cipher::FileCipher;
use super::{FRAME_SAMPLES, RecordingError, io_error};
use crate::vault::DataKey;

/// Appends to the recording of one attempt. Off the media path: it blocks on the disk.
#[derive(Debug)]
pub struct RecordingWriter {
    folder: PathBuf,
    attempt: AttemptId,
    key: DataKey,
    chunk: Option<OpenChunk>,
    /// Index of the next chunk.
    next: u32,
    frames: u64,
    /// Who sees full chunks on disk; `None`: whoever appends waits for the disk.
    keeper: Option<Sender<File>>,
}

#[derive(Debug)]
struct OpenChunk {
    file: File,
    path: PathBuf,
    frames: u32,
    cipher: FileCipher,
}

impl RecordingWriter {
    pub(super) fn create(
        folder: &Path,
        attempt: &AttemptId,
        key: &DataKey,
    ) -> Result<Self, RecordingError> {
        let parent = folder.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(io_error("create", parent))?;
        DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => RecordingError::Exists(attempt.clone()),
                _ => io_error("create", folder)(error),
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            attempt: attempt.clone(),
            key: key.clone(),
            chunk: None,
            next: 0,
            frames: 0,
            keeper: None,
        })
    }

    /// Full chunks are seen on disk by somebody else.
    #[must_use]
    pub fn kept_by(mut self, keeper: Sender<File>) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// Appends 20 ms of both sides. What was appended is the operating system's when this returns.
    ///
    /// # Errors
    /// When the disk refuses; the frame may then be missing, and the caller decides whether the call goes on.
    pub fn append(
        &mut self,
        left: &[u8; FRAME_SAMPLES],
        right: &[u8; FRAME_SAMPLES],
    ) -> Result<(), RecordingError> {
        let mut frame = [0; FRAME_BYTES];
        for ((pair, robot), patient) in frame.chunks_exact_mut(2).zip(left).zip(right) {
            pair.copy_from_slice(&[*robot, *patient]);
        }
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.open_chunk()?,
        };
        chunk
            .file
            .write_all(&chunk.cipher.seal_frame(chunk.frames, &frame))
            .map_err(io_error("write", &chunk.path))?;
        chunk.frames += 1;
        self.frames += 1;
        if chunk.frames == CHUNK_FRAMES {
            self.close(chunk)?;
        } else {
            self.chunk = Some(chunk);
        }
        Ok(())
    }

    /// The position on the recording's clock, in milliseconds.
    pub fn position_ms(&self) -> u64 {
        self.frames * 20
    }

    /// Seals the last chunk and sees all on disk.
    ///
    /// # Errors
    /// When the disk refuses; the frames stay readable without the seal.
    pub fn finish(mut self) -> Result<(), RecordingError> {
        match self.chunk.take() {
            Some(chunk) => self.close(chunk),
            None => Ok(()),
        }
    }

    fn open_chunk(&mut self) -> Result<OpenChunk, RecordingError> {
        let path = self.folder.join(file_name(self.next));
        let head = header(self.next, self.key.cipher()).map_err(io_error("create", &path))?;
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("create", &path))?;
        file.write_all(&head).map_err(io_error("write", &path))?;
        self.next += 1;
        Ok(OpenChunk {
            file,
            path,
            frames: 0,
            cipher: FileCipher::new(&self.key, &self.attempt, &head),
        })
    }

    /// A sealed chunk survives a power cut once it was seen on disk; an open one only a crash of ours.
    fn close(&self, mut chunk: OpenChunk) -> Result<(), RecordingError> {
        let seal = seal(&chunk.cipher, chunk.frames);
        chunk
            .file
            .write_all(&seal)
            .map_err(io_error("write", &chunk.path))?;
        let left = match &self.keeper {
            // Whom it cannot be handed to gives it back.
            Some(keeper) => keeper.send(chunk.file).err().map(|lost| lost.0),
            None => Some(chunk.file),
        };
        left.map_or(Ok(()), |file| file.sync_data())
            .map_err(io_error("write", &chunk.path))
    }
}
