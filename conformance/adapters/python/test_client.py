"""Unit tests of the client against a fake server: what a well-behaved one never shows."""

import tempfile
import unittest
from pathlib import Path

from tidewire import frames, wire
from tidewire.client import Client, Lost, NeedsCredential, Refused, State, Stopped
from tidewire.fake import FakeServer
from tidewire.rig import Clock

GREASE_LOGGED = 0x1A0A


class Case(unittest.TestCase):
    def client(self, server: FakeServer, state: State | None = None, **options) -> Client:
        self.slept = []
        return Client(state or State(), "token", server.dial, sleep=self.slept.append, **options)

    def started(self, server: FakeServer, state: State | None = None, **options) -> Client:
        client = self.client(server, state, **options)
        client.connect()
        return client


class Entries(Case):
    def test_a_gap_is_asked_for_once_and_repeats_are_ignored(self):
        server = FakeServer()
        client = self.started(server)
        server.message(1, 0)
        server.message(3, 2)
        server.message(4, 3)

        def sync(server, ref, body):
            server.push("OK", {}, ref)
            for pos in (1, 2, 3, 4):
                server.message(pos, pos - 1)
            server.push("SYNCED", {"pos": 4})

        server.on("SYNC", sync)
        client.fence()
        client.fence()
        self.assertEqual(server.sent("SYNC"), [{"after_pos": 1}])
        self.assertEqual([entry["pos"] for entry in client.entries()], [1, 2, 3, 4])

    def test_a_gap_that_stays_ends_the_connection(self):
        server = FakeServer()
        client = self.started(server)
        server.on("SYNC", lambda server, ref, body: (server.push("OK", {}, ref), server.message(3, 2)))
        server.message(3, 2)
        with self.assertRaises(Lost):
            client.run(lambda: False, reconnect=False)

    def test_sync_below_what_is_retained_goes_on_from_there(self):
        server = FakeServer()
        client = self.started(server)

        def sync(server, ref, body):
            if body.get("after_pos", 0) < 40:
                server.push("ERROR", {"code": 0x4002, "field": "after_pos", "limit": 40}, ref)
            else:
                server.push("OK", {}, ref)
                server.message(41, 40)

        server.on("SYNC", sync)
        server.message(41, 40)
        client.run(lambda: client.state.pos == 41)
        self.assertEqual(client.gaps, 1)

    def test_ack_comes_after_the_save(self):
        server = FakeServer()
        seen = []

        class Watched(State):
            def save(self):
                seen.append(("save", self.data["pos"], len(server.sent("ACK"))))

        client = self.started(server, Watched())
        server.message(1, 0)
        server.message(2, 1)
        client.fence()
        self.assertEqual(server.sent("ACK"), [{"pos": 2}])
        self.assertIn(("save", 2, 0), seen)

    def test_unknown_logged_frames_move_the_position(self):
        server = FakeServer()
        client = self.started(server)
        server.sock.incoming += frames.pack(GREASE_LOGGED, bytes.fromhex("0805") + b"\x10\x00", frames.LOGGED)
        server.message(6, 5)
        client.fence()
        self.assertEqual((client.state.pos, len(client.entries())), (6, 1))
        self.assertEqual(server.sent("SYNC"), [])

    def test_fresh_starts_before_the_oldest(self):
        server = FakeServer(oldest_pos=50)
        client = self.client(server)
        server.backlog = frames.encode("MESSAGE", {"pos": 50, "prev_pos": 49}, frames.LOGGED)
        client.connect()
        client.fence()
        self.assertEqual((server.sent("SYNC"), server.sent("ACK"), client.gaps), ([], [{"pos": 50}], 0))

    def test_gap_is_told_to_the_user(self):
        server = FakeServer(resume="GAP", epoch=9, oldest_pos=3)
        state = State()
        state.data.update(epoch=7, pos=90)
        client = self.started(server, state)
        self.assertEqual(server.sent("LOGIN")[0]["resume"], {"epoch": 7, "pos": 90})
        self.assertEqual((client.gaps, state.resume()), (1, {"epoch": 9, "pos": 2}))

    def test_resumed_is_acknowledged_again(self):
        server = FakeServer(resume="RESUMED", epoch=7, head_pos=5)
        state = State()
        state.data.update(epoch=7, pos=5)
        self.started(server, state)
        self.assertEqual(server.sent("ACK"), [{"pos": 5}])

    def test_credit_is_raised_in_time(self):
        server = FakeServer()
        client = self.started(server, event_limit=4)
        for pos in range(1, 5):
            server.message(pos, pos - 1)
        client.fence()
        self.assertEqual(server.sent("CREDIT")[-1], {"event_limit": 8})

    def test_online_messages_move_nothing(self):
        server = FakeServer()
        client = self.started(server)
        server.push("MESSAGE", {"msg_id": 5, "from": "you", "to_user": "me", "content": b"now"}, flags=0)
        client.fence()
        self.assertEqual((client.state.pos, client.messages[0]["content"], client.entries()), (0, b"now", []))


