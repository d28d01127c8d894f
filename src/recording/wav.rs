//! The WAV header in front of a recording: format 6 (A-law), `fact`, and the label that the robot's voice is made
//! by a machine (the marking of generated speech in the file's metadata).

use super::{FRAME_BYTES, FRAME_SAMPLES};

/// RIFF text chunks are padded to an even length.
const LABEL: &[u8; 64] = b"aftercall; left: synthetic speech (AI generated); right: callee\0";
const LIST_BYTES: u32 = 4 + 8 + LABEL.len() as u32;

/// RIFF 12, fmt 8+18, fact 8+4, LIST 8+4+8+64, data 8.
pub(super) const WAV_HEADER_BYTES: usize = 12 + 26 + 12 + 8 + LIST_BYTES as usize + 8;

/// The header for a recording of `frames` frames.
pub(super) fn header(frames: u64) -> [u8; WAV_HEADER_BYTES] {
    let data =
        u32::try_from(frames * FRAME_BYTES as u64).unwrap_or(u32::MAX - WAV_HEADER_BYTES as u32);
    let samples = u32::try_from(frames * FRAME_SAMPLES as u64).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(WAV_HEADER_BYTES);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(WAV_HEADER_BYTES as u32 - 8 + data).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt ");
    bytes.extend_from_slice(&18_u32.to_le_bytes());
    bytes.extend_from_slice(&6_u16.to_le_bytes()); // WAVE_FORMAT_ALAW
    bytes.extend_from_slice(&2_u16.to_le_bytes()); // channels
    bytes.extend_from_slice(&8000_u32.to_le_bytes());
    bytes.extend_from_slice(&16000_u32.to_le_bytes()); // bytes a second
    bytes.extend_from_slice(&2_u16.to_le_bytes()); // block align
    bytes.extend_from_slice(&8_u16.to_le_bytes()); // bits a sample
    bytes.extend_from_slice(&0_u16.to_le_bytes()); // no extension
    bytes.extend_from_slice(b"fact");
    bytes.extend_from_slice(&4_u32.to_le_bytes());
    bytes.extend_from_slice(&samples.to_le_bytes());
    bytes.extend_from_slice(b"LIST");
    bytes.extend_from_slice(&LIST_BYTES.to_le_bytes());
    bytes.extend_from_slice(b"INFOICMT");
    bytes.extend_from_slice(&(LABEL.len() as u32).to_le_bytes());
    bytes.extend_from_slice(LABEL);
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&data.to_le_bytes());
    bytes
        .try_into()
        .expect("the parts add up to WAV_HEADER_BYTES")
}

/// A WAV file of the robot's voice alone, 8 kHz, 16 bits, labelled as synthetic speech.
pub fn speech_wav(samples: &[i16]) -> Vec<u8> {
    const LABEL: &[u8; 44] = b"aftercall; synthetic speech (AI generated)\0\0";
    let data = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let list = 4 + 8 + LABEL.len() as u32;
    let mut bytes = Vec::with_capacity(samples.len() * 2 + 128);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(4 + 24 + 8 + list + 8 + data).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt ");
    bytes.extend_from_slice(&16_u32.to_le_bytes());
    bytes.extend_from_slice(&1_u16.to_le_bytes()); // WAVE_FORMAT_PCM
    bytes.extend_from_slice(&1_u16.to_le_bytes()); // channels
    bytes.extend_from_slice(&8000_u32.to_le_bytes());
    bytes.extend_from_slice(&16000_u32.to_le_bytes()); // bytes a second
    bytes.extend_from_slice(&2_u16.to_le_bytes()); // block align
    bytes.extend_from_slice(&16_u16.to_le_bytes()); // bits a sample
    bytes.extend_from_slice(b"LIST");
    bytes.extend_from_slice(&list.to_le_bytes());
    bytes.extend_from_slice(b"INFOICMT");
    bytes.extend_from_slice(&(LABEL.len() as u32).to_le_bytes());
    bytes.extend_from_slice(LABEL);
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&data.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoken_file_is_read_back_and_says_that_a_machine_made_it() {
        let spoken: Vec<i16> = (0..800).map(|i| i * 30).collect();
        let file = speech_wav(&spoken);
        let riff = u32::from_le_bytes(file[4..8].try_into().expect("four bytes"));
        assert_eq!(riff as usize + 8, file.len());
        assert!(file.windows(16).any(|part| part == b"synthetic speech"));
        let back = crate::speech::audio::decode_bytes(file, "said.wav").expect("a whole file");
        assert_eq!(back, spoken);
    }

    #[test]
    fn the_sizes_in_the_header_add_up() {
        let bytes = header(3);
        let riff = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
        assert_eq!(riff as usize + 8, WAV_HEADER_BYTES + 3 * FRAME_BYTES);
        assert_eq!(bytes[WAV_HEADER_BYTES - 8..WAV_HEADER_BYTES - 4], *b"data");
        assert!(WAV_HEADER_BYTES.is_multiple_of(2));
    }
}
