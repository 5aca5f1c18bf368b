"""Frames and their headers (4), and peers of other protocols."""

import struct

from ..attack import fault
from ..encoding import (
    ALERT,
    CLIENT_FINISHED,
    CLIENT_INIT,
    RECORD,
    SEALED_ALERT,
    SERVER_FINISHED,
    SERVER_INIT,
    frame,
)

FIRST = {"server": CLIENT_INIT, "client": SERVER_INIT}
LAST = {"server": CLIENT_FINISHED, "client": SERVER_FINISHED}


def head(length, kind):
    return struct.pack("<II", length, kind)


def first_header(name, header, **ours):
    """In place of the first frame: a header, and nothing behind it. `header` is a function of the type that is due."""

    @fault(f"frame/{name}", **ours)
    def commit(attack):
        attack.begin()
        attack.send(header(FIRST[attack.ours]))


def last_header(name, header):
    """In place of the Finished message."""

    @fault(f"frame/{name}")
    def commit(attack):
        attack.keyed()
        attack.send(header(LAST[attack.ours]))


first_header("length 0", lambda due: head(0, due))
first_header("length 3", lambda due: head(3, due))
first_header("length 3 of an unknown type", lambda _: head(3, 0x46))
first_header("longer than any", lambda due: head(32765, due))
first_header("longer than any, of an unknown type", lambda _: head(32765, RECORD))
first_header("longest length there is", lambda due: head(0xFFFF_FFFF, due))
first_header("longer than a ClientInit", lambda due: head(4093, due), ours="server")
first_header("ClientInit that is too long where none is due", lambda _: head(4093, CLIENT_INIT))
first_header("alert that is too long", lambda _: head(128, ALERT))
first_header("sealed alert that is too long", lambda _: head(144, SEALED_ALERT))
first_header("type with high bits", lambda due: head(100, 0x0100_0000 | due))
first_header("type with the next bit", lambda due: head(100, 0x100 | due))
first_header("reserved type", lambda _: head(100, 0x46))
first_header("Ticket first", lambda _: head(100, 0x45))
first_header("Ticket that is too long", lambda _: head(1557, 0x45))
first_header("record first", lambda _: head(100, RECORD))
first_header("ClientFinished first", lambda _: head(100, CLIENT_FINISHED))
first_header("ServerFinished first", lambda _: head(100, SERVER_FINISHED))
first_header("sealed alert first", lambda _: head(30, SEALED_ALERT))
first_header("ServerInit to a server", lambda _: head(100, SERVER_INIT), ours="server")

last_header("Finished of length 2", lambda due: head(2, due))
last_header("Finished that is too long", lambda due: head(32765, due))
last_header("sealed alert that is too long, later", lambda _: head(144, SEALED_ALERT))
last_header("clear alert that is too long, later", lambda _: head(128, ALERT))
last_header("reserved type, later", lambda _: head(100, 0x4D))
last_header("the peer's own kind of Finished", lambda due: head(100, 0x43 + 0x44 - due))


@fault("frame/clear Finished")
def clear_finished(attack):
    attack.keyed()
    attack.send(frame(LAST[attack.ours], bytes(512)))


@fault("foreign/HTTP2 preface", ours="server")
def http2_preface(attack):
    attack.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes.fromhex("000000040000000000"))


@fault("foreign/HTTP2 settings", ours="client")
def http2_settings(attack):
    attack.begin()
    attack.send(bytes.fromhex("00000604000000000000030000ffff"))


@fault("foreign/TLS ClientHello", ours="server")
def tls_hello(attack):
    attack.send(bytes.fromhex("1603010200010001fc0303") + bytes(32))


@fault("foreign/TLS ServerHello", ours="client")
def tls_server_hello(attack):
    attack.begin()
    attack.send(bytes.fromhex("160303007a020000760303") + bytes(32))


@fault("foreign/TLS alert")
def tls_alert(attack):
    attack.begin()
    attack.send(bytes.fromhex("15030300020246"), b"\0")


@fault("foreign/HTTP1", ours="server")
def http1(attack):
    attack.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


@fault("foreign/HTTP2 after the first frame", ours="server")
def http2_later(attack):
    attack.keyed()
    attack.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
