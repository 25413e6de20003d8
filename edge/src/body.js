// Reads request bodies into memory, within the isolate's byte budget and a deadline.
//
// Invariant: the bytes held by all running requests of this isolate never pass the budget. Bodies stay on the
// JavaScript side: Wasm memory never shrinks, so it sees one body at a time, and only while it is parsed.

/** A body up to this size is read by one call of the engine's: chunks would cost more than they are worth. */
export const SMALL_MAX_BYTES = 1024 * 1024;

/** Leases of the budget: id -> { bytes, expiresMs }. A request that dies without a word loses its lease by time. */
const leases = new Map();
let nextLease = 1;

function held(nowMs) {
  let sum = 0;
  for (const [id, lease] of leases) {
    if (lease.expiresMs <= nowMs) leases.delete(id);
    else sum += lease.bytes;
  }
  return sum;
}

/** A share of the isolate's byte budget. */
export class Lease {
  constructor(budgetBytes, lifeMs) {
    this.id = nextLease++;
    this.budgetBytes = budgetBytes;
    this.lifeMs = lifeMs;
  }

  /** Grows the share to `bytes`; false when the budget does not allow it. */
  grow(bytes) {
    const nowMs = Date.now();
    // In this order: a share of our own that has run out is not in the sum, so it must not be taken off it.
    const othersBytes = held(nowMs) - (leases.get(this.id)?.bytes ?? 0);
    if (othersBytes + bytes > this.budgetBytes) return false;
    leases.set(this.id, { bytes, expiresMs: nowMs + this.lifeMs });
    return true;
  }

  /** Gives the share back; harmless when repeated. */
  release() {
    leases.delete(this.id);
  }
}

function join(chunks, length) {
  if (chunks.length === 1) return chunks[0];
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

async function collect(reader, lease, maxBytes, declared) {
  const exact = declared >= 0 ? new Uint8Array(declared) : null;
  const chunks = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length > (exact ? declared : maxBytes)) return 'too_large';
    if (exact) exact.set(value, length);
    else chunks.push(value);
    length += value.length;
    if (!exact && !lease.grow(length)) return 'busy';
  }
  return exact ? exact.subarray(0, length) : join(chunks, length);
}

/** The same, for few bytes: one call of the engine's, which ends by itself where more comes than was declared. */
async function collectSmall(message, declared) {
  const bytes = new Uint8Array(await message.arrayBuffer());
  return bytes.length > declared ? 'too_large' : bytes;
}

/**
 * Reads the body of a request or response to its end. Answers the bytes, or a word: `too_large`, `busy` (the budget),
 * `slow` (the deadline) or `broken` (the sender left). `declared` is the content length, or -1.
 */
export async function readAll(message, lease, maxBytes, declared, deadlineMs) {
  if (declared > maxBytes) return 'too_large';
  if (declared > 0 && !lease.grow(declared)) return 'busy';
  if (!message?.body) return new Uint8Array(0);
  const reader = declared >= 0 && declared <= SMALL_MAX_BYTES ? null : message.body.getReader();
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve('slow'), deadlineMs);
  });
  try {
    const whole = reader ? collect(reader, lease, maxBytes, declared) : collectSmall(message, declared);
    const outcome = await Promise.race([whole, late]);
    if (typeof outcome === 'string') reader?.cancel(outcome).catch(() => {});
    return outcome;
  } catch {
    return 'broken';
  } finally {
    clearTimeout(timer);
  }
}
