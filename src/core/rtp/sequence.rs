//! Sequence numbers of one sender (RFC 3550 §A.1): wrap, duplicates, and what was lost.

/// A packet this far ahead is not a loss but another stream (RFC 3550 §A.1, `MAX_DROPOUT`).
const MAX_AHEAD: i64 = 3_000;
/// How far back duplicates are remembered; older packets are not ours any more.
const REMEMBERED: i64 = 128;

/// How a sequence number stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one expected.
    Next,
    /// Some were skipped: lost, or still to come.
    Ahead,
    /// An earlier one that was missing until now.
    Filler,
    Duplicate,
    /// Too far away to belong to this line.
    Wild,
}

/// The line of sequence numbers since the stream began or was restarted.
#[derive(Clone, Debug)]
pub struct Sequence {
    first: i64,
    highest: i64,
    /// Bit n: `highest - n` was received.
    seen: u128,
    received: u64,
}

impl Sequence {
    /// Begins with the first packet's number.
    pub fn new(seq: u16) -> Sequence {
        Sequence {
            first: i64::from(seq),
            highest: i64::from(seq),
            seen: 1,
            received: 1,
        }
    }

    /// Judges a number without taking it.
    pub fn judge(&self, seq: u16) -> Order {
        match self.distance(seq) {
            1 => Order::Next,
            d if d > MAX_AHEAD => Order::Wild,
            d if d > 1 => Order::Ahead,
            d if d <= -REMEMBERED => Order::Wild,
            d if self.seen >> -d & 1 == 1 => Order::Duplicate,
            _ => Order::Filler,
        }
    }

    /// Takes a number that [`Sequence::judge`] called neither duplicate nor wild.
    pub fn take(&mut self, seq: u16) {
        let distance = self.distance(seq);
        self.received += 1;
        if distance <= 0 {
            self.seen |= 1 << -distance;
            // A packet from before the first one: the stream began earlier than we thought.
            self.first = self.first.min(self.highest + distance);
            return;
        }
        self.seen = if distance < REMEMBERED {
            self.seen << distance
        } else {
            0
        };
        self.seen |= 1;
        self.highest += distance;
    }

    /// The highest number taken, with the times that the count began anew above it (RFC 3550 §6.4.1).
    pub fn highest(&self) -> u32 {
        self.highest as u32
    }

    /// Packets taken.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Numbers between the first and the highest that never came.
    pub fn lost(&self) -> u64 {
        let expected = self.highest - self.first + 1;
        u64::try_from(expected)
            .unwrap_or(0)
            .saturating_sub(self.received)
    }

    fn distance(&self, seq: u16) -> i64 {
        let low = self.highest as u16;
        i64::from(seq.wrapping_sub(low) as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_over_the_wrap() {
        let mut line = Sequence::new(65_533);
        for seq in [65_534, 65_535, 1, 2, 4] {
            assert!(matches!(line.judge(seq), Order::Next | Order::Ahead));
            line.take(seq);
        }
        assert_eq!((line.received(), line.lost()), (6, 2));
        assert_eq!(line.judge(3), Order::Filler);
        line.take(3);
        assert_eq!(line.judge(3), Order::Duplicate);
        assert_eq!(line.judge(65_533), Order::Duplicate);
        assert_eq!(line.lost(), 1);
    }

    #[test]
    fn far_numbers_are_wild() {
        let line = Sequence::new(10_000);
        assert_eq!(line.judge(13_000), Order::Ahead);
        assert_eq!(line.judge(13_001), Order::Wild);
        assert_eq!(line.judge(9_872), Order::Wild);
        assert_eq!(line.judge(9_873), Order::Filler);
        assert_eq!(line.judge(10_000), Order::Duplicate);
    }
}
