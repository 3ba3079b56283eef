import type { GenerationSection } from '@tessera/bundle';
import { z } from 'zod';
import { parseConfig, positive, withoutNulls } from './config.js';
import { tokenId, tokenIds } from './models/token-ids.js';

const generationConfig = z.object({
  eos_token_id: tokenIds.optional(),
  pad_token_id: tokenId.optional(),
  do_sample: z.boolean().default(false),
  temperature: z.number().nonnegative().default(1),
  top_p: z.number().min(0).max(1).default(1),
  top_k: z.number().int().nonnegative().default(0),
  repetition_penalty: z.number().positive().default(1),
  max_new_tokens: positive.default(256),
});

/** generation_config.json in the manifest's words; absent, everything is at its default. */
export function generationFromConfig(config: unknown): {
  generation: GenerationSection;
  eosTokenIds: readonly number[];
} {
  const options = parseConfig(generationConfig, withoutNulls(config ?? {}), 'generation_config.json');
  return {
    generation: {
      maxNewTokens: options.max_new_tokens,
      doSample: options.do_sample,
      temperature: options.temperature,
      topP: options.top_p,
      topK: options.top_k,
      repetitionPenalty: options.repetition_penalty,
      ...(options.pad_token_id !== undefined && { padTokenId: options.pad_token_id }),
    },
    eosTokenIds: options.eos_token_id ?? [],
  };
}
