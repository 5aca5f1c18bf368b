"""A certificate authority that issues what it is asked for, right or wrong (15)."""

import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from . import keys

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*wanted):
    flags = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    rest = dict.fromkeys(("encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**{flag: flag in wanted for flag in flags.split()}, **rest)


def uris(*texts):
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text) for text in texts])


def raw_uris(*contents):
    """subjectAltName with URIs that no library would write."""
    inner = b"".join(der(0x86, content) for content in contents)
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der(0x30, inner))


def der_length(length):
    if length < 128:
        return bytes([length])
    octets = length.to_bytes(2, "big").lstrip(b"\0")
    return bytes([0x80 | len(octets)]) + octets


def der(tag, content):
    return bytes([tag]) + der_length(len(content)) + content


def certificate(signed, algorithm, key):
    """The contents, signed as they are. `algorithm` is the identifier that goes with the signature."""
    return der(0x30, signed + algorithm + der(0x03, b"\0" + keys.sign(key, signed)))


class Identity:
    """A chain in DER, the leaf first, and the leaf's key."""

    def __init__(self, chain, key, authority=None):
        self.chain = chain
        self.key = key
        self.authority = authority

    @property
    def scheme(self):
        return keys.scheme_of(self.key.public_key())

    def save(self, directory):
        os.makedirs(directory, exist_ok=True)
        pem = b"".join(
            x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in self.chain
        )
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for file, content in [("chain.pem", pem), ("key.pem", key)]:
            path = os.path.join(directory, file)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(content)
        return directory


class Authority:
    """A root or an intermediate."""

    def __init__(self, subject, key, certificate, above=()):
        self.subject = subject
        self.key = key
        self.certificate = certificate
        # The intermediates of a chain that begins under this authority.
        self.above = list(above)

    @classmethod
    def root(cls, text, kind="p256", **changes):
        key = keys.generate(kind)
        subject = name(text)
        return cls(subject, key, build(subject, key, subject, key, **{**AUTHORITY, **changes}))

    def intermediate(self, text, kind="p256", **changes):
        key = keys.generate(kind)
        subject = name(text)
        wanted = {**AUTHORITY, **changes}
        certificate = build(subject, key, self.subject, self.key, **wanted)
        return Authority(subject, key, certificate, [certificate, *self.above])

    def leaf(self, spiffe, key=None, **changes):
        """An identity under this authority. `changes` are those of `build`."""
        key = key or keys.generate("p256")
        wanted = {
            "san": uris(spiffe) if spiffe else None,
            "usage": usage("digital_signature"),
            "purposes": [SERVER_AUTH, CLIENT_AUTH],
            "ca": False,
            **changes,
        }
        leaf = build(name("workload"), key, self.subject, self.key, **wanted)
        return Identity([leaf, *self.above], key, self)

    def pem(self):
        return x509.load_der_x509_certificate(self.certificate).public_bytes(Encoding.PEM)

    def revocation_list(self, *revoked, next_update=NOW + 24 * HOUR):
        """A revocation list in PEM that has these certificates in it."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject)
        builder = builder.last_update(NOW - HOUR).next_update(next_update)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        for der in revoked:
            serial = x509.load_der_x509_certificate(der).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(entry.revocation_date(NOW - HOUR).build())
        return builder.sign(self.key, digest_for(self.key)).public_bytes(Encoding.PEM)


AUTHORITY = {
    "usage": usage("key_cert_sign", "crl_sign"),
    "ca": True,
}


def digest_for(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def build(
    subject,
    key,
    issuer,
    issuer_key,
    *,
    san=None,
    usage=None,
    purposes=None,
    ca=None,
    path_length=None,
    not_before=NOW - HOUR,
    not_after=NOW + 24 * HOUR,
    digest=None,
    extra=(),
):
    """One certificate in DER."""
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(not_before).not_valid_after(not_after)
    # RFC 5280: critical where the subject has no name, else not.
    if san is not None:
        builder = builder.add_extension(san, critical=False)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if ca is not None:
        constraints = x509.BasicConstraints(ca=ca, path_length=path_length)
        builder = builder.add_extension(constraints, critical=True)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    signed = builder.sign(issuer_key, digest or digest_for(issuer_key))
    return signed.public_bytes(Encoding.DER)
