"""Requests that wait: for their turn, for their answer, or for the time to be repeated."""

import secrets

from .schema import LIMITS
from .state import State, conversation, plain

# These go on after a restart of the app; the rest is asked again by whoever wants to know.
DURABLE = ("SEND", "MARK", "GROUP_OP", "EXPIRY_SET")


class Outbox:
    def __init__(self, state: State, clock, backoff_ms: int = 1000):
        self.state, self.clock, self.backoff_ms = state, clock, backoff_ms
        self.max_frame = LIMITS["MAX_FRAME_DEFAULT"]
        # Told of each item that is settled; replaced by whoever wants to know.
        self.settled = lambda item, reply, body: None

    def add(self, name: str, body: dict, label: str | None = None) -> dict:
        """`label` is what the app calls it. Returns the item; its `result` is filled when it is settled: the reply's body, `error` or `dropped`."""
        body = plain(body)
        if name == "SEND" or name == "GROUP_OP" and "get" not in body:
            #= spec/30-send.md#idempotency
            ## [SND-083] A client MUST give each message a key of its own.
            body.setdefault("idem", secrets.token_bytes(LIMITS["IDEM_LEN"]).hex())
        item = self.state.enqueue(name, body, self.clock(), name not in DURABLE)
        item["label"] = label
        #= spec/30-send.md#idempotency
        ## [SND-030] A client MUST store the key with the message before it first sends it.
        if name in DURABLE:
            self.state.save()
        return item

    def ready(self, flying: set[int], room: int) -> list[tuple[dict, dict]]:
        """What may be sent now, in order: at most `room` requests, each with the body to send."""
        found, held, changed = [], set(), self.lapse()
        for item in list(self.state.data["outbox"]):
            talk = _talk(item)
            if item["id"] in flying:
                continue
            #= spec/02-errors-and-limits.md#error-and-goaway
            ## [ERR-007] A client MUST wait at least retry_after_ms before it repeats what was refused with it.
            if item.get("not_before", 0) > self.clock():
                held.add(talk)  # What follows in this conversation must not overtake it.
            elif talk not in held or talk is None:
                if len(found) >= room:
                    break
                changed |= not item["tried"] and not item["volatile"]
                found.append((item, self._body(item)))
        if changed:
            self.state.save()  # What was tried is repeated as it was, also by the next process.
        return found

    def _body(self, item: dict) -> dict:
        """The body of this try."""
        body = dict(item["body"])
        if item["name"] == "SEND" and "ttl_ms" in body:
            left = self._left(item)
            # What was tried may have been accepted: the repeat asks.
            body["ttl_ms"] = max(left, 1)
        item["tried"] = True
        return body

    def _left(self, item: dict) -> int:
        #= spec/60-expiry.md#time-to-live
        ## [EXP-007] A client MUST subtract the time that a message waited in its outbox from ttl_ms, and drop it
        ## when nothing is left before its first try.
        return item["body"]["ttl_ms"] - max(self.clock() - item["since"], 0)

    def lapse(self) -> bool:
        """Drops what nobody tried while its time went by; true if there was such a message."""
        waiting = [item for item in self.state.data["outbox"] if item["name"] == "SEND" and not item["tried"]]
        over = [item for item in waiting if "ttl_ms" in item["body"] and self._left(item) <= 0]
        for item in over:
            item["result"] = {"dropped": True, "tried": False}
            self.state.settle_request(item)
            self.settled(item, None, {})
        return bool(over)

    def due(self) -> float:
        """When the next repeat is due, or the time of a message is over that was not tried."""
        times = [float("inf")]
        for item in self.state.data["outbox"]:
            if "not_before" in item:
                times.append(item["not_before"])
            elif item["name"] == "SEND" and not item["tried"] and "ttl_ms" in item["body"]:
                times.append(item["since"] + item["body"]["ttl_ms"])
        return min((time for time in times if time > self.clock()), default=float("inf"))

    def wait_ms(self) -> float:
        """Until the next of these."""
        return max(self.due() - self.clock(), 0)

    def answered(self, item: dict, reply: str, body: dict) -> None:
        if reply == "ERROR":
            self._refused(item, body)
            return
        item["result"] = body
        self.state.settle_request(item)
        if item["name"] == "SEND":
            #= spec/30-send.md#ack
            ## [SND-055] A SEND_ACK MUST NOT move a client's position.
            online = item["body"].get("delivery") == "ONLINE_ONLY"
            told = body.get("msg_id", 0), body.get("state", "ACCEPTED")
            self.state.sent(_talk(item), *told, online, item.get("label"))
        elif item["name"] == "MARK":
            marks = self.state.data["marks"]
            talk = conversation(item["body"])
            marks[talk] = max(marks.get(talk, 0), item["body"]["msg_id"])
        elif reply == "GROUP_INFO":
            self.state.learn_group(body)
        self.settled(item, reply, body)

    def _refused(self, item: dict, body: dict) -> None:
        #= spec/02-errors-and-limits.md#error-and-goaway
        ## [ERR-005] A client MUST act on the class of a code that it does not know.
        if body.get("code", 0) >> 12 == 5:
            #= spec/02-errors-and-limits.md#error-and-goaway
            ## [ERR-008] A client MUST repeat a SEND that was refused with class 5 with the same idempotency key.
            item["not_before"] = self.clock() + body.get("retry_after_ms", self.backoff_ms)
            item["refused"] = body["code"]
            item["tried"] = False  # A refusal consumed no key (SND-024), so the time to live counts on.
            return
        #= spec/02-errors-and-limits.md#error-and-goaway
        ## [ERR-048] A client MUST NOT repeat a SEND or GROUP_OP that was answered with an ERROR of class 4.
        item["result"] = {"error": body}
        self.state.settle_request(item)
        self.settled(item, "ERROR", body)


def _talk(item: dict) -> str | None:
    """The conversation whose order this request takes part in."""
    return conversation(item["body"], "to_user", "to_group") if item["name"] == "SEND" else None
