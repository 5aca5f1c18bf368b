"""Runs every client against every server and prints a table. `run` prepares everything and starts it; see README.md."""

import argparse
import http.client
import itertools
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from processes import Failure, Processes
from relay import Relay

HERE = os.path.dirname(os.path.abspath(__file__))
RUST = {"alts": "alts", "tonic": "hyper", "tonic/daemon": "hyper"}
"""Our own peers, and whose HTTP/2 they are on."""
LOCAL = ["alts", "tonic"]
"""They make their handshakes themselves, all others ask the daemon."""
KINDS = [*RUST, "grpcio", "grpc-go"]

SERVER = "spiffe://dev.local/server"
CLIENT = "spiffe://dev.local/client"
STRANGER = "spiffe://dev.local/stranger"
NOBODY = "spiffe://dev.local/somebody-else"

DAEMONS = [(who, kind) for who in ("client", "server", "stranger") for kind in KINDS if kind not in LOCAL]
"""Everybody has one of its own, so that it is known on whose behalf a daemon refuses somebody."""

CASES = ["unary", "stream", "connections", "deadline", "cancel", "forbidden"]
COLUMNS = CASES + ["bytes", "resumed", "target", "stranger", "restart"]
SINGLE_BYTES = 3000
"""More than a handshake in either direction."""

REKEY_RECORDS = 70_000
"""Keys change after 65,536 records."""
SMALL_RECORD = 4096
REKEY_PAIRS = [
    pair
    for other in ("grpc-go", "grpcio")
    for own in LOCAL
    for pair in ((own, other), (other, own))
]

CROWD_PROCESSES, CROWD_EACH = 5, 80
"""All at once, through one daemon: more than it makes handshakes at a time, and than a RemoteHandshaker has turns. One process of
grpc-go drops what it has more than 100 of."""
CROWD_SERVERS = ["tonic", "tonic/daemon", "grpc-go"]

CLIENT_SECONDS = 90
START_SECONDS = 20
WHOLE_SECONDS = 540


class Cell:
    """One outcome: passed, failed or skipped."""

    def __init__(self, word, count=0, ms=0, detail=""):
        self.word, self.count, self.ms, self.detail = word, count, ms, detail

    def fail(self, why):
        self.word, self.detail = "failed", f"{self.detail}; {why}"

    def __str__(self):
        if self.word == "ok":
            return f"{self.count} in {self.ms / 1000:.1f} s"
        return {"failed": "FAILED", "skipped": "skipped"}[self.word]


