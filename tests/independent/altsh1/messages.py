"""The four messages and their parts (5). Encoding takes any value, right or wrong; decoding is strict."""

from dataclasses import dataclass, field

from .encoding import Reader, Refused, u16, u32, vector8, vector16

VERSION = 0x0001
X25519 = 0x0001
P256 = 0x0002

ECDSA_P256 = 0x0403
ECDSA_P384 = 0x0503
RSA_PSS = 0x0804
ED25519 = 0x0807
SCHEMES = [ED25519, ECDSA_P256, ECDSA_P384, RSA_PSS]

REKEY = "ALTSRP_GCM_AES128_REKEY"
PLAIN = "ALTSRP_GCM_AES128"
GRPC = (2, 1, 2, 1)

CLOSE_NOTIFY = 0x0001
CRITICAL = 0x8000


def u16s(numbers):
    return vector8(b"".join(u16(number) for number in numbers))


def names(values):
    return vector16(b"".join(vector8(as_bytes(value)) for value in values))


def as_bytes(name):
    return name if isinstance(name, bytes) else name.encode()


def rpc_versions(numbers):
    return b"".join(u32(number) for number in numbers)


def extensions(pairs):
    return vector16(b"".join(u16(kind) + vector16(data) for kind, data in pairs))


def chain(certificates):
    return vector16(b"".join(vector16(certificate) for certificate in certificates))


@dataclass
class ClientInit:
    random: bytes
    shares: list
    versions: list = field(default_factory=lambda: [VERSION])
    suites: list = field(default_factory=lambda: [X25519])
    sig_algs: list = field(default_factory=lambda: list(SCHEMES))
    record_protocols: list = field(default_factory=lambda: [REKEY])
    app_protocols: list = field(default_factory=lambda: ["grpc"])
    rpc_versions: tuple = GRPC
    max_frame_size: int = 16384
    extensions: list = field(default_factory=lambda: [(CLOSE_NOTIFY, b"")])

    def fields(self):
        """The encoded fields in order, by name, for those who want to change one."""
        shares = b"".join(u16(suite) + vector16(key) for suite, key in self.shares)
        return {
            "versions": u16s(self.versions),
            "random": self.random,
            "suites": u16s(self.suites),
            "shares": vector16(shares),
            "sig_algs": u16s(self.sig_algs),
            "record_protocols": names(self.record_protocols),
            "app_protocols": names(self.app_protocols),
            "rpc_versions": rpc_versions(self.rpc_versions),
            "max_frame_size": u32(self.max_frame_size),
            "extensions": extensions(self.extensions),
        }


@dataclass
class ServerInit:
    random: bytes
    suite: int
    share: bytes
    version: int = VERSION
    extensions: list = field(default_factory=list)

    def fields(self):
        return {
            "version": u16(self.version),
            "random": self.random,
            "suite": u16(self.suite),
            "share": vector16(self.share),
            "extensions": extensions(self.extensions),
        }


@dataclass
class ServerParams:
    record_protocol: str = REKEY
    app_protocol: str = "grpc"
    rpc_versions: tuple = GRPC
    max_frame_size: int = 16384
    sig_algs: list = field(default_factory=lambda: list(SCHEMES))
    extensions: list = field(default_factory=list)

    def fields(self):
        return {
            "record_protocol": vector8(as_bytes(self.record_protocol)),
            "app_protocol": vector8(as_bytes(self.app_protocol)),
            "rpc_versions": rpc_versions(self.rpc_versions),
            "max_frame_size": u32(self.max_frame_size),
            "sig_algs": u16s(self.sig_algs),
            "extensions": extensions(self.extensions),
        }


@dataclass
class ClientParams:
    extensions: list = field(default_factory=list)

    def fields(self):
        return {"extensions": extensions(self.extensions)}


def encode(message):
    return b"".join(message.fields().values())


def padded(plaintext):
    """Pads a Finished message (5.7)."""
    return plaintext + vector16(bytes(-(len(plaintext) + 2) % 512))


# Decoding.


def read_u16s(reader, least, most):
    inner = Reader(reader.vector8())
    numbers = []
    while not inner.done():
        numbers.append(inner.u16())
    if not least <= len(numbers) <= most:
        raise Refused("decode_error", "the number of elements")
    if len(set(numbers)) != len(numbers):
        raise Refused("illegal_parameter", "an element twice")
    return numbers


