//! Blocks of pcapng, and the packets in them. Numbers of the format are little-endian here, those of the network big-endian.

use std::net::Ipv4Addr;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_USER_APPLICATION: u16 = 4;
const OPTION_TIME_RESOLUTION: u16 = 9;

/// Ethernet.
const LINK_TYPE: u16 = 1;
/// Times are in units of ten to the power of minus nine seconds.
const NANOSECONDS: u8 = 9;

/// Bits of TCP.
pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const PUSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// Addresses and ports of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) client: (Ipv4Addr, u16),
    pub(super) server: (Ipv4Addr, u16),
}

/// What stands first in a file.
pub(super) fn section() -> Vec<u8> {
    let mut content = Vec::new();
    content.extend(0x1a2b_3c4d_u32.to_le_bytes());
    content.extend([1, 0, 0, 0]);
    // How long the section is, is not known.
    content.extend((-1_i64).to_le_bytes());
    option(
        &mut content,
        OPTION_USER_APPLICATION,
        b"tidewire-conformance",
    );
    option(&mut content, OPTION_END, &[]);
    block(SECTION, &content)
}

/// The one interface, from which all packets seem to come.
pub(super) fn interface() -> Vec<u8> {
    let mut content = Vec::new();
    content.extend(LINK_TYPE.to_le_bytes());
    // Two bytes that mean nothing, and no limit of a packet's length.
    content.extend([0; 6]);
    option(&mut content, OPTION_TIME_RESOLUTION, &[NANOSECONDS]);
    option(&mut content, OPTION_END, &[]);
    block(INTERFACE, &content)
}

/// What an address is called.
pub(super) fn name(address: Ipv4Addr, name: &str) -> Vec<u8> {
    const IPV4: u16 = 1;
    let mut content = Vec::new();
    option(
        &mut content,
        IPV4,
        &[&address.octets(), name.as_bytes(), &[0]].concat(),
    );
    option(&mut content, OPTION_END, &[]);
    block(NAMES, &content)
}

/// A packet and what there is to say of it.
pub(super) fn packet(nanos: u64, packet: &[u8], comment: &str) -> Vec<u8> {
    let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    let mut content = Vec::new();
    content.extend([0; 4]);
    let [n0, n1, n2, n3, n4, n5, n6, n7] = nanos.to_le_bytes();
    content.extend([n4, n5, n6, n7, n0, n1, n2, n3]);
    content.extend(len.to_le_bytes());
    content.extend(len.to_le_bytes());
    padded(&mut content, packet);
    if !comment.is_empty() {
        option(&mut content, OPTION_COMMENT, comment.as_bytes());
        option(&mut content, OPTION_END, &[]);
    }
    block(PACKET, &content)
}

fn block(kind: u32, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len() + 12).unwrap_or(u32::MAX);
    let len = len.to_le_bytes();
    [&kind.to_le_bytes()[..], &len, content, &len].concat()
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let most = usize::from(u16::MAX);
    let value = value.get(..most).unwrap_or(value);
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    padded(out, value);
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// An Ethernet frame with a TCP segment. Checksums are zero, which Wireshark takes for "not computed".
pub(super) fn segment(
    from: (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    bytes: &[u8],
) -> Vec<u8> {
    let mut out = vec![0; 12];
    out.extend([0x08, 0x00]);
    // IPv4, five words of header, and its length with all that follows.
    out.extend([0x45, 0]);
    let total = u16::try_from(bytes.len() + 40).unwrap_or(u16::MAX);
    out.extend(total.to_be_bytes());
    // No fragments, 64 hops, TCP.
    out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    out.extend(from.0.octets());
    out.extend(to.0.octets());
    out.extend(from.1.to_be_bytes());
    out.extend(to.1.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend(acknowledged.to_be_bytes());
    // Five words of header, a window as large as it gets.
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(bytes);
    out
}
