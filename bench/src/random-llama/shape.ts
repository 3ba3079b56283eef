/** The shape of SmolLM2 135M, as its config.json says: 134,515,008 parameters. */
export const smolLm2 = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: 'bfloat16',
} as const;

type Shape = { readonly [field in Sizes]: number };
type Sizes =
  | 'vocab_size'
  | 'hidden_size'
  | 'intermediate_size'
  | 'num_hidden_layers'
  | 'num_attention_heads'
  | 'num_key_value_heads';

/** A tensor of the model, with the names that safetensors and GGUF files have for it. */
export interface ShapeOfTensor {
  readonly name: string;
  readonly ggufName: string;
  /** [to, from] of a linear layer, [count, width] of the embedding, [width] of a norm. */
  readonly shape: readonly number[];
}

export function tensorsOf(config: Shape): ShapeOfTensor[] {
  const {
    hidden_size: width,
    intermediate_size: inner,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
  } = config;
  const kvWidth = (width / heads) * kvHeads;
  const inLayer: readonly (readonly [string, string, readonly number[]])[] = [
    ['input_layernorm', 'attn_norm', [width]],
    ['self_attn.q_proj', 'attn_q', [width, width]],
    ['self_attn.k_proj', 'attn_k', [kvWidth, width]],
    ['self_attn.v_proj', 'attn_v', [kvWidth, width]],
    ['self_attn.o_proj', 'attn_output', [width, width]],
    ['post_attention_layernorm', 'ffn_norm', [width]],
    ['mlp.gate_proj', 'ffn_gate', [inner, width]],
    ['mlp.up_proj', 'ffn_up', [inner, width]],
    ['mlp.down_proj', 'ffn_down', [width, inner]],
  ];
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    inLayer.map(([name, ggufName, shape]) => ({
      name: `model.layers.${layer}.${name}.weight`,
      ggufName: `blk.${layer}.${ggufName}.weight`,
      shape,
    })),
  );
  return [
    { name: 'model.embed_tokens.weight', ggufName: 'token_embd.weight', shape: [config.vocab_size, width] },
    { name: 'model.norm.weight', ggufName: 'output_norm.weight', shape: [width] },
    ...layers.flat(),
  ];
}
