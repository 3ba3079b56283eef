/** Where transformers keeps the tensors of a decoder of LLaMA's kind. What a layer has lies below its name. */
export const decoderNames = {
  embedding: 'model.embed_tokens',
  layer: (index: number): string => `model.layers.${index}`,
  attentionNorm: 'input_layernorm',
  query: 'self_attn.q_proj',
  queryNorm: 'self_attn.q_norm',
  key: 'self_attn.k_proj',
  keyNorm: 'self_attn.k_norm',
  value: 'self_attn.v_proj',
  output: 'self_attn.o_proj',
  mlpNorm: 'post_attention_layernorm',
  mlp: 'mlp',
  /** Below an MLP. */
  gate: 'gate_proj',
  up: 'up_proj',
  down: 'down_proj',
  finalNorm: 'model.norm',
  /** Absent where it is tied to the embedding. */
  head: 'lm_head',
};

export type DecoderNames = Readonly<typeof decoderNames>;
