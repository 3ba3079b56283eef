import type { SamplingOptions } from '../sampling/sampling-options.js';

/** Samples from everything, by the model's own probabilities. */
export const hotSampling: SamplingOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  minTokens: 0,
  topLogprobs: undefined,
  seed: 1n,
};
