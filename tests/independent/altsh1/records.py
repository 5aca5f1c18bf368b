"""ALTS records (14.1)."""

import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .encoding import RECORD
from .schedule import mac

# Record frames have a header of 8 bytes and a tag of 16.
OVERHEAD = 24


class Direction:
    """What one side sends: its counter and keys."""

    def __init__(self, protocol, key_data, from_server):
        self.rekeys = protocol.endswith("_REKEY")
        self.key_data = key_data
        self.mask = int.from_bytes(key_data[32:], "big")
        self.counter = 0
        self.last_byte = 0x80 if from_server else 0
        self.epoch = None
        self.aead = None

    def next(self):
        """The cipher and the nonce of the next record."""
        # The lowest 8 or 5 bytes count; the direction's bit is in the last.
        counter = self.counter.to_bytes(11, "little") + bytes([self.last_byte])
        self.counter += 1
        if not self.rekeys:
            self.aead = self.aead or AESGCM(self.key_data)
            return self.aead, counter
        if counter[2:8] != self.epoch:
            self.epoch = counter[2:8]
            self.aead = AESGCM(mac(self.key_data[:32], self.epoch + b"\x01")[:16])
        masked = int.from_bytes(counter, "big") ^ self.mask
        return self.aead, masked.to_bytes(12, "big")

    def seal(self, payload, kind=RECORD):
        aead, nonce = self.next()
        sealed = aead.encrypt(nonce, payload, None)
        return struct.pack("<II", 4 + len(sealed), kind) + sealed

    def open(self, record):
        """Raises InvalidTag."""
        aead, nonce = self.next()
        return aead.decrypt(nonce, record[8:], None)


class Records:
    """Both directions of one side."""

    def __init__(self, protocol, key_data, server):
        self.sending = Direction(protocol, key_data, server)
        self.receiving = Direction(protocol, key_data, not server)
