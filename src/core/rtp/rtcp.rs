//! RTCP of one stream (RFC 3550 §6): sender and receiver reports with a name, the peer's read, the round trip reckoned.
//!
//! Sent every 5 s give or take the half of it: some session border controllers end a call whose RTCP is silent. The
//! NTP time in our reports counts from the start of the process, which §4 allows, because the core reads no clock.

use std::time::Duration;

use crate::time::Instant;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// The mean pause between two reports (§6.2).
const PAUSE_MS: u64 = 5_000;

/// What the peer's reports say of our packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerView {
    /// Reports of our stream that came.
    pub reports: u32,
    /// The share of our packets that were lost before the last report: 0 to 1.
    pub loss: f32,
    /// Since the call began, as the peer counts.
    pub lost: u32,
    pub jitter_ms: f32,
    /// From the last report that answered one of ours.
    pub round_trip: Option<Duration>,
}

/// What we know of the peer's line, for our own report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    pub ssrc: u32,
    /// Extended highest sequence number.
    pub highest: u32,
    pub expected: u64,
    pub received: u64,
    /// In ticks of the RTP clock.
    pub jitter_ticks: u32,
}

/// What we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    pub ssrc: u32,
    pub timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// The control side of one stream.
#[derive(Clone, Debug, Default)]
pub struct Rtcp {
    next: Option<Instant>,
    /// Of the peer's last sender report: the middle of its NTP time, and when it came.
    last_sender_report: Option<(u32, Instant)>,
    /// Whose line the two counts are of.
    source: u32,
    expected_before: u64,
    received_before: u64,
    dice: u32,
    view: PeerView,
}

impl Rtcp {
    pub fn view(&self) -> PeerView {
        self.view
    }

    /// A report, when one is due; the first comes half a pause after the stream began.
    pub fn poll(
        &mut self,
        sending: Sending,
        reception: Option<Reception>,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let Some(next) = self.next else {
            self.dice = sending.ssrc | 1;
            self.next = Some(now + Duration::from_millis(PAUSE_MS / 2));
            return None;
        };
        if now < next {
            return None;
        }
        // Xorshift: enough to keep many calls from reporting in step (§6.3.1).
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        let pause = PAUSE_MS / 2 + u64::from(self.dice) % PAUSE_MS;
        self.next = Some(now + Duration::from_millis(pause));
        Some(self.report(sending, reception, now))
    }

    /// The last packet of a stream: a report and BYE (§6.6).
    pub fn goodbye(
        &mut self,
        sending: Sending,
        reception: Option<Reception>,
        now: Instant,
    ) -> Vec<u8> {
        let mut packet = self.report(sending, reception, now);
        packet.extend(head(1, GOODBYE, 1));
        packet.extend(sending.ssrc.to_be_bytes());
        packet
    }

    fn report(&mut self, sending: Sending, reception: Option<Reception>, now: Instant) -> Vec<u8> {
        let block = reception.map(|reception| self.block(reception, now));
        let count = u8::from(block.is_some());
        let mut packet = Vec::with_capacity(80);
        if sending.packets > 0 {
            packet.extend(head(count, SENDER_REPORT, 6 + 6 * u16::from(count)));
            packet.extend(sending.ssrc.to_be_bytes());
            packet.extend(ntp(now).to_be_bytes());
            packet.extend(sending.timestamp.to_be_bytes());
            packet.extend(sending.packets.to_be_bytes());
            packet.extend(sending.octets.to_be_bytes());
        } else {
            packet.extend(head(count, RECEIVER_REPORT, 1 + 6 * u16::from(count)));
            packet.extend(sending.ssrc.to_be_bytes());
        }
        packet.extend(block.into_iter().flatten());
        packet.extend(description(sending.ssrc));
        packet
    }

    fn block(&mut self, reception: Reception, now: Instant) -> [u8; 24] {
        let Reception {
            ssrc,
            highest,
            expected,
            received,
            jitter_ticks,
        } = reception;
        if ssrc != self.source {
            (self.source, self.expected_before, self.received_before) = (ssrc, 0, 0);
        }
        let expected_now = expected.saturating_sub(self.expected_before);
        let received_now = received.saturating_sub(self.received_before);
        (self.expected_before, self.received_before) = (expected, received);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (lost_now * 256)
            .checked_div(expected_now)
            .unwrap_or(0)
            .min(255);
        let lost = expected.saturating_sub(received).min(0x7f_ffff) as u32;
        let (last, delay) = self.last_sender_report.map_or((0, 0), |(ntp, at)| {
            let micros = now.since(at).as_micros() as u64;
            (ntp, (micros * 65_536 / 1_000_000) as u32)
        });
        let words = [
            ssrc,
            ((fraction as u32) << 24) | lost,
            highest,
            jitter_ticks,
            last,
            delay,
        ];
        let mut block = [0; 24];
        for (slot, word) in block.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        block
    }

