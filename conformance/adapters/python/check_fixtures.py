#!/usr/bin/env python3
"""Derives every fixture again with codec B and says where it disagrees: `python3 check_fixtures.py [--self-test]`.

Prints counts a family; exit code 1 and the first differences where there are any. With --self-test each fixture is
spoilt in memory, one way at a time, and the check has to notice.
"""

import argparse
import copy
import json
import sys
from pathlib import Path

from tidewire import frames, negotiate, wire
from tidewire.schema import FRAMES, SCHEMA
from tidewire.verdict import judge

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
SHOWN = 20
# Of long frames not every cut is tried (that would be quadratic), but each of the first and last ones, and every so many between.
CLOSE = 64


class Difference(Exception):
    """A fixture and codec B disagree."""


def expect(what: str, actual, expected) -> None:
    if actual != expected:
        raise Difference(f"{what}: codec B has {short(actual)}, the fixture {short(expected)}")


def short(value) -> str:
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) < 200 else text[:200] + "..."


def cuts(length: int) -> list[int]:
    if length <= 4 * CLOSE:
        return list(range(1, length))
    step = length // CLOSE
    return sorted({*range(1, CLOSE), *range(CLOSE, length - CLOSE, step), *range(length - CLOSE, length)})


def no_names(message: str, body: dict) -> dict:
    """The body with numbers of enums that have no name taken as UNSPECIFIED, and then left out as any default."""
    out = {}
    for key, value in body.items():
        field = SCHEMA.messages[message].by_name.get(key)
        if field is None:
            raise Difference(f"{message} has no field {key}")
        if field.type in SCHEMA.messages:
            value = [no_names(field.type, item) for item in value] if field.repeated else no_names(field.type, value)
        elif field.type in SCHEMA.enums and value not in SCHEMA.enums[field.type]:
            if not isinstance(value, int):
                raise Difference(f"{field.type} has no value {value}")
            continue
        out[key] = value
    return out


def check_frame(fixture: dict, data: bytes) -> None:
    """A valid frame: bytes to JSON, JSON to bytes, and every way to cut the bytes."""
    name = fixture["type"]
    known = name in FRAMES
    number = FRAMES[name]["type"] if known else int(name, 16)
    limit = max(len(data), 1)
    whole = list(frames.Decoder(preface=False, max_frame=limit).feed(data))
    expect("number of frames", len(whole), 1)
    frame = whole[0]
    expect("header", (frame.type, frame.flags, frame.ref), (number, fixture["flags"], fixture["ref"]))
    expect("len", len(frame.raw), fixture["len"])
    unknown = bytes.fromhex(fixture.get("unknown", ""))
    if known:
        message = FRAMES[name]["message"]
        strange: list[bytes] = []
        expect("body", wire.to_json(message, wire.decode(message, frame.raw, strange)), no_names(message, fixture["body"]))
        expect("unknown", b"".join(strange), unknown)
        again = frames.pack(number, wire.encode(message, fixture["body"]), fixture["flags"], fixture["ref"])
        expect("canonical", again == data, fixture["canonical"])
    else:
        expect("body", frame.raw, unknown)
        expect("canonical", frames.pack(number, unknown, fixture["flags"], fixture["ref"]) == data, fixture["canonical"])
    for cut in cuts(len(data)):
        decoder = frames.Decoder(preface=False, max_frame=limit)
        expect(f"frames in the first {cut} bytes", list(decoder.feed(data[:cut])), [])
        expect(f"frames of both pieces, cut at {cut}", list(decoder.feed(data[cut:])), whole)


def check_invalid(fixture: dict, data: bytes) -> None:
    """Bytes that break a rule: the same answer, and the fields that the fixture is sure of."""
    verdict = judge(fixture["state"], fixture["max_frame"], data)
    if verdict is None:
        raise Difference("codec B finds nothing wrong")
    expect("answer", (verdict.reply, verdict.code, verdict.blame), (fixture["reply"], fixture["code"], fixture["blame"]))
    for key in ("field", "limit", "actual", "features"):
        if key in fixture:
            expect(key, verdict.detail.get(key), fixture[key])


def check_version(case: dict) -> None:
    given = case["input"]
    try:
        found = {"version": negotiate.version(given["version_min"], given["version_max"], *given["ours"])}
    except negotiate.Unfit as error:
        found = {"goaway": error.code}
    expect("version", found, case["expected"])


