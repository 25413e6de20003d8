//! The Worker's entry in tests that need faults: the real Worker, untouched, behind knobs.
//!
//! Everything that is not under `/__bed/` goes to the real Worker as it came. What the knobs change is what
//! production can change under its feet: KV, the clock, and the life of its Durable Object.

import { env as boot } from "cloudflare:workers";
import worker, * as exports from "./index.js";

const CONTROL_PREFIX = "/__bed/";
const ABORT_URL = "http://bed/__bed/abort";

const state = {
  kv: "normal",
  clock_offset_ms: 0,
  object_delay_ms: 0,
  kv_reads: 0,
  kv_puts: 0,
  object_calls: 0,
  ...boot.AG_BED,
};

// ── clock: the isolate's wall clock is the real one plus a settable offset, also a negative one ──────────

const RealDate = Date;
const now = () => RealDate.now() + state.clock_offset_ms;
globalThis.Date = new Proxy(RealDate, {
  apply: () => new RealDate(now()).toString(),
  construct: (target, args, newTarget) => Reflect.construct(target, args.length ? args : [now()], newTarget),
  get: (target, name, receiver) => (name === "now" ? now : Reflect.get(target, name, receiver)),
});

/** Alarms are kept by workerd in real time; what the Worker says and reads is in shifted time. */
function shiftAlarms(storage) {
  const { setAlarm, getAlarm } = storage;
  storage.setAlarm = (at, ...rest) => setAlarm.call(storage, Number(at) - state.clock_offset_ms, ...rest);
  storage.getAlarm = async (...rest) => {
    const at = await getAlarm.apply(storage, rest);
    return at === null ? null : at + state.clock_offset_ms;
  };
}

// ── KV: what was there when the mode was set, nothing, an error, or the truth ────────────────────────────

/** Keys written since the mode became `stale`, with what they held before: `{ value, metadata }`. */
let before = new Map();

const refused = (verb, status) => new Error(`KV ${verb} failed: ${status}`);

function decoded(value, type) {
  if (value === null || type === "arrayBuffer") return value;
  if (type === "stream") return new Response(value).body;
  const text = new TextDecoder().decode(value);
  return type === "json" ? JSON.parse(text) : text;
}

/** One read of one key as the mode wants it, always with its metadata. */
async function read(kv, key, options) {
  state.kv_reads += 1;
  if (state.kv === "refusing") throw refused("GET", "503 Service Unavailable");
  if (state.kv === "empty") return { value: null, metadata: null, cacheStatus: null };
  const old = state.kv === "stale" && before.get(key);
  if (!old) return kv.getWithMetadata(key, options);
  const type = typeof options === "string" ? options : options?.type;
  return { value: decoded(old.value, type), metadata: old.metadata, cacheStatus: null };
}

async function readMany(kv, keys, options, pick) {
  const found = await Promise.all(keys.map((key) => read(kv, key, options)));
  return new Map(keys.map((key, index) => [key, pick(found[index])]));
}

/** Remembers what a key held before its first write in `stale` mode; refuses when writes are refused. */
async function beforeWrite(kv, key, verb) {
  state.kv_puts += 1;
  if (state.kv === "refusing") throw refused(verb, "503 Service Unavailable");
  if (state.kv === "puts_refused") throw refused(verb, "429 Too Many Requests");
  if (state.kv === "stale" && !before.has(key)) before.set(key, await kv.getWithMetadata(key, "arrayBuffer"));
}

function faulty(kv) {
  const value = (found) => found.value;
  const whole = ({ value, metadata }) => ({ value, metadata });
  const get = (pick) => async (key, options) =>
    Array.isArray(key) ? readMany(kv, key, options, pick) : pick(await read(kv, key, options));
  return {
    get: get(value),
    getWithMetadata: get(whole),
    async put(key, ...rest) {
      await beforeWrite(kv, key, "PUT");
      return kv.put(key, ...rest);
    },
    async delete(key) {
      await beforeWrite(kv, key, "DELETE");
      return kv.delete(key);
    },
    async list(options) {
      if (state.kv === "refusing") throw refused("LIST", "503 Service Unavailable");
      return state.kv === "empty" ? { keys: [], list_complete: true, cacheStatus: null } : kv.list(options);
    },
  };
}

const wrapped = new WeakMap();
function wrap(env) {
  if (!wrapped.has(env)) wrapped.set(env, { ...env, CONFIG: faulty(env.CONFIG) });
  return wrapped.get(env);
}

// ── the Durable Object: the real one, with the wrapped environment, and a way to lose it ─────────────────

export class OrgObject extends exports.OrgObject {
  #ctx;

  constructor(ctx, env) {
    shiftAlarms(ctx.storage);
    super(ctx, wrap(env));
    this.#ctx = ctx;
  }

  async fetch(request) {
    if (request.url === ABORT_URL) this.#ctx.abort("aborted by the bed");
    state.object_calls += 1;
    const answer = await super.fetch(request);
    // What was asked has happened; whoever waits for the answer does not learn of it in time.
    if (state.object_delay_ms) await scheduler.wait(state.object_delay_ms);
    return answer;
  }
}

export class ChainObject extends exports.ChainObject {
  constructor(ctx, env) {
    shiftAlarms(ctx.storage);
    super(ctx, wrap(env));
  }
}

// ── control requests of the bed ──────────────────────────────────────────────────────────────────────────

const controls = {
  kv(query) {
    state.kv = query.get("mode");
    before = new Map();
  },
  clock(query) {
    state.clock_offset_ms = Number(query.get("offset_ms"));
  },
  delay(query) {
    state.object_delay_ms = Number(query.get("object_ms"));
  },
  async abort(query, env) {
    const object = env.ORG.get(env.ORG.idFromName(query.get("name")));
    // The object dies while it answers: an error here is the success.
    await object.fetch(ABORT_URL).catch(() => {});
  },
  state() {},
};

async function control(url, env) {
  const act = controls[url.pathname.slice(CONTROL_PREFIX.length)];
  if (!act) return new Response("no such knob\n", { status: 404 });
  await act(url.searchParams, env);
  return Response.json(state);
}

export default {
  ...worker,
  fetch(request, env, ctx) {
    const url = new URL(request.url);
    return url.pathname.startsWith(CONTROL_PREFIX) ? control(url, env) : worker.fetch(request, wrap(env), ctx);
  },
};
