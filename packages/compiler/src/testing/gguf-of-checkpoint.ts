import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import type { GgufContent, GgufTensor, GgufValue } from './write-gguf.js';

type Config = Readonly<Record<string, unknown>> & {
  readonly model_type: string;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
};

/** What llama.cpp calls a family, and whether its converter turns the heads of queries and keys. */
const architectures: Readonly<Record<string, readonly [name: string, turns: boolean]>> = {
  llama: ['llama', true],
  mistral: ['llama', true],
  mixtral: ['llama', true],
  qwen2: ['qwen2', false],
  qwen2_moe: ['qwen2moe', false],
  qwen3: ['qwen3', false],
  qwen3_moe: ['qwen3moe', false],
};

/** Names of tensors, in pieces that are put in place of each other. */
const renamed: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\./, 'token_embd.'],
  [/^model\.norm\./, 'output_norm.'],
  [/^lm_head\./, 'output.'],
  [/^model\.layers\.(\d+)\./, 'blk.$1.'],
  [/input_layernorm/, 'attn_norm'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/self_attn\.([qk])_norm/, 'attn_$1_norm'],
  [/mlp\.shared_expert\.(gate|up|down)_proj/, 'ffn_$1_shexp'],
  [/mlp\.shared_expert_gate/, 'ffn_gate_inp_shexp'],
  [/mlp\.experts\.(\d+)\.(gate|up|down)_proj/, 'ffn_$2_exps.$1'],
  [/block_sparse_moe\.experts\.(\d+)\.w1/, 'ffn_gate_exps.$1'],
  [/block_sparse_moe\.experts\.(\d+)\.w2/, 'ffn_down_exps.$1'],
  [/block_sparse_moe\.experts\.(\d+)\.w3/, 'ffn_up_exps.$1'],
  [/(mlp|block_sparse_moe)\.gate\./, 'ffn_gate_inp.'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
];

/** As llama.cpp's converter does it: the two halves of a head are put beside each other, pair by pair. */
function turned(source: Float32Array, width: number, head: number): Float32Array {
  const target = new Float32Array(source.length);
  for (let start = 0; start < source.length; start += head * width) {
    for (let pair = 0; pair < head / 2; pair++) {
      for (const side of [0, 1]) {
        const from = start + (side * (head / 2) + pair) * width;
        target.set(source.subarray(from, from + width), start + (2 * pair + side) * width);
      }
    }
  }
  return target;
}

interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A tensor as a file stores it. */
export type Store = (name: string, values: Values) => Pick<GgufTensor, 'type' | 'data'>;

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const inFloat32: Store = (_, { data }) => ({ type: 0, data: bytesOf(data) });

/**
 * What llama.cpp's converter would write for a checkpoint in one safetensors file, with a vocabulary of single letters.
 * @param store how tensors of more than one dimension are stored, by their name in the checkpoint
 */
export async function ggufOf(dir: string, store: Store = inFloat32): Promise<GgufContent> {
  const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8')) as Config;
  const [architecture, turns] = architectures[config.model_type] as readonly [string, boolean];
  const headDim = Number(config.head_dim ?? config.hidden_size / config.num_attention_heads);
  const stored = new Map<string, Values>();
  const experts = new Map<string, { name: string; shape: readonly number[]; parts: Float32Array[] }>();
  const file = await SafetensorsFile.open(join(dir, 'model.safetensors'));
  for (const { name, shape } of file.tensors.values()) {
    const given = await file.read(name);
    const isTurned = turns && /[qk]_proj/.test(name);
    const data = isTurned ? turned(given, shape.length === 1 ? 1 : (shape[1] as number), headDim) : given;
    const other = renamed.reduce((text, [from, to]) => text.replace(from, to), name);
    const [, base, number] = /^(.*_exps)\.(\d+)\.weight$/.exec(other) ?? [];
    if (base === undefined) {
      stored.set(other, { shape: other.includes('inp_shexp') ? shape.slice(1) : shape, data });
      continue;
    }
    const all = experts.get(base) ?? { name, shape, parts: [] };
    all.parts[Number(number)] = data;
    experts.set(base, all);
  }
  await file.close();
  for (const [base, { shape, parts }] of experts) {
    const data = new Float32Array(parts.length * (parts[0] as Float32Array).length);
    for (const [index, part] of parts.entries()) data.set(part, index * part.length);
    stored.set(`${base}.weight`, { shape: [parts.length, ...shape], data });
  }
  const divisors = ropeDivisors(config, headDim);
  if (divisors !== undefined) stored.set('rope_freqs.weight', { shape: [divisors.length], data: divisors });
  const tensors = [...stored].map(([name, values]) => ({
    name,
    shape: values.shape,
    ...(values.shape.length > 1 ? store(name, values) : inFloat32(name, values)),
  }));
  return { metadata: { ...metadataOf(config, architecture, headDim), ...lettersVocabulary(config) }, tensors };
}