def read_name(reader):
    name = reader.vector8()
    if not 1 <= len(name) <= 64 or not all(0x21 <= byte <= 0x7E for byte in name):
        raise Refused("decode_error", "a name")
    return name.decode()


def read_names(reader, most):
    inner = Reader(reader.vector16())
    values = []
    while not inner.done():
        values.append(read_name(inner))
    if not 1 <= len(values) <= most:
        raise Refused("decode_error", "the number of names")
    if len(set(values)) != len(values):
        raise Refused("illegal_parameter", "a name twice")
    return values


def read_rpc_versions(reader):
    return tuple(reader.u32() for _ in range(4))


def read_extensions(reader):
    inner = Reader(reader.vector16())
    pairs = []
    while not inner.done():
        kind = inner.u16()
        data = inner.vector16()
        if pairs and kind <= pairs[-1][0]:
            raise Refused("decode_error", "extensions out of order")
        if kind == CLOSE_NOTIFY and data:
            raise Refused("decode_error", "close_notify with data")
        pairs.append((kind, data))
    kinds = {kind for kind, _ in pairs}
    if any(kind | CRITICAL in kinds for kind in kinds if not kind & CRITICAL):
        raise Refused("illegal_parameter", "an extension and its critical twin")
    return pairs


def read_client_init(body):
    reader = Reader(body)
    versions = read_u16s(reader, 1, 8)
    random = reader.take(32)
    suites = read_u16s(reader, 1, 8)
    shares = []
    inner = Reader(reader.vector16())
    while not inner.done():
        shares.append((inner.u16(), inner.vector16()))
    if not 1 <= len(shares) <= 2:
        raise Refused("decode_error", "the number of shares")
    places = [suites.index(suite) if suite in suites else -1 for suite, _ in shares]
    if -1 in places or sorted(set(places)) != places:
        raise Refused("illegal_parameter", "shares that do not follow the suites")
    message = ClientInit(
        versions=versions,
        random=random,
        suites=suites,
        shares=shares,
        sig_algs=read_u16s(reader, 1, 8),
        record_protocols=read_names(reader, 8),
        app_protocols=read_names(reader, 4),
        rpc_versions=read_rpc_versions(reader),
        max_frame_size=reader.u32(),
        extensions=read_extensions(reader),
    )
    reader.end()
    return message


def read_server_init(body):
    reader = Reader(body)
    message = ServerInit(
        version=reader.u16(),
        random=reader.take(32),
        suite=reader.u16(),
        share=reader.vector16(),
        extensions=read_extensions(reader),
    )
    reader.end()
    return message


@dataclass
class Finished:
    """Either Finished message, with the bytes that the transcript takes (7)."""

    params: object
    chain: list
    sig_alg: int
    signature: bytes
    mac: bytes
    statement: bytes


def read_finished(plaintext, from_server):
    reader = Reader(plaintext)
    if from_server:
        params = ServerParams(
            record_protocol=read_name(reader),
            app_protocol=read_name(reader),
            rpc_versions=read_rpc_versions(reader),
            max_frame_size=reader.u32(),
            sig_algs=read_u16s(reader, 1, 8),
            extensions=read_extensions(reader),
        )
    else:
        params = ClientParams(extensions=read_extensions(reader))
    certificates = Reader(reader.vector16())
    if len(certificates.data) > 24576:
        raise Refused("too_large", "the chain")
    found = []
    while not certificates.done():
        if len(found) == 5:
            raise Refused("decode_error", "too many certificates")
        certificate = certificates.vector16()
        if len(certificate) > 8192:
            raise Refused("too_large", "a certificate")
        found.append(certificate)
    if not found:
        raise Refused("decode_error", "no certificate")
    sig_alg = reader.u16()
    statement = plaintext[: reader.at]
    message = Finished(params, found, sig_alg, reader.vector16(), reader.take(32), statement)
    padding = reader.vector16()
    reader.end()
    if len(plaintext) % 512 or len(padding) > 511 or any(padding):
        raise Refused("decode_error", "padding")
    return message
