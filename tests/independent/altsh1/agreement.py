"""Handshakes that have to succeed, and what is agreed in them."""

from dataclasses import replace

from cryptography import x509

from . import keys, messages
from .attack import Attack
from .certificates import AUTHORITY, build, uris, usage
from .exchange import (
    REKEYS,
    Mismatch,
    echo,
    empty_ones,
    largest,
    odd_sizes,
    plain_both,
    received_rekeys,
    same,
    sent_rekeys,
    split_everywhere,
    states,
)
from .messages import GRPC, P256, PLAIN, REKEY, SCHEMES, X25519
from .world import DOMAIN, FEDERATED, OURS, THEIRS

CASES = []


def case(name, roles=("client", "server"), ask=(), options=(), work=None, hooks=None, **wanted):
    """`wanted`: what our side has to report, where it is not what the defaults lead to."""
    roles = (roles,) if isinstance(roles, str) else roles
    CASES.extend(
        Case(name, role, ask or {}, options or {}, work or echo, hooks or {}, wanted)
        for role in roles
    )


class Case:
    # Whether each byte is sent by itself.
    one_by_one = False

    def __init__(self, name, role, ask, options, work, hooks, wanted):
        self.name = name
        self.role = role
        self.ask = ask
        self.options = options
        self.work = work
        self.hooks = hooks
        self.wanted = wanted

    def run(self, world, peer):
        """Raises what is wrong."""
        ask = self.ask(world) if callable(self.ask) else self.ask
        options = self.options(world) if callable(self.options) else self.options
        attack = Attack(world, peer, self.role, ask, options)
        try:
            attack.side.hooks = self.hooks
            attack.wire.one_by_one = self.one_by_one
            attack.side.run()
            self.work(attack)
        finally:
            attack.wire.close()
        answer = attack.connection.outcome()
        wanted = {
            "peer": THEIRS,
            "local": OURS,
            "app_protocol": "grpc",
            "record_protocol": REKEY,
            "peer_rpc_versions": list(GRPC),
            "peer_max_frame_size": 16384,
            "close_notify": True,
            "stage": "end",
            "end": "authenticated",
            **self.wanted,
        }
        if "error" in answer:
            raise Mismatch(f"{answer['error']}: {answer['detail']}")
        for key, value in wanted.items():
            same(key, answer.get(key), value)
        # Both sides have to say the same about what both say.
        same("our own view of the name", attack.side.peer_id, wanted["local"])
        same("our own view of the end", attack.side.close_notify, wanted["close_notify"])


# Keys and suites.

for kind in ("ed25519", "p256", "p384", "rsa2048", "rsa4096"):
    case(
        f"our peer has a key of the kind {kind}",
        options=lambda world, kind=kind: {"identity": world.root.leaf(THEIRS, keys.generate(kind))},
    )
for kind in ("ed25519", "p256", "p384", "rsa2048"):
    case(
        f"we have a key of the kind {kind}",
        ask=lambda world, kind=kind: {"identity": world.ours(kind)},
    )
case("P-256", "server", options={"suites": [P256]})
case("P-256", "client", {"suites": ["p256"]})
case("both suites, X25519 first", "server", options={"suites": [X25519, P256]})
case("both suites, P-256 first", "server", options={"suites": [P256, X25519]})
case(
    "both suites, a share of the second only",
    "server",
    options={"suites": [X25519, P256], "shares": [P256]},
)
case("both suites", "client", {"suites": ["x25519", "p256"]})
case(
    "both suites, our peer prefers P-256",
    "client",
    {"suites": ["x25519", "p256"]},
    {"suites": [P256]},
)


def init(name, ask=(), **changes):
    wanted = {key: changes.pop(key) for key in list(changes) if key.startswith("peer_")}
    wanted |= {key: changes.pop(key) for key in ("close_notify",) if key in changes}
    case(
        name,
        "server",
        ask,
        work=changes.pop("work", None),
        hooks={"init": lambda found: replace(found, **changes)},
        **wanted,
    )


# What has to be skipped.
def with_unknown_suite(found):
    return replace(
        found, suites=[0xFF00, *found.suites], shares=[(0xFF00, b"garbage"), *found.shares]
    )


case("share of an unknown suite", "server", hooks={"init": with_unknown_suite})
init("unknown versions", versions=[0xFF00, 2, 1, 0])
init("unknown schemes", sig_algs=[0x0401, *SCHEMES, 0x0808])
init("only the scheme of the server's key", sig_algs=[messages.ECDSA_P256])
init("unknown record protocols", record_protocols=["ALTSRP_GMAC_128", PLAIN, "x" * 64, REKEY])
init("unknown application protocols", app_protocols=["!", "~" * 64, "h2", "grpc"])
init("unknown extensions", extensions=[(0, b"x"), (1, b""), (2, b""), (0x7FFF, bytes(500))])
init(
    "eight of what there may be eight of",
    versions=[*range(7, 0, -1), 8],
    sig_algs=[*SCHEMES, 1, 2, 3, 4],
    record_protocols=[REKEY, *"abcdefg"],
    app_protocols=[*"abc", "grpc"],
)


