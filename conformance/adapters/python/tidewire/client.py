"""A client: connects, stays connected as the codes allow, and keeps its promises over every cut and crash.

Blocking and single-threaded: nothing happens outside of the calls. Byte streams only (TCP, TLS).
"""

import time

from . import wire
from .live import Broken, Goaway, Live
from .link import Grease, Link, Lost
from .outbox import Outbox
from .schema import CODES, FEATURES, LIMITS
from .state import State

__all__ = ["Broken", "Client", "Lost", "NeedsCredential", "Refused", "State", "Stopped", "Timeout"]


class Stopped(Exception):
    """The server said GOAWAY of class 1 (or this side did): no reconnect by itself."""

    def __init__(self, name: str, detail: dict | None = None):
        super().__init__(name)
        self.name, self.detail = name, detail or {}


class NeedsCredential(Stopped):
    """The server said GOAWAY of class 3: connect again with a new token."""


class Refused(Exception):
    """A request failed for good."""

    def __init__(self, body: dict):
        self.body = body
        self.name = CODES.get(body.get("code", 0), hex(body.get("code", 0)))
        super().__init__(f"{self.name} {body.get('field', '')}".strip())


class Timeout(Exception):
    """What was waited for did not come in time."""


def wall_ms() -> int:
    """The wall clock: the time that a message waits counts over a restart of this process too."""
    return time.time_ns() // 1_000_000


