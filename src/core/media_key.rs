//! The keys of an encrypted stream (SRTP, RFC 3711): 128 bits of master key and 112 of salt; and how the ends of one whose
//! keys are agreed on within it know each other.

use std::fmt;

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

/// SHA-256 of a certificate: the one thing that DTLS-SRTP's ends know of each other (RFC 8122 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Reads what follows `a=fingerprint:`; `None` for other hashes, which every peer has beside this one.
    pub fn parse(value: &str) -> Option<Fingerprint> {
        let (hash, hex) = value.trim().split_once(char::is_whitespace)?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return None;
        }
        let mut bytes = [0; 32];
        let mut pairs = hex.trim().split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2)?;
            *byte = u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| !pair.starts_with('+'))?;
        }
        pairs.next().is_none().then_some(Fingerprint(bytes))
    }
}

/// As it stands behind `a=fingerprint:`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        write!(f, "sha-256 {}", pairs.join(":"))
    }
}

/// How our end protects the audio. What was asked for is never given up for less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    #[default]
    Clear,
    /// With this key in the session description (RFC 4568).
    Sdes(MediaKey),
    /// With keys that a handshake on the media port gives; this is our certificate (RFC 5763).
    Dtls(Fingerprint),
}

impl Guard {
    /// Whether the audio is encrypted.
    pub fn is_secure(self) -> bool {
        self != Guard::Clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let print = Fingerprint(std::array::from_fn(|at| (at * 7) as u8));
        let text = print.to_string();
        assert!(text.starts_with("sha-256 00:07:0E:15:") && text.len() == 8 + 95);
        let hex = &text[8..];
        for (written, read) in [
            (text.clone(), Some(print)),
            (format!(" SHA-256   {} ", hex.to_lowercase()), Some(print)),
            (format!("sha-1 {hex}"), None),
            (format!("sha-256 {}", &hex[3..]), None),
            (format!("sha-256 {hex}:00"), None),
            (format!("sha-256 {}", hex.replace("00", "0")), None),
            (format!("sha-256 {}", hex.replace("00", "+0")), None),
            (format!("sha-256 {}", hex.replace("00", "0g")), None),
            ("sha-256".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(Fingerprint::parse(&written), read, "{written}");
        }
    }
}
