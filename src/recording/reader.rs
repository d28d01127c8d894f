//! Reading: the chunks of one attempt as one WAV byte stream, while the call runs and after a crash. What is no longer here
//! comes from the object store, a chunk at a time: who plays a part fetches that part.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftercall_core::codec::G711;
use aftercall_core::id::AttemptId;

use super::chunk::{
    self, CHUNK_FRAMES, ChunkState, FRAME_BYTES, Layout, SEALED_FRAME_BYTES, SEALED_HEADER_BYTES,
    file_name, index_of,
};
use super::cipher::FileCipher;
use super::wav::{self, WAV_HEADER_BYTES};
use super::{RecordingError, Remote, SILENCE, away, io_error};
use crate::vault::DataKey;

/// Bytes of sound in a full chunk.
const CHUNK_SOUND: u64 = CHUNK_FRAMES as u64 * FRAME_BYTES as u64;

/// A recording as it stood when it was opened or last refreshed.
///
/// Every chunk but the last counts as five seconds: what a crash or a lost file left out is silence, so that the
/// times of turns and findings stay true.
#[derive(Debug)]
pub struct RecordingReader {
    folder: PathBuf,
    remote: Option<Arc<Remote>>,
    attempt: AttemptId,
    key: DataKey,
    /// Whole frames of each chunk that is there.
    chunks: BTreeMap<u32, u32>,
    frames: u64,
    position: u64,
    /// The chunk read last: a player reads onwards.
    open: Option<(u32, OpenChunk)>,
}

#[derive(Debug)]
struct OpenChunk {
    bytes: Bytes,
    /// None for version 1.
    cipher: Option<FileCipher>,
}

/// Where a chunk's bytes are.
#[derive(Debug)]
enum Bytes {
    Here(File),
    Fetched(Vec<u8>),
}

impl RecordingReader {
    pub(super) fn open(
        folder: PathBuf,
        remote: Option<Arc<Remote>>,
        attempt: &AttemptId,
        key: &DataKey,
    ) -> Result<Self, RecordingError> {
        let is_here = folder.is_dir();
        let mut reader = Self {
            folder,
            remote,
            attempt: attempt.clone(),
            key: key.clone(),
            chunks: BTreeMap::new(),
            frames: 0,
            position: 0,
            open: None,
        };
        reader.refresh()?;
        if !is_here && reader.chunks.is_empty() {
            return Err(RecordingError::None(attempt.clone()));
        }
        Ok(reader)
    }

    /// Looks again how much there is: the call may have gone on.
    ///
    /// # Errors
    /// When the folder cannot be read, or the object store does not answer.
    pub fn refresh(&mut self) -> Result<(), RecordingError> {
        let failed = io_error("list", &self.folder);
        self.chunks = list(&self.folder).map_err(failed)?;
        // What is here is asked about nowhere else: a call that goes on, and one that waits to be handed over.
        if self.chunks.is_empty() {
            let away = away(self.remote.as_ref(), &self.attempt)?;
            let frames = |(index, bytes)| (index, Layout::Sealed.frames_in(bytes));
            self.chunks = away.into_iter().map(frames).collect();
        }
        self.frames = match self.chunks.last_key_value() {
            Some((index, frames)) => {
                u64::from(*index) * u64::from(CHUNK_FRAMES) + u64::from(*frames)
            }
            None => 0,
        };
        Ok(())
    }

