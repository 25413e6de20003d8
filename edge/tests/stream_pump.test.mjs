// The pump on a driven clock: keep-alives, deadlines, ends, and callers that leave.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { bytes, pass, settled } from './platform.mjs';
import { COMMENT, COMPLETED, CREATED, DELTA, DONE, FakeCall, FakeHooks, LIMITS, Run, failed, shown } from './fakes.mjs';

const { timers } = mock;

beforeEach(() => {
  timers.reset();
  timers.enable({ apis: ['setTimeout', 'Date'], now: 1_790_000_000_000 });
});

/** A run whose provider has begun, with a caller that listens. */
async function begun(options) {
  const run = new Run(options).listen();
  run.call.begin();
  await settled();
  return run;
}

/** What must be true of every stream that has ended, however it did. */
function assertEnded(run, how, text) {
  assert.ok(run.pumpEnded, 'the pump has ended');
  assert.deepEqual(run.hooks.settled, [how], 'settled once');
  assert.ok(run.call.aborts > 0, 'the call is over');
  if (text === undefined) return;
  assert.ok(run.ended, 'the stream is closed');
  assert.equal(run.text, text);
}

test('a stream is passed on byte for byte, its lifecycle events rewritten', async () => {
  const run = await begun();
  run.call.send(CREATED, DELTA + DELTA, COMPLETED + DONE);
  run.call.finish();
  await settled();
  assertEnded(run, 'ended', shown(CREATED) + DELTA + DELTA + shown(COMPLETED) + DONE);
});

test('in chunks of one byte it is the same stream, one whole event per write', async () => {
  const run = await begun();
  const all = Buffer.from(CREATED + DELTA + COMPLETED + DONE);
  for (const byte of all) run.call.send(Uint8Array.of(byte));
  run.call.finish();
  await settled();
  assertEnded(run, 'ended', shown(CREATED) + DELTA + shown(COMPLETED) + DONE);
  assert.equal(run.chunks.length, 4);
});

test('silence at a boundary is filled with comments, also before the provider answers', async () => {
  const run = new Run().listen();
  await pass(timers, 250);
  assert.equal(run.text, COMMENT.repeat(2));
  run.call.begin();
  run.call.send(CREATED);
  await settled();
  await pass(timers, 1_050);
  assert.equal(run.text, COMMENT.repeat(2) + shown(CREATED) + COMMENT.repeat(10));
});

test('a stream that talks gets no comments and meets no deadline of silence', async () => {
  const run = await begun();
  const rounds = (1.5 * LIMITS.idleMaxMs) / (LIMITS.keepAliveMs - 20);
  for (let n = 0; n < rounds; n++) {
    run.call.send(DELTA);
    await pass(timers, LIMITS.keepAliveMs - 20);
  }
  assert.equal(run.text, DELTA.repeat(Math.ceil(rounds)));
  assert.ok(!run.pumpEnded, 'no deadline either');
});

test('silence in the middle of an event is not filled, and ends at the deadline', async () => {
  const run = await begun();
  run.call.send(CREATED, DELTA.slice(0, 20));
  const armed = mock.method(globalThis, 'setTimeout');
  await pass(timers, LIMITS.idleMaxMs + 200);
  assertEnded(run, 'failed', shown(CREATED) + failed('late'));
  assert.ok(armed.mock.callCount() < 3 + LIMITS.idleMaxMs / LIMITS.keepAliveMs, 'the timer does not spin');
  armed.mock.restore();
});

test('a comment never comes between the halves of an event that arrives late', async () => {
  const delta = bytes(DELTA);
  for (let cut = 1; cut < delta.length; cut++) {
    const run = await begun();
    run.call.send(CREATED, delta.slice(0, cut));
    await pass(timers, 350, 50);
    run.call.send(delta.slice(cut), COMPLETED);
    run.call.finish();
    await settled();
    assertEnded(run, 'ended', shown(CREATED) + DELTA + shown(COMPLETED));
  }
});

test('each deadline ends the stream with a terminal event', async () => {
  const cases = [
    { name: 'no answer', limits: { firstByteMaxMs: 150 }, act: () => {}, before: '' },
    { name: 'no first byte', limits: { firstByteMaxMs: 150 }, act: (run) => run.call.begin(), before: '' },
    { name: 'silence', limits: { idleMaxMs: 150 }, act: (run) => run.call.begin().send(CREATED), before: shown(CREATED) },
  ];
  for (const { name, limits, act, before } of cases) {
    const run = new Run({ limits }).listen();
    act(run);
    await settled();
    await pass(timers, 140);
    assert.ok(!run.pumpEnded, `${name}: too early`);
    await pass(timers, 60);
    assertEnded(run, 'failed', before + COMMENT + failed('late'));
  }
});

