import { decoderNames } from '../decoder-names.js';

/** Where InternLM2ForCausalLM keeps its tensors. */
export const names = {
  ...decoderNames,
  embedding: 'model.tok_embeddings',
  attentionNorm: 'attention_norm',
  /** Queries, keys and values of a layer in one linear layer. */
  packed: 'attention.wqkv',
  output: 'attention.wo',
  mlpNorm: 'ffn_norm',
  mlp: 'feed_forward',
  gate: 'w1',
  up: 'w3',
  down: 'w2',
  head: 'output',
};
