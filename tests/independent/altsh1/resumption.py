"""The known answers of resumption, computed again from what is given there. Nothing is read but that one file."""

import json
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .messages import REKEY
from .schedule import ZEROS, SideKeys, expand_label, extract, mac, sha256

EXTENSION = 0x0010
WANT = 1


def vector8(content):
    return struct.pack(">B", len(content)) + content


def vector16(content):
    return struct.pack(">H", len(content)) + content


class Ticket:
    """A ticket of form 1, of the values given."""

    def __init__(self, given):
        self.secret = bytes.fromhex(given["ticket_secret"])
        self.name = bytes.fromhex(given["key_name"])
        self.salt = bytes.fromhex(given["salt"])
        self.server = given["server"].encode()
        self.realm = given["realm"].encode()
        self.given = given

    def clear(self):
        return b"\x01" + self.name + self.salt

    def key_and_nonce(self):
        scope = sha256(vector16(self.server) + vector8(self.realm))
        scoped = expand_label(self.secret, "ticket scope", scope, 32)
        return expand_label(scoped, "ticket", self.salt, 44)

    def state(self):
        given = self.given
        times = (given["auth_time"], given["not_after"], given["peer_not_after"])
        state = bytes.fromhex(given["psk"]) + struct.pack(">QQQ", *times)
        state += bytes.fromhex(given["trust"]) + bytes.fromhex(given["log_id"])
        state += vector16(given["client"].encode())
        return state + bytes(-len(state) % 64)

    def seal(self):
        both = self.key_and_nonce()
        sealed = AESGCM(both[:32]).encrypt(both[32:], self.state(), self.clear())
        return self.clear() + sealed

    def opens(self, ticket):
        """Whether a server with these values takes the ticket: its key is looked for by the name."""
        if ticket[:1] != b"\x01" or ticket[1:9] != self.name:
            return False
        both = self.key_and_nonce()
        try:
            AESGCM(both[:32]).decrypt(both[32:], ticket[25:], self.clear())
        except InvalidTag:
            return False
        return True


def with_extension(frame, kind, data):
    """The frame with an extension behind those that it has: they are its last field."""
    at = 8
    while True:
        # The last field is the vector of two bytes of length that ends with the frame, and holds whole extensions.
        length = struct.unpack_from(">H", frame, at)[0]
        if at + 2 + length == len(frame) and is_extensions(frame[at + 2 :]):
            break
        at += 1
    extensions = frame[at + 2 :] + struct.pack(">H", kind) + vector16(data)
    body = frame[8:at] + vector16(extensions)
    return struct.pack("<I", 4 + len(body)) + frame[4:8] + body


def is_extensions(content):
    before = -1
    while content:
        if len(content) < 4:
            return False
        kind, length = struct.unpack_from(">HH", content)
        if kind <= before or len(content) < 4 + length:
            return False
        before, content = kind, content[4 + length :]
    return True


def trust_digest(trust):
    """Of a domain, its authorities and its revocation lists."""
    text = b"altsh1 trust" + vector8(trust["domain"].encode())
    for kind in ("anchors", "lists"):
        hashes = sorted(sha256(bytes.fromhex(der)) for der in trust[kind])
        text += struct.pack(">I", len(hashes)) + b"".join(hashes)
    return sha256(text)


def computed(given):
    def at(name):
        return bytes.fromhex(given[name])

    full_master, th3, th7 = at("master"), at("th3"), at("th7")
    sealing = Ticket(given)
    ticket = sealing.seal()

    early = extract(ZEROS, at("psk"))
    binder_secret = expand_label(early, "binder", sha256(b""), 32)
    binder_key = expand_label(binder_secret, "finished", b"", 32)
    offer = bytes([WANT]) + vector16(ticket)
    unbound = with_extension(at("client_init"), EXTENSION, offer + vector8(ZEROS))
    binder = mac(binder_key, sha256(unbound))
    client_init = with_extension(at("client_init"), EXTENSION, offer + vector8(binder))

    server_init = with_extension(at("server_init"), EXTENSION, b"")
    th1 = sha256(client_init + server_init)
    handshake = extract(expand_label(early, "derived", sha256(b""), 32), at("ss"))
    server = SideKeys(expand_label(handshake, "s hs", th1, 32))
    client = SideKeys(expand_label(handshake, "c hs", th1, 32))
    master = extract(expand_label(handshake, "derived", sha256(b""), 32), ZEROS)
    answers = {
        "res": expand_label(full_master, "res", th7, 32),
        "ticket_key": expand_label(full_master, "ticket key", th7, 16),
        "ticket_iv": expand_label(full_master, "ticket iv", th7, 12),
        "k | n": sealing.key_and_nonce(),
        "ticket": ticket,
        "early": early,
        "binder_key": binder_key,
        "binder": binder,
        "client_init": client_init,
        "server_init": server_init,
        "th1": th1,
        "hs": handshake,
        "s_hs": server.secret,
        "c_hs": client.secret,
        "master": master,
        "server_mac": mac(server.finished, th3),
        "res next": expand_label(master, "res next", th1, 32),
        "key_data": expand_label(master, f"rec {REKEY}", th7, 44),
    }
    if "trust of" in given:
        answers["trust of"] = trust_digest(given["trust of"])
    return answers


def differences(path):
    """How many answers there are, and lines on what does not fit."""
    with open(path) as file:
        known = json.load(file)
    given, expected = known["given"], known["answers"]
    answers = computed(given)
    wrong = [f"{name} is not computed" for name in expected.keys() - answers.keys()]
    wrong += [
        f"{name}: {answer.hex()}"
        for name, answer in answers.items()
        if expected.get(name) != answer.hex()
    ]
    if not Ticket(given).opens(bytes.fromhex(expected["ticket"])):
        wrong.append("the ticket does not open")
    wrong += [
        f"the ticket opens with {changed}"
        for changed in known["does not open"]
        if Ticket(given | changed).opens(bytes.fromhex(expected["ticket"]))
    ]
    return len(answers) + 1 + len(known["does not open"]), wrong
