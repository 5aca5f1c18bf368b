"""Whole handshakes, computed from PROTOCOL.md without the Rust code: only hashlib, hmac and (for AES-GCM, X25519, Ed25519 and
reading PEM) the package `cryptography`.

    python3 vectors.py > vectors.txt

Ephemeral keys and randoms are fixed, Ed25519 signs deterministically, so every byte of both sides is determined. A test lets
the engine do the same handshakes and compares.
"""

import hashlib
import hmac
import struct
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = Path(__file__).parent
SCHEMES = [0x0807, 0x0403, 0x0503, 0x0804]


def v8(data):
    return struct.pack(">B", len(data)) + data


def v16(data):
    return struct.pack(">H", len(data)) + data


def u16(*numbers):
    return b"".join(struct.pack(">H", n) for n in numbers)


def u32(*numbers):
    return b"".join(struct.pack(">I", n) for n in numbers)


def header(kind, body_len):
    return struct.pack("<II", 4 + body_len, kind)


def frame(kind, body):
    return header(kind, len(body)) + body


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand_label(secret, label, context, length):
    info = struct.pack(">H", length) + v8(b"altsh1 " + label.encode()) + v8(context)
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = mac(secret, block + info + bytes([count]))
        out, count = out + block, count + 1
    return out[:length]


def seal(kind, secret, plaintext, key="key", iv="iv"):
    head = header(kind, len(plaintext) + 16)
    cipher = AESGCM(expand_label(secret, key, b"", 16))
    return head + cipher.encrypt(expand_label(secret, iv, b"", 12), plaintext, head)


def chain(name):
    certificates = x509.load_pem_x509_certificates((HERE / f"{name}.chain.pem").read_bytes())
    return v16(b"".join(v16(c.public_bytes(serialization.Encoding.DER)) for c in certificates))


def signature(name, role, transcript):
    key = serialization.load_pem_private_key((HERE / f"{name}.key.pem").read_bytes(), None)
    return key.sign(b" " * 64 + f"altsh1 {role} signature".encode() + b"\0" + transcript)


def pad(plaintext):
    return plaintext + v16(bytes(-(len(plaintext) + 2) % 512))


def names(listed):
    return v16(b"".join(v8(n.encode()) for n in listed))


def extensions(close_notify):
    return v16(u16(0x0001) + v16(b"") if close_notify else b"")


def handshake(title, client, server, record, app):
    """`record` and `app` are what is to be chosen."""
    out = {}
    private = {"client": bytes(range(32)), "server": bytes(range(32, 64))}
    random = {"client": bytes(range(64, 96)), "server": bytes(range(96, 128))}
    keys = {role: X25519PrivateKey.from_private_bytes(k) for role, k in private.items()}
    share = {role: key.public_key().public_bytes_raw() for role, key in keys.items()}
    shared = keys["client"].exchange(X25519PublicKey.from_public_bytes(share["server"]))
    close_notify = client["close_notify"] and server["close_notify"]

    out["offer"] = frame(0x41, (
        v8(u16(1)) + random["client"] + v8(u16(1)) + v16(u16(1) + v16(share["client"])) + v8(u16(*SCHEMES))
        + names(client["record"]) + names(client["app"]) + u32(*client["rpc"]) + u32(client["size"])
        + extensions(client["close_notify"])
    ))
    server_init = frame(0x42, u16(1) + random["server"] + u16(1) + v16(share["server"]) + v16(b""))

    transcript = out["offer"] + server_init
    th = {1: sha256(transcript)}
    early = mac(bytes(32), bytes(32))
    hs = mac(expand_label(early, "derived", sha256(b""), 32), shared)
    s_hs, c_hs = expand_label(hs, "s hs", th[1], 32), expand_label(hs, "c hs", th[1], 32)
    master = mac(expand_label(hs, "derived", sha256(b""), 32), bytes(32))

    def finished(role, side, secret, params, kind, n):
        nonlocal transcript
        statement = params + chain(side["name"]) + u16(0x0807)
        transcript += statement
        th[n] = sha256(transcript)
        signed = v16(signature(side["name"], role, th[n]))
        transcript += signed
        th[n + 1] = sha256(transcript)
        tag = mac(expand_label(secret, "finished", b"", 32), th[n + 1])
        transcript += tag
        th[n + 2] = sha256(transcript)
        return seal(kind, secret, pad(statement + signed + tag))

    params = (
        v8(record.encode()) + v8(app.encode()) + u32(*server["rpc"]) + u32(server["size"]) + v8(u16(*SCHEMES))
        + extensions(close_notify)
    )
    out["answer"] = server_init + finished("server", server, s_hs, params, 0x43, 2)
    out["finish"] = finished("client", client, c_hs, v16(b""), 0x44, 5)
    length = {"ALTSRP_GCM_AES128_REKEY": 44, "ALTSRP_GCM_AES128": 16}[record]
    out["key_data"] = expand_label(master, "rec " + record, th[7], length)
    out["log_id"] = expand_label(master, "log id", th[7], 16)
    out["late_alert"] = seal(0x4E, s_hs, u16(11) + v8(b""), "alert key", "alert iv")
    for name, value in out.items():
        print(f"{title}.{name} = {value.hex()}")


REKEY, PLAIN = "ALTSRP_GCM_AES128_REKEY", "ALTSRP_GCM_AES128"
usual = dict(record=[REKEY], app=["grpc"], rpc=(2, 1, 2, 1), size=16384, close_notify=False)
handshake("usual", dict(usual, name="client"), dict(usual, name="server"), REKEY, "grpc")
handshake(
    "other",
    dict(name="deep", record=[PLAIN, REKEY], app=["h2", "grpc"], rpc=(3, 7, 2, 0), size=0, close_notify=True),
    dict(name="server", record=[REKEY, PLAIN], app=["grpc", "h3"], rpc=(2, 9, 2, 1), size=65536, close_notify=True),
    PLAIN, "grpc",
)
