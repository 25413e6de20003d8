// One request passed on to control: its body, its answer and its end, whatever fetch does.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { bytes, pass, settled, text } from './platform.mjs';
import { passOn, pathOf } from '../src/pass_on.js';

globalThis.FixedLengthStream = class extends IdentityTransformStream {
  constructor(length) {
    super();
    this.readable.length = length;
  }
};
const { timers } = mock;
const LIMIT_BYTES = 1_000;
const WAIT_MS = 500;

let asked;
beforeEach(() => {
  timers.reset();
  timers.enable({ apis: ['setTimeout', 'Date'], now: 1_790_000_000_000 });
  mock.method(globalThis, 'fetch', (url, options) => {
    const answer = Promise.withResolvers();
    asked = { url, options, ...answer };
    options.signal.addEventListener('abort', () => answer.reject(new Error('aborted')));
    return answer.promise;
  });
});
afterEach(() => mock.restoreAll());

const stream = (...chunks) =>
  new ReadableStream({
    type: 'bytes',
    start: (body) => {
      for (const chunk of chunks) body.enqueue(bytes(chunk));
      body.close();
    },
  });

function send({ body = null, declared = -1, method = 'POST' } = {}) {
  const caller = new AbortController();
  const request = { method, body, signal: caller.signal };
  const answer = passOn(request, 'http://control/v1/x', { a: 'b' }, declared, LIMIT_BYTES, WAIT_MS);
  return { caller, answer };
}

async function read(stream) {
  const parts = [];
  for await (const part of stream) parts.push(Uint8Array.from(part));
  return text(parts);
}

test('a path is what will stand on the request line', () => {
  const cases = [
    ['http://edge/v1/files?x=%2F&y=a%20b', '/v1/files?x=%2F&y=a%20b'],
    ['http://edge/v1/evals/../keys', '/v1/keys'],
    ['http://edge/v1/evals/%2e%2e/keys#x', '/v1/keys'],
    ['http://edge/v1/evals/..%2fkeys?', '/v1/evals/..%2fkeys'],
  ];
  for (const [url, path] of cases) assert.equal(pathOf(url), path);
});

test('a body arrives to the letter, with its length if it was declared, and none not at all', async () => {
  for (const declared of [-1, 10]) {
    send({ body: stream('ab', 'c', 'déjà', '!'), declared });
    assert.equal(asked.options.body.length, declared < 0 ? undefined : declared);
    assert.equal(await read(asked.options.body), 'abcdéjà!');
  }
  send({ method: 'GET' });
  assert.ok(!('body' in asked.options));
  assert.deepEqual([asked.options.method, asked.options.headers, asked.options.redirect], ['GET', { a: 'b' }, 'manual']);
});

test('an early answer is shown when the caller has sent everything, which nobody has to read', async () => {
  for (const [end, expected] of [
    [() => asked.resolve(new Response('no', { status: 413 })), 413],
    [() => asked.reject(new TypeError('connection refused')), 'unreachable'],
  ]) {
    let body;
    const source = new ReadableStream({ type: 'bytes', start: (sender) => (body = sender) });
    const { answer } = send({ body: source, declared: 600 });
    let shown = null;
    answer.then((outcome) => (shown = outcome));
    body.enqueue(bytes('x'.repeat(300)));
    end();
    await settled();
    assert.equal(shown, null, 'the caller is not listening yet');
    body.enqueue(bytes('x'.repeat(300)));
    body.close();
    await settled();
    assert.equal(shown?.status ?? shown, expected);
  }
  // A caller who never ends is told in the end.
  const { answer } = send({ body: new ReadableStream({ type: 'bytes' }), declared: 600 });
  asked.resolve(new Response('no', { status: 401 }));
  await settled();
  await pass(timers, 60_000, 10_000);
  assert.equal((await answer).status, 401);
});

test('an undeclared body over the limit ends the request', async () => {
  const { answer } = send({ body: stream('x'.repeat(600), 'x'.repeat(600)) });
  const reading = read(asked.options.body).catch(() => 'broken');
  assert.equal(await answer, 'too_large');
  assert.ok(asked.options.signal.aborted);
  assert.equal(await reading, 'broken');
});

test('only named headers of the answer are shown, with status and body', async () => {
  const { answer } = send();
  const headers = { 'content-type': 'text/event-stream', 'content-range': 'bytes 0-1/2', 'set-cookie': 'a=b', server: 'x' };
  asked.resolve(new Response('data: 1\n\n', { status: 206, headers }));
  const response = await answer;
  assert.equal(response.status, 206);
  assert.deepEqual([...response.headers.keys()].sort(), ['content-range', 'content-type']);
  assert.equal(await response.text(), 'data: 1\n\n');
});

test('an error that is not in JSON is not control\u2019s', async () => {
  const cases = [
    [502, 'text/html', 'unreachable'],
    [503, null, 'unreachable'],
    [503, 'application/json', 503],
    [404, 'text/html', 404],
  ];
  for (const [status, type, expected] of cases) {
    const { answer } = send();
    asked.resolve(new Response('x', { status, headers: type ? { 'content-type': type } : {} }));
    const outcome = await answer;
    assert.equal(outcome.status ?? outcome, expected, `${status} ${type}`);
  }
});

test('no answer in time, no control and no caller end the request, before its answer and after', async () => {
  const late = send();
  await pass(timers, WAIT_MS);
  assert.equal(await late.answer, 'unreachable');
  const refused = send();
  asked.reject(new TypeError('connection refused'));
  assert.equal(await refused.answer, 'unreachable');
  const left = send();
  left.caller.abort();
  assert.equal(await left.answer, 'unreachable');
  const { caller, answer } = send();
  asked.resolve(new Response('x'));
  await answer;
  await pass(timers, 2 * WAIT_MS);
  assert.ok(!asked.options.signal.aborted, 'an answer that has begun may take its time');
  caller.abort();
  await settled();
  assert.ok(asked.options.signal.aborted);
});
