//! The formats that whisper.cpp keeps matrices in, block by block, to the same bytes as its own quantiser.

use crate::speech::models::half;

/// Numbers in a block of any of them.
pub const BLOCK: usize = 32;

/// How the matrices of a model are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// 8.5 bits a number: a scale and 32 bytes. As good as 16 bits, and the fastest on most processors.
    #[value(name = "q8_0")]
    Q8,
    /// 5.5 bits: a scale and 32 numbers of 5 bits.
    #[value(name = "q5_0")]
    Q5,
    /// 6 bits: a scale, the least value and 32 numbers of 5 bits.
    #[value(name = "q5_1")]
    Q5Offset,
}

impl Format {
    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Format::Q8 => 34,
            Format::Q5 => 22,
            Format::Q5Offset => 24,
        }
    }

    /// GGML's code for a tensor.
    pub fn kind(self) -> i32 {
        match self {
            Format::Q5 => 6,
            Format::Q5Offset => 7,
            Format::Q8 => 8,
        }
    }

    /// GGML's code for a whole file, with the version of the formats (2).
    pub fn file_kind(self) -> i32 {
        match self {
            Format::Q8 => 2007,
            Format::Q5 => 2008,
            Format::Q5Offset => 2009,
        }
    }

    /// Puts 32 numbers into a block.
    pub fn quantise(self, values: &[f32], out: &mut [u8]) {
        match self {
            Format::Q8 => eight_bits(values, out),
            Format::Q5 => five_bits(values, out),
            Format::Q5Offset => five_bits_and_offset(values, out),
        }
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

fn eight_bits(values: &[f32], out: &mut [u8]) {
    let loudest = values
        .iter()
        .fold(0.0_f32, |loudest, value| loudest.max(value.abs()));
    let scale = loudest / 127.0;
    let inverse = inverse(scale);
    let (head, bytes) = out.split_at_mut(2);
    head.copy_from_slice(&half::from_f32(scale).to_le_bytes());
    for (byte, value) in bytes.iter_mut().zip(values) {
        let scaled = value * inverse;
        // C's roundf: half away from zero.
        *byte = ((scaled + 0.5_f32.copysign(scaled)) as i8).cast_unsigned();
    }
}

fn five_bits(values: &[f32], out: &mut [u8]) {
    let furthest = values.iter().fold(0.0_f32, |furthest, &value| {
        if value.abs() > furthest.abs() {
            value
        } else {
            furthest
        }
    });
    let scale = furthest / -16.0;
    let inverse = inverse(scale);
    let (head, rest) = out.split_at_mut(2);
    head.copy_from_slice(&half::from_f32(scale).to_le_bytes());
    pack(rest, |nth| {
        ((values[nth] * inverse + 16.5) as i8)
            .clamp(0, 31)
            .cast_unsigned()
    });
}

fn five_bits_and_offset(values: &[f32], out: &mut [u8]) {
    let least = values.iter().copied().fold(f32::MAX, f32::min);
    let most = values.iter().copied().fold(f32::MIN, f32::max);
    let scale = (most - least) / 31.0;
    let inverse = inverse(scale);
    let (head, rest) = out.split_at_mut(4);
    head[..2].copy_from_slice(&half::from_f32(scale).to_le_bytes());
    head[2..].copy_from_slice(&half::from_f32(least).to_le_bytes());
    pack(rest, |nth| ((values[nth] - least) * inverse + 0.5) as u8);
}

/// 32 numbers of 5 bits: the highest bits of all in four bytes, then two numbers a byte.
fn pack(out: &mut [u8], number: impl Fn(usize) -> u8) {
    let (high, low) = out.split_at_mut(4);
    let mut fifth = 0_u32;
    for (nth, byte) in low.iter_mut().enumerate() {
        let (first, second) = (number(nth), number(nth + BLOCK / 2));
        *byte = first & 0x0F | second << 4;
        fifth |= u32::from(first >> 4 & 1) << nth | u32::from(second >> 4 & 1) << (nth + BLOCK / 2);
    }
    high.copy_from_slice(&fifth.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_a_scale_and_32_rounded_numbers() {
        let mut values = [0.0_f32; 32];
        values[..4].copy_from_slice(&[127.0, -63.5, 0.5, -0.4]);
        let mut out = [0_u8; 34];
        Format::Q8.quantise(&values, &mut out);
        assert_eq!(out[..2], half::from_f32(1.0).to_le_bytes());
        let numbers: Vec<i8> = out[2..6].iter().map(|&byte| byte.cast_signed()).collect();
        assert_eq!(numbers, [127, -64, 1, 0]);
        Format::Q8.quantise(&[0.0; 32], &mut out);
        assert_eq!(out, [0; 34]);
    }

    #[test]
    fn five_bits_come_back_within_half_a_step() {
        let values: Vec<f32> = (0..32).map(|nth| (nth as f32 - 9.0) * 0.25).collect();
        let number = |rest: &[u8], nth: usize| {
            let high = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
            let byte = rest[4 + nth % 16];
            let low = if nth < 16 { byte & 0x0F } else { byte >> 4 };
            f32::from(low) + 16.0 * ((high >> nth & 1) as f32)
        };
        let read = |bytes: &[u8]| half::to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
        let mut out = [0_u8; 24];
        Format::Q5Offset.quantise(&values, &mut out);
        let (scale, least) = (read(&out), read(&out[2..]));
        for (nth, value) in values.iter().enumerate() {
            let back = number(&out[4..], nth) * scale + least;
            assert!(
                (back - value).abs() <= scale / 2.0 + 1e-3,
                "{value}: {back}"
            );
        }
        let mut out = [0_u8; 22];
        Format::Q5.quantise(&values, &mut out);
        let scale = read(&out);
        for (nth, value) in values.iter().enumerate() {
            let back = (number(&out[2..], nth) - 16.0) * scale;
            assert!(
                (back - value).abs() <= scale.abs() + 1e-3,
                "{value}: {back}"
            );
        }
    }
}
