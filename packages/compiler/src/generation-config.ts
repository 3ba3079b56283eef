import type { GenerationSection } from '@tessera/bundle';
import { z } from 'zod';
import { notBuilt, ofNoMatter, parseConfig, positive, withoutNulls } from './config.js';
import { tokenId, tokenIds } from './models/token-ids.js';

/** A way of generating that is not built: taken at the values at which it changes nothing. */
const only = (...neutral: readonly (number | boolean)[]) => z.literal([...neutral], 'is not supported').optional();
const empty = z.array(z.never(), 'is not supported').max(0, 'is not supported').optional();

/**
 * What transformers' GenerationConfig has, with null where nothing is said. As in config.json, a field is used, refused by
 * its name where it asks for what is not built, or of no matter.
 */
const generationConfig = z
  .object({
    eos_token_id: tokenIds.optional(),
    pad_token_id: tokenId.optional(),
    do_sample: z.boolean().default(false),
    temperature: z.number().nonnegative().default(1),
    top_p: z.number().min(0).max(1).default(1),
    top_k: z.number().int().nonnegative().default(0),
    repetition_penalty: z.number().positive().default(1),
    max_new_tokens: positive.default(256),

    min_length: only(0),
    min_new_tokens: only(0),
    num_beams: only(1),
    num_beam_groups: only(1),
    num_return_sequences: only(1),
    penalty_alpha: only(0),
    min_p: only(0),
    typical_p: only(1),
    epsilon_cutoff: only(0),
    eta_cutoff: only(0),
    diversity_penalty: only(0),
    encoder_repetition_penalty: only(1),
    no_repeat_ngram_size: only(0),
    encoder_no_repeat_ngram_size: only(0),
    guidance_scale: only(1),
    bad_words_ids: empty,
    force_words_ids: empty,
    constraints: empty,
    suppress_tokens: empty,
    begin_suppress_tokens: empty,
    forced_decoder_ids: empty,
    stop_strings: empty,

    /** Who wrote it. */
    _from_model_config: ofNoMatter,
    transformers_version: ofNoMatter,
    /** An answer ends where the context does. */
    max_length: ofNoMatter,
    /** The prompt is the chat template's, which writes this itself. */
    bos_token_id: ofNoMatter,
    decoder_start_token_id: ofNoMatter,
    /** Of beams, of which there are none. */
    early_stopping: ofNoMatter,
    length_penalty: ofNoMatter,
    low_memory: ofNoMatter,
    /** Odds are normalised in any case. */
    renormalize_logits: ofNoMatter,
    /** There are none where sampling runs. */
    remove_invalid_values: ofNoMatter,
    /** What a call gives back. */
    output_attentions: ofNoMatter,
    output_hidden_states: ofNoMatter,
    output_logits: ofNoMatter,
    output_scores: ofNoMatter,
    return_dict_in_generate: ofNoMatter,
    /** How it is computed, not what. */
    cache_config: ofNoMatter,
    cache_implementation: ofNoMatter,
    compile_config: ofNoMatter,
    disable_compile: ofNoMatter,
    prefill_chunk_size: ofNoMatter,
    return_legacy_cache: ofNoMatter,
    use_cache: ofNoMatter,
    /** Drafts that the model itself accepts or rejects. */
    assistant_confidence_threshold: ofNoMatter,
    assistant_early_exit: ofNoMatter,
    assistant_lookbehind: ofNoMatter,
    is_assistant: ofNoMatter,
    max_matching_ngram_size: ofNoMatter,
    num_assistant_tokens: ofNoMatter,
    num_assistant_tokens_schedule: ofNoMatter,
    prompt_lookup_num_tokens: ofNoMatter,
    target_lookbehind: ofNoMatter,
  })
  .catchall(notBuilt);

/**
 * generation_config.json in the manifest's words; absent, everything is at its default.
 * @throws TesseraError CHECKPOINT_INVALID naming each field that is wrong, or asks for what is not built
 */
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
