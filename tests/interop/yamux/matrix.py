#!/usr/bin/env python3
"""20 cases of yamux between two peers, each a process: hashicorp/yamux (peer/main.go) and the example yamux_peer.

  matrix.py --ours PROGRAM [--go PROGRAM] [--only WORDS]

Each case is run with every pair of peers, and with either of the two sides as the client of the protocol. Without --go only ours with ours.
Exit status 0 if all passed.
"""
import argparse
import subprocess
import sys

# What it is; the options of the side that listens; those of the side that connects.
CASES = [
    ("echo, 1 MiB", "--serve echo", "--do echo"),
    ("echo, 1 MiB on each of 16 streams", "--serve echo", "--do echo --streams 16"),
    ("echo, window 4 MiB, writes of 3 MiB", "--serve echo --window 4194304", "--do echo -n 33554432 --chunk 3145728 --window 4194304"),
    ("echo, writes of 1 byte", "--serve echo", "--do echo -n 20000 --chunk 1"),
    ("upload, 64 MiB", "--serve sink -n 67108864", "--do upload -n 67108864"),
    ("download, 64 MiB", "--serve source -n 67108864", "--do download -n 67108864"),
    ("download, 8 MiB on each of 8 streams", "--serve source -n 8388608", "--do download -n 8388608 --streams 8"),
    ("upload to a slow reader", "--serve sink -n 2097152 --rate 1048576", "--do upload -n 2097152"),
    ("download by a slow reader", "--serve source -n 2097152", "--do download -n 2097152 --rate 1048576"),
    ("half-close, then 128 KiB the other way", "--serve half -n 131072", "--do half -n 131072"),
    ("1,000 streams", "--serve echo", "--do many --streams 1000"),
    ("resets sent in the middle of data", "--serve echo", "--do reset --streams 10 -n 100000"),
    ("resets received after 1,000 bytes", "--serve reset -n 1000", "--do expect-reset --streams 10 -n 1000"),
    ("5 of 9 streams are beyond the backlog", "--serve deaf --backlog 4", "--do expect-reset --streams 9 -n 0 --resets 5"),
    ("a reader that does not read: 256 KiB", "--serve hold", "--do window -n 262144"),
    ("2,000 pings, one by one", "--serve echo", "--do ping -n 2000"),
    ("6,400 pings, 64 at a time", "--serve echo", "--do ping -n 100 --streams 64"),
    ("GoAway by the side that opens", "--serve echo", "--do goaway"),
    ("GoAway by the side that accepts", "--serve goaway", "--do refused"),
    ("both sides keep alive, 3 s of silence", "--serve echo --keepalive 500ms", "--do idle -n 1000 --stay 3s --keepalive 500ms"),
]


def run(listens, connects, case, client):
    """Why the case failed; nothing if it passed."""
    _, left, right = case
    roles = ("server", "client") if client == "connects" else ("client", "server")
    server = subprocess.Popen([listens, "127.0.0.1:0", "--role", roles[0], *left.split()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        ready = server.stdout.readline().split()
        if len(ready) != 2 or ready[0] != "ready":
            return f"does not listen: {' '.join(ready)}{server.stdout.read()}"
        command = [connects, ready[1], "--role", roles[1], *right.split()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        if done.returncode != 0:
            return f"connects: {done.stdout}{done.stderr}".strip()
        said, _ = server.communicate(timeout=30)
        if server.returncode != 0:
            return f"listens: {said}".strip()
    except subprocess.TimeoutExpired as slow:
        return f"not done after {slow.timeout} s"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--ours", required=True, metavar="PROGRAM")
    arguments.add_argument("--go", metavar="PROGRAM")
    arguments.add_argument("--only", default="", metavar="WORDS", help="cases with these words in their names")
    chosen = arguments.parse_args()
    peers = {"alts": chosen.ours}
    pairs = [("alts", "alts")]
    if chosen.go:
        peers["hashicorp"] = chosen.go
        pairs += [("alts", "hashicorp"), ("hashicorp", "alts")]
    passed, failed = 0, 0
    for listens, connects in pairs:
        for client in ("connects", "listens"):
            for case in CASES:
                if chosen.only not in case[0]:
                    continue
                why = run(peers[listens], peers[connects], case, client)
                passed, failed = passed + (why is None), failed + (why is not None)
                outcome = "ok  " if why is None else "FAIL"
                print(f"{outcome}  {listens} listens, {connects} connects, client {client}: {case[0]}", flush=True)
                if why:
                    print(f"      {why}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


main()
