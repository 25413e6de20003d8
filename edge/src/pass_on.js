// Passes a caller's request on to control, and control's answer back.
//
// Invariants: bodies go through as streams that nobody here reads, so an upload of any size takes no memory; of the
// answer's headers only those named here are shown; and when the caller leaves, the request to control ends.

/** Headers of control's answers that callers see. */
const SHOWN = [
  'accept-ranges',
  'allow',
  'cache-control',
  'content-disposition',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'location',
  'retry-after',
  'retry-after-ms',
  'www-authenticate',
  'x-accel-buffering',
  'x-should-retry',
];

/** Path and query of a URL, as they will stand on the request line and in the signature. */
export function pathOf(url) {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** What an undeclared body is carried in, bytes: one buffer, used again and again. */
const BUFFER_BYTES = 64 * 1024;

/** The same bytes; once there are more than `maxBytes`, the stream breaks and `tooLarge` is told. */
function bounded(source, maxBytes, tooLarge) {
  const { readable, writable } = new IdentityTransformStream();
  const reader = source.getReader({ mode: 'byob' });
  const writer = writable.getWriter();
  const carry = async () => {
    let bytes = 0;
    let buffer = new ArrayBuffer(BUFFER_BYTES);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) return writer.close();
      bytes += value.length;
      if (bytes > maxBytes) {
        tooLarge();
        throw new Error('too large');
      }
      await writer.write(value);
      // The bytes have been taken: a write here ends when they are read.
      buffer = value.buffer;
    }
  };
  carry().catch((error) => {
    reader.cancel(error).catch(() => {});
    writer.abort(error).catch(() => {});
  });
  return readable;
}

/** Control answers errors in JSON; anything else comes from what stands in front of it. */
function isControls(answer) {
  return answer.status < 500 || (answer.headers.get('content-type') ?? '').startsWith('application/json');
}

function shown(answer) {
  if (answer.webSocket) return new Response(null, { status: 101, webSocket: answer.webSocket });
  const headers = new Headers();
  for (const name of SHOWN) {
    const value = answer.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(answer.body, { status: answer.status, headers });
}

/**
 * Sends the caller's request on to `url`, with these headers, and answers the response for the caller, or a word: `too_large` (the body), `unreachable` (control).
 * `declared` is the content length, or -1; a declared body was measured before. `waitMs` is for the answer's head.
 */
export async function passOn(request, url, headers, declared, maxBytes, waitMs) {
  const { method, body, signal } = request;
  const controller = new AbortController();
  signal.addEventListener('abort', () => controller.abort());
  if (signal.aborted) controller.abort();
  let why = 'unreachable';
  const tooLarge = () => {
    why = 'too_large';
    controller.abort();
  };
  const timer = setTimeout(() => controller.abort(), waitMs);
  const sent = body && declared < 0 ? bounded(body, maxBytes, tooLarge) : body;
  try {
    const options = { method, headers, redirect: 'manual', signal: controller.signal };
    const answer = await fetch(url, sent ? { ...options, body: sent } : options);
    if (isControls(answer)) return shown(answer);
    answer.body?.cancel().catch(() => {});
  } catch {
    // Refused, reset, too late, or given up here: the word says which.
  } finally {
    clearTimeout(timer);
  }
  return why;
}
