//! Reads the weights of a CTranslate2 whisper model: `model.bin`, binary version 6.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::speech::models::half;

/// Why a `model.bin` or its vocabulary was refused.
#[derive(Debug, thiserror::Error)]
pub enum Ct2Error {
    #[error("not a CTranslate2 whisper model of version 6, but `{spec}` of version {version}")]
    Version { version: u32, spec: String },
    #[error("model.bin is broken at byte {at}: {why}")]
    Broken { at: usize, why: &'static str },
    #[error("model.bin has no tensor `{0}`")]
    NoTensor(String),
    #[error("{name}: {why}")]
    Tensor { name: String, why: &'static str },
    #[error("vocabulary: {0}")]
    Vocabulary(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    F32,
    F16,
    /// Integers: quantised by CTranslate2 itself, of no use here.
    Other,
}

/// One variable: numbers in the blob, row after row.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub number: Number,
    bytes: Range<usize>,
}

/// All variables of a model.
pub struct Ct2<'a> {
    blob: &'a [u8],
    tensors: BTreeMap<String, Tensor>,
}

impl<'a> Ct2<'a> {
    /// Reads the table of contents; the weights stay in the blob.
    ///
    /// # Errors
    /// When it is not a whisper model, or does not end where it should (a wrong or missing part).
    pub fn parse(blob: &'a [u8]) -> Result<Ct2<'a>, Ct2Error> {
        let mut reader = Reader { blob, at: 0 };
        let (version, spec) = (reader.u32()?, reader.string()?);
        if version != 6 || spec != "WhisperSpec" {
            return Err(Ct2Error::Version { version, spec });
        }
        let (_revision, count) = (reader.u32()?, reader.u32()?);
        let mut tensors = BTreeMap::new();
        for _ in 0..count {
            let name = reader.string()?;
            let rank = reader.u8()?;
            let shape = (0..rank)
                .map(|_| reader.u32().map(|size| size as usize))
                .collect::<Result<Vec<_>, _>>()?;
            let number = match reader.u8()? {
                0 => Number::F32,
                4 => Number::F16,
                _ => Number::Other,
            };
            let length = reader.u32()? as usize;
            let bytes = reader.at..reader.at + reader.take(length)?.len();
            tensors.insert(
                name,
                Tensor {
                    shape,
                    number,
                    bytes,
                },
            );
        }
        for _ in 0..reader.u32()? {
            let (alias, target) = (reader.string()?, reader.string()?);
            let tensor = tensors
                .get(&target)
                .cloned()
                .ok_or(Ct2Error::NoTensor(target))?;
            tensors.insert(alias, tensor);
        }
        if reader.at != blob.len() {
            return Err(Ct2Error::Broken {
                at: reader.at,
                why: "bytes left over: a wrong or missing part",
            });
        }
        Ok(Ct2 { blob, tensors })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// # Errors
    /// When there is no such tensor, or it is no matrix of floating-point numbers.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Ct2Error> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| Ct2Error::NoTensor(name.to_owned()))?;
        let wrong = |why| {
            Err(Ct2Error::Tensor {
                name: name.to_owned(),
                why,
            })
        };
        let size = match tensor.number {
            Number::F32 => 4,
            Number::F16 => 2,
            Number::Other => return wrong("integers; the model must be in float16 or float32"),
        };
        match tensor
            .shape
            .iter()
            .try_fold(size, |bytes: usize, &extent| bytes.checked_mul(extent))
        {
            Some(bytes) if bytes == tensor.bytes.len() && !tensor.shape.is_empty() => Ok(tensor),
            _ => wrong("its size does not fit its shape"),
        }
    }

    /// The bytes of some rows (of the first dimension).
    pub fn rows(&self, tensor: &Tensor, rows: &Range<usize>) -> Option<&'a [u8]> {
        let count = *tensor.shape.first()?;
        let row = tensor.bytes.len().checked_div(count)?;
        let start = tensor.bytes.start;
        (rows.end <= count).then(|| &self.blob[start + rows.start * row..start + rows.end * row])
    }
}

/// Numbers as f32; `widened` is [`widening_table`], because a table is fast in an unoptimised build too.
pub fn to_f32(bytes: &[u8], number: Number, widened: &[f32]) -> Vec<f32> {
    match number {
        Number::F16 => bytes
            .chunks_exact(2)
            .map(|b| widened[usize::from(u16::from_le_bytes([b[0], b[1]]))])
            .collect(),
        Number::F32 | Number::Other => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
    }
}

/// The value of every half-precision number.
pub fn widening_table() -> Vec<f32> {
    (0..=u16::MAX).map(half::to_f32).collect()
}

/// The bytes of each plain token by id, up to the first special one. GPT-2's vocabulary writes bytes as letters.
///
/// # Errors
/// When it is no list of tokens, or has no end-of-text token.
pub fn read_vocabulary(name: &str, text: &[u8]) -> Result<Vec<Vec<u8>>, Ct2Error> {
    let wrong = |why: &str| Ct2Error::Vocabulary(format!("{name}: {why}"));
    let text = std::str::from_utf8(text).map_err(|_| wrong("not UTF-8"))?;
    let tokens: Vec<String> = if name.ends_with(".json") {
        serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?
    } else {
        text.split('\n').map(str::to_owned).collect()
    };
    let is_printable = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let printable = (0..=u8::MAX)
        .filter(is_printable)
        .map(|byte| (char::from(byte), byte));
    let rest = (0..=u8::MAX)
        .filter(|byte| !is_printable(byte))
        .zip('\u{100}'..)
        .map(|(byte, letter)| (letter, byte));
    let letters: BTreeMap<char, u8> = printable.chain(rest).collect();
    let plain = tokens
        .iter()
        .position(|token| token == "<|endoftext|>")
        .ok_or_else(|| wrong("no <|endoftext|>"))?;
    let bytes = |token: &String| {
        token
            .chars()
            .map(|letter| letters.get(&letter).copied())
            .collect::<Option<Vec<u8>>>()
    };
    tokens[..plain]
        .iter()
        .map(|token| bytes(token).ok_or_else(|| wrong("a token is not written in GPT-2's letters")))
        .collect()
}

struct Reader<'a> {
    blob: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Ct2Error> {
        let taken = self
            .at
            .checked_add(length)
            .and_then(|end| self.blob.get(self.at..end));
        let taken = taken.ok_or(Ct2Error::Broken {
            at: self.at,
            why: "it ends too early: a wrong or missing part",
        })?;
        self.at += length;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Ct2Error> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, Ct2Error> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Two bytes of length, counted with the final NUL.
    fn string(&mut self) -> Result<String, Ct2Error> {
        let at = self.at;
        let length = self.take(2)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let [text @ .., 0] = self.take(length)? else {
            return Err(Ct2Error::Broken {
                at,
                why: "a name without its end",
            });
        };
        String::from_utf8(text.to_vec()).map_err(|_| Ct2Error::Broken {
            at,
            why: "a name that is not UTF-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_or_foreign_file_is_refused() {
        let mut blob = 6_u32.to_le_bytes().to_vec();
        blob.extend([12, 0]);
        blob.extend(b"WhisperSpec\0");
        assert!(matches!(Ct2::parse(&blob), Err(Ct2Error::Broken { .. })));
        assert!(matches!(
            Ct2::parse(b"PK\x03\x04, and more"),
            Err(Ct2Error::Broken { .. } | Ct2Error::Version { .. })
        ));
        blob.extend([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(Ct2::parse(&blob).is_ok_and(|model| model.names().count() == 0));
        blob.push(0);
        assert!(matches!(
            Ct2::parse(&blob),
            Err(Ct2Error::Broken { at: 30, .. })
        ));
    }

    #[test]
    fn tokens_are_bytes_again() {
        let tokens = read_vocabulary("v.txt", "!\nĠthe\nä½ł\n<|endoftext|>\n<|zh|>".as_bytes())
            .expect("a vocabulary");
        assert_eq!(
            tokens,
            [b"!".to_vec(), b" the".to_vec(), "你".as_bytes().to_vec()]
        );
        assert!(read_vocabulary("v.json", b"{}").is_err());
    }
}
