"""Verification of the peer's chain (15)."""

import datetime
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from . import keys
from .encoding import Refused

ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)")
KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
PURPOSES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def bad(detail):
    return Refused("bad_certificate", detail)


def extension(certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def spiffe_id(certificate):
    names = extension(certificate, x509.SubjectAlternativeName)
    found = names.get_values_for_type(x509.UniformResourceIdentifier) if names else []
    if len(found) != 1:
        raise bad(f"{len(found)} URIs")
    match = ID.fullmatch(found[0])
    if not match or len(found[0]) > 2048 or {".", ".."} & set(match[2].split("/")):
        raise bad("the URI is no SPIFFE ID")
    return found[0], match[1]


def check_purpose(certificate, role):
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and PURPOSES[role] not in purposes:
        raise bad("extendedKeyUsage")


def check_form(certificate):
    """What the library lets pass."""
    if certificate.not_valid_before_utc > certificate.not_valid_after_utc:
        raise bad("a validity that ends before it begins")
    kinds = [extension.oid for extension in certificate.extensions if extension.critical]
    if not set(kinds) <= KNOWN:
        raise bad("an unknown critical extension")


def check_time(certificate, now):
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Refused("certificate_expired", "not valid now")


def check_issued(certificate, issuer):
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        raise bad("a signature in the chain") from None


def check_leaf(leaf, role):
    constraints = extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise bad("the leaf is a CA")
    usage = extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
        raise bad("the leaf's keyUsage")
    check_purpose(leaf, role)
    if keys.scheme_of(leaf.public_key()) is None:
        raise bad("the leaf's key")


def verify_chain(chain, bundles, role, now=None):
    """The SPIFFE ID and the public key of the leaf. `bundles`: trust domain to certificates in DER."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        for certificate in certificates:
            check_form(certificate)
        for below, above in zip(certificates, certificates[1:]):
            if below.issuer.public_bytes() != above.subject.public_bytes():
                raise bad("the chain's order")
        leaf, *intermediates = certificates
        identity, domain = spiffe_id(leaf)
        check_leaf(leaf, role)
        for issuer in intermediates:
            constraints = extension(issuer, x509.BasicConstraints)
            usage = extension(issuer, x509.KeyUsage)
            if constraints is None or not constraints.ca or (usage and not usage.key_cert_sign):
                raise bad("an intermediate is no CA")
            check_purpose(issuer, role)
        for certificate in certificates:
            check_time(certificate, now)
        if domain not in bundles:
            raise Refused("unknown_trust_domain", domain)
        for below, above in zip(certificates, intermediates):
            check_issued(below, above)
        check_anchor(certificates, bundles[domain], now)
    except Refused:
        raise
    except Exception as error:  # The library has many for what it cannot read.
        raise bad(f"unreadable: {error}") from None
    return identity, leaf.public_key()


def check_anchor(certificates, anchors, now):
    top = certificates[-1]
    fault = bad("no anchor")
    for der in anchors:
        anchor = x509.load_der_x509_certificate(der)
        if anchor.subject != top.issuer:
            continue
        try:
            check_issued(top, anchor)
            check_time(anchor, now)
            # A path length counts the intermediates below. An anchor's own is not looked at.
            for below, issuer in enumerate(certificates[1:]):
                limit = extension(issuer, x509.BasicConstraints).path_length
                if limit is not None and below > limit:
                    raise bad("path length")
            return
        except Refused as error:
            fault = error
    raise fault
