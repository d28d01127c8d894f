//! One chunk file: header, frames, seal. All numbers little-endian.
//!
//! ```text
//! header 40 bytes  "ACRC" version:u16=2|3 codec:u8 channels:u8 index:u32 samples_per_second:u32 first_sample:u64 salt
//! frame  336 bytes left and right sample in turns, 20 ms, and their tag: AES-256-GCM, or SM4-GCM in version 3
//! seal   24 bytes  "SEAL" frames:u32 and the tag that says that there are so many
//! ```
//! The seal is shorter than a frame, so a torn or missing seal never looks like sound. Version 1 was not encrypted: no
//! salt, frames of 320 bytes, and a CRC-32 over header and frames in the seal. It is read still, and not written.

use aftercall_core::id::AttemptId;

use super::FRAME_SAMPLES;
use super::cipher::FileCipher;
use crate::vault::{Cipher, DataKey, TAG_BYTES};

/// Bytes of the sound of one stereo frame.
pub const FRAME_BYTES: usize = 2 * FRAME_SAMPLES;
/// Frames of a full chunk: five seconds.
pub const CHUNK_FRAMES: u32 = 250;

/// Bytes of one frame as it is written.
pub(super) const SEALED_FRAME_BYTES: usize = FRAME_BYTES + TAG_BYTES;
const PLAIN_HEADER_BYTES: usize = 24;
const SALT_BYTES: usize = 16;
pub(super) const SEALED_HEADER_BYTES: usize = PLAIN_HEADER_BYTES + SALT_BYTES;
const MAGIC: &[u8; 4] = b"ACRC";
const SEAL: &[u8; 4] = b"SEAL";
/// WAVE format tag of A-law (RFC 2361 §A).
const A_LAW: u8 = 6;

/// How a chunk's bytes lie, by its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Plain,
    /// By AES-256-GCM.
    Sealed,
    /// By SM4-GCM.
    Sm4,
}

impl Layout {
    /// By the first bytes of a file; what is too short to say is torn, and has no frame in either.
    pub(super) fn of(start: &[u8]) -> Self {
        match start.get(4..6) {
            Some([1, 0]) => Layout::Plain,
            Some([3, 0]) => Layout::Sm4,
            Some(_) | None => Layout::Sealed,
        }
    }

    pub(super) fn header_bytes(self) -> usize {
        match self {
            Layout::Plain => PLAIN_HEADER_BYTES,
            Layout::Sealed | Layout::Sm4 => SEALED_HEADER_BYTES,
        }
    }

    pub(super) fn frame_bytes(self) -> usize {
        match self {
            Layout::Plain => FRAME_BYTES,
            Layout::Sealed | Layout::Sm4 => SEALED_FRAME_BYTES,
        }
    }

    /// Whole frames in a chunk file of `bytes` bytes, sealed, torn or growing.
    pub(super) fn frames_in(self, bytes: u64) -> u32 {
        let body = bytes.saturating_sub(self.header_bytes() as u64);
        let frames = body / self.frame_bytes() as u64;
        u32::try_from(frames).unwrap_or(u32::MAX).min(CHUNK_FRAMES)
    }

    fn version(self) -> u16 {
        match self {
            Layout::Plain => 1,
            Layout::Sealed => 2,
            Layout::Sm4 => 3,
        }
    }

    /// The header without its salt.
    fn header(self, index: u32) -> [u8; PLAIN_HEADER_BYTES] {
        let first_sample = u64::from(index) * u64::from(CHUNK_FRAMES) * FRAME_SAMPLES as u64;
        let mut bytes = [0; PLAIN_HEADER_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&self.version().to_le_bytes());
        bytes[6] = A_LAW;
        bytes[7] = 2;
        bytes[8..12].copy_from_slice(&index.to_le_bytes());
        bytes[12..16].copy_from_slice(&8000_u32.to_le_bytes());
        bytes[16..24].copy_from_slice(&first_sample.to_le_bytes());
        bytes
    }
}

/// The file of chunk `index`.
pub(super) fn file_name(index: u32) -> String {
    format!("{index:06}.chunk")
}

/// The index in a file's name, if it is a chunk's.
pub(super) fn index_of(file_name: &str) -> Option<u32> {
    file_name.strip_suffix(".chunk")?.parse().ok()
}

/// The header of a chunk that is written by this cipher, with a salt of its own.
pub(super) fn header(index: u32, cipher: Cipher) -> std::io::Result<[u8; SEALED_HEADER_BYTES]> {
    let layout = match cipher {
        Cipher::Aes => Layout::Sealed,
        Cipher::Sm4 => Layout::Sm4,
    };
    let mut bytes = [0; SEALED_HEADER_BYTES];
    let (head, salt) = bytes.split_at_mut(PLAIN_HEADER_BYTES);
    head.copy_from_slice(&layout.header(index));
    getrandom::fill(salt).map_err(std::io::Error::other)?;
    Ok(bytes)
}

