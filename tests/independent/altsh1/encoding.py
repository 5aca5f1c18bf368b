"""Integers, vectors and frames (2, 4)."""

import struct


class Refused(Exception):
    """What this side finds wrong with the peer: the name of an alert code, and words for people."""

    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def u8(number):
    return struct.pack(">B", number)


def u16(number):
    return struct.pack(">H", number)


def u32(number):
    return struct.pack(">I", number)


def vector8(content):
    return u8(len(content)) + content


def vector16(content):
    return u16(len(content)) + content


class Reader:
    """Reads exactly what is there; everything else is a decode_error."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if len(self.data) - self.at < count:
            raise Refused("decode_error", "the field ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def vector8(self):
        return self.take(self.u8())

    def vector16(self):
        return self.take(self.u16())

    def done(self):
        return self.at == len(self.data)

    def end(self):
        if not self.done():
            raise Refused("decode_error", "bytes are left over")


CLIENT_INIT = 0x41
SERVER_INIT = 0x42
SERVER_FINISHED = 0x43
CLIENT_FINISHED = 0x44
SEALED_ALERT = 0x4E
ALERT = 0x4F
RECORD = 6

# The longest frame of each type, header included.
LONGEST = {
    CLIENT_INIT: 4096,
    SERVER_INIT: 32768,
    SERVER_FINISHED: 32768,
    CLIENT_FINISHED: 32768,
    SEALED_ALERT: 147,
    ALERT: 131,
}


def header(kind, body_length):
    return struct.pack("<II", 4 + body_length, kind)


def frame(kind, body):
    return header(kind, len(body)) + body


def check_header(head, due):
    """Judges the first 8 bytes of a frame (4). Returns its type and the length of its body."""
    length, kind = struct.unpack("<II", head)
    if length < 4:
        raise Refused("decode_error", "a frame length below 4")
    if length > 32764:
        raise Refused("too_large", "a frame beyond the limit")
    if kind not in LONGEST:
        raise Refused("unexpected_message", f"no frame type {kind:#x}")
    if 4 + length > LONGEST[kind]:
        raise Refused("too_large", f"a frame of type {kind:#x} beyond its limit")
    if kind not in due:
        raise Refused("unexpected_message", f"a frame of type {kind:#x} is not due")
    return kind, length - 4
