"""Alerts (13): in each state, well formed and not, late ones."""

from ..attack import fault
from ..encoding import ALERT, SEALED_ALERT, frame, u16, u8
from ..wire import alert_body, alert_frame
from .finished import flip

LONG = b"r" * 120


def early(name, *frames):
    """In place of the first message."""

    @fault(f"alert/first: {name}")
    def commit(attack):
        attack.begin()
        attack.send(*frames)


early("clear", alert_frame("no_common_suite"))
early("clear with a reason", alert_frame("timeout", b"too late"))
early("clear with the longest reason", alert_frame("timeout", LONG))
early("clear with control characters", alert_frame("internal", b"a\r\n\x1b[31mb\0"))
early("clear with a reason that is not ASCII", alert_frame("internal", "ä".encode()))
early("clear, about access", alert_frame("access_denied"))
early("clear, about a certificate", alert_frame("certificate_revoked"))
early("clear, of a side without an identity", alert_frame("no_identity"))
early("clear, of an unknown code", alert_frame(21))
early("clear, of the highest code", alert_frame(0xFFFF))
early("clear, empty", frame(ALERT, b""))
early("clear, one byte", frame(ALERT, b"\0"))
early("clear, without a reason's length", frame(ALERT, u16(4)))
early("clear, with a byte left over", frame(ALERT, alert_body("internal") + b"\0"))
early("clear, reason beyond the frame", frame(ALERT, u16(4) + u8(9) + b"short"))
early("clear, twice", alert_frame("timeout"), alert_frame("internal"))


def later(name, make):
    """In place of the Finished message. `make` gives the bytes."""

    @fault(f"alert/second: {name}")
    def commit(attack):
        attack.keyed()
        attack.send(make(attack.side))


def sealed(body, keys="own_keys", change=lambda whole: whole):
    return lambda side: change(getattr(side, keys)().seal_alert(SEALED_ALERT, body))


later("clear", lambda _: alert_frame("no_common_suite"))
later("clear, about access", lambda _: alert_frame("access_denied"))
later("clear, malformed", lambda _: frame(ALERT, b"\0"))
later("sealed", sealed(alert_body("internal")))
later("sealed, about access", sealed(alert_body("access_denied")))
later("sealed, about a certificate", sealed(alert_body("certificate_expired", b"renew it")))
later("sealed, of an unknown code", sealed(alert_body(999)))
later("sealed with the longest reason", sealed(alert_body("internal", LONG)))
later("sealed, malformed", sealed(b"\0"))
later("sealed, with a byte left over", sealed(alert_body("internal") + b"\0"))
later("sealed, reason that is not ASCII", sealed(alert_body("internal", b"\x80")))
later("sealed, tag changed", sealed(alert_body("internal"), change=flip))
later("sealed with the peer's keys", sealed(alert_body("internal"), "peer_keys"))
later(
    "sealed with the message's keys",
    lambda side: side.own_keys().seal(SEALED_ALERT, alert_body(16)),
)
later("sealed type, clear body", lambda _: frame(SEALED_ALERT, alert_body("internal")))
later("sealed type, empty body", lambda _: frame(SEALED_ALERT, b""))
later("sealed body, clear type", lambda side: side.own_keys().seal_alert(ALERT, alert_body(16)))


@fault("alert/second: clear, then sealed")
def clear_then_sealed(attack):
    attack.keyed()
    attack.send(alert_frame("timeout"), attack.side.alert("internal"))


@fault("alert/second: alert, then the Finished that was due")
def alert_then_finished(attack):
    attack.keyed()
    attack.send(attack.side.alert("overloaded"), attack.finished_frame())


# Where the first record may be. Only a client takes a server's.


def late(name, make, ours=("client", "server")):
    @fault(f"alert/late: {name}", ours)
    def commit(attack):
        attack.established()
        attack.send(make(attack.side))


def code(name, reason=b""):
    return sealed(alert_body(name, reason))


late("sealed", code("access_denied"))
late("sealed, with a reason", code("certificate_revoked", b"see the list"))
late("sealed with the longest reason", code("internal", LONG))
late("sealed, of an unknown code", sealed(alert_body(4242)))
late("sealed, malformed", sealed(b"\0"))
late("sealed, tag changed", sealed(alert_body("access_denied"), change=flip))
late("sealed with the peer's keys", sealed(alert_body("access_denied"), "peer_keys"))
late(
    "sealed with the message's keys",
    lambda side: side.own_keys().seal(SEALED_ALERT, alert_body(11)),
)
late("sealed as a record", lambda side: side.records.sending.seal(alert_body(11), SEALED_ALERT))
late("clear", lambda _: alert_frame("internal"))
late("clear with the longest reason", lambda _: alert_frame("internal", LONG))
late("too long", lambda side: side.own_keys().seal_alert(SEALED_ALERT, bytes(124)))
late("cut by the end of the stream", lambda side: side.alert("access_denied")[:-1])
late("its header cut by the end of the stream", lambda side: side.alert("access_denied")[:7])
late("twice", lambda side: side.alert("access_denied") * 2)


@fault("alert/late: behind the first record")
def behind_a_record(attack):
    records = attack.established()
    attack.send(records.sending.seal(b"first"))
    # The echo shows that our side has opened it.
    records.receiving.open(attack.wire.record())
    attack.send(attack.side.alert("access_denied"))


@fault("alert/late: behind the first record, in the same write")
def with_a_record(attack):
    records = attack.established()
    attack.send(records.sending.seal(b"first"), attack.side.alert("access_denied"))
    records.receiving.open(attack.wire.record())
