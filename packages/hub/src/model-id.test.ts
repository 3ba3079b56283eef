import { expect, test } from 'vitest';
import { parseModelId } from './model-id.js';

test.each([
  ['gpt2', { repository: 'gpt2', revision: 'main' }],
  ['acme/small-1.5_b', { repository: 'acme/small-1.5_b', revision: 'main' }],
  ['acme/small@v1.0', { repository: 'acme/small', revision: 'v1.0' }],
  ['acme/small@refs/pr/1', { repository: 'acme/small', revision: 'refs/pr/1' }],
  ['acme/small:Q4_K_M', { repository: 'acme/small', revision: 'main', file: 'Q4_K_M' }],
  ['acme/small@v1:deep/a.gguf', { repository: 'acme/small', revision: 'v1', file: 'deep/a.gguf' }],
])('%s is an id', (text, id) => {
  expect(parseModelId(text)).toEqual(id);
});

test.each([
  '',
  '.',
  '..',
  './acme',
  '../acme/small',
  '/acme/small',
  '~/acme',
  'acme/small/more',
  'acme/',
  'acme/-small',
  'acme--small',
  'acme/a..b',
  `acme/${'a'.repeat(97)}`,
  'acme/small@',
  'acme/small@../../x',
  'acme/small@a//b',
  'acme/small:',
  'acme/small:../x.gguf',
  'acme/small:a\\b.gguf',
  'acme/small:a\u0000.gguf',
  'https://hub.example/acme/small',
])('%j is none', (text) => {
  expect(parseModelId(text)).toBeUndefined();
});
