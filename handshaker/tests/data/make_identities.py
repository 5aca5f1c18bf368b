"""Makes the identities that the tests use. The private keys are worthless: they are public.

    python3 make_identities.py            # needs the package `cryptography`

For each NAME: NAME.chain.pem, NAME.key.pem; for each trust domain: DOMAIN.bundle.pem; and one revocation list. All are valid from 2025 to 2045; the
tests bring their own time. Made once; running it again makes other keys and signatures, so that `vectors.py` has to follow.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).parent
START = datetime.datetime(2025, 1, 1)
END = datetime.datetime(2045, 1, 1)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(ca):
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )


def sign(subject, key, issuer, issuer_key, ca, uri=None):
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(START).not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(usage(ca), critical=True)
    )
    if uri:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm)


def pem(*certificates):
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def write(file, content):
    (HERE / file).write_bytes(content)


def authority(domain):
    key = ed25519.Ed25519PrivateKey.generate()
    write(f"{domain}.bundle.pem", pem(sign(f"{domain} CA", key, f"{domain} CA", key, ca=True)))
    return key


def identity(file, domain, ca_key, key, intermediates=0, issuer=None):
    issuer, issuer_key, chain = issuer or f"{domain} CA", ca_key, []
    for number in range(intermediates):
        subject, next_key = f"{domain} CA {number}", ed25519.Ed25519PrivateKey.generate()
        chain.insert(0, sign(subject, next_key, issuer, issuer_key, ca=True))
        issuer, issuer_key = subject, next_key
    chain.insert(0, sign(file, key, issuer, issuer_key, ca=False, uri=f"spiffe://{domain}/{file}"))
    write(f"{file}.chain.pem", pem(*chain))
    write(f"{file}.key.pem", key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    return chain[0]


test = authority("test.example")
identity("client", "test.example", test, ed25519.Ed25519PrivateKey.generate())
identity("server", "test.example", test, ed25519.Ed25519PrivateKey.generate())
identity("p256", "test.example", test, ec.generate_private_key(ec.SECP256R1()))
identity("p384", "test.example", test, ec.generate_private_key(ec.SECP384R1()))
identity("rsa", "test.example", test, rsa.generate_private_key(65537, 2048))
identity("deep", "test.example", test, ed25519.Ed25519PrivateKey.generate(), intermediates=4)
other = authority("other.example")
identity("stranger", "other.example", other, ed25519.Ed25519PrivateKey.generate())
# A name of test.example from the authority of other.example.
identity("impostor", "test.example", other, ed25519.Ed25519PrivateKey.generate(), issuer="other.example CA")
revoked = identity("revoked", "test.example", test, ed25519.Ed25519PrivateKey.generate())
crl = (
    x509.CertificateRevocationListBuilder()
    .issuer_name(name("test.example CA")).last_update(START).next_update(END)
    .add_extension(x509.CRLNumber(1), critical=False)
    .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(test.public_key()), critical=False)
    .add_revoked_certificate(
        x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(START).build()
    )
    .sign(test, None)
)
write("test.example.crl.pem", crl.public_bytes(serialization.Encoding.PEM))
