// Has the face of a `Splitter` (see events.js), for streams that Rust translates: each chunk of the provider becomes the
// whole events that the caller reads of it.
//
// Invariant: what is told is whole events, so between two chunks is always a boundary.

export class Translator {
  /** `translate(chunk)` answers `{ bytes, terminal, content, finished }`; without a chunk, what is left at the stream's end. */
  constructor(translate) {
    this.translate = translate;
    this.atBoundary = true;
    this.single = false;
    /** Whether anything that was generated has come. */
    this.content = false;
    /** Whether the model has said that it is done: only its usage may follow. */
    this.finished = false;
  }

  feed(chunk) {
    const told = this.translate(chunk);
    if (told.content) this.content = true;
    if (told.finished) this.finished = true;
    return told.bytes.length || told.terminal ? [{ told }] : [];
  }

  /** The provider's stream has ended: what that means, if the model had said that it was done. */
  end() {
    return this.feed(undefined);
  }
}