    /// Length of the recording in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.frames * 20
    }

    /// Bytes of the whole WAV stream.
    pub fn wav_bytes(&self) -> u64 {
        WAV_HEADER_BYTES as u64 + self.frames * FRAME_BYTES as u64
    }

    /// Fills `buffer` from position `at` of the WAV stream; fewer bytes only at its end.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.wav_bytes().saturating_sub(at);
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let (mut at, mut done) = (at, 0);
        while done < wanted {
            let read = self.read_part(at, &mut buffer[done..wanted])?;
            done += read;
            at += read as u64;
        }
        Ok(done)
    }

    /// What the patient's side sent from one time to another, in milliseconds of the recording; less where it ends.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn patient(&mut self, from_ms: u64, to_ms: u64) -> io::Result<Vec<i16>> {
        const SAMPLES_A_MS: u64 = 8;
        let to_ms = to_ms.min(self.duration_ms());
        let samples = to_ms.saturating_sub(from_ms) * SAMPLES_A_MS;
        let mut stereo = vec![0; usize::try_from(samples * 2).unwrap_or(0)];
        let from = WAV_HEADER_BYTES as u64 + from_ms * SAMPLES_A_MS * 2;
        let read = self.read_at(from, &mut stereo)?;
        let sides = stereo[..read].as_chunks::<2>().0;
        let right = sides.iter().map(|[_, patient]| G711::A.decode(*patient));
        Ok(right.collect())
    }

    /// Writes the whole as one WAV file; it never writes over one.
    ///
    /// # Errors
    /// When the file exists or the disk refuses.
    pub fn write_wav(&mut self, path: &Path) -> Result<(), RecordingError> {
        let mut file = File::create_new(path).map_err(io_error("create", path))?;
        self.position = 0;
        io::copy(self, &mut file).map_err(io_error("write", path))?;
        file.sync_all().map_err(io_error("write", path))
    }

    /// The state of every chunk by its own tags.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn verify(&self) -> Result<Vec<(u32, ChunkState)>, RecordingError> {
        let check = |index: &u32| {
            let path = self.folder.join(file_name(*index));
            let bytes = self.fetch(*index).and_then(Bytes::whole);
            let bytes = bytes.map_err(io_error("read", &path))?;
            let state = chunk::state(&bytes, *index, &self.key, &self.attempt);
            Ok((*index, state))
        };
        self.chunks.keys().map(check).collect()
    }

    /// Reads from one place: the header, one chunk, or the silence where a chunk lacks frames.
    fn read_part(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let header_bytes = WAV_HEADER_BYTES as u64;
        if at < header_bytes {
            let header = wav::header(self.frames);
            return Ok(fill(&header[usize::try_from(at).unwrap_or(0)..], buffer));
        }
        let sound = at - header_bytes;
        let index = u32::try_from(sound / CHUNK_SOUND).unwrap_or(u32::MAX);
        let within = sound % CHUNK_SOUND;
        let there = u64::from(self.chunks.get(&index).copied().unwrap_or(0)) * FRAME_BYTES as u64;
        let (end, silent) = if within < there {
            (there, false)
        } else {
            (CHUNK_SOUND, true)
        };
        let length = usize::try_from(end - within)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let part = &mut buffer[..length];
        if silent {
            part.fill(SILENCE);
            return Ok(length);
        }
        self.chunk(index)?.read(within, part)
    }

    fn chunk(&mut self, index: u32) -> io::Result<&OpenChunk> {
        let chunk = match self.open.take() {
            Some((open, chunk)) if open == index => chunk,
            Some(_) | None => OpenChunk::open(self.fetch(index)?, &self.key, &self.attempt)?,
        };
        Ok(&self.open.insert((index, chunk)).1)
    }

    /// From here, or from the object store: it may have been handed over since.
    fn fetch(&self, index: u32) -> io::Result<Bytes> {
        match (File::open(self.folder.join(file_name(index))), &self.remote) {
            (Err(error), Some(remote)) if error.kind() == ErrorKind::NotFound => {
                let fetched = remote.read(&self.attempt, index);
                fetched.map(Bytes::Fetched).map_err(io::Error::other)
            }
            (file, _) => file.map(Bytes::Here),
        }
    }
}

