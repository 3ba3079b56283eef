import { readFileSync } from 'node:fs';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { expect, test } from 'vitest';
import { tessera } from './tessera.js';

const config = JSON.parse(readFileSync(`${demoModelDir}/config.json`, 'utf8')) as Record<
  string,
  Record<string, unknown>
>;

/** The demo model's config with other fields in one of its parts. */
const changed = (part: string, fields: object): unknown => ({ ...config, [part]: { ...config[part], ...fields } });

test.each([
  [
    'a connector of another width than the LLM',
    changed('connector_config', { out_features: 128 }),
    'config.json: connector_config makes visual tokens of width 128, but the model of text_config has width 256',
  ],
  [
    'a generator that takes a condition of another width',
    changed('generator_config', { caption_channels: 4096 }),
    'config.json: generator_config takes a condition of width 4096, but it is given hidden states of text_config, of width 256',
  ],
])('%s is refused before anything is compiled, with both widths', (_, wrong, message) => {
  expect(() => tessera(wrong)).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID', message }));
});

test('the parts of the demo model fit', () => {
  expect(Object.keys(tessera(config).stages ?? {})).toEqual(['encoder', 'connector', 'llm', 'generator']);
});
