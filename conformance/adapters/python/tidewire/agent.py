"""A client that never blocks: it is told when bytes came or time went by, and tells what happened.

The client of client.py waits in its calls; this one lives in a loop that also hears an app. Both share everything below a
session. Byte streams only (TCP, TLS).
"""

from select import select
from time import monotonic

from .lines import Refused
from .link import Grease, Link, Lost
from .live import Broken, Goaway, Live
from .outbox import Outbox
from .pace import Pace
from .schema import CODES, FEATURES, FRAMES, LIMITS
from .state import State
from . import wire


# How long a server may take to answer while a clock that is moved by hand stands still for it, in seconds; and how long once it
# let that time pass, until it is heard again.
PATIENCE, PATIENCE_WITH_SILENT = 1.0, 0.001


class Agent:
    """`dial` makes a connected socket, `tell(name, **fields)` is called with each event, `clock` gives milliseconds."""

    def __init__(self, state: State, token: str, dial, tell, clock, *, features=None, manual_ack=False, seed=None):
        self.state, self.token, self.dial, self.tell, self.clock = state, token, dial, tell, clock
        if manual_ack:
            state.let_app_ack()
        self.grease = Grease(seed)
        self.outbox = Outbox(state, clock)
        self.outbox.settled = self._settled
        self.live: Live | None = None
        self.pace = Pace(self.grease.random)
        self.attempts = 0
        # The session in which an answer was waited for in vain.
        self._silent: Live | None = None
        # When the next connection is tried; infinite where only the app can bring it about.
        self.retry_at: float = clock()
        self._options = {
            "features": list(FEATURES.values()) if features is None else [FEATURES[name] for name in features],
            "event_limit": 1000,
            "keepalive_ms": None,
            "max_frame": LIMITS["MAX_FRAME_DEFAULT"],
            "clock": clock,
            "on_gap": lambda: self._tell("missing"),
            "tell": tell,
        }

    @property
    def connected(self) -> bool:
        return self.live is not None and self.live.login_ok is not None

    def due(self) -> float:
        """When something has to be done, by the clock, if nothing comes before."""
        if self.live is None:
            return min(self.retry_at, self.outbox.due())
        return min(self.live.due(), self.outbox.due())

    def waits(self) -> bool:
        """True while something is expected of the server: LOGIN_OK or a PONG."""
        return self.live is not None and (not self.connected or self.live.waits_for_life())

    def step(self) -> None:
        """Does what is due, and takes in what came."""
        if self.live is None and self.clock() >= self.retry_at:
            self._connect()
        if self.live is None:
            self.outbox.lapse()
            return
        try:
            while self._take_in():
                pass
        except Goaway as error:
            self._goaway(error)
        except Broken:
            #= spec/02-errors-and-limits.md#error-and-goaway
            ## [ERR-049] A client that sent GOAWAY for a breach by the server MUST NOT reconnect by itself.
            self._over(None, float("inf"))
        except (Lost, OSError):
            self._lost()

    def go_on(self, move, until: float) -> None:
        """Moves a clock that stands still, by `move`, in the steps in which something is due. The server may answer first."""
        while True:
            self.step()
            self._let_server_answer()
            if self.clock() >= until:
                return
            move(int(min(max(self.due(), self.clock() + 1), until)))

    def _let_server_answer(self) -> None:
        waited = 0.0
        while self.waits():
            left = (PATIENCE_WITH_SILENT if self._silent is self.live else PATIENCE) - waited
            if left <= 0:
                self._silent = self.live
                return
            begun = monotonic()
            readable, _, _ = select([self.live.link.sock], [], [], left)
            waited += monotonic() - begun
            if readable:
                self._silent = None
            self.step()

    def _take_in(self) -> bool:
        """True if more may be here already."""
        live = self.live
        was_connected = self.connected
        live.step(0)
        if not was_connected and self.connected:
            self.pace.succeeded()
            self.outbox.max_frame = live.login_ok.get("limits", {}).get("max_frame", LIMITS["MAX_FRAME_DEFAULT"])
            live.settle()
        # TLS keeps what it has decrypted where no selector sees it.
        return bool(getattr(live.link.sock, "pending", lambda: 0)())

    def _connect(self) -> None:
        self.attempts += 1
        self.pace.begun(self.clock())
        try:
            link = Link(self.dial(), self.grease)
            self.live = Live(link, self.state, self.outbox, self.grease, self._options)
            self.live.login(self.token)
        except (Lost, OSError):
            self._lost()

    # Ends of a session.

    def _lost(self) -> None:
        #= spec/02-errors-and-limits.md#error-and-goaway
        ## [ERR-045] After a GOAWAY of class 2 or the loss of a connection a client MUST reconnect by itself.
        self._over(None, self.pace.next(self.clock()))

    def _goaway(self, error: Goaway) -> None:
        kind = error.code >> 12
        if kind in (1, 3):
            self._over(error.code, float("inf"))
            if kind == 3:
                #= spec/02-errors-and-limits.md#error-and-goaway
                ## [ERR-047] After a GOAWAY of class 3 a client MUST NOT log in again with the credential that was refused.
                self.tell("token_needed")
        else:
            self._over(error.code, self.pace.next(self.clock(), error.retry_after_ms))

    def _over(self, code: int | None, retry_at: float) -> None:
        live, self.live, self.retry_at = self.live, None, retry_at
        if live is None:
            return
        live.link.close()
        self.state.rewind()
        for fence in [*live.fences, *(item["done"] for item in live.pending.values() if "done" in item)]:
            fence(False)
        if live.login_ok is not None or code is not None:
            fields = {} if code is None else {"code": CODES.get(code, code)}
            self.tell("disconnected", will_reconnect=retry_at != float("inf"), **fields)

    # What the app asks for.

    def send(self, label: str, body: dict) -> None:
        limit = self.outbox.max_frame - LIMITS["MAX_CONTENT_OVERHEAD"]
        if len(body.get("content", b"")) > limit:
            raise Refused("BODY_TOO_LARGE", f"content exceeds {limit} bytes")
        self.outbox.add("SEND", body, label)
        self._settle()

    def request(self, label: str, name: str, body: dict) -> None:
        self.outbox.add(name, body, label)
        self._settle()

    def ack(self, pos: int) -> None:
        self.state.ack(pos)
        self.state.save()
        self._settle()

    def fence(self, done) -> None:
        """Calls `done(True)` once all that came so far was told, `done(False)` if the session ends before."""
        if not self.connected:
            raise Refused("NOT_CONNECTED")
        self.live.fence(done)
        self._settle()

    def new_token(self, token: str) -> None:
        self.token = token
        if self.live is None and self.retry_at == float("inf"):
            self.retry_at = self.clock()

    def close(self) -> None:
        """Ends the session in order."""
        if self.connected:
            self.live.link.put("GOAWAY", {"code": next(code for code, name in CODES.items() if name == "SHUTTING_DOWN")})
            try:
                self.live.flush()
            except Lost:
                pass  # It was to be closed anyway.
        self._over(None, float("inf"))

    def _settle(self) -> None:
        """Sends what may be sent now."""
        if self.connected:
            try:
                self.live.settle()
            except Lost:
                self._lost()

    # What came of it.

    def _tell(self, name: str, **fields) -> None:
        """In the order of what came, where there is a session."""
        (self.live.tell if self.live is not None else self.tell)(name, **fields)

    def _settled(self, item: dict, reply: str | None, body: dict) -> None:
        label, is_message = item.get("label"), item["name"] == "SEND"
        if item["name"] == "REAUTH" and reply == "OK":
            self.token = bytes.fromhex(item["body"]["token"]).decode()
        if reply == "ERROR" or reply is None:
            fields = {"code": CODES.get(body["code"], body["code"])} if body else {}
            if is_message:
                self._tell("failed", message=label, **fields)
            else:
                self._tell("refused", request=label, body=wire.to_json("Error", body), **fields)
        elif is_message:
            duplicate = body.get("duplicate", False)
            self._tell("accepted", message=label, msg_id=str(body.get("msg_id", 0)), duplicate=duplicate)
        else:
            self._tell("reply", request=label, type=reply, body=wire.to_json(FRAMES[reply]["message"], body))
