//! A call's SIP as a PCAP-NG capture: each message a UDP packet between the addresses that it went between.

use std::io::Write;
use std::time::Duration;

use aftercall_core::sip::trace::{Kept, Passed, What};
use aftercall_core::time::Timestamp;
use etherparse::PacketBuilder;
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};

/// Time stamps count nanoseconds.
const NANOSECONDS: u8 = 9;
const HOPS: u8 = 64;

/// Writes the messages; `began_at` is when the trace begins.
///
/// # Errors
/// When it cannot be written.
pub fn write(trace: &Kept, began_at: Timestamp, out: impl Write) -> anyhow::Result<()> {
    let mut capture = PcapNgWriter::new(out)?;
    capture.write_pcapng_block(InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0,
        options: vec![InterfaceDescriptionOption::IfTsResol(NANOSECONDS)],
    })?;
    let began = Duration::try_from(began_at.duration_since(Timestamp::UNIX_EPOCH))?;
    for passed in &trace.passed {
        let What::Sip { text, .. } = &passed.what else {
            continue;
        };
        let packet = packet(passed, text.as_bytes())?;
        capture.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: began + Duration::from_micros(passed.at_us),
            original_len: u32::try_from(packet.len())?,
            data: packet.into(),
            options: Vec::new(),
        })?;
    }
    capture.into_inner().flush()?;
    Ok(())
}

fn packet(passed: &Passed, message: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (from, to) = if passed.sent {
        (passed.ours, passed.theirs)
    } else {
        (passed.theirs, passed.ours)
    };
    let builder = match (from.ip(), to.ip()) {
        (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
            PacketBuilder::ipv4(from.octets(), to.octets(), HOPS)
        }
        (std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
            PacketBuilder::ipv6(from.octets(), to.octets(), HOPS)
        }
        (_, _) => anyhow::bail!("{from} and {to} are of two families"),
    };
    let mut packet = Vec::new();
    let udp = builder.udp(from.port(), to.port());
    udp.write(&mut packet, message)?;
    Ok(packet)
}