def padded_init(size):
    """A ClientInit whose frame has that many bytes."""

    def change(found):
        plain = 8 + len(messages.encode(replace(found, extensions=[(1, b""), (2, b"")])))
        return replace(found, extensions=[(1, b""), (2, bytes(size - plain))])

    return {"init": change}


case("ClientInit of 4,096 bytes", "server", hooks=padded_init(4096))
case("ClientInit that begins as TLS does", "server", hooks=padded_init(0x316 + 4))
init("RPC versions that overlap", rpc_versions=(9, 0, 1, 0), peer_rpc_versions=[9, 0, 1, 0])
init("RPC versions that touch", rpc_versions=(2, 1, 0, 0), peer_rpc_versions=[2, 1, 0, 0])
case(
    "RPC versions that overlap",
    "client",
    options={"rpc_versions": (2, 5, 2, 0)},
    peer_rpc_versions=[2, 5, 2, 0],
)
case(
    "signature schemes of the server: one",
    "client",
    options={"sig_algs": [0x0401, messages.ECDSA_P256]},
)

# Record and application protocols.

PLAIN_TOO = {"record_protocols": [REKEY, PLAIN]}
case(
    "plain record protocol",
    ask={"record_protocols": [PLAIN]},
    options={"record_protocols": [PLAIN]},
    record_protocol=PLAIN,
)
case(
    "the client's preference: plain",
    "server",
    PLAIN_TOO,
    {"record_protocols": [PLAIN, REKEY]},
    record_protocol=PLAIN,
)
case("the client's preference: REKEY", "server", {"record_protocols": [PLAIN, REKEY]}, PLAIN_TOO)
case(
    "server chooses the client's second",
    "client",
    PLAIN_TOO,
    {"record_protocols": [PLAIN]},
    record_protocol=PLAIN,
)
case(
    "the client's preference among application protocols",
    "server",
    {"app_protocols": ["grpc", "b", "a"]},
    {"app_protocols": ["x", "a", "b", "grpc"]},
    app_protocol="a",
)
case(
    "another application protocol",
    ask={"app_protocols": ["smtp"]},
    options={"app_protocols": ["smtp"]},
    app_protocol="smtp",
)

# close_notify.

PLAIN_END = {"close_notify": False, "end": "plain"}
case("close_notify: ours does not want it", ask={"close_notify": False}, **PLAIN_END)
init("close_notify: our peer does not offer it", extensions=[], close_notify=False)
CASES[-1].wanted = PLAIN_END
case(
    "close_notify: our peer does not accept it",
    "client",
    options={"wants_close_notify": False},
    **PLAIN_END,
)

# Certificates.


def identity(name, make, roles=("client", "server"), **wanted):
    case(name, roles, options=lambda world: {"identity": make(world)}, **wanted)


identity("chain with an intermediate", lambda world: world.middle.leaf(THEIRS))
identity(
    "chain of five",
    lambda world: world.middle.intermediate("3").intermediate("4").intermediate("5").leaf(THEIRS),
)
identity("chain with its anchor", lambda world: appended(world.middle.leaf(THEIRS), world.root))
identity("chain with the leaf twice", lambda world: arranged(world, lambda it: [it[0], *it]))
identity(
    "chain with a certificate of another",
    lambda world: arranged(world, lambda it: [it[0], world.federated.certificate, *it[1:]]),
)
identity("chain in reverse behind the leaf", lambda world: reversed_chain(world))
identity(
    "chain with both halves of a cross-signed intermediate", lambda world: cross_signed(world)
)
identity(
    "chain with a permitted URI",
    lambda world: constrained(world, [x509.UniformResourceIdentifier(DOMAIN)], None),
)
identity(
    "chain with another URI excluded",
    lambda world: constrained(world, None, [x509.UniformResourceIdentifier("." + DOMAIN)]),
)
identity("chain of Ed25519", lambda world: world.root.intermediate("ed", "ed25519").leaf(THEIRS))
identity("chain of P-384", lambda world: world.root.intermediate("p384", "p384").leaf(THEIRS))
identity("chain of RSA", lambda world: world.root.intermediate("rsa", "rsa2048").leaf(THEIRS))
identity("leaf without extendedKeyUsage", lambda world: world.root.leaf(THEIRS, purposes=None))
identity("leaf without basicConstraints", lambda world: world.root.leaf(THEIRS, ca=None))
identity(
    "leaf with more usages",
    lambda world: world.root.leaf(THEIRS, usage=usage("digital_signature", "key_agreement")),
)
identity(
    "path length that suffices",
    lambda world: world.root.intermediate("a", path_length=1)
    .intermediate("b", path_length=0)
    .leaf(THEIRS),
)
identity(
    "path length of the anchor that suffices",
    lambda world: world.strict_root.leaf(THEIRS),
)
LONGEST = THEIRS + "/" + "a" * (2047 - len(THEIRS))
identity("SPIFFE ID of 2,048 bytes", lambda world: world.root.leaf(LONGEST), peer=LONGEST)
ODD = f"spiffe://{DOMAIN}/A-z_0.9/.../..a"
identity("SPIFFE ID of all that is allowed", lambda world: world.root.leaf(ODD), peer=ODD)
identity(
    "DNS and email names beside the URI", lambda world: world.root.leaf(THEIRS, san=more_names())
)
case(
    "revocation lists that do not name the chain",
    ask=lambda world: lists(world),
    options=lambda world: {"identity": world.middle.leaf(THEIRS)},
)
FOREIGN = f"spiffe://{FEDERATED}/a"
case(
    "federated trust domain with a rule",
    ask={"allow": [f"spiffe://{FEDERATED}/*"]},
    options=lambda world: {"identity": world.federated.leaf(FOREIGN)},
    peer=FOREIGN,
)
case("target identity", "client", {"targets": ["spiffe://a.example/b", THEIRS]})


