// The typed client of control, as a publisher's pipeline would use it; prints what it saw as one line of JSON.
//
// Its arguments are control's URL, an admin's key and the provider's base URL. That it compiles is a test by itself: the
// lines under `@ts-expect-error` are what the types must refuse.

import { createClient, pages, RefusedError } from '../../clients/typescript/index.js';

declare const process: { argv: string[] };

const [baseUrl = '', apiKey = '', providerUrl = ''] = process.argv.slice(2);
const control = createClient({ baseUrl, apiKey });
const stranger = createClient({ baseUrl, apiKey: 'ag_live_nobody' });

/** What a call must give; a refusal ends the program. */
function must<Data>({ data, error }: { data?: Data; error?: unknown }): NonNullable<Data> {
  if (data === undefined || data === null) throw new RefusedError(error);
  return data;
}

const header = { 'idempotency-key': 'haiku-1' };
const body = { name: 'typed-haiku', description: 'Three lines about anything.' };
const endpoint = must(await control.POST('/v1/endpoints', { params: { header }, body }));
const again = must(await control.POST('/v1/endpoints', { params: { header }, body }));
const path = { id: endpoint.id };

const version = must(
  await control.POST('/v1/endpoints/{id}/versions', {
    params: { path },
    body: { targets: [{ base_url: providerUrl, model: 'fake', timeouts: { total_ms: 5000 } }], instructions: 'Write.' },
  }),
);
const publication = must(
  await control.POST('/v1/endpoints/{id}/publications', {
    params: { path },
    body: { version: version.version, expected_live: null },
  }),
);

// The refusals are typed as the data are: `code` is one of those that this route can answer with.
const taken = await control.POST('/v1/endpoints', { body });
const takenCode: 'conflict' | 'idempotency_mismatch' | undefined =
  taken.response.status === 409 ? (taken.error?.error.code as 'conflict' | 'idempotency_mismatch') : undefined;
const missing = await control.GET('/v1/endpoints/{id}', { params: { path: { id: `ep_${'0'.repeat(32)}` } } });
const refused = await stranger.GET('/v1/endpoints');

const names: string[] = [];
for (let number = 0; number < 3; number += 1) {
  names.push(must(await control.POST('/v1/keys', { body: { name: `key ${number}`, scopes: ['call'] } })).name);
}
const listed: string[] = [];
const read = (cursor: string | undefined) =>
  control.GET('/v1/keys', { params: { query: { limit: 2, ...(cursor ? { cursor } : {}) } } });
for await (const key of pages(read)) listed.push(key.name);

async function neverCalled(): Promise<void> {
  // @ts-expect-error: there is no such route
  await control.GET('/v1/nothing');
  // @ts-expect-error: `expected_live` must be said, though it may be null
  await control.POST('/v1/endpoints/{id}/publications', { params: { path }, body: { version: 1 } });
  // @ts-expect-error: not a scope
  await control.POST('/v1/keys', { body: { name: 'x', scopes: ['everything'] } });
  // @ts-expect-error: the path's parameter is missing
  await control.GET('/v1/keys/{id}', {});
}
void neverCalled;

console.log(
  JSON.stringify({
    id: endpoint.id,
    same: again.id === endpoint.id,
    edge: publication.edge,
    state: publication.state,
    live: must(await control.GET('/v1/endpoints/{id}', { params: { path } })).live,
    taken: { status: taken.response.status, code: takenCode },
    missing: { status: missing.response.status, code: missing.error?.error.code },
    refused: { status: refused.response.status, code: refused.error?.error.code },
    made: names,
    listed,
  }),
);