type Rope = Readonly<Record<string, number>> & { readonly rope_type?: string; readonly type?: string };

const ropeOf = (config: Config): Rope => (config.rope_scaling ?? {}) as Rope;
const kindOf = (rope: Rope): string | undefined => rope.rope_type ?? rope.type;

/** What LLaMA 3.1 divides frequencies by, computed in float32 as the converter has it. */
function ropeDivisors(config: Config, headDim: number): Float32Array | undefined {
  const rope = ropeOf(config);
  if (kindOf(rope) !== 'llama3') return undefined;
  const { factor = 1, low_freq_factor: low = 1, high_freq_factor: high = 1 } = rope;
  const context = rope.original_max_position_embeddings as number;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wave = (2 * Math.PI) / Number(config.rope_theta) ** (-(2 * i) / headDim);
    if (wave < context / high) return 1;
    if (wave > context / low) return factor;
    const smooth = (context / wave - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

function metadataOf(config: Config, architecture: string, headDim: number): Record<string, GgufValue> {
  const rope = ropeOf(config);
  const kind = kindOf(rope);
  const whole: Readonly<Record<string, string>> = {
    num_hidden_layers: 'block_count',
    max_position_embeddings: 'context_length',
    hidden_size: 'embedding_length',
    intermediate_size: 'feed_forward_length',
    num_attention_heads: 'attention.head_count',
    num_key_value_heads: 'attention.head_count_kv',
    num_experts: 'expert_count',
    num_local_experts: 'expert_count',
    num_experts_per_tok: 'expert_used_count',
    moe_intermediate_size: 'expert_feed_forward_length',
    ...(config.model_type === 'mistral' && { sliding_window: 'attention.sliding_window' }),
  };
  const numbers = Object.entries(whole).flatMap(([field, key]): [string, GgufValue][] =>
    typeof config[field] === 'number' ? [[key, config[field]]] : [],
  );
  const values: Record<string, GgufValue> = {
    ...Object.fromEntries(numbers),
    'attention.key_length': headDim,
    'attention.value_length': headDim,
    'rope.dimension_count': headDim,
    'attention.layer_norm_rms_epsilon': { f32: Number(config.rms_norm_eps ?? 1e-6) },
    'rope.freq_base': { f32: Number(config.rope_theta ?? (config.model_type === 'mixtral' ? 1_000_000 : 10_000)) },
    ...((kind === 'linear' || kind === 'yarn') && {
      'rope.scaling.type': kind,
      'rope.scaling.factor': { f32: rope.factor as number },
    }),
    ...(kind === 'yarn' && { 'rope.scaling.original_context_length': rope.original_max_position_embeddings as number }),
  };
  const named = Object.entries(values).map(([key, from]) => [`${architecture}.${key}`, from]);
  return { 'general.architecture': architecture, ...(Object.fromEntries(named) as Record<string, GgufValue>) };
}

function lettersVocabulary(config: Config): Record<string, GgufValue> {
  const size = Number(config.vocab_size);
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': Array.from({ length: size }, (_, id) =>
      id === size - 1 ? '\u0100\u0101' : String.fromCodePoint(0x100 + id),
    ),
    'tokenizer.ggml.token_type': new Array<number>(size).fill(1),
    'tokenizer.ggml.merges': ['\u0100 \u0101'],
    'tokenizer.ggml.eos_token_id': Number(config.eos_token_id),
    'tokenizer.ggml.bos_token_id': Number(config.bos_token_id ?? 1),
    'tokenizer.chat_template': '{{ messages[0].content }}',
  };
}
