"""TCP relays between a client and a server: one makes single bytes of everything, both count bytes and ALTS records."""

import socket
import struct
import threading
import time

RECORD = 6
"""The message type of a record; the frames of the handshake have others."""


class Counter:
    """Finds the frames in a stream of bytes: a length without itself, a type, the rest."""

    def __init__(self):
        self.bytes = 0
        self.records = 0
        self.header = b""
        self.rest = 0

    def feed(self, data):
        position, end = 0, len(data)
        self.bytes += end
        while position < end:
            if self.rest:
                step = min(self.rest, end - position)
                self.rest -= step
                position += step
                continue
            need = 8 - len(self.header)
            self.header += data[position : position + need]
            position += need
            if len(self.header) == 8:
                length, kind = struct.unpack("<II", self.header)
                self.header = b""
                self.rest = max(length - 4, 0)
                self.records += kind == RECORD


class Relay:
    """Listens on an address of its own and passes everything on to another.

    The first `single` bytes of each direction go one at a time.
    """

    def __init__(self, target, single=0):
        self.target = target
        self.single = single
        self.up, self.down = Counter(), Counter()
        self.connections = 0
        self.sockets = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.lock:
            for each in [self.listener, *self.sockets]:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                each.close()

    def _accept(self):
        host, _, port = self.target.rpartition(":")
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection((host, int(port)), timeout=10)
            except OSError:
                return
            server.settimeout(None)
            with self.lock:
                self.connections += 1
                self.sockets += [client, server]
            for each in client, server:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for end, other, counter in (client, server, self.up), (server, client, self.down):
                threading.Thread(target=self._pump, args=(end, other, counter), daemon=True).start()

    def _pump(self, source, sink, counter):
        single = self.single
        try:
            while data := source.recv(1 << 18):
                counter.feed(data)
                alone, data = data[:single], data[single:]
                single -= len(alone)
                for position in range(len(alone)):
                    sink.sendall(alone[position : position + 1])
                    # Long enough for the other side to read it alone, mostly.
                    time.sleep(0.00005)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # A connection that ends on one side ends on the other.
            for each in source, sink:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
