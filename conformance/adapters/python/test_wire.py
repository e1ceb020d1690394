"""Unit tests of codec B."""

import unittest

from tidewire import frames, negotiate, wire
from tidewire.link import Grease, Link
from tidewire.schema import FRAMES, SCHEMA, Field, Message


class Bodies(unittest.TestCase):
    def test_presence_keeps_zero_apart_from_absent(self):
        self.assertEqual(wire.encode("Send", {"priority": 0, "reply_to": 0}), bytes.fromhex("4800"))
        self.assertEqual(wire.decode("Send", bytes.fromhex("4800")), {"reply_to": 0})

    def test_pieces_of_one_message_are_merged(self):
        first = wire.encode("Login", {"resume": {"epoch": 5}})
        second = wire.encode("Login", {"resume": {"pos": 6}})
        self.assertEqual(wire.decode("Login", first + second), {"resume": {"epoch": 5, "pos": 6}})

    def test_the_last_member_of_a_oneof_counts(self):
        both = wire.encode("GroupOp", {"create": {"name": "a"}}) + wire.encode("GroupOp", {"get": {}})
        self.assertEqual(wire.decode("GroupOp", both), {"get": {}})

    def test_a_replaced_member_has_to_decode(self):
        with self.assertRaises(wire.Malformed):
            wire.decode("GroupOp", bytes.fromhex("2201ff") + wire.encode("GroupOp", {"get": {}}))

    def test_unknown_enum_values_are_unspecified(self):
        self.assertEqual(wire.decode("Send", bytes.fromhex("2063"))["delivery"], "DELIVERY_UNSPECIFIED")

    def test_bounds_count_all_pieces(self):
        part = wire.encode("GroupOp", {"remove": {"users": [""] * 600}})
        with self.assertRaises(wire.TooManyItems) as caught:
            wire.decode("GroupOp", part + part)
        self.assertEqual((caught.exception.field, caught.exception.actual), ("remove.users", 1200))

    def test_nesting_is_bounded(self):
        deep = Message("Deep")
        deep.by_name["deep"] = deep.by_number[1] = Field("deep", 1, "Deep", presence=True)
        SCHEMA.messages["Deep"] = deep
        self.addCleanup(SCHEMA.messages.pop, "Deep")
        body = b""
        for _ in range(15):
            body = bytes([0x0A]) + wire.varint(len(body)) + body
        wire.decode("Deep", body)
        with self.assertRaises(wire.Malformed):
            wire.decode("Deep", bytes([0x0A]) + wire.varint(len(body)) + body)

    def test_malformed_names_the_field(self):
        for message, body, field in [("Ping", "0a05", "data"), ("Sync", "0a00", "after_pos"), ("Ping", "7a01ff", "requires"), ("Ping", "00", None)]:
            with self.assertRaises(wire.Malformed) as caught:
                wire.decode(message, bytes.fromhex(body))
            self.assertEqual(caught.exception.field, field)


class Frames(unittest.TestCase):
    def test_every_split_gives_the_same_frames(self):
        data = frames.PREFACE + frames.encode("PING", {"data": b"x"}, ref=7) + frames.encode("ACK", {"pos": 9})
        whole = list(frames.Decoder().feed(data))
        for cut in range(len(data)):
            decoder = frames.Decoder()
            self.assertEqual([*decoder.feed(data[:cut]), *decoder.feed(data[cut:])], whole)

    def test_a_wrong_preface_is_told_at_the_first_byte(self):
        with self.assertRaises(frames.Violation) as caught:
            list(frames.Decoder().feed(b"G"))
        self.assertEqual(caught.exception.code, "BAD_PREFACE")

    def test_a_long_frame_is_told_by_its_header(self):
        with self.assertRaises(frames.Violation) as caught:
            list(frames.Decoder(preface=False).feed((8193).to_bytes(3, "big") + bytes(7)))
        self.assertEqual(caught.exception.detail, {"limit": 8192, "actual": 8193})

    def test_refs_wrap_around_and_skip_what_waits(self):
        link = Link(None, Grease(None))
        link._ref = 0xFFFFFFFE
        self.assertEqual([link.next_ref({1}), link.next_ref({1})], [0xFFFFFFFF, 2])

    def test_grease_stays_within_the_pattern(self):
        grease = Grease(3)
        for _ in range(200):
            self.assertEqual(grease.feature()[0] & 0x0F0F0F0F, 0x0A0A0A0A)
            number = int.from_bytes(grease.frame()[4:6], "big")
            self.assertEqual(number & 0x0F0F, 0x0A0A)
            self.assertNotIn(number, [frame["type"] for frame in FRAMES.values()])
            for found, _, _, _ in wire.records(grease.field()):
                self.assertGreaterEqual(found, 100_000)


class Negotiation(unittest.TestCase):
    def test_missing_features_keep_their_order(self):
        self.assertEqual(negotiate.features([1, 9], [1, 2], [9, 2, 9]), ({1}, [9, 2]))


if __name__ == "__main__":
    unittest.main()
