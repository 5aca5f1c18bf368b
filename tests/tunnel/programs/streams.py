"""Who speaks first, who ends first, and what a cut looks like."""

import signal
import socket
import threading

from lab import PATIENCE, random_bytes, wait_until

# curl's exit status.
RECEIVE_FAILED = 56


def serve(lab, handle):
    """A server of this process: one thread a connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def each(connection):
        with connection:
            try:
                handle(connection)
            except OSError:
                pass  # Tests cut connections.

    def accept():
        while True:
            connection, _ = listener.accept()
            connection.settimeout(PATIENCE)
            threading.Thread(target=each, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def read_all(connection):
    received = bytearray()
    while chunk := connection.recv(1 << 16):
        received += chunk
    return bytes(received)


def a_server_that_speaks_first(lab):
    """curl sends a mail: nothing is said before the server has greeted."""
    curl = lab.need("curl")
    mails = []

    def smtp(connection):
        lines = connection.makefile("rwb")

        def say(text):
            lines.write(text.encode() + b"\r\n")
            lines.flush()

        say("220 mail.example ready")
        for line in lines:
            verb = line.split()[0].upper()
            if verb == b"DATA":
                say("354 go on")
                mail = []
                while (line := lines.readline()) not in (b".\r\n", b""):
                    mail.append(line)
                mails.append(b"".join(mail))
                say("250 taken")
            elif verb == b"QUIT":
                return say("221 bye")
            else:
                say("250 mail.example")

    server, client = lab.pair(serve(lab, smtp))
    mail = b"Subject: hello\r\n\r\n" + b"a line of a letter\r\n" * 20_000
    envelope = ["--mail-from", "a@example.org", "--mail-rcpt", "b@example.org", "--upload-file", "-"]
    lab.output(curl, "-sS", f"smtp://{client.address}/me", *envelope, input=mail)
    wait_until(lambda: mails, "the mail has arrived")
    assert mails == [mail], "the mail differs"
    server.wait_for_metric('alts_tunnel_connections_ended_total{reason="clean"}', 1)


def client_ends_first(lab):
    """netcat sends all and ends its direction; `sort` behind socat cannot answer before that."""
    nc, socat, sort = lab.need("nc", "socat", "sort")
    path = lab.path / "sort.sock"
    lab.start("socat", socat, "-t", PATIENCE, f"UNIX-LISTEN:{path},fork", f"EXEC:{sort} -n")
    lab.wait_for_socket(path)
    server, client = lab.pair(f"unix:{path}")
    numbers = list(range(200_000))
    text = "".join(f"{number}\n" for number in reversed(numbers)).encode()
    host, port = client.host_and_port
    answer = lab.output(nc, "-N", host, port, input=text)
    assert answer == "".join(f"{number}\n" for number in numbers).encode(), "the answer differs"
    server.wait_for_metric('alts_tunnel_connections_ended_total{reason="clean"}', 1)


def server_ends_first(lab):
    """The server ends its direction at once, and takes what the client still sends."""
    nc = lab.need("nc")
    arrived = []

    def handle(connection):
        connection.sendall(b"nothing more from here\n")
        connection.shutdown(socket.SHUT_WR)
        arrived.append(read_all(connection))

    server, client = lab.pair(serve(lab, handle))
    with client.connect() as connection:
        assert read_all(connection) == b"nothing more from here\n"
        data = random_bytes(5_000_000)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        server.wait_for_metric('alts_tunnel_connections_ended_total{reason="clean"}', 1)
    wait_until(lambda: arrived, "the server has all")
    assert arrived == [data], "what the client sent after the server's end differs"
    # And as people do it: netcat that listens, and ends with its input.
    listening = lab.path / "nc.sock"
    listener = lab.start("nc", nc, "-l", "-N", "-U", listening)
    server = lab.server(f"unix:{listening}")
    client = lab.client(server.address)
    lab.wait_for_socket(listening)
    with client.connect() as connection:
        assert read_all(connection) == b""
        connection.sendall(b"late words\n")
        connection.shutdown(socket.SHUT_WR)
        listener.wait_for_log("late words")


def a_cut_is_never_the_end_of_a_whole_answer(lab):
    """An answer that ends with the connection, as in HTTP/1.0: curl has to notice when a tunnel goes in the middle of it."""
    curl = lab.need("curl")
    go_on = threading.Event()

    def http(connection):
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhalf of it\n")
        go_on.wait(PATIENCE)
        connection.sendall(b"the rest\n")

    server, client = lab.pair(serve(lab, http))

    def ask():
        asking = lab.start("curl", curl, "-sS", "--no-buffer", "--http1.0", client.url("/"))
        asking.wait_for_log("half of it")
        return asking

    whole = ask()
    go_on.set()
    assert whole.wait() == 0 and "the rest" in whole.log(), whole.log()
    go_on.clear()
    cut = ask()
    # The client's own end, at once: by the second signal.
    client.signal(signal.SIGTERM)
    client.wait_for_log("shutting down")
    client.signal(signal.SIGTERM)
    assert client.wait() == 1
    assert cut.wait() == RECEIVE_FAILED, f"curl took a cut answer for a whole one: {cut.log()}"
    client = lab.client(server.address)
    cut = ask()
    server.kill()
    assert cut.wait() == RECEIVE_FAILED, f"curl took a cut answer for a whole one: {cut.log()}"
