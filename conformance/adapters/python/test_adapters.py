"""Conversations with both adapters, by the examples of their protocol: what is said, and what has to come."""

import io
import json
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from adapter import Device
from tidewire.fake import FakeServer
from tidewire.lines import Lines

HERE = Path(__file__).resolve().parent
PING = "00000200000400000007" + "0a00"


class Adapter:
    """A running adapter: lines in, lines out."""

    def __init__(self, script: str):
        self.process = subprocess.Popen([sys.executable, "-B", script], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events: list[dict] = []
        self.number = 0

    def say(self, line: dict) -> dict:
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return self.answer(line.get("id"))

    def answer(self, number: int | None) -> dict:
        while True:
            line = json.loads(self.process.stdout.readline())
            if "event" not in line:
                assert line.get("id") == number, line
                return line
            self.events.append(line)

    def ask(self, op: str, **arguments) -> dict:
        self.number += 1
        return self.say({"id": self.number, "op": op, **arguments})

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Case(unittest.TestCase):
    def start(self, script: str) -> Adapter:
        adapter = Adapter(script)
        self.addCleanup(adapter.end)
        return adapter


class Codec(Case):
    def test_a_conversation(self):
        adapter = self.start("codec_adapter.py")
        hello = adapter.say({"hello": {"protocol": 1, "runner": "a test"}})["hello"]
        self.assertEqual((hello["protocol"], hello["roles"]), (1, ["codec"]))
        self.assertEqual(adapter.ask("nobody-knows"), {"id": 1, "unsupported": True})
        ping = {"type": "PING", "flags": 0, "ref": 7, "body": {}, "unknown": ""}
        decoded = adapter.ask("decode", **{"from": "client"}, pieces=[PING[:6], PING[6:] + "00"], preface=False, max_frame=8192)
        self.assertEqual(decoded["ok"], {"frames": [ping], "rest": "00"})
        self.assertEqual(adapter.ask("encode", type="PING", flags=0, ref=7, body={})["ok"], {"hex": "00000000000400000007"})
        judged = adapter.ask("judge", state="before-login", max_frame=8192, hex=PING)
        self.assertEqual(judged["ok"], {"reply": "GOAWAY", "code": "PROTOCOL_VIOLATION"})
        row = {"version_min": 2, "version_max": 7, "ours": [1, 1]}
        self.assertEqual(adapter.ask("negotiate", table="version", input=row)["ok"], {"goaway": "VERSION_UNSUPPORTED"})
        self.assertEqual(adapter.ask("encode", type="PING", body={"no": 1})["err"]["code"], "BAD_REQUEST")


class Server:
    """The fake server on a port: what its sockets would have taken and given, over TCP."""

    def __init__(self):
        self.fake, self.listener = FakeServer(), socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                near = self.fake.dial()
                data = b"-"
                while data:
                    out, near.incoming = bytes(near.incoming), bytearray()
                    peer.sendall(out)
                    data = peer.recv(65536)
                    near.sendall(data)


class Client(Case):
    def test_a_conversation(self):
        server = Server()
        self.addCleanup(server.listener.close)
        server.fake.on("SEND", lambda server, ref, body: server.push("SEND_ACK", {"msg_id": 9, "state": "ACCEPTED"}, ref))
        adapter = self.start("adapter.py")
        hello = adapter.say({"hello": {"protocol": 1, "runner": "a test"}})["hello"]
        self.assertEqual((hello["roles"], "groups" in hello["features"]), (["client"], True))
        store = tempfile.TemporaryDirectory()
        self.addCleanup(store.cleanup)
        opened = adapter.ask("open", client="k1", url=server.url, token="t", store=store.name, device="07" * 16, manual_clock=True)
        self.assertEqual(opened["ok"], {})
        while not adapter.ask("state", client="k1")["ok"]["connected"]:
            pass
        self.assertEqual(adapter.ask("send", client="k1", message="m1", body={"to_user": "bob", "delivery": "STORE", "content": "6869"})["ok"], {})
        self.assertEqual(adapter.ask("fence", client="k1")["ok"], {})
        self.assertEqual(adapter.ask("clock", client="k1", advance_ms=40_000)["ok"], {})
        state = adapter.ask("state", client="k1")["ok"]
        self.assertEqual(state, {"connected": True, "pos": "0", "outbox": [], "attempts": 1})
        self.assertEqual(adapter.ask("close", client="k1")["ok"], {})
        self.assertEqual([event["event"] for event in adapter.events], ["connected", "synced", "accepted", "disconnected"])
        self.assertEqual(server.fake.sent("LOGIN")[0]["device_id"], b"\x07" * 16)
        # The fence, and one for each time that half of a minute went by in silence.
        self.assertEqual(len(server.fake.sent("PING")), 2)
        self.assertEqual(server.fake.sent("SEND")[0]["content"], b"hi")

    def test_a_caller_is_late(self):
        """A client may be gone before whoever asked it to close has woken it."""
        with tempfile.TemporaryDirectory() as store:
            opening = {"client": "k1", "store": store, "url": "tcp://127.0.0.1:1", "token": "t", "manual_clock": True}
            device = Device(Lines(io.StringIO()), opening)
            device.post({"id": 1, "op": "close"})
            device.thread.join()
            device.post({"id": 2, "op": "state"})


if __name__ == "__main__":
    unittest.main()
