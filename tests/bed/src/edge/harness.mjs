//! Runs the built Worker in workerd, through Miniflare's programming interface: one process, one port.
//!
//! The parent writes one JSON object per line to stdin, first the settings, then commands, and reads one
//! JSON object per line from stdout, first `{"bed":{"ready":true}}`, then one answer per command.
//! When stdin ends the parent is gone, whatever the reason, and everything here ends with it.

import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { Miniflare, Log, LogLevel, convertV4MiniflareOptions } from "miniflare";

const WORKER_NAME = "alphagate-edge";
/** How long a tidy end may take before the process group is killed: workerd ends in well under a second. */
const DISPOSE_MAX_MS = 5_000;

let miniflare;
let settings;
let ending = false;

const answer = (value) => process.stdout.write(`${JSON.stringify({ bed: value })}\n`);

/** The Worker's modules, its entry first: Miniflare 5 wants every module by name. */
function modules({ worker_dir: root, knobs, script }) {
  if (script) return [{ type: "ESModule", path: script, contents: readFileSync(script, "utf8") }];
  const real = path.join(root, "index.js");
  const wasm = path.join(root, "index_bg.wasm");
  const list = [
    { type: "ESModule", path: real, contents: readFileSync(real, "utf8") },
    { type: "CompiledWasm", path: wasm, contents: new Uint8Array(readFileSync(wasm)) },
  ];
  if (knobs) list.unshift({ type: "ESModule", path: path.join(root, "knobs.mjs"), contents: readFileSync(knobs, "utf8") });
  return list;
}

function options(config) {
  return convertV4MiniflareOptions({
    log: new Log(LogLevel.WARN),
    // The Worker's console goes to the log file; stdout is for answers.
    handleStructuredLogs: ({ message }) => console.error(message),
    logRequests: false,
    cf: false,
    host: "127.0.0.1",
    port: 0,
    resourcePersistencePath: config.persist_dir,
    workers: [
      {
        name: WORKER_NAME,
        modulesRoot: config.script ? path.dirname(config.script) : config.worker_dir,
        modules: modules(config),
        compatibilityDate: config.compatibility_date,
        compatibilityFlags: config.compatibility_flags,
        bindings: config.bindings,
        kvNamespaces: { CONFIG: "CONFIG" },
        durableObjects: config.script
          ? {}
          : {
              ORG: { className: "OrgObject", useSQLite: true },
              CHAIN: { className: "ChainObject", useSQLite: true },
            },
        // Clients reach the Worker itself, not Miniflare's own entry Worker: one hop less, and a client
        // that hangs up is seen by the Worker as it would be in production.
        unsafeDirectSockets: [{ host: "127.0.0.1", port: config.port }],
      },
    ],
  });
}

const commands = {
  /**
   * Takes the object named `name` out of memory; the next request builds it again from its storage.
   * Answers whether it was in memory.
   */
  async evict({ name }) {
    try {
      await miniflare.unsafeEvictDurableObject(WORKER_NAME, "OrgObject", { name });
      return true;
    } catch (error) {
      if (String(error).includes("not currently running")) return false;
      throw error;
    }
  },

  /** What KV holds under `name`, as text; null if nothing. */
  async kv({ name }) {
    const namespace = await miniflare.getKVNamespace("CONFIG", WORKER_NAME);
    return namespace.get(name);
  },
};

async function end(code) {
  if (ending) return;
  ending = true;
  // The parent made us the leader of a process group, in which there is nobody but us and workerd.
  setTimeout(() => process.kill(-process.pid, "SIGKILL"), DISPOSE_MAX_MS).unref();
  try {
    await miniflare?.dispose();
    process.exit(code);
  } catch (error) {
    console.error(error);
    process.kill(-process.pid, "SIGKILL");
  }
}

async function handle(line) {
  const message = JSON.parse(line);
  if (!settings) {
    settings = message;
    miniflare = new Miniflare(options(settings));
    await miniflare.ready;
    answer({ ready: true });
    return;
  }
  try {
    answer({ id: message.id, ok: await commands[message.command](message) });
  } catch (error) {
    answer({ id: message.id, error: String(error?.stack ?? error) });
  }
}

process.on("SIGUSR2", () => end(0));
process.on("uncaughtException", (error) => (console.error(error), end(1)));
process.on("unhandledRejection", (error) => (console.error(error), end(1)));
createInterface({ input: process.stdin }).on("line", handle).on("close", () => end(0));
