// Carries a provider's event stream to the caller: whole events only, byte for byte, with keep-alives in between.
//
// Invariants: a comment is written only where an event has just ended; events that are not lifecycle events are
// passed on unread; and a stream that began ends with a terminal event, unless the caller has left.

import { Splitter, isContent } from './events.js';
import { Translator } from './translator.js';

const LF = 10;
const KEEP_ALIVE = new TextEncoder().encode(': keep-alive\n\n');
/** Longer than Rust tries to settle (three times 2 s in each of two objects): past it, Rust has died. */
const SETTLE_MAX_MS = 15_000;

function concat(one, other) {
  const all = new Uint8Array(one.length + other.length);
  all.set(one);
  all.set(other, one.length);
  return all;
}

/**
 * The state of one stream. Its provider is found by Rust, which may ask several (see `source.js`). The hooks are Rust's
 * decisions:
 * `rewrite(event)` answers `{ bytes?, terminal, whole, kind? }` (no bytes: as it came; whole: it could be read; kind: the
 * type that its data say);
 * `translate(chunk?)` answers what the caller reads of a stream in another protocol (see `translator.js`);
 * `content()` is told once, when the first content has come;
 * `fail(reason, lastPassed)` answers the bytes that end a stream without a terminal event;
 * `settle(how, contentMs)` is awaited once, before the stream closes (`contentMs`: when the first content came, since the
 * call; 0: none did); `lastResort` are bytes for when Rust is gone.
 */
class Pump {
  constructor(source, writable, hooks, limits) {
    this.source = source;
    this.writer = writable.getWriter();
    this.hooks = hooks;
    this.limits = limits;
    this.splitter = new Splitter(limits.eventMaxBytes);
    // The caller has waited since the call was made: comments and deadlines count from there.
    this.startedMs = Date.now() - (limits.waitedMs ?? 0);
    this.wroteMs = this.startedMs;
    this.calledMs = this.startedMs;
    this.heardMs = this.startedMs;
    this.heard = false;
    this.contentMs = 0;
    this.lastPassed = new Uint8Array(0);
    this.terminal = false;
    this.settled = false;
    this.stopped = null;
    this.reader = null;
    this.writer.closed.catch(() => this.halt('gone'));
    source.onGone = () => this.halt('gone');
    if (source.gone) this.halt('gone');
  }

  /** Stops reading, for good; the first reason holds. */
  halt(reason) {
    if (this.stopped) return;
    this.stopped = reason;
    this.source.abort();
    // Whoever waits for a provider waits no more.
    this.source.open({ why: reason });
    this.reader?.cancel(reason).catch(() => {});
    // A write to a caller who has left, or who does not read, may never end by itself.
    const giveUp = () => this.writer.abort(reason).catch(() => {});
    if (reason === 'gone') giveUp();
    else this.lastTimer = setTimeout(giveUp, this.limits.keepAliveMs);
  }

  async write(bytes) {
    if (bytes.length === 0) return;
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
    const { firstByteMaxMs, idleMaxMs, contentMaxMs, totalMaxMs } = this.limits;
    const silenceMaxMs = this.heard ? idleMaxMs : firstByteMaxMs;
    const dueMs = Math.min(this.heardMs + silenceMaxMs, this.calledMs + totalMaxMs);
    return this.contentMs || contentMaxMs === undefined ? dueMs : Math.min(dueMs, this.calledMs + contentMaxMs);
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
    for (const { pass, show, told } of pieces) {
      if (this.stopped) return;
      if (told) {
        await this.write(told.bytes);
        if (told.terminal) await this.finish();
        continue;
      }
      if (pass) {
        // A line feed alone is the rest of the event before it.
        if (pass.length > 1) this.lastPassed = pass;
        await this.write(pass);
        continue;
      }
      const { bytes, terminal, kind } = this.hooks.rewrite(show);
      if (isContent(kind)) this.contentCame();
      await this.write(bytes ?? show);
      if (terminal) await this.finish();
    }
  }

  /** The response has ended; the provider may close its stream a little later. */
  async finish() {
    this.terminal = true;
    await this.settle('ended');
    this.linger();
  }

  /** Little more is to come, if anything. */
  linger() {
    if (this.limits.idleMaxMs <= this.limits.lingerMs) return;
    this.limits.idleMaxMs = this.limits.lingerMs;
    clearTimeout(this.timer);
    this.arm();
  }

  /** What was held back while nothing was generated; Rust has seen it. */
  async deliverHeld(held) {
    for (const { bytes, passed, terminal } of held) {
      if (this.stopped) return;
      if (passed) this.lastPassed = bytes;
      await this.write(bytes);
      if (terminal) await this.finish();
    }
  }

  contentCame() {
    if (this.contentMs) return;
    this.contentMs = Math.max(1, Date.now() - this.calledMs);
    this.hooks.content();
  }

  /** Waits for a provider's answer; keep-alives may go out before it. */
  async open() {
    const opened = await this.source.opened;
    if (this.stopped) return null;
    if (opened.why !== undefined) {
      this.halt(opened.why);
      return null;
    }
    const nowMs = Date.now();
    Object.assign(this.limits, opened.limits);
    this.calledMs = nowMs - (opened.calledAgoMs ?? nowMs - this.calledMs);
    // What was held back has been heard; else the answer has no more than a head yet.
    this.heard = opened.held !== undefined;
    this.heardMs = this.heard ? nowMs : this.calledMs;
    this.contentMs = opened.contentMs ?? 0;
    const translator = opened.limits?.translated ? new Translator(this.hooks.translate) : this.splitter;
    this.splitter = opened.splitter ?? translator;
    this.reader = opened.reader ?? opened.call.response.body.getReader();
    clearTimeout(this.timer);
    this.arm();
    return opened;
  }

  async read({ held, rest }) {
    await this.deliverHeld(held ?? []);
    await this.deliver(rest ?? []);
    for (;;) {
      const { done, value } = await this.reader.read();
      if (done || this.stopped) return;
      this.heardMs = Date.now();
      this.heard = true;
      const pieces = this.splitter.feed(value);
      if (this.splitter.content) this.contentCame();
      await this.deliver(pieces);
      if (this.splitter.finished) this.linger();
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
      await Promise.race([this.hooks.settle(how, this.contentMs), late]);
    } catch {
      // Rust has died.
    }
    clearTimeout(timer);
  }

  async run() {
    this.arm();
    try {
      const opened = await this.open();
      if (opened !== null) {
        await this.read(opened);
        await this.finishLastEvent();
      }
    } catch {
      this.stopped ??= 'broken';
    }
    clearTimeout(this.timer);
    await this.end();
  }

  /** What a translated stream is told at its end, however it came: the model may have said before that it was done. */
  async endTranslated() {
    let pieces = [];
    try {
      pieces = this.splitter.end?.() ?? [];
    } catch {
      // Rust has died.
    }
    for (const { told } of pieces) {
      await this.write(told.bytes);
      this.terminal = told.terminal;
    }
    if (this.terminal) await this.settle('ended');
  }

  async end() {
    this.source.abort();
    const gone = this.stopped === 'gone';
    try {
      if (!this.terminal && !gone) await this.endTranslated();
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
 * Starts the stream to the caller from what `source` opens. Answers `{ readable, done }`; `done` must be kept alive by
 * `waitUntil`.
 */
export function pump(source, hooks, limits) {
  const { readable, writable } = new IdentityTransformStream();
  const done = new Pump(source, writable, hooks, { ...limits }).run();
  return { readable, done };
}
