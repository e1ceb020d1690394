#!/usr/bin/env python3
"""The adapter of the Python client: a thread a client, JSON Lines on stdin and stdout."""

import os
import queue
import select
import socket
import sys
import threading
from pathlib import Path

from tidewire import wire
from tidewire.agent import Agent
from tidewire.client import wall_ms
from tidewire.lines import LATER, Lines, Refused
from tidewire.link import dial_tcp, dial_tls
from tidewire.pace import ManualClock
from tidewire.schema import FEATURES, FRAMES
from tidewire.state import State

OPS = ["open", "send", "request", "ack", "fence", "state", "clock", "token", "close"]


class Device:
    """One client and the thread that it lives in."""

    def __init__(self, lines: Lines, request: dict):
        self.lines, self.name = lines, request["client"]
        self.asked: queue.SimpleQueue = queue.SimpleQueue()
        self.wake, self.woken = socket.socketpair()
        self.agent, self.is_over = self._open(request), False
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def _open(self, request: dict) -> Agent:
        store = Path(request["store"])
        path = store / "state.json"
        is_new, state = not path.exists(), State(path, durable=False)
        if is_new and request.get("device"):
            state.data["device_id"] = request["device"]
            state.save()
        kind, address = request["url"].split("://")
        ca, server_name = request.get("ca"), request.get("server_name")
        dial = (lambda: dial_tls(address, ca, server_name)) if kind == "tls" else (lambda: dial_tcp(address))
        self.clock = ManualClock(store / "clock") if request.get("manual_clock") else wall_ms
        options = {key: request[key] for key in ("features", "manual_ack", "seed") if key in request}
        return Agent(state, request["token"], dial, self._tell, self.clock, **options)

    def _tell(self, event: str, **fields) -> None:
        self.lines.say({"event": event, "client": self.name, **fields})

    def post(self, request: dict) -> object:
        """Leaves a request to the thread, which answers it."""
        self.asked.put(request)
        self.wake.send(b"!")
        return LATER

    def _live(self) -> None:
        while not self.is_over:
            self.agent.step()
            self._wait()
            while not self.asked.empty():
                request = self.asked.get()
                self.lines.answer(request["id"], getattr(self, f"do_{request['op']}"), request)

    def _wait(self, longest: float = 3600.0) -> None:
        """Until bytes, a request, or something due; real time brings nothing due where the clock is moved by hand."""
        if self.clock is wall_ms:
            longest = min(longest, max(self.agent.due() - self.clock(), 0) / 1000)
        elif self.agent.due() <= self.clock():
            longest = 0
        sources = [self.woken] + ([self.agent.live.link.sock] if self.agent.live else [])
        ready, _, _ = select.select(sources, [], [], longest)
        if self.woken in ready:
            self.woken.recv(1)

    # The ops, called in the thread.

    def do_send(self, request: dict) -> None:
        self.agent.send(request["message"], body("SEND", request))

    def do_request(self, request: dict) -> None:
        self.agent.request(request["request"], request["type"], body(request["type"], request))

    def do_ack(self, request: dict) -> None:
        self.agent.ack(int(request["pos"]))

    def do_fence(self, request: dict) -> object:
        gone = {"err": {"code": "NOT_CONNECTED", "text": "the session ended"}}
        self.agent.fence(lambda is_there: self.lines.say({"id": request["id"], **({"ok": {}} if is_there else gone)}))
        return LATER

    def do_state(self, request: dict) -> dict:
        agent = self.agent
        waiting = [item["label"] for item in agent.state.data["outbox"] if item["name"] == "SEND"]
        return {"connected": agent.connected, "pos": str(agent.state.pos), "outbox": waiting, "attempts": agent.attempts}

    def do_clock(self, request: dict) -> None:
        if self.clock is wall_ms:
            raise Refused("BAD_REQUEST", "the clock is not moved by hand")
        self.agent.go_on(self.clock.advance, self.clock() + request["advance_ms"])
        self.clock.keep()

    def do_token(self, request: dict) -> None:
        self.agent.new_token(request["token"])

    def do_close(self, request: dict) -> None:
        self.agent.close()
        self.is_over = True


def body(name: str, request: dict) -> dict:
    """The body with the types that the client works with."""
    message = FRAMES[name]["message"]
    return wire.decode(message, wire.encode(message, request.get("body", {})))


def fail(failure) -> None:
    """A thread that fails takes the adapter with it: a client that hangs would say less."""
    sys.excepthook(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


def main() -> None:
    threading.excepthook = fail
    lines, devices = Lines(), {}

    def find(op: str):
        if op == "open":
            return lambda request: devices.update({request["client"]: Device(lines, request)})
        # A closed device goes once its thread and its caller have let go of it, and its sockets with it: whichever is last.
        take = devices.pop if op == "close" else devices.__getitem__
        return (lambda request: take(request["client"]).post(request)) if op in OPS else None

    hello = {"name": "tidewire-python client", "roles": ["client"], "transports": ["tcp", "tls"], "features": list(FEATURES), "ops": OPS}
    lines.serve(hello, find)


if __name__ == "__main__":
    main()
