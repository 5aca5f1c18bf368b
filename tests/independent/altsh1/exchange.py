"""What is done with a connection whose handshake has succeeded."""

import os

from .records import OVERHEAD

# Records enough for a second key.
REKEYS = 65536 + 1000


class Mismatch(Exception):
    """What was not as it has to be."""


def same(what, found, wanted):
    if found != wanted:
        raise Mismatch(f"{what}: {found!r} instead of {wanted!r}")


def read_payloads(attack, count):
    """So many bytes of payload, and the sizes of the records on the wire."""
    payload, sizes = [], []
    while count > 0:
        record = attack.wire.record()
        if record is None:
            raise Mismatch(f"the stream ends with {count} bytes missing")
        opened = attack.side.records.receiving.open(record)
        payload.append(opened)
        sizes.append(len(record))
        count -= len(opened)
    return b"".join(payload), sizes


def finish(attack):
    """Ends our direction and waits for the end of the other."""
    side = attack.side
    if side.close_notify:
        attack.send(side.records.sending.seal(b""))
        same("the peer's end", side.records.receiving.open(attack.wire.record()), b"")
    else:
        attack.wire.end()
    same("what is left", attack.wire.rest(), b"")


def exchange(attack, *payloads, pieces=None):
    """Sends each as a record and reads the same bytes back. `pieces` cuts what is sent into its writes."""
    sealed = b"".join(attack.side.records.sending.seal(payload) for payload in payloads)
    for piece in pieces(sealed) if pieces else [sealed]:
        attack.send(piece)
    content = b"".join(payloads)
    echoed, sizes = read_payloads(attack, len(content))
    same("the echo", echoed == content, True)
    return sizes


def echo(attack):
    exchange(attack, b"hello")
    exchange(attack, os.urandom(3000))
    finish(attack)


def one_by_one(sealed):
    return [sealed[at : at + 1] for at in range(len(sealed))]


def odd_sizes(attack):
    sizes = [1, 2, 15, 16, 17, 255, 256, 4071, 4072, 4073, 16360, 16361, 33000, 65536, 0x316]
    exchange(attack, *(os.urandom(size) for size in sizes))
    # The largest that has to be taken: a length of 1,048,576.
    exchange(attack, os.urandom((1 << 20) - 20))
    finish(attack)


def split_everywhere(attack):
    """Each record in two writes, cut at every byte; and one in single bytes."""
    payload = os.urandom(40)
    for at in range(1, 64):
        exchange(attack, payload, pieces=lambda sealed, at=at: [sealed[:at], sealed[at:]])
    exchange(attack, payload, payload, pieces=one_by_one)
    finish(attack)


def empty_ones(attack):
    """Skipped, where they are not the end."""
    for _ in range(3):
        exchange(attack, *([b""] * 10_000), b"between", b"", b"", b"more")
    finish(attack)


def received_rekeys(attack):
    """Our side opens many."""
    sending = attack.side.records.sending
    left = REKEYS
    while left:
        count = min(left, 8192)
        exchange(attack, *(b"k" for _ in range(count)))
        left -= count
    same("the counter", sending.counter, REKEYS)
    finish(attack)


def sent_rekeys(attack):
    """Our side seals many, one for each write."""
    _, sizes = read_payloads(attack, REKEYS)
    same("the number of records", len(sizes), REKEYS)
    echo(attack)


def plain_both(attack):
    _, sizes = read_payloads(attack, 65636)
    same("the number of records", len(sizes), 65636)
    exchange(attack, *(b"k" for _ in range(65636)))
    finish(attack)


def largest(wanted):
    def work(attack):
        total = 3 * wanted
        _, sizes = read_payloads(attack, total)
        same("the largest record", max(sizes), wanted)
        # All of it fits one batch, unless records are large.
        if total <= 3 * 16384:
            full = total // (wanted - OVERHEAD)
            same("all but the last are as large", sizes[:full], [wanted] * full)
        echo(attack)

    return work


def states(size):
    def work(attack):
        side = attack.side
        stated = side.params if attack.ours == "server" else side.init
        same("the size that is stated", stated.max_frame_size, size)
        echo(attack)

    return work
