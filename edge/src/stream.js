// Carries a provider's event stream to the caller: whole events only, byte for byte, with keep-alives in between.
//
// Invariants: a comment is written only where an event has just ended; events that are not lifecycle events are
// passed on unread; and a stream that began ends with a terminal event, unless the caller has left.

const LF = 10;
const CR = 13;
const KEEP_ALIVE = new TextEncoder().encode(': keep-alive\n\n');
const EVENT_FIELD = new TextEncoder().encode('event:');
const BOM = [0xef, 0xbb, 0xbf];
/** Longer than Rust tries to settle (three times 2 s in each of two objects): past it, Rust has died. */
const SETTLE_MAX_MS = 15_000;

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

function concat(one, other) {
  const all = new Uint8Array(one.length + other.length);
  all.set(one);
  all.set(other, one.length);
  return all;
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

/**
 * The state of one stream. The hooks are Rust's decisions:
 * `rewrite(event)` answers `{ bytes?, terminal, whole }` (no bytes: as it came; whole: it could be read);
 * `fail(reason, lastPassed)` answers the bytes that end a stream without a terminal event;
 * `settle(how, firstByteMs)` is awaited once, before the stream closes; `lastResort` are bytes for when Rust is gone.
 */
class Pump {
  constructor(call, writable, hooks, limits) {
    this.call = call;
    this.writer = writable.getWriter();
    this.hooks = hooks;
    this.limits = limits;
    this.splitter = new Splitter(limits.eventMaxBytes);
    // The caller has waited since the call was made: comments and deadlines count from there.
    this.startedMs = Date.now() - (limits.waitedMs ?? 0);
    this.wroteMs = this.startedMs;
    this.heardMs = this.startedMs;
    this.firstByteMs = 0;
    this.lastPassed = new Uint8Array(0);
    this.terminal = false;
    this.settled = false;
    this.stopped = null;
    this.reader = null;
    this.writer.closed.catch(() => this.halt('gone'));
    call.onGone = () => this.halt('gone');
    if (call.gone) this.halt('gone');
  }

  /** Stops reading, for good; the first reason holds. */
  halt(reason) {
    if (this.stopped) return;
    this.stopped = reason;
    this.call.abort();
    this.reader?.cancel(reason).catch(() => {});
    // A write to a caller who has left, or who does not read, may never end by itself.
    const giveUp = () => this.writer.abort(reason).catch(() => {});
    if (reason === 'gone') giveUp();
    else this.lastTimer = setTimeout(giveUp, this.limits.keepAliveMs);
  }

  async write(bytes) {
    this.wroteMs = Date.now();
    try {
      await this.writer.write(bytes);
    } catch {
      this.halt('gone');
    }
  }

  /** One timer for keep-alives and deadlines, armed anew only when it has gone off. */
  arm() {
    const dueMs = Math.min(this.wroteMs + this.limits.keepAliveMs, this.deadlineMs());
    this.timer = setTimeout(() => this.tick(), Math.max(1, dueMs - Date.now()));
  }

  deadlineMs() {
    const { firstByteMaxMs, idleMaxMs, totalMaxMs } = this.limits;
    const silenceMaxMs = this.firstByteMs ? idleMaxMs : firstByteMaxMs;
    return Math.min(this.heardMs + silenceMaxMs, this.startedMs + totalMaxMs);
  }

  tick() {
    const nowMs = Date.now();
    if (nowMs >= this.deadlineMs()) {
      this.halt('late');
      return;
    }
    if (nowMs >= this.wroteMs + this.limits.keepAliveMs) {
      if (this.splitter.atBoundary) this.write(KEEP_ALIVE);
      else this.wroteMs = nowMs;
    }
    this.arm();
  }

  async deliver(pieces) {
    for (const { pass, show } of pieces) {
      if (this.stopped) return;
      if (pass) {
        // A line feed alone is the rest of the event before it.
        if (pass.length > 1) this.lastPassed = pass;
        await this.write(pass);
        continue;
      }
      const { bytes, terminal } = this.hooks.rewrite(show);
      await this.write(bytes ?? show);
      if (terminal) {
        this.terminal = true;
        await this.settle('ended');
        this.limits.idleMaxMs = Math.min(this.limits.idleMaxMs, this.limits.lingerMs);
        clearTimeout(this.timer);
        this.arm();
      }
    }
  }

  /** Waits for the provider's answer; a keep-alive may have gone out before it. */
  async head() {
    const status = await this.call.answered;
    if (this.stopped) return false;
    const type = this.call.header('content-type') ?? '';
    if (status === 200 && type.startsWith('text/event-stream')) return true;
    this.halt(status === 0 ? 'unreachable' : `refused ${status}`);
    return false;
  }

  async read() {
    this.reader = this.call.response.body.getReader();
    for (;;) {
      const { done, value } = await this.reader.read();
      if (done || this.stopped) return;
      this.heardMs = Date.now();
      this.firstByteMs ||= Math.max(1, this.heardMs - this.startedMs);
      await this.deliver(this.splitter.feed(value));
    }
  }

  /** The provider's last event may lack its blank line; it counts all the same if it can be read. */
  async finishLastEvent() {
    if (this.stopped || this.splitter.atBoundary) return;
    const event = concat(this.splitter.rest, new Uint8Array([LF, LF]));
    if (this.hooks.rewrite(event).whole) await this.deliver([{ show: event }]);
  }

  /** Whatever becomes of it, the stream goes on to its end: what is not settled is settled by the reservation's. */
  async settle(how) {
    if (this.settled) return;
    this.settled = true;
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, SETTLE_MAX_MS);
    });
    try {
      await Promise.race([this.hooks.settle(how, this.firstByteMs), late]);
    } catch {
      // Rust has died.
    }
    clearTimeout(timer);
  }

  async run() {
    this.arm();
    try {
      if (await this.head()) {
        await this.read();
        await this.finishLastEvent();
      }
    } catch {
      this.stopped ??= 'broken';
    }
    clearTimeout(this.timer);
    await this.end();
  }

  async end() {
    this.call.abort();
    const gone = this.stopped === 'gone';
    try {
      await this.settle(gone ? 'gone' : 'failed');
      if (!this.terminal && !gone) await this.write(this.failure(this.stopped ?? 'ended'));
      await this.writer.close();
    } catch {
      // The caller has left.
    }
    clearTimeout(this.lastTimer);
  }

  failure(reason) {
    try {
      return this.hooks.fail(reason, this.lastPassed);
    } catch {
      return this.hooks.lastResort;
    }
  }
}

/**
 * Starts the stream to the caller. Answers `{ readable, done }`; `done` must be kept alive by `waitUntil`.
 */
export function pump(call, hooks, limits) {
  const { readable, writable } = new IdentityTransformStream();
  const done = new Pump(call, writable, hooks, { ...limits }).run();
  return { readable, done };
}
