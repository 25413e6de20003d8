// Frames of a connection, and what connections remember within their share of the budget.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { bytes, text } from './platform.mjs';
import { Recall } from '../src/recall.js';
import { Frames, dataOf } from '../src/socket.js';

const { timers } = mock;
const BUDGET_BYTES = 100;
const SHARE_BYTES = 40;
const LIFE_MS = 1_000;

beforeEach(() => {
  timers.reset();
  timers.enable({ apis: ['setTimeout', 'Date'], now: 1_790_000_000_000 });
});

test('data are read whatever the line ends', () => {
  for (const eol of ['\n', '\r', '\r\n']) {
    const lines = [': note', 'event: x', 'data: {"a":', 'data:1}', 'datax: no', '', ''];
    assert.equal(dataOf(bytes(lines.join(eol))), '{"a":\n1}');
  }
  assert.equal(dataOf(bytes(': keep-alive\n\n')), null);
});

function framed(...events) {
  const sent = [];
  const frames = new Frames((frame) => sent.push(frame));
  for (const event of events) frames.event(bytes(event));
  frames.end();
  return sent;
}

test('comments and the end mark are no frames, and one frame ends a turn', () => {
  const failed = 'event: response.failed\ndata: {"type":"response.failed"}\n\n';
  const error = 'event: error\ndata: {"type":"error"}\n\n';
  assert.deepEqual(framed(': x\n\n', 'data: {"type":"a"}\n\n', 'data: [DONE]\n\n'), ['{"type":"a"}']);
  assert.deepEqual(framed(error, failed), ['{"type":"response.failed"}']);
  assert.deepEqual(framed('data: {"type":"error"}\n\n', failed), ['{"type":"response.failed"}']);
  assert.deepEqual(framed(error), ['{"type":"error"}']);
});

const recall = () => new Recall(BUDGET_BYTES, SHARE_BYTES, LIFE_MS);

/** Has it remember a response of this id, of `length` bytes. */
function remember(memory, id, length) {
  memory.ask(bytes('1'.repeat(length - 2)), 1);
  memory.keep(id, 'endpoint', bytes('2'), 1);
}

test('what is remembered is the conversation and its answer, once it has ended well', () => {
  const memory = recall();
  memory.ask(bytes('1'), 1);
  assert.ok(!memory.has('one'));
  memory.keep('one', 'endpoint', bytes('2,3'), 2);
  assert.deepEqual([text([memory.items]), memory.count, memory.has('one')], ['1,2,3', 3, true]);
  memory.ask(bytes('9'), 1);
  memory.fail('other');
  assert.ok(memory.has('one'), 'a failure of another conversation');
  memory.fail('one');
  assert.ok(!memory.has('one'));
  memory.ask(bytes(''), 0);
  memory.keep('empty', 'endpoint', bytes('2'), 1);
  assert.equal(text([memory.items]), '2');
  memory.forget();
});

test('what was used longest ago makes room within the share, and nothing is held beyond it', () => {
  const [one, two, three] = [recall(), recall(), recall()];
  remember(one, 'one', 15);
  remember(two, 'two', 15);
  one.settle();
  remember(three, 'three', 15);
  assert.deepEqual([one.has('one'), two.has('two'), three.has('three')], [true, false, true]);
  remember(three, 'long', SHARE_BYTES + 1);
  assert.deepEqual([one.has('one'), three.has('long'), three.has('three')], [true, false, false]);
  for (const memory of [one, two, three]) memory.forget();
});
