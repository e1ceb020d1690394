"""Protobuf bodies as dictionaries: field name to value. Fields are written in ascending order of their numbers."""

from .schema import LIMITS, SCALARS, SCHEMA, Field, Message


class Malformed(ValueError):
    """The bytes are no message of this kind. `field` is the dotted name of the culprit, where it is known."""

    def __init__(self, text: str, field: str | None = None, number: int | None = None):
        super().__init__(text)
        self.field, self.number = field, number


class TooManyItems(Malformed):
    """A repeated field is longer than its bound."""

    def __init__(self, name: str, limit: int, actual: int):
        super().__init__(f"{name} has {actual} items, more than {limit}", name)
        self.limit, self.actual = limit, actual


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(name: str, values: dict) -> bytes:
    """The body of message `name`."""
    message = SCHEMA.messages[name]
    unknown = set(values) - set(message.by_name)
    if unknown:
        raise KeyError(f"{name} has no field {sorted(unknown)}")
    return b"".join(
        _encode_field(message.by_number[number], values[message.by_number[number].name])
        for number in sorted(message.by_number)
        if message.by_number[number].name in values
    )


def _encode_field(field: Field, value) -> bytes:
    if not field.repeated:
        data = _scalar(field, value)
        zero = data in (0, b"") and field.type in SCALARS | set(SCHEMA.enums)
        return b"" if zero and not field.presence else _tagged(field.number, data)
    if field.type in ("uint32", "uint64", "bool") or field.type in SCHEMA.enums:
        packed = b"".join(varint(_scalar(field, item)) for item in value)
        return _tagged(field.number, packed) if packed else b""
    return b"".join(_tagged(field.number, _scalar(field, item)) for item in value)


def _scalar(field: Field, value) -> int | bytes:
    if field.type in SCHEMA.messages:
        return encode(field.type, value)
    if field.type in SCHEMA.enums:
        return SCHEMA.enums[field.type][value] if isinstance(value, str) else int(value)
    if field.type == "string":
        return value.encode("utf-8")
    if field.type == "bytes":
        return bytes.fromhex(value) if isinstance(value, str) else bytes(value)
    return int(value)


