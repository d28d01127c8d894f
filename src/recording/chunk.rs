//! One chunk file: header, frames, seal. All numbers little-endian.
//!
//! ```text
//! header 24 bytes  "ACRC" version:u16 codec:u8 channels:u8 index:u32 samples_per_second:u32 first_sample:u64
//! frame  320 bytes left and right sample in turns, 20 ms
//! seal   12 bytes  "SEAL" frames:u32 crc32:u32 over header and frames
//! ```
//! The seal is shorter than a frame, so a torn or missing seal never looks like sound.

use super::FRAME_SAMPLES;

/// Bytes of one stereo frame.
pub const FRAME_BYTES: usize = 2 * FRAME_SAMPLES;
/// Frames of a full chunk: five seconds.
pub const CHUNK_FRAMES: u32 = 250;

pub(super) const HEADER_BYTES: usize = 24;
pub(super) const SEAL_BYTES: usize = 12;
const MAGIC: &[u8; 4] = b"ACRC";
const SEAL: &[u8; 4] = b"SEAL";
const VERSION: u16 = 1;
/// WAVE format tag of A-law (RFC 2361 §A).
const A_LAW: u8 = 6;

/// The file of chunk `index`.
pub(super) fn file_name(index: u32) -> String {
    format!("{index:06}.chunk")
}

/// The index in a file's name, if it is a chunk's.
pub(super) fn index_of(file_name: &str) -> Option<u32> {
    file_name.strip_suffix(".chunk")?.parse().ok()
}

pub(super) fn header(index: u32) -> [u8; HEADER_BYTES] {
    let first_sample = u64::from(index) * u64::from(CHUNK_FRAMES) * FRAME_SAMPLES as u64;
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes[6] = A_LAW;
    bytes[7] = 2;
    bytes[8..12].copy_from_slice(&index.to_le_bytes());
    bytes[12..16].copy_from_slice(&8000_u32.to_le_bytes());
    bytes[16..24].copy_from_slice(&first_sample.to_le_bytes());
    bytes
}

pub(super) fn seal(frames: u32, checksum: u32) -> [u8; SEAL_BYTES] {
    let mut bytes = [0; SEAL_BYTES];
    bytes[..4].copy_from_slice(SEAL);
    bytes[4..8].copy_from_slice(&frames.to_le_bytes());
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Whole frames in a chunk file of `bytes` bytes, sealed, torn or growing.
pub(super) fn frames_in(bytes: u64) -> u32 {
    let frames = bytes.saturating_sub(HEADER_BYTES as u64) / FRAME_BYTES as u64;
    u32::try_from(frames).unwrap_or(u32::MAX).min(CHUNK_FRAMES)
}

/// What a chunk's bytes say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    Sealed,
    /// Being written, or torn by a crash.
    Open,
    /// The header is another chunk's, or the checksum does not match: changed on disk.
    Damaged,
}

pub(super) fn state(bytes: &[u8], index: u32) -> ChunkState {
    let Some(head) = bytes.get(..HEADER_BYTES) else {
        return ChunkState::Open;
    };
    if head != header(index) {
        return ChunkState::Damaged;
    }
    let frames = frames_in(bytes.len() as u64);
    let end = HEADER_BYTES + frames as usize * FRAME_BYTES;
    let (body, rest) = bytes.split_at(end);
    if rest.len() < SEAL_BYTES {
        return ChunkState::Open;
    }
    let mut checksum = Crc32::new();
    checksum.update(body);
    if rest == seal(frames, checksum.value()) {
        ChunkState::Sealed
    } else {
        ChunkState::Damaged
    }
}

/// CRC-32 (ISO 3309, as in Ethernet and zip), bit by bit over a table of 16.
#[derive(Clone, Debug)]
pub(super) struct Crc32(u32);

impl Crc32 {
    pub(super) fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            self.0 = (self.0 >> 4) ^ NIBBLE[(self.0 & 15) as usize];
            self.0 = (self.0 >> 4) ^ NIBBLE[(self.0 & 15) as usize];
        }
    }

    pub(super) fn value(&self) -> u32 {
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
        let sealed = HEADER_BYTES + 3 * FRAME_BYTES + SEAL_BYTES;
        assert_eq!(frames_in(sealed as u64), 3);
        assert_eq!(frames_in(3), 0);
    }
}
