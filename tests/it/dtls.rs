//! Handshakes of DTLS-SRTP, ours against ours: packets in memory, and the clock moved on by hand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aftercall::trunk::dtls::{DtlsError, Handshake, Identity, is_dtls};
use aftercall_core::media_key::{Fingerprint, MediaKeys};
use aftercall_core::sip::sdp::Dtls;

const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 20_000);
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 2], 30_000);

struct Pair {
    ends: [Handshake; 2],
    at: [SocketAddr; 2],
    outcomes: [Option<Result<MediaKeys, DtlsError>>; 2],
    now: Instant,
    sent: usize,
    /// Each record goes by itself.
    splits: bool,
}

impl Pair {
    /// `named`: the fingerprint that each is told of the other; `None`: the right one.
    fn new(named: [Option<Fingerprint>; 2]) -> Pair {
        let identities = [0, 1].map(|_| Identity::new().expect("a certificate"));
        let at: [SocketAddr; 2] = [CLIENT.into(), SERVER.into()];
        let now = Instant::now();
        let end = |own: usize| {
            let other = 1 - own;
            let dtls = Dtls {
                fingerprint: named[own].unwrap_or(identities[other].fingerprint()),
                we_connect: own == 0,
            };
            Handshake::new(&identities[own], dtls, (at[own], at[other]), now).expect("it begins")
        };
        Pair {
            ends: [end(0), end(1)],
            at,
            outcomes: [None, None],
            now,
            sent: 0,
            splits: false,
        }
    }

    /// Carries packets for `time`; `is_lost` says of each by its number whether it is.
    fn pass(&mut self, time: Duration, is_lost: impl Fn(usize) -> bool) {
        let until = self.now + time;
        while self.now < until {
            for from in [0, 1] {
                while let Some((packet, to)) = self.ends[from].poll_send() {
                    assert!(is_dtls(&packet) && to == self.at[1 - from] && packet.len() <= 1_300);
                    let parts = if self.splits {
                        records(&packet)
                    } else {
                        vec![&packet[..]]
                    };
                    for part in parts {
                        self.sent += 1;
                        if !is_lost(self.sent) {
                            self.ends[1 - from].handle(part, self.at[from], self.now);
                        }
                    }
                }
            }
            for end in [0, 1] {
                self.ends[end].handle_timeout(self.now);
                if let Some(outcome) = self.ends[end].poll_outcome() {
                    assert!(self.outcomes[end].replace(outcome).is_none(), "told once");
                }
            }
            self.now += Duration::from_millis(20);
        }
    }

    fn agreed(self) -> [MediaKeys; 2] {
        self.outcomes
            .map(|outcome| outcome.expect("it ended").expect("it went well"))
    }
}

/// Cut before each record: 13 bytes of head, the last two of them the length of what follows (RFC 6347 §4.1).
fn records(packet: &[u8]) -> Vec<&[u8]> {
    let mut rest = packet;
    let mut parts = Vec::new();
    while rest.len() > 13 {
        let length = 13 + usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        let (part, after) = rest.split_at(length.min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

#[test]
fn both_ends_get_the_same_keys_and_each_its_own() {
    let mut pair = Pair::new([None, None]);
    pair.pass(Duration::from_secs(1), |_| false);
    let [client, server] = pair.agreed();
    assert_eq!((client.ours, client.theirs), (server.theirs, server.ours));
    assert_ne!(client.ours, client.theirs);
}

#[test]
fn a_certificate_that_is_not_the_named_one_gives_no_keys() {
    let other = Some(Fingerprint([7; 32]));
    let mut pair = Pair::new([other, None]);
    pair.pass(Duration::from_secs(12), |_| false);
    assert!(matches!(
        pair.outcomes[0],
        Some(Err(DtlsError::Fingerprint))
    ));
    // The server goes on waiting for the client that is meant, until it is too late.
    let mut pair = Pair::new([None, other]);
    pair.pass(Duration::from_secs(12), |_| false);
    assert!(matches!(pair.outcomes[1], Some(Err(DtlsError::Late))));
}

#[test]
fn where_nobody_answers_the_handshake_is_given_up() {
    let mut pair = Pair::new([None, None]);
    pair.pass(Duration::from_secs(12), |_| true);
    for outcome in &pair.outcomes {
        assert!(matches!(outcome, Some(Err(DtlsError::Late))));
    }
}

/// Bent, cut and foreign packets between the right ones: the handshake ends as if they had not been.
#[test]
fn nonsense_does_not_disturb_a_handshake() {
    let mut pair = Pair::new([None, None]);
    let stranger: SocketAddr = ([203, 0, 113, 9], 4_000).into();
    for _ in 0..20 {
        for from in [0, 1] {
            while let Some((packet, _)) = pair.ends[from].poll_send() {
                for length in [0, 1, 12, 13, 14, packet.len() / 2] {
                    let cut = &packet[..length.min(packet.len())];
                    pair.ends[1 - from].handle(cut, stranger, pair.now);
                    pair.ends[1 - from].handle(cut, pair.at[from], pair.now);
                }
                let noise = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3];
                pair.ends[1 - from].handle(&noise, stranger, pair.now);
                pair.ends[1 - from].handle(&packet, pair.at[from], pair.now);
            }
        }
    }
    pair.pass(Duration::from_secs(9), |_| false);
    let [client, server] = pair.agreed();
    assert_eq!(client.ours, server.theirs);
}

#[test]
fn whatever_packet_or_record_is_lost_the_keys_are_there_in_time() {
    for splits in [false, true] {
        let run = |lost: [usize; 2]| {
            let mut pair = Pair::new([None, None]);
            pair.splits = splits;
            pair.pass(Duration::from_secs(9), |nth| lost.contains(&nth));
            pair
        };
        let most = run([0, 0]).sent;
        assert!(most >= 6, "{most} packets");
        let mut failed = Vec::new();
        for first in 1..=most {
            // Two packets of any; of records that go by themselves, one: two may stop the crate at both ends.
            let last = if splits { first } else { most };
            for second in first..=last {
                let pair = run([first, second]);
                let mut outcomes = pair.outcomes.iter();
                if !outcomes.all(|outcome| matches!(outcome, Some(Ok(_)))) {
                    failed.push((first, second));
                }
            }
        }
        assert_eq!(
            failed,
            [],
            "lost of {most}, split {splits}: no keys after that"
        );
    }
}
