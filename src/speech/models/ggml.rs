//! Writes a GGML whisper file from CTranslate2 weights, quantised.
//!
//! The names, order and layout are those of OpenAI's checkpoint, as whisper.cpp reads them; matrices become blocks of 32
//! numbers ([`super::quant`]), convolutions f16, the rest f32. The bytes are the same as whisper.cpp's own quantiser
//! makes.

use std::io::{self, Write};
use std::thread;

use crate::speech::models::ct2::{Ct2, Ct2Error, Number, read_vocabulary, to_f32, widening_table};
use crate::speech::models::quant::{BLOCK, Format};
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

/// How a tensor is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Written {
    F32,
    F16,
    Quantised(Format),
}

impl Written {
    /// GGML's code.
    pub fn kind(self) -> i32 {
        match self {
            Written::F32 => 0,
            Written::F16 => 1,
            Written::Quantised(format) => format.kind(),
        }
    }
}

/// Writes the file; `progress` is told the finished share, 0–1.
///
/// # Errors
/// When the weights are not a whisper model of 16-bit or 32-bit floats, or writing fails.
pub fn write(
    blob: &[u8],
    vocabulary_name: &str,
    vocabulary: &[u8],
    format: Format,
    out: &mut impl Write,
    progress: &mut impl FnMut(f64),
) -> Result<(), ConvertError> {
    let model = Ct2::parse(blob)?;
    let tokens = read_vocabulary(vocabulary_name, vocabulary)?;
    let entries = entries(&model)?;
    write_header(&entries, &tokens, format, out)?;
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
        write_tensor(entry, &widened, format, out)?;
        done += entry.bytes.len();
        progress(done as f64 / total as f64);
    }
    Ok(())
}

fn write_header(
    entries: &[Entry<'_>],
    tokens: &[Vec<u8>],
    format: Format,
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
    out.write_all(&format.file_kind().to_le_bytes())?;
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

/// Whether a tensor is a matrix of weights, which alone is quantised.
pub fn is_matrix(name: &str, dimensions: usize) -> bool {
    dimensions == 2 && is_weight(name)
}

fn is_weight(name: &str) -> bool {
    !name.ends_with("bias") && !name.ends_with("positional_embedding")
}

fn write_tensor(
    entry: &Entry<'_>,
    widened: &[f32],
    format: Format,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = entry.name.as_str();
    // whisper.cpp adds a convolution's bias to rows.
    let is_column = ["encoder.conv1.bias", "encoder.conv2.bias"].contains(&name);
    let shape = if is_column {
        vec![entry.shape[0], 1]
    } else {
        entry.shape.clone()
    };
    let written = match shape.len() {
        _ if is_matrix(name, shape.len()) => Written::Quantised(format),
        3.. if is_weight(name) => Written::F16,
        _ => Written::F32,
    };
    int(out, shape.len())?;
    int(out, name.len())?;
    out.write_all(&written.kind().to_le_bytes())?;
    for &extent in shape.iter().rev() {
        int(out, extent)?;
    }
    out.write_all(name.as_bytes())?;
    match (written, entry.number) {
        (Written::Quantised(format), number) => {
            out.write_all(&quantised(entry.bytes, number, widened, format))
        }
        (Written::F16, Number::F16) | (Written::F32, Number::F32) => out.write_all(entry.bytes),
        (Written::F16, _) => {
            let halves = to_f32(entry.bytes, entry.number, widened)
                .into_iter()
                .map(half::from_f32);
            out.write_all(&halves.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
        }
        (Written::F32, _) => {
            let wide = to_f32(entry.bytes, entry.number, widened).into_iter();
            out.write_all(&wide.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
        }
    }
}

/// A matrix in blocks, made by as many threads as there are cores.
pub fn quantised(weights: &[u8], number: Number, widened: &[f32], format: Format) -> Vec<u8> {
    let size = match number {
        Number::F16 => 2,
        Number::F32 | Number::Other => 4,
    };
    let block_bytes = format.block_bytes();
    let blocks = weights.len() / size / BLOCK;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = blocks.div_ceil(threads).max(1);
    let mut out = vec![0_u8; blocks * block_bytes];
    thread::scope(|scope| {
        for (bytes, out) in weights
            .chunks(share * BLOCK * size)
            .zip(out.chunks_mut(share * block_bytes))
        {
            scope.spawn(move || {
                for (bytes, out) in bytes.chunks(BLOCK * size).zip(out.chunks_mut(block_bytes)) {
                    format.quantise(&to_f32(bytes, number, widened), out);
                }
            });
        }
    });
    out
}

fn int(out: &mut impl Write, value: usize) -> io::Result<()> {
    let value = i32::try_from(value).map_err(io::Error::other)?;
    out.write_all(&value.to_le_bytes())
}