class Client:
    """`dial` makes a connected socket. `seed` switches grease on. `sleep` waits before a reconnect."""

    def __init__(
        self,
        state: State,
        token: str,
        dial,
        *,
        features: list[int] | None = None,
        seed: int | None = None,
        clock=wall_ms,
        sleep=time.sleep,
        event_limit: int = 1000,
        keepalive_ms: int | None = None,
        max_frame: int = LIMITS["MAX_FRAME_DEFAULT"],
    ):
        self.state, self.token, self.dial, self.sleep = state, token, dial, sleep
        self.grease = Grease(seed)
        self.outbox = Outbox(state, clock)
        self.live: Live | None = None
        self.gaps = 0
        self.messages: list[dict] = []
        self.logins: list[dict] = []
        self._attempts = 0
        self._options = {
            "features": list(FEATURES.values()) if features is None else features,
            "event_limit": event_limit,
            "keepalive_ms": keepalive_ms,
            "max_frame": max_frame,
            "clock": clock,
            "on_gap": self._on_gap,
        }

    def _on_gap(self) -> None:
        """Tells the user of this client that entries may be missing."""
        self.gaps += 1

    # Connecting.

    def connect(self, timeout: float = 30.0) -> dict:
        """Connects and logs in, once; returns LOGIN_OK after the backlog. Raises Lost, Stopped or NeedsCredential."""
        self.cut()
        link = Link(self.dial(), self.grease)
        live = Live(link, self.state, self.outbox, self.grease, self._options)
        live.online = self.messages
        self.live = live
        deadline = time.monotonic() + timeout
        try:
            live.login(self.token)
            while not live.synced:
                if time.monotonic() > deadline:
                    raise Lost("no login in time")
                live.step(deadline - time.monotonic())
                if live.login_ok is not None and not self.logins[-1:] == [live.login_ok]:
                    self.logins.append(live.login_ok)
                    self._attempts = 0
                    self.outbox.max_frame = live.login_ok.get("limits", {}).get("max_frame", LIMITS["MAX_FRAME_DEFAULT"])
                if self._options["event_limit"] == 0 and live.login_ok is not None:
                    break  # Without credit the backlog does not come, and so neither does SYNCED.
            live.settle()
        except Goaway as error:
            self._ended(error)
        except Broken as error:
            self.live = None
            raise Stopped(str(error)) from error
        except BaseException:
            self.cut()
            raise
        return live.login_ok

    def _ended(self, goaway: Goaway) -> None:
        """Acts on the class of a GOAWAY: raises what says so."""
        self.cut()
        name, kind = str(goaway), goaway.code >> 12
        #= spec/02-errors-and-limits.md#error-and-goaway
        ## [ERR-006] A client MUST NOT reconnect by itself after a GOAWAY of class 1.
        if kind == 1:
            raise Stopped(name, goaway.detail) from goaway
        if kind == 3:
            raise NeedsCredential(name, goaway.detail) from goaway
        if goaway.retry_after_ms:
            self.sleep(goaway.retry_after_ms / 1000)
        self._attempts = max(self._attempts, 1)
        raise Lost(name) from goaway

    def cut(self) -> None:
        """Drops the connection without a word."""
        if self.live is not None:
            self.live.link.close()
        self.live = None

    def _reconnect(self, deadline: float) -> None:
        """Tries with growing pauses until it is connected or the time is over."""
        while True:
            if self._attempts:
                # Clients that were cut together should not come back together.
                self.sleep(min(0.1 * 2 ** (self._attempts - 1), 60.0) * self.grease.random.uniform(0.5, 1.0))
            self._attempts += 1
            try:
                self.connect(max(deadline - time.monotonic(), 0.01))
                return
            except (Lost, OSError) as error:
                if time.monotonic() > deadline:
                    raise Timeout(f"no connection: {error}") from error

    # Waiting.

    def run(self, until, timeout: float = 30.0, reconnect: bool = True) -> None:
        """Lives until `until()` is true. Raises Timeout, Stopped, NeedsCredential, or Lost where it may not reconnect."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                raise Timeout("it did not happen in time")
            try:
                if self.live is None:
                    raise Lost("not connected")
                self.live.settle()
                self.live.step(deadline - time.monotonic())
            except Goaway as error:
                try:
                    self._ended(error)
                except Lost:
                    if not reconnect:
                        raise
                    self._reconnect(deadline)
            except Broken as error:
                self.live = None
                raise Stopped(str(error)) from error
            except Lost:
                self.cut()
                if not reconnect:
                    raise
                self._reconnect(deadline)

    def request(self, name: str, body: dict) -> dict:
        """Puts a request into the outbox; `run` sends it."""
        return self.outbox.add(name, body)

    def result(self, item: dict, timeout: float = 30.0) -> dict:
        """Waits for the reply to a request. Raises Refused where it failed for good."""
        self.run(lambda: item["result"] is not None, timeout)
        if "error" in item["result"]:
            raise Refused(item["result"]["error"])
        return item["result"]

    def call(self, name: str, body: dict) -> dict:
        return self.result(self.request(name, body))

    def fence(self, data: bytes = b"fence") -> None:
        """After this, whatever was caused before is here (CTL-003), stored and acknowledged."""
        self.call("PING", {"data": data})
        self.live.settle()

    # For apps.

    def send(self, content: bytes, *, delivery: str = "STORE", **fields) -> dict:
        """Puts a message into the outbox. `fields` are those of SEND: to_user or to_group, ttl_ms, receipts, ..."""
        limit = self.outbox.max_frame - LIMITS["MAX_CONTENT_OVERHEAD"]
        if len(content) > limit:
            raise ValueError(f"content of {len(content)} bytes exceeds limit {limit}")
        return self.request("SEND", {"delivery": delivery, "content": content, **fields})

    def content(self, entry: dict) -> bytes:
        """The content of a stored MESSAGE, fetched in parts where it was omitted."""
        if not entry.get("content_omitted"):
            return bytes.fromhex(entry.get("content", ""))
        data = b""
        while len(data) < entry["content_len"]:
            part = self.call("CONTENT_GET", {"pos": entry["pos"], "offset": len(data)}).get("content", b"")
            if not part:
                raise wire.Malformed("CONTENT brings nothing")
            data += part
        return data

    def reauth(self, token: str) -> None:
        self.call("REAUTH", {"token": token.encode()})
        self.token = token

    def logout(self, forget_device: bool = False) -> None:
        """Ends the session in order."""
        self.request("LOGOUT", {"forget_device": forget_device})
        try:
            self.run(lambda: False)
        except Stopped as error:
            if error.name != "LOGGED_OUT":
                raise

    def entries(self, kind: str | None = None) -> list[dict]:
        """What is stored, oldest first."""
        return [entry for entry in self.state.data["entries"] if kind in (None, entry["type"])]
