#!/usr/bin/env python3
"""A whole session of the Python client against a server: `python3 session.py --users FILE`.

One line for each step; exit code 1 at the first that fails. Nothing sleeps: a PING is the fence (CTL-003).
"""

import argparse
import sys
import traceback

from tidewire.client import Client, NeedsCredential, Refused, State, Stopped
from tidewire.link import dial_tls
from tidewire.rig import Clock, Crash, CrashingState, Cutting, Losing, Rig, plain
from tidewire.schema import FRAMES

STEPS = []
BOTH = {"delivered": True, "read": True}


def step(title: str, *needs: str):
    """A step that runs where the server has all of `needs`."""

    def add(function):
        STEPS.append((title, needs, function))
        return function

    return add


class Cast:
    """The devices that live through the whole session."""

    def __init__(self, rig: Rig):
        self.rig = rig
        self.alice = rig.device("alice", "alice")
        self.bob = rig.device("bob", "bob")
        self.to_bob = {"to_user": rig.users["bob"]}
        self.to_alice = {"to_user": rig.users["alice"]}
        self.talk_bob = f"user:{rig.users['bob']}"


def same(actual, expected) -> None:
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def reborn(rig: Rig, user: str, name: str, **options) -> Client:
    """The next process of a device: all it has is its file."""
    return rig.device(user, name, state=State(rig.file(name)), **options)


@step("two fresh devices log in")
def login(cast: Cast) -> None:
    for client, user in ((cast.alice, "alice"), (cast.bob, "bob")):
        ok = client.connect()
        same((ok["version"], ok["user"], ok["resume"]), (1, cast.rig.users[user], "FRESH"))


@step("a wrong token is refused, and the client does not come back by itself")
def wrong_token(cast: Cast) -> None:
    client = cast.rig.device("carol", "stranger", state=State(), token="not-a-token")
    try:
        client.run(lambda: False)
    except NeedsCredential as error:
        same(error.name, "TOKEN_INVALID")
    else:
        raise AssertionError("the server took it")
    assert client.live is None


@step("messages go both ways, in order")
def both_ways(cast: Cast) -> None:
    before = len(plain(cast.alice)), len(plain(cast.bob))
    out = [cast.alice.send(b"to bob %d" % n, receipts=BOTH, **cast.to_bob) for n in range(5)]
    back = [cast.bob.send(b"to alice %d" % n, **cast.to_alice) for n in range(5)]
    ids = [cast.alice.result(item)["msg_id"] for item in out]
    for item in back:
        cast.bob.result(item)
    same(ids, sorted(set(ids)))
    cast.bob.fence()
    cast.alice.fence()
    same(plain(cast.bob)[before[1] :], [b"to bob %d" % n for n in range(5)])
    same(plain(cast.alice)[before[0] :], [b"to alice %d" % n for n in range(5)])


@step("an ACK makes one DELIVERED, a MARK makes READ, and both are watermarks")
def receipts(cast: Cast) -> None:
    own = sorted(map(int, cast.alice.state.data["sent"][cast.talk_bob]))
    cast.bob.fence()
    cast.alice.fence()
    same({cast.alice.state.state_of(cast.talk_bob, msg_id) for msg_id in own}, {"DELIVERED"})
    tablet = cast.rig.device("bob", "tablet")
    tablet.connect()
    cast.bob.call("MARK", {"user": cast.rig.users["alice"], "msg_id": own[-1], "scope": "PUBLIC"})
    cast.alice.fence()
    tablet.fence()
    same({cast.alice.state.state_of(cast.talk_bob, msg_id) for msg_id in own}, {"READ"})
    same(tablet.state.data["watermarks"][f"user:{cast.rig.users['alice']}"][cast.rig.users["bob"]]["READ"], own[-1])
    tablet.logout(forget_device=True)


@step("a backlog larger than the credit comes whole and in order")
def backlog(cast: Cast) -> None:
    cast.bob.cut()
    sent = [b"while away %d" % n for n in range(40)]
    for item in [cast.alice.send(content, **cast.to_bob) for content in sent]:
        cast.alice.result(item)
    cast.bob = reborn(cast.rig, "bob", "bob", event_limit=8)
    same(cast.bob.connect()["resume"], "RESUMED")
    same(plain(cast.bob)[-40:], sent)


