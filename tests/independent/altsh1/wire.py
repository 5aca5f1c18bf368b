"""A blocking socket that gives frames, and alerts (13)."""

import socket
import struct

from .encoding import (
    ALERT,
    LONGEST,
    Reader,
    Refused,
    SEALED_ALERT,
    check_header,
    frame,
    u16,
    vector8,
)

CODES = [
    "handshake_failure",
    "unexpected_message",
    "decode_error",
    "unsupported_version",
    "no_common_suite",
    "no_common_record_protocol",
    "no_common_app_protocol",
    "bad_certificate",
    "certificate_expired",
    "certificate_revoked",
    "unknown_trust_domain",
    "access_denied",
    "decrypt_error",
    "too_large",
    "timeout",
    "overloaded",
    "internal",
    "illegal_parameter",
    "unsupported_extension",
    "rpc_version_mismatch",
    "no_identity",
]

# Nothing here waits for this long unless something is broken.
PATIENCE = 20


class Alerted(Exception):
    """The peer ended the handshake and said why."""

    def __init__(self, code, reason, sealed):
        super().__init__(f"{'sealed' if sealed else 'clear'} {code}")
        self.code = code
        self.reason = reason
        self.sealed = sealed


class Ended(Exception):
    """The peer's bytes end where more were due."""


def alert_body(code, reason=b""):
    number = CODES.index(code) if isinstance(code, str) else code
    return u16(number) + vector8(reason)


def alert_frame(code, reason=b""):
    return frame(ALERT, alert_body(code, reason))


def read_alert(body, sealed):
    reader = Reader(body)
    number = reader.u16()
    reason = reader.vector8()
    reader.end()
    if len(reason) > 120 or not reason.isascii():
        raise Refused("decode_error", "an alert's reason")
    if number >= len(CODES) or (not sealed and 7 <= number <= 11):
        number = 0
    return Alerted(CODES[number], reason, sealed)


class Wire:
    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        # Whether each byte is a write by itself.
        self.one_by_one = False

    def send(self, *parts):
        content = b"".join(parts)
        step = 1 if self.one_by_one else len(content)
        for at in range(0, len(content), step or 1):
            self.socket.sendall(content[at : at + step])

    def end(self):
        """No more bytes from this side."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def more(self):
        try:
            received = self.socket.recv(1 << 18)
        except ConnectionResetError:
            received = b""
        self.buffer += received
        return bool(received)

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise Ended(f"{len(self.buffer)} bytes of {count}")
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def frame(self, due):
        """The type, and the whole frame."""
        head = self.exactly(8)
        kind, length = check_header(head, due)
        return kind, head + self.exactly(length)

    def record(self):
        """A record with its header, or None at the end."""
        if not self.buffer and not self.more():
            return None
        head = self.exactly(8)
        length, kind = struct.unpack("<II", head)
        if kind != 6 or not 20 <= length <= 1 << 20:
            raise Refused("decode_error", f"no record: type {kind:#x}, length {length}")
        return head + self.exactly(length - 4)

    def rest(self):
        """All until the peer ends."""
        while self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken


def heard(rest, keys):
    """What the bytes at a connection's end say, in words. `keys`: the peer's, if there are any yet."""
    if not rest:
        return "none"
    try:
        kind, length = check_header(rest[:8], LONGEST)
        body = rest[8 : 8 + length]
        if len(rest) != 8 + length:
            return f"more than an alert: {rest[:40].hex()}"
        if kind == ALERT:
            alert = read_alert(body, False)
        elif kind == SEALED_ALERT and keys:
            alert = read_alert(keys.open_alert(kind, body), True)
        else:
            return f"a frame of type {kind:#x}"
    except (Refused, struct.error) as error:
        return f"no alert: {error}"
    return told(alert)


def told(alert):
    return str(alert) + (f" {alert.reason!r}" if alert.reason else "")
