"""Programs under test, identities and scratch files of one test. Everything that was started ends with it."""

import glob
import hashlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

# Only a test that fails waits for so long, in seconds.
PATIENCE = 100


class Skipped(Exception):
    """A program is not there."""


def wait_until(reached, what):
    """Waits for something that is bound to happen."""
    deadline = time.monotonic() + PATIENCE
    while not (value := reached()):
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.01)
    return value


def random_bytes(size, seed=1):
    return random.Random(seed).randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Program:
    """A program that was started. Its output is in a file."""

    def __init__(self, lab, name, command, **more):
        self.name = name
        self.log_path = lab.path / f"{len(lab.programs)}-{name}.log"
        with open(self.log_path, "wb") as log:
            more = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log} | more
            self.process = subprocess.Popen([str(word) for word in command], start_new_session=True, **more)
        lab.programs.append(self)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, words):
        wait_until(lambda: words in self.log(), f"{words!r} in the log of {self.name}")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE)

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Tunnel(Program):
    """`alts tunnel` or `alts relay`, whose address is known once it is ready."""

    def __init__(self, lab, name, command, **more):
        super().__init__(lab, name, command, **more)
        self.ready = wait_until(self._ready, f"{name} is ready")
        self.address = self.ready["listen"]

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log()}")
        for line in self.log().splitlines():
            if line.startswith("ready "):
                return dict(word.split("=", 1) for word in line.split()[1:])
        return None

    @property
    def host_and_port(self):
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    @property
    def port(self):
        return self.host_and_port[1]

    def url(self, path):
        return f"http://{self.address}{path}"

    def connect(self):
        return socket.create_connection(self.host_and_port, PATIENCE)

    def status(self, path):
        with urllib.request.urlopen(f"http://{self.ready['status']}{path}", timeout=PATIENCE) as answer:
            return answer.read().decode()

    def metric(self, name):
        for line in self.status("/metrics").splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return 0.0

    def wait_for_metric(self, name, value):
        wait_until(lambda: self.metric(name) == value, f"{name} is {value} at {self.name}, not {self.metric(name)}")


class Lab:
    def __init__(self, alts):
        self.alts = alts
        self.programs = []
        self._directory = tempfile.TemporaryDirectory(prefix="alts-", ignore_cleanup_errors=True)
        self.path = pathlib.Path(self._directory.name)
        # Some of the programs change their user.
        self.path.chmod(0o755)

    def __enter__(self):
        self._has_authority = False
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.kill()
        self._directory.cleanup()

    def show_logs(self):
        for program in self.programs:
            print(f"--- {program.name}\n{program.log()[-3000:]}")

    def need(self, *names):
        """Where these programs are; Debian keeps PostgreSQL's apart."""
        folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *glob.glob("/usr/lib/postgresql/*/bin")])
        found = [shutil.which(name, path=folders) for name in names]
        if missing := [name for name, path in zip(names, found) if not path]:
            raise Skipped(f"there is no {', '.join(missing)}")
        return found if len(found) > 1 else found[0]

    def start(self, name, *command, **more):
        return Program(self, name, command, **more)

    def output(self, *command, **more):
        """What a program prints that has to succeed."""
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=PATIENCE, **more)
        if done.returncode:
            raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout

    def wait_for_socket(self, path):
        """Waits for a listening Unix socket, without connecting to it: some programs take one connection only."""

        def listens():
            with open("/proc/net/unix") as table:
                # Flags are in the fourth column, the path in the last; HAProxy gives it a suffix first, and then renames it.
                rows = (line.split() for line in table)
                return any(row[3] == "00010000" and row[-1].startswith(str(path)) for row in rows)

        wait_until(lambda: path.exists() and listens(), f"somebody listens at {path}")

    # Identities and tunnels.

    def issue(self, name):
        """A new certificate for spiffe://dev.local/NAME."""
        dev_ca = [self.alts, "dev-ca"]
        directory = ["--dir", self.path / "dev-ca"]
        if not self._has_authority:
            self.output(*dev_ca, "init", *directory)
            self._has_authority = True
        self.output(*dev_ca, "issue", f"spiffe://dev.local/{name}", *directory)

    def identity(self, name):
        folder = self.path / "dev-ca" / name
        if not folder.exists():
            self.issue(name)
        files = ["--cert", folder / "chain.pem", "--key", folder / "key.pem", "--bundle", f"dev.local={folder}/bundle.pem"]
        return ["--dev", *files]

    def _serving(self, listen, target):
        return ["--listen", listen, "--target", target, "--status", "127.0.0.1:0"]

    def server(self, target, *more, listen="127.0.0.1:0"):
        command = [self.alts, "tunnel", "server", *self._serving(listen, target), "--allow", "spiffe://dev.local/client"]
        return Tunnel(self, "tunnel-server", [*command, *self.identity("server"), *more])

    def client(self, target, *more, listen="127.0.0.1:0"):
        command = [self.alts, "tunnel", "client", *self._serving(listen, target), "--server", "spiffe://dev.local/server"]
        return Tunnel(self, "tunnel-client", [*command, *self.identity("client"), *more])

    def pair(self, target, *more):
        """A server before the target, and a client before that: what a plain program connects to."""
        server = self.server(target, *more)
        return server, self.client(server.address)
