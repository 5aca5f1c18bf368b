"""Certificates (15): chains that are signed for with the right key, and have to be refused all the same."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from .. import keys
from ..attack import BOTH, hooked
from ..certificates import (
    CLIENT_AUTH,
    HOUR,
    NOW,
    SERVER_AUTH,
    Authority,
    Identity,
    name,
    raw_uris,
    uris,
    usage,
)
from ..world import DOMAIN, FEDERATED, THEIRS
from .finished import flip

ELSEWHERE = "spiffe://elsewhere.example/a"
PAST = {"not_before": NOW - 9 * HOUR, "not_after": NOW - HOUR}
FUTURE = {"not_before": NOW + HOUR, "not_after": NOW + 9 * HOUR}


def chain(title, make, ours=BOTH, ask=()):
    """`make` gives the misbehaving side's identity in a world."""
    hooked(f"chain/{title}", ours, ask, lambda world: {"identity": make(world)})


def leaf(name, ours=BOTH, spiffe=THEIRS, **changes):
    chain(name, lambda world: world.root.leaf(spiffe, **changes), ours)


def under(name, ours=BOTH, **changes):
    """An intermediate with changes."""
    chain(name, lambda world: world.root.intermediate("wrong", **changes).leaf(THEIRS), ours)


def san(name, *general_names):
    leaf(name, san=x509.SubjectAlternativeName(general_names))


def uri(name, text):
    leaf(f"URI: {name}", san=uris(text))


# Time.
leaf("expired leaf", **PAST)
leaf("leaf that is not valid yet", **FUTURE)
under("expired intermediate", **PAST)
under("intermediate that is not valid yet", **FUTURE)
chain("expired anchor", lambda world: world.expired_root.leaf(THEIRS))

# Two faults at once.
leaf("name before time", spiffe=None, **PAST)
chain("time before trust domain", lambda world: world.root.leaf(ELSEWHERE, **PAST))
chain("time before the anchor", lambda world: world.impostor.leaf(THEIRS, **PAST))
chain(
    "time before the path",
    lambda world: rearranged(world, lambda leaf, middle: [leaf], **PAST),
)
chain(
    "leaf's key before time",
    lambda world: unsigned(world.root.leaf(THEIRS, keys.generate("p521"), **PAST)),
)
chain(
    "trust domain before purpose",
    lambda world: world.root.leaf(ELSEWHERE, purposes=[ExtendedKeyUsageOID.EMAIL_PROTECTION]),
)

# Trust.
chain("unknown trust domain", lambda world: world.root.leaf(ELSEWHERE))
chain("anchor that nobody trusts", lambda world: world.impostor.leaf(THEIRS))
chain("our domain's name from a federated anchor", lambda world: world.federated.leaf(THEIRS))
chain(
    "a federated domain's name from our anchor",
    lambda world: world.root.leaf(f"spiffe://{FEDERATED}/theirs"),
)
chain("missing intermediate", lambda world: rearranged(world, lambda leaf, *_: [leaf]))
chain("signature changed", lambda world: rearranged(world, lambda leaf, *rest: [flip(leaf), *rest]))
chain(
    "intermediate's signature changed",
    lambda world: rearranged(world, lambda leaf, middle: [leaf, flip(middle)]),
)


def rearranged(world, arrange, authority=None, **changes):
    identity = (authority or world.middle).leaf(THEIRS, **changes)
    return Identity(arrange(*identity.chain), identity.key)


# Order and length.
chain("leaf last", lambda world: rearranged(world, lambda leaf, middle: [middle, leaf]))
chain(
    "intermediate of another chain",
    lambda world: rearranged(
        world, lambda leaf, middle: [leaf, world.root.intermediate("other").certificate]
    ),
)
chain(
    "longer than an intermediate allows",
    lambda world: world.root.intermediate("short", path_length=0)
    .intermediate("lower")
    .leaf(THEIRS),
)
chain(
    "longer than the anchor allows",
    lambda world: world.strict_root.intermediate("lower").leaf(THEIRS),
)

# Names.
leaf("no subjectAltName", spiffe=None)
san("no URI", x509.DNSName("theirs.example.org"))
leaf("two URIs", san=uris(THEIRS, f"spiffe://{DOMAIN}/second"))
leaf("the same URI twice", san=uris(THEIRS, THEIRS))
leaf("second URI that cannot be read", san=raw_uris(THEIRS.encode(), b"\xff\xfe"))
leaf("empty second URI", san=raw_uris(THEIRS.encode(), b""))
leaf("URI that cannot be read", san=raw_uris(THEIRS.encode()[:-1] + b"\xff"))
leaf("URI with a zero byte", san=raw_uris(THEIRS.encode() + b"\0.evil"))
leaf(
    "name in the common name and as DNS name only",
    san=x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]),
)
uri("another scheme", f"https://{DOMAIN}/theirs")
uri("scheme in capitals", f"SPIFFE://{DOMAIN}/theirs")
uri("trust domain in capitals", "spiffe://Example.org/theirs")
uri("empty trust domain", "spiffe:///theirs")
uri("trust domain of 256 characters", f"spiffe://{'a' * 256}/theirs")
uri("no path", f"spiffe://{DOMAIN}")
uri("empty path", f"spiffe://{DOMAIN}/")
uri("slash at the end", f"{THEIRS}/")
uri("empty segment", f"spiffe://{DOMAIN}//theirs")
uri("dot segment", f"spiffe://{DOMAIN}/./theirs")
uri("two dots", f"spiffe://{DOMAIN}/a/../theirs")
uri("percent-encoding", f"spiffe://{DOMAIN}/the%69rs")
uri("port", f"spiffe://{DOMAIN}:443/theirs")
uri("user", f"spiffe://user@{DOMAIN}/theirs")
uri("query", f"{THEIRS}?a=b")
uri("fragment", f"{THEIRS}#a")
uri("letter that is not allowed", f"{THEIRS}~")
uri("2,049 bytes", THEIRS + "/" + "a" * (2048 - len(THEIRS)))