pub(super) fn seal(cipher: &FileCipher, frames: u32) -> Vec<u8> {
    let tag = cipher.seal(frames);
    [SEAL.as_slice(), &frames.to_le_bytes(), &tag].concat()
}

/// What a chunk's bytes say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    Sealed,
    /// Being written, or torn by a crash.
    Open,
    /// Changed on disk, another chunk's, or under another key.
    Damaged,
}

pub(super) fn state(bytes: &[u8], index: u32, key: &DataKey, attempt: &AttemptId) -> ChunkState {
    let layout = Layout::of(bytes);
    let Some((head, rest)) = bytes.split_at_checked(layout.header_bytes()) else {
        return ChunkState::Open;
    };
    if head[..PLAIN_HEADER_BYTES] != layout.header(index) {
        return ChunkState::Damaged;
    }
    let frames = layout.frames_in(bytes.len() as u64);
    let (body, rest) = rest.split_at(frames as usize * layout.frame_bytes());
    let seal = match head.try_into() {
        Ok(head) => {
            let cipher = FileCipher::new(key, attempt, head);
            if !opens(&cipher, body) {
                return ChunkState::Damaged;
            }
            seal(&cipher, frames)
        }
        Err(_) => plain_seal(head, body, frames),
    };
    if rest == seal {
        ChunkState::Sealed
    } else if rest.len() >= seal.len() && rest.starts_with(SEAL) {
        ChunkState::Damaged
    } else {
        ChunkState::Open
    }
}

fn opens(cipher: &FileCipher, body: &[u8]) -> bool {
    let (frames, _) = body.as_chunks::<SEALED_FRAME_BYTES>();
    (0..)
        .zip(frames)
        .all(|(position, frame)| cipher.open_frame(position, frame).is_some())
}

fn plain_seal(head: &[u8], body: &[u8], frames: u32) -> Vec<u8> {
    let mut checksum = Crc32::new();
    checksum.update(head);
    checksum.update(body);
    let sum = checksum.value().to_le_bytes();
    [SEAL.as_slice(), &frames.to_le_bytes(), &sum].concat()
}

/// CRC-32 (ISO 3309, as in Ethernet and zip), bit by bit over a table of 16.
#[derive(Clone, Debug)]
struct Crc32(u32);

impl Crc32 {
    fn new() -> Self {
        Self(u32::MAX)
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            self.0 = (self.0 >> 4) ^ NIBBLE[(self.0 & 15) as usize];
            self.0 = (self.0 >> 4) ^ NIBBLE[(self.0 & 15) as usize];
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

/// CRC of each half byte for the reversed polynomial 0xEDB88320.
const NIBBLE: [u32; 16] = [
    0x0000_0000,
    0x1db7_1064,
    0x3b6e_20c8,
    0x26d9_30ac,
    0x76dc_4190,
    0x6b6b_51f4,
    0x4db2_6158,
    0x5005_713c,
    0xedb8_8320,
    0xf00f_9344,
    0xd6d6_a3e8,
    0xcb61_b38c,
    0x9b64_c2b0,
    0x86d3_d2d4,
    0xa00a_e278,
    0xbdbd_f21c,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_ethernet_and_zip() {
        let mut checksum = Crc32::new();
        checksum.update(b"1234");
        checksum.update(b"56789");
        assert_eq!(checksum.value(), 0xcbf4_3926);
    }

    #[test]
    fn a_seal_is_never_counted_as_sound() {
        for (layout, seal) in [(Layout::Plain, 12), (Layout::Sealed, 24)] {
            let whole = layout.header_bytes() + 3 * layout.frame_bytes() + seal;
            assert_eq!(layout.frames_in(whole as u64), 3, "{layout:?}");
            assert_eq!(layout.frames_in(3), 0, "{layout:?}");
        }
    }

    #[test]
    fn a_recording_from_before_encryption_is_checked_by_its_sum() {
        let key = DataKey::new([1; 32]);
        let attempt = AttemptId("a".to_owned());
        let (head, body) = (Layout::Plain.header(4), [7; 2 * FRAME_BYTES]);
        let seal = plain_seal(&head, &body, 2);
        let mut whole = [head.as_slice(), &body, &seal].concat();
        let state_of = |bytes: &[u8]| state(bytes, 4, &key, &attempt);
        assert_eq!(state_of(&whole), ChunkState::Sealed);
        for length in 0..whole.len() {
            assert_eq!(
                state_of(&whole[..length]),
                ChunkState::Open,
                "cut to {length}"
            );
        }
        whole[30] ^= 1;
        assert_eq!(state_of(&whole), ChunkState::Damaged);
    }
}
