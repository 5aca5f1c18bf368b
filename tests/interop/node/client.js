// The client of the interoperability tests with @grpc/grpc-js, on Node's own HTTP/2, over plain TCP: runs cases and prints a line on
// each, as ../python/client.py does.
'use strict';
const assert = require('node:assert');
const { setTimeout: sleep } = require('node:timers/promises');
const grpc = require('@grpc/grpc-js');

const SERVICE = 'interop.Peer';
const LIMIT = 64 << 20;
const PATIENCE = 20_000;
const UNARY_SIZES = [0, 1 << 10, 64 << 10, 1 << 20, 8 << 20];
const STREAM_MESSAGES = 300;
const raw = (message) => message;
const none = Buffer.alloc(0);
const pattern = (size) => Buffer.from(Uint8Array.from({ length: size }, (_, at) => at % 251));
const seconds = (ms) => ({ deadline: Date.now() + ms });

const [, , address, cases] = process.argv;

function connect(more = {}) {
  const options = { 'grpc.max_receive_message_length': LIMIT, 'grpc.max_send_message_length': LIMIT, ...more };
  return new grpc.Client(address, grpc.credentials.createInsecure(), options);
}

/** An answer and the metadata before it. */
function call(client, method, message = none, { metadata = new grpc.Metadata(), ms = PATIENCE, started } = {}) {
  return new Promise((resolve, reject) => {
    let head;
    const done = (error, answer) => (error ? reject(error) : resolve({ answer, head }));
    const path = `/${SERVICE}/${method}`;
    const running = client.makeUnaryRequest(path, raw, raw, message, metadata, seconds(ms), done);
    running.on('metadata', (received) => { head = received; });
    started?.(running);
  });
}

async function unary(client, size) {
  const { answer } = await call(client, 'Unary', pattern(size));
  assert(answer.equals(pattern(size)), `${size} bytes came back changed`);
}

function code(promise) {
  return promise.then(() => 'an answer', (error) => grpc.status[error.code]);
}

const ended = async (client) => Number((await call(client, 'Ended')).answer);

async function untilEnded(client, count) {
  const until = Date.now() + PATIENCE;
  while ((await ended(client)) < count) {
    assert(Date.now() < until, "the server's call goes on");
    await sleep(20);
  }
}

const all = {
  async unary(client) {
    for (const size of UNARY_SIZES) await unary(client, size);
    return UNARY_SIZES.length;
  },
  async stream(client) {
    const sizes = Array.from({ length: STREAM_MESSAGES }, (_, number) => ((number * 37) % 3000) * 16);
    const path = `/${SERVICE}/Stream`;
    const chat = client.makeBidiStreamRequest(path, raw, raw, new grpc.Metadata(), seconds(PATIENCE));
    for (const size of sizes) chat.write(pattern(size));
    chat.end();
    let count = 0;
    for await (const answer of chat) {
      assert(answer.equals(pattern(sizes[count])), `message ${count} is changed`);
      count += 1;
    }
    assert.strictEqual(count, STREAM_MESSAGES);
    return count;
  },
  async parallel(client) {
    await Promise.all(Array.from({ length: 200 }, () => unary(client, 10_000)));
    return 200;
  },
  async deadline(client) {
    const before = await ended(client);
    assert.strictEqual(await code(call(client, 'Hang', none, { ms: 300 })), 'DEADLINE_EXCEEDED');
    await untilEnded(client, before + 1);
    await unary(client, 1 << 10);
    return 2;
  },
  async cancel(client) {
    const before = await ended(client);
    let hanging;
    const canceled = code(call(client, 'Hang', none, { started: (running) => { hanging = running; } }));
    await sleep(200);
    hanging.cancel();
    assert.strictEqual(await canceled, 'CANCELLED');
    await untilEnded(client, before + 1);
    await unary(client, 1 << 10);
    return 2;
  },
  async metadata(client) {
    const metadata = new grpc.Metadata();
    const values = ['one', 'two', 'three'];
    for (const value of values) metadata.add('x-echo-repeated', value);
    metadata.set('x-echo-long', 'l'.repeat(6000));
    const bytes = Buffer.from(Uint8Array.from({ length: 256 }, (_, at) => at));
    metadata.set('x-echo-bytes-bin', bytes);
    const { head } = await call(client, 'Unary', none, { metadata });
    assert.deepStrictEqual(head.get('x-echo-repeated').flatMap((value) => value.split(', ')), values);
    assert.deepStrictEqual(head.get('x-echo-long'), ['l'.repeat(6000)]);
    assert(head.get('x-echo-bytes-bin')[0].equals(bytes), 'binary metadata changed');
    return 5;
  },
  async compressed() {
    const client = connect({ 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
    for (const size of UNARY_SIZES) await unary(client, size);
    client.close();
    return UNARY_SIZES.length;
  },
  async unknown(client) {
    assert.strictEqual(await code(call(client, 'Nothing')), 'UNIMPLEMENTED');
    return 1;
  },
};

async function main() {
  const client = connect();
  for (const name of cases.split(',')) {
    const start = Date.now();
    let outcome;
    try {
      outcome = ['ok', await all[name](client), Date.now() - start, ''];
    } catch (error) {
      outcome = ['failed', 0, Date.now() - start, JSON.stringify(`${error.message}`).slice(1, -1)];
    }
    console.log([name, ...outcome].join('\t'));
  }
  client.close();
}

main();
