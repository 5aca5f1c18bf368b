// The server of the interoperability tests with @grpc/grpc-js. See ../README.md for what the methods do.
'use strict';
const grpc = require('@grpc/grpc-js');

const LIMIT = 64 << 20;
const raw = (message) => message;
let hung = 0;

const answers = {
  Unary: (message) => message,
  Ended: () => Buffer.from(String(hung)),
  Sink: (message) => Buffer.from(String(message.length)),
  Source: (message) => Buffer.alloc(Math.min(Number(message), LIMIT), 0x5a),
};

/** Tells the caller what it looks like from here. */
function about(call) {
  const metadata = new grpc.Metadata();
  metadata.set('x-alts-peer', '?');
  metadata.set('x-alts-from', call.getPeer());
  for (const key of Object.keys(call.metadata.getMap()).filter((key) => key.startsWith('x-echo-'))) {
    for (const value of call.metadata.get(key)) metadata.add(key, value);
  }
  call.sendMetadata(metadata);
}

const definition = {};
const handlers = {};
function add(name, stream, handler) {
  definition[name] = {
    path: `/interop.Peer/${name}`,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: raw,
    requestDeserialize: raw,
    responseSerialize: raw,
    responseDeserialize: raw,
  };
  handlers[name] = handler;
}

for (const [name, answer] of Object.entries(answers)) {
  add(name, false, (call, done) => {
    about(call);
    done(null, answer(call.request));
  });
}
add('Hang', false, (call) => {
  call.on('cancelled', () => { hung += 1; });
});
add('Stream', true, (call) => {
  about(call);
  call.on('error', () => {});
  call.pipe(call);
});

const server = new grpc.Server({
  'grpc.max_receive_message_length': LIMIT,
  'grpc.max_send_message_length': LIMIT,
  'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
});
server.addService(definition, handlers);
server.bindAsync(process.argv[2], grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`ready 127.0.0.1:${port}`);
});
