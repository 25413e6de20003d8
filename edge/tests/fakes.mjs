// A provider's call, a caller, and the decisions that Rust would make: all in the test's hands.

import { bytes, settled, text } from './platform.mjs';
import { events } from './reference.mjs';
import { Source } from '../src/source.js';
import { pump } from '../src/stream.js';

export const LIMITS = {
  keepAliveMs: 100,
  firstByteMaxMs: 1_000,
  idleMaxMs: 2_000,
  totalMaxMs: 10_000,
  lingerMs: 300,
  eventMaxBytes: 10_000,
};
export const COMMENT = ': keep-alive\n\n';

/** An event as the provider sends it. */
export const event = (type, fields = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
export const CREATED = event('response.created', { model: 'gpt' });
export const DELTA = event('response.output_text.delta', { delta: 'é\u{1f338}' });
export const COMPLETED = event('response.completed', { model: 'gpt' });
export const DONE = 'data: [DONE]\n\n';
/** What the caller sees of an event that Rust has changed. */
export const shown = (event) => event.replace('"gpt"', '"poet"');
export const failed = (reason) => event('response.failed', { reason });

/** One call: `abort` does what aborting a fetch does. */
export class FakeCall {
  aborts = 0;
  response = null;
  gone = false;
  onGone = null;
  #answer;
  #body;

  constructor(type = 'text/event-stream') {
    this.type = type;
    this.stream = new ReadableStream({ start: (body) => (this.#body = body) });
    this.answered = new Promise((resolve) => (this.#answer = resolve));
  }

  begin(status = 200) {
    this.response = { body: this.stream };
    this.#answer(status);
    return this;
  }

  send(...texts) {
    for (const chunk of texts) this.#body.enqueue(typeof chunk === 'string' ? bytes(chunk) : chunk);
  }

  finish() {
    this.#body.close();
  }

  reset() {
    this.#body.error(new Error('reset by peer'));
  }

  unreachable() {
    this.#answer(0);
  }

  header(name) {
    return name === 'content-type' ? this.type : undefined;
  }

  abort() {
    this.aborts += 1;
    this.#answer(0);
    this.#body.error(new Error('aborted'));
  }

  /** The platform tells that the caller has left; the stream to it may still look open. */
  leave() {
    this.gone = true;
    this.abort();
    this.onGone?.();
  }
}

/** Rust's decisions, and a record of what it was asked. */
export class FakeHooks {
  settled = [];
  contents = 0;
  lastPassed = null;
  lastResort = bytes('event: response.failed\ndata: last resort\n\n');

  rewrite = (event) => {
    const [told] = events(Buffer.from(event).toString('latin1'));
    const data = told?.slice(told.indexOf('|') + 1);
    if (data === undefined || data === '[DONE]') return { terminal: false, whole: true };
    let type;
    try {
      ({ type } = JSON.parse(data));
    } catch {
      return { terminal: false, whole: false };
    }
    const changed = bytes(`${shown(Buffer.from(event).toString('utf8')).trimEnd()}\n\n`);
    const terminal = /^response\.(completed|incomplete|failed)$/.test(type);
    return { bytes: changed, terminal, whole: true, kind: type };
  };

  fail = (reason, lastPassed) => {
    this.lastPassed = text([lastPassed]);
    return bytes(failed(reason));
  };

  content = () => {
    this.contents += 1;
  };

  settle = async (how, contentMs) => {
    this.settled.push(how);
    this.contentMs = contentMs;
  };
}

/** What Rust makes of an answer when there is only one provider. */
function opened(call, status) {
  if (status === 200 && call.type.startsWith('text/event-stream')) return { call };
  return { why: status === 0 ? 'unreachable' : `refused ${status}` };
}

/** A pump under way. */
export class Run {
  chunks = [];
  ended = false;
  pumpEnded = false;

  constructor({ call = new FakeCall(), hooks = new FakeHooks(), limits = {} } = {}) {
    this.call = call;
    this.hooks = hooks;
    this.source = new Source();
    this.source.use(call);
    call.answered.then((status) => this.source.open(opened(call, status)));
    const { readable, done } = pump(this.source, hooks, { ...LIMITS, ...limits });
    this.reader = readable.getReader();
    done.then(() => (this.pumpEnded = true));
  }

  /** Reads for ever, as a caller does that stays. */
  listen() {
    const read = async () => {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        this.chunks.push(value);
      }
      this.ended = true;
    };
    read().catch(() => {});
    return this;
  }

  async leave() {
    await this.reader.cancel();
    await settled();
  }

  get text() {
    return text(this.chunks);
  }
}
