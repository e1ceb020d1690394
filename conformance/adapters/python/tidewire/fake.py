"""A server of a few lines on the other end of a fake socket, for the unit tests."""

from . import frames
from .schema import FRAMES


class FakeServer:
    """Answers LOGIN by `login_ok`; everything else is up to `on(name, function)` and `push`.

    Every `dial` is a new connection of the same server. `log` has what clients sent, as (name, ref, body).
    """

    def __init__(self, **login_ok):
        self.login_ok = {"version": 1, "user": "me", "resume": "FRESH", "epoch": 7, "oldest_pos": 1, **login_ok}
        self.login_ok.setdefault("keepalive_ms", 60_000)
        self.log: list[tuple] = []
        self.answers = {"PING": lambda server, ref, body: server.push("PONG", body, ref)}
        self.backlog = b""
        self.dials = 0
        self.sock: FakeSocket | None = None

    def dial(self) -> "FakeSocket":
        self.dials += 1
        self.sock = FakeSocket(self)
        return self.sock

    def on(self, name: str, answer) -> None:
        self.answers[name] = answer

    def push(self, name: str, body: dict, ref: int = 0, flags: int | None = None) -> None:
        if flags is None:
            flags = frames.REPLY if ref else frames.LOGGED if FRAMES[name].get("logged") else 0
        self.sock.incoming += frames.encode(name, body, flags, ref)

    def message(self, pos: int, prev_pos: int, content: bytes = b"") -> None:
        self.push("MESSAGE", {"pos": pos, "prev_pos": prev_pos, "msg_id": pos, "from": "you", "to_user": "me", "content": content})

    def sent(self, name: str) -> list[dict]:
        """The bodies of the frames of a type that clients sent."""
        return [body for found, _, body in self.log if found == name]

    def took(self, frame: frames.Frame) -> None:
        name = frame.name or f"{frame.type:#06x}"
        body = frame.body() if frame.name else {}
        self.log.append((name, frame.ref, body))
        if name == "LOGIN":
            self.push("LOGIN_OK", self.login_ok, frame.ref)
            self.sock.incoming += self.backlog
            self.push("SYNCED", {})
        elif name in self.answers:
            self.answers[name](self, frame.ref, body)


class FakeSocket:
    def __init__(self, server: FakeServer):
        self.server = server
        self.decoder = frames.Decoder(preface=True, max_frame=1 << 20)
        self.incoming = bytearray(frames.PREFACE)
        self.closed = False

    def sendall(self, data: bytes) -> None:
        if self.closed:
            raise BrokenPipeError("closed")
        for frame in self.decoder.feed(data):
            self.server.took(frame)

    def recv(self, size: int) -> bytes:
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        if not data and self.closed:
            return b""
        if not data:
            raise TimeoutError
        return data

    def settimeout(self, timeout: float) -> None:
        """Time does not pass here."""

    def close(self) -> None:
        self.closed = True
