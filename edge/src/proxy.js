// Calls a provider: one fetch with its own abort, its head awaited with a limit, its body read or pumped.
//
// Invariant: whatever happens here, the call to the provider ends when the request does, also when the caller leaves.

import { readAll } from './body.js';

/** Bodies up to this size are sent as one piece; larger ones are streamed from where they lie, never copied. */
const COPY_MAX_BYTES = 1024 * 1024;

async function write(writable, parts) {
  const writer = writable.getWriter();
  try {
    for (const part of parts) await writer.write(part);
    await writer.close();
  } catch {
    // The provider stopped reading; its answer, or the failed fetch, says why.
  }
}

/** The bytes of `parts` as the body of a request or response. */
export function bodyOf(parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length <= COPY_MAX_BYTES) {
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
  const { readable, writable } = new FixedLengthStream(length);
  write(writable, parts);
  return readable;
}

/** An answer of these parts. */
export function respond(parts, headers) {
  return new Response(bodyOf(parts), { headers });
}

/** One call to a provider, on behalf of a caller, whose leaving is told by the signal `caller`. */
export class Call {
  constructor(url, headers, parts, lease, caller) {
    this.controller = new AbortController();
    this.response = null;
    /** Whether the caller has left. */
    this.gone = false;
    /** Told when the caller leaves. */
    this.onGone = null;
    caller?.addEventListener('abort', () => this.leave());
    this.answered = fetch(url, {
      method: 'POST',
      headers,
      body: bodyOf(parts),
      redirect: 'manual',
      signal: this.controller.signal,
    }).then(
      (response) => {
        this.response = response;
        return response.status;
      },
      () => 0,
    );
    // Once the provider has answered, or failed to, the request's body is not needed any more, unless by another one.
    this.answered.then(() => lease?.release());
  }

  /** The provider's status; 0 if it cannot be reached; -1 if it has not answered within `waitMs`. */
  async head(waitMs) {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(-1), waitMs);
    });
    try {
      return await Promise.race([this.answered, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A header of the answer, or undefined. */
  header(name) {
    return this.response?.headers.get(name) ?? undefined;
  }

  /** The length of the answer's body, where it is one that counts decoded bytes; -1: not known. */
  declared() {
    const length = this.header('content-length');
    return length === undefined || this.header('content-encoding') !== undefined ? -1 : Number(length);
  }

  /** The whole body of the answer, or a word that says why not (see `readAll`). */
  async bytes(lease, maxBytes, deadlineMs) {
    const bytes = await readAll(this.response, lease, maxBytes, this.declared(), deadlineMs);
    if (typeof bytes === 'string') this.abort();
    return bytes;
  }

  /** Ends the call. */
  abort() {
    this.controller.abort();
  }

  /** Ends the call, because nobody waits for its answer any more. */
  leave() {
    this.gone = true;
    this.abort();
    this.onGone?.();
  }
}
