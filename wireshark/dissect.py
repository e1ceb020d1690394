"""What tshark makes of a capture with the dissector: frames as Python values, out of its PDML."""

import subprocess
import sys
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from pathlib import Path

from capture import Capture

ROOT = Path(__file__).resolve().parents[1]
# Where the captures of the runner have their server.
SERVER_ADDRESS = "10.0.0.2"
LUA = ROOT / "wireshark/tidewire.lua"

sys.path.insert(0, str(ROOT / "conformance/adapters/python"))
from tidewire.schema import FRAMES, FRAMES_BY_TYPE, LIMITS, SCHEMA  # noqa: E402

__all__ = ["FRAMES", "LIMITS", "LUA", "ROOT", "SERVER_ADDRESS", "Dissected", "read", "read_file", "tshark"]


def tshark(*arguments: str) -> str:
    """Runs tshark with the dissector; an error of Lua ends the check."""
    command = ["tshark", "-n", "-X", f"lua_script:{LUA}", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    wrong = [line.strip() for line in done.stdout.splitlines() if "Lua Error" in line]
    if done.returncode != 0 or wrong or "Lua" in done.stderr:
        raise SystemExit("\n".join([" ".join(command), *wrong[:3], done.stderr]))
    return done.stdout


@dataclass
class Dissected:
    """One frame as the dissector shows it."""

    tree: xml.Element

    def text(self, name: str) -> str | None:
        found = self.tree.find(f".//field[@name='tidewire.{name}']")
        return None if found is None else found.get("show")

    def _number(self, name: str) -> int | None:
        text = self.text(name)
        return None if text is None else int(text, 0)

    @property
    def type(self) -> int | None:
        return self._number("type")

    @property
    def flags(self) -> int | None:
        return self._number("flags")

    @property
    def ref(self) -> int | None:
        return self._number("ref")

    @property
    def len(self) -> int | None:
        return self._number("len")

    @property
    def raw_body(self) -> str:
        return (self.text("body") or "").replace(":", "")

    @property
    def unknown(self) -> str:
        found = self.tree.iter("field")
        return "".join(item.get("value", "") for item in found if item.get("name") == "tidewire.unknown")

    @property
    def experts(self) -> set[str]:
        prefix = "tidewire.expert."
        names = (item.get("name", "") for item in self.tree.iter("field"))
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    def body(self) -> dict:
        """The body as the fixtures write it: of a field that comes twice the last counts, and pieces of a message are merged."""
        message = FRAMES_BY_TYPE[self.type]["message"]
        root = self.tree.find(f"field[@name='tidewire.{snake(message)}']")
        return plain(message, merged(message, [root]))


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


def merged(message: str, pieces: list) -> dict:
    """The fields of a message by name, each as a list of values: numbers and texts, or the tree items of messages."""
    prefix, by_name = f"tidewire.{snake(message)}.", SCHEMA.messages[message].by_name
    found: dict = {}
    for item in (item for piece in pieces for item in piece.findall("field")):
        field = by_name.get(item.get("name", "").removeprefix(prefix))
        if field is None or not item.get("name").startswith(prefix):
            continue
        if field.oneof:
            for other in by_name.values():
                if other.oneof == field.oneof and other != field:
                    found.pop(other.name, None)
        found.setdefault(field.name, []).append(item)
    return found


def plain(message: str, found: dict) -> dict:
    body = {}
    for name, items in found.items():
        field = SCHEMA.messages[message].by_name[name]
        if field.type in SCHEMA.messages:
            groups = [[item] for item in items] if field.repeated else [items]
            values = [plain(field.type, merged(field.type, group)) for group in groups]
        else:
            values = [value_of(field.type, item.get("show", ""), item.get("value", "")) for item in items]
        is_message = field.type in SCHEMA.messages
        if field.repeated:
            body[name] = values
        elif field.presence or is_message or values[-1] not in (0, "0", "", False):
            body[name] = values[-1]
    return body


def value_of(kind: str, show: str, raw: str):
    if kind == "bool":
        return show in ("1", "True")
    if kind == "uint32":
        return int(show, 0)
    if kind == "uint64":
        return str(int(show))
    if kind == "bytes":
        return raw
    if kind == "string":
        # What is shown has signs escaped that would break a line; the bytes have not.
        return bytes.fromhex(raw).decode()
    number = int(show)
    names = {value: name for name, value in SCHEMA.enums[kind].items()}
    return 0 if number == 0 else names.get(number, number)


def read(capture: Capture, folder: Path) -> dict[int, list[Dissected]]:
    """The frames of each packet, by its number."""
    path = folder / "capture.pcap"
    capture.write(path)
    return read_file(path)


def read_file(path: Path, *options: str) -> dict[int, list[Dissected]]:
    text = tshark("-r", str(path), *options, "-T", "pdml", "-J", "frame ip tcp tidewire _ws.malformed _ws.lua")
    packets: dict[int, list[Dissected]] = {}
    for number, packet in enumerate(xml.fromstring(text.encode()).findall("packet"), 1):
        # Expert information of the group Malformed brings a hidden one; a visible one means that the dissector itself gave up.
        if any(proto.get("hide") != "yes" for proto in packet.iterfind(".//proto[@name='_ws.malformed']")):
            raise SystemExit(f"packet {number} of {path} is malformed to Wireshark itself")
        trees = [proto for proto in packet.findall("proto") if proto.get("name") == "tidewire"]
        packets[number] = [Dissected(tree) for tree in trees]
    return packets