# The leaf.
leaf("leaf that is a CA", ca=True)
leaf("leaf without keyUsage", usage=None)
leaf("leaf without digitalSignature", usage=usage("key_encipherment"))
leaf("leaf that may sign certificates", usage=usage("digital_signature", "key_cert_sign"))
leaf("leaf that may sign revocation lists", usage=usage("digital_signature", "crl_sign"))
leaf("purpose of a client only", "client", purposes=[CLIENT_AUTH])
leaf("purpose of a server only", "server", purposes=[SERVER_AUTH])
leaf("another purpose", purposes=[ExtendedKeyUsageOID.EMAIL_PROTECTION])
leaf("any purpose, which names none", purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
leaf(
    "unknown critical extension",
    extra=[(x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0"), True)],
)


def with_leaf_key(name, kind):
    chain(name, lambda world: unsigned(world.root.leaf(THEIRS, keys.generate(kind))))


def unsigned(identity):
    """With a key that does not sign here: the chain is refused before."""
    identity.key = keys.generate("p256")
    return identity


with_leaf_key("key on P-521", "p521")
with_leaf_key("RSA key of 1,024 bits", "rsa1024")


class LargeKey:
    """An RSA key that is too large. Nobody knows its factors, and nobody has to."""

    def public_key(self):
        modulus = (1 << 4103) | (0x5EED << 2048) | 1
        return rsa.RSAPublicNumbers(65537, modulus).public_key()


chain("RSA key of 4,104 bits", lambda world: unsigned(world.root.leaf(THEIRS, LargeKey())))

# Intermediates.
under("intermediate that is no CA", ca=False)
under("intermediate without basicConstraints", ca=None)
under("intermediate that may not sign certificates", usage=usage("digital_signature", "crl_sign"))
under("intermediate of a client's purpose", "client", purposes=[CLIENT_AUTH])
under("intermediate of a server's purpose", "server", purposes=[SERVER_AUTH])


def uri_constraints(permitted, excluded):
    hosts = [[x509.UniformResourceIdentifier(it)] if it else None for it in (permitted, excluded)]
    return [(x509.NameConstraints(*hosts), True)]


under("URI that an intermediate does not permit", extra=uri_constraints("elsewhere.example", None))
under("URI that an intermediate excludes", extra=uri_constraints(None, DOMAIN))
under("URI of the domain above the permitted", extra=uri_constraints("." + DOMAIN, None))
chain("leaf as issuer", lambda world: issued_by_leaf(world))


def issued_by_leaf(world):
    upper = world.root.leaf(THEIRS)
    authority = Authority(name("workload"), upper.key, upper.chain[0], upper.chain)
    return authority.leaf(THEIRS)


# DER.


def mangled(name, change):
    chain(f"leaf: {name}", lambda world: rearranged(world, lambda leaf: [change(leaf)], world.root))


mangled("empty", lambda _: b"")
mangled("one byte", lambda der: der[:1])
mangled("last byte missing", lambda der: der[:-1])
mangled("byte left over", lambda der: der + b"\0")
mangled("text", lambda _: b"-----BEGIN CERTIFICATE-----")
mangled("length in more bytes than it needs", lambda der: b"\x30\x83\0" + der[2:])
mangled("indefinite length", lambda der: b"\x30\x80" + der[4:] + b"\0\0")
mangled(
    "validity that ends before it begins", lambda der: der.replace(b"\x17\x0d2", b"\x17\x0d3", 1)
)
mangled("another algorithm outside than inside", lambda der: other_algorithm(der))
mangled("version 1", lambda der: der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x00"))


def other_algorithm(der):
    """ECDSA with SHA-384 in the identifier that is not signed."""
    at = der.rindex(bytes.fromhex("2a8648ce3d040302"))
    return der[: at + 7] + b"\3" + der[at + 8 :]


# Revocation.


def revocation(name, lists, make=lambda world: world.root.leaf(THEIRS)):
    """`lists` gives the revocation lists of our side for a chain."""
    made = {}

    def options(world):
        made["identity"] = make(world)
        return {"identity": made["identity"]}

    def ask(world):
        identity = options(world)["identity"]
        pems = lists(world, identity.chain)
        return {"trust": world.trust_with("revoked.pem", *pems)}

    hooked(f"chain/{name}", BOTH, ask, lambda _: {"identity": made["identity"]})


def under_middle(world):
    return world.middle.leaf(THEIRS)


revocation("revoked leaf", lambda world, found: [world.root.revocation_list(found[0])])
revocation(
    "revoked intermediate",
    lambda world, found: [
        world.root.revocation_list(found[1]),
        world.middle.revocation_list(),
    ],
    under_middle,
)
revocation(
    "no list of the intermediate",
    lambda world, found: [world.root.revocation_list()],
    under_middle,
)
revocation(
    "list that is out of date",
    lambda world, found: [world.root.revocation_list(next_update=NOW - HOUR / 2)],
)
