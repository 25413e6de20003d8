//! A bare pump: every chunk of the answer goes through JavaScript, which does nothing with it.

async function pump(from, to) {
  const reader = from.getReader();
  const writer = to.getWriter();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      await writer.write(value);
    }
    await writer.close();
  } catch (error) {
    // The caller has left: so does the call.
    await Promise.allSettled([reader.cancel(error), writer.abort(error)]);
  }
}

export default {
  async fetch(request, env, context) {
    const response = await fetch(env.PROVIDER + new URL(request.url).pathname, request);
    const { readable, writable } = new IdentityTransformStream();
    context.waitUntil(pump(response.body, writable));
    return new Response(readable, response);
  },
};
