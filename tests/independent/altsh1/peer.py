"""Our side: the Rust program in ../peer, asked for one connection after the other."""

import errno
import json
import socket
import subprocess
import threading
import time

from .wire import PATIENCE, Wire


class Broken(Exception):
    """Our side's program does not do what it is there for."""


class Connection:
    """One connection: the wire to our side, and later our side's answer."""

    def __init__(self, wire):
        self.wire = wire
        self.answered = threading.Event()
        self.answer = None

    def outcome(self):
        if not self.answered.wait(PATIENCE):
            raise Broken("our side does not say how the connection ended")
        if "unable" in self.answer:
            raise Broken(self.answer["unable"])
        return self.answer


def listener():
    """Waits while something else on this machine has all ports."""
    for _ in range(30):
        try:
            return socket.create_server(("127.0.0.1", 0))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            time.sleep(1)
    raise Broken("no port is free")


class Peer:
    """The program, as long as the with statement lasts."""

    def __init__(self, program, log):
        with open(log, "wb") as errors:
            self.program = subprocess.Popen(
                [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        self.waiting = {}
        self.count = 0
        self.listener = listener()
        self.listener.settimeout(PATIENCE)
        self.lock = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.program.stdin.close()
        try:
            self.program.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.program.kill()

    def read(self):
        for line in self.program.stdout:
            answer = json.loads(line)
            connection = self.waiting.pop(answer["id"])
            connection.answer = answer
            connection.answered.set()
        # It has ended: nobody is answered any more.
        for connection in self.waiting.values():
            connection.answer = {"unable": "our side's program has ended"}
            connection.answered.set()

    def connect(self, **ask):
        """A connection in which our side plays the role `ask` says. One at a time is being made."""
        with self.lock:
            self.count += 1
            connection = self.waiting[self.count] = Connection(None)
            port = self.listener.getsockname()[1]
            line = json.dumps({"id": self.count, "port": port, "work": "echo", **ask})
            try:
                self.program.stdin.write(line.encode() + b"\n")
                self.program.stdin.flush()
                accepted, _ = self.listener.accept()
            except (OSError, TimeoutError) as error:
                raise Broken(f"{connection.answer or error}") from None
        connection.wire = Wire(accepted)
        return connection
