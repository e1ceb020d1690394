"""What a device remembers: its id, its position, its outbox, what it received, and the states of what it sent.

One small JSON file, replaced as a whole. What is not in the file did not happen; nothing is acknowledged before it is there.
"""

import json
import os
import secrets
from pathlib import Path

RANK = {"MESSAGE_STATE_UNSPECIFIED": 0, "ACCEPTED": 1, "DELIVERED": 2, "READ": 3, "EXPIRED": 4, "FAILED": 4}
TERMINAL = ("EXPIRED", "FAILED")


def conversation(body: dict, user: str = "user", group: str = "group") -> str:
    """The name of a conversation as this file knows it: `user:bob` or `group:17`."""
    return f"group:{body[group]}" if group in body else f"user:{body.get(user, '')}"


class State:
    """`path` None keeps everything in memory, for tests."""

    def __init__(self, path: str | Path | None = None):
        self.path = Path(path) if path else None
        self.data = {
            #= spec/20-login.md#login-1
            ## [LGN-013] A client MUST send the same device_id in every LOGIN of one installation.
            "device_id": secrets.token_bytes(16).hex(),
            "epoch": None,
            "pos": 0,
            "entries": [],
            "outbox": [],
            "next": 1,
            "sent": {},
            "watermarks": {},
            "marks": {},
            "groups": {},
        }
        if self.path and self.path.exists():
            self.data = json.loads(self.path.read_text(encoding="utf-8"))
        elif self.path:
            self.save()

    def save(self) -> None:
        """Returns when the file would survive a crash of this machine."""
        if self.path is None:
            return
        beside = self.path.with_suffix(".new")
        with open(beside, "w", encoding="utf-8") as file:
            kept = [item for item in self.data["outbox"] if not item["volatile"]]
            json.dump({**self.data, "outbox": kept}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)

    # The position.

    @property
    def pos(self) -> int:
        return self.data["pos"]

    def resume(self) -> dict | None:
        """The resume position for LOGIN; None on a device that never had one."""
        if self.data["epoch"] is None:
            return None
        return {"epoch": self.data["epoch"], "pos": self.pos}

    def restart_at(self, epoch: int, oldest_pos: int) -> None:
        """After FRESH and GAP: everything from `oldest_pos` on is new, whatever stood before is not missed."""
        self.data["epoch"] = epoch
        self.data["pos"] = max(oldest_pos - 1, 0)

    def add_entry(self, name: str | None, body: dict) -> None:
        """Takes an entry and moves the position to it. The caller saves before it acknowledges."""
        self.data["pos"] = body["pos"]
        if name is None:
            return
        plain = {key: value.hex() if isinstance(value, bytes) else value for key, value in body.items()}
        self.data["entries"].append({"type": name, **plain})
        if name == "STATUS":
            self._status(body)
        elif name == "EXPIRED":
            self._settle(conversation(body), body.get("msg_id", 0), {"state": "EXPIRED"})
        elif name == "GROUP_EVENT":
            self.learn_group(body)

    # The outbox: requests that wait for an answer, in the order in which the app made them.

    def enqueue(self, name: str, body: dict, now_ms: int, volatile: bool) -> dict:
        """A volatile item does not outlive this process."""
        item = {"id": self.data["next"], "name": name, "body": body, "since": now_ms, "tried": False}
        item.update(result=None, volatile=volatile)
        self.data["next"] += 1
        self.data["outbox"].append(item)
        return item

    def settle_request(self, item: dict) -> None:
        """Takes an answered request out of the outbox."""
        self.data["outbox"] = [other for other in self.data["outbox"] if other["id"] != item["id"]]

    # States of what was sent.

    def sent(self, talk: str, msg_id: int, state: str, online: bool) -> None:
        """What a SEND_ACK said."""
        self._settle(talk, msg_id, {"state": state, "online": online})

    def _settle(self, talk: str, msg_id: int, news: dict) -> None:
        known = self.data["sent"].setdefault(talk, {}).setdefault(str(msg_id), {"state": "ACCEPTED", "online": False})
        if known["state"] in TERMINAL:
            return
        if "online" in news:
            known["online"] = news["online"]
        if RANK[news["state"]] > RANK[known["state"]]:
            known["state"] = news["state"]

    def _status(self, body: dict) -> None:
        talk, msg_id, state = conversation(body), body.get("msg_id", 0), body.get("state", "")
        if state == "FAILED":
            self._settle(talk, msg_id, {"state": "FAILED"})
        elif state in ("DELIVERED", "READ"):
            marks = self.data["watermarks"].setdefault(talk, {}).setdefault(body.get("by", ""), {})
            marks[state] = max(marks.get(state, 0), msg_id)

    def state_of(self, talk: str, msg_id: int, by: str | None = None) -> str | None:
        """The state of an own message, at one recipient or the furthest at any. None: no such message was sent."""
        known = self.data["sent"].get(talk, {}).get(str(msg_id))
        if known is None:
            return None
        #= spec/40-status.md#order-of-states
        ## [STA-032] A client MUST let a terminal state stand against later watermarks.
        if known["state"] in TERMINAL or known["online"]:
            return known["state"]
        reached = known["state"] if by is None else "ACCEPTED"
        for who, marks in self.data["watermarks"].get(talk, {}).items():
            for state, up_to in marks.items():
                if by in (None, who) and up_to >= msg_id and RANK[state] > RANK[reached]:
                    reached = state
        return reached

    def learn_group(self, body: dict) -> None:
        """GROUP_INFO or GROUP_EVENT: an older revision teaches nothing."""
        known = self.data["groups"].setdefault(str(body["group"]), {"rev": 0})
        if body.get("rev", 0) >= known["rev"]:
            fresh = {key: body[key] for key in ("rev", "name", "flags") if key in body}
            known.update(fresh)
