// What the connections of this isolate remember: of each, the conversation of its last response that nobody else keeps.
//
// Invariants: all that is remembered is counted in the isolate's byte budget, and is never more than a share of it; where
// there is no room, what was used longest ago is forgotten. A connection that died without a word is forgotten by time.

import { Lease } from './body.js';

const COMMA = new TextEncoder().encode(',');
const NOTHING = new Uint8Array(0);

/** All memories that hold something, the one used longest ago first. */
const held = new Set();

function join(one, other) {
  if (one.length === 0 || other.length === 0) return one.length === 0 ? other : one;
  const all = new Uint8Array(one.length + 1 + other.length);
  all.set(one);
  all.set(COMMA, one.length);
  all.set(other, one.length + 1);
  return all;
}

/** The memory of one connection. Items are JSON, with commas between. */
export class Recall {
  /** All memories together are at most `shareBytes` of the `budgetBytes`; one that is not renewed ends after `lifeMs`. */
  constructor(budgetBytes, shareBytes, lifeMs) {
    this.lease = new Lease(budgetBytes, lifeMs);
    this.shareBytes = shareBytes;
    this.forget();
  }

  get bytes() {
    return this.items.length + (this.asked?.length ?? 0);
  }

  /** Makes room for `bytes` of this memory; false where there is none. */
  room(bytes) {
    held.delete(this);
    let others = 0;
    for (const recall of held) others += recall.bytes;
    if (bytes > this.shareBytes) return false;
    for (const oldest of held) {
      if (others + bytes <= this.shareBytes) break;
      others -= oldest.bytes;
      oldest.forget();
    }
    if (!this.lease.grow(bytes)) return false;
    held.add(this);
    return true;
  }

  /** A response is asked for with these items. If it ends well, it is remembered with them. */
  ask(items, count) {
    this.asked = this.room(this.items.length + items.length) ? items : null;
    this.askedCount = count;
    this.settle();
  }

  /** The response has ended well, with this output: from now on it is what is remembered. */
  keep(id, endpoint, output, count) {
    const { asked, askedCount } = this;
    this.forget();
    if (asked === null) return;
    const items = join(asked, output);
    if (!this.room(items.length)) return this.settle();
    Object.assign(this, { id, endpoint, items, count: askedCount + count });
  }

  /** The response has failed. The one that it was to continue cannot be continued any more. */
  fail(previous) {
    this.asked = null;
    if (this.has(previous)) this.forget();
    else this.settle();
  }

  /** Whether this response is remembered. */
  has(id) {
    return this.id !== null && this.id === id;
  }

  /** Counts what is there. */
  settle() {
    if (this.bytes === 0) {
      held.delete(this);
      this.lease.release();
    } else if (!this.room(this.bytes)) this.forget();
  }

  forget() {
    Object.assign(this, { id: null, endpoint: '', items: NOTHING, count: 0, asked: null, askedCount: 0 });
    held.delete(this);
    this.lease.release();
  }
}
