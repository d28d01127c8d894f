//! G.722 at 64 kbit/s (ITU-T G.722, RFC 3551 §4.5.2) by `audio-codec`: its lower band alone, 8,000 samples a second.
//!
//! Recogniser, prompts and recording have 8 kHz, so the upper band would be thrown away. The RTP clock is 8 kHz all the
//! same, and a frame has as many bytes as in G.711. Each direction has a state: a lost packet is heard for a moment.
//! The crate decodes the lower band alone; what it encodes from 8 kHz is wrong in 0.4.13 (a shift before a subtraction), so
//! that we give it 16 kHz, every second sample made by interpolation.

use audio_codec::g722::{Bitrate, G722Decoder, G722Encoder};
use audio_codec::{Decoder, Encoder};

use crate::codec::FRAME;

/// Samples before a frame that the interpolation looks at.
const PAST: usize = 7;
/// Half of a symmetric filter for the place between two samples: a sinc under a Hamming window, in 1/32768.
const BETWEEN: [i32; 4] = [20_198, -4_994, 1_523, -343];

/// Both directions of a stream.
pub struct G722 {
    encoder: G722Encoder,
    decoder: G722Decoder,
    past: [i16; PAST],
}

impl G722 {
    pub fn new() -> G722 {
        G722 {
            encoder: G722Encoder::with_options(Bitrate::Mode1_64000, false, false),
            decoder: G722Decoder::with_options(Bitrate::Mode1_64000, false, true),
            past: [0; PAST],
        }
    }

    pub fn encode(&mut self, frame: &[i16; FRAME]) -> Vec<u8> {
        let wide = self.twice_as_many(frame);
        let mut bytes = vec![0; self.encoder.max_encode_bytes(wide.len())];
        let length = self.encoder.encode_into(&wide, &mut bytes).unwrap_or(0);
        bytes.truncate(length);
        bytes
    }

    /// 16,000 samples a second, half a millisecond later.
    fn twice_as_many(&mut self, frame: &[i16; FRAME]) -> Vec<i16> {
        let samples = [&self.past[..], &frame[..]].concat();
        let mut wide = Vec::with_capacity(2 * FRAME);
        for around in samples.windows(PAST + 1) {
            let taps = BETWEEN.iter().enumerate();
            let sum: i32 = taps
                .map(|(k, tap)| tap * (i32::from(around[3 - k]) + i32::from(around[4 + k])))
                .sum();
            let between = (sum >> 15).clamp(i32::from(i16::MIN), i32::from(i16::MAX));
            wide.extend([around[3], between as i16]);
        }
        self.past.copy_from_slice(&frame[FRAME - PAST..]);
        wide
    }

    /// Of packets in the order in which they came.
    pub fn decode(&mut self, bytes: &[u8]) -> Vec<i16> {
        let mut samples = vec![0; self.decoder.max_decode_samples(bytes.len())];
        let length = self.decoder.decode_into(bytes, &mut samples).unwrap_or(0);
        samples.truncate(length);
        samples
    }
}

impl std::fmt::Debug for G722 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("G722")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends ours, 20 ms at a time: a tone comes back with its level, and with little beside it.
    #[test]
    fn a_tone_comes_back_as_it_was() {
        for hz in [200.0, 1_000.0, 3_000.0_f64] {
            let (mut one, mut other) = (G722::new(), G722::new());
            let turn = hz / 8_000.0 * std::f64::consts::TAU;
            let sample = |n: usize| ((n as f64 * turn).sin() * 8_000.0) as i16;
            let (mut power, mut back, mut real, mut imaginary) = (0.0, 0.0, 0.0, 0.0);
            for slot in 0..50 {
                let frame: [i16; FRAME] = std::array::from_fn(|at| sample(slot * FRAME + at));
                let bytes = one.encode(&frame);
                assert_eq!(bytes.len(), FRAME);
                let heard = other.decode(&bytes);
                assert_eq!(heard.len(), FRAME);
                // In its first moments the codec finds its scale.
                for (at, heard) in heard.iter().enumerate().filter(|_| slot >= 10) {
                    let (sent, heard) = (f64::from(frame[at]), f64::from(*heard));
                    let phase = (slot * FRAME + at) as f64 * turn;
                    power += sent * sent;
                    back += heard * heard;
                    real += heard * phase.cos();
                    imaginary += heard * phase.sin();
                }
            }
            let count = (40 * FRAME) as f64;
            let tone = 2.0 * (real * real + imaginary * imaginary) / count;
            assert!(
                tone > 0.98 * back,
                "{hz} Hz: {:.3} of it is the tone",
                tone / back
            );
            let level = 10.0 * (back / power).log10();
            assert!(level.abs() < 1.0, "{hz} Hz: {level:.2} dB");
        }
    }
}
