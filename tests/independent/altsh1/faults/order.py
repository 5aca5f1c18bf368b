"""Messages in the wrong place: skipped, repeated, early, reflected, of another handshake (3, 12, 19)."""

from ..attack import fault
from ..encoding import CLIENT_FINISHED, RECORD, SERVER_FINISHED, frame, header
from ..schedule import Secrets, Transcript

GARBAGE = frame(RECORD, bytes(40))


# Against a server.


@fault("order/ClientInit reflected as it is due from the server", ours="client")
def client_init_reflected(attack):
    attack.begin()
    attack.send(attack.side.client_init)


@fault("order/ClientInit twice", ours="server")
def client_init_twice(attack):
    attack.keyed()
    attack.send(attack.side.client_init)


@fault("order/ClientInit twice in one write", ours="server")
def client_init_twice_at_once(attack):
    whole = attack.side.init_frame()
    attack.side.hooks = {"init_frame": lambda _: whole}
    attack.send(whole)
    attack.keyed()


@fault("order/record right behind ClientInit", ours="server")
def record_behind_client_init(attack):
    side = attack.side
    side.client_init = side.init_frame()
    side.transcript.add(side.client_init)
    attack.send(side.client_init, GARBAGE)
    side.receive_init()
    side.receive_finished()


@fault("order/Finished skipped")
def finished_skipped(attack):
    attack.keyed()
    attack.send(GARBAGE)


@fault("order/ServerInit reflected", ours="server")
def server_init_reflected(attack):
    attack.keyed()
    attack.send(attack.side.server_init)


@fault("order/ServerFinished reflected", ours="server")
def server_finished_reflected(attack):
    attack.keyed()
    attack.send(attack.side.server_finished)


@fault("order/ServerFinished reflected under the type that is due", ours="server")
def server_finished_disguised(attack):
    attack.keyed()
    body = attack.side.server_finished[8:]
    attack.send(header(CLIENT_FINISHED, len(body)), body)


@fault("order/ServerFinished's content sealed as ClientFinished", ours="server")
def server_finished_sealed_again(attack):
    attack.keyed()
    side = attack.side
    plaintext = side.peer_keys().open(SERVER_FINISHED, side.server_finished[8:])
    attack.send(side.own_keys().seal(CLIENT_FINISHED, plaintext))


@fault("order/Finished in two frames")
def finished_in_two_frames(attack):
    attack.keyed()
    whole = attack.finished_frame()
    kind, body = whole[4], whole[8:]
    attack.send(frame(kind, body[:256]), frame(kind, body[256:]))


@fault("order/Finished twice")
def finished_twice(attack):
    attack.established()
    side = attack.side
    attack.send(side.client_finished if attack.ours == "server" else side.sent[1])


@fault("order/handshake begins again")
def begins_again(attack):
    attack.established()
    side = attack.side
    attack.send(side.client_init if attack.ours == "server" else side.sent[0])


@fault("order/ClientInit to a client that is done", ours="client")
def client_init_to_client(attack):
    attack.established()
    attack.send(attack.side.client_init)


# Against a client.


@fault("order/ServerFinished before ServerInit", ours="client")
def server_finished_first(attack):
    attack.begin()
    first, second = attack.side.flight()
    # The client has no keys yet: so its alert is in plaintext.
    attack.side.secrets = None
    attack.send(second, first)


@fault("order/ServerInit twice", ours="client")
def server_init_twice(attack):
    attack.keyed()
    attack.send(*attack.flight)


@fault("order/ClientFinished from a server", ours="client")
def client_finished_from_server(attack):
    attack.keyed()
    attack.send(attack.side.peer_keys().seal(CLIENT_FINISHED, bytes(512)))


@fault("order/record right behind ServerFinished", ours="client")
def record_behind_server_finished(attack):
    """Nobody can seal one before ClientFinished is known."""
    attack.begin()
    attack.send(*attack.side.flight(), GARBAGE)
    attack.side.receive_finished()


# Between handshakes.


@fault("stale/ClientInit and ClientFinished of an earlier handshake", ours="server")
def stale_client(attack):
    earlier, side = attack.another(), attack.side
    side.shares, side.init = earlier.shares, earlier.init
    side.hooks = {"init_frame": lambda _: earlier.client_init}
    attack.keyed()
    assert side.answer.random != earlier.answer.random, "the server repeats its random"
    assert side.answer.share != earlier.answer.share, "the server repeats its share"
    attack.send(earlier.client_finished)


@fault("stale/ServerInit and ServerFinished of an earlier handshake", ours="client")
def stale_server(attack):
    earlier, side = attack.another(), attack.side
    attack.begin()
    assert side.init.random != earlier.init.random, "the client repeats its random"
    assert side.init.shares != earlier.init.shares, "the client repeats its share"
    transcript = Transcript(side.client_init)
    shared = earlier.share.agree(side.init.shares[0][1])
    side.secrets = Secrets(shared, transcript.add(earlier.sent[0]))
    attack.send(*earlier.sent)


@fault("stale/Finished of an earlier handshake")
def stale_finished(attack):
    earlier = attack.another()
    attack.keyed()
    attack.send(earlier.client_finished if attack.ours == "server" else earlier.sent[1])


@fault("stale/content of an earlier Finished, sealed anew")
def stale_content(attack):
    earlier = attack.another()
    attack.keyed()
    if attack.ours == "server":
        kind, whole = CLIENT_FINISHED, earlier.client_finished
    else:
        kind, whole = SERVER_FINISHED, earlier.sent[1]
    plaintext = earlier.own_keys().open(kind, whole[8:])
    attack.send(attack.side.own_keys().seal(kind, plaintext))


@fault("stale/records of an earlier connection")
def stale_records(attack):
    earlier = attack.another()
    attack.established()
    attack.send(earlier.records.sending.seal(b"stale"))
