// The OpenAI SDK for node, unmodified, by Responses and by chat completions. Its argument is the npm package.

import { answer, walk } from './walk.mjs';

const { default: OpenAI } = await import(process.argv[2]);

const client = (ask) => new OpenAI({ baseURL: ask.base_url, apiKey: ask.api_key });
const isChat = (ask) => ask.api === 'chat';
const said = (content) => [{ role: 'user', content }];
const textOf = (ask, result) => (isChat(ask) ? result.choices[0].message.content : result.output_text);

function create(ask, conversation, more = {}) {
  const { model } = ask;
  if (isChat(ask)) return client(ask).chat.completions.create({ model, messages: conversation, ...more });
  return client(ask).responses.create({ model, input: conversation, ...more });
}

function streamed(ask, conversation, more) {
  const { model } = ask;
  if (isChat(ask)) return client(ask).chat.completions.stream({ model, messages: conversation, ...more }).finalChatCompletion();
  return client(ask).responses.stream({ model, input: conversation, ...more }).finalResponse();
}

async function text(ask) {
  return textOf(ask, await create(ask, said(ask.prompt)));
}

async function stream(ask) {
  const pieces = [];
  for await (const event of await create(ask, said(ask.prompt), { stream: true })) {
    if (isChat(ask)) pieces.push(...event.choices.map((choice) => choice.delta.content).filter(Boolean));
    else if (event.type === 'response.output_text.delta') pieces.push(event.delta);
  }
  return pieces;
}

function call(ask, name, given) {
  const input = JSON.parse(given);
  ask.calls.push([name, input]);
  return answer(input.city, name);
}

async function chatTools(ask, create) {
  const tools = ask.tools.map((tool) => ({ type: 'function', function: { strict: true, ...tool } }));
  const { message } = (await create(ask, said(ask.prompt), { tools })).choices[0];
  const outputs = message.tool_calls.map((one) => {
    return { role: 'tool', tool_call_id: one.id, content: call(ask, one.function.name, one.function.arguments) };
  });
  return textOf(ask, await create(ask, [...said(ask.prompt), message, ...outputs], { tools }));
}

async function toolsBy(ask, create) {
  if (isChat(ask)) return chatTools(ask, create);
  const tools = ask.tools.map((tool) => ({ type: 'function', strict: true, ...tool }));
  const { output } = await create(ask, said(ask.prompt), { tools });
  const calls = output.filter((item) => item.type === 'function_call');
  const outputs = calls.map((one) => {
    return { type: 'function_call_output', call_id: one.call_id, output: call(ask, one.name, one.arguments) };
  });
  return textOf(ask, await create(ask, [...said(ask.prompt), ...output, ...outputs], { tools }));
}

const tools = (ask) => toolsBy(ask, create);
const streamedTools = (ask) => toolsBy(ask, streamed);

async function image(ask) {
  const parts = isChat(ask)
    ? [{ type: 'text', text: ask.prompt }, { type: 'image_url', image_url: { url: ask.image } }]
    : [{ type: 'input_text', text: ask.prompt }, { type: 'input_image', image_url: ask.image, detail: 'auto' }];
  return textOf(ask, await create(ask, said(parts)));
}

async function schema(ask) {
  const { model } = ask;
  const wanted = { name: 'report', schema: ask.schema, strict: true };
  if (isChat(ask)) {
    const form = { type: 'json_schema', json_schema: wanted };
    const completion = { model, messages: said(ask.prompt), response_format: form };
    return (await client(ask).chat.completions.parse(completion)).choices[0].message.parsed;
  }
  const response = { model, input: said(ask.prompt), text: { format: { type: 'json_schema', ...wanted } } };
  return (await client(ask).responses.parse(response)).output_parsed;
}

async function turns(ask) {
  const first = await create(ask, said(ask.prompt));
  const answered = isChat(ask) ? [first.choices[0].message] : first.output;
  return textOf(ask, await create(ask, [...said(ask.prompt), ...answered, ...said(ask.then)]));
}

await walk({ text, stream, tools, streamed_tools: streamedTools, image, schema, turns });