class Rules(Case):
    def test_ping_is_answered(self):
        server = FakeServer()
        client = self.started(server)
        server.push("PING", {"data": b"you there"}, ref=9, flags=0)
        server.push("PING", {"data": b"no answer"}, flags=0)
        client.fence()
        self.assertEqual([entry for entry in server.log if entry[0] == "PONG"], [("PONG", 9, {"data": b"you there"})])

    def test_unknown_critical_ends_it_and_others_are_skipped(self):
        server = FakeServer()
        client = self.started(server)
        server.sock.incoming += frames.pack(0x0A0A, b"\xff\xff", frames.GREASE)
        client.fence()
        server.sock.incoming += frames.pack(0x0A0A, b"", frames.CRITICAL)
        with self.assertRaises(Stopped) as caught:
            client.fence()
        self.assertEqual((caught.exception.name, server.sent("GOAWAY"), server.dials), ("UNKNOWN_CRITICAL", [{"code": 0x1006}], 1))

    def test_goaway_by_class(self):
        for code, expected in [(0x1001, Stopped), (0x1FFF, Stopped), (0x3001, NeedsCredential), (0x3FFF, NeedsCredential)]:
            server = FakeServer()
            client = self.started(server)
            server.push("GOAWAY", {"code": code})
            with self.assertRaises(expected):
                client.run(lambda: False)
            self.assertEqual(server.dials, 1)

    def test_goaway_of_class_2_waits_and_returns(self):
        server = FakeServer()
        client = self.started(server)
        server.push("GOAWAY", {"code": 0x2FFF, "retry_after_ms": 3000})
        client.run(lambda: server.dials == 2)
        self.assertEqual(self.slept[0], 3.0)
        self.assertEqual(len({body["device_id"] for body in server.sent("LOGIN")}), 1)

    def test_keepalive(self):
        server, clock = FakeServer(keepalive_ms=20_000), Clock()
        client = self.started(server, clock=clock)
        client.run(lambda: True)
        clock.ahead_ms += 12_000
        client.run(lambda: bool(server.sent("PING")))

    def test_silence_of_the_server_is_the_end(self):
        server, clock = FakeServer(keepalive_ms=20_000), Clock()
        client = self.started(server, clock=clock)
        server.on("PING", lambda server, ref, body: None)
        clock.ahead_ms += 41_000
        with self.assertRaises(Lost):
            client.run(lambda: False, reconnect=False)

    def test_inflight_is_bounded(self):
        server = FakeServer(limits={"max_inflight": 3})
        client = self.started(server)
        held = []
        server.on("GROUP_LIST", lambda server, ref, body: held.append(ref))
        items = [client.request("GROUP_LIST", {}) for _ in range(5)]
        client.run(lambda: len(held) == 3)
        for _ in range(5):
            client.live.settle()
        self.assertEqual(len(held), 3)
        server.push("GROUP_PAGE", {}, ref=held[0])
        client.run(lambda: len(held) == 4)
        for ref in list(held[1:]):
            server.push("GROUP_PAGE", {}, ref=ref)
        client.run(lambda: len(held) == 5)
        server.push("GROUP_PAGE", {}, ref=held[4])
        client.run(lambda: all(item["result"] is not None for item in items))