test('what the caller has waited before the pump began counts', async () => {
  const run = new Run({ limits: { waitedMs: LIMITS.keepAliveMs, firstByteMaxMs: 250 } }).listen();
  await pass(timers, 10);
  assert.equal(run.text, COMMENT);
  await pass(timers, 130);
  assert.ok(!run.pumpEnded, 'too early');
  await pass(timers, 20);
  assertEnded(run, 'failed', COMMENT.repeat(2) + failed('late'));
});

test('a provider that never stops talking ends at the total', async () => {
  const run = await begun({ limits: { totalMaxMs: 500 } });
  for (let n = 0; n < 12; n++) {
    if (run.pumpEnded) break;
    run.call.send(DELTA);
    await pass(timers, 50);
  }
  assertEnded(run, 'failed', DELTA.repeat(10) + failed('late'));
});

test('a reset, an early end and a refusal each end with a terminal event', async () => {
  const cases = [
    { reason: 'broken', before: shown(CREATED), act: (run) => run.call.begin().send(CREATED), then: (run) => run.call.reset() },
    { reason: 'ended', before: shown(CREATED), act: (run) => run.call.begin().send(CREATED), then: (run) => run.call.finish() },
    { reason: 'ended', before: '', act: (run) => run.call.begin(), then: (run) => run.call.finish() },
    { reason: 'unreachable', before: '', act: () => {}, then: (run) => run.call.unreachable() },
    { reason: 'refused 503', before: '', act: () => {}, then: (run) => run.call.begin(503) },
    { reason: 'refused 200', before: '', type: 'application/json', act: () => {}, then: (run) => run.call.begin() },
  ];
  for (const { reason, before, type, act, then } of cases) {
    const run = new Run({ call: new FakeCall(type) }).listen();
    act(run);
    await settled();
    then(run);
    await settled();
    assertEnded(run, 'failed', before + failed(reason));
  }
});

test('what a reset cuts in the middle of an event is not shown', async () => {
  const run = await begun();
  run.call.send(CREATED + DELTA + DELTA.slice(0, 30));
  await settled();
  run.call.reset();
  await settled();
  assertEnded(run, 'failed', shown(CREATED) + DELTA + failed('broken'));
  assert.equal(run.hooks.lastPassed, DELTA);
});

test('the sequence is continued after the last event, also if its line end was cut in two', async () => {
  const crlf = DELTA.replaceAll('\n', '\r\n');
  const run = await begun();
  run.call.send(crlf.slice(0, -1), '\n');
  run.call.finish();
  await settled();
  assertEnded(run, 'failed', crlf + failed('ended'));
  assert.equal(run.hooks.lastPassed, crlf.slice(0, -1));
});

test('a last event without its blank line counts if it is whole', async () => {
  for (const missing of ['\n', '\n\n']) {
    const run = await begun();
    run.call.send(CREATED + COMPLETED.slice(0, -missing.length));
    run.call.finish();
    await settled();
    assertEnded(run, 'ended', shown(CREATED) + shown(COMPLETED));
  }
});

test('a last event that is cut does not count', async () => {
  const run = await begun();
  run.call.send(CREATED + COMPLETED.slice(0, -5));
  run.call.finish();
  await settled();
  assertEnded(run, 'failed', shown(CREATED) + failed('ended'));
});

test('it is settled before the stream is closed, and events after the end still pass', async () => {
  let settle;
  const hooks = new FakeHooks();
  hooks.settle = (how) => {
    hooks.settled.push(how);
    return new Promise((resolve) => (settle = resolve));
  };
  const run = await begun({ hooks });
  run.call.send(COMPLETED + DONE);
  run.call.finish();
  await settled();
  assert.equal(run.text, shown(COMPLETED));
  assert.ok(!run.ended, 'open until it is settled');
  settle();
  await settled();
  assertEnded(run, 'ended', shown(COMPLETED) + DONE);
});

