"""Identities and trust bundles that the cases share."""

import functools
import os

from . import keys
from .certificates import NOW, HOUR, Authority

DOMAIN = "example.org"
FEDERATED = "partner.example"
OURS = f"spiffe://{DOMAIN}/ours"
THEIRS = f"spiffe://{DOMAIN}/theirs"


class World:
    """Made once; what is expensive is made when it is first needed."""

    def __init__(self, directory):
        self.directory = directory
        self.root = Authority.root("root")
        self.federated = Authority.root("the partner's root")
        # Nobody trusts it, although it has the root's name.
        self.impostor = Authority.root("root")
        self.theirs = self.root.leaf(THEIRS)
        self.bundles = {
            DOMAIN: [self.root.certificate],
            FEDERATED: [self.federated.certificate],
        }

    @functools.cached_property
    def middle(self):
        return self.root.intermediate("middle")

    @functools.cached_property
    def expired_root(self):
        return Authority.root("expired root", not_before=NOW - 9 * HOUR, not_after=NOW - HOUR)

    @functools.cached_property
    def strict_root(self):
        """Has no intermediates below."""
        return Authority.root("strict root", path_length=0)

    @functools.cache
    def our_identity(self, kind="p256"):
        return self.root.leaf(OURS, keys.generate(kind))

    @functools.cache
    def ours(self, kind="p256"):
        """The directory of our side's identity."""
        return self.our_identity(kind).save(os.path.join(self.directory, f"ours-{kind}"))

    def file(self, name, *pems):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as out:
            out.write(b"".join(pems))
        return path

    @functools.cached_property
    def trust(self):
        ours = [self.root.pem(), self.expired_root.pem(), self.strict_root.pem()]
        return {
            DOMAIN: self.file("bundle.pem", *ours),
            FEDERATED: self.file("federated.pem", self.federated.pem()),
        }

    def trust_with(self, name, *revocation_lists):
        """As `trust`, with revocation lists for this side's domain."""
        return {**self.trust, DOMAIN: self.file(name, self.root.pem(), *revocation_lists)}

    def ask(self):
        """What our side is asked for, unless a case wants something else."""
        return {"identity": self.ours(), "trust": self.trust}
