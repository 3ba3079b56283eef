import { z } from 'zod';
import { ofNoMatter } from '../config.js';

/** What Hugging Face's PretrainedConfig writes into any part, most of it only in older files. */
const names = [
  '_attn_implementation_autoset',
  '_name_or_path',
  'architectures',
  'attn_implementation',
  'auto_map',
  'bad_words_ids',
  'begin_suppress_tokens',
  'bos_token_id',
  'chunk_size_feed_forward',
  'decoder_start_token_id',
  'diversity_penalty',
  'do_sample',
  'dtype',
  'early_stopping',
  'encoder_no_repeat_ngram_size',
  'eos_token_id',
  'exponential_decay_length_penalty',
  'finetuning_task',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'id2label',
  'initializer_range',
  'label2id',
  'length_penalty',
  'max_length',
  'min_length',
  'model_type',
  'no_repeat_ngram_size',
  'num_beam_groups',
  'num_beams',
  'num_labels',
  'num_return_sequences',
  'output_attentions',
  'output_hidden_states',
  'output_scores',
  'pad_token_id',
  'prefix',
  'problem_type',
  'repetition_penalty',
  'return_dict',
  'return_dict_in_generate',
  'sep_token_id',
  'suppress_tokens',
  'task_specific_params',
  'temperature',
  'tf_legacy_loss',
  'tokenizer_class',
  'top_k',
  'top_p',
  'torch_dtype',
  'torchscript',
  'transformers_version',
  'typical_p',
  'use_cache',
] as const;

/**
 * Fields that every published config may have and that change no number of any family: who wrote it, training, and
 * defaults of generation, which are read from generation_config.json. Schemas of families begin with them and end with
 * `.catchall(notBuilt)`, so that every other field of a config is used, checked, or said to be of no matter.
 */
export const pretrainedFields = {
  ...(Object.fromEntries(names.map((name) => [name, ofNoMatter])) as Record<(typeof names)[number], typeof ofNoMatter>),
  pruned_heads: z.strictObject({}, 'is not supported').optional(),
};
