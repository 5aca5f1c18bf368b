"""The server of the interoperability tests with grpcio. See ../README.md for what the methods do."""

import sys
import threading
from concurrent import futures

import grpc

SERVICE = "interop.Peer"
LIMIT = 64 << 20


class Peer(grpc.GenericRpcHandler):
    def __init__(self):
        self.lock = threading.Lock()
        self.ended = 0
        self.callers = set()

    def service(self, details):
        service, _, method = details.method.lstrip("/").partition("/")
        if service != SERVICE:
            return None
        if method == "Stream":
            return grpc.stream_stream_rpc_method_handler(self.stream)
        answer = {
            "Unary": lambda message, context: message,
            "Hang": self.hang,
            "Ended": lambda message, context: str(self.ended).encode(),
            "Sink": lambda message, context: str(len(message)).encode(),
            "Source": lambda message, context: b"\x5a" * min(int(message), LIMIT),
        }.get(method)
        if answer is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda m, c: self.about(c) or answer(m, c))

    def about(self, context):
        """Tells the caller what it looks like from here."""
        auth = context.auth_context()
        name = auth.get("service_account", [b"?"])[0].decode()
        # It would compress for clients that do not accept it.
        if ("x-compress", "gzip") in context.invocation_metadata():
            context.set_compression(grpc.Compression.Gzip)
        echo = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-echo-")]
        context.send_initial_metadata([("x-alts-peer", name), ("x-alts-from", context.peer()), *echo])
        with self.lock:
            if name not in self.callers:
                self.callers.add(name)
                print("caller", name, flush=True)

    def stream(self, messages, context):
        self.about(context)
        yield from messages

    def hang(self, message, context):
        over = threading.Event()
        if context.add_callback(over.set):
            over.wait()
        with self.lock:
            self.ended += 1
        return b""


def main():
    plain, address = "--plain" in sys.argv, sys.argv[-1]
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", LIMIT),
        ("grpc.max_send_message_length", LIMIT),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(32), options=options)
    server.add_generic_rpc_handlers((Peer(),))
    if plain:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, grpc.alts_server_credentials())
    server.start()
    print(f"ready {address.rpartition(':')[0]}:{port}", flush=True)
    server.wait_for_termination()


main()
