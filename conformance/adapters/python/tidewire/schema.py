"""The messages of spec/proto and the tables of spec/registries, as plain data."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

SPEC = Path(__file__).resolve().parents[4] / "spec"
SCALARS = {"uint32", "uint64", "bool", "bytes", "string"}


@dataclass(frozen=True)
class Field:
    name: str
    number: int
    type: str  # a scalar, or the name of a message or an enum
    repeated: bool = False
    presence: bool = False  # `optional`, a member of a oneof, or a message
    oneof: str | None = None


@dataclass
class Message:
    name: str
    by_name: dict[str, Field] = field(default_factory=dict)
    by_number: dict[int, Field] = field(default_factory=dict)


@dataclass
class Schema:
    messages: dict[str, Message]
    enums: dict[str, dict[str, int]]


TOKEN = re.compile(r'"[^"]*"|[A-Za-z_][\w.]*|\d+|[{}=;]')


def parse(text: str, schema: Schema) -> None:
    """Adds the messages and enums of one .proto file."""
    tokens = TOKEN.findall(re.sub(r"//[^\n]*", "", text))
    at = 0
    while at < len(tokens):
        kind = tokens[at]
        if kind in ("syntax", "package", "import"):
            at = tokens.index(";", at) + 1
        elif kind == "message":
            at = _message(tokens, at + 1, schema)
        elif kind == "enum":
            name, at = tokens[at + 1], at + 3
            values: dict[str, int] = {}
            while tokens[at] != "}":
                values[tokens[at]] = int(tokens[at + 2])
                at += 4
            schema.enums[name] = values
            at += 1
        else:
            raise ValueError(f"unexpected {kind!r} in a .proto file")


def _message(tokens: list[str], at: int, schema: Schema) -> int:
    message = Message(tokens[at])
    at += 2
    oneof = None
    while True:
        word = tokens[at]
        if word == "}":
            at += 1
            if oneof is None:
                break
            oneof = None
            continue
        if word == "oneof":
            oneof, at = tokens[at + 1], at + 3
            continue
        repeated = word == "repeated"
        optional = word == "optional"
        at += repeated or optional
        kind, name, number = tokens[at], tokens[at + 1], int(tokens[at + 3])
        at += 5
        presence = optional or oneof is not None
        found = Field(name, number, kind, repeated, presence, oneof)
        message.by_name[name] = found
        message.by_number[number] = found
    schema.messages[message.name] = message
    return at


def load() -> Schema:
    schema = Schema({}, {})
    for path in sorted((SPEC / "proto" / "tidewire" / "v1").glob("*.proto")):
        parse(path.read_text(encoding="utf-8"), schema)
    return schema


def registry(name: str) -> dict:
    return tomllib.loads((SPEC / "registries" / f"{name}.toml").read_text(encoding="utf-8"))


SCHEMA = load()
FRAMES = {frame["name"]: frame for frame in registry("frames")["frame"]}
FRAMES_BY_TYPE = {frame["type"]: frame for frame in FRAMES.values()}
CODES = {code["code"]: code["name"] for code in registry("codes")["code"]}
FEATURES = {feature["name"]: feature["id"] for feature in registry("features")["feature"]}
LIMITS = {limit["name"]: limit["value"] for limit in registry("limits")["limit"]}
