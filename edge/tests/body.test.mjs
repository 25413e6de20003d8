// Bodies are read within the isolate's budget, within their size and within their deadline, or not at all.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { bytes, pass, settled, text } from './platform.mjs';
import { Lease, readAll, SMALL_MAX_BYTES } from '../src/body.js';

const { timers } = mock;
const BUDGET_BYTES = 100;
const LIFE_MS = 1_000;
const MAX_BYTES = 80;
const DEADLINE_MS = 500;

beforeEach(() => {
  timers.reset();
  timers.enable({ apis: ['setTimeout', 'Date'], now: 1_790_000_000_000 });
});

const lease = () => new Lease(BUDGET_BYTES, LIFE_MS);

/** A body that sends its chunks at once, and then what `end` does: by default, its end. */
function body(chunks, end = (sender) => sender.close()) {
  const seen = { cancelled: undefined };
  const start = (sender) => {
    for (const chunk of chunks) sender.enqueue(bytes(chunk));
    end(sender);
  };
  seen.stream = new ReadableStream({ start, cancel: (reason) => (seen.cancelled = reason) });
  return seen;
}

const open = () => {};
const message = (stream) => stream && new Response(stream);
const read = (stream, share, declared = -1) => readAll(message(stream), share, MAX_BYTES, declared, DEADLINE_MS);

/** Runs `act` with what is left of the budget when it holds `heldBytes`. */
async function whileHeld(heldBytes, act) {
  const other = lease();
  assert.ok(other.grow(heldBytes));
  try {
    await act();
  } finally {
    other.release();
  }
}

test('a body is read whole, declared or not, in any chunks', async () => {
  for (const chunks of [[], ['abc'], ['a', 'bc', 'def'], ['', 'a', '']]) {
    const whole = chunks.join('');
    for (const declared of [-1, whole.length]) {
      const share = lease();
      const answer = await read(body(chunks).stream, share, declared);
      assert.equal(text([answer]), whole);
      share.release();
    }
  }
  for (const none of [null, undefined]) assert.equal((await read(none, lease(), 0)).length, 0);
});

test('a body over the limit is refused: unread if it is declared, at the limit if it is not', async () => {
  const declared = body(['x'.repeat(MAX_BYTES + 1)]);
  assert.equal(await read(declared.stream, lease(), MAX_BYTES + 1), 'too_large');
  assert.ok(!declared.stream.locked, 'not a byte was read');
  const chunked = body(['x'.repeat(MAX_BYTES), 'x'], open);
  const share = lease();
  assert.equal(await read(chunked.stream, share), 'too_large');
  assert.equal(chunked.cancelled, 'too_large');
  share.release();
  const exact = lease();
  assert.equal((await read(body(['x'.repeat(MAX_BYTES)]).stream, exact)).length, MAX_BYTES);
  exact.release();
});

test('more than was declared is refused, less is taken as it came', async () => {
  const budgetBytes = 4 * SMALL_MAX_BYTES;
  for (const declared of [3, SMALL_MAX_BYTES + 3]) {
    const share = new Lease(budgetBytes, LIFE_MS);
    const take = (length, end) =>
      readAll(message(body(['x'.repeat(length)], end).stream), share, budgetBytes, declared, DEADLINE_MS);
    assert.equal(await take(declared + 1), 'too_large');
    assert.equal((await take(declared - 1)).length, declared - 1);
    share.release();
  }
});

test('a declared body is cut at the deadline, too, large or small', async () => {
  const budgetBytes = 4 * SMALL_MAX_BYTES;
  for (const declared of [3, SMALL_MAX_BYTES + 3]) {
    const share = new Lease(budgetBytes, LIFE_MS);
    const reading = readAll(message(body(['a'], open).stream), share, budgetBytes, declared, DEADLINE_MS);
    await pass(timers, DEADLINE_MS - 10);
    assert.equal(await Promise.race([reading, settled()]), undefined, 'too early');
    await pass(timers, 10);
    assert.equal(await reading, 'slow');
    share.release();
  }
});

test('the budget is never passed: declared bodies wait outside, others are stopped on the way', async () => {
  await whileHeld(60, async () => {
    const declared = body(['x'.repeat(41)]);
    assert.equal(await read(declared.stream, lease(), 41), 'busy');
    assert.ok(!declared.stream.locked, 'not a byte was read');
    const chunked = body(['x'.repeat(40), 'x'], open);
    const share = lease();
    assert.equal(await read(chunked.stream, share), 'busy');
    assert.equal(chunked.cancelled, 'busy');
    share.release();
    const fits = lease();
    assert.equal((await read(body(['x'.repeat(40)]).stream, fits, 40)).length, 40);
    assert.ok(!lease().grow(1), 'full');
    fits.release();
  });
  const all = lease();
  assert.ok(all.grow(BUDGET_BYTES), 'everything was given back');
  all.release();
});

test('a share can grow, shrink and be given back twice', () => {
  const share = lease();
  assert.ok(share.grow(60));
  assert.ok(share.grow(BUDGET_BYTES), 'its own bytes do not stand in its way');
  assert.ok(share.grow(10));
  const other = lease();
  assert.ok(other.grow(90));
  assert.ok(!share.grow(11));
  share.release();
  share.release();
  assert.ok(other.grow(BUDGET_BYTES));
  other.release();
});

test('a share that was forgotten runs out, and counts for nothing then', async () => {
  const forgotten = lease();
  const other = new Lease(BUDGET_BYTES, 10 * LIFE_MS);
  assert.ok(forgotten.grow(60) && other.grow(40));
  await pass(timers, LIFE_MS - 10);
  assert.ok(!lease().grow(1));
  await pass(timers, 10);
  assert.ok(!forgotten.grow(61), 'what ran out is not taken off what others hold');
  const next = lease();
  assert.ok(next.grow(60), 'its place is free');
  assert.ok(!forgotten.grow(1));
  for (const share of [forgotten, next, other]) share.release();
});

test('any number of shares that come, grow and go never hold more than the budget', () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const heldBytes = new Map();
  for (let step = 0; step < 20_000; step++) {
    const share = [...heldBytes.keys()][random(12)] ?? lease();
    const wanted = random(60);
    if (random(3) === 0) {
      share.release();
      heldBytes.delete(share);
    } else {
      const others = [...heldBytes].reduce((sum, [other, held]) => (other === share ? sum : sum + held), 0);
      assert.equal(share.grow(wanted), others + wanted <= BUDGET_BYTES);
      if (others + wanted <= BUDGET_BYTES) heldBytes.set(share, wanted);
    }
  }
  for (const share of heldBytes.keys()) share.release();
});

test('a slow body is cut at the deadline, and the sender is told', async () => {
  const slow = body(['a'], open);
  const share = lease();
  const reading = read(slow.stream, share);
  await pass(timers, DEADLINE_MS - 10);
  assert.equal(await Promise.race([reading, settled()]), undefined, 'too early');
  await pass(timers, 10);
  assert.equal(await reading, 'slow');
  await settled();
  assert.equal(slow.cancelled, 'slow');
  share.release();
});

test('a sender that leaves in the middle is no body', async () => {
  const share = lease();
  assert.equal(await read(body(['a'], (sender) => sender.error(new Error('gone'))).stream, share), 'broken');
  share.release();
});
