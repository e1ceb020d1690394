"""Preface, header and an incremental decoder: spec/01-framing.md."""

from dataclasses import dataclass

from . import wire
from .schema import FRAMES, FRAMES_BY_TYPE, LIMITS

PREFACE = bytes.fromhex("f7544944450d0a00")
CRITICAL, REPLY, LOGGED, GREASE = 0x01, 0x02, 0x04, 0x80


class Violation(Exception):
    """The bytes broke a rule of the connection; the code is the one for GOAWAY."""

    def __init__(self, code: str, **detail: int):
        super().__init__(code)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Frame:
    type: int
    flags: int
    ref: int
    raw: bytes

    @property
    def name(self) -> str | None:
        """The registered name; None for a type that nobody here knows."""
        known = FRAMES_BY_TYPE.get(self.type)
        return known["name"] if known else None

    def body(self) -> dict:
        """The body's fields. Raises wire.Malformed."""
        return wire.decode(FRAMES_BY_TYPE[self.type]["message"], self.raw)


def pack(type: int, raw: bytes, flags: int = 0, ref: int = 0) -> bytes:
    return len(raw).to_bytes(3, "big") + bytes([flags]) + type.to_bytes(2, "big") + ref.to_bytes(4, "big") + raw


def encode(name: str, body: dict, flags: int = 0, ref: int = 0) -> bytes:
    frame = FRAMES[name]
    return pack(frame["type"], wire.encode(frame["message"], body), flags, ref)


class Decoder:
    """Bytes in, frames out, however they are split."""

    def __init__(self, preface: bool = True, max_frame: int = LIMITS["MAX_FRAME_BEFORE_LOGIN"]):
        self.max_frame = max_frame
        self._preface = preface
        self._buffer = bytearray()

    def rest(self) -> bytes:
        """The bytes that are no whole frame yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes):
        """Yields each whole frame. Raises Violation; nothing can be read after it."""
        self._buffer += data
        if self._preface:
            head = bytes(self._buffer[: len(PREFACE)])
            if head != PREFACE[: len(head)]:
                raise Violation("BAD_PREFACE")
            if len(head) < len(PREFACE):
                return
            del self._buffer[: len(PREFACE)]
            self._preface = False
        while len(self._buffer) >= LIMITS["HEADER_LEN"]:
            length = int.from_bytes(self._buffer[:3], "big")
            if length > self.max_frame:
                raise Violation("FRAME_TOO_LARGE", limit=self.max_frame, actual=length)
            end = LIMITS["HEADER_LEN"] + length
            if len(self._buffer) < end:
                return
            head = bytes(self._buffer[: LIMITS["HEADER_LEN"]])
            raw = bytes(self._buffer[LIMITS["HEADER_LEN"] : end])
            del self._buffer[:end]
            yield Frame(int.from_bytes(head[4:6], "big"), head[3], int.from_bytes(head[6:10], "big"), raw)
