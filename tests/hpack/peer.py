"""PyPI's hpack as the other side of header compression.

    peer.py encode SEED BLOCKS    writes header blocks and what they hold, as below, to the standard output
    peer.py decode FILE           decodes the blocks of a file and compares

A file has a line for each event: `connection` begins a new one, `limit N` is a SETTINGS_HEADER_TABLE_SIZE in force from here on,
`field NAME VALUE` (in hex) announces a field of the next `block HEX`, `table SIZE ENTRIES` says what the table is like after it.
"""
import random
import sys

import hpack

NAMES = [":path", ":authority", "content-type", "grpc-status", "grpc-message", "user-agent", "grpc-timeout", "te", "x-trace-bin", "cookie"]
VALUES = ["application/grpc", "trailers", "0", "/a.Service/Method", "", "grpc-c++/1.62", "2999912u", "identity,deflate,gzip"]


def text(chance, known, longest):
    if chance.random() < 0.6:
        return chance.choice(known).encode()
    length = chance.randrange(1, chance.choice([4, 20, longest]))
    letters = chance.choice([b"0123456789abcdef", bytes(range(33, 127)), bytes(range(256))])
    return bytes(chance.choice(letters) for _ in range(length))


def encode(seed, blocks):
    chance = random.Random(seed)
    written = 0
    while written < blocks:
        encoder = hpack.Encoder()
        print("connection")
        for _ in range(chance.randrange(1, 30)):
            if written == blocks:
                return
            if chance.random() < 0.1:
                limit = chance.choice([0, 40, 100, 256, 1000, 2048, 4096])
                print("limit", limit)
                encoder.header_table_size = limit
            fields = []
            if chance.random() < 0.4:
                fields.append((b":status", str(chance.choice([200, 204, 404, 503, 100])).encode(), False))
            for _ in range(chance.randrange(0, 9)):
                name, value = text(chance, NAMES, 60), text(chance, VALUES, chance.choice([40, 200, 5000]))
                fields.append((name, value, chance.random() < 0.2))
            block = encoder.encode(fields, huffman=chance.random() < 0.7)
            for name, value, _ in fields:
                print("field", name.hex(), value.hex())
            print("block", block.hex())
            entries = encoder.header_table.dynamic_entries
            print("table", sum(len(name) + len(value) + 32 for name, value in entries), len(entries))
            written += 1


def decode(file):
    fields, blocks, decoder = [], 0, hpack.Decoder()
    for line in open(file):
        kind, *words = line.rstrip("\n").split(" ")
        if kind == "connection":
            decoder = hpack.Decoder(max_header_list_size=1 << 20)
        elif kind == "limit":
            decoder.max_allowed_table_size = int(words[0])
        elif kind == "field":
            fields.append(tuple(bytes.fromhex(word) for word in words))
        else:
            found = [tuple(field) for field in decoder.decode(bytes.fromhex(words[0]), raw=True)]
            assert found == fields, (found, fields)
            fields, blocks = [], blocks + 1
    print(blocks, "blocks")


if sys.argv[1] == "encode":
    encode(int(sys.argv[2]), int(sys.argv[3]))
else:
    decode(sys.argv[2])
