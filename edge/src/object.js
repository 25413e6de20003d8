// Calls a Durable Object: text there, text back, and no longer than a limit.

/** Most ids of objects that are remembered, for each namespace: a few hundred bytes each. */
const IDS_MAX = 10_000;

/** An object's id is a digest of its name, which costs more than the rest of finding it: namespace -> name -> id. */
const ids = new WeakMap();

function idOf(namespace, name) {
  let known = ids.get(namespace);
  if (!known) ids.set(namespace, (known = new Map()));
  let id = known.get(name);
  if (!id) {
    if (known.size >= IDS_MAX) known.clear();
    known.set(name, (id = namespace.idFromName(name)));
  }
  return id;
}

/** The answer of a POST; null if there is none within `limitMs`. Rejects with the text of any status but 200. */
export async function post(namespace, name, path, body, limitMs) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(null), limitMs);
  });
  try {
    return await Promise.race([exchange(namespace, name, path, body), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function exchange(namespace, name, path, body) {
  const response = await namespace.get(idOf(namespace, name)).fetch(`https://object${path}`, { method: 'POST', body });
  const text = await response.text();
  if (response.status !== 200) throw text;
  return text;
}
