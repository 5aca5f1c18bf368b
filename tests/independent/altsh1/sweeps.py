"""Many small changes of good messages. This implementation says what is right: both have to come to the same verdict.

Also streams that end after each byte, and keys and names that both sides have to derive alike.
"""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .attack import Attack
from .certificates import Identity, certificate
from .encoding import CLIENT_INIT, RECORD, SERVER_INIT, Refused, check_header, frame
from .messages import P256, PLAIN, REKEY, X25519
from .peer import Broken
from .schedule import Transcript
from .side import Client, Server
from .wire import Alerted, Ended, heard

ACCEPTED = "accepted"


class Given:
    """In place of a wire: one frame that has arrived."""

    def __init__(self, whole):
        self.whole = whole

    def frame(self, due):
        kind, _ = check_header(self.whole[:8], due)
        return kind, self.whole


def verdict(check):
    """The alert that a check leads to."""
    try:
        check()
    except Refused as error:
        return error.code
    return ACCEPTED


def changes(data, positions, with_lengths=True):
    """The data with other values of a byte, without it, and with one more, for each position."""
    for at in positions:
        found = data[at]
        for value in sorted({found ^ 1, found ^ 0x80, 0, 0xFF, (found + 1) & 0xFF} - {found}):
            yield f"byte {at} is {value:#04x}", data[:at] + bytes([value]) + data[at + 1 :]
        if with_lengths:
            yield f"byte {at} is missing", data[:at] + data[at + 1 :]
            yield f"byte {at} twice", data[: at + 1] + data[at:]
            yield f"cut at {at}", data[:at]


def answered(attack):
    """Our side's verdict, which is an alert or nothing."""
    attack.wire.end()
    said = heard(attack.wire.rest(), attack.side.peer_keys())
    attack.wire.close()
    attack.connection.outcome()
    return said


def compare(report, kind, name, ours, theirs):
    report.note(kind, name, None if ours == theirs else f"ours says {ours}, and it is {theirs}")


# ClientInit and ServerInit.


def client_inits(world, peer, report):
    both = {"suites": [X25519, P256]}
    good = Client(None, world.theirs, {}, **both).init_frame()[8:]
    # The shares and the random are of no interest: each byte of them changes as the one before.
    dull = {*range(5, 34), *range(50, 70), *range(86, 146)}
    for name, body in changes(good, [at for at in range(len(good)) if at not in dull]):
        whole = frame(CLIENT_INIT, body)
        server = Server(Given(whole), world.our_identity(), {})
        expected = verdict(server.receive_init)
        attack = Attack(world, peer, "server", {}, {})
        attack.send(whole)
        kind = attack.wire.frame({SERVER_INIT, 0x4F})[0] if expected == ACCEPTED else None
        if kind == SERVER_INIT:
            attack.wire.close()
            attack.connection.outcome()
            ours = ACCEPTED
        else:
            ours = answered(attack).removeprefix("clear ")
        compare(report, "sweep", f"sweep: ClientInit, {name}", ours, expected)


def server_inits(world, peer, report):
    base = Attack(world, peer, "client", {}, {}).begin()
    length = len(base.side.init_frame()) - 8
    base.wire.close()
    base.connection.outcome()
    positions = [*range(0, 4), *range(33, 42), *range(length - 3, length)]
    for number in range(sum(1 for _ in changes(bytes(length), positions)) * 2):
        attack = Attack(world, peer, "client", {}, {}).begin()
        body = attack.side.init_frame()[8:]
        found = list(changes(body, positions))
        if number >= len(found):
            attack.wire.close()
            attack.connection.outcome()
            break
        name, changed = found[number]
        whole = frame(SERVER_INIT, changed)
        client = Client(Given(whole), world.our_identity(), {})
        # As our client has offered, with a key of its own: only whether the two can agree is asked.
        client.transcript = Transcript(attack.side.client_init)
        expected = verdict(client.receive_init)
        attack.send(whole)
        said = answered(attack)
        ours = ACCEPTED if said == "none" else said.removeprefix("clear ")
        compare(report, "sweep", f"sweep: ServerInit, {name}", ours, expected)


# Finished: each change is signed for.


