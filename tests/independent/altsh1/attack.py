"""What a fault is made of, and how one is committed."""

from dataclasses import dataclass, field

from .encoding import Refused
from .schedule import Secrets, Transcript
from .side import Client, Server
from .wire import Alerted, Ended, heard, told

BOTH = ("client", "server")
FAULTS = {}


@dataclass
class Fault:
    name: str
    # The roles of ours that it is committed against.
    ours: tuple
    # Takes an Attack.
    commit: object
    # What our side is asked for, or a function of the world that gives it.
    ask: object = field(default_factory=dict)
    # Options of the misbehaving side, or a function of the world that gives them.
    options: object = field(default_factory=dict)


def fault(name, ours=BOTH, ask=(), options=()):
    """Makes a function the deed of the fault of that name."""

    def register(commit):
        assert name not in FAULTS, name
        roles = (ours,) if isinstance(ours, str) else ours
        FAULTS[name] = Fault(name, roles, commit, ask or {}, options or {})
        return commit

    return register


def hooked(name, ours=BOTH, ask=(), options=(), **hooks):
    """A fault that is one step of a handshake done differently."""

    def commit(attack):
        attack.side.hooks = hooks
        attack.side.run()

    fault(name, ours, ask, options)(commit)


class Attack:
    """One connection on which a fault is committed."""

    def __init__(self, world, peer, role, ask, options):
        connection = peer.connect(role=role, **{**world.ask(), **ask})
        self.world = world
        self.peer = peer
        self.connection = connection
        self.ours = role
        self.wire = connection.wire
        wanted = {"identity": world.theirs, "bundles": world.bundles, **options}
        kind = Client if role == "server" else Server
        self.side = kind(self.wire, **wanted)
        # Where our side has to find out by itself that nothing comes any more.
        self.stays_open = False
        # Nothing can be heard any more.
        self.gone = False

    def begin(self):
        """Our side waits for its first frame from here on."""
        if self.ours == "client":
            self.side.receive_init()
        return self

    def keyed(self):
        """Our side waits for our Finished message from here on."""
        side = self.side
        if self.ours == "server":
            side.send_init()
            side.receive_init()
            side.receive_finished()
        else:
            side.receive_init()
            self.flight = side.flight()
            self.wire.send(self.flight[0])
        return self

    def finished_frame(self):
        """The Finished message that is due after `keyed`."""
        return self.side.finished_frame() if self.ours == "server" else self.flight[1]

    def established(self):
        """The handshake is over, on both sides. Gives the records."""
        self.side.run()
        return self.side.records

    def another(self):
        """The misbehaving side of another connection, whose handshake was good and is over."""
        other = Attack(self.world, self.peer, self.ours, {}, {})
        other.established()
        other.wire.close()
        other.connection.outcome()
        return other.side

    def secrets_over(self, server_init):
        """What our client derives from a ServerInit that is not the one of the transcript so far."""
        transcript = Transcript(self.side.client_init)
        return Secrets(self.side.shared, transcript.add(server_init))

    def send(self, *parts):
        self.wire.send(*parts)


def commit(fault_, world, peer, role):
    """Commits the fault against our side. Gives its answer, and what it told the peer."""
    found = [given(world) if callable(given) else given for given in (fault_.ask, fault_.options)]
    ask, options = found
    attack = Attack(world, peer, role, ask, options)
    try:
        said = do(fault_, attack)
    finally:
        attack.wire.close()
    return attack.connection.outcome(), said


def do(fault_, attack):
    alert = None
    try:
        fault_.commit(attack)
        if attack.gone:
            attack.wire.close()
            return "none"
        if not attack.stays_open:
            attack.wire.end()
    except Alerted as error:
        alert = error
    except (Refused, Ended) as error:
        return f"the fault could not be committed: {error!r}"
    except (BrokenPipeError, ConnectionResetError):
        pass
    rest = attack.wire.rest()
    if alert:
        return told(alert) + (f", then {rest[:40].hex()}" if rest else "")
    return heard(rest, attack.side.peer_keys())
