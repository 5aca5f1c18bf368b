"""The client of the interoperability tests with grpcio: runs cases and prints a line on each."""

import argparse
import queue
import sys
import threading
import time

import grpc

SERVICE = "interop.Peer"
LIMIT = 64 << 20
PATIENCE = 20
IMPATIENCE = 2
UNARY_SIZES = [0, 1 << 10, 64 << 10, 1 << 20, 8 << 20]
STREAM_MESSAGES = 300
CONNECTIONS = 4
BULK = 4 << 20


def expect(right, fault):
    if not right:
        raise RuntimeError(fault)


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


class Client:
    def __init__(self, arguments):
        self.arguments = arguments
        self.channel = None

    def connect(self, compression=None):
        options = [
            ("grpc.max_receive_message_length", LIMIT),
            ("grpc.max_send_message_length", LIMIT),
            # Otherwise channels to one address share a connection.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 200),
        ]
        if self.arguments.plain:
            address = self.arguments.address
            return grpc.insecure_channel(address, options=options, compression=compression)
        credentials = grpc.alts_channel_credentials(self.arguments.target)
        return grpc.secure_channel(self.arguments.address, credentials, options=options)

    def call(self, channel, method, message=b"", timeout=PATIENCE):
        return channel.unary_unary(f"/{SERVICE}/{method}")(message, timeout=timeout)

    def unary(self, channel, size):
        sent = pattern(size)
        call = channel.unary_unary(f"/{SERVICE}/Unary").future(sent, timeout=PATIENCE)
        expect(call.result() == sent, f"{size} bytes came back changed")
        metadata = dict(call.initial_metadata())
        seen = metadata.get("x-alts-peer")
        expect(seen == self.arguments.expect_caller, f"the server takes us for {seen}")
        return metadata["x-alts-from"]

    def talk(self, channel, messages):
        sizes = [number * 37 % 3000 * 16 for number in range(messages)]
        answers = channel.stream_stream(f"/{SERVICE}/Stream")(map(pattern, sizes), timeout=PATIENCE)
        count = 0
        for answer, size in zip(answers, sizes):
            expect(answer == pattern(size), f"message {count} is changed")
            count += 1
        expect(count == messages, f"the stream ended after {count}")
        expect(next(answers, None) is None, "one message too many")

    def ended(self, channel):
        return int(self.call(channel, "Ended"))

    def until_ended(self, channel, count):
        start = time.monotonic()
        while self.ended(channel) < count:
            expect(time.monotonic() - start < PATIENCE, "the server's call goes on")
            time.sleep(0.02)

    # The cases.

    def case_unary(self, channel):
        for size in UNARY_SIZES:
            self.unary(channel, size)
        return len(UNARY_SIZES), ""

    def case_small(self, channel):
        self.unary(channel, 1 << 10)
        self.talk(channel, 5)
        return 6, ""

    def case_resumed(self, _):
        before = None
        for _ in range(2):
            with self.connect() as channel:
                seen = self.unary(channel, 1 << 10)
            expect(seen != before, "the same connection")
            before = seen
        return 2, ""

    def case_stream(self, channel):
        self.talk(channel, STREAM_MESSAGES)
        return STREAM_MESSAGES, ""

    def case_parallel(self, channel):
        calls = [channel.unary_unary(f"/{SERVICE}/Unary").future(pattern(size), timeout=PATIENCE) for size in range(10_000, 10_200)]
        for call, size in zip(calls, range(10_000, 10_200)):
            expect(call.result() == pattern(size), f"{size} bytes came back changed")
        return len(calls), ""

    def case_metadata(self, channel):
        sent = [("x-echo-repeated", value) for value in ("one", "two", "three")]
        sent += [("x-echo-long", "l" * 6000), ("x-echo-bytes-bin", bytes(range(256)))]
        call = channel.unary_unary(f"/{SERVICE}/Unary").future(b"", timeout=PATIENCE, metadata=sent)
        call.result()
        seen = [(key, value) for key, value in call.initial_metadata() if key.startswith("x-echo-")]
        # Values of one key may come joined.
        seen = [(key, part) for key, value in seen for part in (value.split(", ") if key == "x-echo-repeated" else [value])]
        expect(sorted(seen) == sorted(sent), f"the metadata came back as {seen}")
        order = [value for key, value in seen if key == "x-echo-repeated"]
        expect(order == ["one", "two", "three"], f"repeated metadata came back as {order}")
        return len(sent), ""

    def case_unknown(self, channel):
        try:
            self.call(channel, "Nothing")
        except grpc.RpcError as error:
            expect(error.code() == grpc.StatusCode.UNIMPLEMENTED, error.code())
            return 1, ""
        raise RuntimeError("an answer")

    def case_compressed(self, _):
        with self.connect(grpc.Compression.Gzip) as channel:
            for size in UNARY_SIZES:
                self.unary(channel, size)
        return len(UNARY_SIZES), ""

    def case_connections(self, _):
        results = queue.Queue()

        def one():
            try:
                with self.connect() as channel:
                    for size in [0] + [64 << 10] * 10:
                        seen_from = self.unary(channel, size)
                    self.talk(channel, 50)
                    results.put(seen_from)
                    barrier.wait(PATIENCE)
            except Exception as error:
                results.put(error)

        barrier = threading.Barrier(CONNECTIONS)
        threads = [threading.Thread(target=one, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        got = [results.get(timeout=PATIENCE) for _ in threads]
        for thread in threads:
            thread.join(PATIENCE)
        for error in got:
            if isinstance(error, Exception):
                raise error
        expect(len(set(got)) == CONNECTIONS, f"connections from {got}")
        return CONNECTIONS, ""

    def case_deadline(self, channel):
        before = self.ended(channel)
        try:
            self.call(channel, "Hang", timeout=0.3)
        except grpc.RpcError as error:
            # Where the clock of tonic's server is first, it says so under another code.
            tonics = (error.code(), error.details()) == (grpc.StatusCode.CANCELLED, "Timeout expired")
            expect(tonics or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error.code())
        else:
            expect(False, "an answer")
        self.until_ended(channel, before + 1)
        self.unary(channel, 1 << 10)
        return 2, ""

    def case_cancel(self, channel):
        before = self.ended(channel)
        hanging = channel.unary_unary(f"/{SERVICE}/Hang").future(b"", timeout=PATIENCE)
        time.sleep(0.2)
        expect(not hanging.done(), "a call that hangs has ended")
        hanging.cancel()
        self.until_ended(channel, before + 1)

        said = queue.Queue()
        said.put(pattern(1000))
        answers = channel.stream_stream(f"/{SERVICE}/Stream")(iter(said.get, None), timeout=PATIENCE)
        expect(next(answers) == pattern(1000), "no echo")
        answers.cancel()
        expect(answers.code() == grpc.StatusCode.CANCELLED, answers.code())
        said.put(None)
        self.unary(channel, 1 << 10)
        return 3, ""

    def case_forbidden(self, channel):
        try:
            self.call(channel, "Restricted")
        except grpc.RpcError as error:
            expect(error.code() == grpc.StatusCode.PERMISSION_DENIED, error.code())
        else:
            expect(False, "allowed")
        self.unary(channel, 1)
        return 2, ""

    def case_refused(self, _):
        """No connection, for whatever reason; and soon."""
        with self.connect() as channel:
            try:
                self.unary(channel, 1)
            except grpc.RpcError as error:
                expect(error.code() == grpc.StatusCode.UNAVAILABLE, f"{error.code()}")
                return 1, f"{error.code().name}: {error.details()}"
        raise RuntimeError("connected")

    def case_restart(self, channel):
        """The handshaker service goes away and comes back. Connections do not care; new ones wait for it."""
        before = self.unary(channel, 1 << 10)
        print("paused", flush=True)
        sys.stdin.readline()
        expect(self.unary(channel, 1 << 10) == before, "reconnected")
        without = "connected"
        with self.connect() as fresh:
            try:
                self.call(fresh, "Ended", timeout=IMPATIENCE)
            except grpc.RpcError:
                without = "refused"
        print("paused", flush=True)
        sys.stdin.readline()
        expect(self.unary(channel, 1 << 10) == before, "reconnected")
        start = time.monotonic()
        attempts = 1
        while True:
            with self.connect() as fresh:
                try:
                    after = self.unary(fresh, 1 << 10)
                    break
                except grpc.RpcError:
                    if time.monotonic() - start > PATIENCE:
                        raise
            time.sleep(0.25)
            attempts += 1
        expect(after != before, "the same connection")
        return 3, f"{without} without the service, {attempts} attempts with it"

    def case_upload(self, channel):
        times = -(-self.arguments.bytes // BULK)
        message = b"\xa5" * BULK
        for _ in range(times):
            expect(int(self.call(channel, "Sink", message)) == BULK, "another size")
        return times, f"{times * BULK >> 20} MiB"

    def case_download(self, channel):
        times = -(-self.arguments.bytes // BULK)
        for _ in range(times):
            answer = self.call(channel, "Source", str(BULK).encode())
            expect(len(answer) == BULK, "another size")
        return times, f"{times * BULK >> 20} MiB"

    def run(self, case):
        start = time.monotonic()
        try:
            if self.channel is None and case not in ("connections", "resumed", "refused", "compressed"):
                self.channel = self.connect()
            count, detail = getattr(self, f"case_{case}")(self.channel)
            word = "ok"
        except grpc.RpcError as error:
            word, count, detail = "failed", 0, f"{error.code().name}: {error.details()}"
        except Exception as error:
            word, count, detail = "failed", 0, f"{type(error).__name__}: {error}"
        ms = int((time.monotonic() - start) * 1000)
        detail = detail.encode("unicode_escape").decode()
        print(case, word, count, ms, detail, sep="\t", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument("--expect-caller", required=True)
    parser.add_argument("--expect-server", required=True)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without ALTS")
    arguments = parser.parse_args()
    client = Client(arguments)
    for case in arguments.cases.split(","):
        client.run(case)


main()