def _tagged(number: int, data: int | bytes) -> bytes:
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        if at >= len(data):
            raise Malformed("varint is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 1 << 64:
                raise Malformed("varint exceeds 64 bits")
            return value, at
    raise Malformed("varint is longer than 10 bytes")


def records(data: bytes):
    """Each field of a body as (number, wire type, value, the bytes it stands in)."""
    at = 0
    while at < len(data):
        start = at
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise Malformed(f"field number {number}")
        try:
            if kind == 0:
                value, at = read_varint(data, at)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
                value, at = data[at : at + size], at + size
            elif kind == 2:
                size, at = read_varint(data, at)
                value, at = data[at : at + size], at + size
            else:
                raise Malformed(f"wire type {kind}")
            if at > len(data):
                raise Malformed(f"field {number} is cut short")
        except Malformed as error:
            raise Malformed(str(error), number=number) from None
        yield number, kind, value, data[start:at]


def decode(name: str, data: bytes, unknown: list[bytes] | None = None) -> dict:
    """The known fields that are present. Unknown ones of the body itself go to `unknown`, as their bytes.

    Checks every bound of the specification that the bytes alone can break. Raises Malformed or TooManyItems.
    """
    return _decode(SCHEMA.messages[name], [data], 1, "", [] if unknown is None else unknown)


def _decode(message: Message, pieces: list[bytes], depth: int, path: str, unknown: list[bytes]) -> dict:
    """One message that stands in one or more pieces, which proto3 merges as if they were one."""
    #= spec/01-framing.md#bodies
    ## [FRM-033] A decoder MUST refuse a body that nests messages more than 16 deep.
    if depth > LIMITS["MAX_NESTING"]:
        raise Malformed("nested too deep", path[:-1])
    try:
        _count(message, pieces, path)
        values: dict = {}
        nested: dict[str, list[bytes]] = {}
        for piece in pieces:
            for number, kind, raw, whole in records(piece):
                field = message.by_number.get(number)
                #= spec/01-framing.md#bodies
                ## [FRM-030] A receiver MUST ignore unknown fields of a body.
                if field is None:
                    unknown.append(whole)
                    continue
                if field.oneof is not None:
                    _replace(message, field, values, nested)
                if field.type in SCHEMA.messages and not field.repeated:
                    # Each piece is decoded where it stands, so that the first fault in the bytes is the one that is told.
                    values[field.name] = _value(field, kind, raw, depth, path)
                    nested.setdefault(field.name, []).append(raw)
                elif field.repeated:
                    values.setdefault(field.name, []).extend(_items(field, kind, raw, depth, path))
                else:
                    values[field.name] = _value(field, kind, raw, depth, path)
    except Malformed as error:
        known = message.by_number.get(error.number or 0)
        if error.field is None and known is not None:
            raise Malformed(str(error), path + known.name) from None
        raise
    for name, parts in nested.items():
        if len(parts) > 1:
            values[name] = _decode(SCHEMA.messages[message.by_name[name].type], parts, depth + 1, f"{path}{name}.", [])
    return values


def _replace(message: Message, field: Field, values: dict, nested: dict) -> None:
    """Of the members of a oneof the last one counts."""
    for other in message.by_name.values():
        if other.oneof == field.oneof and other is not field:
            values.pop(other.name, None)
            nested.pop(other.name, None)


def _packable(field: Field) -> bool:
    return field.type not in ("string", "bytes") and field.type not in SCHEMA.messages


def _count(message: Message, pieces: list[bytes], path: str) -> None:
    """Bounds of repeated fields, before anything is built. Where the bytes are faulty it counts up to the fault."""
    counts: dict[str, int] = {}
    try:
        for piece in pieces:
            for number, kind, raw, _ in records(piece):
                field = message.by_number.get(number)
                if field is not None and field.repeated:
                    items = sum(byte < 0x80 for byte in raw) if kind == 2 and _packable(field) else 1
                    counts[field.name] = counts.get(field.name, 0) + items
    except Malformed:
        pass  # Whoever decodes meets it again, and tells where it stands.
    for name, actual in counts.items():
        limit = LIMITS["MAX_FEATURES" if name in ("features", "requires") else "MAX_ITEMS"]
        #= spec/01-framing.md#bodies
        ## [FRM-034] A decoder MUST refuse a body in which a repeated field has more items than its bound, before it
        ## allocates room for them.
        if actual > limit:
            raise TooManyItems(path + name, limit, actual)


def _items(field: Field, kind: int, raw, depth: int, path: str) -> list:
    """What one record adds to a repeated field: one item, or a packed run of numbers."""
    if kind != 2 or not _packable(field):
        return [_value(field, kind, raw, depth, path)]
    items, at = [], 0
    while at < len(raw):
        try:
            item, at = read_varint(raw, at)
        except Malformed as error:
            raise Malformed(str(error), path + field.name) from None
        items.append(_value(field, 0, item, depth, path))
    return items


def _expect(field: Field, kind: int, wanted: int, path: str) -> None:
    if kind != wanted:
        raise Malformed(f"wire type {kind} for {field.name}", path + field.name)


def _value(field: Field, kind: int, raw, depth: int, path: str):
    _expect(field, kind, 0 if _packable(field) else 2, path)
    if field.type in SCHEMA.messages:
        return _decode(SCHEMA.messages[field.type], [raw], depth + 1, f"{path}{field.name}.", [])
    if field.type == "string":
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"{field.name} is not UTF-8", path + field.name) from None
    if field.type == "bytes":
        return bytes(raw)
    if field.type == "bool":
        return raw != 0
    if field.type == "uint32":
        return raw & 0xFFFFFFFF
    #= spec/01-framing.md#bodies
    ## [FRM-037] A decoder MUST give each field of a body the value that its bytes hold, over the whole range of its type.
    if field.type in SCHEMA.enums:
        names = {number: name for name, number in SCHEMA.enums[field.type].items()}
        #= spec/01-framing.md#bodies
        ## [FRM-032] A receiver MUST treat an unknown enum value as the UNSPECIFIED value of that enum.
        return names.get(raw & 0xFFFFFFFF, names[0])
    return raw


def to_json(name: str, values: dict) -> dict:
    """A decoded body as the fixtures write it: defaults without presence left out, 64-bit numbers as text, bytes in hex."""
    message = SCHEMA.messages[name]
    out = {}
    for key, value in values.items():
        field = message.by_name[key]
        if field.repeated:
            if value:
                out[key] = [_json(field, item) for item in value]
        elif field.presence or field.type in SCHEMA.messages or not _is_default(field, value):
            out[key] = _json(field, value)
    return out


def _is_default(field: Field, value) -> bool:
    return value == next(iter(SCHEMA.enums[field.type])) if field.type in SCHEMA.enums else not value


def _json(field: Field, value):
    if field.type in SCHEMA.messages:
        return to_json(field.type, value)
    if field.type == "bytes":
        return value.hex()
    return str(value) if field.type == "uint64" else value