test('a provider that lingers after its terminal event is left', async () => {
  const run = await begun({ limits: { keepAliveMs: 5_000 } });
  run.call.send(CREATED, COMPLETED);
  await settled();
  await pass(timers, LIMITS.lingerMs - 50);
  assert.ok(!run.pumpEnded, 'too early');
  run.call.send(DONE);
  await pass(timers, LIMITS.lingerMs + 50);
  assertEnded(run, 'ended', shown(CREATED) + shown(COMPLETED) + DONE);
});

test('a caller that leaves ends the call at once, and is settled once as gone', async () => {
  const moments = {
    'before the answer': () => {},
    'before the first event': (run) => run.call.begin(),
    'between events': (run) => run.call.begin().send(CREATED),
    'within an event': (run) => run.call.begin().send(CREATED, DELTA.slice(0, 9)),
  };
  for (const [moment, act] of Object.entries(moments)) {
    const run = new Run().listen();
    act(run);
    await settled();
    await run.leave();
    assertEnded(run, 'gone');
    assert.equal(run.hooks.lastPassed, null, `${moment}: nothing is made up for nobody`);
  }
});

test('a caller whose leaving is only told by the platform is settled the same', async () => {
  const before = new FakeCall();
  before.leave();
  const late = new Run({ call: before }).listen();
  await settled();
  assertEnded(late, 'gone');
  const run = await begun();
  run.call.send(CREATED);
  await settled();
  run.call.leave();
  await settled();
  assertEnded(run, 'gone');
  assert.equal(run.hooks.lastPassed, null);
});

test('a write that nobody will ever read does not hold the end back when the caller leaves', async () => {
  const run = new Run();
  run.call.begin();
  run.call.send(CREATED, DELTA, DELTA);
  await settled();
  run.call.leave();
  await settled();
  assertEnded(run, 'gone');
});

test('a caller that leaves after the terminal event was served in full', async () => {
  const run = await begun();
  run.call.send(COMPLETED);
  await settled();
  await run.leave();
  assertEnded(run, 'ended');
});

test('a caller that reads slowly holds the provider back', async () => {
  const run = new Run();
  run.call.begin();
  for (let n = 0; n < 50; n++) run.call.send(DELTA);
  await settled();
  const { value } = await run.reader.read();
  assert.equal(Buffer.from(value).toString(), DELTA);
  await settled();
  assert.ok(run.call.stream.locked && !run.pumpEnded);
  run.listen();
  run.call.send(COMPLETED);
  run.call.finish();
  await settled();
  assertEnded(run, 'ended', DELTA.repeat(49) + shown(COMPLETED));
});

test('a caller that does not read at all is given up at the deadline', async () => {
  const run = new Run();
  run.call.begin();
  for (let n = 0; n < 5; n++) run.call.send(DELTA);
  await pass(timers, LIMITS.idleMaxMs + 200);
  assert.ok(run.call.aborts > 0, 'the provider is not kept waiting');
  await pass(timers, LIMITS.keepAliveMs);
  assertEnded(run, 'failed');
});

test('when Rust is gone, the stream still ends with a terminal event', async () => {
  const dead = () => {
    throw new WebAssembly.RuntimeError('unreachable');
  };
  const hooks = new FakeHooks();
  Object.assign(hooks, { rewrite: dead, fail: dead, settle: dead });
  const run = await begun({ hooks });
  run.call.send(DELTA + CREATED);
  await settled();
  assert.ok(run.ended && run.pumpEnded && run.call.aborts > 0);
  assert.equal(run.text, DELTA + Buffer.from(hooks.lastResort));
});

test('a settlement that is never answered does not hold the end back for ever', async () => {
  const hooks = new FakeHooks();
  hooks.settle = () => new Promise(() => {});
  const run = await begun({ hooks });
  run.call.send(DELTA);
  await settled();
  run.call.reset();
  await settled();
  await pass(timers, 20_000, 1_000);
  assert.ok(run.ended && run.pumpEnded);
  assert.equal(run.text, DELTA + failed('broken'));
});

test('an event over the limit ends the stream', async () => {
  const run = await begun({ limits: { eventMaxBytes: 100 } });
  run.call.send(DELTA, `data: ${'x'.repeat(200)}`);
  await settled();
  assertEnded(run, 'failed', DELTA + failed('broken'));
});

test('no timer is left when a stream has ended', async () => {
  const run = await begun();
  run.call.send(COMPLETED);
  run.call.finish();
  await settled();
  const before = run.text;
  await pass(timers, 1_000, 100);
  assert.equal(run.text, before);
  assert.deepEqual(run.hooks.settled, ['ended']);
});
