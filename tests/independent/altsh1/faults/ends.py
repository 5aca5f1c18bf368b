"""The stream ends, or nothing comes, in the handshake."""

import struct
import socket

from ..attack import fault


@fault("end/before the first byte")
def before(attack):
    attack.begin()


def first_cut(name, count):
    @fault(f"end/{name}")
    def commit(attack):
        side = attack.begin().side
        whole = side.init_frame()
        attack.send(whole[: count if count > 0 else len(whole) + count])


first_cut("after the first byte", 1)
first_cut("inside the first header", 7)
first_cut("behind the first header", 8)
first_cut("inside the first message", -1)


@fault("end/before Finished")
def before_finished(attack):
    attack.keyed()


def last_cut(name, count):
    @fault(f"end/{name}")
    def commit(attack):
        attack.keyed()
        whole = attack.finished_frame()
        attack.send(whole[: count if count > 0 else len(whole) + count])


last_cut("inside Finished's header", 5)
last_cut("inside Finished", -1)


@fault("end/reset before Finished")
def reset(attack):
    attack.keyed()
    attack.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    attack.gone = True


SHORT = {"deadline_ms": 50}
# Long enough for the first two messages, whatever else the machine does.
LONGER = {"deadline_ms": 600}


@fault("silence/before the first byte", ask=SHORT)
def silent(attack):
    attack.begin()
    attack.stays_open = True


@fault("silence/inside the first message", ask=SHORT)
def silent_inside(attack):
    side = attack.begin().side
    attack.send(side.init_frame()[:-1])
    attack.stays_open = True


@fault("silence/before Finished", ask=LONGER)
def silent_before_finished(attack):
    attack.keyed()
    attack.stays_open = True


@fault("crowd/no place", "server", {"occupied": True})
def crowd(attack):
    # Only a client that has spoken asks for a place.
    side = attack.begin().side
    attack.send(side.init_frame())