impl Bytes {
    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Bytes::Here(file) => file.read_exact_at(into, at),
            Bytes::Fetched(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let part = bytes.get(from..from.saturating_add(into.len()));
                into.copy_from_slice(part.ok_or(ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    fn whole(self) -> io::Result<Vec<u8>> {
        match self {
            Bytes::Fetched(bytes) => Ok(bytes),
            Bytes::Here(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

impl OpenChunk {
    fn open(bytes: Bytes, key: &DataKey, attempt: &AttemptId) -> io::Result<Self> {
        let mut head = [0; SEALED_HEADER_BYTES];
        bytes.read_exact_at(&mut head, 0)?;
        let cipher = match Layout::of(&head) {
            Layout::Plain => None,
            Layout::Sealed | Layout::Sm4 => Some(FileCipher::new(key, attempt, &head)),
        };
        Ok(Self { bytes, cipher })
    }

    /// Reads sound from position `within` of the chunk's; of an encrypted one no further than the frame's end.
    fn read(&self, within: u64, part: &mut [u8]) -> io::Result<usize> {
        let Some(cipher) = &self.cipher else {
            let at = Layout::Plain.header_bytes() as u64 + within;
            self.bytes.read_exact_at(part, at)?;
            return Ok(part.len());
        };
        let position = u32::try_from(within / FRAME_BYTES as u64).unwrap_or(u32::MAX);
        let offset = usize::try_from(within % FRAME_BYTES as u64).unwrap_or(0);
        let at = SEALED_HEADER_BYTES as u64 + u64::from(position) * SEALED_FRAME_BYTES as u64;
        let mut sealed = [0; SEALED_FRAME_BYTES];
        self.bytes.read_exact_at(&mut sealed, at)?;
        let frame = cipher.open_frame(position, &sealed).ok_or_else(|| {
            io::Error::new(
                ErrorKind::InvalidData,
                "a frame of the recording does not open: it was changed, or its key is another",
            )
        })?;
        Ok(fill(&frame[offset..], part))
    }
}

impl Read for RecordingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(self.position, buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for RecordingReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.wav_bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// The chunks in a folder, in order; none where it is not there.
pub(super) fn files(folder: &Path) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut chunks = Vec::new();
    for entry in entries {
        chunks.extend(entry?.file_name().to_str().and_then(index_of));
    }
    chunks.sort_unstable();
    Ok(chunks)
}

fn list(folder: &Path) -> io::Result<BTreeMap<u32, u32>> {
    let mut chunks = BTreeMap::new();
    for index in files(folder)? {
        let mut start = Vec::new();
        let file = File::open(folder.join(file_name(index)))?;
        let bytes = file.metadata()?.len();
        file.take(6).read_to_end(&mut start)?;
        chunks.insert(index, Layout::of(&start).frames_in(bytes));
    }
    Ok(chunks)
}

fn fill(from: &[u8], into: &mut [u8]) -> usize {
    let length = from.len().min(into.len());
    into[..length].copy_from_slice(&from[..length]);
    length
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::recording::{FRAME_SAMPLES, RecordingWriter, Recordings};
    use crate::vault::Cipher;

    fn key() -> DataKey {
        DataKey::new([3; 32])
    }

    fn frame(writer: &mut RecordingWriter, tag: u64) {
        let tag = u8::try_from(tag % 200).expect("below 200");
        writer
            .append(&[tag; FRAME_SAMPLES], &[tag + 1; FRAME_SAMPLES])
            .expect("a temporary folder is writable");
    }

    fn record(frames: u64) -> (tempfile::TempDir, Recordings, AttemptId) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recordings = Recordings::new(folder.path());
        let attempt = AttemptId("0190-a".to_owned());
        let mut writer = recordings
            .writer(&attempt, &key())
            .expect("a new recording");
        (0..frames).for_each(|tag| frame(&mut writer, tag));
        writer.finish().expect("a temporary folder is writable");
        (folder, recordings, attempt)
    }

    #[test]
    fn a_recording_plays_while_it_grows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recordings = Recordings::new(folder.path());
        let attempt = AttemptId("a".to_owned());
        let mut writer = recordings
            .writer(&attempt, &key())
            .expect("a new recording");
        frame(&mut writer, 7);
        let mut reader = recordings.reader(&attempt, &key()).expect("it exists");
        assert_eq!(reader.duration_ms(), 20);
        (0..260).for_each(|tag| frame(&mut writer, tag));
        reader.refresh().expect("the folder is there");
        assert_eq!(reader.duration_ms(), 261 * 20);
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole).expect("readable");
        assert_eq!(whole.len() as u64, reader.wav_bytes());
        assert_eq!(whole[WAV_HEADER_BYTES..][..4], [7, 8, 7, 8]);
    }

    #[test]
    fn every_range_equals_the_same_bytes_of_the_whole() {
        let (_folder, recordings, attempt) = record(600);
        let mut reader = recordings.reader(&attempt, &key()).expect("it exists");
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole).expect("readable");
        for (from, length) in [
            (0, 10),
            (50, 200),
            (80_000, 500),
            (160_100, 40_000),
            (192_000, 9999),
        ] {
            let mut part = vec![0; length];
            let read = reader.read_at(from as u64, &mut part).expect("readable");
            assert_eq!(part[..read], whole[from..(from + length).min(whole.len())]);
        }
        assert_eq!(
            reader
                .read_at(1 << 40, &mut [0; 4])
                .expect("beyond the end"),
            0
        );
    }

    #[test]
    fn a_chunk_torn_at_any_byte_is_cut_at_its_last_whole_frame() {
        let (folder, recordings, attempt) = record(3);
        let last = folder.path().join(&attempt.0).join(file_name(0));
        let whole = fs::read(&last).expect("readable");
        for length in (0..=whole.len()).rev() {
            File::options()
                .write(true)
                .open(&last)
                .expect("there")
                .set_len(length as u64)
                .expect("shorter");
            let mut reader = recordings.reader(&attempt, &key()).expect("it exists");
            let frames = length.saturating_sub(SEALED_HEADER_BYTES) / SEALED_FRAME_BYTES;
            assert_eq!(
                reader.duration_ms(),
                frames as u64 * 20,
                "cut to {length} bytes"
            );
            let mut stream = Vec::new();
            reader.read_to_end(&mut stream).expect("readable");
            assert_eq!(stream.len(), WAV_HEADER_BYTES + frames * FRAME_BYTES);
            let expected = if length == whole.len() {
                ChunkState::Sealed
            } else {
                ChunkState::Open
            };
            let states = reader.verify().expect("readable");
            assert_eq!(states, [(0, expected)], "cut to {length} bytes");
        }
    }

    #[test]
    fn nothing_that_was_said_lies_on_disk_and_no_other_key_opens_it() {
        let (folder, recordings, attempt) = record(253);
        let last = fs::read(folder.path().join(&attempt.0).join(file_name(1))).expect("readable");
        let said = [52, 53].repeat(8);
        assert!(
            !last.windows(said.len()).any(|bytes| bytes == said),
            "sound lies open"
        );
        let other = DataKey::new([4; 32]);
        let mut reader = recordings.reader(&attempt, &other).expect("it exists");
        let mut stream = Vec::new();
        let refused = reader.read_to_end(&mut stream).expect_err("another key");
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
        assert!(stream.len() <= WAV_HEADER_BYTES, "not one sample");
        let states = reader.verify().expect("readable");
        assert!(
            states
                .iter()
                .all(|(_, state)| *state == ChunkState::Damaged)
        );
    }

    #[test]
    fn what_sm4_sealed_plays_beside_what_aes_sealed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recordings = Recordings::new(folder.path());
        for (id, by) in [("a", Cipher::Aes), ("b", Cipher::Sm4)] {
            let attempt = AttemptId(id.to_owned());
            let mut writer = recordings
                .writer(&attempt, &key().by(by))
                .expect("a new recording");
            frame(&mut writer, 7);
            writer.finish().expect("a temporary folder is writable");
            let bytes = fs::read(folder.path().join(id).join(file_name(0))).expect("there");
            assert_eq!(bytes[4], if by == Cipher::Sm4 { 3 } else { 2 });
            // Whatever new calls are sealed by.
            for now in [Cipher::Aes, Cipher::Sm4] {
                let key = key().by(now);
                let mut reader = recordings.reader(&attempt, &key).expect("it exists");
                let mut whole = Vec::new();
                reader.read_to_end(&mut whole).expect("readable");
                assert_eq!(whole[WAV_HEADER_BYTES..][..4], [7, 8, 7, 8], "{by:?}");
                let states = reader.verify().expect("readable");
                assert_eq!(states, [(0, ChunkState::Sealed)]);
            }
        }
    }

    #[test]
    fn a_chunk_cannot_take_anothers_place() {
        let (folder, recordings, attempt) = record(600);
        let folder = folder.path().join(&attempt.0);
        fs::copy(folder.join(file_name(0)), folder.join(file_name(1))).expect("writable");
        let reader = recordings.reader(&attempt, &key()).expect("it exists");
        let states = reader.verify().expect("readable");
        assert_eq!(states[1], (1, ChunkState::Damaged));
    }

    #[test]
    fn a_lost_chunk_is_silence_and_later_times_stay_true() {
        let (folder, recordings, attempt) = record(700);
        fs::remove_file(folder.path().join(&attempt.0).join(file_name(1))).expect("there");
        let mut reader = recordings.reader(&attempt, &key()).expect("it exists");
        assert_eq!(reader.duration_ms(), 14_000);
        let mut bytes = [0; 2];
        let frame_at = |frame: u64| WAV_HEADER_BYTES as u64 + frame * FRAME_BYTES as u64;
        reader.read_at(frame_at(300), &mut bytes).expect("readable");
        assert_eq!(bytes, [SILENCE; 2]);
        reader.read_at(frame_at(501), &mut bytes).expect("readable");
        assert_eq!(bytes, [101, 102]);
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let (folder, recordings, attempt) = record(10);
        let path = folder.path().join(&attempt.0).join(file_name(0));
        let whole = fs::read(&path).expect("readable");
        // In the header, its salt, a frame, and the seal's count and tag.
        for at in [
            8,
            30,
            SEALED_HEADER_BYTES + 5,
            whole.len() - 20,
            whole.len() - 1,
        ] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("writable");
            let reader = recordings.reader(&attempt, &key()).expect("it exists");
            assert_eq!(
                reader.verify().expect("readable"),
                [(0, ChunkState::Damaged)],
                "byte {at}"
            );
        }
    }

    #[test]
    fn an_id_cannot_climb_out_of_the_folder() {
        let recordings = Recordings::new("/nowhere");
        for id in ["..", "a/b", "", "a\0", "/etc"] {
            assert!(matches!(
                recordings.reader(&AttemptId(id.to_owned()), &key()),
                Err(RecordingError::Id)
            ));
        }
    }

    #[test]
    fn a_recording_is_never_written_over() {
        let (_folder, recordings, attempt) = record(1);
        assert!(matches!(
            recordings.writer(&attempt, &key()),
            Err(RecordingError::Exists(_))
        ));
    }

    #[test]
    fn a_wav_file_is_the_stream() {
        let (folder, recordings, attempt) = record(5);
        let path = folder.path().join("out.wav");
        let mut reader = recordings.reader(&attempt, &key()).expect("it exists");
        reader
            .write_wav(&path)
            .expect("a temporary folder is writable");
        assert_eq!(
            fs::read(&path).expect("written").len() as u64,
            reader.wav_bytes()
        );
        assert!(reader.write_wav(&path).is_err());
    }
}
