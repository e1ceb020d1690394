"""Protobuf bodies as dictionaries: field name to value. Fields are written in ascending order of their numbers."""

from .schema import LIMITS, SCALARS, SCHEMA, Field, Message


class Malformed(ValueError):
    """The bytes are no message of this kind."""


class TooManyItems(Malformed):
    """A repeated field is longer than its bound."""

    def __init__(self, name: str, limit: int, actual: int):
        super().__init__(f"{name} has {actual} items, more than {limit}")
        self.field, self.limit, self.actual = name, limit, actual


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
    """Each field of a body as (number, wire type, value)."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise Malformed(f"field number {number}")
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
        yield number, kind, value


def decode(name: str, data: bytes, depth: int = 1) -> dict:
    """The known fields that are present; unknown ones are passed over. Checks every bound of the specification.

    Raises Malformed or TooManyItems.
    """
    if depth > LIMITS["MAX_NESTING"]:
        raise Malformed("nested too deep")
    message = SCHEMA.messages[name]
    _count(message, data)
    values: dict = {}
    for number, kind, raw in records(data):
        field = message.by_number.get(number)
        if field is None:
            continue
        if field.oneof:
            for other in message.by_name.values():
                if other.oneof == field.oneof and other is not field:
                    values.pop(other.name, None)
        packable = field.type not in ("string", "bytes") and field.type not in SCHEMA.messages
        if field.repeated and packable and kind == 2:
            at = 0
            while at < len(raw):
                item, at = read_varint(raw, at)
                values.setdefault(field.name, []).append(_value(field, 0, item, depth))
        elif field.repeated:
            values.setdefault(field.name, []).append(_value(field, kind, raw, depth))
        elif field.type in SCHEMA.messages and field.name in values:
            values[field.name] = {**values[field.name], **_value(field, kind, raw, depth)}
        else:
            values[field.name] = _value(field, kind, raw, depth)
    return values


def _count(message: Message, data: bytes) -> None:
    """Bounds of repeated fields, before anything is built."""
    counts: dict[str, int] = {}
    for number, kind, raw in records(data):
        field = message.by_number.get(number)
        if field is None or not field.repeated:
            continue
        packed = kind == 2 and field.type not in ("string", "bytes") and field.type not in SCHEMA.messages
        items = sum(byte < 0x80 for byte in raw) if packed else 1
        counts[field.name] = counts.get(field.name, 0) + items
    for name, actual in counts.items():
        limit = LIMITS["MAX_FEATURES" if name in ("features", "requires") else "MAX_ITEMS"]
        if actual > limit:
            raise TooManyItems(name, limit, actual)


def _value(field: Field, kind: int, raw, depth: int):
    bytewise = field.type in ("string", "bytes") or field.type in SCHEMA.messages
    if kind != (2 if bytewise else 0):
        raise Malformed(f"wire type {kind} for {field.name}")
    if field.type in SCHEMA.messages:
        return decode(field.type, raw, depth + 1)
    if field.type == "string":
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"{field.name} is not UTF-8") from error
    if field.type == "bytes":
        return bytes(raw)
    if field.type == "bool":
        return raw != 0
    if field.type == "uint32":
        return raw & 0xFFFFFFFF
    if field.type in SCHEMA.enums:
        names = {number: name for name, number in SCHEMA.enums[field.type].items()}
        return names.get(raw & 0xFFFFFFFF, names[0])
    return raw
