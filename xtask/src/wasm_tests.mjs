//! Runs one of cargo's test binaries for wasm32-unknown-unknown, so that what holds natively is seen to hold in Wasm.
//!
//! There is no output in Wasm, and a failed test ends it: the trap's stack names the test.

import { readFileSync } from "node:fs";

/** Deep enough to reach from the trap, through the panic, to the test. */
Error.stackTraceLimit = 40;

const [file] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(file));
const imports = WebAssembly.Module.imports(module);
if (imports.length) throw new Error(`${file} wants to be more than pure: ${JSON.stringify(imports)}`);
const { exports } = new WebAssembly.Instance(module);
const status = exports.main(0, 0);
if (status !== 0) throw new Error(`${file} ended with ${status}`);
console.log(`${file}: passed in Wasm`);
