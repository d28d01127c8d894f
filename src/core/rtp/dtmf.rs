//! Keys as named telephone events (RFC 4733 §2): one key in for many packets, many packets out for one key.

use std::time::Duration;

use crate::time::Instant;

/// Ticks by which a slot of 20 ms lengthens an event.
const SLOT_TICKS: u16 = 160;
/// Slots a pressed key sounds: 100 ms.
const SOUNDING_SLOTS: u16 = 5;
/// The last packet is sent three times (RFC 4733 §2.5.1.4).
const END_REPEATS: u16 = 2;
/// -10 dBm0.
const VOLUME: u8 = 10;
const END: u8 = 0x80;
/// Ends that come this soon after an end are the same key through a relay that changed their timestamps:
/// one press became three at rtpengine #1812. A finger needs longer (Q.24: 40 ms tone and 40 ms pause).
const SAME_END: Duration = Duration::from_millis(80);
/// A longer pause within one event means that its end was lost and this is another.
const SAME_EVENT: Duration = Duration::from_millis(80);
/// An event longer than this goes on in a new segment, with its timestamp advanced by so much (§2.5.1.3).
const SEGMENT_TICKS: u32 = 0xffff;

/// Reads the events of one sender and names each key once, when it is first heard of.
#[derive(Clone, Debug, Default)]
pub struct KeyReceiver {
    current: Option<Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    event: u8,
    timestamp: u32,
    duration: u16,
    ended: bool,
    at: Instant,
}

impl KeyReceiver {
    /// Takes the payload of an event packet; the key, if this packet is the first of it.
    pub fn receive(&mut self, payload: &[u8], timestamp: u32, now: Instant) -> Option<char> {
        let &[event, flags, d0, d1, ..] = payload else {
            return None;
        };
        let key = key_of(event)?;
        let packet = Heard {
            event,
            timestamp,
            duration: u16::from_be_bytes([d0, d1]),
            ended: flags & END != 0,
            at: now,
        };
        let Some(current) = &mut self.current else {
            self.current = Some(packet);
            return Some(key);
        };
        if current.is_continued_by(&packet) {
            current.ended |= packet.ended;
            current.duration = current.duration.max(packet.duration);
            current.at = now;
            // The timestamp stays the first one, except for a new segment of a long event.
            if packet.timestamp == current.timestamp.wrapping_add(SEGMENT_TICKS) {
                current.timestamp = packet.timestamp;
                current.duration = packet.duration;
            }
            return None;
        }
        if (packet.timestamp.wrapping_sub(current.timestamp) as i32) < 0 {
            return None; // late, of a key that was named already
        }
        self.current = Some(packet);
        Some(key)
    }

    /// Forgets the last key: another sender has taken over.
    pub fn reset(&mut self) {
        self.current = None;
    }
}

impl Heard {
    fn is_continued_by(&self, packet: &Heard) -> bool {
        if packet.event != self.event {
            return false;
        }
        let since = packet.at.since(self.at);
        if packet.timestamp == self.timestamp {
            return true;
        }
        if packet.ended {
            return !self.ended || since < SAME_END;
        }
        let is_segment = packet.timestamp == self.timestamp.wrapping_add(SEGMENT_TICKS);
        // Senders that move the timestamp within an event still let its duration grow.
        let grows = packet.duration > self.duration && self.duration > 0;
        !self.ended && since < SAME_EVENT && (is_segment || grows)
    }
}

/// Makes the packets of keys to be pressed: one payload for each 20 ms slot.
#[derive(Clone, Debug, Default)]
pub struct KeySender {
    pressed: std::collections::VecDeque<u8>,
    slot: u16,
}

/// What an event packet says in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySlot {
    pub payload: [u8; 4],
    /// The marker and the event's timestamp belong to this slot.
    pub is_first: bool,
    /// Slots since the event began: its timestamp lies so far back.
    pub slots_back: u16,
}

impl KeySender {
    /// Queues a key; `false` when it is not one of `0-9 * # A-D`.
    pub fn press(&mut self, key: char) -> bool {
        let Some(event) = event_of(key) else {
            return false;
        };
        self.pressed.push_back(event);
        true
    }

    /// Whether a key is sounding or waiting.
    pub fn is_busy(&self) -> bool {
        !self.pressed.is_empty()
    }

