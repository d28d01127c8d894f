//! The audit log as a chain: each entry's hash covers the entry and the hash before it, so that a changed byte, a
//! lost entry and one put in between are found and placed. A tail that was cut is found by a head kept elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sm3::Sm3;

use crate::time::Timestamp;

/// Names this way of hashing: another one later must not be taken for it.
const METHOD: &str = "aftercall-audit-1";
const METHOD_SM3: &str = "aftercall-audit-1-sm3";
/// Stands before a hash by SM3.
const SM3: &str = "sm3-";

/// What an entry is hashed by; a chain may go on by another than it began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hashing {
    #[default]
    Sha256,
    /// GB/T 32905-2016.
    Sm3,
}

impl Hashing {
    /// What made a hash.
    pub fn of(hash: &str) -> Self {
        if hash.starts_with(SM3) {
            Hashing::Sm3
        } else {
            Hashing::Sha256
        }
    }
}

/// What an entry says, borrowed from wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry<'a> {
    /// From 1, without a gap.
    pub seq: u64,
    pub at: Timestamp,
    pub who: &'a str,
    pub what: &'a str,
    pub subject: &'a str,
    pub detail: &'a str,
    pub reason: Option<&'a str>,
}

/// The hash, in hexadecimal (behind `sm3-` where SM3 made it), of the entry behind `before`: the hash of the entry before it,
/// empty for the first.
///
/// Each part is hashed behind its length, so no two entries have the same bytes; times count in whole milliseconds.
pub fn link(hashing: Hashing, before: &str, entry: &Entry<'_>) -> String {
    match hashing {
        Hashing::Sha256 => digest::<Sha256>(METHOD, before, entry),
        Hashing::Sm3 => format!("{SM3}{}", digest::<Sm3>(METHOD_SM3, before, entry)),
    }
}

fn digest<D: Digest>(method: &str, before: &str, entry: &Entry<'_>) -> String {
    let mut hash = D::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(method.as_bytes());
    part(before.as_bytes());
    part(&entry.seq.to_be_bytes());
    part(&entry.at.as_millisecond().to_be_bytes());
    for text in [entry.who, entry.what, entry.subject, entry.detail] {
        part(text.as_bytes());
    }
    // An empty reason is not none.
    part(&[u8::from(entry.reason.is_some())]);
    part(entry.reason.unwrap_or_default().as_bytes());
    let hash = hash.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The last entry of a chain: its number and its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// 0: nothing was written yet.
    pub seq: u64,
    pub hash: String,
}

/// Ed25519 (RFC 8032) over a head, base64: who has the database alone cannot make another.
pub fn sign_head(head: &Head, secret: &[u8; 32]) -> String {
    let signature = SigningKey::from_bytes(secret).sign(&message(head));
    STANDARD.encode(signature.to_bytes())
}

/// Whether this signature (base64) is of this head, by this public key (base64).
pub fn is_signed(head: &Head, signature: &str, public: &str) -> bool {
    let key = STANDARD.decode(public.trim()).ok();
    let key = key.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
    let signature = STANDARD.decode(signature.trim()).ok();
    let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
    match (key, signature) {
        (Some(key), Some(signature)) => key.verify_strict(&message(head), &signature).is_ok(),
        _ => false,
    }
}

fn message(head: &Head) -> Vec<u8> {
    format!("{METHOD} head {} {}", head.seq, head.hash).into_bytes()
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("entry {seq} was changed, or put there later")]
    Changed { seq: u64 },
    #[error("entries {from} to {to} are missing")]
    Missing { from: u64, to: u64 },
    #[error("{count} entries stand outside the chain")]
    Outside { count: u64 },
    #[error("the log ends at entry {last}, its head says {head}: its tail was cut")]
    Cut { last: u64, head: u64 },
    #[error("entry {seq} is not the one that the head given names")]
    OtherHead { seq: u64 },
    #[error(
        "the log ends at entry {last} and had {head} when the head given was made: its tail was cut"
    )]
    CutSince { last: u64, head: u64 },
}

