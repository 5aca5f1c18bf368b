"""Runs the tests in turn, each in a directory of its own, and says how each went. `run` is what people call."""

import sys
import time
import traceback

import databases
import operation
import streams
import web
from lab import Lab, Skipped

TESTS = [
    databases.postgresql_dump_and_restore,
    databases.redis_replication,
    databases.redis_publishes_to_silent_subscribers,
    web.many_requests_over_one_connection,
    web.large_bodies_both_ways,
    web.long_poll,
    web.websocket,
    web.haproxy_before_and_behind,
    web.nginx_takes_the_proxy_protocol,
    web.identity_of_the_client_in_proxy_protocol_v2,
    streams.a_server_that_speaks_first,
    streams.client_ends_first,
    streams.server_ends_first,
    streams.a_cut_is_never_the_end_of_a_whole_answer,
    operation.sockets_from_systemd,
    operation.reload_during_a_transfer,
    operation.sigterm_during_a_transfer,
]


def main():
    alts, *words = sys.argv[1:]
    strict = "--strict" in words
    wanted = [word for word in words if not word.startswith("--")]
    unknown = [word for word in words if word.startswith("--") and word != "--strict"]
    chosen = [test for test in TESTS if not wanted or any(test.__name__.startswith(word) for word in wanted)]
    if unknown or not chosen:
        sys.exit(f"{' '.join(unknown or wanted)}: no such option or test; tests: {', '.join(test.__name__ for test in TESTS)}")
    failed = skipped = 0
    for test in chosen:
        start = time.monotonic()
        with Lab(alts) as lab:
            try:
                test(lab)
                outcome = f"ok, {time.monotonic() - start:.1f} s"
            except Skipped as reason:
                outcome, skipped = f"SKIPPED: {reason}", skipped + 1
            except Exception:
                outcome, failed = "FAILED", failed + 1
                traceback.print_exc()
                lab.show_logs()
        print(f"{test.__name__}: {outcome}", flush=True)
    print(f"{len(chosen) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 2 if strict and skipped else 0)


main()