def arranged(world, arrange):
    found = world.middle.leaf(THEIRS)
    found.chain = arrange(found.chain)
    return found


def reversed_chain(world):
    found = world.middle.intermediate("3").intermediate("4").leaf(THEIRS)
    found.chain = [found.chain[0], *reversed(found.chain[1:])]
    return found


def cross_signed(world):
    """The half that leads nowhere comes first."""
    middle = world.root.intermediate("cross")
    other = build(middle.subject, middle.key, world.impostor.subject, world.impostor.key, **AUTHORITY)
    found = middle.leaf(THEIRS)
    found.chain = [found.chain[0], other, *found.chain[1:]]
    return found


def constrained(world, permitted, excluded):
    extra = [(x509.NameConstraints(permitted, excluded), True)]
    return world.root.intermediate("constrained", extra=extra).leaf(THEIRS)


def appended(found, anchor):
    found.chain = [*found.chain, anchor.certificate]
    return found


def more_names():
    names = [x509.DNSName("a.example"), *uris(THEIRS), x509.RFC822Name("a@b.example")]
    return x509.SubjectAlternativeName(names)


def lists(world):
    pems = [world.root.revocation_list(world.theirs.chain[0]), world.middle.revocation_list()]
    return {"trust": world.trust_with("lists.pem", *pems)}


# Records: sizes, splits, empty ones.

case("all in single bytes")
for single in CASES[-2:]:
    single.one_by_one = True
case("records of odd sizes", work=odd_sizes)
case("records cut at every byte", work=split_everywhere)
case("empty records", ask={"close_notify": False}, work=empty_ones, **PLAIN_END)
case(
    "records of odd sizes, plain",
    ask={"record_protocols": [PLAIN]},
    options={"record_protocols": [PLAIN]},
    work=odd_sizes,
    record_protocol=PLAIN,
)

# Changing keys, in each direction.

case("changing keys: what we open", work=received_rekeys)
case("changing keys: what we seal", ask={"writes": REKEYS, "write_size": 1}, work=sent_rekeys)
case(
    "65,636 records under the plain protocol, both ways",
    ask={"record_protocols": [PLAIN], "writes": 65636, "write_size": 1},
    options={"record_protocols": [PLAIN]},
    work=plain_both,
    record_protocol=PLAIN,
)


# Sizes of records that are sent (14.2): the largest that our peer wishes, what we may send, what is then the largest.

SIZES = [
    (0, None, 16384),
    (0, 1 << 20, 16384),
    (1, None, 4096),
    (4095, None, 4096),
    (4096, None, 4096),
    (4097, None, 4097),
    (10_000, None, 10_000),
    (16384, None, 16384),
    (16385, None, 16384),
    (65536, None, 16384),
    (65536, 65536, 65536),
    (65536, 20_000, 20_000),
    (0xFFFF_FFFF, 1 << 16, 1 << 16),
    (0xFFFF_FFFF, None, 16384),
]


for stated, own, wanted_size in SIZES:
    case(
        f"peer states {stated}, own maximum {own or 'unset'}: records of {wanted_size}",
        ask={
            "writes": 1,
            "write_size": 3 * wanted_size,
            **({"largest_record": own} if own else {}),
        },
        options={"max_frame_size": stated},
        work=largest(wanted_size),
        peer_max_frame_size=stated,
    )


# What our side states.
case("we state 16,384 bytes", work=states(16384))
case("we state nothing", ask={"max_frame_size": 0}, work=states(0))
case("we state 1 MiB", ask={"max_frame_size": 1 << 20}, work=states(1 << 20))