@step("a crash after storing and before the ACK costs nothing and repeats nothing")
def crash_before_ack(cast: Cast) -> None:
    cast.bob.cut()
    state = CrashingState(cast.rig.file("bob"))
    bob = cast.rig.device("bob", "bob", state=state)
    bob.connect()
    count = len(plain(bob))
    item = cast.alice.send(b"before the crash", receipts=BOTH, **cast.to_bob)
    msg_id = cast.alice.result(item)["msg_id"]
    state.armed = True
    try:
        bob.run(lambda: False)
    except Crash:
        bob.cut()
    cast.alice.fence()
    same(cast.alice.state.state_of(cast.talk_bob, msg_id), "ACCEPTED")
    cast.bob = reborn(cast.rig, "bob", "bob")
    same(cast.bob.connect()["resume"], "RESUMED")
    cast.bob.fence()
    cast.alice.fence()
    same(plain(cast.bob)[count:], [b"before the crash"])
    same(cast.alice.state.state_of(cast.talk_bob, msg_id), "DELIVERED")


@step("a SEND that is cut anywhere is repeated with its key and arrives once")
def cut_in_send(cast: Cast) -> None:
    count = len(plain(cast.bob))
    expected = []
    for offset in (1, 9, 10, 30, None):
        cast.alice.cut()
        socks = [Cutting(cast.rig.dial(), FRAMES["SEND"]["type"], offset), cast.rig.dial()]
        cast.alice.dial = lambda: socks.pop(0)
        cast.alice.connect()
        content = b"cut at %r" % offset
        answer = cast.alice.result(cast.alice.send(content, **cast.to_bob))
        same(len(socks), 0)
        if offset is not None:
            same(answer.get("duplicate", False), False)
        expected.append(content)
    cast.alice.dial = cast.rig.dial
    cast.bob.fence()
    same(plain(cast.bob)[count:], expected)


@step("an outbox survives the process, and its keys with it")
def outbox_survives(cast: Cast) -> None:
    count = len(plain(cast.bob))
    cast.alice.cut()
    alice = reborn(cast.rig, "alice", "alice", dial=lambda: Cutting(cast.rig.dial(), FRAMES["SEND"]["type"], None))
    alice.connect()
    alice.send(b"first", ttl_ms=3_600_000, **cast.to_bob)
    alice.send(b"second", **cast.to_bob)
    alice.live.settle()  # Sent up to the cut; this process reads no answer.
    alice.cut()
    cast.alice = reborn(cast.rig, "alice", "alice")
    same([item["tried"] for item in cast.alice.state.data["outbox"]], [True, True])
    cast.alice.connect()
    cast.alice.fence()
    same(cast.alice.state.data["outbox"], [])
    cast.bob.fence()
    same(plain(cast.bob)[count:], [b"first", b"second"])


@step("an entry that the server loses is missed and fetched by SYNC")
def gap(cast: Cast) -> None:
    cast.bob.cut()
    losing = Losing(cast.rig.dial(), lambda body: body.get("content") == b"gap 1")
    cast.bob = reborn(cast.rig, "bob", "bob", dial=lambda: losing)
    cast.bob.connect()
    for number in range(4):
        cast.alice.result(cast.alice.send(b"gap %d" % number, **cast.to_bob))
    cast.bob.fence()
    cast.bob.fence()
    same(losing.lost, 1)
    same(plain(cast.bob)[-4:], [b"gap %d" % number for number in range(4)])
    cast.bob.cut()
    cast.bob.dial = cast.rig.dial
    cast.bob.connect()


@step("more requests than max_inflight are all answered")
def inflight(cast: Cast) -> None:
    limit = cast.alice.live.login_ok["limits"]["max_inflight"]
    items = [cast.alice.request("STATUS_GET", {"user": cast.rig.users["bob"], "msg_id": 1}) for _ in range(2 * limit)]
    seen = []
    cast.alice.run(lambda: seen.append(len(cast.alice.live.pending)) or all(item["result"] for item in items), 60.0)
    assert max(seen) <= limit, max(seen)
    same({item["result"]["error"]["code"] for item in items}, {0x4008})


