//! HMAC-SHA256 (RFC 2104), as each receiver wants it.

use aftercall_core::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The value of `aftercall-signature`: `v1=` and the hexadecimal MAC of the time in seconds, a full stop and the body.
///
/// Who receives it compares in constant time and refuses a time that is minutes away: neither body nor time can be
/// changed, and what was caught cannot be played again later.
pub fn signature(secret: &str, at: Timestamp, body: &str) -> String {
    let signed = format!("{}.{body}", at.as_second());
    let mac = mac(secret.as_bytes(), signed.as_bytes());
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

pub(super) fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::{mac, signature};

    /// RFC 4231 §4.3, test case 2.
    #[test]
    fn the_mac_is_the_standards() {
        let found = mac(b"Jefe", b"what do ya want for nothing?");
        let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex, expected);
    }

    #[test]
    fn time_and_body_are_signed() {
        let at = |at: &str| at.parse().expect("an instant");
        let now = at("2026-11-23T02:00:00Z");
        let signed = signature("key", now, "{}");
        assert!(signed.starts_with("v1=") && signed.len() == 67);
        assert_ne!(signed, signature("key", now, "[]"));
        assert_ne!(signed, signature("key", at("2026-11-23T02:00:01Z"), "{}"));
        assert_ne!(signed, signature("yek", now, "{}"));
    }
}
