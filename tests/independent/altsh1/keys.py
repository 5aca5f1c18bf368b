"""Key agreement and handshake signatures (6)."""

import functools

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .encoding import Refused
from .messages import ECDSA_P256, ECDSA_P384, ED25519, P256, RSA_PSS, X25519

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Share:
    """An ephemeral key of a suite."""

    def __init__(self, suite):
        self.suite = suite
        if suite == X25519:
            self.private = x25519.X25519PrivateKey.generate()
            self.public = self.private.public_key().public_bytes_raw()
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            self.public = self.private.public_key().public_bytes(
                Encoding.X962, PublicFormat.UncompressedPoint
            )

    def agree(self, theirs):
        try:
            if self.suite == X25519:
                return self.private.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
            if len(theirs) != 65 or theirs[0] != 4:
                raise ValueError("not an uncompressed point")
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
            return self.private.exchange(ec.ECDH(), point)
        except ValueError as error:
            raise Refused("decrypt_error", f"the key share: {error}") from None


SUITES = [X25519, P256]


@functools.cache
def rsa_key(bits):
    """Always the same one: they take long to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def generate(kind):
    """A long-term key, by the name of its kind."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa_key(int(kind[3:]))
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def scheme_of(public):
    """The one scheme that a leaf's key admits, or None."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ED25519
    if isinstance(public, rsa.RSAPublicKey):
        return RSA_PSS if 2048 <= public.key_size <= 4096 else None
    if isinstance(public, ec.EllipticCurvePublicKey):
        return {"secp256r1": ECDSA_P256, "secp384r1": ECDSA_P384}.get(public.curve.name)
    return None


def sign(key, text):
    if hasattr(key, "in_its_way"):
        return key.in_its_way(text)
    scheme = scheme_of(key.public_key())
    if scheme == ED25519:
        return key.sign(text)
    if scheme == RSA_PSS:
        return key.sign(text, PSS, hashes.SHA256())
    digest = hashes.SHA384() if scheme == ECDSA_P384 else hashes.SHA256()
    return key.sign(text, ec.ECDSA(digest))


def verify(public, scheme, text, signature):
    try:
        if scheme != scheme_of(public):
            raise InvalidSignature
        if scheme == ED25519:
            public.verify(signature, text)
        elif scheme == RSA_PSS:
            public.verify(signature, text, PSS, hashes.SHA256())
        else:
            digest = hashes.SHA384() if scheme == ECDSA_P384 else hashes.SHA256()
            public.verify(signature, text, ec.ECDSA(digest))
    except InvalidSignature:
        raise Refused("decrypt_error", "the handshake signature") from None
