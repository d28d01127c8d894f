//! The codecs of a call: G.711, the two that every telephone network speaks, and G.722 by name.
//!
//! G.711 has 8,000 samples and 8,000 bytes a second, one byte a sample, no state: a frame can be dropped, repeated or
//! replaced without harm to the next. Decoding is a table of 256 values; encoding follows ITU-T G.711 (the
//! segment search of the reference code of G.191), so that decode and encode are inverse for every byte.

use serde::{Deserialize, Serialize};

/// Samples and RTP clock ticks a second (RFC 3551 §4.5.14).
pub const RATE_HZ: u32 = 8_000;
/// Samples of one 20 ms frame: what every part of a call works in.
pub const FRAME: usize = 160;
/// Milliseconds of one frame.
pub const FRAME_MS: u64 = 20;
/// The payload type that our offers give telephone-event (RFC 4733); answers take the peer's.
pub const TELEPHONE_EVENT: u8 = 101;

/// What may be agreed on: A-law (Europe, China), µ-law (North America, Japan), or the wide-band G.722, of which we use the
/// lower half (`rtp::g722`).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    #[display("PCMA")]
    Pcma,
    #[display("PCMU")]
    Pcmu,
    #[display("G722")]
    G722,
}

/// The two laws of G.711: a byte a sample, without a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum G711 {
    A,
    Mu,
}

impl Codec {
    /// Reads an encoding name of SDP or of a trunk file, in any case.
    pub fn parse(name: &str) -> Option<Codec> {
        if name.eq_ignore_ascii_case("PCMA") {
            Some(Codec::Pcma)
        } else if name.eq_ignore_ascii_case("PCMU") {
            Some(Codec::Pcmu)
        } else if name.eq_ignore_ascii_case("G722") {
            Some(Codec::G722)
        } else {
            None
        }
    }

    /// The encoding name in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcma => "PCMA",
            Codec::Pcmu => "PCMU",
            Codec::G722 => "G722",
        }
    }

    /// The static payload type (RFC 3551 §6).
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Pcma => 8,
            Codec::Pcmu => 0,
            Codec::G722 => 9,
        }
    }

    /// The codec of a static payload type.
    pub fn of_payload_type(payload_type: u8) -> Option<Codec> {
        match payload_type {
            8 => Some(Codec::Pcma),
            0 => Some(Codec::Pcmu),
            9 => Some(Codec::G722),
            _ => None,
        }
    }

    /// The law, where it is G.711.
    pub fn g711(self) -> Option<G711> {
        match self {
            Codec::Pcma => Some(G711::A),
            Codec::Pcmu => Some(G711::Mu),
            Codec::G722 => None,
        }
    }
}

impl G711 {
    /// The byte of a sample.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            G711::A => encode_alaw(sample),
            G711::Mu => encode_ulaw(sample),
        }
    }

    /// The sample of a byte.
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            G711::A => ALAW[usize::from(byte)],
            G711::Mu => ULAW[usize::from(byte)],
        }
    }

    /// Encodes samples one by one.
    pub fn encode_all(self, samples: &[i16]) -> Vec<u8> {
        samples.iter().map(|&sample| self.encode(sample)).collect()
    }

    /// Decodes bytes one by one.
    pub fn decode_all(self, bytes: &[u8]) -> Vec<i16> {
        bytes.iter().map(|&byte| self.decode(byte)).collect()
    }
}

static ALAW: [i16; 256] = table(true);
static ULAW: [i16; 256] = table(false);

const fn table(alaw: bool) -> [i16; 256] {
    let mut values = [0_i16; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        values[byte] = if alaw {
            decode_alaw(byte as u8)
        } else {
            decode_ulaw(byte as u8)
        };
        byte += 1;
    }
    values
}

/// 13-bit linear, left-justified in 16 bits; even bits are inverted on the line (G.711 table 1a).
const fn decode_alaw(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let segment = (code >> 4) & 0x07;
    let step = ((code & 0x0f) as i16) << 4;
    let magnitude = match segment {
        0 => step + 8,
        1 => step + 0x108,
        _ => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// 14-bit linear, left-justified in 16 bits; all bits are inverted on the line (G.711 table 2a).
const fn decode_ulaw(byte: u8) -> i16 {
    let code = !byte;
    let segment = (code >> 4) & 0x07;
    let magnitude = ((((code & 0x0f) as i16) << 3) + ULAW_BIAS) << segment;
    if code & 0x80 != 0 {
        ULAW_BIAS - magnitude
    } else {
        magnitude - ULAW_BIAS
    }
}

const ULAW_BIAS: i16 = 0x84;

fn encode_alaw(sample: i16) -> u8 {
    // One's complement for negatives, as G.711 counts them: -1 lies in the smallest negative step.
    let (mask, magnitude) = if sample >= 0 {
        (0xd5_u8, sample)
    } else {
        (0x55_u8, !sample)
    };
    let magnitude = magnitude >> 4;
    let code = if magnitude < 16 {
        magnitude as u8
    } else {
        let segment = 12 - magnitude.leading_zeros() as u8;
        (segment << 4) | ((magnitude >> (segment - 1)) as u8 & 0x0f)
    };
    code ^ mask
}

fn encode_ulaw(sample: i16) -> u8 {
    const CLIP: i32 = 32_635;
    let (sign, magnitude) = if sample < 0 {
        (0x80_u8, -i32::from(sample))
    } else {
        (0, i32::from(sample))
    };
    let biased = magnitude.min(CLIP) + i32::from(ULAW_BIAS);
    let segment = 24 - biased.leading_zeros() as u8;
    let step = (biased >> (segment + 3)) as u8 & 0x0f;
    !(sign | (segment << 4) | step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_decode_and_encode() {
        for law in [G711::A, G711::Mu] {
            for byte in 0..=255_u8 {
                let sample = law.decode(byte);
                // µ-law has two zeros, 0x7f and 0xff; encoders choose the positive one.
                let expected = if law == G711::Mu && byte == 0x7f {
                    0xff
                } else {
                    byte
                };
                assert_eq!(law.encode(sample), expected, "{law:?} {byte:#x} {sample}");
            }
        }
    }

    #[test]
    fn known_values_of_the_reference_tables() {
        assert_eq!(G711::A.decode(0xd5), 8);
        assert_eq!(G711::A.decode(0x55), -8);
        assert_eq!(G711::A.decode(0xaa), 32_256);
        assert_eq!(G711::A.decode(0x2a), -32_256);
        assert_eq!(G711::Mu.decode(0xff), 0);
        assert_eq!(G711::Mu.decode(0x80), 32_124);
        assert_eq!(G711::Mu.decode(0x00), -32_124);
        assert_eq!(G711::A.encode(0), 0xd5);
        assert_eq!(G711::Mu.encode(0), 0xff);
    }

    #[test]
    fn the_error_stays_below_one_step_over_the_whole_range() {
        for law in [G711::A, G711::Mu] {
            for sample in i16::MIN..=i16::MAX {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();
                let bound = 16 + i32::from(sample).abs() / 24;
                assert!(error <= bound, "{law:?} {sample} {error}");
            }
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(Codec::parse("pcma"), Some(Codec::Pcma));
        assert_eq!(Codec::parse("PCMU"), Some(Codec::Pcmu));
        assert_eq!(Codec::parse("G729"), None);
        assert_eq!(Codec::of_payload_type(8), Some(Codec::Pcma));
    }
}
