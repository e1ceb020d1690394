"""A codec's adapter to begin with. Put your codec where `frame` uses the `protobuf` library.

Runs beside the folder `spec` that `tidewire-conformance export` makes; needs Python 3.11 and `pip install protobuf`.
"""
import json
import sys
import tomllib
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field

SPEC = Path(__file__).parent / "spec"
POOL = descriptor_pool.DescriptorPool()
for file in descriptor_pb2.FileDescriptorSet.FromString((SPEC / "proto/tidewire.v1.binpb").read_bytes()).file:
    POOL.Add(file)
FRAMES = {frame["type"]: frame for frame in tomllib.loads((SPEC / "registries/frames.toml").read_text())["frame"]}
WRITTEN = {  # how the adapter protocol writes values that are not the same in JSON
    Field.TYPE_MESSAGE: lambda field, raw: fields(raw),
    Field.TYPE_ENUM: lambda field, raw: known.name if (known := field.enum_type.values_by_number.get(raw)) else raw,
    Field.TYPE_BYTES: lambda field, raw: raw.hex(),
    Field.TYPE_UINT64: lambda field, raw: str(raw),
}

def fields(message):
    written = lambda field, raw: WRITTEN.get(field.type, lambda _, raw: raw)(field, raw)
    each = lambda field, raw: [written(field, item) for item in raw] if field.is_repeated else written(field, raw)
    return {field.name: each(field, raw) for field, raw in message.ListFields()}

def frame(header, body):
    """A whole frame: this is what your codec does."""
    known = FRAMES.get(number := int.from_bytes(header[4:6]))
    found = {"type": known["name"] if known else f"0x{number:04x}", "flags": header[3], "ref": int.from_bytes(header[6:])}
    if not known:
        return found | {"unknown": body.hex()}
    message = message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"tidewire.v1.{known['message']}")).FromString(body)
    found["body"] = fields(message)
    for field, _ in message.ListFields():
        message.ClearField(field.name)
    return found | {"unknown": message.SerializeToString().hex()}  # what is left is what nobody knows

def decode(pieces, **_):
    """Takes the pieces as they come: a frame is there when its last byte is."""
    frames, rest = [], b""
    for piece in pieces:
        rest += bytes.fromhex(piece)
        while len(rest) >= 10 and len(rest) >= (end := 10 + int.from_bytes(rest[:3])):
            frames.append(frame(rest[:10], rest[10:end]))
            rest = rest[end:]
    return {"frames": frames, "rest": rest.hex()}

OPS = {"decode": decode}
for line in sys.stdin:
    request = json.loads(line)
    if "hello" in request:
        answer = {"hello": {"protocol": 1, "name": "my-codec", "version": "0.1.0", "roles": ["codec"], "ops": list(OPS)}}
    elif (op := request.pop("op")) in OPS:
        answer = {"id": request.pop("id"), "ok": OPS[op](**request)}
    else:
        answer = {"id": request["id"], "unsupported": True}
    print(json.dumps(answer), flush=True)
