// Calls a Durable Object: text there, text back, and no longer than a limit.

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
  const response = await namespace.getByName(name).fetch(`https://object${path}`, { method: 'POST', body });
  const text = await response.text();
  if (response.status !== 200) throw text;
  return text;
}