def check_features(case: dict) -> None:
    given = case["input"]
    enabled, missing = negotiate.features(given["offered"], given["ours"], given["requires"])
    expect("features", {"enabled": sorted(enabled), "missing": missing}, case["expected"])


def load() -> list[tuple]:
    """Every fixture as (family, name, check, its arguments)."""
    found = []
    for family, folder, check in [("frames", FIXTURES / "frames", check_frame), ("invalid", FIXTURES / "invalid", check_invalid)]:
        for path in sorted(folder.rglob("*.json")):
            fixture = json.loads(path.read_text(encoding="utf-8"))
            hex_name = fixture.get("hex", path.with_suffix(".hex").name)
            data = bytes.fromhex("".join((path.parent / hex_name).read_text(encoding="ascii").split()))
            part = f"frames/{path.parent.name}" if family == "frames" else f"invalid/{path.stem.split('-')[0]}"
            found.append((part, path.stem, check, (fixture, data)))
    for table, check in (("version", check_version), ("features", check_features)):
        cases = json.loads((FIXTURES / "negotiation" / f"{table}.json").read_text(encoding="utf-8"))["cases"]
        found += [(f"negotiation/{table}", case["name"], check, (case,)) for case in cases]
    return found


def spoilt(check, arguments: tuple):
    """Each way to spoil a fixture, as (what, arguments)."""
    fixture = arguments[0]

    def other(what: str, change) -> tuple:
        twisted = copy.deepcopy(fixture)
        change(twisted)
        return what, (twisted, *arguments[1:])

    if check is check_frame:
        data = arguments[1]
        for place in sorted({2, 3, 4, 9, 10, len(data) - 1} & set(range(len(data)))):
            yield f"byte {place}", (fixture, data[:place] + bytes([data[place] ^ 0x01]) + data[place + 1 :])
        yield "one byte less", (fixture, data[:-1])
        yield other("another flag", lambda it: it.update(flags=it["flags"] ^ 0x80))
        yield other("another ref", lambda it: it.update(ref=it["ref"] ^ 1))
        yield other("canonical", lambda it: it.update(canonical=not it["canonical"]))
        for key in fixture.get("body", {}):
            yield other(f"without {key}", lambda it, key=key: it["body"].pop(key))
    elif check is check_invalid:
        data = arguments[1]
        yield "no bytes", (fixture, b"")
        yield other("another code", lambda it: it.update(code="OVERLOADED"))
        yield other("the other reply", lambda it: it.update(reply="ERROR" if it["reply"] == "GOAWAY" else "GOAWAY"))
        for key in ("limit", "actual"):
            if key in fixture:
                yield other(f"another {key}", lambda it, key=key: it.update({key: it[key] + 1}))
        if "field" in fixture:
            yield other("another field", lambda it: it.update(field=it["field"] + "x"))
    else:
        for key, value in fixture["expected"].items():
            wrong = value + [77] if isinstance(value, list) else "OVERLOADED" if isinstance(value, str) else value + 1
            yield other(f"another {key}", lambda it, key=key, wrong=wrong: it["expected"].update({key: wrong}))


def differs(check, arguments: tuple) -> str | None:
    try:
        check(*arguments)
    except (Difference, wire.Malformed, frames.Violation, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--self-test", action="store_true", help="spoil each fixture and demand that it is noticed")
    self_test = parser.parse_args().self_test
    counts: dict[str, int] = {}
    wrong: list[str] = []
    for family, name, check, arguments in load():
        if self_test:
            for what, twisted in spoilt(check, arguments):
                counts[family] = counts.get(family, 0) + 1
                if differs(check, twisted) is None:
                    wrong.append(f"{family}/{name}: {what} was not noticed")
        else:
            counts[family] = counts.get(family, 0) + 1
            difference = differs(check, arguments)
            if difference is not None:
                wrong.append(f"{family}/{name}: {difference}")
    for family, count in counts.items():
        print(f"{count:5} {family}")
    print(f"{sum(counts.values()):5} {'spoilt fixtures' if self_test else 'fixtures'}, {len(wrong)} {'missed' if self_test else 'different'}")
    for line in wrong[:SHOWN]:
        print(line)
    return 1 if wrong or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
