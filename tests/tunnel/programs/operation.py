"""What systemd and operators do with it, while it is in use."""

import signal
import socket
import urllib.error

from lab import Tunnel, digest, random_bytes, wait_until
from streams import serve


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def sockets_from_systemd(lab):
    """systemd's own program opens the socket, and starts the tunnel at the first connection."""
    activate = lab.need("systemd-socket-activate")
    port = _free_port()
    echo = serve(lab, lambda connection: connection.sendall(connection.recv(100)))
    command = [lab.alts, "tunnel", "server", "--listen", "systemd:tunnel", "--target", echo, "--allow-all", *lab.identity("server")]
    activated = lab.start("activated", activate, "-l", f"127.0.0.1:{port}", "--fdname=tunnel", *command)
    activated.wait_for_log("Listening on")
    client = lab.client(f"127.0.0.1:{port}")
    for _ in range(3):
        with client.connect() as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"hello"
    activated.wait_for_log(f"ready listen=127.0.0.1:{port}")


SIZE = 24 << 20


def _transfer(lab):
    """A pair of tunnels with an answer half read."""
    data = random_bytes(SIZE)

    def send(connection):
        connection.sendall(data)
        # Until the reader has it all.
        connection.recv(1)

    server, client = lab.pair(serve(lab, send))
    connection = client.connect()
    received = bytearray()

    def read(count):
        while len(received) < count:
            chunk = connection.recv(1 << 16)
            assert chunk, f"it ended after {len(received)} bytes"
            received.extend(chunk)

    def finish():
        read(SIZE)
        assert digest(received) == digest(data), "what arrived differs"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
        connection.close()

    read(SIZE // 8)
    return server, client, read, finish


def reload_during_a_transfer(lab):
    """New certificates are taken over; what has been going on is not touched."""
    server, client, read, finish = _transfer(lab)
    for number in range(1, 4):
        for name, side in (("server", server), ("client", client)):
            lab.issue(name)
            side.signal(signal.SIGHUP)
            # The files are watched, too: whoever comes first counts.
            wait_until(lambda: side.metric("alts_tunnel_identity_reloads_total") >= number, f"reload {number} of {side.name}")
        read(SIZE // 8 * (number + 1))
        with client.connect() as another:
            assert another.recv(1), "a new connection after the reload"
    finish()
    for side in (server, client):
        assert "cannot" not in side.log() and side.metric("alts_tunnel_identity_reload_failures_total") == 0, side.log()


def sigterm_during_a_transfer(lab):
    """Nobody new; who is there gets everything, and then both sides end with 0."""
    server, client, read, finish = _transfer(lab)
    for side in (client, server):
        side.signal(signal.SIGTERM)

        def is_unready():
            try:
                side.status("/readyz")
            except urllib.error.HTTPError as error:
                return error.code == 503
            return False

        def refuses():
            try:
                side.connect().close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(is_unready, f"{side.name} is not ready any more")
        # It says so before it closes its sockets.
        wait_until(refuses, f"{side.name} takes no more connections after SIGTERM")
    read(SIZE // 2)
    assert server.process.poll() is None and client.process.poll() is None
    finish()
    assert client.wait() == 0, client.log()
    assert server.wait() == 0, server.log()
