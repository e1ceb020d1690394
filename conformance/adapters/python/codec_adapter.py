#!/usr/bin/env python3
"""The adapter of codec B: decodes, encodes, negotiates, and judges what a server would answer."""

from tidewire import frames, negotiate, verdict, wire
from tidewire.lines import Lines, Refused
from tidewire.schema import FRAMES


def decode(request: dict) -> dict:
    decoder = frames.Decoder(preface=request.get("preface", False), max_frame=request.get("max_frame", 8192))
    found: list[dict] = []
    broken = None
    for piece in request["pieces"]:
        try:
            for frame in decoder.feed(bytes.fromhex(piece)):
                found.append(shown(frame))
                broken = verdict.of_body(frame)
                if broken:
                    break
        except frames.Violation as error:
            broken = verdict.Verdict("GOAWAY", error.code, dict(error.detail))
        if broken:
            return {"frames": found, "rest": decoder.rest().hex(), "violation": said(broken)}
    return {"frames": found, "rest": decoder.rest().hex()}


def shown(frame: frames.Frame) -> dict:
    out = {"type": frame.name or f"{frame.type:#06x}", "flags": frame.flags, "ref": frame.ref}
    if frame.name is None:
        return {**out, "unknown": frame.raw.hex()}
    message, strange = FRAMES[frame.name]["message"], []
    try:
        body = wire.to_json(message, wire.decode(message, frame.raw, strange))
    except wire.Malformed as error:
        return {**out, "error": str(error)}
    return {**out, "body": body, "unknown": b"".join(strange).hex()}


def said(answer: verdict.Verdict) -> dict:
    return {"reply": answer.reply, "code": answer.code, **answer.detail}


def encode(request: dict) -> dict:
    name = request["type"]
    raw = wire.encode(FRAMES[name]["message"], request.get("body", {})) if name in FRAMES else b""
    number = FRAMES[name]["type"] if name in FRAMES else int(name, 16)
    raw += bytes.fromhex(request.get("unknown", ""))
    return {"hex": frames.pack(number, raw, request.get("flags", 0), request.get("ref", 0)).hex()}


def judge(request: dict) -> dict:
    answer = verdict.judge(request["state"], request["max_frame"], bytes.fromhex(request["hex"]))
    return said(answer) if answer else {}


def choose(request: dict) -> dict:
    given = request["input"]
    if request["table"] == "features":
        enabled, missing = negotiate.features(given["offered"], given["ours"], given["requires"])
        return {"enabled": sorted(enabled), "missing": missing}
    if request["table"] != "version":
        raise Refused("BAD_REQUEST", f"no table is called {request['table']}")
    try:
        return {"version": negotiate.version(given["version_min"], given["version_max"], *given["ours"])}
    except negotiate.Unfit as error:
        return {"goaway": error.code}


OPS = {"decode": decode, "encode": encode, "judge": judge, "negotiate": choose}

if __name__ == "__main__":
    Lines().serve({"name": "tidewire-python codec B", "roles": ["codec"], "ops": list(OPS)}, OPS.get)