class Sending(Case):
    def test_repeats_are_in_order_with_their_keys_and_fields(self):
        server, clock = FakeServer(), Clock()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.json"
            client = self.started(server, State(path), clock=clock)
            client.send(b"one", to_user="you", ttl_ms=60_000)
            client.send(b"two", to_user="you")
            client.live.settle()
            first = server.sent("SEND")
            clock.ahead_ms += 10_000
            self.started(server, State(path), clock=clock)
        self.assertEqual([body["content"] for body in first], [b"one", b"two"])
        again = server.sent("SEND")[2:]
        self.assertLessEqual(again[0].pop("ttl_ms"), first[0].pop("ttl_ms") - 10_000)
        self.assertEqual(again, first)

    def test_the_key_is_stored_before_the_first_try(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.json"
            item = self.client(FakeServer(), State(path)).send(b"x", to_user="you")
            self.assertEqual(State(path).data["outbox"][0]["body"]["idem"], item["body"]["idem"])

    def test_class_5_is_repeated_after_its_time_also_where_the_code_is_unknown(self):
        server, clock = FakeServer(), Clock()
        client = self.started(server, clock=clock)
        server.on("SEND", lambda server, ref, body: server.push("ERROR", {"code": 0x5FFF, "retry_after_ms": 5000}, ref))
        item = client.send(b"x", to_user="you", ttl_ms=60_000)
        client.run(lambda: "refused" in item)
        client.fence()
        self.assertEqual(len(server.sent("SEND")), 1)
        server.on("SEND", lambda server, ref, body: server.push("SEND_ACK", {"msg_id": 5, "state": "ACCEPTED"}, ref))
        clock.ahead_ms += 5001
        client.result(item)
        first, second = server.sent("SEND")
        self.assertEqual(first["idem"], second["idem"])
        self.assertLessEqual(second["ttl_ms"], first["ttl_ms"] - 5000)

    def test_class_4_is_for_good_also_where_the_code_is_unknown(self):
        server = FakeServer()
        client = self.started(server)
        server.on("SEND", lambda server, ref, body: server.push("ERROR", {"code": 0x4FFF}, ref))
        with self.assertRaises(Refused):
            client.result(client.send(b"x", to_user="you"))
        client.fence()
        self.assertEqual(len(server.sent("SEND")), 1)

    def test_what_is_over_is_dropped(self):
        server, clock = FakeServer(), Clock()
        client = self.client(server, clock=clock)
        item = client.send(b"x", to_user="you", ttl_ms=1000)
        clock.ahead_ms += 1000
        client.connect()
        self.assertEqual((server.sent("SEND"), item["result"]), ([], {"dropped": True, "tried": False}))

    def test_send_ack_moves_no_position(self):
        server = FakeServer()
        client = self.started(server)
        server.on("SEND", lambda server, ref, body: server.push("SEND_ACK", {"msg_id": 900, "state": "ACCEPTED"}, ref))
        client.result(client.send(b"x", to_user="you"))
        self.assertEqual((client.state.pos, server.sent("ACK")), (0, []))

    def test_secrets_do_not_reach_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.json"
            client = self.client(FakeServer(), State(path))
            client.request("REAUTH", {"token": b"secret"})
            client.send(b"x", to_user="you")
            self.assertNotIn(b"secret".hex(), path.read_text(encoding="utf-8"))


class Statuses(unittest.TestCase):
    def setUp(self):
        self.state = State()
        for msg_id in (1, 2, 3):
            self.state.sent("user:you", msg_id, "ACCEPTED", False)

    def entry(self, name: str, pos: int, **body) -> None:
        self.state.add_entry(name, {"pos": pos, "user": "you", **body})

    def states(self) -> list:
        return [self.state.state_of("user:you", msg_id) for msg_id in (1, 2, 3)]

    def test_terminal_states_stand(self):
        self.entry("EXPIRED", 1, msg_id=1, undelivered=1)
        self.entry("STATUS", 2, msg_id=2, state="FAILED", by="you", code=0x6002)
        self.entry("STATUS", 3, msg_id=3, state="READ", by="you")
        self.assertEqual(self.states(), ["EXPIRED", "FAILED", "READ"])
        self.state.sent("user:you", 1, "DELIVERED", False)
        self.assertEqual(self.states()[0], "EXPIRED")

    def test_watermarks_hold_before_the_answer_came(self):
        self.entry("STATUS", 1, msg_id=9, state="DELIVERED", by="you")
        self.state.sent("user:you", 8, "ACCEPTED", False)
        self.assertEqual(self.state.state_of("user:you", 8), "DELIVERED")

    def test_a_lower_rank_takes_nothing_back(self):
        self.entry("STATUS", 1, msg_id=2, state="READ", by="you")
        self.entry("STATUS", 2, msg_id=3, state="DELIVERED", by="you")
        self.assertEqual(self.states(), ["READ", "READ", "DELIVERED"])

    def test_unknown_enum_values_change_nothing(self):
        body = wire.decode("Status", wire.encode("Status", {"pos": 1, "user": "you", "msg_id": 3, "state": 99}))
        self.state.add_entry("STATUS", body)
        self.assertEqual(self.states(), ["ACCEPTED"] * 3)


if __name__ == "__main__":
    unittest.main()
