// A connection on which one response follows another: the caller's messages in, the events of each response out.
//
// Invariants: at most one response is under way, and each message that asks for one is answered by exactly one terminal
// event: `response.completed`, `response.incomplete`, `response.failed` or `error`. When the caller leaves, what is under
// way ends, what waits is dropped, and what is held of it is given back.

import { Lease } from './body.js';
import { Splitter, eventName } from './events.js';

/** After RFC 6455, 7.4.1: the connection has had its time; something here has died. */
const GOING_AWAY = 1001;
const INTERNAL_ERROR = 1011;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** How many connections this isolate has. */
let connections = 0;

/** The data of an event, its lines joined; null if it has none. */
export function dataOf(event) {
  let data = null;
  for (const line of DECODER.decode(event).split(/\r\n|\r|\n/)) {
    if (!line.startsWith('data:')) continue;
    const value = line.slice(line[5] === ' ' ? 6 : 5);
    data = data === null ? value : `${data}\n${value}`;
  }
  return data;
}

/** The type that an event's data say; null if they are no JSON. */
function typeOf(data) {
  try {
    return JSON.parse(data)?.type ?? null;
  } catch {
    return null;
  }
}

/**
 * The frames of one response's events. An `error` is held back: on a connection it ends the turn, so where the response's
 * own end follows, that says what is to be said, and where none does, the error itself is the end.
 */
export class Frames {
  constructor(send) {
    this.send = send;
    this.error = null;
  }

  event(event) {
    const data = dataOf(event);
    // A comment, or the end mark of a stream over HTTP.
    if (data === null || data === '[DONE]') return;
    if ((eventName(event) ?? typeOf(data)) === 'error') {
      this.error = data;
      return;
    }
    this.error = null;
    this.send(data);
  }

  end() {
    if (this.error !== null) this.send(this.error);
  }
}

/**
 * The hooks are Rust's decisions: `turn(message, lease, signal)` answers a promise of the response, an event stream, or of
 * the frame that says why there is none; `refusal(word)` answers the frame for a message that is no turn.
 */
class Socket {
  constructor(socket, recall, hooks, limits) {
    this.socket = socket;
    this.recall = recall;
    this.hooks = hooks;
    this.limits = limits;
    this.waiting = [];
    this.running = null;
    this.isOver = false;
    this.hasHadItsTime = false;
    this.done = new Promise((resolve) => (this.resolve = resolve));
    connections += 1;
    socket.accept();
    socket.addEventListener('message', ({ data }) => this.hear(data));
    socket.addEventListener('close', () => this.leave());
    socket.addEventListener('error', () => this.leave());
    this.renewing = setInterval(() => this.renew(), limits.renewMs);
    this.ageing = setTimeout(() => this.expire(), limits.ageMaxMs);
  }

  send(text) {
    try {
      this.socket.send(text);
    } catch {
      this.leave();
    }
  }

  /** Says why a message is no turn. */
  refuse(word) {
    try {
      this.send(this.hooks.refusal(word));
    } catch {
      this.close(INTERNAL_ERROR);
    }
  }

  hear(data) {
    if (this.isOver) return;
    const { bodyMaxBytes, waitingMax, budgetBytes, lifeMs } = this.limits;
    if (typeof data !== 'string') return this.refuse('binary');
    if (this.hasHadItsTime) return this.expire();
    if (this.waiting.length >= waitingMax) return this.refuse('crowded');
    // A UTF-16 unit is at least one byte.
    if (data.length > bodyMaxBytes) return this.refuse('too_large');
    const message = ENCODER.encode(data);
    if (message.length > bodyMaxBytes) return this.refuse('too_large');
    const lease = new Lease(budgetBytes, lifeMs);
    if (!lease.grow(message.length)) return this.refuse('busy');
    this.waiting.push({ message, lease });
    this.next();
  }

  /** What is held for a connection that lives is counted as long as it lives. */
  renew() {
    this.recall.settle();
    for (const { message, lease } of this.waiting) lease.grow(message.length);
  }

  next() {
    if (this.running || this.isOver) return;
    if (this.hasHadItsTime) return this.expire();
    const turn = this.waiting.shift();
    if (!turn) return;
    this.running = new AbortController();
    this.run(turn, this.running.signal).then(() => {
      this.running = null;
      this.next();
    });
  }

  async run({ message, lease }, signal) {
    try {
      const answer = await this.hooks.turn(message, lease, signal);
      if (typeof answer === 'string') this.send(answer);
      else await this.carry(answer.body, signal);
    } catch {
      // Rust has died, or the platform: nothing more can be said.
      this.close(INTERNAL_ERROR);
    }
    lease.release();
  }

  async carry(body, signal) {
    const reader = body.getReader();
    const leave = () => reader.cancel('gone').catch(() => {});
    signal.addEventListener('abort', leave);
    if (signal.aborted) leave();
    const splitter = new Splitter(this.limits.eventMaxBytes);
    splitter.single = true;
    const frames = new Frames((text) => this.send(text));
    for (;;) {
      const { done, value } = await reader.read();
      if (this.isOver || done) break;
      for (const { pass, show } of splitter.feed(value)) frames.event(pass ?? show);
    }
    if (!this.isOver) frames.end();
  }

  /** The connection has had its time: the response under way is the last one. */
  expire() {
    this.hasHadItsTime = true;
    if (this.running || this.isOver) return;
    this.refuse('expired');
    this.close(GOING_AWAY);
  }

  close(code) {
    try {
      this.socket.close(code);
    } catch {
      // It is closed.
    }
    this.leave();
  }

  /** Nobody is there any more. */
  leave() {
    if (this.isOver) return;
    this.isOver = true;
    connections -= 1;
    clearInterval(this.renewing);
    clearTimeout(this.ageing);
    this.running?.abort();
    for (const { lease } of this.waiting) lease.release();
    this.waiting = [];
    this.recall.forget();
    try {
      this.socket.close();
    } catch {
      // It is closed.
    }
    this.resolve();
  }
}

/** Opens a connection. Answers `{ response, done }`, or undefined where there are as many as there may be. */
export function open(recall, hooks, limits) {
  if (connections >= limits.connectionsMax) return undefined;
  const [client, server] = Object.values(new WebSocketPair());
  const { done } = new Socket(server, recall, hooks, limits);
  return { response: new Response(null, { status: 101, webSocket: client }), done };
}
