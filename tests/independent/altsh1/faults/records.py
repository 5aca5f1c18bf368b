"""Records (14): what is no record, what does not open, what comes in the wrong order, and how a direction ends."""

import struct

from ..attack import BOTH, fault
from ..encoding import RECORD
from ..messages import PLAIN, REKEY
from ..records import Direction
from .finished import flip


def record(name, make, ours=BOTH, ask=()):
    """`make` gives the bytes from the direction that we send in. A good record goes before them."""

    @fault(f"record/{name}", ours, ask)
    def commit(attack):
        records = attack.established()
        attack.send(records.sending.seal(b"good"))
        assert records.receiving.open(attack.wire.record()) == b"good"
        attack.send(make(records.sending))

    @fault(f"record/first: {name}", ours, ask)
    def commit_first(attack):
        attack.send(make(attack.established().sending))


def head(length, kind=RECORD):
    return struct.pack("<II", length, kind)


record("length 0", lambda _: head(0))
record("length 19", lambda _: head(19) + bytes(15))
record("length of 1 MiB and 1", lambda _: head((1 << 20) + 1))
record("longest length there is", lambda _: head(0xFFFF_FFFF))
record("type 7", lambda sending: sending.seal(b"a", 7))
record("type with high bits", lambda sending: sending.seal(b"a", 0x0100_0006))
record("type with the next bit", lambda sending: sending.seal(b"a", 0x106))
record("type in the other order of bytes", lambda sending: sending.seal(b"a", 0x0600_0000))
record("wrong length and type", lambda _: head(3, 9))
record("tag changed", lambda sending: flip(sending.seal(b"abc")))
record("ciphertext changed", lambda sending: flip(sending.seal(b"abc"), 8))
record("tag only, all zero", lambda _: head(20) + bytes(16))
record("empty record, tag changed", lambda sending: flip(sending.seal(b"")))
record("shortened by a byte", lambda sending: head(22) + sending.seal(b"abc")[8:-1])
record("lengthened by a byte", lambda sending: head(24) + sending.seal(b"abc")[8:] + b"\0")


def skipping(sending, count):
    sending.counter += count
    return sending.seal(b"a")


record("one left out", lambda sending: skipping(sending, 1))
record("an epoch left out", lambda sending: skipping(sending, 65536))
record("counter with high bits", lambda sending: skipping(sending, 1 << 40))


def other_way(sending):
    sending.last_byte ^= 0x80
    return sending.seal(b"a")


def with_protocol(sending, protocol, key_data):
    other = Direction(protocol, key_data, bool(sending.last_byte))
    other.counter = sending.counter
    return other.seal(b"a")


record("in the other direction", other_way)
record(
    "without the mask", lambda found: with_protocol(found, REKEY, found.key_data[:32] + bytes(12))
)
record("of the plain protocol", lambda found: with_protocol(found, PLAIN, found.key_data[:16]))


def with_data(sending):
    """As if the header were authenticated: it is not, in ALTS."""
    aead, nonce = sending.next()
    return head(21) + aead.encrypt(nonce, b"a", head(21))


record("with the header as associated data", with_data)


@fault("record/replayed")
def replayed(attack):
    records = attack.established()
    attack.send(records.sending.seal(b"again") * 2)
    assert records.receiving.open(attack.wire.record()) == b"again"


@fault("record/swapped")
def swapped(attack):
    sending = attack.established().sending
    first, second = sending.seal(b"1"), sending.seal(b"2")
    attack.send(second, first)


@fault("record/reflected")
def reflected(attack):
    records = attack.established()
    attack.send(records.sending.seal(b"good"))
    whole = attack.wire.record()
    attack.send(whole)


@fault("record/the old key after 65,536 records", ask={"close_notify": False})
def old_key(attack):
    """The receiver has to change keys even if the sender does not."""
    sending = attack.established().sending
    attack.send(*(sending.seal(b"") for _ in range(65536)))
    _, nonce = sending.next()
    sending.counter -= 1
    old, _ = Direction(REKEY, sending.key_data, bool(sending.last_byte)).next()
    attack.send(head(21) + old.encrypt(nonce, b"a", None))


@fault("record/the next key one record early", ask={"close_notify": False})
def early_key(attack):
    sending = attack.established().sending
    attack.send(*(sending.seal(b"") for _ in range(65535)))
    _, nonce = sending.next()
    new, _ = sending.next()
    attack.send(head(21) + new.encrypt(nonce, b"a", None))


# Ends.


def end(name, make, ask=()):
    @fault(f"end/{name}", ask=ask)
    def commit(attack):
        records = attack.established()
        attack.send(make(records))


WITHOUT = {"close_notify": False}
end("record behind close_notify", lambda found: found.sending.seal(b"") + found.sending.seal(b"a"))
end("close_notify twice", lambda found: found.sending.seal(b"") + found.sending.seal(b""))
end("byte behind close_notify", lambda found: found.sending.seal(b"") + b"\0")
end("no close_notify", lambda found: b"")
end("no close_notify after a record", lambda found: found.sending.seal(b"a"))
end("inside a header", lambda found: found.sending.seal(b"a")[:7])
end("behind a header", lambda found: found.sending.seal(b"a")[:8])
end("inside a record", lambda found: found.sending.seal(b"abc")[:-1])
end("inside a record of 1 MiB", lambda found: head(1 << 20) + bytes(5000))
end("inside a header, not negotiated", lambda found: found.sending.seal(b"a")[:1], WITHOUT)
end("inside a record, not negotiated", lambda found: found.sending.seal(b"abc")[:-1], WITHOUT)
