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
    ExtensionOID.NAME_CONSTRAINTS,
}
MOST_SIGNATURES = 16
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


def check_critical(certificate):
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


def check_leaf(leaf):
    constraints = extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise bad("the leaf is a CA")
    usage = extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature or usage.key_cert_sign or usage.crl_sign:
        raise bad("the leaf's keyUsage")
    if keys.scheme_of(leaf.public_key()) is None:
        raise bad("the leaf's key")


def verify_chain(chain, bundles, role, now=None):
    """The SPIFFE ID and the public key of the leaf. `bundles`: trust domain to certificates in DER."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        for certificate in certificates:
            check_form(certificate)
        leaf, *others = certificates
        identity, domain = spiffe_id(leaf)
        check_leaf(leaf)
        check_time(leaf, now)
        if domain not in bundles:
            raise Refused("unknown_trust_domain", domain)
        check_purpose(leaf, role)
        check_critical(leaf)
        anchors = [x509.load_der_x509_certificate(der) for der in bundles[domain]]
        Search(leaf, others, anchors, role, now).run()
    except Refused:
        raise
    except Exception as error:  # The library has many for what it cannot read.
        raise bad(f"unreadable: {error}") from None
    return identity, leaf.public_key()


def same_authority(one, other):
    return one.subject == other.subject and one.public_key() == other.public_key()


class Search:
    """Looks for a path to an anchor through certificates in any order (15.2)."""

    def __init__(self, leaf, others, anchors, role, now):
        self.leaf, self.others, self.anchors = leaf, others, anchors
        self.role, self.now = role, now
        self.signatures = {}
        self.refused = self.unusable = None

    def run(self):
        if not self.extend([self.leaf]):
            raise self.refused or self.unusable or bad("no anchor")

    def extend(self, path):
        last = path[-1]
        found = [(it, True) for it in self.anchors] + [(it, False) for it in self.others]
        found = [(it, anchor) for it, anchor in found if it.subject == last.issuer]
        # Sorting keeps the order among those that are alike.
        found.sort(key=lambda it: (self.stated(last, it[0]), not it[1]))
        for issuer, is_anchor in found:
            if any(same_authority(issuer, below) for below in path):
                continue
            try:
                self.check_issuer(issuer, is_anchor, path[1:])
            except Refused as fault:
                self.unusable = self.unusable or fault
                continue
            if not self.is_issued(last, issuer):
                continue
            if not is_anchor:
                if self.extend([*path, issuer]):
                    return True
                continue
            try:
                for place, constrained in enumerate([*path[1:], issuer]):
                    check_names(constrained, path[: place + 1])
                return True
            except Refused as fault:
                self.refused = self.refused or fault
        return False

    def stated(self, below, issuer):
        """Whether the key identifiers agree: 0, say nothing: 1, or differ: 2."""
        stated = extension(below, x509.AuthorityKeyIdentifier)
        own = extension(issuer, x509.SubjectKeyIdentifier)
        if stated is None or stated.key_identifier is None or own is None:
            return 1
        return 0 if stated.key_identifier == own.digest else 2

    def check_issuer(self, issuer, is_anchor, intermediates):
        constraints = extension(issuer, x509.BasicConstraints)
        usage = extension(issuer, x509.KeyUsage)
        if constraints is None or not constraints.ca or (usage and not usage.key_cert_sign):
            raise bad("an issuer is no CA")
        # A path length counts the intermediates below, but for those that have issued themselves.
        counted = [it for it in intermediates if it.subject != it.issuer]
        if constraints.path_length is not None and len(counted) > constraints.path_length:
            raise bad("path length")
        check_purpose(issuer, self.role)
        if not is_anchor:
            check_critical(issuer)
        check_time(issuer, self.now)

    def is_issued(self, below, issuer):
        which = (id(below), id(issuer))
        if which not in self.signatures:
            if len(self.signatures) == MOST_SIGNATURES:
                raise bad("too many signatures")
            try:
                below.verify_directly_issued_by(issuer)
                self.signatures[which] = True
            except (InvalidSignature, ValueError, TypeError):
                self.signatures[which] = False
        return self.signatures[which]


def check_names(issuer, below):
    """Constraints on URIs; the worlds here have no others."""
    constraints = extension(issuer, x509.NameConstraints)
    if constraints is None:
        return
    for certificate in below:
        names = extension(certificate, x509.SubjectAlternativeName)
        for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if names else []:
            host = uri.split("://")[1].split("/")[0].lower()
            hosts = [
                [it.value.lower() for it in subtrees or []]
                for subtrees in (constraints.permitted_subtrees, constraints.excluded_subtrees)
            ]
            permitted, excluded = [any(is_within(host, it) for it in them) for them in hosts]
            if excluded or (hosts[0] and not permitted):
                raise bad("name constraints")


def is_within(host, constraint):
    return host.endswith(constraint) if constraint.startswith(".") else host == constraint
