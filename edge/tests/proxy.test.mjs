// One call to a provider: its body, its head, its lease and its end, whatever fetch does.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { bytes, pass, settled, text } from './platform.mjs';
import { Lease } from '../src/body.js';

globalThis.FixedLengthStream = class extends IdentityTransformStream {
  constructor(length) {
    super();
    this.readable.length = length;
  }
};
const { Call, bodyOf } = await import('../src/proxy.js');
const { timers } = mock;

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

const call = (parts = [bytes('{}')], lease = new Lease(1_000, 1_000), caller) =>
  new Call('http://provider/v1', { a: 'b' }, parts, lease, caller);

test('small bodies go as one piece, large ones as they lie, both with their length', async () => {
  assert.equal(text([bodyOf([bytes('ab'), bytes(''), bytes('c')])]), 'abc');
  const parts = ['x', 'y', 'z'].map((letter) => bytes(letter.repeat(400_000)));
  const stream = bodyOf(parts);
  assert.equal(stream.length, 1_200_000);
  const read = [];
  for await (const part of stream) read.push(part);
  assert.deepEqual(read, parts, 'the same bytes, not copies');
  assert.ok(read.every((part, index) => part === parts[index]));
});

test('a redirect is not followed, and the head is the status', async () => {
  const running = call();
  assert.equal(asked.options.redirect, 'manual');
  asked.resolve(new Response(null, { status: 307, headers: { location: 'http://169.254.169.254/' } }));
  assert.equal(await running.head(1_000), 307);
  assert.equal(running.header('location'), 'http://169.254.169.254/');
  assert.equal(running.header('content-type'), undefined);
});

test('no answer is told apart from an answer that has not come yet', async () => {
  const refused = call();
  asked.reject(new TypeError('connection refused'));
  assert.equal(await refused.head(1_000), 0);
  const silent = call();
  const head = silent.head(200);
  await pass(timers, 200);
  assert.equal(await head, -1);
  asked.resolve(new Response('late'));
  assert.equal(await silent.head(200), 200);
});

test('the bytes of the request are given back when the provider has answered or cannot', async () => {
  for (const end of [() => asked.resolve(new Response('ok')), () => asked.reject(new Error('reset'))]) {
    const lease = new Lease(1_000, 10_000);
    assert.ok(lease.grow(1_000));
    call([bytes('{}')], lease);
    assert.ok(!new Lease(1_000, 1_000).grow(1));
    end();
    await settled();
    const other = new Lease(1_000, 1_000);
    assert.ok(other.grow(1_000));
    other.release();
  }
});

test('an abort ends the fetch, before its answer and after', async () => {
  const early = call();
  early.abort();
  assert.equal(await early.head(1_000), 0);
  assert.ok(asked.options.signal.aborted);
  early.abort();
});

test('a caller that leaves ends the call, and whoever wants to know is told', async () => {
  const caller = new AbortController();
  const running = call(undefined, undefined, caller.signal);
  let told = 0;
  running.onGone = () => (told += 1);
  assert.ok(!running.gone);
  caller.abort();
  assert.ok(running.gone && asked.options.signal.aborted);
  assert.equal(told, 1);
  assert.equal(await running.head(1_000), 0);
});

test('an answer is read within its limits, and the call is ended when it is not', async () => {
  const cases = [
    { body: 'four', maxBytes: 4, answer: 'four' },
    { body: 'fiver', maxBytes: 4, answer: 'too_large' },
    { body: new ReadableStream({ start: (sender) => sender.error(new Error('reset')) }), maxBytes: 4, answer: 'broken' },
    { body: null, maxBytes: 4, answer: '' },
  ];
  for (const { body, maxBytes, answer } of cases) {
    const running = call();
    asked.resolve(new Response(body));
    await running.head(1_000);
    const lease = new Lease(1_000, 1_000);
    const outcome = await running.bytes(lease, maxBytes, 1_000);
    lease.release();
    assert.equal(typeof outcome === 'string' ? outcome : text([outcome]), answer);
    assert.equal(asked.options.signal.aborted, typeof outcome === 'string');
  }
});
