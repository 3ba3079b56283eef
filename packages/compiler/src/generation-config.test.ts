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

test.each([7, 'text', true])('a file that holds no object is wrong: %j', (content) => {
  expect(() => generationFromConfig(content)).toThrow(/^generation_config.json: .*expected object/);
});

test.each([
  ['min_p', { min_p: 0.05 }],
  ['num_beams', { num_beams: 4 }],
  ['num_return_sequences', { num_return_sequences: 2 }],
  ['typical_p', { typical_p: 0.9 }],
  ['no_repeat_ngram_size', { no_repeat_ngram_size: 3 }],
  ['min_new_tokens', { min_new_tokens: 8 }],
  ['guidance_scale', { guidance_scale: 1.5 }],
  ['penalty_alpha', { penalty_alpha: 0.6 }],
  ['suppress_tokens', { suppress_tokens: [1, 2] }],
  ['stop_strings', { stop_strings: ['END'] }],
  ['stop_strings', { stop_strings: 'END' }],
  ['watermarking_config', { watermarking_config: { bias: 2 } }],
  ['forced_bos_token_id', { forced_bos_token_id: 5 }],
  ['of_a_later_version', { of_a_later_version: 1 }],
])('what asks for a way of generating that is not built is refused by the field: %s', (field, config) => {
  expect(() => generationFromConfig(config)).toThrow(`generation_config.json.${field}`);
  expect(() => generationFromConfig(config)).toThrow('is not supported');
});

const nothingAtZero = [
  'min_length',
  'min_new_tokens',
  'penalty_alpha',
  'min_p',
  'epsilon_cutoff',
  'eta_cutoff',
  'diversity_penalty',
  'no_repeat_ngram_size',
  'encoder_no_repeat_ngram_size',
];
const nothingAtOne = [
  'num_beams',
  'num_beam_groups',
  'num_return_sequences',
  'typical_p',
  'encoder_repetition_penalty',
  'guidance_scale',
];

test.each([...nothingAtZero.map((field) => [field, 0] as const), ...nothingAtOne.map((field) => [field, 1] as const)])(
  '%s of %i asks for nothing, and is taken; any other is refused',
  (field, neutral) => {
    expect(generationFromConfig({ [field]: neutral })).toEqual(generationFromConfig(undefined));
    for (const other of [neutral + 1, 1 - neutral]) {
      expect(() => generationFromConfig({ [field]: other })).toThrow(
        `generation_config.json.${field}: is not supported`,
      );
    }
  },
);

test('what transformers writes at its defaults changes nothing', () => {
  const defaults = {
    _from_model_config: true,
    transformers_version: '4.51.0',
    bos_token_id: 1,
    max_length: 4096,
    min_length: 0,
    min_new_tokens: null,
    early_stopping: false,
    length_penalty: 1.0,
    num_beams: 1,
    num_beam_groups: 1,
    num_return_sequences: 1,
    min_p: null,
    typical_p: 1.0,
    epsilon_cutoff: 0.0,
    eta_cutoff: 0.0,
    diversity_penalty: 0.0,
    encoder_repetition_penalty: 1.0,
    no_repeat_ngram_size: 0,
    guidance_scale: null,
    bad_words_ids: null,
    suppress_tokens: [],
    renormalize_logits: false,
    token_healing: false,
    watermarking_config: null,
    use_cache: true,
    cache_implementation: 'hybrid',
    output_scores: false,
    num_assistant_tokens: 20,
    assistant_confidence_threshold: 0.4,
  };
  expect(generationFromConfig(defaults)).toEqual(generationFromConfig(undefined));
});

test('takes the generation_config.json of Qwen3-30B-A3B as it is published', () => {
  const published = {
    bos_token_id: 151643,
    do_sample: true,
    eos_token_id: [151645, 151643],
    pad_token_id: 151643,
    temperature: 0.6,
    top_k: 20,
    top_p: 0.95,
    transformers_version: '4.51.0',
  };
  expect(generationFromConfig(published)).toEqual({
    generation: {
      maxNewTokens: 256,
      doSample: true,
      temperature: 0.6,
      topK: 20,
      topP: 0.95,
      repetitionPenalty: 1,
      padTokenId: 151643,
    },
    eosTokenIds: [151645, 151643],
  });
});
