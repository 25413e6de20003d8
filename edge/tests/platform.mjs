// What workerd gives stream.js and node does not, and a clock that tests drive.
//
// Invariant: a write ends when its bytes are read, and a reader that leaves is seen by the writer, as in workerd.

import { setImmediate as turn } from 'node:timers/promises';

globalThis.IdentityTransformStream = class {
  constructor() {
    const { readable, writable } = new TransformStream({}, { highWaterMark: 1 }, { highWaterMark: 0 });
    this.readable = readable;
    this.writable = writable;
  }
};

/** Lets every promise go on that can, without a moment passing. */
export async function settled() {
  for (let turns = 0; turns < 5; turns++) await turn();
}

/** Lets `ms` pass on the mocked clock, in steps so small that timers armed by timers go off too. */
export async function pass(timers, ms, stepMs = 10) {
  for (let gone = 0; gone < ms; gone += stepMs) {
    timers.tick(Math.min(stepMs, ms - gone));
    await settled();
  }
}

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (chunks) => Buffer.concat(chunks).toString('utf8');
