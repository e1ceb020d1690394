"""One connection: a socket, the preface, whole frames, and some grease on what is sent."""

import random
import socket
import ssl

from . import frames, wire
from .schema import FRAMES, FRAMES_BY_TYPE


# Whoever takes nothing for so long is gone.
WRITE_SECONDS = 10.0


class Lost(Exception):
    """The connection is gone; another one may be tried."""


def dial_tcp(address: str, timeout: float = 10.0) -> socket.socket:
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def dial_tls(address: str, ca_file: str | None = None, name: str | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["tidewire/1"])
    return context.wrap_socket(dial_tcp(address), server_hostname=name or address.rsplit(":", 1)[0].strip("[]"))


class Grease:
    """Values that nobody will ever assign, from a seed, so that no server learns to refuse what is unknown."""

    def __init__(self, seed: int | None):
        self.random = random.Random(seed)
        self.on = seed is not None

    def feature(self) -> list[int]:
        return [self._mask(32)] if self.on else []

    def flags(self) -> int:
        return frames.GREASE if self.on and self.random.random() < 0.5 else 0

    def field(self) -> bytes:
        """A field that nobody knows, as bytes after a body."""
        if not self.on or self.random.random() < 0.5:
            return b""
        number = 100_000 + self.random.randrange(1_000_000)
        data = self.random.randbytes(self.random.randrange(12))
        return wire.varint(number << 3 | 2) + wire.varint(len(data)) + data

    def frame(self) -> bytes:
        """An event of a type that nobody knows."""
        if not self.on:
            return b""
        return frames.pack(self._mask(16), self.random.randbytes(self.random.randrange(20)), self.flags(), 0)

    def _mask(self, bits: int) -> int:
        grease, free = (0x0A0A, 0xF0F0) if bits == 16 else (0x0A0A0A0A, 0xF0F0F0F0)
        return self.random.getrandbits(bits) & free | grease


class Link:
    """`sock` needs sendall, recv, settimeout and close. Writes are gathered until `flush`."""

    def __init__(self, sock, grease: Grease):
        self.sock, self.grease = sock, grease
        #= spec/01-framing.md#transports
        ## [FRM-001] On a byte stream a client MUST send the 8 preface bytes F7 54 49 44 45 0D 0A 00 before anything
        ## else.
        self.out = bytearray(frames.PREFACE)
        self.decoder = frames.Decoder(preface=True)
        self._frames = iter(())
        self._ref = 0

    def next_ref(self, taken) -> int:
        #= spec/01-framing.md#requests-and-replies
        ## [FRM-024] A client MUST NOT reuse a ref on a connection while its request is unanswered.
        while True:
            self._ref = self._ref % 0xFFFFFFFF + 1
            if self._ref not in taken:
                return self._ref

    def put(self, name: str, body: dict, ref: int = 0, reply: bool = False) -> None:
        #= spec/01-framing.md#header
        ## [FRM-014] A sender MUST NOT set flag bits 3 to 6.
        flags = (frames.REPLY if reply else 0) | self.grease.flags()
        raw = wire.encode(FRAMES[name]["message"], body) + self.grease.field()
        self.out += frames.pack(FRAMES[name]["type"], raw, flags, ref)

    def put_raw(self, data: bytes) -> None:
        self.out += data

    def flush(self) -> None:
        """Raises Lost."""
        data, self.out = bytes(self.out), bytearray()
        try:
            if data:
                self.sock.settimeout(WRITE_SECONDS)
                self.sock.sendall(data)
        except OSError as error:
            raise Lost(f"cannot write: {error}") from error

    def buffered(self) -> frames.Frame | None:
        """The next frame of the bytes that are here already. Raises frames.Violation."""
        return next(self._frames, None)

    def fill(self, timeout: float) -> bool:
        """Waits for bytes, or with 0 takes what is here; False if none came in time. Raises Lost."""
        self.sock.settimeout(max(timeout, 0))
        try:
            data = self.sock.recv(65536)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise Lost(f"cannot read: {error}") from error
        if not data:
            raise Lost("the server closed")
        self._frames = self.decoder.feed(data)
        return True

    def close(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass


def is_entry(frame: frames.Frame) -> bool:
    """LOGGED means something on entries and on unknown events; on all else it is ignored."""
    #= spec/01-framing.md#header
    ## [FRM-013] A receiver MUST ignore flag bits that are undefined or that mean nothing for the frame.
    if not frame.flags & frames.LOGGED or frame.flags & frames.REPLY or frame.ref:
        return False
    known = FRAMES_BY_TYPE.get(frame.type)
    return known is None or known.get("logged", False)
