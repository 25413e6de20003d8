// What the clients in JavaScript share: every case of the table, one after the other.
//
// The table comes as one JSON document on stdin; each case gives one JSON line on stdout. Nothing is judged here: that is
// tests/clients.rs. Invariant: a case that throws is told as that case's error, and the next one is tried.

import { readFileSync } from 'node:fs';

// Libraries may print: the answers have a stream of their own.
console.log = console.error;
console.info = console.error;

// What a tool says.
export const answer = (city, name) => `${name} of ${city}: fine`;

// Does each case with the verb of its capability, which takes the case and returns what the user of the client sees.
export async function walk(verbs) {
  for (const one of JSON.parse(readFileSync(0, 'utf8'))) {
    const ask = { ...one, calls: [] };
    const seen = { case: ask.case };
    try {
      seen.saw = await verbs[ask.capability](ask);
    } catch (error) {
      seen.error = `${error.name}: ${error.message}`;
    }
    process.stdout.write(`${JSON.stringify({ ...seen, calls: ask.calls })}\n`);
  }
}
