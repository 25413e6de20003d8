// Cuts a provider's byte stream into events, whatever its chunks and line ends, and says which of them bring content.
//
// Invariant: the pieces in their order are the stream, byte for byte, without its byte order mark.

const LF = 10;
const CR = 13;
const EVENT_FIELD = new TextEncoder().encode('event:');
const BOM = [0xef, 0xbb, 0xbf];

/** Events that carry the whole response object, or an error: they are shown to `rewrite`. All others pass. */
const REWRITTEN = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.completed',
  'response.incomplete',
  'response.failed',
  'error',
]);

/** Events that announce what is to be generated, and bring nothing of it. With those before them they are the preamble. */
const PREAMBLE = new Set([
  'response.output_item.added',
  'response.content_part.added',
  'response.reasoning_summary_part.added',
]);

/**
 * Finds the ends of events in a byte stream, whatever the chunks and line ends (LF, CR, CRLF).
 * `next(bytes, from)` answers the index after the event's last byte, or -1.
 */
export class Boundaries {
  constructor() {
    this.lineIsEmpty = true;
    this.afterCr = false;
  }

  /** Whether the first byte is the line feed of a line end that had already counted at its carriage return. */
  endsLine(bytes) {
    const ends = this.afterCr && bytes[0] === LF;
    if (ends) this.afterCr = false;
    return ends;
  }

  next(bytes, from) {
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === LF && this.afterCr) {
        this.afterCr = false;
      } else if (byte === LF || byte === CR) {
        const ended = this.lineIsEmpty;
        this.afterCr = byte === CR;
        this.lineIsEmpty = true;
        if (ended) {
          // A line feed that belongs to this carriage return goes with the event, if it is here already.
          if (this.afterCr && bytes[at + 1] === LF) {
            this.afterCr = false;
            return at + 2;
          }
          return at + 1;
        }
      } else {
        this.afterCr = false;
        this.lineIsEmpty = false;
      }
    }
    return -1;
  }
}

/** The name in the event's first line, or null if that line is not its `event:` field. */
export function eventName(event) {
  for (let at = 0; at < EVENT_FIELD.length; at++) {
    if (event[at] !== EVENT_FIELD[at]) return null;
  }
  let from = EVENT_FIELD.length;
  if (event[from] === 32) from++;
  let name = '';
  for (let at = from; at < event.length && event[at] !== LF && event[at] !== CR; at++) {
    name += String.fromCharCode(event[at]);
  }
  return name;
}

/** Whether an event of this type brings something that was generated. */
export function isContent(type) {
  return type !== null && type !== undefined && !REWRITTEN.has(type) && !PREAMBLE.has(type);
}

/**
 * Cuts chunks into events. `feed(chunk)` answers pieces of whole events, in order: runs that pass as they are,
 * and single events that have to be shown to `rewrite`.
 */
export class Splitter {
  constructor(maxEventBytes) {
    this.maxEventBytes = maxEventBytes;
    this.boundaries = new Boundaries();
    this.rest = new Uint8Array(0);
    /** Where `rest` lies, with room behind it, once it has grown; else null. */
    this.room = null;
    this.begun = false;
    /** Whether every event is a piece of its own. */
    this.single = false;
    /** Whether an event has come whose name says that it brings content. */
    this.content = false;
  }

  /** True where an event has just ended: nothing of the next one has come. */
  get atBoundary() {
    return this.rest.length === 0;
  }

  /** `rest` with `chunk` behind it. Room grows twofold: a long event in small chunks is not copied for each. */
  append(chunk) {
    const length = this.rest.length + chunk.length;
    if (this.room === null || length > this.room.length) {
      this.room = new Uint8Array(2 * length);
      this.room.set(this.rest);
    }
    this.room.set(chunk, this.rest.length);
    return this.room.subarray(0, length);
  }

  feed(chunk) {
    let bytes = this.rest.length ? this.append(chunk) : chunk;
    let scan = this.rest.length;
    if (!this.begun) {
      if (bytes.length < 3 && BOM.slice(0, bytes.length).every((b, at) => bytes[at] === b)) {
        this.rest = bytes;
        return [];
      }
      this.begun = true;
      if (BOM.every((b, at) => bytes[at] === b)) bytes = bytes.slice(3);
      this.room = null;
      scan = 0;
    }
    const pieces = [];
    let start = 0;
    if (this.rest.length === 0 && this.boundaries.endsLine(bytes)) {
      pieces.push({ pass: bytes.subarray(0, 1) });
      start = 1;
      scan = 1;
    }
    let run = start;
    for (let end = this.boundaries.next(bytes, scan); end >= 0; end = this.boundaries.next(bytes, end)) {
      const event = bytes.subarray(start, end);
      const name = eventName(event);
      if (name === null || REWRITTEN.has(name)) {
        if (run < start) pieces.push({ pass: bytes.subarray(run, start) });
        pieces.push({ show: event });
        run = end;
      } else {
        if (!this.content && !PREAMBLE.has(name)) this.content = true;
        if (this.single) {
          pieces.push({ pass: event, content: !PREAMBLE.has(name) });
          run = end;
        }
      }
      start = end;
    }
    if (run < start) pieces.push({ pass: bytes.subarray(run, start) });
    this.rest = start === 0 ? bytes : bytes.slice(start);
    if (start !== 0) this.room = null;
    if (this.rest.length > this.maxEventBytes) throw new Error('event too large');
    return pieces;
  }
}

