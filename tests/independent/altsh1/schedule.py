"""Transcript, key schedule, SEAL and authenticators (7 to 10)."""

import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .encoding import Refused, header
from .messages import REKEY

ZEROS = bytes(32)
KEY_LENGTHS = {REKEY: 44, "ALTSRP_GCM_AES128": 16}


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(salt, ikm):
    return mac(salt, ikm)


def info(label, context, length):
    label = b"altsh1 " + label.encode()
    return struct.pack(">H", length) + bytes([len(label)]) + label + bytes([len(context)]) + context


def expand_label(secret, label, context, length):
    text = info(label, context, length)
    output, block = b"", b""
    for count in range(1, -(-length // 32) + 1):
        block = mac(secret, block + text + bytes([count]))
        output += block
    return output[:length]


class Transcript:
    """Keeps the bytes: hashing them again costs a test nothing."""

    def __init__(self, content=b""):
        self.content = content

    def add(self, *items):
        self.content += b"".join(items)
        return self.hash()

    def hash(self):
        return sha256(self.content)


class SideKeys:
    """What comes from s_hs or c_hs."""

    def __init__(self, secret):
        self.secret = secret
        self.key = expand_label(secret, "key", b"", 16)
        self.nonce = expand_label(secret, "iv", b"", 12)
        self.alert_key = expand_label(secret, "alert key", b"", 16)
        self.alert_nonce = expand_label(secret, "alert iv", b"", 12)
        self.finished = expand_label(secret, "finished", b"", 32)

    def seal(self, kind, plaintext):
        return seal(self.key, self.nonce, kind, plaintext)

    def open(self, kind, body):
        return unseal(self.key, self.nonce, kind, body)

    def seal_alert(self, kind, plaintext):
        return seal(self.alert_key, self.alert_nonce, kind, plaintext)

    def open_alert(self, kind, body):
        return unseal(self.alert_key, self.alert_nonce, kind, body)


def seal(key, nonce, kind, plaintext):
    """A whole frame."""
    head = header(kind, len(plaintext) + 16)
    return head + AESGCM(key).encrypt(nonce, plaintext, head)


def unseal(key, nonce, kind, body):
    try:
        return AESGCM(key).decrypt(nonce, body, header(kind, len(body)))
    except (InvalidTag, ValueError):
        raise Refused("decrypt_error", "the body does not open") from None


class Secrets:
    def __init__(self, shared_secret, th1):
        self.early = extract(ZEROS, ZEROS)
        self.derived_early = expand_label(self.early, "derived", sha256(b""), 32)
        self.handshake = extract(self.derived_early, shared_secret)
        self.server = SideKeys(expand_label(self.handshake, "s hs", th1, 32))
        self.client = SideKeys(expand_label(self.handshake, "c hs", th1, 32))
        self.derived_hs = expand_label(self.handshake, "derived", sha256(b""), 32)
        self.master = extract(self.derived_hs, ZEROS)

    def key_data(self, protocol, th7):
        return expand_label(self.master, f"rec {protocol}", th7, KEY_LENGTHS[protocol])

    def log_id(self, th7):
        return expand_label(self.master, "log id", th7, 16)


def signed_text(role, th):
    return b" " * 64 + f"altsh1 {role} signature".encode() + b"\0" + th
