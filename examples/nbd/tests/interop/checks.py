"""What widespread clients do with an export, checked byte by byte.

checks.py [--quick] [--only WORD] [--must-fail] URI...

The export at each URI must be writable and have at least 64 MiB; it is overwritten. `--quick` leaves out what takes long and does not
depend on the export; `--must-fail` expects that nobody gets in, and no client hangs.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbd

MIB = 1 << 20
SIZE = 64 * MIB
LONGEST = 120


def run(*command, fails=False):
    """Runs a program, and returns what it prints."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, stdin=subprocess.DEVNULL)
    if done.returncode < 0 or (done.returncode != 0) != fails:
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def renamed(uri, name):
    parts = urlsplit(uri)
    host = f"//{parts.netloc}" if parts.netloc else "//"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}:{host}/{quote(name)}{query}"


class Export:
    """One URI, with an image to write to it."""

    def __init__(self, uri, folder):
        self.uri = uri
        self.image = folder / "image"
        self.back = folder / "back"
        rng = random.Random(5)
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
            # Data, data that are zeroes, single bytes at odd places, and holes between them.
            for offset, length in ((0, 4096), (3 * MIB, 5 * MIB), (21 * MIB + 1, 1), (33 * MIB + 512, 70_001), (63 * MIB, MIB)):
                file.seek(offset)
                file.write(rng.randbytes(length))
            file.seek(12 * MIB)
            file.write(bytes(MIB))
            file.seek(41 * MIB)
            file.write(b"a block device says hello")

    def is_secure(self):
        return self.uri.startswith("nbds")

    def connect(self, structured=True, context=False):
        handle = nbd.NBD()
        handle.set_uri_allow_local_file(True)
        handle.set_request_structured_replies(structured)
        if context:
            handle.add_meta_context("base:allocation")
        handle.connect_uri(self.uri)
        # The server is to be asked for what makes no sense, too.
        handle.set_strict_mode(0)
        return handle

    def same(self):
        """Whether the first bytes of what came back are the image."""
        with open(self.image, "rb") as one, open(self.back, "rb") as other:
            for _ in range(SIZE // MIB):
                if one.read(MIB) != other.read(MIB):
                    return False
        self.back.unlink()
        return True


def error_of(call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        return error.errno
    return None


def alive(handle):
    handle.pread(512, 0)


CHECKS = []


def check(name, quick=True, secure=True):
    def add(function):
        CHECKS.append((name, function, quick, secure))
        return function

    return add


@check("nbdinfo tells what the export is capable of")
def info(export):
    told = json.loads(run("nbdinfo", "--json", export.uri))["exports"][0]
    assert told["export-size"] >= SIZE and not told["is_read_only"], told
    for capability in ("can_flush", "can_fua", "can_df", "can_zero", "can_trim", "can_multi_conn", "can_cache"):
        assert told[capability], capability
    assert told["contexts"] == ["base:allocation"], told


@check("nbdinfo lists the exports", quick=False)
def names(export):
    exports = json.loads(run("nbdinfo", "--list", "--json", renamed(export.uri, "")))["exports"]
    assert "plain" in [listed["export-name"] for listed in exports], exports


@check("nbdinfo maps every byte")
def extents(export):
    size = int(run("nbdinfo", "--size", export.uri))
    at = 0
    for extent in json.loads(run("nbdinfo", "--map", "--json", export.uri)):
        assert extent["offset"] == at and extent["length"] > 0, extent
        at += extent["length"]
    assert at == size, (at, size)


@check("nbdinfo of an export that does not exist", quick=False)
def unknown(export):
    assert "no export" in run("nbdinfo", "--size", renamed(export.uri, "not this one"), fails=True)


@check("nbdcopy there and back")
def copy(export):
    run("nbdcopy", "--flush", export.image, export.uri)
    run("nbdcopy", export.uri, export.back)
    assert export.same()


@check("nbdcopy with many and large requests", quick=False)
def copy_large(export):
    for options in (("--connections=4", "--requests=64", f"--request-size={MIB}"), ("--requests=4", f"--request-size={32 * MIB}"), ("--synchronous",)):
        run("nbdcopy", *options, export.image, export.uri)
        run("nbdcopy", *options, export.uri, export.back)
        assert export.same(), options


@check("nbddump")
def dump(export):
    run("nbdcopy", export.image, export.uri)
    assert "a block device s" in run("nbddump", f"--length={42 * MIB}", export.uri)


@check("qemu-img info, map and compare", secure=False)
def qemu_look(export):
    run("nbdcopy", export.image, export.uri)
    told = json.loads(run("qemu-img", "info", "--output=json", "-f", "raw", export.uri))
    assert told["virtual-size"] >= SIZE
    run("qemu-img", "map", "-f", "raw", "--output=json", export.uri)
    run("nbdcopy", export.uri, export.back)
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", export.uri, export.back)
    assert export.same()


@check("qemu-img convert there and back", secure=False)
def qemu_convert(export):
    for options in ((), ("-W", "-m", "16")):
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", *options, export.image, export.uri)
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", *options, export.uri, export.back)
        assert export.same(), options


@check("qemu-img bench", quick=False, secure=False)
def qemu_bench(export):
    run("qemu-img", "bench", "-f", "raw", "-t", "none", "-c", "2000", "-d", "64", "-s", "4096", export.uri)
    run("qemu-img", "bench", "-f", "raw", "-w", "-c", "500", "-d", "16", "-s", "65536", export.uri)


@check("qemu-io: patterns, zeroes, discard, FUA", secure=False)
def qemu_io(export):
    steps = [
        "write -P 0x5a 0 64k", "read -P 0x5a 0 64k", "write -P 7 3 5", "read -P 7 3 5", "read -P 0x5a 8 504",
        "write -f -P 9 1M 3M", "read -P 9 1M 3M", "write -z 2M 128k", "read -P 0 2M 128k", "read -P 9 2176k 64k",
        "write -z -u 3M 64k", "read -P 0 3M 64k", "discard 1M 64k", "writev -P 3 5M 4k 8k 512", "readv -P 3 5M 4k 8k 512",
        "aio_write -P 1 8M 1M", "aio_write -P 2 9M 1M", "aio_flush", "read -P 1 8M 1M", "read -P 2 9M 1M", "flush",
    ]
    options = [part for step in steps for part in ("-c", step)]
    told = run("qemu-io", "-f", "raw", *options, export.uri).lower()
    assert not any(word in told for word in ("failed", "error", "verification")), told


@check("an ext4 file system, made and checked in the export", quick=False, secure=False)
def file_system(export):
    # Made in a file: nothing here needs a kernel that knows NBD.
    run("qemu-img", "create", "-f", "raw", export.back, str(SIZE))
    run("mkfs.ext4", "-q", "-F", export.back)
    run("nbdcopy", export.back, export.uri)
    export.back.unlink()
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", export.uri, export.back)
    run("e2fsck", "-f", "-n", export.back)
    export.back.unlink()


@check("fio verifies what it writes", secure=False)
def fio(export):
    told = run("fio", "--name=verify", "--ioengine=nbd", f"--uri={export.uri}", "--rw=randwrite", "--bs=4k-256k", "--size=32m", "--iodepth=16", "--verify=crc32c", "--do_verify=1", "--verify_state_save=0", "--verify_fatal=1")
    assert "err= 0" in told, told


@check("fio with four jobs", quick=False, secure=False)
def fio_jobs(export):
    told = run("fio", "--name=jobs", "--ioengine=nbd", f"--uri={export.uri}", "--rw=randrw", "--bs=4k", "--size=32m", "--io_size=16m", "--iodepth=16", "--numjobs=4", "--group_reporting")
    assert "err= 0" in told, told


@check("libnbd: requests that make no sense")
def hostile(export):
    handle = export.connect()
    size = handle.get_size()
    for name, call, arguments, expected in (
        ("read at the end", handle.pread, (512, size), "EINVAL"),
        ("read across the end", handle.pread, (1024, size - 512), "EINVAL"),
        ("read far beyond", handle.pread, (512, (1 << 63) - 512), "EINVAL"),
        ("write across the end", handle.pwrite, (bytes(1024), size - 512), "ENOSPC"),
        ("write far beyond", handle.pwrite, (bytes(1024), (1 << 63) - 1024), "ENOSPC"),
        ("trim across the end", handle.trim, (1024, size - 512), "EINVAL"),
        ("zeroes across the end", handle.zero, (1024, size - 512), "ENOSPC"),
        ("cache across the end", handle.cache, (1024, size - 512), "EINVAL"),
        ("unknown flag of a read", handle.pread, (512, 0, 0x8000), "EINVAL"),
        ("unknown flag of a write", handle.pwrite, (bytes(512), 0, 0x4000), "EINVAL"),
        ("a write with DF", handle.pwrite, (bytes(512), 0, nbd.CMD_FLAG_DF), "EINVAL"),
        ("status without a context", handle.block_status, (512, 0, lambda *_: 0), "EINVAL"),
    ):
        found = error_of(call, *arguments)
        assert found == expected, (name, found)
        alive(handle)
    for call, arguments in ((handle.pread, (0, 0)), (handle.pwrite, (b"", 0)), (handle.trim, (0, 0)), (handle.zero, (0, 0))):
        error_of(call, *arguments)
        alive(handle)
    handle.shutdown()


@check("libnbd: unaligned ranges")
def unaligned(export):
    handle = export.connect()
    handle.pwrite(b"q" * 777, 12_345)
    assert handle.pread(779, 12_344)[1:-1] == b"q" * 777
    handle.shutdown()


@check("libnbd: zeroes, fast or not at all")
def fast_zero(export):
    handle = export.connect()
    found = error_of(handle.zero, 65_536, 0, nbd.CMD_FLAG_FAST_ZERO)
    assert found in ((None, "ENOTSUP") if handle.can_fast_zero() else ("EINVAL",)), found
    handle.pwrite(b"x" * 65_536, 0)
    handle.zero(65_536, 0, nbd.CMD_FLAG_NO_HOLE)
    assert handle.pread(65_536, 0) == bytes(65_536)
    handle.shutdown()


@check("libnbd: 32 MiB, and more than that", quick=False)
def huge(export):
    data = os.urandom(MIB) * 32
    for structured in (True, False):
        handle = export.connect(structured)
        handle.pwrite(data, MIB)
        assert handle.pread(32 * MIB, MIB) == data
        handle.shutdown()
    # The server may refuse more, or close; it has to serve the next client.
    for call in (lambda handle: handle.pread(64 * MIB, 0), lambda handle: handle.pwrite(bytes(33 * MIB), 0)):
        error_of(call, export.connect())
    alive(export.connect())


@check("libnbd: simple replies")
def simple(export):
    handle = export.connect(structured=False)
    handle.pwrite(b"simple", 4096)
    assert handle.pread(6, 4096) == b"simple" and not handle.can_df()
    assert error_of(handle.pread, 512, handle.get_size()) == "EINVAL"
    alive(handle)
    handle.shutdown()


@check("libnbd: what is allocated")
def status(export):
    handle = export.connect(context=True)
    handle.pwrite(os.urandom(65_536), 65_536)
    told = []
    handle.block_status(8 * MIB, 0, lambda name, offset, entries, error: told.append(list(entries)))
    assert len(told) == 1 and all(length > 0 for length in told[0][::2]), told
    told.clear()
    handle.block_status(65_536, 65_536, lambda name, offset, entries, error: told.append(list(entries)), nbd.CMD_FLAG_REQ_ONE)
    assert len(told[0]) == 2 and told[0][0] <= 65_536 and not told[0][1] & 2, told
    handle.shutdown()


@check("libnbd: one chunk, or many")
def chunks(export):
    handle = export.connect()
    handle.pwrite(os.urandom(MIB), 0)
    for flags, most in ((nbd.CMD_FLAG_DF, 1), (0, MIB)):
        seen = []
        handle.pread_structured(MIB, 0, lambda data, offset, kind, error: seen.append(len(data)), flags)
        assert sum(seen) == MIB and len(seen) <= most, seen
    handle.shutdown()


@check("libnbd: 256 requests in flight")
def in_flight(export):
    handle = export.connect()
    handle.set_strict_mode(3)
    data = os.urandom(MIB)
    handle.pwrite(data, 0)
    places = [(number * 97 % 256) * 4096 for number in range(256)]
    buffers = [nbd.Buffer(4096) for _ in places]
    for buffer, place in zip(buffers, places):
        handle.aio_pread(buffer, place)
    while handle.aio_in_flight():
        handle.poll(-1)
        while handle.aio_in_flight() and (cookie := handle.aio_peek_command_completed()) > 0:
            handle.aio_command_completed(cookie)
    for buffer, place in zip(buffers, places):
        assert bytes(buffer.to_bytearray()) == data[place : place + 4096]
    handle.shutdown()


@check("libnbd: haggling over options")
def options(export):
    handle = nbd.NBD()
    handle.set_uri_allow_local_file(True)
    handle.set_opt_mode(True)
    handle.connect_uri(export.uri)
    wanted = handle.get_export_name()
    handle.set_export_name("not this one")
    assert error_of(handle.opt_info) and handle.aio_is_negotiating()
    handle.set_export_name(wanted)
    handle.opt_info()
    size = handle.get_size()
    handle.opt_go()
    assert handle.get_size() == size
    alive(handle)
    handle.shutdown()
    handle = nbd.NBD()
    handle.set_uri_allow_local_file(True)
    handle.set_opt_mode(True)
    handle.connect_uri(export.uri)
    handle.opt_abort()


@check("a hundred connections", quick=False)
def many(export):
    handles = [export.connect() for _ in range(100)]
    for number, handle in enumerate(handles):
        handle.pwrite(bytes([number]) * 4096, number * 4096)
    for number, handle in enumerate(reversed(handles)):
        assert handle.pread(4096, number * 4096) == bytes([number]) * 4096


@check("nbd-client -l", quick=False, secure=False)
def nbd_client(export):
    parts = urlsplit(export.uri)
    if parts.hostname:
        assert "plain" in run("nbd-client", "-l", parts.hostname, "-p", parts.port or 10809)


@check("clients that are killed in the middle")
def killed(export):
    for command in (("nbdcopy", export.uri, "null:"), ("nbdcopy", str(export.image), export.uri)):
        for pause in (0.01, 0.03):
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause)
            client.kill()
            client.wait()
    alive(export.connect())


def refused(uri):
    """Nobody gets in, and every client says so."""
    run("nbdinfo", uri, fails=True)
    run("qemu-img", "info", "-f", "raw", uri, fails=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--must-fail", action="store_true")
    arguments.add_argument("--only", default="")
    arguments.add_argument("uris", nargs="+")
    given = arguments.parse_args()
    passed, failed = 0, 0
    for uri in given.uris:
        if given.must_fail:
            refused(uri)
            print(f"{uri}: refused, as it should be")
            continue
        with tempfile.TemporaryDirectory() as folder:
            export = Export(uri, Path(folder))
            for name, function, quick, secure in CHECKS:
                # qemu and fio have other ways to be told of certificates, or none.
                if (given.quick and not quick) or (export.is_secure() and not secure) or given.only not in name:
                    continue
                try:
                    function(export)
                    passed += 1
                except Exception as error:  # Whatever it is, the others are tried.
                    failed += 1
                    print(f"FAILED {uri}: {name}: {type(error).__name__}: {error}", flush=True)
    print(f"{' '.join(given.uris)}: {passed} passed, {failed} failed", flush=True)
    sys.exit(failed > 0)


main()
