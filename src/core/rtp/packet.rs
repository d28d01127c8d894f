//! The RTP packet (RFC 3550 §5.1): read leniently, written plainly.
//!
//! Written here and not taken from `rtc-rtp` 0.21.1, because that one stops reading a header extension at the
//! reserved identifier 15 and takes the rest of it for speech, refuses a packet for an extension that we never
//! look at, allocates for every packet, and keeps its traits in a second crate. We send 12 bytes of header.

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 12;

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    /// 0–127.
    pub payload_type: u8,
    pub seq: u16,
    /// In ticks of 1/8000 s for every payload type that we know.
    pub timestamp: u32,
    pub ssrc: u32,
}

/// A datagram read as RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub header: Header,
    /// Without contributing sources, extension and padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram; `None` when it is not RTP version 2, is cut short, or is RTCP on the same port.
    pub fn parse(datagram: &'a [u8]) -> Option<Packet<'a>> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER_BYTES>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        // RTCP multiplexed on this port has packet types 192–223 (RFC 5761 §4).
        if first >> 6 != 2 || (192..=223).contains(&second) {
            return None;
        }
        let mut payload = rest.get(usize::from(first & 0x0f) * 4..)?;
        if first & 0x10 != 0 {
            let (extension, after) = payload.split_first_chunk::<4>()?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            payload = after.get(words * 4..)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last()?);
            if padding == 0 || padding > payload.len() {
                return None;
            }
            payload = &payload[..payload.len() - padding];
        }
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            seq: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        Some(Packet { header, payload })
    }
}

impl Header {
    /// Writes a packet without contributing sources, extension or padding.
    pub fn with_payload(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.push(0x80);
        bytes.push(u8::from(self.marker) << 7 | (self.payload_type & 0x7f));
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        marker: true,
        payload_type: 8,
        seq: 0xfffe,
        timestamp: 0x0102_0304,
        ssrc: 0xdead_beef,
    };

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = HEADER.with_payload(&[1, 2, 3]);
        let packet = Packet::parse(&bytes).expect("it was just written");
        assert_eq!(packet.header, HEADER);
        assert_eq!(packet.payload, &[1, 2, 3]);
    }

    #[test]
    fn sources_extension_and_padding_are_skipped() {
        let mut bytes = HEADER.with_payload(&[]);
        bytes[0] = 0x80 | 0x20 | 0x10 | 2;
        bytes.extend_from_slice(&[0; 8]);
        // A one-byte extension with the reserved identifier 15, then rubbish: skipped by its length alone.
        bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, 0xf3, 9, 9, 9]);
        bytes.extend_from_slice(&[7, 7, 0, 2]);
        let packet = Packet::parse(&bytes).expect("every length fits");
        assert_eq!(packet.payload, &[7, 7]);
    }

    #[test]
    fn cut_and_foreign_datagrams_are_refused() {
        let whole = {
            let mut bytes = HEADER.with_payload(&[]);
            bytes[0] = 0x80 | 0x20 | 0x10 | 1;
            bytes.extend_from_slice(&[0, 0, 0, 0, 0xbe, 0xde, 0, 1, 0, 0, 0, 0, 5, 1]);
            bytes
        };
        assert!(Packet::parse(&whole).is_some());
        for length in 0..whole.len() - 1 {
            assert!(Packet::parse(&whole[..length]).is_none_or(|p| p.payload.is_empty()));
        }
        assert!(Packet::parse(b"INVITE sip:a@b SIP/2.0\r\n").is_none());
        assert!(Packet::parse(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
    }
}
