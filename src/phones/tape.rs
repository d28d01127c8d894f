//! What both sides of a call said, for listening afterwards: a stereo WAV, the robot left, the telephone right.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use aftercall_core::codec::{FRAME, G711, RATE_HZ};

/// A call's sound so far, A-law, two channels.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    bytes: Vec<u8>,
}

impl Tape {
    /// Appends one slot.
    pub fn push(&mut self, robot: &[i16; FRAME], telephone: &[i16; FRAME]) {
        for (left, right) in robot.iter().zip(telephone) {
            self.bytes.push(G711::A.encode(*left));
            self.bytes.push(G711::A.encode(*right));
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        const ALAW: u16 = 6;
        let length = u32::try_from(self.bytes.len()).map_err(io::Error::other)?;
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(b"RIFF")?;
        out.write_all(&(length + 38).to_le_bytes())?;
        out.write_all(b"WAVEfmt ")?;
        out.write_all(&18_u32.to_le_bytes())?;
        out.write_all(&ALAW.to_le_bytes())?;
        out.write_all(&2_u16.to_le_bytes())?;
        out.write_all(&RATE_HZ.to_le_bytes())?;
        out.write_all(&(2 * RATE_HZ).to_le_bytes())?;
        out.write_all(&[2, 0, 8, 0, 0, 0])?;
        out.write_all(b"data")?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&self.bytes)?;
        out.flush()
    }
}
