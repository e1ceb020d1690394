"""The same frames over WebSocket and TLS, as captures. Each function writes a file and returns the options that tshark needs for it."""

import ssl
import struct
import subprocess
from pathlib import Path

from capture import CLIENT, SERVER, Capture

WS_PORT, TLS_PORT = 8080, 8443
MASK = bytes([0x11, 0x22, 0x33, 0x44])


def websocket(path: Path, _preface: bytes, to_server: list[bytes], to_client: list[bytes]) -> list[str]:
    """An upgrade, then one binary message for each piece; those of the client are masked."""
    capture = Capture()
    connection = capture.connect(WS_PORT)
    connection.send(CLIENT, b"GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tidewire.v1\r\n\r\n")
    connection.send(SERVER, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tidewire.v1\r\n\r\n")
    for asked, answered in zip(to_server, to_client, strict=True):
        masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(asked))
        connection.send(CLIENT, message(len(asked), 0x80) + MASK + masked)
        connection.send(SERVER, message(len(answered), 0) + answered)
    capture.write(path)
    return []


def message(length: int, mask: int) -> bytes:
    """The head of a binary message that is whole."""
    return struct.pack(">BB", 0x82, mask | length) if length < 126 else struct.pack(">BBH", 0x82, mask | 126, length)


def tls(path: Path, preface: bytes, to_server: list[bytes], to_client: list[bytes]) -> list[str]:
    """A real session of TLS 1.3 with ALPN, in memory; tshark gets its keys."""
    certificate, key, secrets = path.with_suffix(".crt"), path.with_suffix(".key"), path.with_suffix(".keys")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server", "-days", "2"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    client_side, server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client_side.load_verify_locations(certificate)
    server_side.load_cert_chain(certificate, key)
    client_side.keylog_filename = str(secrets)
    for context in (client_side, server_side):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["tidewire/1"])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = {CLIENT: client_side.wrap_bio(down, up, server_hostname="server"), SERVER: server_side.wrap_bio(up, down, server_side=True)}
    capture = Capture()
    connection = capture.connect(TLS_PORT)

    def carry(side: str) -> None:
        """What one end has written goes into the capture and to the other end."""
        wire = up if side == CLIENT else down
        data = wire.read()
        connection.send(side, data)
        wire.write(data)

    def handshake(side: str) -> None:
        try:
            ends[side].do_handshake()
        except ssl.SSLWantReadError:
            pass
        carry(side)

    for side in (CLIENT, SERVER, CLIENT, SERVER):
        handshake(side)
    for asked, answered in zip([preface, *to_server], [preface, *to_client], strict=True):
        ends[CLIENT].write(asked)
        carry(CLIENT)
        ends[SERVER].write(answered)
        carry(SERVER)
    capture.write(path)
    return ["-o", f"tls.keylog_file:{secrets}"]
