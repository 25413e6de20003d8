// The AI SDK with its provider for OpenAI, unmodified, by Responses and by chat completions.
//
// Unless told otherwise it takes for granted that answers are stored, and later names their items by id alone. Whether it is
// told is the case's `store`.

import { createOpenAI } from '@ai-sdk/openai';
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';

import { answer, walk } from './walk.mjs';

function withModel(ask, more) {
  const openai = createOpenAI({ baseURL: ask.base_url, apiKey: ask.api_key });
  if (ask.api === 'chat') return { model: openai.chat(ask.model), ...more };
  return { model: openai.responses(ask.model), providerOptions: { openai: { store: ask.store } }, ...more };
}

async function text(ask) {
  return (await generateText(withModel(ask, { prompt: ask.prompt }))).text;
}

async function stream(ask) {
  const pieces = [];
  const fail = (error) => {
    throw error;
  };
  for await (const part of streamText(withModel(ask, { prompt: ask.prompt, onError: () => {} })).fullStream) {
    if (part.type === 'error') fail(part.error);
    if (part.type === 'text-delta') pieces.push(part.text);
  }
  return pieces;
}

function withTools(ask) {
  const made = ask.tools.map(({ name, description, parameters }) => {
    const execute = ({ city }) => {
      ask.calls.push([name, { city }]);
      return answer(city, name);
    };
    return [name, tool({ description, inputSchema: jsonSchema(parameters), execute })];
  });
  const tools = Object.fromEntries(made);
  return withModel(ask, { prompt: ask.prompt, tools, stopWhen: stepCountIs(2) });
}

async function tools(ask) {
  return (await generateText(withTools(ask))).text;
}

async function streamedTools(ask) {
  return streamText({ ...withTools(ask), onError: () => {} }).text;
}

async function image(ask) {
  const content = [{ type: 'text', text: ask.prompt }, { type: 'image', image: ask.image }];
  return (await generateText(withModel(ask, { messages: [{ role: 'user', content }] }))).text;
}

async function schema(ask) {
  const output = Output.object({ schema: jsonSchema(ask.schema) });
  return (await generateText(withModel(ask, { prompt: ask.prompt, output }))).output;
}

async function turns(ask) {
  const messages = [{ role: 'user', content: ask.prompt }];
  const first = await generateText(withModel(ask, { messages }));
  messages.push(...first.response.messages, { role: 'user', content: ask.then });
  return (await generateText(withModel(ask, { messages }))).text;
}

await walk({ text, stream, tools, streamed_tools: streamedTools, image, schema, turns });
