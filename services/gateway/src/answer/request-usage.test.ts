import { Modality } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { requestUsage } from './request-usage.js';

const choice = (outputTokens: number, cachedInputTokens: number, outputMedia = 0) => ({
  inputTokens: 9,
  cachedInputTokens,
  outputTokens,
  inputByModality: [{ modality: Modality.TEXT, tokenCount: 9 }],
  outputByModality: outputTokens === 0 ? [] : [{ modality: Modality.TEXT, tokenCount: outputTokens }],
  outputMedia,
});

test('one choice is told as it is', () => {
  expect(requestUsage([choice(3, 2)])).toEqual(choice(3, 2));
});

test('the prompt counts once, as the first choice found it, and what was made adds up', () => {
  expect(requestUsage([choice(3, 2), choice(0, 8), choice(5, 8, 1)])).toEqual(choice(8, 2, 1));
  expect(requestUsage([choice(0, 0), choice(4, 8)])).toEqual(choice(4, 0));
});
