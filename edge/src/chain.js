// Shows every response object of an event stream to Rust on its way to the caller.
//
// Invariant: other events pass byte for byte, in their order; what the caller cancels is cancelled at its source.

import { Splitter } from './events.js';

/** The stream with each lifecycle event as `show(event)` answers it, a promise of bytes. */
export function shown(stream, show, maxEventBytes) {
  const splitter = new Splitter(maxEventBytes);
  return stream.pipeThrough(
    new TransformStream({
      async transform(chunk, controller) {
        for (const piece of splitter.feed(chunk)) {
          controller.enqueue(piece.pass ?? (await show(piece.show)));
        }
      },
      flush(controller) {
        if (splitter.rest.length > 0) controller.enqueue(splitter.rest);
      },
    }),
  );
}
