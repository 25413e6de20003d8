// Every short stream, cut in every way: what the splitter delivers is what came, and ends where events end.
//
// `a` and `b` stand for the fields `data` and `event`, so that seven bytes are enough for lines that matter.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import './platform.mjs';
import { BOM, ends, events, lastEnd, withoutBom } from './reference.mjs';
import { Splitter, eventName } from '../src/events.js';

const NAMES = { data: 'a', event: 'b' };
const KEEP_ALIVE = ': keep-alive\n\n';
const EVENT_MAX_BYTES = 1 << 20;

const raw = (input) => Uint8Array.from(input, (byte) => byte.charCodeAt(0));
const cooked = (piece) => String.fromCharCode(...piece);

/** All texts of `min` to `max` symbols. */
function* words(symbols, min, max) {
  let level = [''];
  for (let length = 0; length <= max; length++) {
    if (length >= min) yield* level;
    if (length < max) level = level.flatMap((word) => symbols.map((symbol) => word + symbol));
  }
}

/** Where the chunks end if bit n of `mask` means a cut after byte n. */
function chunkEnds(length, mask) {
  const found = [];
  for (let at = 1; at < length; at++) if (mask & (1 << (at - 1))) found.push(at);
  return [...found, length];
}

/** Feeds `input` cut at `cuts`; answers the pieces, having seen that after each chunk all that had ended was out. */
function feed(input, cuts) {
  const splitter = new Splitter(EVENT_MAX_BYTES);
  const pieces = [];
  let delivered = 0;
  let from = 0;
  for (const cut of cuts) {
    for (const piece of splitter.feed(raw(input.slice(from, cut)))) {
      pieces.push(cooked(piece.pass ?? piece.show));
      delivered += pieces.at(-1).length;
    }
    from = cut;
    const seen = input.slice(0, cut);
    const undecided = seen.length < BOM.length && BOM.startsWith(seen);
    if (undecided ? delivered !== 0 : delivered !== lastEnd(withoutBom(seen))) assert.fail(`delivered ${delivered}`);
    const held = undecided ? seen.length : withoutBom(seen).length - delivered;
    if (splitter.atBoundary !== (held === 0)) assert.fail('boundary');
  }
  return { pieces, rest: cooked(splitter.rest) };
}

/** Tries every way to cut `input`, and every place where a comment could go. */
function tryAll(input) {
  const wanted = withoutBom(input);
  const meaning = events(wanted, NAMES).join();
  const placesTried = new Set();
  for (let mask = 0; mask < 1 << Math.max(0, input.length - 1); mask++) {
    const { pieces, rest } = feed(input, chunkEnds(input.length, mask));
    if (pieces.join('') + rest !== wanted) assert.fail(`delivers ${JSON.stringify(pieces)}`);
    const places = [0];
    for (const piece of pieces) places.push(places.at(-1) + piece.length);
    if (placesTried.has(places.join())) continue;
    placesTried.add(places.join());
    const commented = KEEP_ALIVE + [...pieces, rest].join(KEEP_ALIVE);
    if (events(commented, NAMES).join() !== meaning) assert.fail(`a comment changes ${JSON.stringify(pieces)}`);
    for (const place of places) {
      const one = wanted.slice(0, place) + KEEP_ALIVE + wanted.slice(place);
      if (events(one, NAMES).join() !== meaning) assert.fail(`a comment at ${place} changes it`);
    }
  }
}

function tryWords(symbols, min, max, prefix = '') {
  let count = 0;
  for (const word of words(symbols, min, max)) {
    try {
      tryAll(prefix + word);
    } catch (error) {
      error.message = `${JSON.stringify(prefix + word)}: ${error.message}`;
      throw error;
    }
    count += 1;
  }
  return count;
}

test('every stream of up to seven bytes, in every chunking', () => {
  assert.equal(tryWords(['\n', '\r', 'a', ':'], 1, 7), 21_844);
});

test('every stream of up to five bytes with event names', () => {
  assert.equal(tryWords(['\n', '\r', 'a', 'b', ':'], 1, 5), 3_905);
});

test('every stream of up to five bytes that are parts of byte order marks', () => {
  assert.equal(tryWords(['\n', '\r', 'a', '\xef', '\xbb', '\xbf'], 1, 5), 9_330);
});

test('every stream of up to five bytes behind a byte order mark', () => {
  assert.equal(tryWords(['\n', '\r', 'a', ':'], 0, 5, BOM), 1_365);
});

test('a byte order mark that is not the very first is left where it is', () => {
  assert.equal(tryWords(['\n', 'a', BOM], 1, 4, '\n'), 120);
});

/** Whether Rust has to see the event: its first line does not say that it may pass. */
function mustBeShown(event) {
  const first = /^event: ?([^\r\n]*)/.exec(event);
  const lifecycle = /^(response\.(created|queued|in_progress|completed|incomplete|failed)|error)$/;
  return first === null || lifecycle.test(first[1]);
}

test('lifecycle events and unnamed ones are shown alone, all others pass', () => {
  const lines = ['event: response.created', 'event:error', 'event: response.output_text.delta', 'data: {}', ': note', 'id: 1'];
  const eventsOf = lines.map((line) => `${line}~data: x~~`);
  for (const eol of ['\n', '\r', '\r\n']) {
    for (const [one, two, three] of eventsOf.flatMap((a) => eventsOf.flatMap((b) => eventsOf.map((c) => [a, b, c])))) {
      const input = (one + two + three).replaceAll('~', eol);
      for (const cut of [input.length, 1, one.length, Math.floor(input.length / 2)]) classify(input, cut);
    }
  }
});

function classify(input, cut) {
  const splitter = new Splitter(EVENT_MAX_BYTES);
  const pieces = [input.slice(0, cut), input.slice(cut)].flatMap((chunk) => splitter.feed(raw(chunk)));
  for (const piece of pieces) {
    const run = cooked(piece.pass ?? piece.show);
    const from = [0, ...ends(run)];
    const single = from.slice(0, -1).map((start, index) => run.slice(start, from[index + 1]));
    // The line feed of a carriage return that was the last byte of its chunk goes after its event, alone.
    if (run === '\n' && piece.pass) continue;
    assert.ok(piece.pass ? single.every((event) => !mustBeShown(event)) : single.length === 1 && mustBeShown(run), run);
  }
}

test('the name of an event is its first line, or unknown', () => {
  const cases = { 'event: a.b\n': 'a.b', 'event:a\r\n': 'a', 'event:  a\n': ' a', 'data: x\n': null, 'event\n': null, 'ev': null, '': null };
  for (const [event, name] of Object.entries(cases)) assert.equal(eventName(raw(event)), name, event);
});

test('an event over the limit is not collected', () => {
  const splitter = new Splitter(8);
  assert.deepEqual(splitter.feed(raw('12345678')), []);
  assert.throws(() => splitter.feed(raw('9')));
  assert.equal(new Splitter(8).feed(raw('1234567890\n\n')).length, 1);
});

test('an event that comes in many small chunks is not copied for each of them', () => {
  const chunk = raw('x'.repeat(64));
  const count = 4_096;
  const splitter = new Splitter(EVENT_MAX_BYTES);
  const set = mock.method(Uint8Array.prototype, 'set');
  for (let n = 0; n < count; n++) splitter.feed(chunk);
  const copied = set.mock.calls.reduce((sum, call) => sum + call.arguments[0].length, 0);
  set.mock.restore();
  assert.ok(copied < 4 * count * chunk.length, `${copied} bytes were copied`);
  assert.equal(splitter.rest.length, count * chunk.length);
});
