//! The keys of an encrypted stream (SRTP, RFC 3711): 128 bits of master key and 112 of salt.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;

/// Master key, then salt.
pub const KEY_BYTES: usize = 30;

/// A master key and its salt. `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MediaKey(pub [u8; KEY_BYTES]);

impl MediaKey {
    /// A new one, for one call.
    pub fn random(random: &mut ChaCha20Rng) -> MediaKey {
        let mut key = [0; KEY_BYTES];
        random.fill_bytes(&mut key);
        MediaKey(key)
    }
}

impl std::fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

/// What both ends encrypt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaKeys {
    pub ours: MediaKey,
    pub theirs: MediaKey,
}