def checked(attack, whole):
    """What this implementation says in our side's place."""
    side = attack.side
    if attack.ours == "server":
        other = Server(Given(whole), world_identity(attack), side.bundles)
        other.offered_params = side.params
    else:
        other = Client(Given(whole), world_identity(attack), side.bundles)
        other.init = side.init
    other.secrets = side.secrets
    other.transcript = Transcript(attack.before)
    return verdict(other.receive_finished)


def world_identity(attack):
    return attack.world.our_identity()


def finished(world, peer, report, role, step, choose):
    """Changes what a hook gets. `choose` gives the positions in it."""
    number = 0
    while True:
        attack = Attack(world, peer, role, {}, {})
        side = attack.side
        found = []

        def change(value):
            found.extend(changes(value, choose(value, side)))
            return found[number][1] if number < len(found) else value

        side.hooks = {step: change}
        if role == "server":
            attack.keyed()
            attack.before = side.transcript.content
            whole = attack.finished_frame()
            attack.send(whole)
        else:
            attack.begin()
            first = side.init_frame()
            side.hooks = {**side.hooks, "init_frame": lambda _: first}
            attack.before = side.client_init + first
            first, whole = side.flight()
            attack.send(first, whole)
        if number >= len(found):
            attack.wire.close()
            attack.connection.outcome()
            return
        expected = checked(attack, whole)
        ours = finished_verdict(attack)
        name = f"sweep: our {role}, Finished's {step}, {found[number][0]}"
        compare(report, "sweep", name, ours, expected)
        number += 1


def finished_verdict(attack):
    if attack.ours == "server":
        said = answered(attack)
        return ACCEPTED if said == "none" else said.removeprefix("sealed ")
    # A client that accepts says so with its own Finished message.
    attack.wire.end()
    try:
        attack.side.receive(0x44)
        said = ACCEPTED
    except Alerted as alert:
        said = alert.code
    except (Ended, Refused) as error:
        said = repr(error)
    attack.wire.close()
    attack.connection.outcome()
    return said


def statement_positions(text, side):
    """All but the certificate, of which the first bytes and the last have to do."""
    start = text.index(side.identity.chain[0])
    end = start + len(side.identity.chain[0])
    return [*range(start), start, start + 1, end - 1, *range(end, len(text))]


def plaintext_positions(text, side):
    """What is behind the chain: lengths, a byte of signature, MAC and padding each, and the end."""
    chain = side.identity.chain[0]
    at = text.index(chain) + len(chain)
    length = int.from_bytes(text[at + 2 : at + 4], "big")
    mac = at + 4 + length
    wanted = [*range(at, at + 5), mac - 1, mac, *range(mac + 31, mac + 35), len(text) - 1]
    # There may be no padding at all.
    return sorted({position for position in wanted if position < len(text)})


# Leaves: each change of what is in one is signed by the authority.

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def leaves(world, peer, report):
    good = x509.load_der_x509_certificate(world.theirs.chain[0])
    contents = good.tbs_certificate_bytes
    # What is in the subject and in the key is not looked at before the signature is verified.
    subject, key = good.subject.public_bytes(), good.public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint
    )
    dull = set()
    for part in (subject[2:], b"\0" + key):
        start = contents.index(part)
        dull |= {*range(start, start + len(part))}
    for at in sorted({*range(len(contents))} - dull):
        for bit in (0x02, 0x20):
            changed = contents[:at] + bytes([contents[at] ^ bit]) + contents[at + 1 :]
            leaf = certificate(changed, ECDSA_SHA256, world.root.key)
            identity = Identity([leaf], world.theirs.key)
            attack = Attack(world, peer, "server", {}, {"identity": identity})
            attack.keyed()
            attack.before = attack.side.transcript.content
            whole = attack.finished_frame()
            attack.send(whole)
            expected = checked(attack, whole)
            ours = finished_verdict(attack)
            name = f"sweep: leaf, byte {at} of its contents, bit {bit:#04x}"
            compare(report, "sweep", name, ours, expected)


# Records.