class Matrix:
    def __init__(self, options, processes, identities):
        self.options = options
        self.processes = processes
        self.identities = identities
        self.skipped = {}
        for kind, reason in ("grpcio", options.no_grpcio), ("grpc-go", options.no_go):
            if reason or options.no_sandbox:
                self.skipped[kind] = reason or options.no_sandbox
        self.results = {}
        self.rekeys, self.crowds = {}, {}
        self.daemons, self.pages, self.starts = {}, {}, 0
        self.servers = {}
        self.names = itertools.count(1)

    def kinds(self):
        return [kind for kind in KINDS if kind not in self.skipped]

    # Who runs.

    def issue_identities(self):
        """Of a development authority, for a day. And keys with which servers let clients resume."""
        command = [self.options.daemon, "dev-ca"]
        commands = [[*command, "init", "--dir", self.identities]]
        commands.append([self.options.daemon, "ticket-keys", "rotate", self.ticket_keys()])
        for name in SERVER, CLIENT, STRANGER:
            commands.append([*command, "issue", name, "--dir", self.identities])
        for command in commands:
            process = self.processes.start("dev-ca", command)
            process.wait(START_SECONDS)
            if process.popen.returncode != 0:
                raise Failure(f"no identities: {process.last_words()}")

    def ticket_keys(self):
        return os.path.join(self.identities, "ticket-keys")

    def start_daemons(self):
        for who, kind in DAEMONS:
            if kind in self.skipped:
                continue
            address, _ = self.daemons.get((who, kind)) or (free_address(self.daemons), None)
            directory = os.path.join(self.identities, who)
            command = [self.options.daemon, "serve", "--listen", f"{address}:8080", "--dev"]
            command += ["--cert", f"{directory}/chain.pem", "--key", f"{directory}/key.pem"]
            command += ["--bundle", f"dev.local={directory}/bundle.pem"]
            command += ["--allow-server", "own-trust-domain", "--deny-client", STRANGER]
            command += ["--admin", "127.0.0.1:0"]
            # Their callers know nothing of it.
            command += {"server": ["--ticket-keys", self.ticket_keys()], "client": ["--tickets", "wait"]}.get(who, [])
            name = f"daemon-{who}-{kind.replace('/', '-')}"
            self.daemons[who, kind] = address, self.processes.start(name, command)
        self.starts += 1
        for who, (_, process) in self.daemons.items():
            words = process.line("ready", START_SECONDS, self.starts).split()
            self.pages[who] = next(word for word in words if word.startswith("admin="))[6:]

    def stop_daemons(self):
        for _, process in self.daemons.values():
            process.popen.terminate()
        for _, process in self.daemons.values():
            process.wait(START_SECONDS)

    def program(self, kind, role, who):
        """The command of a peer, up to the arguments that all of them take."""
        if kind in LOCAL:
            identity = os.path.join(self.identities, who)
            return self.rust(kind, role) + ["--handshaker", "local", "--identity", identity]
        address, _ = self.daemons[who, kind]
        sandbox = [] if self.options.no_sandbox else [os.path.join(HERE, "sandbox"), address]
        if kind == "grpcio":
            return sandbox + [self.options.python, f"{HERE}/python/{role}.py"]
        if kind == "grpc-go":
            return sandbox + [f"{self.options.go}-{role}"]
        service = f"http://{address}:8080" if self.options.no_sandbox else "google"
        return sandbox + self.rust(kind, role) + ["--handshaker", service]

    def rust(self, kind, role):
        return [self.options.peer, role, "--stack", RUST[kind]]

    def start_server(self, kind, name, more=()):
        command = self.program(kind, "server", "server")
        if kind in RUST:
            command += ["--address", "127.0.0.1:0", *more]
            command += ["--deny", STRANGER] if kind in LOCAL else []
        else:
            command += ["127.0.0.1:0"]
        process = self.processes.start(f"server-{name}", command)
        return process, process.line("ready", START_SECONDS).split()[1]

    def start_client(self, kind, address, cases, who="client", stdin=False, more=()):
        command = self.program(kind, "client", who)
        command += ["--address", address, "--cases", ",".join(cases)]
        command += ["--expect-caller", f"spiffe://dev.local/{who}", "--expect-server", SERVER, *more]
        name = f"client-{next(self.names)}-{kind.replace('/', '-')}-{cases[0]}"
        return self.processes.start(name, command, stdin)

    def client(self, kind, address, cases, **more):
        return outcomes(self.start_client(kind, address, cases, **more), cases)

    # What they do.

    def pair(self, client, server):
        """All of a pair that needs nothing of the other pairs."""
        process, address = self.servers[server]
        record = self.results[client, server]
        cases = [case for case in CASES if case != "forbidden" or server in RUST]
        record.update(self.client(client, address, cases))

        with Relay(address, SINGLE_BYTES) as relay:
            found = self.client(client, relay.address, ["small"], more=["--target", SERVER])
            record["bytes"] = found["small"]

        record["resumed"] = self.resumed(client, server)

        # Who has to find out, and says so in its log or, being the client itself, in the outcome.
        judge = self.daemons.get(("client", client), (None, None))[1]
        words = "not among the target identities"
        before = judge.logged(words) if judge else 0
        found = self.client(client, address, ["refused"], more=["--target", NOBODY])
        record["target"] = found["refused"]
        if not (judge.logs(words, before + 1) if judge else words in found["refused"].detail):
            record["target"].fail("but not for the target's sake")

        judge = self.daemons.get(("server", server), (None, process))[1]
        words = f"the peer {STRANGER} is not allowed"
        before = judge.logged(words)
        record["stranger"] = self.client(client, address, ["refused"], who="stranger")["refused"]
        if not judge.logs(words, before + 1):
            record["stranger"].fail("but not by the server's policy")
        if f"caller {STRANGER}" in process.lines():
            record["stranger"].fail("and a call of the stranger was served")

    def resumed(self, client, server):
        """Two connections, one after the other. The daemons count which of them were resumed; who has none has looked itself."""
        judges = [(who, kind) for who, kind in (("client", client), ("server", server)) if kind not in LOCAL]
        before = [self.accepted(*judge) for judge in judges]
        cell = self.client(client, self.servers[server][1], ["resumed"])["resumed"]
        # A daemon has tickets of the connections before, a client of its own does not.
        wanted = 1 if client in LOCAL else 2
        for (who, kind), count in zip(judges, before):
            resumed = self.accepted(who, kind) - count
            if resumed < wanted:
                cell.fail(f"but the daemon of the {who} has resumed {resumed} handshakes, not {wanted}")
        return cell

    def accepted(self, who, kind):
        """How many tickets a handshake was resumed with, by the metrics of the daemon."""
        connection = http.client.HTTPConnection(self.pages[who, kind], timeout=START_SECONDS)
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
        connection.close()
        series = f'alts_handshaker_tickets_accepted_total{{role="{who}"}} '
        values = [line[len(series) :] for line in page.splitlines() if line.startswith(series)]
        return int(values[0]) if values else 0

    def guarded(self, client, server):
        try:
            self.pair(client, server)
        except Failure as failure:
            self.results[client, server].setdefault("unary", Cell("failed", detail=str(failure)))

    def pairs(self):
        kinds = self.kinds()
        # No server has two clients at a time, since they count its calls.
        for turn in range(len(kinds)):
            now = [(kind, kinds[(at + turn) % len(kinds)]) for at, kind in enumerate(kinds)]
            with ThreadPoolExecutor(len(now)) as pool:
                for _ in pool.map(lambda pair: self.guarded(*pair), now):
                    pass
            say(f"round {turn + 1} of {len(kinds)}: " + ", ".join("%s > %s" % pair for pair in now))

    def restart(self):
        """The daemons go away and come back, while a client of every pair waits."""
        waiting = {}
        for client, server in itertools.product(self.kinds(), self.kinds()):
            _, address = self.servers[server]
            waiting[client, server] = self.start_client(client, address, ["restart"], stdin=True)
        alive = self.paused(waiting, 1)
        self.stop_daemons()
        for pair in alive:
            waiting[pair].say("the daemons are gone")
        alive = self.paused({pair: waiting[pair] for pair in alive}, 2)
        self.start_daemons()
        for pair in alive:
            waiting[pair].say("they are back")
        for pair in alive:
            self.results[pair].update(outcomes(waiting[pair], ["restart"]))
            cell = self.results[pair]["restart"]
            wanted = "connected" if set(pair) <= set(LOCAL) else "refused"
            if cell.word == "ok" and not cell.detail.startswith(wanted):
                cell.fail(f"wanted was: {wanted} without it")
        say("daemons stopped and started again, %d clients waiting" % len(waiting))

    def crowd(self):
        """Connections of grpc-go at the same time. None is turned away where a server does not drop any itself, as grpc-go's does."""
        for server in CROWD_SERVERS:
            if "grpc-go" in self.skipped or server in self.skipped:
                continue
            address = self.servers[server][1]
            more = ["--crowd", str(CROWD_EACH)] + (["--wait"] if server == "grpc-go" else [])
            clients = [
                self.start_client("grpc-go", address, ["crowd"], more=more)
                for _ in range(CROWD_PROCESSES)
            ]
            cells = [outcomes(client, ["crowd"])["crowd"] for client in clients]
            failed = [cell.detail for cell in cells if cell.word != "ok"]
            self.crowds[server] = Cell(
                "failed" if failed else "ok",
                sum(cell.count for cell in cells),
                max(cell.ms for cell in cells),
                "; ".join(failed),
            )
            say(f"at once: grpc-go > {server}")

    def paused(self, waiting, count):
        alive = []
        for pair, process in waiting.items():
            try:
                process.line("paused", CLIENT_SECONDS, count)
                alive.append(pair)
            except Failure:
                self.results[pair].update(outcomes(process, ["restart"]))
        return alive

    def rekey(self):
        """More records in each direction of one connection than one key is used for."""
        for client, server in REKEY_PAIRS:
            if client in self.skipped or server in self.skipped:
                continue
            address = self.servers[server][1]
            if server in LOCAL:
                address = self.servers[server, "small records"][1]
            more = ["--max-frame", str(SMALL_RECORD)] if client in LOCAL else []
            for case, sender in ("upload", client), ("download", server):
                # grpcio's records are at least 16 KiB.
                record = 16 << 10 if sender == "grpcio" else SMALL_RECORD
                if self.options.quick and sender == "grpcio":
                    continue
                with Relay(address) as relay:
                    size = ["--bytes", str(record * REKEY_RECORDS)]
                    cell = self.client(client, relay.address, [case], more=more + size)[case]
                    records = (relay.up if case == "upload" else relay.down).records
                    if cell.word == "ok":
                        cell.count = records
                        if records < REKEY_RECORDS or relay.connections != 1:
                            cell = Cell(
                                "failed",
                                detail=f"{records} records on {relay.connections} connections",
                            )
                self.rekeys[client, server, case] = cell
            say(f"rekeyed: {client} > {server}")

    def run(self):
        for pair in itertools.product(KINDS, KINDS):
            absent = [kind for kind in pair if kind in self.skipped]
            self.results[pair] = (
                {column: Cell("skipped") for column in self.columns(pair)} if absent else {}
            )
        if self.options.no_sandbox:
            say("WITHOUT A SANDBOX: only the Rust peers run")
        self.issue_identities()
        self.start_daemons()
        for kind in self.kinds():
            self.servers[kind] = self.start_server(kind, kind.replace("/", "-"))
        more = ["--max-frame", str(SMALL_RECORD)]
        for kind in LOCAL:
            self.servers[kind, "small records"] = self.start_server(kind, f"{kind}-small", more)
        say("running: %d daemons and %d servers" % (len(self.daemons), len(self.servers)))
        self.pairs()
        self.restart()
        self.crowd()
        self.rekey()

    def columns(self, pair):
        return [c for c in COLUMNS if c != "forbidden" or pair[1] in RUST]

    # What came of it.

    def report(self, seconds):
        rows = [["client > server", *COLUMNS]]
        failures, words, unreached = [], [], 0
        for pair, record in self.results.items():
            cells = []
            for column in COLUMNS:
                if column not in self.columns(pair):
                    cells.append("-")
                    continue
                cell = record.get(column) or Cell("failed")
                words.append(cell.word)
                cells.append(str(cell))
                unreached += column not in record
                if cell.word == "failed" and column in record:
                    failures.append(f"{pair[0]} > {pair[1]}, {column}: {cell.detail}")
            rows.append([f"{pair[0]} > {pair[1]}", *cells])
        print()
        table(rows)

        rows = [["keys changed on one connection", "upload, records", "download, records"]]
        for client, server in REKEY_PAIRS:
            cells = []
            for case in "upload", "download":
                cell = self.rekeys.get((client, server, case)) or Cell("skipped")
                words.append(cell.word)
                note = f" ({cell.detail})" if cell.word == "ok" else ""
                cells.append(f"{cell}{note}")
                if cell.word == "failed":
                    failures.append(f"{client} > {server}, rekey, {case}: {cell.detail}")
            rows.append([f"{client} > {server}", *cells])
        print()
        table(rows)

        connections = CROWD_PROCESSES * CROWD_EACH
        rows = [[f"{connections} connections of grpc-go at once", "served"]]
        for server in CROWD_SERVERS:
            cell = self.crowds.get(server) or Cell("skipped")
            words.append(cell.word)
            rows.append([f"grpc-go > {server}", str(cell)])
            if cell.word == "failed":
                failures.append(f"grpc-go > {server}, at once: {cell.detail}")
        print()
        table(rows)
        print()
        if self.options.verbose:
            for pair, record in self.results.items():
                for column, cell in record.items():
                    if cell.detail and cell.word == "ok":
                        print(f"{pair[0]} > {pair[1]}, {column}: {cell.detail}")
        for kind, reason in self.skipped.items():
            print(f"!!! SKIPPED, NOT TESTED: everything with {kind}: {reason}")
        if self.options.quick:
            print("!!! SKIPPED: records of grpcio beyond a change of keys (--quick)")
        for failure in failures:
            print(f"FAILED: {failure}")
        if unreached:
            print(f"FAILED: {unreached} cells that it did not come to")
        passed, failed, skipped = (words.count(word) for word in ("ok", "failed", "skipped"))
        print(f"{passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s")
        if failed:
            print(f"what the peers and daemons said is in {self.processes.logs}")
            return 1
        return 2 if skipped and self.options.strict else 0


