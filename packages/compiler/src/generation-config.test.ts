import { expect, test } from 'vitest';
import { generationFromConfig } from './generation-config.js';

test('a null says nothing: the default counts', () => {
  const nothing = { temperature: null, top_k: null, top_p: null, repetition_penalty: null, pad_token_id: null };
  expect(generationFromConfig({ ...nothing, eos_token_id: 2 })).toEqual({
    ...generationFromConfig(undefined),
    eosTokenIds: [2],
  });
});

test('what is wrong is named', () => {
  expect(() => generationFromConfig({ temperature: -1 })).toThrow('generation_config.json.temperature');
});
