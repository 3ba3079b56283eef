import type { Architecture } from './architecture.js';
import { ArchitectureValues } from './architecture-values.js';
import type { StoredTensor } from './gguf-file.js';
import type { Metadata } from './metadata.js';
import { ropeScaling } from './rope-scaling.js';

/** More than any model has. */
const maxLayers = 4096;

/** The dimensions of a tensor that must be there. */
type ShapeOf = (name: string) => readonly number[];

/**
 * The config.json that a GGUF file was made from, as far as it decides what is computed.
 * @throws TesseraError CHECKPOINT_INVALID naming the value that is missing, wrong or asks for what is not built
 */
export function configOf(
  metadata: Metadata,
  { name, modelType }: Architecture,
  tensors: ReadonlyMap<string, StoredTensor>,
  ropeDivisors: Float32Array | undefined,
): Record<string, unknown> {
  const values = new ArchitectureValues(metadata, name);
  const shapeOf: ShapeOf = (tensor) => metadata.required(`the tensor ${tensor}`, tensors.get(tensor)).shape;
  const layers = values.required('block_count');
  if (layers > maxLayers) throw values.problem('block_count', `is ${layers}; at most ${maxLayers} are read`);
  const width = values.required('embedding_length');
  const heads = metadata.required(`${name}.attention.head_count`, values.ofEveryLayer('attention.head_count'));
  const headDim = headDimOf(values, width / heads);
  const [vocabSize, columns] = shapeOf('token_embd.weight');
  const [queryRows] = shapeOf('blk.0.attn_q.weight');
  if (columns !== width)
    throw values.problem('embedding_length', `is ${width}, but token_embd.weight has ${columns} columns`);
  if (queryRows !== heads * headDim) {
    const sizes = `is ${heads}, with ${headDim} values a head`;
    throw values.problem('attention.head_count', `${sizes}, but blk.0.attn_q.weight has ${queryRows} rows`);
  }
  const theta = values.number('rope.freq_base') ?? 10_000;
  const config = {
    architectures: [`${name} of a GGUF file`],
    model_type: modelType,
    vocab_size: vocabSize,
    hidden_size: width,
    intermediate_size: values.ofEveryLayer('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: values.ofEveryLayer('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    hidden_act: 'silu',
    max_position_embeddings: values.required('context_length'),
    rms_norm_eps: values.required('attention.layer_norm_rms_epsilon'),
    rope_theta: theta,
    rope_scaling: ropeScaling(values, ropeDivisors, headDim, theta),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...biasFields(metadata, modelType, tensors),
    ...windowFields(values, modelType),
    ...expertFields(values, modelType, layers, tensors),
    eos_token_id: metadata.number('tokenizer.ggml.eos_token_id'),
    bos_token_id: metadata.number('tokenizer.ggml.bos_token_id'),
  };
  values.refuseOthers();
  return JSON.parse(JSON.stringify(config)) as Record<string, unknown>;
}

function headDimOf(values: ArchitectureValues, divided: number): number {
  const headDim = values.number('attention.key_length') ?? divided;
  const ofValues = values.number('attention.value_length') ?? headDim;
  if (ofValues !== headDim) throw values.problem('attention.value_length', `is ${ofValues}, but keys have ${headDim}`);
  const turned = values.number('rope.dimension_count') ?? headDim;
  if (turned !== headDim) {
    throw values.problem(
      'rope.dimension_count',
      `is ${turned}: positions in a part of a head of ${headDim} are not supported`,
    );
  }
  return headDim;
}

/** Whether there are biases nothing but the tensors says. Those of layers that a config names together are all there, or none is. */
function biasFields(
  metadata: Metadata,
  modelType: string,
  tensors: ReadonlyMap<string, StoredTensor>,
): Record<string, boolean> {
  const has = (...layers: readonly string[]): boolean => {
    const biases = layers.map((layer) => `blk.0.${layer}.bias`);
    const [there] = biases.filter((name) => tensors.has(name));
    const missing = biases.find((name) => !tensors.has(name));
    if (there === undefined || missing === undefined) return there !== undefined;
    const what = `is missing, but ${there} is there: models of type ${modelType} have both or none`;
    throw metadata.problem(missing, what);
  };
  const inputs = ['attn_q', 'attn_k', 'attn_v'];
  switch (modelType) {
    case 'llama':
      return { attention_bias: has(...inputs, 'attn_output'), mlp_bias: has('ffn_gate', 'ffn_up', 'ffn_down') };
    case 'qwen3':
    case 'qwen3_moe':
      return { attention_bias: has(...inputs, 'attn_output') };
    case 'qwen2_moe':
      return { qkv_bias: has(...inputs) };
    default:
      return {};
  }
}

function windowFields(values: ArchitectureValues, modelType: string): Record<string, unknown> {
  const window = values.number('attention.sliding_window') ?? 0;
  if (modelType === 'mistral') return { sliding_window: window };
  // A file does not say in which layers; one that is as wide as the context is one in none.
  if (window === 0 || window >= values.required('context_length')) return {};
  throw values.problem(
    'attention.sliding_window',
    `is ${window}: windows are not supported in models of type ${modelType}`,
  );
}

function expertFields(
  values: ArchitectureValues,
  modelType: string,
  layers: number,
  tensors: ReadonlyMap<string, StoredTensor>,
): Record<string, unknown> {
  const experts = values.number('expert_count') ?? 0;
  const chosen = values.number('expert_used_count') ?? 0;
  const normalized = values.flag('expert_weights_norm');
  const shared = values.number('expert_shared_count') ?? 0;
  if (experts === 0) return {};
  if (modelType === 'mixtral') {
    if (normalized === false) throw values.problem('expert_weights_norm', 'is false, which is not supported');
    return { num_local_experts: experts, num_experts_per_tok: chosen };
  }
  const inner = (kind: string, layer: number): number | undefined =>
    tensors.get(`blk.${layer}.${kind}.weight`)?.shape.at(-1);
  const all = Array.from({ length: layers }, (_, layer) => layer);
  const routed = all.filter((layer) => tensors.has(`blk.${layer}.ffn_gate_inp.weight`));
  const first = routed[0] ?? 0;
  if (shared > 1) throw values.problem('expert_shared_count', `is ${shared}; one at most is supported`);
  return {
    num_experts: experts,
    num_experts_per_tok: chosen,
    // What llama.cpp does with models of these types where nothing is said.
    norm_topk_prob: normalized ?? modelType === 'qwen3_moe',
    decoder_sparse_step: 1,
    mlp_only_layers: all.filter((layer) => !routed.includes(layer)),
    moe_intermediate_size: inner('ffn_down_exps', first),
    ...(modelType === 'qwen2_moe' && { shared_expert_intermediate_size: inner('ffn_down_shexp', first) }),
  };
}