/// Walks a chain from its first entry.
#[derive(Debug, Default)]
pub struct Walk {
    last: Head,
    /// A head known from elsewhere: the log must have had it.
    known: Option<Head>,
    fault: Option<Fault>,
}

impl Walk {
    /// `known` is a head that was kept outside the database.
    pub fn new(known: Option<Head>) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Takes the next entry, in the order of `seq`, with the hash that stands beside it. False from the first fault on.
    pub fn take(&mut self, entry: &Entry<'_>, hash: &str) -> bool {
        if self.fault.is_some() {
            return false;
        }
        let expected = self.last.seq + 1;
        let right = link(Hashing::of(hash), &self.last.hash, entry);
        self.fault = if entry.seq > expected {
            Some(Fault::Missing {
                from: expected,
                to: entry.seq - 1,
            })
        } else if entry.seq < expected || right != hash {
            Some(Fault::Changed { seq: entry.seq })
        } else {
            let other = |known: &&Head| known.seq == entry.seq && known.hash != hash;
            self.known
                .as_ref()
                .filter(other)
                .map(|known| Fault::OtherHead { seq: known.seq })
        };
        self.last = Head {
            seq: entry.seq,
            hash: hash.to_owned(),
        };
        self.fault.is_none()
    }

    /// The chain's own head against what was walked; `outside` counts entries without a number.
    ///
    /// # Errors
    /// The first fault there is.
    pub fn finish(self, head: &Head, outside: u64) -> Result<Head, Fault> {
        let last = self.last.seq;
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if last < head.seq {
            return Err(Fault::Cut {
                last,
                head: head.seq,
            });
        }
        if self.last != *head {
            return Err(Fault::Changed { seq: last });
        }
        if let Some(known) = self.known.filter(|known| known.seq > last) {
            return Err(Fault::CutSince {
                last,
                head: known.seq,
            });
        }
        if outside > 0 {
            return Err(Fault::Outside { count: outside });
        }
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: [&str; 5] = ["li", "wang", "engine", "li", "qa"];

    fn entry(seq: u64) -> Entry<'static> {
        let place = usize::try_from(seq - 1).expect("small") % WHO.len();
        Entry {
            seq,
            at: Timestamp::from_millisecond(1_000 * i64::try_from(seq).expect("small"))
                .expect("early"),
            who: WHO[place],
            what: "call.read",
            subject: "a1",
            detail: "",
            reason: None,
        }
    }

    /// The chains below go on by SM3 from their third entry.
    fn hashing(seq: u64) -> Hashing {
        match seq {
            ..3 => Hashing::Sha256,
            3.. => Hashing::Sm3,
        }
    }

    // GB/T 32905-2016, appendix A.1.
    #[test]
    fn sm3_is_the_standards() {
        let hash: String = Sm3::digest(b"abc")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hash,
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        let (entries, _) = chain(3);
        assert_eq!(Hashing::of(&entries[1].1), Hashing::Sha256);
        assert_eq!(Hashing::of(&entries[2].1), Hashing::Sm3);
    }

    #[test]
    fn a_hash_cannot_be_passed_off_as_the_others() {
        let (mut entries, head) = chain(5);
        let bare = entries[2].1.trim_start_matches(SM3).to_owned();
        entries[2].1 = bare;
        assert_eq!(walk(&entries, &head, None), Err(Fault::Changed { seq: 3 }));
    }