    /// The event of this slot, or `None` when audio may be sent. A pause of 60 ms keeps keys apart.
    pub fn next_slot(&mut self) -> Option<KeySlot> {
        const PAUSE_SLOTS: u16 = 3;
        let &event = self.pressed.front()?;
        let slot = self.slot;
        self.slot += 1;
        if slot >= SOUNDING_SLOTS + END_REPEATS {
            if self.slot == SOUNDING_SLOTS + END_REPEATS + PAUSE_SLOTS {
                self.pressed.pop_front();
                self.slot = 0;
            }
            return None;
        }
        let sounding = (slot + 1).min(SOUNDING_SLOTS);
        let end = if sounding == SOUNDING_SLOTS { END } else { 0 };
        let [d0, d1] = (sounding * SLOT_TICKS).to_be_bytes();
        Some(KeySlot {
            payload: [event, end | VOLUME, d0, d1],
            is_first: slot == 0,
            slots_back: slot,
        })
    }
}

/// RFC 4733 §3.2, table 7.
fn key_of(event: u8) -> Option<char> {
    match event {
        0..=9 => Some(char::from(b'0' + event)),
        10 => Some('*'),
        11 => Some('#'),
        12..=15 => Some(char::from(b'A' + event - 12)),
        _ => None,
    }
}

fn event_of(key: char) -> Option<u8> {
    (0..16).find(|&event| key_of(event) == Some(key.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (ms, event, end, timestamp, duration)
    type Row = (u64, u8, bool, u32, u16);

    fn keys(rows: &[Row]) -> String {
        let start = Instant::ZERO;
        let mut receiver = KeyReceiver::default();
        rows.iter()
            .filter_map(|&(at_ms, event, end, timestamp, duration)| {
                let [d0, d1] = duration.to_be_bytes();
                let payload = [event, if end { 0x8a } else { 0x0a }, d0, d1];
                receiver.receive(&payload, timestamp, start + Duration::from_millis(at_ms))
            })
            .collect()
    }

    #[test]
    fn one_press_is_one_key() {
        let rows = [
            (0, 5, false, 1_000, 160),
            (20, 5, false, 1_000, 320),
            (40, 5, true, 1_000, 480),
            (40, 5, true, 1_000, 480),
            (41, 5, true, 1_000, 480),
        ];
        assert_eq!(keys(&rows), "5");
    }

    #[test]
    fn a_relay_that_changes_the_timestamp_of_the_ends_makes_no_more_keys() {
        let rows = [
            (0, 1, false, 1_000, 160),
            (20, 1, false, 1_000, 320),
            (40, 1, true, 1_320, 480),
            (60, 1, true, 1_480, 480),
            (80, 1, true, 1_640, 480),
        ];
        assert_eq!(keys(&rows), "1");
    }

    #[test]
    fn the_same_key_twice_is_two_keys_even_when_the_end_is_lost() {
        let rows = [
            (0, 1, false, 1_000, 160),
            (20, 1, false, 1_000, 320),
            (200, 1, false, 2_600, 160),
            (220, 1, true, 2_600, 320),
            (400, 1, false, 4_200, 160),
        ];
        assert_eq!(keys(&rows), "111");
    }

    #[test]
    fn only_an_end_that_came_through_is_a_key_and_an_old_packet_is_not() {
        let rows = [
            (0, 11, true, 1_000, 800),
            (300, 2, false, 3_400, 160),
            (310, 11, true, 1_000, 800),
            (320, 2, true, 3_400, 320),
        ];
        assert_eq!(keys(&rows), "#2");
    }

    #[test]
    fn a_key_held_for_ten_seconds_is_one_key() {
        let mut rows: Vec<Row> = (0..409)
            .map(|n| (20 * n, 3, false, 500, (160 * n + 160) as u16))
            .collect();
        rows.extend((0..90).map(|n| {
            (
                8_180 + 20 * n,
                3,
                false,
                500 + 65_535,
                (160 * n + 160) as u16,
            )
        }));
        assert_eq!(keys(&rows), "3");
    }

    #[test]
    fn sent_keys_are_read_back() {
        let start = Instant::ZERO;
        let (mut sender, mut receiver) = (KeySender::default(), KeyReceiver::default());
        for key in "0412#".chars() {
            assert!(sender.press(key));
        }
        assert!(!sender.press('x'));
        let mut heard = String::new();
        for slot in 0..200_u32 {
            let Some(packet) = sender.next_slot() else {
                continue;
            };
            let timestamp = (slot - u32::from(packet.slots_back)) * 160;
            let now = start + Duration::from_millis(u64::from(slot) * 20);
            heard.extend(receiver.receive(&packet.payload, timestamp, now));
        }
        assert_eq!(heard, "0412#");
        assert!(!sender.is_busy());
    }
}
