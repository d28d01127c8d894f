//! A smaller variant of a GGML whisper file with 16-bit or 32-bit weights, as hospitals bring their own.
//!
//! Header, mel filters and vocabulary are copied; matrices become the format wanted, all else stays as it is.

use std::io::{self, Read, Write};

use crate::speech::models::ct2::{Number, widening_table};
use crate::speech::models::ggml::{Written, is_matrix, quantised};
use crate::speech::models::quant::Format;

/// Why no variant was made.
#[derive(Debug, thiserror::Error)]
pub enum RequantiseError {
    #[error("not a GGML whisper model")]
    Foreign,
    #[error("its weights are quantised already; give the file with 16-bit weights")]
    Quantised,
    #[error("a size in it is impossible")]
    Size,
    #[error("it cannot be read, or the variant cannot be written")]
    File(#[from] io::Error),
}

/// Longest name, and most numbers, of a tensor.
const LONGEST_NAME: usize = 256;
const LARGEST: usize = 1 << 30;

/// Writes the variant.
///
/// # Errors
/// When the file is none that this can be done to, or ends early.
pub fn requantise(
    from: &mut impl Read,
    to: &mut impl Write,
    format: Format,
) -> Result<(), RequantiseError> {
    let mut copy = Copy { from, to };
    if copy.int()? != 0x6767_6D6C {
        return Err(RequantiseError::Foreign);
    }
    for _ in 0..10 {
        copy.int()?;
    }
    // The format of the whole file.
    copy.read_int()?;
    copy.write_int(format.file_kind())?;
    let (bands, bins) = (copy.size()?, copy.size()?);
    copy.bytes(bands * bins * 4)?;
    for _ in 0..copy.size()? {
        let length = copy.size()?;
        copy.bytes(length)?;
    }
    let widened = widening_table();
    while let Some(dimensions) = copy.tensor()? {
        copy.requantise(dimensions, format, &widened)?;
    }
    Ok(())
}

struct Copy<'a, R, W> {
    from: &'a mut R,
    to: &'a mut W,
}

impl<R: Read, W: Write> Copy<'_, R, W> {
    fn read_int(&mut self) -> io::Result<i32> {
        let mut bytes = [0; 4];
        self.from.read_exact(&mut bytes)?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn write_int(&mut self, value: i32) -> io::Result<()> {
        self.to.write_all(&value.to_le_bytes())
    }

    fn int(&mut self) -> io::Result<i32> {
        let value = self.read_int()?;
        self.write_int(value)?;
        Ok(value)
    }

    fn size(&mut self) -> Result<usize, RequantiseError> {
        size(self.int()?)
    }

    fn bytes(&mut self, count: usize) -> io::Result<()> {
        let copied = io::copy(&mut self.from.by_ref().take(count as u64), self.to)?;
        match copied == count as u64 {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The number of dimensions of the next tensor; `None` at the end of the file.
    fn tensor(&mut self) -> Result<Option<usize>, RequantiseError> {
        let mut bytes = [0; 4];
        if self.from.read(&mut bytes[..1])? == 0 {
            return Ok(None);
        }
        self.from.read_exact(&mut bytes[1..])?;
        let dimensions = size(i32::from_le_bytes(bytes))?;
        match dimensions {
            1..=4 => Ok(Some(dimensions)),
            _ => Err(RequantiseError::Size),
        }
    }

    fn requantise(
        &mut self,
        dimensions: usize,
        format: Format,
        widened: &[f32],
    ) -> Result<(), RequantiseError> {
        let name_length = size(self.read_int()?)?;
        let number = match self.read_int()? {
            0 => Number::F32,
            1 => Number::F16,
            _ => return Err(RequantiseError::Quantised),
        };
        let mut extents = Vec::new();
        for _ in 0..dimensions {
            extents.push(self.read_int()?);
        }
        let mut name = vec![0; name_length];
        if name_length > LONGEST_NAME {
            return Err(RequantiseError::Size);
        }
        self.from.read_exact(&mut name)?;
        let mut count = 1_usize;
        for &extent in &extents {
            count = count.saturating_mul(size(extent)?);
        }
        if count > LARGEST {
            return Err(RequantiseError::Size);
        }
        let mut weights = vec![0; count * if number == Number::F16 { 2 } else { 4 }];
        self.from.read_exact(&mut weights)?;
        let is_matrix = is_matrix(&String::from_utf8_lossy(&name), dimensions);
        let kind = match (is_matrix, number) {
            (true, _) => format.kind(),
            (false, Number::F16) => Written::F16.kind(),
            (false, Number::F32 | Number::Other) => Written::F32.kind(),
        };
        self.write_int(i32::try_from(dimensions).map_err(io::Error::other)?)?;
        self.write_int(i32::try_from(name_length).map_err(io::Error::other)?)?;
        self.write_int(kind)?;
        for extent in extents {
            self.write_int(extent)?;
        }
        self.to.write_all(&name)?;
        match is_matrix {
            true => self
                .to
                .write_all(&quantised(&weights, number, widened, format))?,
            false => self.to.write_all(&weights)?,
        }
        Ok(())
    }
}

fn size(value: i32) -> Result<usize, RequantiseError> {
    let size = usize::try_from(value).map_err(|_| RequantiseError::Size)?;
    match size <= LARGEST {
        true => Ok(size),
        false => Err(RequantiseError::Size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, kind: i32, extents: &[i32], data: &[u8]) -> Vec<u8> {
        let head = [extents.len() as i32, name.len() as i32, kind];
        let ints = head.iter().chain(extents).flat_map(|int| int.to_le_bytes());
        ints.chain(name.bytes())
            .chain(data.iter().copied())
            .collect()
    }

    fn model(kind: i32) -> Vec<u8> {
        let mut bytes: Vec<u8> = [0x6767_6D6C_i32, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
            .iter()
            .flat_map(|int| int.to_le_bytes())
            .collect();
        // One band of one bin, and one token.
        bytes.extend([1_i32, 1].iter().flat_map(|int| int.to_le_bytes()));
        bytes.extend(0.5_f32.to_le_bytes());
        bytes.extend([1_i32, 2].iter().flat_map(|int| int.to_le_bytes()));
        bytes.extend(b"ab");
        bytes.extend(tensor("x.bias", 0, &[2], &[0; 8]));
        let ones: Vec<u8> = 1.0_f32.to_le_bytes().repeat(64);
        bytes.extend(tensor("x.weight", kind, &[32, 2], &ones));
        bytes
    }

    #[test]
    fn matrices_become_smaller_and_the_rest_stays() {
        let mut made = Vec::new();
        let whole = model(0);
        requantise(&mut whole.as_slice(), &mut made, Format::Q8).expect("a whole model");
        assert_eq!(made.len(), whole.len() - 64 * 4 + 2 * 34);
        assert_eq!(made[44..48], 2007_i32.to_le_bytes());
        assert_eq!(made[made.len() - 34 + 2], 127);
        assert!(matches!(
            requantise(&mut model(8).as_slice(), &mut Vec::new(), Format::Q8),
            Err(RequantiseError::Quantised)
        ));
        for broken in [&whole[..whole.len() - 1], &whole[..50]] {
            let mut broken = broken;
            assert!(requantise(&mut broken, &mut Vec::new(), Format::Q8).is_err());
        }
        let foreign = requantise(&mut &b"RIFF0000"[..], &mut Vec::new(), Format::Q8);
        assert!(matches!(foreign, Err(RequantiseError::Foreign)));
    }
}
