"""ServerFinished and ClientFinished (5.5 to 5.7, 9, 10), and the orders of 12.3 and 12.4."""

from dataclasses import replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .. import keys
from ..attack import BOTH, fault, hooked
from ..certificates import HOUR, NOW
from ..encoding import CLIENT_FINISHED, SERVER_FINISHED, u16, vector8, vector16
from ..messages import CLOSE_NOTIFY, CRITICAL, ECDSA_P384, ED25519, SCHEMES
from ..schedule import sha256
from ..world import DOMAIN, FEDERATED, THEIRS
from .client_init import UNKNOWN_EXTENSION

KINDS = {"server": CLIENT_FINISHED, "client": SERVER_FINISHED}


def finished(name, ours=BOTH, ask=(), options=(), **hooks):
    hooked(f"Finished/{name}", ours, ask, options, **hooks)


def flip(data, at=-1):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def shortened(whole, length):
    """A frame whose body has only so many bytes, and whose header says so."""
    return (4 + length).to_bytes(4, "little") + whole[4 : 8 + length]


# SEAL.

finished("tag changed", finished_frame=flip)
finished("ciphertext changed", finished_frame=lambda whole: flip(whole, 8))
finished("a block missing", finished_frame=lambda whole: shortened(whole, len(whole) - 520))
finished("body of 16 bytes", finished_frame=lambda whole: shortened(whole, 16))
finished("body of 15 bytes", finished_frame=lambda whole: shortened(whole, 15))
finished("empty body", finished_frame=lambda whole: shortened(whole, 0))


def sealed_otherwise(name, choose):
    """`choose` gives key, nonce and associated data, from the side's keys, the peer's, and the header."""

    @fault(f"Finished/sealed {name}")
    def commit(attack):
        attack.keyed()
        own, peer = attack.side.own_keys(), attack.side.peer_keys()
        whole = attack.finished_frame()
        plaintext = own.open(KINDS[attack.ours], whole[8:])
        key, nonce, data = choose(own, peer, whole[:8])
        attack.send(whole[:8], AESGCM(key).encrypt(nonce, plaintext, data))


sealed_otherwise(
    "with the peer's key and nonce", lambda own, peer, head: (peer.key, peer.nonce, head)
)
sealed_otherwise(
    "with the alert's key and nonce", lambda own, _, head: (own.alert_key, own.alert_nonce, head)
)
sealed_otherwise("with another nonce", lambda own, _, head: (own.key, flip(own.nonce), head))
sealed_otherwise("without the header", lambda own, _, head: (own.key, own.nonce, None))
sealed_otherwise(
    "with the header of the peer's type",
    lambda own, _, head: (own.key, own.nonce, head[:4] + bytes([head[4] ^ 7]) + head[5:]),
)


# Padding.


def padding_of(name, vector):
    """`vector` gives the padding, its length included, for how many bytes of it there have to be."""
    content = []
    finished(
        name,
        content=lambda text: content.append(text) or text,
        plaintext=lambda _: content[-1] + vector(-(len(content[-1]) + 2) % 512),
    )


# `or 512`: with a whole block where none is needed, the faults do not depend on how long signatures are.
padding_of("padding one byte short", lambda count: vector16(bytes((count or 512) - 1)))
padding_of("padding one byte too long", lambda count: vector16(bytes(count + 1)))
padding_of("padding with a block too many", lambda count: vector16(bytes(count + 512)))
padding_of(
    "padding's last byte not zero", lambda count: vector16(bytes((count or 512) - 1) + b"\1")
)
padding_of(
    "padding's first byte not zero", lambda count: vector16(b"\1" + bytes((count or 512) - 1))
)
padding_of("no padding", lambda count: b"")
padding_of("padding's length beyond the end", lambda count: u16(count + 1) + bytes(count))
padding_of("zeros behind the padding", lambda count: u16(0) + bytes(count or 512))

# Encoding and choices.


