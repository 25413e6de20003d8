// The Evals API through the unmodified OpenAI SDK for node: an eval, a run to its end, its items.
//
// Arguments: the npm package, and JSON with base_url, api_key and model. It decides nothing: tests/evals.rs does.

import { setTimeout as pause } from 'node:timers/promises';

const [, , sdk, text] = process.argv;
const ask = JSON.parse(text);
const { default: OpenAI } = await import(sdk);
const client = new OpenAI({ baseURL: ask.base_url, apiKey: ask.api_key });

const POLL_MS = 200;
const PATIENCE_MS = 180_000;

const made = await client.evals.create({
  name: 'capitals',
  data_source_config: {
    type: 'custom',
    item_schema: {
      type: 'object',
      properties: { question: { type: 'string' }, expected: { type: 'string' } },
      required: ['question', 'expected'],
    },
    include_sample_schema: true,
  },
  testing_criteria: [
    {
      type: 'string_check',
      name: 'exact',
      input: '{{sample.output_text}}',
      operation: 'eq',
      reference: '{{item.expected}}',
    },
  ],
});
const items = [
  { question: 'Capital of France? [1]', expected: 'Paris' },
  { question: 'Capital of Japan? [3]', expected: 'Kyoto' },
];
let run = await client.evals.runs.create(made.id, {
  name: 'node',
  data_source: {
    type: 'completions',
    model: ask.model,
    source: { type: 'file_content', content: items.map((item) => ({ item })) },
    input_messages: { type: 'template', template: [{ role: 'user', content: '{{item.question}}' }] },
  },
});
const begun = performance.now();
while (!['completed', 'failed', 'canceled'].includes(run.status) && performance.now() - begun < PATIENCE_MS) {
  await pause(POLL_MS);
  run = await client.evals.runs.retrieve(run.id, { eval_id: made.id });
}
const found = [];
for await (const item of client.evals.runs.outputItems.list(run.id, { eval_id: made.id, limit: 1 })) found.push(item);
console.log(JSON.stringify({ run, items: found }));
