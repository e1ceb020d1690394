"""What a device remembers: its id, its position, its outbox, what it received, and the states of what it sent.

One small JSON file, replaced as a whole. What is not in the file did not happen; nothing is acknowledged before it is there.
"""

import json
import os
import secrets
from pathlib import Path

RANK = {"MESSAGE_STATE_UNSPECIFIED": 0, "ACCEPTED": 1, "DELIVERED": 2, "READ": 3, "EXPIRED": 4, "FAILED": 4}
TERMINAL = ("EXPIRED", "FAILED")


def plain(value):
    """A value as JSON holds it: bytes as hex, at any depth."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def conversation(body: dict, user: str = "user", group: str = "group") -> str:
    """The name of a conversation as this file knows it: `user:bob` or `group:17`."""
    return f"group:{body[group]}" if group in body else f"user:{body.get(user, '')}"


class State:
    """`path` None keeps everything in memory, for tests. `durable` False bears the end of a process, and not of a machine."""

    def __init__(self, path: str | Path | None = None, durable: bool = True):
        self.path, self.durable = Path(path) if path else None, durable
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
            "user": None,
            "acked": 0,
        }
        # True where the app stores what it is handed, and says so by `ack`.
        self.manual_ack = False
        # Up to here the app was handed entries.
        self.handed = 0
        if self.path and self.path.exists():
            self.data = json.loads(self.path.read_text(encoding="utf-8"))
        elif self.path:
            self.save()
        self._told: dict[tuple, str] = {}
        self.news()

    def save(self) -> None:
        """Returns when the file would survive a crash: of this machine, if `durable`."""
        if self.path is None:
            return
        beside = self.path.with_suffix(".new")
        with open(beside, "w", encoding="utf-8") as file:
            kept = [item for item in self.data["outbox"] if not item["volatile"]]
            json.dump({**self.data, "outbox": kept}, file)
            file.flush()
            if self.durable:
                os.fsync(file.fileno())
        os.replace(beside, self.path)

    # The position.

    @property
    def pos(self) -> int:
        return self.data["pos"]

    @property
    def stored(self) -> int:
        """Up to here nothing of the log gets lost any more."""
        return self.data["acked"] if self.manual_ack else self.pos

    def let_app_ack(self) -> None:
        """From now on the app stores the entries."""
        self.manual_ack = True
        self.rewind()

    def rewind(self) -> None:
        """What the app did not acknowledge has to come again."""
        if self.manual_ack:
            self.data["pos"] = self.data["acked"]

    def ack(self, pos: int) -> None:
        """The app has stored everything up to here."""
        self.data["acked"] = max(self.data["acked"], min(pos, self.handed))
        self.data["pos"] = max(self.pos, self.data["acked"])

    def resume(self) -> dict | None:
        """The resume position for LOGIN; None on a device that never had one."""
        if self.data["epoch"] is None:
            return None
        return {"epoch": self.data["epoch"], "pos": self.stored}

    def restart_at(self, epoch: int, oldest_pos: int) -> None:
        """After FRESH and GAP: everything from `oldest_pos` on is new, whatever stood before is not missed."""
        self.data["epoch"] = epoch
        self.data["pos"] = self.data["acked"] = self.handed = max(oldest_pos - 1, 0)

    def add_entry(self, name: str | None, body: dict) -> None:
        """Takes an entry and moves the position to it. The caller saves before it acknowledges."""
        self.data["pos"] = body["pos"]
        self.handed = max(self.handed, body["pos"])
        if name is None:
            return
        if not self.manual_ack:
            self.data["entries"].append({"type": name, **plain(body)})
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

    def sent(self, talk: str, msg_id: int, state: str, online: bool, label: str | None = None) -> None:
        """What a SEND_ACK said."""
        #= spec/40-status.md#order-of-states
        ## [STA-055] A client MUST apply a STATUS that comes before the SEND_ACK of its message.
        self._settle(talk, msg_id, {"state": state, "online": online, "label": label})

    def _settle(self, talk: str, msg_id: int, news: dict) -> None:
        known = self.data["sent"].setdefault(talk, {}).setdefault(str(msg_id), {"state": "ACCEPTED", "online": False})
        known.update({key: news[key] for key in ("online", "label") if key in news})
        if known["state"] in TERMINAL:
            return
        #= spec/40-status.md#order-of-states
        ## [STA-054] A client MUST NOT let the state of a message fall in rank.
        if RANK[news["state"]] > RANK[known["state"]]:
            known["state"] = news["state"]

    def _status(self, body: dict) -> None:
        talk, msg_id, state = conversation(body), body.get("msg_id", 0), body.get("state", "")
        if state == "FAILED" and "group" in body:
            # It failed for one member; the others may still get it.
            self._settle(talk, msg_id, {"state": "ACCEPTED"})
            self.data["sent"][talk][str(msg_id)].setdefault("failed_for", []).append(body.get("by", ""))
        elif state == "FAILED":
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
        if by in known.get("failed_for", []):
            return "FAILED"
        reached = known["state"] if by is None else "ACCEPTED"
        #= spec/40-status.md#order-of-states
        ## [STA-053] A client MUST take a watermark for each of its messages in the conversation whose id is not above
        ## msg_id.
        for who, marks in self.data["watermarks"].get(talk, {}).items():
            if who == self.data["user"]:
                continue  # What this user has read says nothing of what it sent.
            for state, up_to in marks.items():
                if by in (None, who) and up_to >= msg_id and RANK[state] > RANK[reached]:
                    reached = state
        return reached

    def news(self) -> list[dict]:
        """What rose since the last call: the name and state of a message, in a group with the member."""
        found = []
        for talk, messages in self.data["sent"].items():
            for msg_id, known in messages.items():
                members = [*self.data["watermarks"].get(talk, {}), *known.get("failed_for", [])]
                for by in [None] if talk.startswith("user:") else [None, *dict.fromkeys(members)]:
                    state = known["state"] if by is None and not talk.startswith("user:") else self.state_of(talk, int(msg_id), by)
                    # Where it ended for all, it ended for each of them.
                    if by == self.data["user"] and by is not None or by is not None and known["state"] in TERMINAL:
                        continue
                    if RANK[state] > RANK[self._told.get((talk, msg_id, by), "ACCEPTED")]:
                        self._told[talk, msg_id, by] = state
                        about = {"message": known.get("label"), "state": state, "user": by}
                        found.append({key: value for key, value in about.items() if value is not None})
        return found

    def learn_group(self, body: dict) -> None:
        """GROUP_INFO or GROUP_EVENT: an older revision teaches nothing."""
        known = self.data["groups"].setdefault(str(body["group"]), {"rev": 0})
        if body.get("rev", 0) >= known["rev"]:
            fresh = {key: body[key] for key in ("rev", "name", "flags") if key in body}
            known.update(fresh)
