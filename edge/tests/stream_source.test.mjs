// What is held back of a stream while another provider could take over, and the pump that goes on from there.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { pass, settled, text } from './platform.mjs';
import { COMMENT, COMPLETED, CREATED, DELTA, DONE, FakeCall, FakeHooks, LIMITS, event, failed, shown } from './fakes.mjs';
import { Source, hold } from '../src/source.js';
import { pump } from '../src/stream.js';

const { timers } = mock;
const ADDED = event('response.output_item.added') + event('response.content_part.added');
const FAILED = event('response.failed', { model: 'gpt' });
const MAX = { ...LIMITS, calledAgoMs: 0 };

beforeEach(() => {
  timers.reset();
  timers.enable({ apis: ['setTimeout', 'Date'], now: 1_790_000_000_000 });
});

function held(call, hooks = new FakeHooks(), limits = MAX) {
  const told = { found: null };
  hold(call, hooks.rewrite, limits).then((found) => (told.found = found));
  return told;
}

test('nothing is decided by the preamble, and content decides at once, in any chunks', async () => {
  const stream = Buffer.from(CREATED + ADDED + ': comment\n\n' + DELTA);
  for (const size of [1, 7, stream.length]) {
    const call = new FakeCall().begin();
    const told = held(call);
    for (let at = 0; at < stream.length - 1; at += size) call.send(stream.subarray(at, Math.min(at + size, stream.length - 1)));
    await settled();
    assert.equal(told.found, null, 'the last byte of the first content is missing');
    call.send(stream.subarray(stream.length - 1));
    await settled();
    assert.equal(told.found.how, 'content');
    assert.equal(text(told.found.held.map((piece) => piece.bytes)), shown(CREATED) + ADDED + ': comment\n\n' + DELTA);
  }
});

test('events without names are told by their data', async () => {
  const nameless = (event) => event.replace(/^event: .*\n/gm, '');
  const call = new FakeCall().begin();
  const told = held(call);
  call.send(nameless(CREATED), nameless(ADDED));
  await settled();
  assert.equal(told.found, null);
  call.send(nameless(DELTA));
  await settled();
  assert.equal(told.found.how, 'content');
});

test('each end before content is told apart, and ends the call unless there is something to show', async () => {
  const cases = [
    { how: 'cut off', act: (call) => call.finish() },
    { how: 'cut off', act: (call) => call.reset() },
    { how: 'ended', act: (call) => call.send(COMPLETED) },
    { how: 'ended', act: (call) => call.send(FAILED) },
    { how: 'long', limits: { ...MAX, eventMaxBytes: 3_000_000 }, act: (call) => call.send(event('response.created', { text: 'x'.repeat(1_100_000) })) },
    { how: 'cut off', act: (call) => call.send('x'.repeat(20_000)) },
  ];
  for (const { how, act, limits } of cases) {
    const call = new FakeCall().begin();
    const told = held(call, new FakeHooks(), limits);
    call.send(CREATED);
    await settled();
    act(call);
    await settled();
    assert.equal(told.found?.how, how);
    assert.equal(call.aborts > 0, how === 'cut off', how);
  }
});

test('each deadline before content is kept', async () => {
  const cases = [
    { limits: { firstByteMaxMs: 150 }, sent: '' },
    { limits: { idleMaxMs: 150 }, sent: CREATED },
    { limits: { contentMaxMs: 150 }, sent: CREATED },
    { limits: { totalMaxMs: 150 }, sent: CREATED },
    { limits: { contentMaxMs: 250, calledAgoMs: 100 }, sent: CREATED },
  ];
  for (const { limits, sent } of cases) {
    const call = new FakeCall().begin();
    const told = held(call, new FakeHooks(), { ...MAX, ...limits });
    if (sent) call.send(sent);
    await settled();
    await pass(timers, 140);
    assert.equal(told.found, null, 'too early');
    await pass(timers, 20);
    assert.equal(told.found?.how, 'late');
    assert.ok(call.aborts > 0);
  }
});

/** A pump whose source is opened when the test says so. */
function waiting(limits = {}) {
  const [source, hooks, chunks] = [new Source(), new FakeHooks(), []];
  const { readable, done } = pump(source, hooks, { ...LIMITS, ...limits });
  const run = { source, hooks, chunks, ended: false };
  done.then(() => (run.ended = true));
  (async () => {
    for await (const chunk of readable) chunks.push(chunk);
  })().catch(() => {});
  return run;
}

test('the pump goes on from what was held back, byte for byte, in one stream', async () => {
  const run = waiting();
  const dead = new FakeCall().begin();
  run.source.use(dead);
  const first = held(dead, run.hooks);
  dead.send(CREATED + ADDED);
  dead.finish();
  await settled();
  assert.equal(first.found.how, 'cut off');
  await pass(timers, 150);
  const call = new FakeCall().begin();
  run.source.use(call);
  const second = held(call, run.hooks);
  call.send(CREATED + ADDED + DELTA + DELTA + COMPLETED.slice(0, 9));
  await settled();
  run.source.open({ ...second.found, call, calledAgoMs: 5, limits: {} });
  call.send(COMPLETED.slice(9) + DONE);
  call.finish();
  await settled();
  assert.equal(text(run.chunks), COMMENT + shown(CREATED) + ADDED + DELTA + DELTA + shown(COMPLETED) + DONE);
  assert.deepEqual([run.hooks.settled, run.ended], [['ended'], true]);
  assert.ok(run.hooks.contentMs > 0);
});

test('a source that finds nobody ends the stream with events', async () => {
  const run = waiting();
  await pass(timers, 120);
  run.source.open({ why: 'refused' });
  await settled();
  assert.equal(text(run.chunks), COMMENT + failed('refused'));
  assert.deepEqual(run.hooks.settled, ['failed']);
});

test('a stream that ended before content has none, and content is told once', async () => {
  for (const { sent, contents } of [{ sent: [CREATED, ADDED, FAILED], contents: 0 }, { sent: [CREATED, DELTA, DELTA, COMPLETED], contents: 1 }]) {
    const run = waiting();
    const call = new FakeCall().begin();
    run.source.use(call);
    run.source.open({ call });
    await pass(timers, 30);
    call.send(...sent);
    call.finish();
    await settled();
    assert.equal(run.hooks.contents, contents);
    assert.equal(run.hooks.contentMs > 0, contents > 0);
  }
});

test('a caller that leaves between two providers ends the next call, too', async () => {
  const run = waiting();
  const first = new FakeCall();
  run.source.use(first);
  first.leave();
  await settled();
  assert.deepEqual(run.hooks.settled, ['gone']);
  const next = new FakeCall();
  run.source.use(next);
  assert.ok(next.aborts > 0 && run.source.gone);
});
