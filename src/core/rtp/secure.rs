//! SRTP and SRTCP of one stream (RFC 3711, AES_CM_128_HMAC_SHA1_80) by `rtc-srtp`.
//!
//! A context lives as long as its key: a session refresh with the same key goes on with the same roll-over counter,
//! without which a call is one-way audio from the wrap of its sequence numbers on. Contexts of `rtc-srtp` grow by an
//! entry for each source before it is authenticated; here there is one context for each of two sources at most.

use rtc_srtp::context::Context;
use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::media_key::{MediaKey, MediaKeys};

const PROFILE: ProtectionProfile = ProtectionProfile::Aes128CmHmacSha1_80;
/// Packets that may come out of order and are told from repetitions (RFC 3711 §3.3.2: 64 at least).
const WINDOW: usize = 128;

/// Both directions of an encrypted stream.
pub struct Secure {
    keys: MediaKeys,
    outgoing: Context,
    audio: Incoming,
    reports: Incoming,
}

/// What the peer sends: its source, and another that may take its place.
struct Incoming {
    key: MediaKey,
    known: Option<(u32, Context)>,
    other: Option<(u32, Context)>,
}

impl Secure {
    pub fn new(keys: MediaKeys) -> Secure {
        Secure {
            keys,
            outgoing: context(keys.ours),
            audio: Incoming::new(keys.theirs),
            reports: Incoming::new(keys.theirs),
        }
    }

    /// Goes on with what was negotiated anew; whoever's key is the same keeps its counters.
    pub fn renew(&mut self, keys: MediaKeys) {
        if keys.ours != self.keys.ours {
            self.outgoing = context(keys.ours);
        }
        if keys.theirs != self.keys.theirs {
            self.audio = Incoming::new(keys.theirs);
            self.reports = Incoming::new(keys.theirs);
        }
        self.keys = keys;
    }

    /// Encrypts an RTP packet of ours.
    pub fn seal(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outgoing.encrypt_rtp(packet).ok().map(Into::into)
    }

    /// Encrypts an RTCP packet of ours.
    pub fn seal_report(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outgoing.encrypt_rtcp(packet).ok().map(Into::into)
    }

    /// The peer's RTP packet; `None` where it is not the peer's, was altered, or came before.
    pub fn open(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let source = word(datagram, 8)?;
        self.audio.open(source, |context| {
            context.decrypt_rtp(datagram).ok().map(Into::into)
        })
    }

    /// [`Secure::open`] for RTCP.
    pub fn open_report(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let source = word(datagram, 4)?;
        self.reports.open(source, |context| {
            context.decrypt_rtcp(datagram).ok().map(Into::into)
        })
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secure")
    }
}

impl Incoming {
    fn new(key: MediaKey) -> Incoming {
        Incoming {
            key,
            known: None,
            other: None,
        }
    }

    fn open(
        &mut self,
        source: u32,
        decrypt: impl FnOnce(&mut Context) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if let Some((_, context)) = self.known.as_mut().filter(|(known, _)| *known == source) {
            return decrypt(context);
        }
        // Only who has the key takes the place; the one before keeps its counters, for it may come back.
        let (opened, context) = match self.other.take_if(|(other, _)| *other == source) {
            Some((_, mut context)) => (decrypt(&mut context), context),
            None => {
                let mut context = context(self.key);
                (Some(decrypt(&mut context)?), context)
            }
        };
        self.other = if opened.is_some() {
            self.known.replace((source, context))
        } else {
            Some((source, context))
        };
        opened
    }
}

fn context(key: MediaKey) -> Context {
    let (key, salt) = key.0.split_at(PROFILE.key_len());
    Context::new(
        key,
        salt,
        PROFILE,
        Some(srtp_replay_protection(WINDOW)),
        Some(srtcp_replay_protection(WINDOW)),
        &RingCrypto,
    )
    .expect("key and salt have the lengths of the profile")
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::packet::Header;

    fn keys(ours: u8, theirs: u8) -> MediaKeys {
        MediaKeys {
            ours: MediaKey([ours; 30]),
            theirs: MediaKey([theirs; 30]),
        }
    }

    fn packet(seq: u16, ssrc: u32) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type: 8,
            seq,
            timestamp: u32::from(seq) * 160,
            ssrc,
        };
        header.with_payload(&[0x5a; 160])
    }

    /// The sequence numbers wrap, both ends refresh the session with the keys that they have, and all is still heard.
    #[test]
    fn a_refresh_after_the_wrap_keeps_the_roll_over_counter() {
        let (mut we, mut they) = (Secure::new(keys(1, 2)), Secure::new(keys(2, 1)));
        let mut seq = 65_400_u16;
        for count in 0..400 {
            if count % 150 == 149 {
                we.renew(keys(1, 2));
                they.renew(keys(2, 1));
            }
            let plain = packet(seq, 7);
            let sealed = we.seal(&plain).expect("a good packet");
            assert!(sealed.len() == plain.len() + 10 && sealed[12..172] != plain[12..]);
            assert_eq!(they.open(&sealed), Some(plain), "{seq}");
            seq = seq.wrapping_add(1);
        }
        // A new key of the peer's begins anew, and the old one is worth nothing.
        they.renew(keys(2, 3));
        let sealed = we.seal(&packet(seq, 7)).expect("a good packet");
        assert_eq!(they.open(&sealed), None);
        we.renew(keys(3, 2));
        let plain = packet(seq.wrapping_add(1), 7);
        let sealed = we.seal(&plain).expect("a good packet");
        assert_eq!(they.open(&sealed), Some(plain));
    }

    #[test]
    fn what_is_bent_repeated_or_in_the_clear_is_not_heard() {
        let (mut we, mut they) = (Secure::new(keys(1, 2)), Secure::new(keys(2, 1)));
        let sealed = we.seal(&packet(5, 7)).expect("a good packet");
        for place in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[place] ^= 0x10;
            assert_eq!(they.open(&bent), None, "byte {place}");
            assert_eq!(they.open(&sealed[..place]), None, "{place} bytes");
        }
        assert_eq!(they.open(&packet(5, 7)), None);
        assert!(they.open(&sealed).is_some() && they.open(&sealed).is_none());
    }

    #[test]
    fn a_second_source_is_taken_when_it_has_the_key_and_a_thousand_forgeries_are_not() {
        let (mut we, mut they) = (Secure::new(keys(1, 2)), Secure::new(keys(2, 1)));
        let mut forger = Secure::new(keys(9, 2));
        for seq in 1..1_000 {
            let source = if seq % 3 == 0 { 8 } else { 7 };
            let plain = packet(seq, source);
            let sealed = we.seal(&plain).expect("a good packet");
            let forged = forger
                .seal(&packet(seq, u32::from(seq) << 8))
                .expect("a packet");
            assert_eq!(they.open(&forged), None);
            assert_eq!(they.open(&sealed), Some(plain));
        }
    }

    #[test]
    fn reports_are_sealed_and_opened() {
        let (mut we, mut they) = (Secure::new(keys(1, 2)), Secure::new(keys(2, 1)));
        let report = [&[0x80, 201, 0, 1][..], &7_u32.to_be_bytes()].concat();
        let sealed = we.seal_report(&report).expect("a good report");
        assert_eq!(they.open_report(&sealed), Some(report.clone()));
        assert_eq!(they.open_report(&sealed), None, "it came before");
        assert_eq!(they.open_report(&report), None, "in the clear");
        for length in 0..sealed.len() {
            assert_eq!(they.open_report(&sealed[..length]), None);
        }
    }
}
