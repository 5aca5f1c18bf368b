"""Client and server (3, 11, 12), which can be told to do any step incorrectly.

A hook is a function of the value that a step is about to use, by the step's name, that gives the value to use instead. All later
steps go on from there: signatures and MACs are over what is really sent.
"""

import os
from dataclasses import replace

from . import keys, messages, trust
from .encoding import (
    ALERT,
    CLIENT_FINISHED,
    CLIENT_INIT,
    SEALED_ALERT,
    SERVER_FINISHED,
    SERVER_INIT,
    Refused,
    frame,
    u16,
    vector16,
)
from .messages import (
    CLOSE_NOTIFY,
    CRITICAL,
    ClientInit,
    ClientParams,
    ServerInit,
    ServerParams,
    padded,
)
from .records import Records
from .schedule import Secrets, Transcript, mac, signed_text
from .wire import alert_body, alert_frame, read_alert

VERSIONS = [messages.VERSION]


def compatible(ours, theirs):
    return min(ours[:2], theirs[:2]) >= max(ours[2:], theirs[2:])


def check_extensions(pairs, offered):
    """What an answer may have in it (5.3)."""
    for kind, _ in pairs:
        if kind not in offered:
            unknown = kind & CRITICAL
            raise Refused("unsupported_extension" if unknown else "illegal_parameter", f"{kind:#x}")


class Side:
    """What the client and the server have in common."""

    role = peer = None

    def __init__(self, wire, identity, bundles, hooks=None, allow=lambda name: True, **options):
        self.wire = wire
        self.identity = identity
        self.bundles = bundles
        self.hooks = hooks or {}
        self.allow = allow
        self.options = options
        self.transcript = Transcript()
        self.secrets = None
        self.records = None
        self.peer_id = None
        self.close_notify = False

    def edit(self, step, value):
        return self.hooks.get(step, lambda value: value)(value)

    # What comes from s_hs and c_hs.

    def own_keys(self):
        return getattr(self.secrets, self.role)

    def peer_keys(self):
        return getattr(self.secrets, self.peer) if self.secrets else None

    # Alerts.

    def receive(self, kind):
        """The frame that is due. Alerts are due too (13.3)."""
        due = {kind, ALERT}
        if self.secrets:
            due.add(SEALED_ALERT)
        found, whole = self.wire.frame(due)
        if found == kind:
            return whole
        body = whole[8:]
        if found == SEALED_ALERT:
            body = self.peer_keys().open_alert(found, body)
        raise read_alert(body, found == SEALED_ALERT)

    def alert(self, code, reason=b""):
        """An alert in the form that this state has (13.2)."""
        if self.secrets:
            return self.own_keys().seal_alert(SEALED_ALERT, alert_body(code, reason))
        if code in ("bad_certificate", "certificate_expired", "certificate_revoked"):
            code = "handshake_failure"
        if code in ("unknown_trust_domain", "access_denied"):
            code = "handshake_failure"
        return alert_frame(code, reason)

    def run(self):
        """The whole handshake, well done unless hooks say otherwise."""
        try:
            self.handshake()
        except Refused as error:
            self.wire.send(self.alert(error.code))
            raise
        return self

    # The Finished messages.

    def finished(self, kind, params):
        """One of our own, sealed."""
        fields = self.edit("param_fields", params.fields())
        chain = self.edit("chain", list(self.identity.chain))
        sig_alg = self.edit("sig_alg", self.identity.scheme)
        statement = b"".join(fields.values()) + messages.chain(chain) + u16(sig_alg)
        statement = self.edit("statement", statement)
        th = self.edit("signed_hash", self.transcript.add(statement))
        text = signed_text(self.edit("signed_as", self.role), th)
        key = self.edit("signing_key", self.identity.key)
        signature = self.edit("signature", keys.sign(key, self.edit("signed_text", text)))
        th = self.edit("mac_hash", self.transcript.add(vector16(signature)))
        proof = self.edit("mac", mac(self.edit("mac_key", self.own_keys().finished), th))
        self.transcript.add(proof)
        content = self.edit("content", statement + vector16(signature) + proof)
        plaintext = self.edit("plaintext", padded(content))
        sealing = self.edit("sealing_keys", self.own_keys())
        return self.edit("finished_frame", sealing.seal(kind, plaintext))

    def check_finished(self, whole, from_server):
        """The peer's: decoded, with its chain's verdict, its signature and its MAC checked, in the order of 12."""
        kind = SERVER_FINISHED if from_server else CLIENT_FINISHED
        plaintext = self.peer_keys().open(kind, whole[8:])
        message = messages.read_finished(plaintext, from_server)
        self.peer_id, public = trust.verify_chain(message.chain, self.bundles, self.peer)
        if message.sig_alg not in self.accepted_schemes():
            raise Refused("illegal_parameter", "the signature scheme")
        th = self.transcript.add(message.statement)
        keys.verify(public, message.sig_alg, signed_text(self.peer, th), message.signature)
        th = self.transcript.add(vector16(message.signature))
        if mac(self.peer_keys().finished, th) != message.mac:
            raise Refused("decrypt_error", "the MAC")
        self.transcript.add(message.mac)
        return message

    def done(self, protocol):
        th7 = self.transcript.hash()
        self.record_protocol = protocol
        self.key_data = self.secrets.key_data(protocol, th7)
        self.log_id = self.secrets.log_id(th7)
        self.records = Records(protocol, self.key_data, self.role == "server")