def record_verdict(data):
    """What our side has to say about the first of them, of which something was changed (14.1)."""
    length, kind = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    if len(data) >= 4 and length < 20:
        return f"record TooShort {{ length: {length} }}"
    if len(data) >= 4 and length > 1 << 20:
        return f"record TooLong {{ length: {length} }}"
    if len(data) >= 8 and kind != RECORD:
        return f"record WrongType {{ found: {kind} }}"
    if len(data) < 4 + length:
        return "truncated Record" if data else "truncated MissingClose"
    return "record Authentication"


def records(world, peer, report):
    for role in ("server", "client"):
        number = 0
        while True:
            attack = Attack(world, peer, role, {}, {})
            good = attack.established().sending.seal(b"abc")
            # Each record has other bytes, so the number of changes differs a little.
            found = list(changes(good, range(len(good))))[number:]
            name, changed = found[0] if found else ("none", good)
            attack.send(changed)
            attack.wire.end()
            attack.wire.rest()
            attack.wire.close()
            ours = attack.connection.outcome()["error"]
            if not found:
                break
            # With its last byte twice it is good, and part of another one follows.
            cut = "truncated Record" if changed.startswith(good) else None
            expected = cut or record_verdict(changed)
            compare(report, "sweep", f"sweep: our {role}, record, {name}", ours, expected)
            number += 1


# The ends of streams.


def ends(world, peer, report):
    for role in ("server", "client"):
        whole = None
        count = 0
        while whole is None or count < len(whole):
            attack = Attack(world, peer, role, {}, {})
            if role == "server":
                whole = attack.side.init_frame()
            else:
                attack.begin()
                whole = attack.side.init_frame()
            attack.send(whole[:count])
            attack.wire.end()
            attack.wire.rest()
            attack.wire.close()
            found = attack.connection.outcome()["error"]
            expected = "truncated Handshake" if count else "truncated BeforeHandshake"
            compare(report, "ends", f"sweep: our {role}, end after {count} bytes", found, expected)
            count += 1


# Late alerts, in two pieces.


def late_alerts(world, peer, report):
    for at in range(1, 43):
        attack = Attack(world, peer, "client", {}, {})
        attack.established()
        alert = attack.side.alert("access_denied", b"reason of 16 byt")
        attack.send(alert[:at])
        attack.send(alert[at:])
        attack.wire.rest()
        attack.wire.close()
        found = attack.connection.outcome()["error"]
        expected = 'sealed-alert access_denied "reason of 16 byt"'
        compare(report, "late alerts", f"sweep: late alert cut at {at}", found, expected)


# Keys.


def keys(world, peer, report):
    for role in ("server", "client"):
        for protocol in (REKEY, PLAIN):
            ask = {"work": "keys", "record_protocols": [protocol]}
            attack = Attack(world, peer, role, ask, {"record_protocols": [protocol]})
            side = attack.side
            behind = frame(RECORD, b"not for the handshake")
            if role == "server":
                side.send_init()
                side.receive_init()
                side.receive_finished()
                side.send_finished(behind)
            else:
                side.run()
                behind = b""
            answer = attack.connection.outcome()
            attack.wire.close()
            found = [answer.get(name) for name in ("key_data", "log_id", "left_over")]
            expected = [side.key_data.hex(), side.log_id.hex(), behind.hex()]
            compare(report, "keys", f"sweep: keys, our {role}, {protocol}", found, expected)


def run(options, world, peer, report):
    wanted = {
        "keys": lambda: keys(world, peer, report),
        "late alert": lambda: late_alerts(world, peer, report),
        "record": lambda: records(world, peer, report),
        "end": lambda: ends(world, peer, report),
        "ClientInit": lambda: client_inits(world, peer, report),
        "leaf": lambda: leaves(world, peer, report),
        "ServerInit": lambda: server_inits(world, peer, report),
    }
    for role in ("server", "client"):
        for step, choose in [
            ("statement", statement_positions),
            ("plaintext", plaintext_positions),
        ]:
            wanted[f"our {role}, Finished's {step}"] = lambda role=role, step=step, choose=choose: (
                finished(world, peer, report, role, step, choose)
            )
    for name, sweep in wanted.items():
        if options.filter in f"sweep: {name}" and not options.as_found:
            try:
                sweep()
            except Broken:
                raise
            except Exception as error:  # Whatever it is, the sweep has failed with it.
                report.note("sweep", f"sweep: {name}", f"{type(error).__name__}: {error}")
