// What workerd gives stream.js and node does not, and a clock that tests drive.
//
// Invariant: a write ends when its bytes are read, and a reader that leaves is seen by the writer, as in workerd.

import { setImmediate as turn } from 'node:timers/promises';

/** A reader and a writer, hand to hand: nothing lies between them. */
globalThis.IdentityTransformStream = class {
  #offered = null;
  #wanted = null;

  constructor() {
    this.readable = new ReadableStream(
      {
        start: (reader) => (this.reader = reader),
        pull: () =>
          new Promise((done) => {
            this.#wanted = done;
            this.#meet();
          }),
        cancel: (reason) => {
          this.writer.error(reason);
          this.#offered?.refuse(reason);
        },
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream({
      start: (writer) => (this.writer = writer),
      write: (chunk, { signal }) =>
        new Promise((taken, refuse) => {
          this.#offered = { chunk, taken, refuse };
          // A write that nobody reads ends when its stream is aborted, unlike in the specification.
          signal.addEventListener('abort', () => refuse(signal.reason));
          this.#meet();
        }),
      close: () => this.reader.close(),
      abort: (reason) => this.reader.error(reason),
    });
  }

  #meet() {
    if (!this.#offered || !this.#wanted) return;
    this.reader.enqueue(this.#offered.chunk);
    this.#offered.taken();
    this.#wanted();
    this.#offered = null;
    this.#wanted = null;
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
