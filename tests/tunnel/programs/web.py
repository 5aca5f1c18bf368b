"""nginx, curl and HAProxy: requests, long answers, what follows an upgrade, and who the client is."""

import base64
import hashlib
import http.server
import os
import queue
import socket
import socketserver
import struct
import threading

from lab import PATIENCE, digest, random_bytes, wait_until
from streams import read_all, serve

WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _nginx(lab, servers):
    nginx = lab.need("nginx")
    home = lab.path / "nginx"
    (home / "files").mkdir(parents=True)
    scratch = "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    user = "user root;" if os.getuid() == 0 else ""
    configuration = home / "nginx.conf"
    configuration.write_text(
        f"daemon off; {user} worker_processes 1; pid {home}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off; client_max_body_size 0;\n{scratch}{servers}}}\n"
    )
    lab.start("nginx", nginx, "-p", home, "-e", "stderr", "-c", configuration)
    return home


def _web(lab):
    """Files that can be read and written at /files/, and a program at /live/."""
    backend = lab.path / "live.sock"
    served = lab.path / "web.sock"
    home = _nginx(
        lab,
        f"""server {{
            listen unix:{served};
            location /files/ {{ root {lab.path}/nginx; dav_methods PUT; }}
            location /live/ {{
                proxy_pass http://unix:{backend}:; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout {PATIENCE}s;
                proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
            }}
        }}\n""",
    )
    lab.wait_for_socket(served)
    server, client = lab.pair(f"unix:{served}")
    return home / "files", backend, server, client


