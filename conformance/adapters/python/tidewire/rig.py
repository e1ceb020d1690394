"""What session.py needs to be cruel: sockets that cut and lose, storage that crashes, a clock that can be moved."""

import json
import shutil
import tempfile
import time
import tomllib
import urllib.request
from pathlib import Path

from . import frames
from .client import Client, State, wall_ms
from .link import dial_tcp


class Crash(Exception):
    """The process died here."""


class CrashingState(State):
    """Dies after the save that brought entries, before anything is acknowledged."""

    armed = False

    def save(self) -> None:
        super().save()
        if self.armed:
            raise Crash


class Cutting:
    """A socket that cuts: in the first frame of a type at some offset, or after it was sent and before its answer."""

    def __init__(self, sock, kind: int, offset: int | None):
        self.sock, self.kind, self.offset, self.cut = sock, kind, offset, False
        self.buffer = bytearray()
        self.started = False

    def sendall(self, data: bytes) -> None:
        if self.cut:
            raise BrokenPipeError("cut")
        if not self.started:
            self.sock.sendall(data[: len(frames.PREFACE)])
            data, self.started = data[len(frames.PREFACE) :], True
        decoder = frames.Decoder(preface=False, max_frame=1 << 24)
        at = 0
        for frame in decoder.feed(data):
            whole = frames.pack(frame.type, frame.raw, frame.flags, frame.ref)
            if frame.type == self.kind:
                self.sock.sendall(data[at : at + (len(whole) if self.offset is None else self.offset)])
                self.cut = True
                return
            self.sock.sendall(whole)
            at += len(whole)

    def recv(self, size: int) -> bytes:
        if self.cut:
            raise ConnectionResetError("cut")
        return self.sock.recv(size)

    def settimeout(self, timeout: float) -> None:
        self.sock.settimeout(timeout)

    def close(self) -> None:
        self.sock.close()


class Losing:
    """A socket whose server forgets to send one entry: the first LOGGED frame that `which` picks."""

    def __init__(self, sock, which):
        self.sock, self.which, self.lost = sock, which, 0
        self.decoder = frames.Decoder(preface=True, max_frame=1 << 24)
        self.first = True

    def recv(self, size: int) -> bytes:
        out = b"" if not self.first else frames.PREFACE
        self.first = False
        data = self.sock.recv(size)
        if not data:
            return data
        for frame in self.decoder.feed(data):
            if frame.flags & frames.LOGGED and not self.lost and self.which(frame.body()):
                self.lost += 1
                continue
            out += frames.pack(frame.type, frame.raw, frame.flags, frame.ref)
        # An empty answer would mean the end of the stream.
        return out or self.recv(size)

    def sendall(self, data: bytes) -> None:
        self.sock.sendall(data)

    def settimeout(self, timeout: float) -> None:
        self.sock.settimeout(timeout)

    def close(self) -> None:
        self.sock.close()


class Clock:
    """The wall clock, which a step may push on."""

    ahead_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.ahead_ms


class Rig:
    """A server that runs, users of its own on it, and their devices."""

    def __init__(self, users_file: str):
        with open(users_file, "rb") as file:
            config = tomllib.load(file)
        self.server, self.admin_door = config["server"], config.get("admin")
        self.capabilities = (self.admin_door or {}).get("capabilities", [])
        self.folder = Path(tempfile.mkdtemp(prefix="tidewire-session-"))
        self.clients: list[Client] = []
        self.seed = 0
        names = ["alice", "bob", "carol"]
        if "provision" in self.capabilities:
            suffix = f"-{time.time_ns():x}"
            self.users = {name: name + suffix for name in names}
            self.tokens = {name: self._provision(user) for name, user in self.users.items()}
        else:
            known = dict(zip(names, config["user"]))
            self.users = {name: user["id"] for name, user in known.items()}
            self.tokens = {name: user["token"] for name, user in known.items()}

    def _provision(self, user: str) -> str:
        self.admin("PUT", f"/v1/users/{user}")
        return self.admin("POST", f"/v1/users/{user}/tokens")["token"]

    def admin(self, method: str, path: str, body: dict | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.admin_door['key']}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.admin_door["url"] + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def advance(self, milliseconds: int) -> None:
        self.admin("POST", "/v1/testing/clock", {"advance_ms": milliseconds})

    def dial(self):
        return dial_tcp(self.server["tcp"])

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def device(self, user: str, name: str, *, state: State | None = None, dial=None, token=None, **options) -> Client:
        """A client that sends grease from a seed of its own and never sleeps before it reconnects."""
        self.seed += 1
        options = {"seed": self.seed, "sleep": lambda seconds: None, **options}
        client = Client(state or State(self.file(name)), token or self.tokens[user], dial or self.dial, **options)
        self.clients.append(client)
        return client

    def close(self) -> None:
        """Cuts what is open and forgets the files."""
        for client in self.clients:
            client.cut()
        shutil.rmtree(self.folder, ignore_errors=True)


def plain(client: Client) -> list[bytes]:
    """The contents of the messages that a device stored, in order."""
    return [bytes.fromhex(entry.get("content", "")) for entry in client.entries("MESSAGE")]


__all__ = ["Clock", "Crash", "CrashingState", "Cutting", "Losing", "Rig", "plain"]