@step("a large content is fetched in parts by a device with a small max_frame", "provision")
def large(cast: Cast) -> None:
    content = bytes(range(256)) * 200
    small = cast.rig.device("bob", "small", max_frame=16384)
    small.connect()
    cast.alice.result(cast.alice.send(content, **cast.to_bob))
    small.fence()
    entry = small.entries("MESSAGE")[-1]
    same((entry["content_omitted"], entry["content_len"]), (True, len(content)))
    same(small.content(entry), content)
    cast.bob.fence()
    same(plain(cast.bob)[-1], content)
    small.logout(forget_device=True)


@step("the older connection of a device is replaced, and its client stays away")
def replaced(cast: Cast) -> None:
    twin = reborn(cast.rig, "alice", "alice")
    twin.connect()
    try:
        cast.alice.run(lambda: False)
    except Stopped as error:
        same(error.name, "REPLACED")
    cast.alice = twin


@step("a group: events, messages, members that go")
def group(cast: Cast) -> None:
    carol = cast.rig.device("carol", "carol")
    carol.connect()
    members = [{"user": cast.rig.users["bob"]}, {"user": cast.rig.users["carol"]}]
    made = cast.alice.call("GROUP_OP", {"create": {"name": "tide", "members": members}})
    number = made["group"]
    same((made["rev"], made["member_count"]), (1, 3))
    for client in (cast.bob, carol):
        client.fence()
        same(client.entries("GROUP_EVENT")[-1]["change"], "CREATED")
        known = client.state.data["groups"][str(number)]
        same((known["rev"], known["name"]), (1, "tide"))
    sent = cast.alice.result(cast.alice.send(b"to all", to_group=number, receipts=BOTH))
    carol.fence()
    cast.bob.fence()
    same([plain(client)[-1] for client in (cast.bob, carol)], [b"to all"] * 2)
    cast.alice.fence()
    same(cast.alice.state.state_of(f"group:{number}", sent["msg_id"], by=cast.rig.users["carol"]), "DELIVERED")
    try:
        carol.call("GROUP_OP", {"group": number, "delete": {}})
        raise AssertionError("a member deleted the group")
    except Refused as error:
        same(error.name, "PERMISSION_DENIED")
    carol.call("GROUP_OP", {"group": number, "leave": {}})
    cast.alice.result(cast.alice.send(b"without carol", to_group=number))
    carol.fence()
    cast.bob.fence()
    same((plain(carol)[-1], plain(cast.bob)[-1]), (b"to all", b"without carol"))
    same(cast.bob.state.data["groups"][str(number)]["rev"], 2)
    carol.logout(forget_device=True)


@step("EXPIRY_SET shortens a life, EXPIRED tells it, and stands against later watermarks", "clock")
def expiry(cast: Cast) -> None:
    cast.bob.cut()
    short = cast.alice.result(cast.alice.send(b"short", ttl_ms=86_400_000, receipts=BOTH, **cast.to_bob))["msg_id"]
    cast.alice.call("EXPIRY_SET", {"user": cast.rig.users["bob"], "msg_id": short, "ttl_ms": 30_000})
    long = cast.alice.result(cast.alice.send(b"long", receipts=BOTH, **cast.to_bob))["msg_id"]
    cast.rig.advance(40_000)
    cast.alice.fence()
    same(cast.alice.state.state_of(cast.talk_bob, short), "EXPIRED")
    same(cast.bob.connect()["resume"], "RESUMED")
    cast.bob.fence()
    cast.alice.fence()
    same(plain(cast.bob)[-1], b"long")
    assert b"short" not in plain(cast.bob)
    same([cast.alice.state.state_of(cast.talk_bob, msg_id) for msg_id in (short, long)], ["EXPIRED", "DELIVERED"])
    try:
        cast.alice.call("EXPIRY_SET", {"user": cast.rig.users["bob"], "msg_id": long, "ttl_ms": 1})
        raise AssertionError("a delivered message was given an end")
    except Refused as error:
        same(error.name, "TOO_LATE")


