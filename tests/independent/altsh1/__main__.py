"""Runs everything against our side and prints a table. ../run prepares what it needs."""

import argparse
import collections
import sys
import tempfile
import time
import warnings

from cryptography.utils import CryptographyDeprecationWarning

from . import agreement, appendix, expected, resumption, sweeps
from .attack import FAULTS, commit
from .faults import __all__ as modules
from .peer import Broken, Peer
from .world import World


class Report:
    """Counts, and what went wrong."""

    def __init__(self, verbose):
        self.verbose = verbose
        self.counts = collections.OrderedDict()
        self.failures = []

    def note(self, kind, name, wrong):
        count = self.counts.setdefault(kind, [0, 0])
        count[0] += 1
        if wrong:
            count[1] += 1
            self.failures.append(name)
            print(f"FAILED {name}\n    {wrong}", flush=True)
        elif self.verbose:
            print(f"ok     {name}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--peer", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--protocol", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--resumption", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--logs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--verbose", action="store_true", help="name what went well, too")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    parser.add_argument(
        "--as-found", action="store_true", help="say what our side makes of each fault"
    )
    parser.add_argument("filter", nargs="?", default="", help="only what has this in its name")
    return parser.parse_args()


def find_rows():
    """The row for each fault and role."""
    rows = expected.rows()
    found = {}
    for fault in FAULTS.values():
        for role in fault.ours:
            covering = [row for row in rows if row.covers(fault.name, role)]
            if len(covering) != 1:
                sys.exit(f"{len(covering)} rows of the table are about {fault.name}, {role}")
            covering[0].used += 1
            found[fault.name, role] = covering[0]
    idle = [row.name for row in rows if not row.used]
    if idle:
        sys.exit(f"rows of the table without a fault: {', '.join(idle)}")
    return found


def judge(row, answer, said):
    """What is not as the row wants it."""
    wrong = []
    if answer.get("error") != row.error:
        found = answer.get("error") or f"no error, but {answer}"
        wrong.append(f"error {found!r}, not {row.error!r} ({answer.get('detail')})")
    elif answer["fault"] != row.fault:
        wrong.append(f"fault {answer['fault']}, not {row.fault}")
    elif row.words not in answer["detail"]:
        wrong.append(f"{answer['detail']!r} does not say {row.words!r}")
    if row.said not in (said, "any"):
        wrong.append(f"told {said!r}, not {row.said!r}")
    return "; ".join(wrong) + (f" [{row.section}]" if wrong else "")


def faults(options, world, peer, report):
    rows = find_rows()
    for fault in FAULTS.values():
        for role in fault.ours:
            name = f"{fault.name}, our {role}"
            if options.filter not in name:
                continue
            try:
                answer, said = commit(fault, world, peer, role)
            except Broken:
                raise
            except Exception as error:  # Whatever it is, the case has failed with it.
                report.note("faults", name, f"{type(error).__name__}: {error}")
                continue
            if options.as_found:
                print(f"{name} | {answer.get('error')} | {said} | {answer.get('detail')}")
                continue
            report.note("faults", name, judge(rows[fault.name, role], answer, said))


def handshakes(options, world, peer, report):
    for case in agreement.CASES:
        name = f"agreement: {case.name}, our {case.role}"
        if options.filter not in name:
            continue
        wrong = None
        try:
            case.run(world, peer)
        except Broken:
            raise
        except Exception as error:  # Whatever it is, the case has failed with it.
            wrong = f"{type(error).__name__}: {error}"
        report.note("agreement", name, wrong)


def main():
    options = arguments()
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.name} ({', '.join(fault.ours)})")
        return 0
    # Of certificates that are wrong on purpose.
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    report = Report(options.verbose)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, Peer(options.peer, options.logs) as peer:
        world = World(directory)
        if not options.filter:
            for kind, (count, wrong) in [
                ("known answers", appendix.differences(options.protocol)),
                ("resumption", resumption.differences(options.resumption)),
            ]:
                for line in wrong:
                    report.note(kind, kind, line)
                report.counts.setdefault(kind, [count, len(wrong)])
        if not options.as_found:
            handshakes(options, world, peer, report)
        faults(options, world, peer, report)
        sweeps.run(options, world, peer, report)
        connections = peer.count
    print(f"\n{'':<16}{'run':>7}{'failed':>8}")
    for kind, (count, wrong) in report.counts.items():
        print(f"{kind:<16}{count:>7}{wrong:>8}")
    elapsed = time.monotonic() - started
    print(f"{len(modules)} kinds of faults, {connections} connections, {elapsed:.1f} s")
    return 1 if report.failures or not (report.counts or options.as_found) else 0


if __name__ == "__main__":
    sys.exit(main())
