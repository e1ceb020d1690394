#!/usr/bin/env python3
"""Holds the dissector against the fixtures: `python3 wireshark/check.py [--suite FILE.pcapng]`. Needs tshark and openssl.

Every frame of fixtures/frames has to come out of tshark with the fields of its JSON, every spoilt one of fixtures/invalid with the
expert information that says what is wrong, over TCP, WebSocket and TLS. With --suite, a capture that the conformance runner wrote
(`run --pcap`) is read as well: what the server sent has to be flawless.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import dissect
import transports
from capture import CLIENT, SERVER, Capture
from dissect import FRAMES, LIMITS, Dissected, tshark

sys.path.insert(0, str(dissect.ROOT / "conformance/adapters/python"))
from tidewire import frames as codec  # noqa: E402
from tidewire import wire  # noqa: E402

FIXTURES = dissect.ROOT / "fixtures"
PORT = 7400
PREFACE = bytes.fromhex("f7544944450d0a00")
# What a spoilt frame is shown to break, by the code that a server answers.
EXPECTED = {
    "BAD_PREFACE": {"bad_preface", "no_preface"},
    "FRAME_TOO_LARGE": {"too_large"},
    "MALFORMED_BODY": {"malformed"},
    # Too many items in a frame that is no request have no code of their own.
    "MALFORMED_FRAME": {"malformed", "too_many_items"},
    "PROTOCOL_VIOLATION": {"direction", "kind", "login"},
    "TOO_MANY_ITEMS": {"too_many_items"},
    "UNKNOWN_CRITICAL": {"unknown_critical"},
    "UNSUPPORTED_FRAME": {"unknown_type"},
}
# The dissector judges no values, so a LOGIN that is refused for one is none of its business.
NOT_JUDGED = {"INVALID_LOGIN", "LOGIN_FEATURE_REQUIRED", "VERSION_UNSUPPORTED"}
# What a server that passes the suite never earns.
BREACHES = {"bad_preface", "too_large", "reserved_flags", "malformed", "too_many_items", "direction", "kind", "login", "wrong_reply"}


def expect(what: str, actual, expected) -> None:
    if actual != expected:
        raise SystemExit(f"{what}: tshark shows {actual!r:.500}, expected {expected!r:.500}")


def frame(name: str, body: dict, ref: int = 0, flags: int = 0) -> bytes:
    return codec.pack(FRAMES[name]["type"], wire.encode(FRAMES[name]["message"], body), flags, ref)


def login(max_frame: int = LIMITS["MAX_FRAME_HARD"]) -> tuple[bytes, bytes]:
    limits = {"limits": {"max_frame": max_frame}}
    return frame("LOGIN", {"version_min": 1, "version_max": 1, **limits}, 1), frame("LOGIN_OK", {"version": 1, **limits}, 1, 2)


def open_session(capture: Capture, logged_in: bool = True, max_frame: int = LIMITS["MAX_FRAME_HARD"], port: int = PORT):
    connection = capture.connect(port)
    connection.send(CLIENT, PREFACE)
    connection.send(SERVER, PREFACE)
    if logged_in:
        asked, answered = login(max_frame)
        connection.send(CLIENT, asked)
        connection.send(SERVER, answered)
    return connection


def load(folder: str) -> list[tuple[dict, bytes]]:
    found = []
    for path in sorted((FIXTURES / folder).rglob("*.json")):
        data = bytes.fromhex("".join(path.with_suffix(".hex").read_text(encoding="ascii").split()))
        found.append((json.loads(path.read_text(encoding="utf-8")), data))
    if not found:
        raise SystemExit(f"no fixtures in {folder}")
    return found


def side_of(fixture: dict) -> str:
    return SERVER if FRAMES.get(fixture["type"], {}).get("dir") == "s2c" else CLIENT


def check_frame(fixture: dict, shown: Dissected) -> None:
    name = fixture["name"]
    header = {"type": shown.type, "flags": shown.flags, "ref": shown.ref, "len": shown.len}
    known = FRAMES.get(fixture["type"])
    number = known["type"] if known else int(fixture["type"], 16)
    expect(name, header, {"type": number, "flags": fixture["flags"], "ref": fixture["ref"], "len": fixture["len"]})
    unknown = fixture.get("unknown", "")
    if known:
        expect(name, shown.body(), fixture["body"])
        expect(f"{name}: unknown fields", shown.unknown, unknown)
    else:
        expect(name, shown.raw_body, unknown)
    expect(f"{name}: expert information", shown.experts & {"malformed", "too_large", "too_many_items"}, set())


def frames(folder: Path) -> int:
    """Each frame in segments of a usual size, and short ones in pieces of seven bytes, too; then many in one segment."""
    fixtures = load("frames")
    capture, expected = Capture(), []
    for fixture, data in fixtures:
        for segment in (1460, 7) if len(data) < 400 else (1460,):
            connection = open_session(capture, FRAMES.get(fixture["type"], {}).get("login") != "before")
            expected.append((connection.send(side_of(fixture), data, segment), fixture))
    together = [(fixture, data) for fixture, data in fixtures if side_of(fixture) == SERVER and len(data) < 400]
    last = open_session(capture).send(SERVER, b"".join(data for _, data in together), 60_000)
    shown = dissect.read(capture, folder)
    for number, fixture in expected:
        expect(f"{fixture['name']}: frames in its last segment", len(shown[number]), 1)
        check_frame(fixture, shown[number][0])
    expect("frames in one segment", len(shown[last]), len(together))
    for (fixture, _), one in zip(together, shown[last], strict=True):
        check_frame(fixture, one)
    seen = {one.type for packet in shown.values() for one in packet}
    missing = [name for name, known in FRAMES.items() if known["type"] not in seen]
    expect("types of the registry without a frame", missing, [])
    return len(fixtures)


def invalid(folder: Path) -> int:
    """Each spoilt frame has the expert information that fits the answer it must get; what is behind it is not taken for frames."""
    capture, expected, judged = Capture(), [], 0
    for fixture, data in load("invalid"):
        if fixture["state"] == "connect":
            connection = capture.connect(PORT)
        else:
            connection = open_session(capture, fixture["state"] != "before-login", fixture["max_frame"])
        side = SERVER if fixture["state"] == "codec" else CLIENT
        expected.append((connection.send(side, data), fixture))
    shown = dissect.read(capture, folder)
    for number, fixture in expected:
        experts = set().union(*(one.experts for one in shown[number]))
        if fixture["code"] in NOT_JUDGED:
            continue
        judged += 1
        if not experts & EXPECTED[fixture["code"]]:
            raise SystemExit(f"{fixture['name']}: {fixture['code']}, but tshark says {sorted(experts)}")
    return judged


def joined(folder: Path) -> int:
    """Replies know their requests and requests their replies; what fits no request says so; a filter finds them."""
    capture = Capture()
    # On no known port: the preface is what it is recognized by.
    connection = open_session(capture, port=9999)
    ping = connection.send(CLIENT, frame("PING", {"data": "00"}, 5))
    send = connection.send(CLIENT, frame("SEND", {"to_user": "bob", "idem": "11" * 16}, 6))
    reused = connection.send(CLIENT, frame("SEND", {"to_user": "bob", "idem": "12" * 16}, 6))
    ack = connection.send(SERVER, frame("SEND_ACK", {"msg_id": "7"}, 6, 2))
    pong = connection.send(SERVER, frame("PONG", {"data": "00"}, 5, 2))
    orphan = connection.send(SERVER, frame("OK", {}, 77, 2))
    wrong = connection.send(CLIENT, frame("SYNC", {}, 8)) and connection.send(SERVER, frame("PONG", {}, 8, 2))
    flags = connection.send(CLIENT, frame("ACK", {"pos": "1"}, 0, 0x10))
    path = folder / "joined.pcap"
    capture.write(path)
    shown = dissect.read_file(path, "-2")
    links = {number: (shown[number][0].text("request_in"), shown[number][0].text("response_in")) for number in (ping, ack, pong, reused)}
    expect("links", links, {ping: (None, str(pong)), ack: (str(reused), None), pong: (str(ping), None), reused: (None, str(ack))})
    expect("time", shown[pong][0].text("time"), f"0.{pong - ping:03}000000")
    found = {name: {number for number, packet in shown.items() for one in packet if name in one.experts} for name in ("reused_ref", "orphan", "wrong_reply", "reserved_flags")}
    expect("experts", found, {"reused_ref": {reused}, "orphan": {orphan}, "wrong_reply": {wrong}, "reserved_flags": {flags}})
    filters = {
        "tidewire.type == 0x0201": [send, reused],
        'tidewire.send.to_user == "bob"': [send, reused],
        "tidewire.flags.reply == 1 && tidewire.ref == 6": [ack],
        "tidewire.len == 0 && tidewire.flags.reserved == 0": [orphan, wrong - 1, wrong],
        "tidewire.ping": [ping],
    }
    for text, numbers in filters.items():
        lines = tshark("-r", str(path), "-Y", text, "-T", "fields", "-e", "frame.number").split()
        expect(text, [int(line) for line in lines], numbers)
    info = tshark("-r", str(path), "-Y", f"frame.number == {ack}", "-T", "fields", "-e", "_ws.col.Info").strip()
    expect("info column", info, "SEND_ACK ref 6 msg_id=7")
    return len(filters) + len(links) + len(found)


def carried(folder: Path) -> int:
    """The same frames in messages of WebSocket and in TLS."""
    asked, answered = login()
    send, message = frame("SEND", {"to_user": "bob"}, 2), frame("MESSAGE", {"pos": "1", "from": "eve"}, 0, 4)
    wanted = [FRAMES[name]["type"] for name in ("LOGIN", "LOGIN_OK", "SEND", "MESSAGE", "MESSAGE")]
    to_server, to_client = [asked, send], [answered, message + message]
    for carrier in (transports.websocket, transports.tls):
        path = folder / f"{carrier.__name__}.pcap"
        options = carrier(path, PREFACE, to_server, to_client)
        shown = [one for packet in dissect.read_file(path, *options).values() for one in packet if one.type is not None]
        expect(carrier.__name__, sorted(one.type for one in shown), sorted(wanted))
        expect(f"{carrier.__name__}: experts", set().union(*(one.experts for one in shown)) & BREACHES, set())
    return 2


def suite(path: Path) -> int:
    """A capture of the runner: the server's frames break no rule, and replies are joined to requests."""
    columns = ["frame.number", "tidewire.type", "tidewire.flags.reply", "tidewire.request_in", "_ws.lua.error"]
    breaches = [f"tidewire.expert.{name}" for name in sorted(BREACHES)]
    options = [option for name in columns + breaches for option in ("-e", name)]
    from_server = f"tidewire && ip.src == {dissect.SERVER_ADDRESS}"
    rows = tshark("-r", str(path), "-Y", from_server, "-T", "fields", *options).splitlines()
    seen, replies, joined_replies = [], 0, 0
    for row in rows:
        number, types, flags, requests, *wrong = row.split("\t")
        found = [name for name, text in zip(columns[4:] + breaches, wrong, strict=True) if text]
        expect(f"packet {number} of the suite", found, [])
        seen += [int(text, 16) for text in types.split(",") if text]
        replies += flags.count("1")
        joined_replies += len(requests.split(",")) if requests else 0
    missing = [name for name, known in FRAMES.items() if known["dir"] == "s2c" and known["type"] not in seen]
    expect("types that the server never sent", missing, [])
    # Of a request whose header has a flipped bit or that lies behind a cut, nobody knows the ref.
    if joined_replies < replies * 0.99:
        raise SystemExit(f"only {joined_replies} of {replies} replies are joined to a request")
    return len(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, metavar="FILE", help="a capture that the conformance runner wrote")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for check in (frames, invalid, joined, carried):
            print(f"{check(Path(folder)):6} {check.__name__}", flush=True)
    if arguments.suite:
        print(f"{suite(arguments.suite):6} suite")


if __name__ == "__main__":
    main()
