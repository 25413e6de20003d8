//! Calls a provider with OpenAI's own node SDK: whole, streamed raw, streamed with the helper, and refused.

import assert from "node:assert/strict";

const [name, baseURL] = process.argv.slice(2);
const { default: OpenAI } = await import(name);
const client = new OpenAI({ baseURL, apiKey: "sk-fake", maxRetries: 0 });
const call = { model: "fake-1", input: "rain", x_fake: { text: "déjà vu 🌸 again" } };

const whole = await client.responses.create(call);
assert.equal(whole.output_text, "déjà vu 🌸 again");
assert.equal(whole.usage.output_tokens, 4);

let text = "";
const types = new Set();
for await (const event of await client.responses.create({ ...call, stream: true })) {
  types.add(event.type);
  if (event.type === "response.output_text.delta") text += event.delta;
}
assert.equal(text, whole.output_text);
assert.ok(types.has("response.created") && types.has("response.completed"));

const final = await client.responses.stream({ ...call, stream: true }).finalResponse();
assert.equal(final.output_text, whole.output_text);

const limited = client.responses.create({ ...call, x_fake: { status: 429, retry_after: "1" } });
await assert.rejects(limited, (error) => error instanceof OpenAI.RateLimitError && error.type === "rate_limit_error");
const anonymous = new OpenAI({ baseURL, apiKey: "sk-fake", maxRetries: 0, defaultHeaders: { authorization: null } });
await assert.rejects(anonymous.responses.create(call), (error) => error.status === 401);