@step("time in the outbox is taken off the time to live, and what is over is dropped")
def waiting(cast: Cast) -> None:
    clock = Clock()
    cast.alice.cut()
    alice = reborn(cast.rig, "alice", "alice", clock=clock)
    late = alice.send(b"too late", ttl_ms=5_000, **cast.to_bob)
    kept = alice.send(b"in time", ttl_ms=60_000, **cast.to_bob)
    clock.ahead_ms = 20_000
    alice.connect()
    left = alice.result(kept)["ttl_ms"]
    assert 30_000 < left <= 40_000, left
    same(late["result"], {"dropped": True, "tried": False})
    cast.alice = alice


@step("what is refused with class 5 waits, keeps its key and is not overtaken", "fault:store-full")
def retry(cast: Cast) -> None:
    clock = Clock()
    cast.alice.cut()
    alice = cast.alice = reborn(cast.rig, "alice", "alice", clock=clock)
    alice.connect()
    cast.bob.fence()
    count = len(plain(cast.bob))
    cast.rig.admin("POST", "/v1/testing/fault", {"store_full": True})
    item = alice.send(b"refused once", **cast.to_bob)
    alice.run(lambda: "refused" in item)
    same(item["refused"], 0x5003)
    cast.rig.admin("POST", "/v1/testing/fault", {"store_full": False})
    behind = alice.send(b"behind it", **cast.to_bob)
    alice.fence()
    same((item["result"], behind["result"]), (None, None))
    clock.ahead_ms = item["not_before"] - clock() + 1
    same(alice.result(item).get("duplicate", False), False)
    alice.result(behind)
    cast.bob.fence()
    same(plain(cast.bob)[count:], [b"refused once", b"behind it"])


@step("GOAWAY of class 2 brings the client back, and nothing is lost over a restart", "restart")
def restart(cast: Cast) -> None:
    cast.bob.fence()
    count = len(plain(cast.bob))
    cast.alice.result(cast.alice.send(b"before the restart", **cast.to_bob))
    for number, mode in enumerate(("graceful", "crash")):
        cast.rig.admin("POST", "/v1/testing/restart", {"mode": mode})
        cast.alice.result(cast.alice.send(b"after restart %d" % number, **cast.to_bob))
    cast.bob.fence()
    same(plain(cast.bob)[count:], [b"before the restart", b"after restart 0", b"after restart 1"])
    assert len(cast.bob.logins) > 1
    same({ok["resume"] for ok in cast.bob.logins[1:]}, {"RESUMED"})
    same((cast.alice.gaps, cast.bob.gaps), (0, 0))


@step("the same over TLS 1.3")
def tls(cast: Cast) -> None:
    server = cast.rig.server
    if "tls" not in server:
        return
    client = cast.rig.device("bob", "tls", dial=lambda: dial_tls(server["tls"], server.get("ca")))
    client.connect()
    sock = client.live.link.sock
    same((sock.version(), sock.selected_alpn_protocol()), ("TLSv1.3", "tidewire/1"))
    cast.alice.result(cast.alice.send(b"over TLS", **cast.to_bob))
    client.fence()
    same(plain(client)[-1], b"over TLS")
    client.logout(forget_device=True)


@step("LOGOUT ends it in order")
def goodbye(cast: Cast) -> None:
    for client in (cast.alice, cast.bob):
        client.logout(forget_device=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", required=True, help="the file that the server wrote with --users-out")
    rig = Rig(parser.parse_args().users)
    cast = Cast(rig)
    try:
        for number, (title, needs, function) in enumerate(STEPS, 1):
            missing = [need for need in needs if need not in rig.capabilities]
            if missing:
                print(f"{number:2} skip  {title}: the server lacks {', '.join(missing)}", flush=True)
                continue
            try:
                function(cast)
            except Exception:
                traceback.print_exc()
                print(f"{number:2} FAIL  {title}", flush=True)
                return 1
            print(f"{number:2} ok    {title}", flush=True)
    finally:
        rig.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
