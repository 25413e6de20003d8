//! The Worker's entry: hands requests to the Wasm module, and starts a new one when it has died.
//!
//! Rust is built with `panic = "abort"`: a panic, like running out of memory, ends the whole instance, and every
//! future that it drove is never finished. Invariant: nobody waits for an instance that is dead. Calls under way
//! fail at once, the next call gets a fresh instance, and an object is built again from its storage.

import { DurableObject } from "cloudflare:workers";
import * as wasm from "./index.js";

const state = wasm.__worker_init_state();

/** Rejections of the calls under way in the present instance. */
let underWay = new Set();
/** Counts instances, so that an object knows whether its own is gone. */
let generation = 0;
let dead = false;

function died(error) {
  if (dead) return;
  dead = true;
  console.error("the Wasm instance died", error);
  const calls = underWay;
  underWay = new Set();
  for (const reject of calls) reject(new Error("the Worker was restarted"));
}

// The panic hook of the worker crate sets this flag, on its way into the trap.
Object.defineProperty(state, "criticalError", { get: () => dead, set: (value) => value && died("panic") });

// A trap in a timer or a callback has no caller who could tell.
addEventListener("error", (event) => event.error instanceof WebAssembly.RuntimeError && died(event.error));

// Rust's futures take turns by this function, some dozen times a request. workerd's own is made anew in C++ for every call,
// which took a tenth of a request's time; a promise's turn comes at the same moment and costs next to nothing.
globalThis.queueMicrotask = (act) => {
  Promise.resolve().then(() => {
    try {
      act();
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) died(error);
      else reportError(error);
    }
  });
};

/** Calls into the present instance, or into a fresh one if it is dead. */
function call(act) {
  if (dead) {
    wasm.__wbg_reset_state();
    generation += 1;
    dead = false;
  }
  return new Promise((resolve, reject) => {
    const calls = underWay;
    calls.add(reject);
    const failed = (error) => {
      calls.delete(reject);
      if (error instanceof WebAssembly.RuntimeError) died(error);
      reject(error);
    };
    const done = (value) => {
      calls.delete(reject);
      resolve(value);
    };
    try {
      Promise.resolve(act()).then(done, failed);
    } catch (error) {
      failed(error);
    }
  });
}

/** What a caller reads when its request was lost: SDKs try it again. */
function lost(error) {
  console.error("a request was lost", error);
  const message = "Something went wrong here. Try again in a moment.";
  return Response.json({ error: { message, type: "server_error", param: null, code: "internal_error" } }, { status: 500 });
}

export default {
  fetch: (request, env, ctx) => call(() => wasm.fetch(request, env, ctx)).catch(lost),
};

/** A Durable Object of the Rust class that `make` makes: built on first use, and again in a fresh instance. */
class Revived extends DurableObject {
  #inner;
  #generation;
  #make;

  constructor(ctx, env, make) {
    super(ctx, env);
    this.#make = make;
  }

  fetch(request) {
    return call(() => this.#object().fetch(request));
  }

  alarm() {
    return call(() => this.#object().alarm());
  }

  #object() {
    if (!this.#inner || this.#generation !== generation) {
      this.#inner = this.#make(this.ctx, this.env);
      this.#generation = generation;
    }
    return this.#inner;
  }
}

/** One org's object. */
export class OrgObject extends Revived {
  constructor(ctx, env) {
    super(ctx, env, (ctx, env) => new wasm.OrgObject(ctx, env));
  }
}

/** One conversation chain's object. */
export class ChainObject extends Revived {
  constructor(ctx, env) {
    super(ctx, env, (ctx, env) => new wasm.ChainObject(ctx, env));
  }
}
