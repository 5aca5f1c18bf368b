"""The client commands of alts-nbd with the servers that people use, and with our own, checked byte by byte.

servers.py [--only WORD] [--pki DIRECTORY] PROGRAM

PROGRAM is alts-nbd. With certificates in a directory, named as nbdkit looks for them, TLS is tried, too. Every server is told to serve one image; it is read and written over the network, and compared.
"""
import argparse
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
SIZE = 48 * MIB
LONGEST = 120


class Fault(Exception):
    pass


def run(*command, status=0):
    """Runs a program that has to end with this status, and returns what it prints."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, stdin=subprocess.DEVNULL)
    if done.returncode != status:
        raise Fault(f"{' '.join(command)}: exit status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def allocated(path):
    return os.stat(path).st_blocks * 512


def make_image(path, seed):
    """Data at odd and even places, written zeroes, and holes for the most part."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for offset, length in ((0, 4096), (3 * MIB, 5 * MIB), (21 * MIB + 1, 1), (33 * MIB + 512, 70_001), (47 * MIB, MIB)):
            file.seek(offset)
            file.write(rng.randbytes(length))
        file.seek(12 * MIB)
        file.write(bytes(MIB))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """A server of a program's own, until the end of a `with`."""

    def __init__(self, command, disk, folder, pki=None):
        self.pki = pki if "PKI" in command else None
        command = command.replace("PKI", pki or "")
        self.port, self.disk, self.folder = free_port(), disk, folder
        places = {"PORT": str(self.port), "DISK": str(disk)}
        places |= {name: str(folder / name.lower()) for name in ("SOCKET", "CONFIG", "PIDFILE")}
        (folder / "socket").unlink(missing_ok=True)
        (folder / "config").write_text(
            f"[generic]\nport={self.port}\nlistenaddr=127.0.0.1\n[disk]\nexportname={disk}\nflush=true\nfua=true\ntrim=true\n"
        )
        # A server that goes to the background says who it is then.
        self.unix, self.leaves = "SOCKET" in command, "PIDFILE" in command
        for place, value in places.items():
            command = command.replace(place, value)
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen(command.split(), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + 60
        while True:
            if self.process.poll() is not None and not self.leaves:
                raise Fault(f"the server does not start: {Path(self.log.name).read_text()}")
            with socket.socket(socket.AF_UNIX if self.unix else socket.AF_INET) as probe:
                address = str(self.folder / "socket") if self.unix else ("127.0.0.1", self.port)
                if probe.connect_ex(address) == 0:
                    return self
            if time.monotonic() > end:
                raise Fault("the server does not listen")
            time.sleep(0.05)

    def __exit__(self, *_):
        if self.leaves:
            os.kill(int((self.folder / "pidfile").read_text()), signal.SIGTERM)
        else:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def uri(self, name=""):
        if self.unix:
            return f"nbd+unix:///{name}?socket={self.folder}/socket"
        if self.pki:
            return f"nbds://localhost:{self.port}/{name}?tls-certificates={self.pki}"
        return f"nbd://127.0.0.1:{self.port}/{name}"


# Name, command, export, and what it cannot do: keep holes (it tells nothing of them, or makes none).
WORKING = [
    ("nbdkit", "nbdkit -f -p PORT file DISK", "", True),
    ("nbdkit without structured replies", "nbdkit -f -p PORT --no-sr file DISK", "", False),
    ("nbdkit with padding", "nbdkit -f -p PORT --mask-handshake=1 file DISK", "", True),
    ("nbdkit without options", "nbdkit -f -p PORT --mask-handshake=0 file DISK", "", False),
    (
        "nbdkit with blocks of 4 KiB",
        "nbdkit -f -p PORT --filter=blocksize-policy file DISK blocksize-minimum=4096 blocksize-preferred=65536"
        " blocksize-maximum=1M blocksize-error-policy=error",
        "",
        True,
    ),
    ("nbdkit that is slow", "nbdkit -f -p PORT --filter=delay file DISK delay-read=3ms delay-write=1ms", "", True),
    ("nbdkit without extents and zeroes", "nbdkit -f -p PORT --filter=noextents --filter=nozero file DISK", "", False),
    ("nbdkit, one connection", "nbdkit -f -p PORT --filter=noparallel --filter=multi-conn file DISK multi-conn-mode=disable", "", True),
    ("nbdkit on a Unix socket", "nbdkit -f -U SOCKET file DISK", "", True),
    ("qemu-nbd", "qemu-nbd -t -e 8 -b 127.0.0.1 -p PORT -x disk --discard=unmap -f raw DISK", "disk", True),
    ("qemu-nbd on a Unix socket", "qemu-nbd -t -e 8 -k SOCKET -x disk --discard=unmap -f raw DISK", "disk", True),
    ("nbdkit with TLS", "nbdkit -f -p PORT --tls=require --tls-certificates=PKI file DISK", "", True),
    (
        "alts-nbd with TLS",
        "PROGRAM serve --log warn --listen 127.0.0.1:PORT --export disk=file:DISK --tls-required"
        " --tls-cert PKI/server-cert.pem --tls-key PKI/server-key.pem",
        "disk",
        True,
    ),
    ("nbd-server", "nbd-server -C CONFIG -p PIDFILE", "disk", False),
    ("alts-nbd", "PROGRAM serve --log warn --listen 127.0.0.1:PORT --export disk=file:DISK", "disk", True),
    (
        "alts-nbd on a Unix socket, whole requests",
        "PROGRAM serve --log warn --listen unix:SOCKET --export disk=file:DISK,strategy=whole",
        "disk",
        True,
    ),
]


def works(program, served, name, sparse):
    """Everything, both ways."""
    uri, folder = served.uri(name), served.folder
    told = json.loads(run(program, "info", "--json", uri))["exports"][0]
    assert told["size"] == SIZE and not told["is_read_only"], told
    assert run(program, "info", "--size", uri).strip() == str(SIZE)
    assert f"{SIZE} (48 MiB)" in run(program, "info", uri)

    original = digest(served.disk)
    back = folder / "back"
    for arguments in ([], ["--connections", "1", "--requests", "3"], ["--request-size", "4M", "--no-extents"], ["--sparse", "0"]):
        back.unlink(missing_ok=True)
        run(program, "copy", *arguments, uri, back)
        assert digest(back) == original, f"what was read is another thing {arguments}"
        if arguments != ["--sparse", "0"]:
            assert allocated(back) <= 9 * MIB, f"{arguments}: {allocated(back)} bytes are allocated"
    if told["contexts"]:
        ranges = json.loads(run(program, "map", "--json", uri))
        assert sum(part["length"] for part in ranges) == SIZE
        ends = [part["offset"] + part["length"] for part in ranges]
        assert [part["offset"] for part in ranges] == [0] + ends[:-1]
        totals = json.loads(run(program, "map", "--json", "--totals", uri))
        assert sum(totals.values()) == SIZE and (not sparse or totals["data"] < 16 * MIB), totals

    other = folder / "other"
    make_image(other, 8)
    run(program, "copy", "--flush", other, uri)
    assert digest(served.disk) == digest(other), "what was written is another thing"
    if sparse:
        assert allocated(served.disk) <= 12 * MIB, f"{allocated(served.disk)} bytes are allocated"
    for arguments in (["--write"], ["--sequential", "--block-size", "64k", "--depth", "4"]):
        figures = json.loads(run(program, "bench", "--json", "--time", "200ms", *arguments, uri))
        assert figures["requests"] > 0, figures


def reads(program, served, name, _):
    """A server that takes no writes."""
    back = served.folder / "back"
    run(program, "copy", served.uri(name), back)
    assert digest(back) == digest(served.disk)
    assert json.loads(run(program, "info", "--json", served.uri(name)))["exports"][0]["is_read_only"]
    assert "read-only" in run(program, "copy", served.disk, served.uri(name), status=1)


def fails(status, text):
    """A server from which nothing can be had, with this exit status and message."""

    def check(program, served, name, _):
        back = served.folder / "back"
        said = run(program, "copy", served.uri(name), back, status=status)
        assert text in said, said

    return check


def survives(program, served, name, _):
    """A server that fails now and then: an error, or the right bytes."""
    back = served.folder / "back"
    done = subprocess.run([program, "copy", served.uri(name), back], capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode in (0, 6), done
    assert done.returncode or digest(back) == digest(served.disk)


OTHERS = [
    ("nbdkit, read-only", "nbdkit -f -r -p PORT file DISK", "", reads),
    ("alts-nbd, read-only", "PROGRAM serve --log warn --listen 127.0.0.1:PORT --export disk=file:DISK,ro", "disk", reads),
    (
        "nbdkit whose every read fails",
        "nbdkit -f -p PORT --filter=error file DISK error-pread=EIO error-pread-rate=100%",
        "",
        fails(6, "EIO"),
    ),
    (
        "nbdkit that fails now and then",
        "nbdkit -f -p PORT --filter=error file DISK error-pread=ENOSPC error-pread-rate=2%",
        "",
        survives,
    ),
    ("nbdkit, oldstyle", "nbdkit -f -o -p PORT file DISK", "", fails(4, "oldstyle")),
    ("nbdkit that insists on TLS", "nbdkit -f -p PORT --tls=require --tls-psk=/dev/null file DISK", "", fails(6, "TLS")),
    ("qemu-nbd of another name", "qemu-nbd -t -e 8 -b 127.0.0.1 -p PORT -x other -f raw DISK", "disk", fails(6, "no such export")),
    ("nbd-server of another name", "nbd-server -C CONFIG -p PIDFILE", "other", fails(6, "no such export")),
    ("alts-nbd of another name", "PROGRAM serve --log warn --listen 127.0.0.1:PORT --export a=file:DISK", "b", fails(6, "no such export")),
]


def between(program, folder):
    """From one server to another, and no server at all."""
    one, two = folder / "one.img", folder / "two.img"
    make_image(one, 3)
    make_image(two, 4)
    with Served(f"{program} serve --log warn --listen 127.0.0.1:PORT --export x=file:DISK", one, folder) as source:
        apart = folder / "apart"
        apart.mkdir()
        with Served("nbdkit -f -p PORT file DISK", two, apart) as sink:
            run(program, "copy", "--flush", source.uri("x"), sink.uri())
            assert digest(one) == digest(two)
            run(program, "copy", source.uri("x"), "null:")
        listed = json.loads(run(program, "info", "--list", "--json", source.uri()))["exports"]
        assert [export["name"] for export in listed] == ["x"], listed
        small = folder / "small"
        with open(small, "wb") as file:
            file.truncate(SIZE + 512)
        assert "too small" in run(program, "copy", small, source.uri("x"), status=1)
        nobody = f"nbd://127.0.0.1:{free_port()}/"
        assert "cannot connect" in run(program, "info", nobody, status=3)
        assert "same file" in run(program, "copy", one, one, status=1)
        run(program, "copy", source.uri("x"), "/nonexistent/x", status=1)
        run(program, "info", "nbd://h/?color=red", status=2)


def restarted(program, folder):
    """A server that is killed in the middle, and comes back."""
    disk, back = folder / "disk.img", folder / "back"
    make_image(disk, 6)
    # Slow enough to be caught.
    command = f"nbdkit -f -p {free_port()} --filter=delay --filter=noextents file {disk} delay-read=40ms"
    start = lambda: subprocess.Popen(command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = start()
    copying = None
    try:
        port = command.split()[3]
        while socket.socket().connect_ex(("127.0.0.1", int(port))):
            time.sleep(0.05)
        copying = subprocess.Popen(
            [program, "copy", "--reconnect", "50", "--requests", "4", "--connections", "2", f"nbd://127.0.0.1:{port}/", back],
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3):
            time.sleep(0.3)
            server.kill()
            server.wait()
            assert copying.poll() is None, copying.communicate()
            server = start()
        said = copying.communicate(timeout=LONGEST)[1]
        assert copying.returncode == 0, said
        assert digest(back) == digest(disk)
    finally:
        server.kill()
        server.wait()
        if copying:
            copying.kill()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", default="")
    arguments.add_argument("--pki")
    arguments.add_argument("program")
    given = arguments.parse_args()
    passed, failed = 0, 0
    checks = [(name, command, export, works, sparse) for name, command, export, sparse in WORKING]
    checks += [(name, command, export, function, False) for name, command, export, function in OTHERS]

    def one(name, function):
        nonlocal passed, failed
        if given.only not in name:
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(Path(folder))
                passed += 1
            except Exception as error:  # Whatever it is, the others are tried.
                failed += 1
                print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)

    for name, command, export, function, sparse in checks:
        if "PKI" in command and not given.pki:
            continue

        def check(folder):
            disk = folder / "disk.img"
            make_image(disk, 5)
            with Served(command.replace("PROGRAM", given.program), disk, folder, given.pki) as served:
                function(given.program, served, export, sparse)

        one(name, check)
    one("between servers, and faults of this side", lambda folder: between(given.program, folder))
    one("a server that is killed and comes back", lambda folder: restarted(given.program, folder))
    print(f"alts-nbd as a client: {passed} passed, {failed} failed", flush=True)
    sys.exit(failed > 0)


main()
