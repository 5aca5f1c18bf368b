"""The echo service of examples/grpc/echo.proto on grpcio, for orientation. Messages pass as the bytes they are.

Says where it listens; each line of standard input is answered with the processor time that it has used, in seconds.
"""

import sys
import time
from concurrent import futures

import grpc


def once(message, _context):
    return message


def chat(messages, _context):
    yield from messages


def main():
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 8 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=options)
    handlers = {
        "Once": grpc.unary_unary_rpc_method_handler(once),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("alts.example.Echo", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    for _ in sys.stdin:
        print(time.process_time(), flush=True)


main()
