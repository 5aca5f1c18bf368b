"""ClientInit (5.1), its choices (11), and the order in which a server looks at it (12.1)."""

from dataclasses import replace

from ..attack import hooked
from ..encoding import u8, u16, vector8, vector16
from ..keys import Share
from ..messages import CLOSE_NOTIFY, CRITICAL, ED25519, P256, REKEY, SCHEMES, X25519

UNKNOWN_SUITE = 0xFF00
UNKNOWN_EXTENSION = 0x7F00
# Orders 1, 2, 4 and 8; then the same again, not reduced.
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def init(name, **changes):
    """A ClientInit with other values."""
    hooked(f"ClientInit/{name}", "server", init=lambda message: replace(message, **changes))


def raw(name, **fields):
    """A ClientInit with other bytes for a field."""
    hooked(f"ClientInit/{name}", "server", init_fields=lambda found: {**found, **fields})


def shares(name, suites, offered):
    init(name, suites=suites, shares=offered)


def share(name, key, suite=X25519):
    init(name, suites=[suite], shares=[(suite, key)])


hooked("ClientInit/to a server without an identity", "server", {"identity": None})
hooked(
    "ClientInit/malformed, to a server without an identity",
    "server",
    {"identity": None},
    init_fields=lambda found: {**found, "versions": vector8(b"")},
)

init("no version", versions=[])
init("nine versions", versions=list(range(1, 10)))
init("version twice", versions=[1, 1])
init("unknown version twice", versions=[1, 7, 7])
init("nine versions, one of them twice", versions=[1, *range(1, 9)])
init("nine names, one of them twice", app_protocols=["grpc", "grpc", *"abcdefg"])
init("name twice before a name with a space", record_protocols=[REKEY, REKEY, "a b"])
init(
    "extension and its twin before the order", extensions=[(5, b""), (5 | CRITICAL, b""), (1, b"")]
)
init("other versions only", versions=[0, 2, 0xFF00])
raw("versions of 3 bytes", versions=vector8(b"\0\1\0"))
raw("versions of 1 byte", versions=vector8(b"\1"))
raw("versions beyond the body", versions=u8(255) + u16(1))
raw("random of 31 bytes", random=bytes(31))
raw("random of 33 bytes", random=bytes(33))

init("no suite", suites=[])
init("nine suites", suites=[X25519, *range(0xFF00, 0xFF08)])
init("suite twice", suites=[X25519, X25519])
raw("suites of 5 bytes", suites=vector8(b"\0\1\0\2\0"))
init("no share", shares=[])
init(
    "three shares",
    suites=[X25519, 0xFF00, 0xFF01],
    shares=[(X25519, bytes(32)), (0xFF00, b"a"), (0xFF01, b"b")],
)
shares("share twice", [X25519], [(X25519, bytes(32))] * 2)
shares("share of a suite that is not offered", [X25519], [(P256, Share(P256).public)])
shares(
    "shares in another order",
    [X25519, P256],
    [(P256, Share(P256).public), (X25519, Share(X25519).public)],
)
shares("unknown suite only", [UNKNOWN_SUITE], [(UNKNOWN_SUITE, b"key")])
shares("share of the unknown suite only", [X25519, UNKNOWN_SUITE], [(UNKNOWN_SUITE, b"key")])
shares("reserved hybrid suite", [0x0011], [(0x0011, bytes(1216))])
raw("share beyond the vector", shares=vector16(u16(X25519) + u16(33) + bytes(32)))
raw("shares with a byte left over", shares=vector16(u16(X25519) + vector16(bytes(32)) + b"\0"))

share("share of 31 bytes", Share(X25519).public[:31])
share("share of 33 bytes", Share(X25519).public + b"\0")
share("empty share", b"")
for count, point in enumerate(LOW_ORDER):
    share(f"X25519 point of low order {count}", bytes.fromhex(point))
GOOD = Share(P256).public
share("P-256 point off the curve", GOOD[:64] + bytes([GOOD[64] ^ 1]), P256)
share("P-256 point at infinity", b"\0", P256)
share("P-256 point of zeros", b"\4" + bytes(64), P256)
share("P-256 point compressed", bytes([2 + GOOD[64] % 2]) + GOOD[1:33], P256)
share("P-256 point hybrid", bytes([6 + GOOD[64] % 2]) + GOOD[1:], P256)
share("P-256 point without its first byte", GOOD[1:], P256)
share("P-256 coordinate not reduced", b"\4" + b"\xff" * 32 + GOOD[33:], P256)
share("X25519 key for P-256", Share(X25519).public, P256)

