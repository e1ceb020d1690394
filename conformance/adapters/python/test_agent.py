"""Unit tests of the client that never blocks, against a fake server and with a clock that stands still."""

import tempfile
import unittest
from pathlib import Path

from tidewire.agent import Agent
from tidewire.fake import FakeServer
from tidewire.lines import Refused
from tidewire.pace import HOUR, MINUTE, ManualClock, Pace
from tidewire.link import Grease
from tidewire.state import State


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


class Case(unittest.TestCase):
    def agent(self, server: FakeServer, state: State | None = None, **options) -> Agent:
        self.told: list[tuple] = []
        self.clock = Clock()
        agent = Agent(state or State(), "token", server.dial, lambda name, **fields: self.told.append((name, fields)), self.clock, **options)
        agent.step()
        return agent

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def past(self, agent: Agent) -> None:
        """Time goes on to whatever is due next."""
        self.clock.now = max(int(agent.due()), self.clock.now)
        agent.step()


class Sessions(Case):
    def test_a_session_is_told(self):
        server = FakeServer()
        agent = self.agent(server)
        agent.step()
        self.assertEqual(self.told, [("connected", {"result": "FRESH"}), ("synced", {})])
        self.assertEqual((agent.connected, agent.attempts), (True, 1))

    def test_what_is_lost_comes_back_with_the_time(self):
        server = FakeServer()
        agent = self.agent(server)
        server.sock.closed = True
        agent.step()
        self.assertEqual(self.told[-1], ("disconnected", {"will_reconnect": True}))
        agent.step()
        self.assertEqual(server.dials, 1)
        self.past(agent)
        self.assertEqual((server.dials, agent.connected), (2, True))

    def test_classes_of_goaway(self):
        for code, told, again in [
            (0x1001, [{"will_reconnect": False, "code": "REPLACED"}], False),
            (0x2FFF, [{"will_reconnect": True, "code": 0x2FFF}], True),
        ]:
            server = FakeServer()
            agent = self.agent(server)
            server.push("GOAWAY", {"code": code, "retry_after_ms": 5000})
            agent.step()
            fields = [fields for name, fields in self.told if name == "disconnected"]
            self.assertEqual(fields[0]["will_reconnect"], told[0]["will_reconnect"])
            if again:
                self.assertGreaterEqual(agent.due(), self.clock.now + 5000)
            else:
                self.assertEqual(agent.due(), float("inf"))

    def test_a_credential_that_was_refused_is_not_used_again(self):
        server = FakeServer()
        agent = self.agent(server)
        server.push("GOAWAY", {"code": 0x3001})
        agent.step()
        self.assertEqual(self.names()[-2:], ["disconnected", "token_needed"])
        self.assertEqual(agent.due(), float("inf"))
        agent.new_token("other")
        agent.step()
        self.assertEqual([body["token"] for body in server.sent("LOGIN")], [b"token", b"other"])

    def test_a_breach_by_the_server_is_the_end(self):
        server = FakeServer()
        agent = self.agent(server)
        server.push("ACK", {"pos": 1})
        agent.step()
        self.assertEqual((agent.due(), len(server.sent("GOAWAY"))), (float("inf"), 1))

    def test_tries_are_bounded(self):
        pace, now, tries = Pace(Grease(1).random), 0, []
        while now < 2 * HOUR:
            pace.begun(now)
            tries.append(now)
            now = pace.next(now)
        for count, span in ((20, MINUTE), (300, HOUR)):
            self.assertTrue(all(later - first > span for first, later in zip(tries, tries[count:])))

    def test_a_clock_survives(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clock"
            clock = ManualClock(path)
            clock.advance(clock() + 5)
            clock.keep()
            self.assertEqual(ManualClock(path)(), clock())


class Entries(Case):
    def test_an_entry_is_told_when_it_is_stored_and_before_the_fence(self):
        server = FakeServer()
        agent = self.agent(server)
        server.message(1, 0, b"hi")
        agent.fence(lambda is_there: self.told.append(("fenced", {"there": is_there})))
        agent.step()
        entry = {"type": "MESSAGE", "body": {"pos": "1", "msg_id": "1", "from": "you", "to_user": "me", "content": "6869"}}
        self.assertEqual(self.told[-2:], [("entry", entry), ("fenced", {"there": True})])
        self.assertEqual(server.sent("ACK"), [{"pos": 1}])

    def test_a_fence_needs_a_session_and_ends_with_it(self):
        server = FakeServer()
        agent = self.agent(server)
        server.on("PING", lambda server, ref, body: None)
        agent.fence(lambda is_there: self.told.append(("fenced", {"there": is_there})))
        server.sock.closed = True
        agent.step()
        self.assertIn(("fenced", {"there": False}), self.told)
        with self.assertRaises(Refused):
            agent.fence(lambda is_there: None)

    def test_the_app_acknowledges(self):
        server, state = FakeServer(), State()
        agent = self.agent(server, state, manual_ack=True)
        server.message(1, 0)
        server.message(2, 1)
        agent.step()
        self.assertEqual(server.sent("ACK"), [])
        agent.ack(1)
        self.assertEqual(server.sent("ACK"), [{"pos": 1}])
        self.assertEqual((state.resume()["pos"], state.pos), (1, 2))


class Messages(Case):
    def test_what_became_of_a_message_has_its_name(self):
        server = FakeServer()
        agent = self.agent(server)
        server.on("SEND", lambda server, ref, body: server.push("SEND_ACK", {"msg_id": 5, "state": "ACCEPTED"}, ref))
        agent.send("m1", {"to_user": "you", "content": b"x"})
        agent.step()
        server.push("STATUS", {"pos": 1, "user": "you", "msg_id": 5, "state": "DELIVERED", "by": "you"})
        agent.step()
        self.assertEqual(self.told[2], ("accepted", {"message": "m1", "msg_id": "5", "duplicate": False}))
        self.assertEqual(self.told[-1], ("status", {"message": "m1", "state": "DELIVERED"}))

    def test_a_refusal_and_an_end_of_time(self):
        server = FakeServer()
        agent = self.agent(server)
        server.on("SEND", lambda server, ref, body: server.push("ERROR", {"code": 0x4FFF}, ref))
        agent.send("m1", {"to_user": "you"})
        agent.step()
        self.assertEqual(self.told[-1], ("failed", {"message": "m1", "code": 0x4FFF}))
        server.sock.closed = True
        agent.step()
        agent.retry_at = float("inf")
        agent.send("m2", {"to_user": "you", "ttl_ms": 10})
        self.past(agent)
        self.assertEqual(self.told[-1], ("failed", {"message": "m2"}))

    def test_own_marks_say_nothing_of_own_messages(self):
        state = State()
        state.data["user"] = "me"
        state.sent("user:you", 3, "ACCEPTED", False, "m")
        state.add_entry("STATUS", {"pos": 1, "user": "you", "msg_id": 9, "state": "READ", "by": "me"})
        self.assertEqual(state.news(), [])

    def test_in_a_group_each_member_has_a_state(self):
        state = State()
        state.sent("group:7", 3, "ACCEPTED", False, "m")
        state.add_entry("STATUS", {"pos": 1, "group": 7, "msg_id": 3, "state": "DELIVERED", "by": "bob"})
        state.add_entry("STATUS", {"pos": 2, "group": 7, "msg_id": 3, "state": "FAILED", "by": "carol"})
        self.assertEqual(
            state.news(),
            [{"message": "m", "state": "DELIVERED", "user": "bob"}, {"message": "m", "state": "FAILED", "user": "carol"}],
        )
        self.assertEqual(state.news(), [])


if __name__ == "__main__":
    unittest.main()
