//! Frames of a chunk under AES-256-GCM or SM4-GCM, as its version says, each by itself: a file that is torn at any byte opens up to its last whole frame.
//!
//! The key is the chunk file's own (HKDF from the patient's key for audio, over the file's salt, its header and the
//! attempt), so a counter is nonce enough, and no chunk or frame can be passed off as another.

use aftercall_core::id::AttemptId;

use super::chunk::{FRAME_BYTES, Layout, SEALED_FRAME_BYTES, SEALED_HEADER_BYTES};
use crate::vault::{Cipher, DataKey, Gcm, TAG_BYTES};

/// Nonces of frames are their positions, the seal's lies beyond any.
const SEAL_NONCE: u32 = u32::MAX;

/// The cipher of one chunk file.
pub(super) struct FileCipher(Gcm);

impl std::fmt::Debug for FileCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileCipher")
    }
}

impl FileCipher {
    /// `head` ends with the salt.
    pub(super) fn new(
        key: &DataKey,
        attempt: &AttemptId,
        head: &[u8; SEALED_HEADER_BYTES],
    ) -> Self {
        let purpose = [b"recording/".as_slice(), attempt.0.as_bytes(), b"/", head].concat();
        let cipher = match Layout::of(head) {
            Layout::Sm4 => Cipher::Sm4,
            Layout::Sealed | Layout::Plain => Cipher::Aes,
        };
        Self(key.derive(head, &purpose).gcm(cipher))
    }

    pub(super) fn seal_frame(&self, position: u32, frame: &[u8; FRAME_BYTES]) -> Vec<u8> {
        self.encrypt(position, frame, b"")
    }

    /// `None` for another key or a changed byte.
    pub(super) fn open_frame(
        &self,
        position: u32,
        sealed: &[u8; SEALED_FRAME_BYTES],
    ) -> Option<[u8; FRAME_BYTES]> {
        let frame = self.0.open(nonce(position), sealed, b"")?;
        frame.try_into().ok()
    }

    /// Says that the file ends after so many frames.
    pub(super) fn seal(&self, frames: u32) -> [u8; TAG_BYTES] {
        let tag = self.encrypt(SEAL_NONCE, b"", &frames.to_le_bytes());
        tag.try_into().expect("the tag of an empty text")
    }

    fn encrypt(&self, position: u32, frame: &[u8], about: &[u8]) -> Vec<u8> {
        self.0.seal(nonce(position), frame, about)
    }
}

fn nonce(position: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&position.to_le_bytes());
    nonce
}
