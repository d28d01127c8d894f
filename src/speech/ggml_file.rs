//! Walks a GGML whisper file from end to end before whisper.cpp may load it.
//!
//! Read are: magic, 11 sizes, mel filters, vocabulary, tensors (name, shape, kind, data). Nothing may be left over
//! or missing.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Whole,
    /// Not a GGML file at all.
    Foreign,
    /// Begins as one, and goes wrong here.
    Broken(&'static str),
}

/// Larger than any whisper has: positions, states, layers, tokens.
const LARGEST: u32 = 60_000;

/// Looks at the structure, not at the weights.
///
/// # Errors
/// When the file cannot be read.
pub fn check(file: File) -> io::Result<Shape> {
    let length = file.metadata()?.len();
    let mut walk = Walk {
        file: BufReader::new(file),
        at: 0,
        length,
    };
    match walk.whole() {
        Ok(shape) => Ok(shape),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && walk.at < 4 => Ok(Shape::Foreign),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Ok(Shape::Broken("it ends too early"))
        }
        Err(error) => Err(error),
    }
}

struct Walk {
    file: BufReader<File>,
    at: u64,
    length: u64,
}

impl Walk {
    fn whole(&mut self) -> io::Result<Shape> {
        if self.u32()? != 0x6767_6D6C {
            return Ok(Shape::Foreign);
        }
        for _ in 0..11 {
            if self.u32()? > LARGEST {
                return Ok(Shape::Broken("a size in its head is impossible"));
            }
        }
        let (bands, bins) = (self.u32()?, self.u32()?);
        if ![80, 128].contains(&bands) || bins != 201 {
            return Ok(Shape::Broken("its mel filters have an impossible size"));
        }
        self.skip(u64::from(bands * bins * 4))?;
        let tokens = self.u32()?;
        if tokens > LARGEST {
            return Ok(Shape::Broken("its vocabulary has an impossible size"));
        }
        for _ in 0..tokens {
            let bytes = self.u32()?;
            self.skip(u64::from(bytes))?;
        }
        while self.at < self.length {
            if let Some(why) = self.tensor()? {
                return Ok(Shape::Broken(why));
            }
        }
        Ok(Shape::Whole)
    }

    /// Skips a tensor; tells what is wrong with it.
    fn tensor(&mut self) -> io::Result<Option<&'static str>> {
        let (dimensions, name, kind) = (self.u32()?, self.u32()?, self.u32()?);
        if !(1..=4).contains(&dimensions) || name > 200 {
            return Ok(Some("a tensor has an impossible name or shape"));
        }
        let mut numbers = 1_u64;
        for _ in 0..dimensions {
            numbers = numbers.saturating_mul(u64::from(self.u32()?));
        }
        self.skip(u64::from(name))?;
        let Some((block, bytes)) = block(kind) else {
            return Ok(Some("a tensor is kept in a way that is not known"));
        };
        self.skip((numbers / block).saturating_mul(bytes))?;
        Ok(None)
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.file.read_exact(&mut bytes)?;
        self.at += 4;
        Ok(u32::from_le_bytes(bytes))
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let left = self.length.saturating_sub(self.at);
        let short = bytes > left;
        let step = i64::try_from(bytes).ok().filter(|_| !short);
        let step = step.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))?;
        self.file.seek_relative(step)?;
        self.at += bytes;
        Ok(())
    }
}

/// Numbers in a block of GGML's kinds, and its bytes.
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (1, 4),
        1 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
}
