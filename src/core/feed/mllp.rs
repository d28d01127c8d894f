//! Frames of MLLP (HL7 v2 minimal lower layer protocol): `0x0B`, the message, `0x1C`, `0x0D`.
//!
//! A message longer than the limit is cut and said to be so; bytes between frames are passed over, a few of them.

const START: u8 = 0x0b;
const END: u8 = 0x1c;
const CARRIAGE_RETURN: u8 = 0x0d;

/// Bytes that may stand between two frames before the peer is taken for none of ours.
const NOISE: usize = 1024;

/// What was found in the bytes of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Message(Vec<u8>),
    /// The first bytes of a message that is longer than allowed; what follows is not read.
    TooLong(Vec<u8>),
    /// A message that a second one broke into before its end.
    Broken,
    /// The peer does not speak MLLP.
    Noise,
}

/// The cutter of one connection.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    inside: bool,
    held: Vec<u8>,
    noise: usize,
}

impl Frames {
    /// With the longest message that is taken, in bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            inside: false,
            held: Vec::new(),
            noise: 0,
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Takes bytes as they came; after [`Frame::TooLong`] and [`Frame::Noise`] the connection is to be closed.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut found = Vec::new();
        for byte in bytes {
            match (self.inside, *byte) {
                (false, START) => {
                    self.inside = true;
                    self.noise = 0;
                }
                (true, START) => {
                    self.held.clear();
                    found.push(Frame::Broken);
                }
                (true, END) => {
                    self.inside = false;
                    found.push(Frame::Message(std::mem::take(&mut self.held)));
                }
                (true, byte) if self.held.len() < self.limit => self.held.push(byte),
                (true, _) => {
                    self.inside = false;
                    found.push(Frame::TooLong(std::mem::take(&mut self.held)));
                    return found;
                }
                (false, CARRIAGE_RETURN) => {}
                (false, _) => {
                    self.noise += 1;
                    if self.noise > NOISE {
                        found.push(Frame::Noise);
                        return found;
                    }
                }
            }
        }
        found
    }
}

/// A message in its frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 3);
    bytes.push(START);
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(&[END, CARRIAGE_RETURN]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Frame, Frames, framed};

    fn message(text: &str) -> Frame {
        Frame::Message(text.as_bytes().to_vec())
    }

    #[test]
    fn split_and_joined_frames_are_the_same_messages() {
        let bytes = [framed(b"one"), framed(b"two")].concat();
        let whole = Frames::new(9).push(&bytes);
        assert_eq!(whole, [message("one"), message("two")]);
        let mut frames = Frames::new(9);
        let split: Vec<Frame> = bytes
            .iter()
            .flat_map(|byte| frames.push(std::slice::from_ref(byte)))
            .collect();
        assert_eq!(split, whole);
        assert!(!frames.is_inside());
    }

    #[test]
    fn what_is_no_message_is_named() {
        let mut frames = Frames::new(3);
        assert_eq!(frames.push(b"\r\n\x0babc"), []);
        assert!(frames.is_inside());
        assert_eq!(
            frames.push(b"\x0bx\x1c\r"),
            [Frame::Broken, message("x")],
            "a new start ends what had no end"
        );
        assert_eq!(frames.push(b"\x0babcd"), [Frame::TooLong(b"abc".to_vec())]);
        assert_eq!(Frames::new(3).push(&[b'G'; 1025]), [Frame::Noise]);
    }
}
