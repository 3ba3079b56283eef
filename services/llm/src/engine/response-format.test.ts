import { FinishReason, type ResponseFormat, type TextOptions } from '@tessera/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collect, DemoEngine, user } from '../testing/demo-engine.js';
import { TokenBytes } from '../text/token-bytes.js';

let demo: DemoEngine;
let bytes: TokenBytes;

beforeAll(async () => {
  demo = await DemoEngine.create();
  bytes = new TokenBytes(demo.builder.tokenizer);
});

afterAll(() => demo.close());

type Format = NonNullable<ResponseFormat['format']>;

const schema = JSON.stringify({
  type: 'object',
  properties: { colour: { enum: ['red', 'green', 'blue'] }, count: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['colour', 'count'],
});
const asJson: Format = { $case: 'jsonSchema', value: { name: 'thing', schema } };
const asWord: Format = { $case: 'regex', value: '(yes|no), [a-z]{3,6}\\.' };

const ask = (format: Format, text: Partial<TextOptions> = {}, forcedTokenIds: readonly number[] = []) => {
  const options = { maxTokens: 80, responseFormat: { format }, ...text };
  return collect(
    demo.engine.submit(demo.request([user('Hello!')], { text: options, forcedTokenIds: [...forcedTokenIds] })),
  );
};

test('an answer has its form, greedy and hot, alone and beside free ones, and ends when it is complete', async () => {
  const free = collect(demo.engine.submit(demo.request([user('Hello!')], { text: { maxTokens: 30 } })));
  const answers = await Promise.all([
    ask(asJson),
    ...[1n, 2n, 3n].map((seed) => ask(asJson, { temperature: 4, seed })),
    ask(asWord),
    ask(asWord, { temperature: 8, topK: 50, topP: 0.9, minP: 0.01, repetitionPenalty: 1.2, seed: 4n }),
  ]);
  for (const { error, finished } of answers) {
    expect(error).toBeUndefined();
    expect(finished?.reason).toBe(FinishReason.END);
  }
  for (const { text } of answers.slice(0, 4)) {
    expect(JSON.parse(text)).toEqual({
      colour: expect.stringMatching(/^(red|green|blue)$/),
      count: expect.any(Number),
    });
  }
  for (const { text } of answers.slice(4)) expect(text).toMatch(/^(yes|no), [a-z]{3,6}\.$/);
  expect((await free).text).toMatch(/^Hello!/);
});

test('a form that needs more tokens than there may be is cut, and the reason says so', async () => {
  const { text, finished } = await ask(asJson, { maxTokens: 3 });
  expect(finished).toMatchObject({ reason: FinishReason.LENGTH, completionTokens: 3 });
  expect(() => JSON.parse(text)).toThrow();
});

test('after a takeover the form goes on where the delivered tokens are in it', async () => {
  const options = { temperature: 4, seed: 2n };
  const whole = await ask(asJson, options);
  for (let count = 0; count <= whole.tokenIds.length; count++) {
    const delivered = whole.tokenIds.slice(0, count);
    const rest = await ask(asJson, options, delivered);
    const begun = delivered.map((id) => Buffer.from(bytes.of(id)).toString('latin1')).join('');
    expect(JSON.parse(begun + rest.text)).toHaveProperty('count');
    expect(rest.finished?.reason).toBe(FinishReason.END);
  }
});

test('log-probabilities of a held answer are those of the model, which would have written something else', async () => {
  const { events } = await ask(asWord, { logprobs: { top: 1 } });
  const likelihoods = events.flatMap((event) => (event.type === 'tokens' ? (event.likelihoods ?? []) : []));
  expect(likelihoods.some(({ tokenId, top }) => top[0]?.tokenId !== tokenId)).toBe(true);
  for (const { logprob, top } of likelihoods) expect(top[0]?.logprob).toBeGreaterThanOrEqual(logprob);
});

test.each<[field: string, code: string, text: Partial<TextOptions>]>([
  ['text.response_format', 'REQUEST_INVALID', { responseFormat: { format: undefined } }],
  ['text.response_format.regex', 'REQUEST_INVALID', { responseFormat: { format: { $case: 'regex', value: '(' } } }],
  ['text.response_format.regex', 'UNSUPPORTED', { responseFormat: { format: { $case: 'regex', value: '(?=a)' } } }],
  ['text.response_format.json_schema.schema', 'REQUEST_INVALID', withSchema('{')],
  ['text.response_format.json_schema.schema', 'REQUEST_INVALID', withSchema(`{"title":"${'x'.repeat(70_000)}"}`)],
  [
    'text.response_format.json_schema.schema',
    'REQUEST_INVALID',
    withSchema(`{"const":${'['.repeat(30_000)}${']'.repeat(30_000)}}`),
  ],
  ['text.response_format.json_schema.schema', 'UNSUPPORTED', withSchema('{"not":{}}')],
  ['text.min_tokens', 'REQUEST_INVALID', { minTokens: 1, responseFormat: { format: asWord } }],
])('%s: %s', (field, code, text) => {
  const refuse = () => demo.request([user('Hello!')], { text });
  expect(refuse).toThrow(expect.objectContaining({ code, options: expect.objectContaining({ field }) }));
});

function withSchema(source: string): Partial<TextOptions> {
  return { responseFormat: { format: { $case: 'jsonSchema', value: { name: '', schema: source } } } };
}
