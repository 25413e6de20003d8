// The OpenAI SDK for node, unmodified, through the cases that the test asks for. Its argument is the npm package.
//
// One JSON line in is one case, one JSON line out is what came of it. It decides nothing: the table is in tests/sdks.rs.

import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { default: OpenAI } = await import(process.argv[2]);
const { ResponsesWS } = await import(`${process.argv[2]}/resources/responses/ws`);

function makeClient(ask, seen) {
  const options = { baseURL: ask.base_url, apiKey: ask.api_key };
  if (ask.timeout_s !== undefined) options.timeout = ask.timeout_s * 1000;
  if (ask.max_retries !== undefined) options.maxRetries = ask.max_retries;
  options.fetch = (url, init) => {
    seen.attempts += 1;
    if (ask.dump) writeFileSync(ask.dump, init.body);
    return fetch(url, init);
  };
  return new OpenAI(options);
}

function given(ask) {
  const body = { model: ask.model, input: ask.input, ...ask.extra };
  if (ask.image_file) {
    const image_url = `data:image/png;base64,${readFileSync(ask.image_file).toString('base64')}`;
    const content = [{ type: 'input_text', text: ask.input }, { type: 'input_image', image_url }];
    body.input = [{ role: 'user', content }];
  }
  return body;
}

function noteResponse(response, seen) {
  // Only some of the ways to get a response fill in `output_text`.
  seen.text = response.output_text ?? response.output.flatMap((item) => item.content.map((part) => part.text)).join('');
  seen.model = response.model;
  seen.status = response.status;
  seen.total_tokens = response.usage.total_tokens;
}

function conversation(ask) {
  return { model: ask.model, messages: [{ role: 'user', content: ask.input }], ...ask.extra };
}

function noteCompletion(completion, seen) {
  const [choice] = completion.choices;
  seen.text = choice.message.content;
  seen.model = completion.model;
  seen.status = choice.finish_reason === 'stop' ? 'completed' : choice.finish_reason;
  seen.total_tokens = completion.usage.total_tokens;
}

async function readChunks(stream, ask, seen) {
  for await (const chunk of stream) {
    seen.types.push(chunk.object);
    seen.model = chunk.model;
    for (const choice of chunk.choices) {
      seen.deltas += choice.delta.content ?? '';
      if (choice.finish_reason === 'stop') seen.status = 'completed';
    }
    if (chunk.usage) seen.total_tokens = chunk.usage.total_tokens;
    if (seen.types.length === ask.leave_after) return;
  }
  seen.text = seen.deltas;
}

async function read(stream, ask, seen) {
  for await (const event of stream) {
    seen.types.push(event.type);
    if (event.type === 'response.output_text.delta') seen.deltas += event.delta;
    if (event.type === 'response.completed') noteResponse(event.response, seen);
    if (seen.types.length === ask.leave_after) return;
  }
}

/** Reads a connection to the end of a turn: its response, or null. */
async function follow(messages, seen) {
  for (;;) {
    const { value, done } = await messages.next();
    if (done || value.type === 'close') throw new Error('closed');
    if (value.type === 'error') {
      seen.types.push('error');
      seen.code = value.error.error?.error?.code ?? value.error.message;
      return null;
    }
    if (value.type !== 'message') continue;
    const { message } = value;
    if (message.type === 'error') continue;
    seen.types.push(message.type);
    if (message.type === 'response.completed') return message.response;
  }
}

const verbs = {
  async kept(client, ask, seen) {
    const made = await client.responses.create(given(ask));
    const again = await client.responses.retrieve(made.id);
    noteResponse(again, seen);
    seen.same = again.id === made.id;
    seen.items = [];
    for await (const item of client.responses.inputItems.list(made.id)) seen.items.push(item.content[0].text);
    await read(await client.responses.retrieve(made.id, { stream: true }), ask, seen);
    await client.responses.delete(made.id);
    await client.responses.retrieve(made.id);
  },

  async compact(client, ask, seen) {
    const { model, input } = ask;
    const made = await client.responses.compact({ model, input });
    seen.object = made.object;
    seen.items = made.output.map((item) => item.type);
    seen.total_tokens = made.usage.total_tokens;
    const next = [...made.output, { role: 'user', content: 'Go on.' }];
    seen.text = (await client.responses.create({ model, input: next })).output_text;
  },

  async socket(client, { model, input }, seen) {
    const connection = new ResponsesWS(client);
    const messages = connection.stream()[Symbol.asyncIterator]();
    const following = { type: 'response.create', model, input: 'Go on.', store: false };
    connection.send({ type: 'response.create', model, input, store: false });
    const first = await follow(messages, seen);
    connection.send({ ...following, previous_response_id: first.id });
    const second = await follow(messages, seen);
    noteResponse(second, seen);
    seen.continues = second.previous_response_id === first.id;
    connection.send({ ...following, previous_response_id: 'resp_never' });
    await follow(messages, seen);
    connection.close();
  },

  async create(client, ask, seen) {
    const response = await client.responses.create(given(ask));
    seen.request_id = response._request_id;
    noteResponse(response, seen);
  },

  async raw(client, ask, seen) {
    await read(await client.responses.create({ ...given(ask), stream: true }), ask, seen);
  },

  async helper(client, ask, seen) {
    const stream = client.responses.stream(given(ask));
    await read(stream, ask, seen);
    if (ask.leave_after === undefined) noteResponse(await stream.finalResponse(), seen);
  },

  async chat_create(client, ask, seen) {
    const completion = await client.chat.completions.create(conversation(ask));
    seen.request_id = completion._request_id;
    noteCompletion(completion, seen);
  },

  async chat_raw(client, ask, seen) {
    const given = { ...conversation(ask), stream: true, stream_options: { include_usage: true } };
    await readChunks(await client.chat.completions.create(given), ask, seen);
  },

  async chat_helper(client, ask, seen) {
    const stream = client.chat.completions.stream({ ...conversation(ask), stream_options: { include_usage: true } });
    await readChunks(stream, ask, seen);
    if (ask.leave_after === undefined) noteCompletion(await stream.finalChatCompletion(), seen);
  },

  async models(client, _ask, seen) {
    seen.ids = [];
    for await (const model of client.models.list()) seen.ids.push(model.id);
  },
};

function noteError(error, seen) {
  const { status, code, type, param, requestID, message } = error;
  seen.error = { class: error.constructor.name, status, code, type, param, request_id: requestID, message };
}

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  const seen = { case: ask.case, attempts: 0, types: [], deltas: '', error: null };
  try {
    await verbs[ask.how](makeClient(ask, seen), ask, seen);
  } catch (error) {
    noteError(error, seen);
  }
  console.log(JSON.stringify(seen));
}
