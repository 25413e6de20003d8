// Where a stream comes from: the calls that are made for it one after the other, and the preamble of each, which is held
// back as long as another provider could still take over.
//
// Invariant: whoever ends the source ends the call that is under way, and every call that is made after it.

import { Splitter, isContent } from './events.js';
import { Translator } from './translator.js';

/** Most bytes that are held back: instructions of 256 KB, echoed twice, and tools. Beyond it the stream is shown. */
const HELD_MAX_BYTES = 1024 * 1024;

/** The calls for one stream. `opened` becomes what the pump reads from, or `{ why }` when no provider could be had. */
export class Source {
  constructor() {
    this.call = null;
    this.over = false;
    /** Whether the caller has left. */
    this.gone = false;
    /** Told when the caller leaves. */
    this.onGone = null;
    this.opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  /** A call is under way; those before it are over. */
  use(call) {
    this.call = call;
    call.onGone = () => this.leave();
    if (call.gone) this.leave();
    else if (this.over) call.abort();
  }

  /** Ends what is under way, for good. */
  abort() {
    this.over = true;
    this.call?.abort();
  }

  leave() {
    this.gone = true;
    this.abort();
    this.onGone?.();
  }
}

/** Waits for the next chunk until what it is waited for is due; null: too late. */
class Patience {
  constructor(limits) {
    this.limits = limits;
    this.calledMs = Date.now() - limits.calledAgoMs;
    this.heardMs = this.calledMs;
    this.heard = false;
  }

  dueMs() {
    const { firstByteMaxMs, idleMaxMs, contentMaxMs, totalMaxMs } = this.limits;
    const silenceMaxMs = this.heard ? idleMaxMs : firstByteMaxMs;
    const wholeMaxMs = Math.min(totalMaxMs, contentMaxMs ?? totalMaxMs);
    return Math.min(this.heardMs + silenceMaxMs, this.calledMs + wholeMaxMs);
  }

  async next(reader) {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(null), Math.max(1, this.dueMs() - Date.now()));
    });
    try {
      const chunk = await Promise.race([reader.read(), late]);
      if (chunk !== null) {
        this.heardMs = Date.now();
        this.heard = true;
      }
      return chunk;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** What is held back of one stream. */
class Held {
  constructor(rewrite) {
    this.rewrite = rewrite;
    this.pieces = [];
    this.bytes = 0;
  }

  /** Takes a piece; says whether it brings content or ends the response. */
  take({ pass, show, told, content }) {
    if (told) {
      this.push({ bytes: told.bytes, passed: false, terminal: told.terminal });
      if (told.content) return 'content';
      return told.terminal ? 'ended' : null;
    }
    if (pass) {
      this.push({ bytes: pass, passed: pass.length > 1, terminal: false });
      return content ? 'content' : null;
    }
    const { bytes, terminal, kind } = this.rewrite(show);
    this.push({ bytes: bytes ?? show, passed: false, terminal });
    if (terminal) return 'ended';
    return isContent(kind) ? 'content' : null;
  }

  push(piece) {
    this.pieces.push(piece);
    this.bytes += piece.bytes.length;
  }
}

async function toFirstContent(reader, splitter, held, patience) {
  for (;;) {
    const chunk = await patience.next(reader);
    if (chunk === null) return { how: 'late' };
    const pieces = chunk.done ? (splitter.end?.() ?? []) : splitter.feed(chunk.value);
    for (let at = 0; at < pieces.length; at++) {
      const how = held.take(pieces[at]);
      if (how !== null) return { how, rest: pieces.slice(at + 1) };
    }
    if (chunk.done) return { how: 'cut off' };
    if (held.bytes > HELD_MAX_BYTES) return { how: 'long', rest: [] };
  }
}

/**
 * Reads an answer's stream to its first content, and shows nothing of it; `translate` reads it where `limits.translated`. Answers `{ how }`: `content`; `ended`, by a
 * terminal event; `long`, when no more can be held; or, when there is nothing to show, `late` or `cut off`. With the first
 * three comes what the pump goes on with.
 */
export async function hold(call, rewrite, limits, translate) {
  const splitter = limits.translated ? new Translator(translate) : new Splitter(limits.eventMaxBytes);
  splitter.single = true;
  const patience = new Patience(limits);
  const held = new Held(rewrite);
  const reader = call.response.body.getReader();
  let found;
  try {
    found = await toFirstContent(reader, splitter, held, patience);
  } catch {
    found = { how: 'cut off' };
  }
  if (found.rest === undefined) {
    call.abort();
    reader.cancel(found.how).catch(() => {});
    return found;
  }
  splitter.single = false;
  const contentMs = found.how === 'content' ? Math.max(1, Date.now() - patience.calledMs) : 0;
  return { ...found, held: held.pieces, splitter, reader, contentMs };
}