def many_requests_over_one_connection(lab):
    curl = lab.need("curl")
    files, _, server, client = _web(lab)
    (files / "small").write_bytes(b"a small file\n")
    # curl says for each request how many connections it took.
    url = client.url("/files/small?[1-500]")
    said = lab.output(curl, "-sS", "--fail", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", url).decode().split("\n")
    assert said == ["200 1", *["200 0"] * 499, ""], said
    server.wait_for_metric("alts_tunnel_connections_accepted_total", 1)
    server.wait_for_metric('alts_tunnel_connections_ended_total{reason="clean"}', 1)


def large_bodies_both_ways(lab):
    """Four at a time, up and then down."""
    curl = lab.need("curl")
    files, _, server, client = _web(lab)
    bodies = {f"body{number}": random_bytes(24 << 20, number) for number in range(4)}
    (lab.path / "up").mkdir()
    for name, body in bodies.items():
        (lab.path / "up" / name).write_bytes(body)
    parallel = ["-sS", "--fail", "--parallel", "--parallel-immediate"]
    up = [word for name in bodies for word in ("--upload-file", lab.path / "up" / name, client.url(f"/files/{name}"))]
    lab.output(curl, *parallel, *up)
    for name, body in bodies.items():
        assert digest((files / name).read_bytes()) == digest(body), f"{name} differs on the server"
    down = [word for name in bodies for word in ("-o", lab.path / name, client.url(f"/files/{name}"))]
    lab.output(curl, *parallel, *down)
    for name, body in bodies.items():
        assert digest((lab.path / name).read_bytes()) == digest(body), f"{name} differs at the client"
    server.wait_for_metric("alts_tunnel_connections_open", 0)
    assert server.metric("alts_tunnel_backward_bytes_total") > sum(map(len, bodies.values()))


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _live(path, handler):
    threading.Thread(target=_Unix(str(path), handler).serve_forever, daemon=True).start()


def long_poll(lab):
    """An answer that comes when another request has brought something."""
    curl = lab.need("curl")
    _, backend, server, client = _web(lab)
    told, waiting = queue.Queue(), threading.Semaphore(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            waiting.release()
            body = told.get(timeout=PATIENCE)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            told.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

        def address_string(self):
            return "unix"

    _live(backend, Handler)
    for number in range(5):
        asking = lab.start("curl", curl, "-sS", "--fail", client.url("/live/news"))
        assert waiting.acquire(timeout=PATIENCE)
        # Both wait by now; nothing is held meanwhile.
        server.wait_for_metric('alts_tunnel_pool_bytes{state="in_use"}', 0)
        lab.output(curl, "-sS", "--fail", "--data", f"news {number}", client.url("/live/tell"))
        assert asking.wait() == 0 and asking.log() == f"news {number}", asking.log()


def _send_frame(stream, payload, mask):
    """A binary message of a WebSocket in one frame; clients mask what they send."""
    head = bytes([0x82, (0x80 if mask else 0) | 127]) + struct.pack(">Q", len(payload))
    if mask:
        key = bytes([1, 2, 3, 4])
        pad = (key * (len(payload) // 4 + 1))[: len(payload)]
        payload = (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(len(payload))
        head += key
    stream.write(head + payload)
    stream.flush()


def _receive_frame(stream):
    head = stream.read(2)
    if not head:
        return None
    assert head[0] == 0x82 and head[1] & 0x7F == 127, head
    (length,) = struct.unpack(">Q", stream.read(8))
    key = stream.read(4) if head[1] & 0x80 else bytes(4)
    payload = stream.read(length)
    pad = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(length)


def websocket(lab):
    """Behind nginx: the server greets after the upgrade, then messages of many sizes come back one by one."""
    _, backend, server, client = _web(lab)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            key = None
            while (line := self.rfile.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"sec-websocket-key":
                    key = value.strip()
            accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest())
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            self.wfile.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            _send_frame(self.wfile, b"hello", mask=False)
            while (message := _receive_frame(self.rfile)) is not None:
                _send_frame(self.wfile, message, mask=False)

    _live(backend, Handler)
    with client.connect() as connection, connection.makefile("rwb") as stream:
        key = base64.b64encode(random_bytes(16))
        stream.write(b"GET /live/socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        stream.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        stream.flush()
        answer = b"".join(iter(stream.readline, b"\r\n"))
        assert b" 101 " in answer and base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest()) in answer, answer
        assert _receive_frame(stream) == b"hello"
        for size in [0, 1, 125, 1 << 10, 1 << 16, 1 << 20, 3]:
            message = random_bytes(size, size)
            _send_frame(stream, message, mask=True)
            assert _receive_frame(stream) == message, f"a message of {size} bytes differs"
    server.wait_for_metric("alts_tunnel_connections_open", 0)


def haproxy_before_and_behind(lab):
    """HAProxy checks the tunnel's health and balances it; behind it another takes the PROXY protocol and says who the client is."""
    haproxy, curl = lab.need("haproxy", "curl")
    for version in ("v1", "v2"):
        answering = lab.path / f"answer-{version}.sock"
        server = lab.server(f"unix:{answering}", "--proxy-protocol", version)
        # HAProxy is given a socket, whose port is known.
        front = socket.create_server(("127.0.0.1", 0))
        configuration = lab.path / f"haproxy-{version}.cfg"
        configuration.write_text(f"""
defaults
    timeout connect {PATIENCE}s
    timeout client {PATIENCE}s
    timeout server {PATIENCE}s
listen before
    mode tcp
    option tcp-check
    tcp-check connect linger
    bind fd@{front.fileno()}
    server tunnel {server.address} check inter 20ms source 127.0.0.5
frontend behind
    mode http
    bind unix@{answering} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
""")
        lab.start("haproxy", haproxy, "-db", "-f", configuration, pass_fds=[front.fileno()])
        lab.wait_for_socket(answering)
        client = lab.client(f"127.0.0.1:{front.getsockname()[1]}")
        said = lab.output(curl, "-sS", "--fail", client.url("/")).decode().split()
        # What connected to the tunnel was HAProxy, from the address that it was told to take.
        assert said[0] == "127.0.0.5" and said[2:] == server.address.split(":"), said
        server.wait_for_log(f"peer=\"127.0.0.5:{said[1]}\" identity=\"spiffe://dev.local/client\"")
        # A connection that brings no byte is a probe: no warning, and nothing for the target.
        probes = 'alts_tunnel_handshake_failures_total{role="server",reason="probe"}'
        wait_until(lambda: server.metric(probes) >= 5, "HAProxy has checked the tunnel five times")
        assert "WARN" not in server.log() and "ERROR" not in server.log(), server.log()
        assert server.metric('alts_tunnel_connections_ended_total{reason="clean"}') == 1


def nginx_takes_the_proxy_protocol(lab):
    curl = lab.need("curl")
    path = lab.path / "behind.sock"
    answer = 'return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr";'
    _nginx(lab, f"server {{ listen unix:{path} proxy_protocol; location / {{ {answer} }} }}\n")
    lab.wait_for_socket(path)
    for version in ("v1", "v2"):
        server, client = lab.pair(f"unix:{path}", "--proxy-protocol", version)
        address, port, local = lab.output(curl, "-sS", "--fail", client.url("/")).decode().split()
        assert (address, local) == ("127.0.0.1", "127.0.0.1")
        server.wait_for_log(f'peer="127.0.0.1:{port}"')


def identity_of_the_client_in_proxy_protocol_v2(lab):
    """A target reads the field of type 0xE0. Over a Unix socket the addresses are not known, the identity is."""
    taken = []
    target = serve(lab, lambda connection: taken.append(read_all(connection)))
    for listen in ("127.0.0.2:0", f"unix:{lab.path}/secure.sock"):
        server = lab.server(target, "--proxy-protocol", "v2", listen=listen)
        client = lab.client(server.address)
        with client.connect() as connection:
            connection.sendall(b"and then the bytes")
        server.wait_for_metric('alts_tunnel_connections_ended_total{reason="clean"}', 1)
        wait_until(lambda: taken, "the target has all")
        header = taken.pop()
        assert header[:13] == b"\r\n\r\n\0\r\nQUIT\n\x21", header
        family, length = header[13], int.from_bytes(header[14:16])
        rest, after = header[16 : 16 + length], header[16 + length :]
        assert after == b"and then the bytes", after
        if listen.startswith("unix:"):
            assert family == 0
        else:
            assert family == 0x11 and rest[:8] == bytes([127, 0, 0, 1, 127, 0, 0, 2]), rest
            rest = rest[12:]
        identity = b"spiffe://dev.local/client"
        assert rest == bytes([0xE0, 0, len(identity)]) + identity, rest
