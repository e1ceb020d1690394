"""Captures made up byte by byte: TCP connections as pcap files, with a handshake and honest sequence numbers."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

# What one segment carries on Ethernet.
SEGMENT = 1460
CLIENT, SERVER = "client", "server"
SYN, ACK, PUSH = 0x02, 0x10, 0x08


@dataclass
class Capture:
    """Packets of any number of connections, a millisecond apart."""

    packets: list[bytes] = field(default_factory=list)
    connections: int = 0

    def connect(self, port: int) -> "Connection":
        self.connections += 1
        return Connection(self, port, 20_000 + self.connections)

    def write(self, path: Path) -> None:
        out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 1)]
        for number, packet in enumerate(self.packets):
            seconds, millis = divmod(number, 1000)
            out.append(struct.pack("<IIII", 1_700_000_000 + seconds, millis * 1000, len(packet), len(packet)))
            out.append(packet)
        path.write_bytes(b"".join(out))


class Connection:
    """One TCP connection, from its handshake on."""

    def __init__(self, capture: Capture, port: int, client_port: int):
        self.capture = capture
        self.ports = {CLIENT: client_port, SERVER: port}
        self.sent = {CLIENT: 0, SERVER: 0}
        self._packet(CLIENT, SYN)
        self._packet(SERVER, SYN | ACK)
        self._packet(CLIENT, ACK)

    def send(self, side: str, data: bytes, segment: int = SEGMENT) -> int:
        """Sends bytes in segments; returns the number of the last packet, as Wireshark counts."""
        for at in range(0, len(data), segment):
            self._packet(side, PUSH | ACK, data[at : at + segment])
        return len(self.capture.packets)

    def _packet(self, side: str, flags: int, data: bytes = b"") -> None:
        other = SERVER if side == CLIENT else CLIENT
        acked = self.sent[other] if flags & ACK else 0
        tcp = struct.pack(">HHIIBBHHH", self.ports[side], self.ports[other], self.sent[side], acked, 0x50, flags, 65535, 0, 0)
        hosts = {CLIENT: bytes([10, 0, 0, 1]), SERVER: bytes([10, 0, 0, 2])}
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0, hosts[side], hosts[other])
        self.capture.packets.append(bytes(12) + b"\x08\x00" + ip + tcp + data)
        self.sent[side] += len(data) + (flags & SYN != 0)
