import { greedySampling, type SamplingOptions } from '../sampling/sampling-options.js';

/** Samples from everything, by the model's own probabilities. */
export const hotSampling: SamplingOptions = { ...greedySampling, temperature: 1 };