def params(name, ours=BOTH, ask=(), **changes):
    finished(name, ours, ask, params=lambda found: replace(found, **changes))


def raw(name, ours=BOTH, **changes):
    finished(name, ours, param_fields=lambda found: {**found, **changes})


params("extensions descending", extensions=[(7, b""), (6, b"")])
params("extension twice", extensions=[(CLOSE_NOTIFY, b"")] * 2)
params("extension and its critical twin", extensions=[(7, b""), (7 | CRITICAL, b"")])
params("extension that was not offered", extensions=[(UNKNOWN_EXTENSION, b"")])
params("unknown critical extension", extensions=[(UNKNOWN_EXTENSION | CRITICAL, b"")])
params("critical close_notify", extensions=[(CLOSE_NOTIFY | CRITICAL, b"")])
params("close_notify with data", extensions=[(CLOSE_NOTIFY, b"\0")])
params("close_notify from a client", "server", extensions=[(CLOSE_NOTIFY, b"")])
params(
    "close_notify that was not offered",
    "client",
    {"close_notify": False},
    extensions=[(CLOSE_NOTIFY, b"")],
)
raw("extension beyond its vector", extensions=vector16(u16(CLOSE_NOTIFY) + u16(1)))
raw("extensions beyond the plaintext", extensions=u16(0xFFFF))
params("record protocol that was not offered", "client", record_protocol="ALTSRP_GCM_AES128")
params("record protocol without confidentiality", "client", record_protocol="ALTSRP_GMAC_128")
params("empty record protocol", "client", record_protocol="")
params("record protocol of 65 bytes", "client", record_protocol="a" * 65)
params("record protocol with a space", "client", record_protocol="a b")
params("application protocol that was not offered", "client", app_protocol="h2")
params("empty application protocol", "client", app_protocol="")
params("RPC versions below", "client", rpc_versions=(1, 0, 1, 0))
params("RPC versions above", "client", rpc_versions=(3, 0, 2, 2))
params("no signature scheme", "client", sig_algs=[])
params("nine signature schemes", "client", sig_algs=[*SCHEMES, 1, 2, 3, 4, 5])
params("signature scheme twice", "client", sig_algs=[*SCHEMES, ED25519])
params("schemes that the client's key does not have", "client", sig_algs=[ED25519])
raw("schemes of 3 bytes", "client", sig_algs=vector8(b"\4\3\0"))

finished("no certificate", chain=lambda _: [])
finished("six certificates", chain=lambda chain: chain * 6)
finished("certificate of 8,193 bytes", chain=lambda _: [bytes(8193)])
finished("certificate of 8,192 bytes, all zero", chain=lambda _: [bytes(8192)])
finished(
    "six certificates, the first of 8,193 bytes", chain=lambda chain: [bytes(8193), *chain * 5]
)
finished("six certificates, the last of 8,193 bytes", chain=lambda chain: [*chain * 5, bytes(8193)])
finished("six certificates of 24,577 bytes", chain=lambda _: [bytes(4094)] * 5 + [bytes(4095)])
finished("chain of 24,577 bytes", chain=lambda _: [bytes(8192), bytes(8192), bytes(8187)])
finished("chain of 24,576 bytes, all zero", chain=lambda _: [bytes(8192), bytes(8192), bytes(8186)])


@fault("Finished/chain beyond the plaintext")
def chain_beyond(attack):
    right = vector16(vector16(attack.side.identity.chain[0]))
    wrong = u16(24576) + right[2:]
    attack.side.hooks = {"statement": lambda text: text.replace(right, wrong)}
    attack.side.run()


@fault("Finished/certificate beyond the chain")
def certificate_beyond(attack):
    leaf = attack.side.identity.chain[0]
    wrong = vector16(u16(len(leaf) + 1) + leaf)
    right = vector16(vector16(leaf))
    attack.side.hooks = {"statement": lambda text: text.replace(right, wrong)}
    attack.side.run()


