"""What a server has to answer to bytes that break a rule, as far as no user, message or group takes part."""

from dataclasses import dataclass, field

from . import frames, negotiate, wire
from .frames import Frame, Violation
from .schema import FEATURES, FRAMES_BY_TYPE, LIMITS

OURS = list(FEATURES.values())


@dataclass
class Verdict:
    """The answer: ERROR or GOAWAY, its code, and what it says besides."""

    reply: str
    code: str
    detail: dict = field(default_factory=dict)
    blame: str = "violation"


def judge(state: str, max_frame: int, data: bytes) -> Verdict | None:
    """The first answer that the bytes cause in `state`; None if all is well so far."""
    decoder = frames.Decoder(preface=state == "connect", max_frame=max_frame)
    try:
        for frame in decoder.feed(data):
            found = {"codec": of_body, "after-login": _session}.get(state, _first)(frame)
            if found is not None:
                return found
    except Violation as error:
        return Verdict("GOAWAY", error.code, dict(error.detail))
    return None


def _malformed(error: wire.Malformed) -> dict:
    detail = {"field": error.field} if error.field else {}
    if isinstance(error, wire.TooManyItems):
        detail.update(limit=error.limit, actual=error.actual)
    return detail


def of_body(frame: Frame) -> Verdict | None:
    """What it costs that a body does not decode, whoever gets it; None where it does, or nobody knows the type."""
    if frame.name is None:
        return None
    try:
        frame.body()
    except wire.Malformed as error:
        if frame.name == "LOGIN":
            return Verdict("GOAWAY", "INVALID_LOGIN", _malformed(error))
        if frame.ref and not frame.flags & frames.REPLY:
            code = "TOO_MANY_ITEMS" if isinstance(error, wire.TooManyItems) else "MALFORMED_BODY"
            return Verdict("ERROR", code, _malformed(error), "decode")
        return Verdict("GOAWAY", "MALFORMED_FRAME", _malformed(error), "decode")
    return None


def _first(frame: Frame) -> Verdict | None:
    """The frame that should be LOGIN."""
    if frame.name != "LOGIN" or frame.flags & frames.REPLY:
        return Verdict("GOAWAY", "PROTOCOL_VIOLATION")
    if frame.ref == 0:
        return Verdict("GOAWAY", "INVALID_LOGIN")
    fault = of_body(frame)
    if fault is not None:
        return fault
    body = frame.body()
    try:
        negotiate.version(body.get("version_min", 0), body.get("version_max", 0), 1, 1)
    except negotiate.Unfit as error:
        return Verdict("GOAWAY", error.code)
    found = _login_fields(body)
    if found is not None:
        return Verdict("GOAWAY", "INVALID_LOGIN", found)
    # Tokens are judged here on a real server; none of these bytes holds a good one.
    _, missing = negotiate.features(body.get("features", []), OURS, body.get("requires", []))
    return Verdict("GOAWAY", "LOGIN_FEATURE_REQUIRED", {"features": missing}) if missing else None


def _login_fields(body: dict) -> dict | None:
    """The first field that is out of its bounds, in the order of the numbers."""
    token, device = body.get("token", b""), body.get("device_id", b"")
    if not token:
        return {"field": "token"}
    if len(token) > LIMITS["MAX_TOKEN"]:
        return {"field": "token", "limit": LIMITS["MAX_TOKEN"], "actual": len(token)}
    if len(device) != LIMITS["DEVICE_ID_LEN"] or not any(device):
        return {"field": "device_id"}
    announced = body.get("limits", {}).get("max_frame", LIMITS["MAX_FRAME_DEFAULT"])
    if announced < LIMITS["MAX_FRAME_FLOOR"]:
        return {"field": "limits.max_frame", "limit": LIMITS["MAX_FRAME_FLOOR"], "actual": announced}
    if announced > LIMITS["MAX_FRAME_HARD"]:
        return {"field": "limits.max_frame", "limit": LIMITS["MAX_FRAME_HARD"], "actual": announced}
    agent = len(body.get("agent", "").encode())
    if agent > LIMITS["MAX_AGENT"]:
        return {"field": "agent", "limit": LIMITS["MAX_AGENT"], "actual": agent}
    return None


def _session(frame: Frame) -> Verdict | None:
    """A frame after LOGIN_OK, with every feature enabled."""
    known = FRAMES_BY_TYPE.get(frame.type)
    if known is None:
        return _unknown(frame)
    replies = bool(frame.flags & frames.REPLY)
    if known["dir"] == "s2c" or known["name"] == "LOGIN" or replies and known["kind"] != "reply":
        return Verdict("GOAWAY", "PROTOCOL_VIOLATION")
    if known["kind"] != "request" and frame.ref and not replies:
        return Verdict("ERROR", "UNSUPPORTED_FRAME", {}, "request")
    return of_body(frame)


def _unknown(frame: Frame) -> Verdict | None:
    if frame.flags & frames.REPLY:
        return None
    if frame.ref:
        return Verdict("ERROR", "UNSUPPORTED_FRAME", {}, "request")
    if frame.flags & frames.CRITICAL:
        return Verdict("GOAWAY", "UNKNOWN_CRITICAL")
    return None
