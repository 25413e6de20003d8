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

/** What a body is carried in, bytes: one buffer, used again and again. */
const BUFFER_BYTES = 64 * 1024;
/** How long a caller may go on sending what control does not want any more, milliseconds. */
const UNWANTED_MAX_MS = 60_000;

/** Carries a body of `declared` bytes, or of an unknown number (-1), at most `maxBytes`; more is told to `tooLarge`. */
class Upload {
  constructor(source, declared, maxBytes, tooLarge) {
    const { readable, writable } = declared < 0 ? new IdentityTransformStream() : new FixedLengthStream(declared);
    /** The same bytes. */
    this.readable = readable;
    this.reader = source.getReader({ mode: 'byob' });
    this.writer = writable.getWriter();
    this.wanted = true;
    this.unwanted = new Promise((resolve) => (this.stop = resolve)).then(() => (this.wanted = false));
    /** Resolved when the caller has sent everything, or has left. */
    this.ended = this.carry(maxBytes, tooLarge).catch((error) => {
      this.reader.cancel(error).catch(() => {});
      this.writer.abort(error).catch(() => {});
    });
  }

  /** Does something to the other end, as long as somebody reads there: nobody else may ever end it. */
  async whileWanted(act) {
    if (this.wanted) await Promise.race([act().catch(this.stop), this.unwanted]);
  }

  async carry(maxBytes, tooLarge) {
    let bytes = 0;
    let buffer = new ArrayBuffer(BUFFER_BYTES);
    for (;;) {
      const { done, value } = await this.reader.read(new Uint8Array(buffer));
      if (done) return this.whileWanted(() => this.writer.close());
      bytes += value.length;
      if (bytes > maxBytes) {
        tooLarge();
        throw new Error('too large');
      }
      await this.whileWanted(() => this.writer.write(value));
      // A write ends when its bytes have been read. One that was given up may still hold them.
      buffer = this.wanted ? value.buffer : new ArrayBuffer(BUFFER_BYTES);
    }
  }
}

async function atMost(promise, ms) {
  let timer;
  await Promise.race([promise, new Promise((resolve) => (timer = setTimeout(resolve, ms)))]);
  clearTimeout(timer);
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
 * Sends the caller's request on to `url`, with these headers, and answers the response for the caller, or a word:
 * `too_large` (the body), `unreachable` (control). `declared` is the content length, or -1; a declared body was measured
 * before. `waitMs` is for the answer's head.
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
  const upload = body && new Upload(body, declared, maxBytes, tooLarge);
  const timer = setTimeout(() => controller.abort(), waitMs);
  const options = { method, headers, redirect: 'manual', signal: controller.signal };
  // Refused, reset, too late, or given up here: the word says which.
  const answer = await fetch(url, upload ? { ...options, body: upload.readable } : options).catch(() => null);
  clearTimeout(timer);
  upload?.stop();
  // An answer that comes early is read when everything has been sent: until then callers do not look, and a connection
  // that is closed on what they send takes the answer with it. Control does not get the rest.
  if (upload && why !== 'too_large') await atMost(upload.ended, UNWANTED_MAX_MS);
  if (answer && isControls(answer)) return shown(answer);
  answer?.body?.cancel().catch(() => {});
  return why;
}
