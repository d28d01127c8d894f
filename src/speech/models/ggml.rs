//! Writes a GGML whisper file from CTranslate2 weights, quantised to q8_0.
//!
//! The names, order and layout are those of OpenAI's checkpoint, as whisper.cpp reads them; matrices become q8_0
//! (per 32 numbers a half-precision scale and 32 bytes), convolutions f16, the rest f32. The bytes are the same as
//! whisper.cpp's own quantiser makes.

use std::io::{self, Write};
use std::thread;

use crate::speech::models::ct2::{Ct2, Ct2Error, Number, read_vocabulary, to_f32, widening_table};
use crate::speech::models::tensors::{Entry, entries};
use crate::speech::models::{half, mel};

/// Why the conversion failed.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error("the weights cannot be converted: {0}")]
    Weights(#[from] Ct2Error),
    #[error("the converted model cannot be written")]
    Write(#[from] io::Error),
}

/// Numbers in a block of q8_0, and its size: a scale and the numbers.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 34;

/// GGML's codes for how a tensor is kept, and for a whole file in q8_0.
const KIND_F32: i32 = 0;
const KIND_F16: i32 = 1;
const KIND_Q8: i32 = 8;
const FILE_Q8: i32 = 2007;

/// Writes the file; `progress` is told the finished share, 0–1.
///
/// # Errors
/// When the weights are not a whisper model of 16-bit or 32-bit floats, or writing fails.
pub fn write(
    blob: &[u8],
    vocabulary_name: &str,
    vocabulary: &[u8],
    out: &mut impl Write,
    progress: &mut impl FnMut(f64),
) -> Result<(), ConvertError> {
    let model = Ct2::parse(blob)?;
    let tokens = read_vocabulary(vocabulary_name, vocabulary)?;
    let entries = entries(&model)?;
    write_header(&entries, &tokens, out)?;
    let widened = widening_table();
    let (total, mut done) = (
        entries
            .iter()
            .map(|entry| entry.bytes.len())
            .sum::<usize>()
            .max(1),
        0,
    );
    for entry in &entries {
        write_tensor(entry, &widened, out)?;
        done += entry.bytes.len();
        progress(done as f64 / total as f64);
    }
    Ok(())
}

fn write_header(
    entries: &[Entry<'_>],
    tokens: &[Vec<u8>],
    out: &mut impl Write,
) -> Result<(), ConvertError> {
    let shape = |name: &str| {
        let entry = entries
            .iter()
            .find(|entry| entry.name == name && entry.shape.len() >= 2);
        entry
            .map(|entry| (entry.shape[0], entry.shape[1]))
            .ok_or_else(|| Ct2Error::NoTensor(name.to_owned()))
    };
    let layers = |side: &str| {
        let ending = ".attn.query.weight";
        entries
            .iter()
            .filter(|entry| {
                entry.name.starts_with(side)
                    && entry.name.ends_with(ending)
                    && !entry.name.contains("cross")
            })
            .count()
    };
    let (states, bands) = shape("encoder.conv1.weight")?;
    let (vocabulary, _) = shape("decoder.token_embedding.weight")?;
    let (audio_positions, _) = shape("encoder.positional_embedding")?;
    let (text_positions, _) = shape("decoder.positional_embedding")?;
    if vocabulary < 51_864 || ![50_256, 50_257].contains(&tokens.len()) {
        let why = format!(
            "{vocabulary} embeddings and {} plain tokens are not whisper's",
            tokens.len()
        );
        return Err(Ct2Error::Vocabulary(why).into());
    }
    let heads = states / 64;
    out.write_all(&0x6767_6D6C_u32.to_le_bytes())?;
    for size in [
        vocabulary,
        audio_positions,
        states,
        heads,
        layers("encoder"),
        text_positions,
        states,
        heads,
        layers("decoder"),
        bands,
    ] {
        int(out, size)?;
    }
    out.write_all(&FILE_Q8.to_le_bytes())?;
    int(out, bands)?;
    int(out, mel::BINS)?;
    for weight in mel::filters(bands) {
        out.write_all(&weight.to_le_bytes())?;
    }
    int(out, tokens.len())?;
    for token in tokens {
        int(out, token.len())?;
        out.write_all(token)?;
    }
    Ok(())
}

fn write_tensor(entry: &Entry<'_>, widened: &[f32], out: &mut impl Write) -> io::Result<()> {
    let name = entry.name.as_str();
    // whisper.cpp adds a convolution's bias to rows.
    let is_column = ["encoder.conv1.bias", "encoder.conv2.bias"].contains(&name);
    let shape = if is_column {
        vec![entry.shape[0], 1]
    } else {
        entry.shape.clone()
    };
    let is_weight =
        shape.len() >= 2 && !name.ends_with("bias") && !name.ends_with("positional_embedding");
    let kind = match (is_weight, shape.len()) {
        (true, 2) => KIND_Q8,
        (true, _) => KIND_F16,
        (false, _) => KIND_F32,
    };
    int(out, shape.len())?;
    int(out, name.len())?;
    out.write_all(&kind.to_le_bytes())?;
    for &extent in shape.iter().rev() {
        int(out, extent)?;
    }
    out.write_all(name.as_bytes())?;
    match (kind, entry.number) {
        (KIND_Q8, _) => out.write_all(&quantised(entry, widened)),
        (KIND_F16, Number::F16) | (KIND_F32, Number::F32) => out.write_all(entry.bytes),
        (KIND_F16, _) => {
            let halves = to_f32(entry.bytes, entry.number, widened)
                .into_iter()
                .map(half::from_f32);
            out.write_all(&halves.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
        }
        _ => {
            let wide = to_f32(entry.bytes, entry.number, widened).into_iter();
            out.write_all(&wide.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
        }
    }
}

/// The tensor in q8_0, made by as many threads as there are cores.
fn quantised(entry: &Entry<'_>, widened: &[f32]) -> Vec<u8> {
    let size = match entry.number {
        Number::F16 => 2,
        Number::F32 | Number::Other => 4,
    };
    let blocks = entry.bytes.len() / size / BLOCK;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = blocks.div_ceil(threads).max(1);
    let mut out = vec![0_u8; blocks * BLOCK_BYTES];
    thread::scope(|scope| {
        for (bytes, out) in entry
            .bytes
            .chunks(share * BLOCK * size)
            .zip(out.chunks_mut(share * BLOCK_BYTES))
        {
            scope.spawn(move || {
                for (bytes, out) in bytes.chunks(BLOCK * size).zip(out.chunks_mut(BLOCK_BYTES)) {
                    quantise_block(&to_f32(bytes, entry.number, widened), out);
                }
            });
        }
    });
    out
}

fn quantise_block(values: &[f32], out: &mut [u8]) {
    let loudest = values
        .iter()
        .fold(0.0_f32, |loudest, value| loudest.max(value.abs()));
    let scale = loudest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let (head, bytes) = out.split_at_mut(2);
    head.copy_from_slice(&half::from_f32(scale).to_le_bytes());
    for (byte, value) in bytes.iter_mut().zip(values) {
        let scaled = value * inverse;
        // C's roundf: half away from zero.
        *byte = ((scaled + 0.5_f32.copysign(scaled)) as i8).cast_unsigned();
    }
}

fn int(out: &mut impl Write, value: usize) -> io::Result<()> {
    let value = i32::try_from(value).map_err(io::Error::other)?;
    out.write_all(&value.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_scale_and_32_rounded_numbers() {
        let mut values = [0.0_f32; 32];
        values[..4].copy_from_slice(&[127.0, -63.5, 0.5, -0.4]);
        let mut out = [0_u8; 34];
        quantise_block(&values, &mut out);
        assert_eq!(out[..2], half::from_f32(1.0).to_le_bytes());
        assert_eq!(
            out[2..6]
                .iter()
                .map(|&byte| byte.cast_signed())
                .collect::<Vec<_>>(),
            [127, -64, 1, 0]
        );
        quantise_block(&[0.0; 32], &mut out);
        assert_eq!(out, [0; 34]);
    }
}
