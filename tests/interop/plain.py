"""gRPC over plain TCP: this project's client and server with grpcio and @grpc/grpc-js, and with tonic's on hyper. `run` starts it."""

import argparse
import itertools
import os
import shutil
import sys
import time

from matrix import CLIENT_SECONDS, START_SECONDS, Cell, outcomes, table
from processes import Failure, Processes
from relay import Relay

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ["alts", "tonic", "grpcio", "grpc-js"]
OWN = {"alts": "alts", "tonic": "hyper"}
"""Our programs, and whose HTTP/2 they are on."""
CASES = ["unary", "stream", "parallel", "deadline", "cancel", "metadata", "unknown", "compressed"]
COMPRESSED = 200_000
"""What the case `compressed` may take on the wire in each direction, in bytes, of the 9 MiB that it moves."""


def program(options, kind, role):
    if kind in OWN:
        return [options.peer, role, "--stack", OWN[kind], "--handshaker", "none"]
    if kind == "grpcio":
        return [options.python, f"{HERE}/python/{role}.py", "--plain"]
    # Programs look for their packages where they are; so they go there.
    return [options.node, f"{options.packages}/{role}.js"]


def server(options, processes, kind):
    command = program(options, kind, "server")
    command += ["--address", "127.0.0.1:0"] if kind in OWN else ["127.0.0.1:0"]
    process = processes.start(f"plain-server-{kind}", command)
    return process.line("ready", START_SECONDS).split()[1]


def client(options, processes, kind, other, address, cases):
    command = program(options, kind, "client")
    if kind == "grpc-js":
        command += [address, ",".join(cases)]
    else:
        command += ["--address", address, "--cases", ",".join(cases)]
        command += ["--expect-caller", "?", "--expect-server", "?"]
    process = processes.start(f"plain-client-{kind}-{other}-{cases[0]}", command)
    return outcomes(process, cases)


def pair(options, processes, servers, kinds):
    kind, other = kinds
    found = client(options, processes, kind, other, servers[other], CASES[:-1])
    with Relay(servers[other]) as relay:
        found |= client(options, processes, kind, other, relay.address, CASES[-1:])
        cell = found["compressed"]
        moved = relay.up.bytes, relay.down.bytes
        # Node's server compresses no answer of its own accord.
        counted = moved[: 1 if other == "grpc-js" else 2]
        if cell.word == "ok" and max(counted) > COMPRESSED:
            cell.fail(f"{moved} bytes went up and down")
    return found


def main():
    parser = argparse.ArgumentParser()
    for name in "peer", "python", "node", "packages", "logs":
        parser.add_argument(f"--{name}", required=True)
    for name in "no-grpcio", "no-node":
        parser.add_argument(f"--{name}", metavar="REASON", default="")
    parser.add_argument("--strict", action="store_true")
    options, _ = parser.parse_known_args()
    begin = time.monotonic()
    skipped = {"grpcio": options.no_grpcio, "grpc-js": options.no_node}
    kinds = [kind for kind in KINDS if not skipped.get(kind)]
    # Pairs of which one at least is ours.
    pairs = [both for both in itertools.product(kinds, kinds) if "alts" in both]
    rows, failures, passed = [["client > server, plain TCP", *CASES]], [], 0
    # What an earlier run said there would be taken for what this one says.
    shutil.rmtree(options.logs, ignore_errors=True)
    os.makedirs(options.logs)
    if "grpc-js" in kinds:
        for role in "client", "server":
            shutil.copy(f"{HERE}/node/{role}.js", options.packages)
    with Processes(options.logs) as processes:
        try:
            servers = {kind: server(options, processes, kind) for kind in kinds}
            for both in pairs:
                found = pair(options, processes, servers, both)
                cells = [found.get(case) or Cell("failed") for case in CASES]
                rows.append([" > ".join(both), *map(str, cells)])
                for case, cell in zip(CASES, cells):
                    passed += cell.word == "ok"
                    if cell.word != "ok":
                        failures.append(f"{' > '.join(both)}, {case}: {cell.detail}")
        except Failure as failure:
            failures.append(str(failure))
    table(rows)
    for kind, reason in skipped.items():
        if reason:
            print(f"!!! SKIPPED, NOT TESTED: plain TCP with {kind}: {reason}")
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"{passed} passed, {len(failures)} failed in {time.monotonic() - begin:.0f} s")
    if failures:
        return 1
    return 2 if any(skipped.values()) and options.strict else 0


if __name__ == "__main__":
    sys.exit(main())