    /// Takes a compound packet; false where it is none. `ours` is our SSRC.
    pub fn receive(&mut self, datagram: &[u8], ours: u32, now: Instant) -> bool {
        let mut rest = datagram;
        let mut is_rtcp = false;
        while let Some((&[first, kind, high, low], body)) = rest.split_first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([high, low])) * 4;
            if first >> 6 != 2 || !(192..=223).contains(&kind) {
                return is_rtcp;
            }
            let Some(body) = body.get(..length) else {
                return is_rtcp;
            };
            is_rtcp = true;
            let blocks = match kind {
                SENDER_REPORT => {
                    if let Some(word) = word(body, 4).zip(word(body, 8)) {
                        self.last_sender_report = Some(((word.0 << 16) | (word.1 >> 16), now));
                    }
                    body.get(24..)
                }
                RECEIVER_REPORT => body.get(4..),
                _ => None,
            };
            let count = usize::from(first & 0x1f);
            for block in blocks.unwrap_or_default().chunks_exact(24).take(count) {
                self.read_block(block, ours, now);
            }
            rest = &rest[4 + length..];
        }
        is_rtcp
    }

    fn read_block(&mut self, block: &[u8], ours: u32, now: Instant) {
        let at = |place| word(block, place).unwrap_or_default();
        if at(0) != ours {
            return;
        }
        self.view.reports += 1;
        self.view.loss = (at(4) >> 24) as f32 / 256.0;
        // 24 bits with a sign: duplicates can make it negative.
        let lost = (at(4) << 8) as i32 >> 8;
        self.view.lost = u32::try_from(lost).unwrap_or(0);
        self.view.jitter_ms = at(12) as f32 / 8.0;
        let (last, delay) = (at(16), at(20));
        if last == 0 {
            return;
        }
        let ticks = ((ntp(now) >> 16) as u32)
            .wrapping_sub(last)
            .wrapping_sub(delay);
        // A peer's clock that runs ahead gives a negative time, read as hours.
        if ticks < 60 * 65_536 {
            let micros = u64::from(ticks) * 1_000_000 / 65_536;
            self.view.round_trip = Some(Duration::from_micros(micros));
        }
    }
}

/// Version 2, no padding.
fn head(count: u8, kind: u8, words: u16) -> [u8; 4] {
    let [high, low] = words.to_be_bytes();
    [0x80 | count, kind, high, low]
}

/// SDES with a CNAME that says nothing of who we are (RFC 7022).
fn description(ssrc: u32) -> Vec<u8> {
    let name = format!("{ssrc:08x}@aftercall");
    let mut chunk = ssrc.to_be_bytes().to_vec();
    chunk.extend([1, name.len() as u8]);
    chunk.extend(name.as_bytes());
    // One zero ends the list, more fill the word.
    chunk.resize(chunk.len() / 4 * 4 + 4, 0);
    let mut packet = head(1, SOURCE_DESCRIPTION, (chunk.len() / 4) as u16).to_vec();
    packet.extend(chunk);
    packet
}

/// 32 bits of seconds and 32 of their fraction (§4).
fn ntp(now: Instant) -> u64 {
    let micros = now.as_micros();
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    // Never zero in the middle, which would mean that there was no report.
    (((seconds + 1) & 0x7fff_ffff) << 32) | ((rest << 32) / 1_000_000)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Sending = Sending {
        ssrc: 0x1111_1111,
        timestamp: 8_000,
        packets: 50,
        octets: 8_000,
    };

    fn reception(ssrc: u32, expected: u64, received: u64) -> Option<Reception> {
        Some(Reception {
            ssrc,
            highest: 65_536 + 7,
            expected,
            received,
            jitter_ticks: 80,
        })
    }

    /// Two ends that report to each other over a way of 30 ms each.
    #[test]
    fn two_ends_learn_loss_jitter_and_round_trip_of_each_other() {
        let way = Duration::from_millis(30);
        let theirs = Sending {
            ssrc: 0x2222_2222,
            ..OURS
        };
        let (mut we, mut they) = (Rtcp::default(), Rtcp::default());
        let start = Instant::from_millis(10_000);
        let ours = we.report(OURS, None, start);
        assert!(they.receive(&ours, theirs.ssrc, start + way));
        assert_eq!(they.view().reports, 0, "there was no block of theirs in it");
        let later = start + Duration::from_secs(2);
        let answer = they.report(theirs, reception(OURS.ssrc, 100, 75), later);
        assert!(we.receive(&answer, OURS.ssrc, later + way));
        let view = we.view();
        assert_eq!((view.reports, view.lost), (1, 25));
        assert!((view.loss - 0.25).abs() < 0.01 && (view.jitter_ms - 10.0).abs() < 0.01);
        let round_trip = view.round_trip.expect("their report answered ours");
        assert!(
            round_trip.abs_diff(2 * way) < Duration::from_millis(1),
            "{round_trip:?}"
        );
        // The next report counts from the last.
        let next = they.report(theirs, reception(OURS.ssrc, 200, 175), later);
        we.receive(&next, OURS.ssrc, later);
        assert_eq!((we.view().loss, we.view().lost), (0.0, 25));
    }

    #[test]
    fn reports_come_every_five_seconds_give_or_take_the_half() {
        let (mut rtcp, mut at) = (Rtcp::default(), Vec::new());
        for slot in 0..60_000_u64 {
            let now = Instant::from_millis(slot * 20);
            if let Some(packet) = rtcp.poll(OURS, reception(5, 10, 10), now) {
                assert_eq!(packet.len() % 4, 0);
                assert!(Rtcp::default().receive(&packet, 1, now));
                at.push(slot * 20);
            }
        }
        assert!((200..280).contains(&at.len()), "{}", at.len());
        let pauses = at.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(pauses.clone().all(|pause| (2_480..=7_520).contains(&pause)));
        assert!(pauses.clone().max() > pauses.min().map(|least| least + 1_000));
    }

    #[test]
    fn no_bytes_break_the_reader() {
        let mut rtcp = Rtcp::default();
        let good = rtcp.goodbye(OURS, reception(OURS.ssrc, 9, 9), Instant::from_millis(5));
        for length in 0..good.len() {
            rtcp.receive(&good[..length], OURS.ssrc, Instant::from_millis(9));
            for bent in [0, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[length] = bent;
                rtcp.receive(&bytes, OURS.ssrc, Instant::from_millis(9));
            }
        }
        assert!(!rtcp.receive(b"", 1, Instant::ZERO));
        assert!(
            !rtcp.receive(&[0x80, 0, 0, 0], 1, Instant::ZERO),
            "that is RTP"
        );
    }
}
