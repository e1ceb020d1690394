"""One session: LOGIN, then frames both ways over one link until it ends. What has to outlive it stands in the state."""

from . import frames, wire
from .frames import Frame, Violation
from .link import Grease, Link, Lost, is_entry
from .outbox import Outbox
from .schema import CODES, FRAMES, FRAMES_BY_TYPE, LIMITS
from .state import State

# How long LOGIN_OK may take.
PATIENCE_MS = 15_000
CODE = {name: code for code, name in CODES.items()}


class Goaway(Exception):
    """The server ended the connection and said why."""

    def __init__(self, code: int, retry_after_ms: int = 0, detail: dict | None = None):
        super().__init__(CODES.get(code, hex(code)))
        self.code, self.retry_after_ms, self.detail = code, retry_after_ms, detail or {}


class Broken(Exception):
    """The server broke the protocol; this side said GOAWAY and closed."""


class Live:
    def __init__(self, link: Link, state: State, outbox: Outbox, grease: Grease, options: dict):
        self.link, self.state, self.outbox, self.grease, self.options = link, state, outbox, grease, options
        self.login_ok: dict | None = None
        self.synced = False
        self.online: list[dict] = []
        self.notices: list[int] = []
        self.pending: dict[int, dict] = {}
        self.max_inflight = 1
        self.received = 0
        self.event_limit = options["event_limit"]
        self.acked = 0
        self.dirty = False
        self.sync: dict | None = None
        self.fences: list = []
        self.happened: list = []
        self.last_sent = self.last_heard = self.begun = options["clock"]()

    def tell(self, name: str, **fields) -> None:
        """Tells whoever uses this client, once what came so far is stored."""
        tell = self.options.get("tell")
        if tell is not None:
            self.happened.append(lambda: tell(name, **fields))

    def fence(self, done) -> None:
        """Calls `done` once a PING was answered and all that came before was told."""
        self.fences.append(done)

    def login(self, token: str) -> None:
        """Sends LOGIN; the answer comes by `step`."""
        body = {
            "version_min": 1,
            "version_max": 1,
            #= spec/03-versioning.md#grease
            ## [VER-021] A client SHOULD send some grease in each session.
            "features": self.options["features"] + self.grease.feature(),
            "token": token.encode(),
            "device_id": self.state.data["device_id"],
            "limits": {"max_frame": self.options["max_frame"]},
            "event_limit": self.event_limit,
            "agent": "tidewire-python/1",
        }
        #= spec/20-login.md#resume
        ## [LGN-050] A client that has stored entries MUST name their epoch and last position as resume in LOGIN.
        if self.state.resume():
            body["resume"] = self.state.resume()
        if self.options["keepalive_ms"] is not None:
            body["keepalive_ms"] = self.options["keepalive_ms"]
        self._request({"name": "LOGIN", "own": True}, body)
        self.flush()

    def step(self, timeout: float) -> None:
        """Waits once for bytes and handles every frame that is whole. Raises Lost, Goaway or Broken."""
        if self.link.fill(min(timeout, self._keepalive())):
            self.last_heard = self.options["clock"]()
        try:
            while (frame := self.link.buffered()) is not None:
                self._frame(frame)
        except Violation as error:
            self._break(error.code)
        except wire.Malformed:
            self._break("MALFORMED_FRAME")
        except (Goaway, Lost):
            self._store()  # What came before the end counts.
            raise
        self.settle()

    def settle(self) -> None:
        """Stores what came, acknowledges it, and sends what waits."""
        self._store()
        if self.login_ok is not None:
            #= spec/30-send.md#ack
            ## [SND-053] A client MUST send ACK only for entries that it has stored.
            #= spec/30-send.md#ack
            ## [SND-084] A client MUST send ACK for the entries that it has stored.
            if self.state.stored > self.acked:
                self.acked = self.state.stored
                self.link.put("ACK", {"pos": self.acked})
            self._credit()
            self._transmit()
        self.flush()

    def _store(self) -> None:
        if self.dirty:
            self.state.save()
            self.dirty = False
        happened, self.happened = self.happened, []
        for told in happened:
            told()

    def flush(self) -> None:
        if self.link.out:
            self.last_sent = self.options["clock"]()
        self.link.flush()

    # What is sent.

    def _request(self, item: dict, body: dict) -> None:
        ref = self.link.next_ref(self.pending)
        self.pending[ref] = item
        self.link.put(item["name"], body, ref)

    def _transmit(self) -> None:
        while self.fences and len(self.pending) < self.max_inflight:
            self._request({"name": "PING", "own": True, "done": self.fences.pop(0)}, {})
        if self.sync and not self.sync["sent"] and len(self.pending) < self.max_inflight:
            self.sync["sent"] = True
            self._request({"name": "SYNC", "own": True}, {"after_pos": self.sync["after"]})
        #= spec/02-errors-and-limits.md#sizes
        ## [ERR-037] A client MUST NOT have more unanswered requests than the server's max_inflight.
        room = self.max_inflight - len(self.pending)
        flying = {item["id"] for item in self.pending.values() if "id" in item}
        #= spec/10-control.md#end-of-a-connection
        ## [CTL-032] After losing a connection a client MUST repeat every unanswered SEND and GROUP_OP in the same order
        ## with the same idempotency keys.
        for item, body in self.outbox.ready(flying, room):
            self._request(item, body)

    def _keepalive(self) -> float:
        """Seconds until this side has to say something. Sends a PING where that is now."""
        if self.login_ok is None:
            left = self.begun + PATIENCE_MS - self.options["clock"]()
            if left <= 0:
                raise Lost("no LOGIN_OK in time")
            return left / 1000
        now, interval = self.options["clock"](), self.login_ok["keepalive_ms"]
        #= spec/10-control.md#keepalive
        ## [CTL-035] A client SHOULD take a server from which nothing came for two keepalive intervals as gone and
        ## reconnect.
        if now - self.last_heard > 2 * interval:
            raise Lost("nothing was heard for two keepalive intervals")
        #= spec/10-control.md#keepalive
        ## [CTL-012] A client MUST send a frame at least once in each keepalive interval.
        if now - self.last_sent >= interval // 2:
            has_room = len(self.pending) < self.max_inflight
            if has_room:
                self._request({"name": "PING", "own": True}, {})
            else:
                self.link.put("PING", {})
            self.flush()
            now = self.last_sent
        wait = self.last_sent + interval // 2 - now
        return max(min(wait, self.outbox.wait_ms()), 0) / 1000

    def due(self) -> float:
        """When something has to be done next, by the clock of this client."""
        if self.login_ok is None:
            return self.begun + PATIENCE_MS
        interval = self.login_ok["keepalive_ms"]
        return min(self.last_sent + interval // 2, self.last_heard + 2 * interval + 1, self.outbox.due())

    def waits_for_life(self) -> bool:
        """True while a PING is not answered."""
        return any(item["name"] == "PING" for item in self.pending.values())

    def _credit(self) -> None:
        #= spec/10-control.md#flow-of-entries
        ## [CTL-026] A client whose app takes its entries MUST raise the event limit before it is used up.
        window = self.options["event_limit"]
        if window and self.event_limit - self.received <= window // 2:
            self.event_limit = self.received + window
            self.link.put("CREDIT", {"event_limit": self.event_limit})

    def _break(self, code: str) -> None:
        """GOAWAY is the last frame that this side sends."""
        self.link.put("GOAWAY", {"code": CODE[code]})
        try:
            self.flush()
        except Lost:
            pass  # It was to be closed anyway.
        self.link.close()
        raise Broken(code)

    # What comes.

    def _frame(self, frame: Frame) -> None:
        known = FRAMES_BY_TYPE.get(frame.type)
        if self.login_ok is None and (known is None or known["name"] not in ("LOGIN_OK", "ERROR", "GOAWAY")):
            raise Violation("PROTOCOL_VIOLATION")
        if known is not None and known["dir"] == "c2s":
            raise Violation("PROTOCOL_VIOLATION")
        if is_entry(frame):
            self._entry(frame, known)
        elif frame.flags & frames.REPLY:
            self._reply(frame)
        elif known is None:
            self._unknown(frame)
        elif known["name"] == "PING":
            #= spec/10-control.md#ping
            ## [CTL-004] A client MUST answer a PING that has a ref with PONG.
            if frame.ref:
                self.link.put("PONG", {"data": frame.body().get("data", b"")}, frame.ref, reply=True)
        elif known["name"] == "MESSAGE":
            self.online.append(frame.body())
            self._entry_told(frame.name, self.online[-1])
        elif known["name"] == "SYNCED":
            if not self.synced:
                self.tell("synced")
            self.synced = True
            if self.sync and self.sync["answered"]:
                self.sync = None
        elif known["name"] == "NOTICE":
            self.notices.append(frame.body().get("code", 0))
        elif known["name"] == "GOAWAY":
            body = frame.body()
            raise Goaway(body.get("code", 0), body.get("retry_after_ms", 0), body)

    def _unknown(self, frame: Frame) -> None:
        if frame.ref:
            #= spec/01-framing.md#unknown-frames
            ## [FRM-048] To a request of a type that it does not know a client MUST answer ERROR UNSUPPORTED_FRAME and keep
            ## the connection.
            self.link.put("ERROR", {"code": CODE["UNSUPPORTED_FRAME"]}, frame.ref, reply=True)
        elif frame.flags & frames.CRITICAL:
            #= spec/01-framing.md#unknown-frames
            ## [FRM-042] On an unknown event with CRITICAL set the receiver MUST send GOAWAY UNKNOWN_CRITICAL and close.
            raise Violation("UNKNOWN_CRITICAL")
        #= spec/01-framing.md#unknown-frames
        ## [FRM-043] An unknown event without CRITICAL MUST be skipped without effect on the connection.

    def _entry(self, frame: Frame, known: dict | None) -> None:
        self.received += 1
        if known is None:
            if frame.flags & frames.CRITICAL:
                raise Violation("UNKNOWN_CRITICAL")
            #= spec/01-framing.md#unknown-frames
            ## [FRM-044] A client MUST advance its position over an unknown frame with LOGGED set by reading body fields
            ## 1 and 2.
            numbers = {number: value for number, kind, value, _ in wire.records(frame.raw) if kind == 0}
            body = {"pos": numbers.get(1, 0), "prev_pos": numbers.get(2, 0)}
        else:
            body = frame.body()
        pos, prev_pos = body.get("pos", 0), body.get("prev_pos", 0)
        #= spec/30-send.md#the-user-log
        ## [SND-044] A client MUST ignore an entry whose pos is not above its own position.
        if pos <= self.state.pos:
            return
        #= spec/30-send.md#the-user-log
        ## [SND-043] A client MUST take an entry whose prev_pos is above its own position as a gap and ask for the
        ## missing with SYNC.
        if prev_pos > self.state.pos:
            self._gap()
            return
        self.state.add_entry(known["name"] if known else None, {**body, "pos": pos})
        self.dirty = True
        if known is not None:
            self._entry_told(known["name"], body)
            self.status_told()

    def _entry_told(self, name: str, body: dict) -> None:
        self.tell("entry", type=name, body=wire.to_json(FRAMES[name]["message"], body))

    def status_told(self) -> None:
        """Tells what changed of the states of own messages."""
        for news in self.state.news():
            self.tell("status", **news)

    def _gap(self) -> None:
        """Asks once for one gap. One that stays after the answer is the server's fault; a new connection may heal it."""
        if self.sync is None or self.sync["after"] != self.state.pos:
            self.sync = {"after": self.state.pos, "sent": False, "answered": False}
        elif self.sync["answered"]:
            raise Lost("a gap stays after SYNC")

    def _reply(self, frame: Frame) -> None:
        item = self.pending.pop(frame.ref, None)
        if item is None:
            return
        expected = FRAMES[item["name"]]["reply"]
        if frame.name not in (expected, "ERROR"):
            raise Violation("PROTOCOL_VIOLATION")
        body = frame.body()
        if item["name"] == "LOGIN":
            self._login_ok(frame, body)
        elif "done" in item:
            self.happened.append(lambda: item["done"](True))
        elif item["name"] == "SYNC" and "own" in item:
            if self.sync:
                self._sync_answer(frame, body)
        elif "own" not in item:
            self.outbox.answered(item, frame.name, body)
            self.dirty = True
            self.status_told()

    def _sync_answer(self, frame: Frame, body: dict) -> None:
        self.sync["answered"] = True
        if frame.name == "ERROR":
            if "limit" not in body:
                raise Lost("SYNC was refused")
            # What is missing is gone for good: as after GAP, the rest is taken as new.
            self.state.restart_at(self.state.data["epoch"], body["limit"] + 1)
            self.options["on_gap"]()
            self.dirty = True
            self.acked = self.state.stored
            self.sync = {"after": self.state.pos, "sent": False, "answered": False}

    def _login_ok(self, frame: Frame, body: dict) -> None:
        if frame.name == "ERROR":
            raise Violation("PROTOCOL_VIOLATION")
        self.login_ok = body
        if body.get("version") != 1:
            raise Violation("VERSION_UNSUPPORTED")
        limits = body.get("limits", {})
        self.state.data["user"] = body.get("user")
        self.tell("connected", result=body.get("resume"))
        body.setdefault("keepalive_ms", LIMITS["KEEPALIVE_DEFAULT_MS"])
        self.max_inflight = limits.get("max_inflight", LIMITS["MAX_INFLIGHT_DEFAULT"])
        self.link.decoder.max_frame = self.options["max_frame"]
        if body.get("resume") != "RESUMED":
            had_one = self.state.resume() is not None
            #= spec/20-login.md#resume
            ## [LGN-051] A client that is told FRESH MUST give up its position and take the entries from oldest_pos on as
            ## new.
            #= spec/20-login.md#resume
            ## [LGN-028] A client that is told GAP MUST take the entries from oldest_pos on as new and tell its user
            ## that entries before may be missing.
            self.state.restart_at(body.get("epoch", 0), body.get("oldest_pos", 0))
            if had_one:
                self.options["on_gap"]()
            self.acked = self.state.stored
            self.dirty = True
        elif self.state.stored:
            #= spec/20-login.md#resume
            ## [LGN-052] After RESUMED a client that has stored entries MUST send ACK for them once more.
            self.acked = self.state.stored
            self.link.put("ACK", {"pos": self.acked})
        self.link.put_raw(self.grease.frame())