    fn chain(length: u64) -> (Vec<(Entry<'static>, String)>, Head) {
        let mut head = Head::default();
        let entries = (1..=length).map(|seq| {
            let entry = entry(seq);
            let hash = link(hashing(seq), &head.hash, &entry);
            head = Head {
                seq,
                hash: hash.clone(),
            };
            (entry, hash)
        });
        let entries = entries.collect();
        (entries, head)
    }

    fn walk(
        entries: &[(Entry<'_>, String)],
        head: &Head,
        known: Option<Head>,
    ) -> Result<Head, Fault> {
        let mut walk = Walk::new(known);
        for (entry, hash) in entries {
            walk.take(entry, hash);
        }
        walk.finish(head, 0)
    }

    #[test]
    fn a_whole_chain_holds_also_against_an_older_head() {
        let (entries, head) = chain(5);
        assert_eq!(walk(&entries, &head, None), Ok(head.clone()));
        let (_, older) = chain(3);
        assert_eq!(walk(&entries, &head, Some(older)), Ok(head));
        assert_eq!(
            walk(&[], &Head::default(), None),
            Ok(Head::default()),
            "an empty log"
        );
    }

    #[test]
    fn one_changed_field_is_found_where_it_is() {
        let changes: [fn(&mut Entry<'static>); 6] = [
            |entry| entry.at = Timestamp::from_millisecond(1).expect("early"),
            |entry| entry.who = "zhao",
            |entry| entry.what = "call.reae",
            |entry| entry.subject = "a2",
            |entry| entry.detail = " ",
            |entry| entry.reason = Some(""),
        ];
        for change in changes {
            let (mut entries, head) = chain(5);
            change(&mut entries[2].0);
            assert_eq!(
                walk(&entries, &head, None),
                Err(Fault::Changed { seq: 3 }),
                "{:?}",
                entries[2].0
            );
        }
    }

    #[test]
    fn an_entry_that_was_changed_and_hashed_again_breaks_the_next() {
        let (mut entries, head) = chain(5);
        entries[2].0.who = "zhao";
        entries[2].1 = link(hashing(3), &entries[1].1, &entries[2].0);
        assert_eq!(walk(&entries, &head, None), Err(Fault::Changed { seq: 4 }));
        // And where it was the last one, the head.
        let (mut entries, head) = chain(5);
        entries[4].0.who = "zhao";
        entries[4].1 = link(hashing(5), &entries[3].1, &entries[4].0);
        assert_eq!(walk(&entries, &head, None), Err(Fault::Changed { seq: 5 }));
    }

    #[test]
    fn lost_entries_are_named() {
        let (mut entries, head) = chain(6);
        entries.drain(2..4);
        assert_eq!(
            walk(&entries, &head, None),
            Err(Fault::Missing { from: 3, to: 4 })
        );
        let (mut entries, head) = chain(6);
        entries.remove(0);
        assert_eq!(
            walk(&entries, &head, None),
            Err(Fault::Missing { from: 1, to: 1 })
        );
    }

    #[test]
    fn a_heads_signature_is_of_that_head_and_that_key() {
        let (_, head) = chain(3);
        let secret = [7; 32];
        let public = crate::signature::public_key(&secret);
        let signature = sign_head(&head, &secret);
        assert!(is_signed(&head, &signature, &public));
        let (_, other) = chain(4);
        assert!(!is_signed(&other, &signature, &public));
        let stranger = crate::signature::public_key(&[8; 32]);
        assert!(!is_signed(&head, &signature, &stranger));
        assert!(!is_signed(&head, "", &public));
        assert!(!is_signed(&head, &signature, "no key"));
    }

    #[test]
    fn a_cut_tail_is_found_by_the_head_and_with_it_by_one_kept_elsewhere() {
        let (mut entries, head) = chain(6);
        entries.truncate(4);
        assert_eq!(
            walk(&entries, &head, None),
            Err(Fault::Cut { last: 4, head: 6 })
        );
        // Who cut the head as well is found by what left the house.
        let (_, forged) = chain(4);
        assert_eq!(
            walk(&entries, &forged, Some(head.clone())),
            Err(Fault::CutSince { last: 4, head: 6 })
        );
        // Who wrote another tail too.
        let (mut other, _) = chain(4);
        let mut forged = Head::default();
        for (entry, hash) in &mut other {
            entry.who = "zhao";
            *hash = link(hashing(entry.seq), &forged.hash, entry);
            forged = Head {
                seq: entry.seq,
                hash: hash.clone(),
            };
        }
        let (_, kept) = chain(3);
        assert_eq!(
            walk(&other, &forged, Some(kept)),
            Err(Fault::OtherHead { seq: 3 })
        );
    }
}