class Client(Side):
    role, peer = "client", "server"

    def __init__(self, *arguments, suites=(messages.X25519,), shares=None, **options):
        super().__init__(*arguments, **options)
        self.shares = {suite: keys.Share(suite) for suite in shares or suites}
        offered = [(suite, share.public) for suite, share in self.shares.items()]
        hello = ClientInit(random=os.urandom(32), shares=offered, suites=list(suites))
        self.init = replace(hello, **self.options)

    def accepted_schemes(self):
        return self.init.sig_algs

    def handshake(self):
        self.send_init()
        self.receive_init()
        self.receive_finished()
        self.send_finished()

    def init_frame(self):
        message = self.edit("init", self.init)
        fields = self.edit("init_fields", message.fields())
        body = self.edit("init_body", b"".join(fields.values()))
        return self.edit("init_frame", frame(CLIENT_INIT, body))

    def send_init(self):
        self.client_init = self.init_frame()
        self.transcript.add(self.client_init)
        self.wire.send(self.client_init)

    def receive_init(self):
        whole = self.server_init = self.receive(SERVER_INIT)
        answer = messages.read_server_init(whole[8:])
        if answer.version not in self.init.versions:
            raise Refused("illegal_parameter", "the version")
        check_extensions(answer.extensions, [])
        if answer.suite not in self.shares:
            raise Refused("illegal_parameter", "the suite")
        shared = self.shares[answer.suite].agree(answer.share)
        self.secrets = Secrets(shared, self.transcript.add(whole))
        self.answer = answer

    def receive_finished(self):
        self.server_finished = self.receive(SERVER_FINISHED)
        message = self.check_finished(self.server_finished, from_server=True)
        params = message.params
        if params.record_protocol not in self.init.record_protocols:
            raise Refused("illegal_parameter", "the record protocol")
        if params.app_protocol not in self.init.app_protocols:
            raise Refused("illegal_parameter", "the application protocol")
        check_extensions(params.extensions, [kind for kind, _ in self.init.extensions])
        if not compatible(self.init.rpc_versions, params.rpc_versions):
            raise Refused("rpc_version_mismatch", "RPC versions")
        if not self.allow(self.peer_id):
            raise Refused("access_denied", self.peer_id)
        if self.identity.scheme not in params.sig_algs:
            raise Refused("handshake_failure", "no scheme for this key")
        self.params = params
        self.close_notify = bool(params.extensions)

    def finished_frame(self):
        return self.finished(CLIENT_FINISHED, self.edit("params", ClientParams()))

    def send_finished(self, *behind):
        """What is given goes right behind, in the same write."""
        self.client_finished = self.finished_frame()
        self.wire.send(self.client_finished, *behind)
        self.done(self.params.record_protocol)


class Server(Side):
    role, peer = "server", "client"

    def __init__(self, *arguments, wants_close_notify=True, **options):
        super().__init__(*arguments, **options)
        self.wants_close_notify = wants_close_notify
        # What it allows.
        self.record_protocols = self.options.pop("record_protocols", [messages.REKEY])
        self.app_protocols = self.options.pop("app_protocols", ["grpc"])
        self.suites = self.options.pop("suites", list(keys.SUITES))

    def accepted_schemes(self):
        return self.offered_params.sig_algs

    def handshake(self):
        self.receive_init()
        self.send_flight()
        self.receive_finished()

    def receive_init(self):
        whole = self.client_init = self.receive(CLIENT_INIT)
        init = messages.read_client_init(whole[8:])
        self.transcript.add(whole)
        if not set(VERSIONS) & set(init.versions):
            raise Refused("unsupported_version", f"{init.versions}")
        if any(kind & CRITICAL for kind, _ in init.extensions):
            raise Refused("unsupported_extension", "critical")
        shares = dict(init.shares)
        suites = [suite for suite in self.suites if suite in shares]
        if not suites:
            raise Refused("no_common_suite", f"{list(shares)}")
        protocols = [name for name in init.record_protocols if name in self.record_protocols]
        if not protocols:
            raise Refused("no_common_record_protocol", f"{init.record_protocols}")
        applications = [name for name in init.app_protocols if name in self.app_protocols]
        if not applications:
            raise Refused("no_common_app_protocol", f"{init.app_protocols}")
        params = ServerParams(record_protocol=protocols[0], app_protocol=applications[0])
        self.offered_params = replace(params, **self.options)
        if not compatible(self.offered_params.rpc_versions, init.rpc_versions):
            raise Refused("rpc_version_mismatch", f"{init.rpc_versions}")
        if self.identity.scheme not in init.sig_algs:
            raise Refused("handshake_failure", "no scheme for this key")
        self.share = keys.Share(suites[0])
        self.shared = self.share.agree(shares[suites[0]])
        if self.wants_close_notify and (CLOSE_NOTIFY, b"") in init.extensions:
            self.close_notify = True
            self.offered_params.extensions = [(CLOSE_NOTIFY, b"")]
        self.init = init

    def init_frame(self):
        hello = ServerInit(os.urandom(32), self.share.suite, self.share.public)
        fields = self.edit("init_fields", self.edit("init", hello).fields())
        body = self.edit("init_body", b"".join(fields.values()))
        return self.edit("init_frame", frame(SERVER_INIT, body))

    def flight(self):
        """ServerInit and ServerFinished."""
        first = self.init_frame()
        self.secrets = Secrets(self.edit("shared", self.shared), self.transcript.add(first))
        params = self.edit("params", self.offered_params)
        return first, self.finished(SERVER_FINISHED, params)

    def send_flight(self):
        self.sent = self.flight()
        self.wire.send(*self.sent)

    def receive_finished(self):
        message = self.check_finished(self.receive(CLIENT_FINISHED), from_server=False)
        check_extensions(message.params.extensions, [])
        if not self.allow(self.peer_id):
            raise Refused("access_denied", self.peer_id)
        self.done(self.offered_params.record_protocol)