finished("bytes behind the padding", plaintext=lambda text: text + bytes(512))
finished("plaintext of zeros", plaintext=lambda _: bytes(1024))
finished("empty plaintext", plaintext=lambda _: b"")

# Signatures.


def with_key(kind):
    """Options of a misbehaving side whose key is of that kind."""
    return lambda world: {"identity": world.root.leaf(THEIRS, keys.generate(kind))}


def two_numbers(signature):
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def longer_der(signature):
    """The first number with a zero in front that it does not need."""
    length = signature[3]
    number = bytes([2, length + 1, 0]) + signature[4 : 4 + length]
    rest = signature[4 + length :]
    if signature[4] == 0:
        number = bytes([2, length + 1, 0, 0]) + signature[5 : 4 + length]
    return bytes([0x30, len(number) + len(rest)]) + number + rest


def plus_order(signature):
    """Ed25519: the same modulo the group's order."""
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    return signature[:32] + s.to_bytes(32, "little")


def tls_context(text):
    roles = {
        b"client": b"TLS 1.3, client CertificateVerify",
        b"server": b"TLS 1.3, server CertificateVerify",
    }
    for role, context in roles.items():
        text = text.replace(b"altsh1 " + role + b" signature", context)
    return text


class Signing:
    """A key that signs in its own way."""

    def __init__(self, key, sign):
        self.key = key
        self.in_its_way = sign


def other_role(role):
    return "server" if role == "client" else "client"


finished("signature changed", signature=flip)
finished("empty signature", signature=lambda _: b"")
finished("signature of zeros", signature=lambda signature: bytes(len(signature)))
finished("signature with a byte behind it", signature=lambda signature: signature + b"\0")
finished("signature by another key", signing_key=lambda _: keys.generate("p256"))
finished("signature under the other role's context", signed_as=other_role)
finished("signature under TLS's context", signed_text=tls_context)
finished("signature without the 64 bytes in front", signed_text=lambda text: text[64:])
finished("signature without the zero byte", signed_text=lambda text: text[:-33] + text[-32:])
finished("signature over another transcript", signed_hash=lambda _: sha256(b""))
finished("ECDSA signature as two numbers", signature=two_numbers)
finished("ECDSA signature in longer DER", signature=longer_der)
finished(
    "ECDSA signature over SHA-384",
    signing_key=lambda key: Signing(key, lambda text: key.sign(text, ec.ECDSA(hashes.SHA384()))),
)
finished(
    "P-384 signature over SHA-256",
    options=with_key("p384"),
    signing_key=lambda key: Signing(key, lambda text: key.sign(text, ec.ECDSA(hashes.SHA256()))),
)
finished("Ed25519 signature changed", options=with_key("ed25519"), signature=flip)
finished("Ed25519 signature plus the order", options=with_key("ed25519"), signature=plus_order)
finished("RSA signature changed", options=with_key("rsa2048"), signature=flip)
finished(
    "RSA signature of PKCS 1 version 1.5",
    options=with_key("rsa2048"),
    signing_key=lambda key: Signing(
        key, lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    ),
)


def pss(digest, salt):
    scheme = padding.PSS(mgf=padding.MGF1(digest), salt_length=salt)
    return lambda key: Signing(key, lambda text: key.sign(text, scheme, digest))


finished(
    "RSA signature without salt", options=with_key("rsa2048"), signing_key=pss(hashes.SHA256(), 0)
)
finished(
    "RSA signature over SHA-384", options=with_key("rsa2048"), signing_key=pss(hashes.SHA384(), 48)
)
finished("scheme that was not named", sig_alg=lambda _: 0x0401)
finished("scheme 0", sig_alg=lambda _: 0)
finished("scheme of another curve", sig_alg=lambda _: ECDSA_P384)
finished("scheme of another kind of key", sig_alg=lambda _: ED25519)


