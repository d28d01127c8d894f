//! SIP over a stream: where one message ends and the next begins (RFC 3261 §18.3), and keep-alives (RFC 5626 §4.4.1).

/// A head or body longer than this is no telephone call's.
const MAX_MESSAGE: usize = 65_535;

/// What came out of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    Message(Vec<u8>),
    /// Two line breaks between messages: they want one back.
    Ping,
}

/// Why a stream cannot be read on: it must be closed, since nobody knows where the next message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("a message of more than {MAX_MESSAGE} bytes")]
    TooLong,
    #[error("Content-Length is not a number")]
    ContentLength,
}

/// Cuts what came over one connection into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message or ping; `None` until more has come.
    ///
    /// # Errors
    /// [`FramingError`]; nothing after it can be read.
    pub fn poll(&mut self) -> Result<Option<Framed>, FramingError> {
        let blank = self
            .buffer
            .iter()
            .position(|byte| !b"\r\n".contains(byte))
            .unwrap_or(self.buffer.len());
        if blank >= 4 {
            self.buffer.drain(..blank - blank % 4);
            return Ok(Some(Framed::Ping));
        }
        if blank < self.buffer.len() {
            self.buffer.drain(..blank);
        } else {
            // A lone line break is a pong, or the first half of a ping.
            return Ok(None);
        }
        let Some(head) = head_length(&self.buffer) else {
            let is_long = self.buffer.len() > MAX_MESSAGE;
            return if is_long {
                Err(FramingError::TooLong)
            } else {
                Ok(None)
            };
        };
        let length = head + content_length(&self.buffer[..head])?;
        if length > MAX_MESSAGE {
            return Err(FramingError::TooLong);
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        let rest = self.buffer.split_off(length);
        let message = std::mem::replace(&mut self.buffer, rest);
        Ok(Some(Framed::Message(message)))
    }
}

/// Up to and with the empty line.
fn head_length(buffer: &[u8]) -> Option<usize> {
    let mut line_is_empty = false;
    for (at, byte) in buffer.iter().enumerate() {
        match byte {
            b'\n' if line_is_empty => return Some(at + 1),
            b'\n' => line_is_empty = true,
            b'\r' => {}
            _ => line_is_empty = false,
        }
    }
    None
}

/// Over a stream the header is mandatory; a peer that leaves it out means no body.
fn content_length(head: &[u8]) -> Result<usize, FramingError> {
    let text = String::from_utf8_lossy(head);
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        if name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l") {
            let length = value.trim().parse::<usize>();
            return length
                .map(|length| length.min(MAX_MESSAGE + 1))
                .map_err(|_| FramingError::ContentLength);
        }
    }
    Ok(0)
}
