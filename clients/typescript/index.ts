// A client of Alpha Gate's control plane: openapi-fetch, typed by what control itself says of its routes.
//
// schema.d.ts is generated (`cargo xtask openapi`); nothing here is. Every call gives `data` or `error`, never both, and
// which fields either has depends on the path: the compiler knows.

import createFetchClient, { type Client } from 'openapi-fetch';
import type { components, paths } from './schema.js';

export type { components, operations, paths } from './schema.js';

/** The body of every refusal: a `code` for programs, a `message` that says what to do next. */
export type Problem = components['schemas']['Problem'];

/** Calls control's routes by method and path. */
export type Control = Client<paths>;

/** Where control is, and who calls. */
export interface Settings {
  /** Control's URL without a path, e.g. `http://127.0.0.1:8080`. */
  baseUrl: string;
  /** An API key, or for the operator's routes the operator token. It is sent to `baseUrl` and nowhere else. */
  apiKey: string;
  /** Another `fetch`, for proxies and tests. */
  fetch?: (request: Request) => Promise<Response>;
}

/** A client for one key. */
export function createClient(settings: Settings): Control {
  return createFetchClient<paths>({
    baseUrl: settings.baseUrl.replace(/\/+$/, ''),
    headers: { authorization: `Bearer ${settings.apiKey}` },
    // A redirect could carry the key elsewhere; control never answers with one.
    redirect: 'error',
    ...(settings.fetch ? { fetch: settings.fetch } : {}),
  });
}

/** A page of a list: its items, and the cursor of the next page. */
interface Page<Item> {
  data: Item[];
  next_cursor?: string | null | undefined;
}

/** Walks all pages of a list: `for await (const key of pages((cursor) => control.GET('/v1/keys', …)))`. */
export async function* pages<Item>(
  read: (cursor: string | undefined) => Promise<{ data?: Page<Item> | undefined; error?: unknown }>,
): AsyncGenerator<Item, void, undefined> {
  let cursor: string | undefined;
  do {
    const { data, error } = await read(cursor);
    if (!data) throw new RefusedError(error);
    yield* data.data;
    cursor = data.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

/** A page was refused; `problem` says why. */
export class RefusedError extends Error {
  constructor(readonly problem: unknown) {
    const message = (problem as Problem | undefined)?.error?.message;
    super(message ?? 'control gave no answer that could be read');
    this.name = 'RefusedError';
  }
}