def outcomes(process, cases):
    """What a client reports."""
    found = {}
    try:
        lines = process.wait(CLIENT_SECONDS)
    except Failure as failure:
        lines = process.lines()
        found["unary"] = Cell("failed", detail=str(failure))
    for line in lines:
        fields = line.split("\t")
        if len(fields) == 5:
            case, word, count, ms, detail = fields
            found[case] = Cell(word, int(count), int(ms), detail)
    for case in cases:
        ended = f"the client ended with {process.popen.returncode}: {process.last_words()}"
        found.setdefault(case, Cell("failed", detail=ended))
    return found


def free_address(taken):
    """A loopback address where nobody has port 8080, which is the one that gRPC asks."""
    used = {address for address, _ in taken.values()}
    base = os.getpid()
    for number in range(1000):
        address = f"127.{77 + number // 250}.{base % 250 + 1}.{number % 250 + 1}"
        if address in used:
            continue
        try:
            with socket.socket() as probe:
                probe.bind((address, 8080))
            return address
        except OSError:
            continue
    raise Failure("port 8080 is taken on every loopback address tried: does somebody have 0.0.0.0:8080?")


def table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def say(text):
    print(f"[{time.monotonic() - BEGIN:6.1f} s] {text}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    for name in "daemon", "peer", "python", "go", "logs":
        parser.add_argument(f"--{name}", required=True)
    for name in "no-grpcio", "no-go", "no-sandbox":
        parser.add_argument(f"--{name}", metavar="REASON", default="")
    for name in "quick", "strict", "verbose":
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    shutil.rmtree(options.logs, ignore_errors=True)
    os.makedirs(options.logs)
    with tempfile.TemporaryDirectory() as identities, Processes(options.logs) as processes:

        def stop(number, _):
            # First of all: threads wait for them.
            processes.kill()
            why = "it took too long" if number == signal.SIGALRM else "asked to stop"
            raise Failure(f"{why} after {time.monotonic() - BEGIN:.0f} s")

        for number in signal.SIGTERM, signal.SIGINT, signal.SIGALRM:
            signal.signal(number, stop)
        signal.alarm(WHOLE_SECONDS)
        matrix = Matrix(options, processes, identities)
        try:
            matrix.run()
        except Failure as failure:
            matrix.report(time.monotonic() - BEGIN)
            print(f"GIVEN UP: {failure}", flush=True)
            return 1
        return matrix.report(time.monotonic() - BEGIN)


BEGIN = time.monotonic()
if __name__ == "__main__":
    sys.exit(main())
