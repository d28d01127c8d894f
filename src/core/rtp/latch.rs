//! Where our audio goes, and whose audio is believed: symmetric RTP (RFC 4961), latched with care (RFC 7362 §5, which
//! warns that whoever sends first may steal a stream).
//!
//! Believed at once is who sends from the host that the session description names; from another port of it, our audio
//! follows after two packets of one source in a row. Another host (a NAT stands between) is believed only while nothing
//! has ever come from the described one, after five such packets, and then no other until a new description. Packets of
//! an encrypted stream were authenticated before they come here.

use std::net::SocketAddr;

use super::packet::Header;

/// In a row, of one source: by chance or by a late packet of another call this does not happen.
const FROM_ITS_HOST: u8 = 2;
const FROM_ELSEWHERE: u8 = 5;

/// The far end of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    described: SocketAddr,
    /// Where it was found to be.
    found: Option<SocketAddr>,
    /// Something came from the described host.
    is_there: bool,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    seq: u16,
    count: u8,
}

impl Latch {
    pub fn new(described: SocketAddr) -> Latch {
        Latch {
            described,
            found: None,
            is_there: false,
            candidate: None,
        }
    }

    /// A new description; the same place changes nothing.
    pub fn describe(&mut self, described: SocketAddr) {
        if described != self.described {
            *self = Latch::new(described);
        }
    }

    /// Where to send.
    pub fn target(&self) -> SocketAddr {
        self.found.unwrap_or(self.described)
    }

    /// Whether a packet is believed to be the peer's.
    pub fn admits(&mut self, from: SocketAddr, header: &Header) -> bool {
        if from == self.described {
            // Who is where it said needs no finding.
            (self.is_there, self.found, self.candidate) = (true, None, None);
            return true;
        }
        if self.found == Some(from) {
            return true;
        }
        let is_its_host = from.ip() == self.described.ip();
        if !is_its_host && (self.is_there || self.found.is_some()) {
            return false;
        }
        self.is_there |= is_its_host;
        let needed = if is_its_host {
            FROM_ITS_HOST
        } else {
            FROM_ELSEWHERE
        };
        let follows = self.candidate.filter(|before| {
            before.from == from
                && before.ssrc == header.ssrc
                && before.seq.wrapping_add(1) == header.seq
        });
        let count = follows.map_or(1, |before| before.count.saturating_add(1));
        self.candidate = Some(Candidate {
            from,
            ssrc: header.ssrc,
            seq: header.seq,
            count,
        });
        if count >= needed {
            self.found = Some(from);
        }
        is_its_host || self.found == Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8, port: u16) -> SocketAddr {
        ([192, 0, 2, host], port).into()
    }

    fn header(ssrc: u32, seq: u16) -> Header {
        Header {
            marker: false,
            payload_type: 8,
            seq,
            timestamp: 0,
            ssrc,
        }
    }

    /// Packets in a row from one place: how many were believed.
    fn row(latch: &mut Latch, from: SocketAddr, first: u16, count: u16) -> usize {
        let packets = (first..first + count).map(|seq| header(7, seq));
        packets.filter(|header| latch.admits(from, header)).count()
    }

    #[test]
    fn another_port_of_the_described_host_is_heard_at_once_and_answered_soon() {
        let mut latch = Latch::new(at(20, 30_000));
        assert_eq!(row(&mut latch, at(20, 4_000), 1, 1), 1);
        assert_eq!(latch.target(), at(20, 30_000));
        assert_eq!(row(&mut latch, at(20, 4_000), 2, 1), 1);
        assert_eq!(latch.target(), at(20, 4_000));
        // When it does send from where it said, that is the place.
        assert_eq!(row(&mut latch, at(20, 30_000), 3, 1), 1);
        assert_eq!(latch.target(), at(20, 30_000));
    }

    #[test]
    fn another_host_is_believed_after_five_in_a_row_and_then_no_third() {
        let mut latch = Latch::new(at(20, 30_000));
        assert_eq!(row(&mut latch, at(99, 4_000), 1, 4), 0);
        // A gap begins the count anew.
        assert_eq!(row(&mut latch, at(99, 4_000), 9, 5), 1);
        assert_eq!(latch.target(), at(99, 4_000));
        assert_eq!(row(&mut latch, at(66, 4_000), 1, 50), 0);
        assert_eq!(row(&mut latch, at(99, 4_000), 14, 3), 3);
        latch.describe(at(20, 30_000));
        assert_eq!(latch.target(), at(99, 4_000), "the same description");
        latch.describe(at(20, 31_000));
        assert_eq!(latch.target(), at(20, 31_000));
    }

    #[test]
    fn nobody_steals_a_stream_whose_peer_is_there() {
        let mut latch = Latch::new(at(20, 30_000));
        assert_eq!(row(&mut latch, at(20, 30_000), 1, 1), 1);
        assert_eq!(row(&mut latch, at(66, 4_000), 1, 100), 0);
        assert_eq!(latch.target(), at(20, 30_000));
        // Two strangers at once never make a row.
        let mut latch = Latch::new(at(20, 30_000));
        for seq in 1..50 {
            assert!(!latch.admits(at(66, 1), &header(1, seq)));
            assert!(!latch.admits(at(67, 1), &header(2, seq)));
        }
    }
}