init(
    "shares against suites before what follows",
    suites=[X25519],
    shares=[(P256, Share(P256).public)],
    sig_algs=[],
)
init("duplicate before what follows", suites=[X25519, X25519], app_protocols=[""])
init("no signature scheme", sig_algs=[])
init("nine signature schemes", sig_algs=[*SCHEMES, 1, 2, 3, 4, 5])
init("signature scheme twice", sig_algs=[*SCHEMES, ED25519])
init("schemes that the server's key does not have", sig_algs=[ED25519])

init("no record protocol", record_protocols=[])
init("nine record protocols", record_protocols=[REKEY, *"abcdefgh"])
init("record protocol twice", record_protocols=[REKEY, REKEY])
init("unknown record protocol twice", record_protocols=["x", "x", REKEY])
init("unknown record protocol", record_protocols=["ALTSRP_CHACHA"])
init("record protocol without confidentiality", record_protocols=["ALTSRP_GMAC_128"])
init("plain record protocol, not configured", record_protocols=["ALTSRP_GCM_AES128"])
init("record protocol in other letters", record_protocols=[REKEY.lower()])
init("empty name", record_protocols=[REKEY, ""])
init("name of 65 bytes", record_protocols=[REKEY, "a" * 65])
init("name with a space", record_protocols=[REKEY, "a b"])
init("name with a delete character", record_protocols=[REKEY, "a\x7f"])
init("name that is not ASCII", record_protocols=[REKEY, b"\xc3\xa4"])
raw("name beyond its vector", record_protocols=vector16(u8(24) + REKEY.encode()))

init("no application protocol", app_protocols=[])
init("five application protocols", app_protocols=["grpc", *"abcd"])
init("application protocol twice", app_protocols=["grpc", "grpc"])
init("unknown application protocol", app_protocols=["smtp"])
init("application protocol with a zero byte", app_protocols=["grpc", "a\0"])

init("RPC versions below", rpc_versions=(1, 9, 1, 0))
init("RPC versions above", rpc_versions=(9, 9, 2, 2))
init("RPC versions of a lower minor", rpc_versions=(2, 0, 1, 0))
init("RPC versions the wrong way round", rpc_versions=(2, 0, 2, 2))

init("extensions descending", extensions=[(UNKNOWN_EXTENSION, b""), (CLOSE_NOTIFY, b"")])
init("extension twice", extensions=[(CLOSE_NOTIFY, b"")] * 2)
init("unknown extension twice", extensions=[(UNKNOWN_EXTENSION, b"")] * 2)
init("extension and its critical twin", extensions=[(5, b""), (5 | CRITICAL, b"")])
init("unknown critical extension", extensions=[(UNKNOWN_EXTENSION | CRITICAL, b"x")])
init("critical close_notify", extensions=[(CLOSE_NOTIFY | CRITICAL, b"")])
init("close_notify and its critical twin", extensions=[(1, b""), (1 | CRITICAL, b"")])
init("close_notify with data", extensions=[(CLOSE_NOTIFY, b"\0")])
raw("extension beyond its vector", extensions=vector16(u16(CLOSE_NOTIFY) + u16(1)))
raw("extensions beyond the body", extensions=u16(5) + u16(CLOSE_NOTIFY) + u16(0))
raw("half an extension", extensions=vector16(u16(CLOSE_NOTIFY) + b"\0"))

hooked("ClientInit/byte left over", "server", init_body=lambda body: body + b"\0")
hooked("ClientInit/last byte missing", "server", init_body=lambda body: body[:-1])
hooked("ClientInit/empty body", "server", init_body=lambda _: b"")
hooked(
    "ClientInit/full of zeros, as long as may be",
    "server",
    init_body=lambda body: body + bytes(4088 - len(body)),
)

# Each has two faults, neighbors in the order of 12.1: the first has to be told.
BAD = {
    "version": {"versions": [2]},
    "critical extension": {"extensions": [(UNKNOWN_EXTENSION | CRITICAL, b"")]},
    "suite": {"suites": [UNKNOWN_SUITE], "shares": [(UNKNOWN_SUITE, b"key")]},
    "record protocol": {"record_protocols": ["other"]},
    "application protocol": {"app_protocols": ["other"]},
    "RPC versions": {"rpc_versions": (1, 0, 1, 0)},
    "signature scheme": {"sig_algs": [ED25519]},
    "key share": {"shares": [(X25519, bytes(32))]},
}
for first, second in zip(list(BAD), list(BAD)[1:]):
    init(f"{first} before {second}", **{**BAD[second], **BAD[first]})
init("duplicate before version", **{**BAD["version"], "app_protocols": ["grpc", "grpc"]})
