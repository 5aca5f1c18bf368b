"""ServerInit (5.4, 12.2)."""

from dataclasses import replace

from ..attack import fault, hooked
from ..encoding import u16, vector16
from ..messages import CLOSE_NOTIFY, CRITICAL, P256, X25519
from .client_init import GOOD, LOW_ORDER, UNKNOWN_EXTENSION, UNKNOWN_SUITE


def init(name, ask=(), **changes):
    hooked(f"ServerInit/{name}", "client", ask, init=lambda message: replace(message, **changes))


def raw(name, **fields):
    hooked(f"ServerInit/{name}", "client", init_fields=lambda found: {**found, **fields})


init("version 0", version=0)
init("version 2", version=2)
init("suite that was not offered", suite=P256, share=GOOD)
init("unknown suite", suite=UNKNOWN_SUITE)
init("suite 0", suite=0)
init("share of 31 bytes", share=bytes(range(31)))
init("share of 33 bytes", share=bytes(range(33)))
init("empty share", share=b"")
init("share of the other suite", share=GOOD)
for count, point in enumerate(LOW_ORDER):
    init(f"X25519 point of low order {count}", share=bytes.fromhex(point))
P256_CLIENT = {"suites": ["p256"]}
init("P-256 point off the curve", P256_CLIENT, share=GOOD[:64] + bytes([GOOD[64] ^ 1]))
init("P-256 point at infinity", P256_CLIENT, share=b"\0")
init("P-256 point compressed", P256_CLIENT, share=bytes([2 + GOOD[64] % 2]) + GOOD[1:33])
init("suite that the client has no share of", P256_CLIENT, suite=X25519, share=bytes(range(32)))
init("extension that was not offered", extensions=[(UNKNOWN_EXTENSION, b"")])
init("close_notify, which is not for here", extensions=[(CLOSE_NOTIFY, b"")])
init("unknown critical extension", extensions=[(UNKNOWN_EXTENSION | CRITICAL, b"")])
init("critical close_notify", extensions=[(CLOSE_NOTIFY | CRITICAL, b"")])
init("extensions descending", extensions=[(7, b""), (6, b"")])
init("extension twice", extensions=[(7, b"")] * 2)
init("extension and its critical twin", extensions=[(7, b""), (7 | CRITICAL, b"")])
raw("random of 31 bytes", random=bytes(31))
raw("share beyond the body", share=u16(500) + bytes(32))
raw("extension beyond its vector", extensions=vector16(u16(7) + u16(1)))
raw("half an extension", extensions=vector16(b"\0"))
hooked("ServerInit/byte left over", "client", init_body=lambda body: body + b"\0")
hooked("ServerInit/last byte missing", "client", init_body=lambda body: body[:-1])
hooked("ServerInit/empty body", "client", init_body=lambda _: b"")
init("version before extension", version=2, extensions=[(UNKNOWN_EXTENSION | CRITICAL, b"")])
init("extension before suite", suite=9, extensions=[(UNKNOWN_EXTENSION | CRITICAL, b"")])
init("suite before share", suite=9, share=bytes(32))
init("encoding before version", version=2, extensions=[(7, b""), (6, b"")])


@fault("ServerInit/changed on the way", ours="client")
def changed(attack):
    """The server goes on from what it sent, the client from what it got."""
    attack.begin()
    first, finished = attack.side.flight()
    # A byte of the random.
    first = first[:20] + bytes([first[20] ^ 1]) + first[21:]
    attack.send(first, finished)
    attack.side.secrets = attack.secrets_over(first)
