//! `a=crypto` (RFC 4568, SDES): the keys of SRTP as they stand in a session description, which only SIP over TLS hides.
//!
//! One suite, AES_CM_128_HMAC_SHA1_80, which every peer has (RFC 4568 §6.2) and with which none has had trouble. A line
//! with a master key identifier, several keys or a parameter that changes what is encrypted is passed over, because
//! a peer that is believed wrongly is heard as noise.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::media_key::{KEY_BYTES, MediaKey};

const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
/// The tag of the one line of our offers.
pub const OUR_TAG: u32 = 1;
/// Forty letters need no padding; some peers pad all the same.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One line that we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// The answer repeats the offer's.
    pub tag: u32,
    pub key: MediaKey,
}

impl Crypto {
    /// Reads what follows `a=crypto:`; `None` where we have not what it asks for.
    pub fn parse(value: &str) -> Option<Crypto> {
        let mut words = value.split_whitespace();
        let tag = words.next()?.parse().ok()?;
        if !words.next()?.eq_ignore_ascii_case(SUITE) {
            return None;
        }
        let parameters = words.next()?;
        let (method, rest) = parameters.split_once(':')?;
        let mut parts = rest.split('|');
        let key = parts.next()?;
        // What follows is a lifetime, `2^48`, or an identifier, `1:4`.
        let is_plain = parts.all(|part| !part.contains(':')) && !rest.contains(';');
        // A hint on the replay window changes nothing on the line (§6.3.7).
        let is_usual = words.all(|parameter| parameter.to_ascii_uppercase().starts_with("WSH="));
        if !method.eq_ignore_ascii_case("inline") || !is_plain || !is_usual {
            return None;
        }
        let key: [u8; KEY_BYTES] = BASE64.decode(key).ok()?.try_into().ok()?;
        Some(Crypto {
            tag,
            key: MediaKey(key),
        })
    }

    /// The whole line.
    pub fn line(&self) -> String {
        let Crypto { tag, key } = self;
        format!("a=crypto:{tag} {SUITE} inline:{}\r\n", BASE64.encode(key.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn lines_are_read_as_peers_write_them() {
        let suite = SUITE.to_owned();
        for (line, tag) in [
            (format!("1 {suite} inline:{KEY}"), Some(1)),
            (format!("7 {suite} inline:{KEY}|2^20"), Some(7)),
            (
                format!(" 2  {} INLINE:{KEY} WSH=64", suite.to_lowercase()),
                Some(2),
            ),
            // An identifier, two keys, less encrypted than we think, another suite, no key, too short a key.
            (format!("1 {suite} inline:{KEY}|2^20|1:4"), None),
            (format!("1 {suite} inline:{KEY};inline:{KEY}"), None),
            (format!("1 {suite} inline:{KEY} UNENCRYPTED_SRTP"), None),
            (format!("1 {suite} inline:{KEY} KDR=1"), None),
            (format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"), None),
            (format!("1 {suite} inline:"), None),
            (format!("1 {suite} inline:{}", &KEY[4..]), None),
            (format!("x {suite} inline:{KEY}"), None),
            (String::new(), None),
        ] {
            let crypto = Crypto::parse(&line);
            assert_eq!(crypto.map(|crypto| crypto.tag), tag, "{line}");
            if let Some(crypto) = crypto {
                let written = crypto.line();
                assert_eq!(
                    written,
                    format!("a=crypto:{} {SUITE} inline:{KEY}\r\n", crypto.tag)
                );
            }
        }
        let crypto = Crypto::parse(&format!("1 {SUITE} inline:{KEY}")).expect("a good line");
        assert!(
            !format!("{crypto:?}").contains("87"),
            "a key is never printed"
        );
    }
}
