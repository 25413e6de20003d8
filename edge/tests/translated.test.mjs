// Streams that Rust translates, in the pump and while they are held back: what is told, and how they end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import './platform.mjs';
import { hold } from '../src/source.js';
import { Translator } from '../src/translator.js';

const LIMITS = { calledAgoMs: 0, firstByteMaxMs: 1_000, idleMaxMs: 1_000, totalMaxMs: 1_000, eventMaxBytes: 1 << 20, translated: true };
const bytes = (text) => new TextEncoder().encode(text);
const text = (piece) => new TextDecoder().decode(piece);

/** A provider that says these chunks and ends. */
function callOf(...chunks) {
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(bytes(chunk));
      controller.close();
    },
  });
  return { response: { body }, abort() {} };
}

/** Rust's part: `+` is content, `.` ends the response; at the stream's end `!` before it counts as an end. */
function translator() {
  let last = '';
  return (chunk) => {
    if (chunk === undefined) return { bytes: bytes(last === '!' ? 'end' : ''), terminal: last === '!', content: false };
    last = text(chunk);
    return { bytes: last === '~' ? bytes('') : bytes(last), terminal: last.includes('.'), content: last.includes('+') };
  };
}

test('a chunk of which nothing is told is no piece, and every piece is a boundary', () => {
  const splitter = new Translator(translator());
  assert.deepEqual(splitter.feed(bytes('~')), []);
  assert.equal(splitter.feed(bytes('a+')).length, 1);
  assert.equal(splitter.content, true);
  assert.equal(splitter.atBoundary, true);
});

test('a translated stream is held back to its first content, its end, or for good', async () => {
  const cases = [
    [['a', 'b+', 'c'], 'content', ['a', 'b+']],
    [['a', '.'], 'ended', ['a', '.']],
    [['a+.'], 'content', ['a+.']],
    [['a', '!'], 'ended', ['a', '!', 'end']],
    [['a', '~'], 'cut off', undefined],
  ];
  for (const [chunks, how, held] of cases) {
    const found = await hold(callOf(...chunks), () => assert.fail('rewritten'), LIMITS, translator());
    assert.equal(found.how, how, chunks.join());
    assert.deepEqual(found.held?.map((piece) => text(piece.bytes)), held, chunks.join());
  }
});