@fault("Finished/stolen certificate")
def stolen(attack):
    """A valid chain, whose key the sender does not have."""
    chain = attack.world.root.leaf(f"spiffe://{DOMAIN}/somebody").chain
    attack.side.hooks = {"chain": lambda _: chain}
    attack.side.run()


@fault("Finished/our own certificate, reflected")
def own_certificate(attack):
    chain = attack.world.our_identity().chain
    attack.side.hooks = {"chain": lambda _: chain}
    attack.side.run()


# MACs.

finished("MAC changed", mac=flip)
finished("MAC of zeros", mac=lambda _: bytes(32))
finished("MAC over another transcript", mac_hash=lambda _: sha256(b""))


@fault("Finished/MAC with the peer's key")
def peers_mac(attack):
    side = attack.side
    side.hooks = {"mac_key": lambda _: side.peer_keys().finished}
    side.run()


@fault("Finished/MAC with the secret itself")
def secret_mac(attack):
    side = attack.side
    side.hooks = {"mac_key": lambda _: side.own_keys().secret}
    side.run()


@fault("Finished/chain left out of the transcript")
def chain_left_out(attack):
    side = attack.side

    def without_chain(th):
        content = side.transcript.content
        chain = vector16(vector16(side.identity.chain[0]))
        return sha256(content.replace(chain, b""))

    side.hooks = {"signed_hash": without_chain}
    side.run()


# Access.

NOBODY = {"allow": [f"spiffe://{DOMAIN}/nobody"]}
finished("denied: no rule", ask=NOBODY)
finished("denied by a rule", ask={"deny": [f"spiffe://{DOMAIN}/theirs"]})
finished("denied: a rule for what is below", ask={"allow": [f"{THEIRS}/*"]})
finished("denied: not a target", "client", {"targets": [f"{THEIRS}2"]})
finished(
    "denied: another trust domain",
    options=lambda world: {"identity": world.federated.leaf(f"spiffe://{FEDERATED}/theirs")},
)

# Two faults each, neighbors in the order of 12.3 and 12.4.

EXPIRED = {"not_before": NOW - 9 * HOUR, "not_after": NOW - HOUR}


def expired(world):
    return {"identity": world.root.leaf(THEIRS, **EXPIRED)}


critical = [(UNKNOWN_EXTENSION | CRITICAL, b"")]


def order(name, ours=BOTH, ask=(), options=(), changes=None, **hooks):
    if changes:
        hooks["params"] = lambda found: replace(found, **changes)
    finished(name, ours, ask, options, **hooks)


TWINS = [(7, b""), (7 | CRITICAL, b"")]
order(
    "extensions' form before the length of the plaintext",
    changes={"extensions": TWINS},
    plaintext=lambda text: text[:-1],
)
order(
    "extensions' form before padding",
    changes={"extensions": TWINS},
    plaintext=lambda text: text[:-1] + b"\1",
)
order("padding before certificates", options=expired, plaintext=lambda text: text[:-1] + b"\1")
order("certificates before the scheme", options=expired, sig_alg=lambda _: 0x0401)
order("scheme before the signature", sig_alg=lambda _: 0x0401, signature=flip)
order("signature before extensions", changes={"extensions": critical}, signature=flip)
order("MAC before extensions", changes={"extensions": critical}, mac=flip)
order("MAC before the record protocol", "client", changes={"record_protocol": "x"}, mac=flip)
order(
    "record protocol before extensions",
    "client",
    changes={"record_protocol": "x", "extensions": critical},
)
order(
    "extensions before RPC versions",
    "client",
    changes={"rpc_versions": (1, 0, 1, 0), "extensions": critical},
)
order("RPC versions before access", "client", NOBODY, changes={"rpc_versions": (1, 0, 1, 0)})
order("extensions before access", "server", NOBODY, changes={"extensions": critical})
order("access before its own scheme", "client", NOBODY, changes={"sig_algs": [ED25519]})
