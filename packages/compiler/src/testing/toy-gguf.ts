import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import type { GgufContent, GgufTensor, GgufValue } from './write-gguf.js';

/** Types as ggml numbers them: values and bytes of a block, and where its float16 scales are. */
const types = {
  F32: { id: 0, values: 1, bytes: 4, scales: [] },
  F16: { id: 1, values: 1, bytes: 2, scales: [0] },
  Q4_0: { id: 2, values: 32, bytes: 18, scales: [0] },
  Q4_1: { id: 3, values: 32, bytes: 20, scales: [0, 2] },
  Q5_1: { id: 7, values: 32, bytes: 24, scales: [0, 2] },
  Q8_0: { id: 8, values: 32, bytes: 34, scales: [0] },
} as const;

type TypeName = keyof typeof types;

/** 2^-6, as float16. */
const scale = 0x2400;

/** A LLaMA of two layers with weights of several types, whose bits are random. */
export function toyGguf(changes: Readonly<Record<string, GgufValue | undefined>> = {}, vocab = 40): GgufContent {
  const random = seededRandom(7);
  const tensor = (name: string, type: TypeName, ...shape: number[]): GgufTensor => {
    const { id, values, bytes, scales } = types[type];
    const blocks = shape.reduce((product, size) => product * size, 1) / values;
    const data = Buffer.from(Array.from({ length: blocks * bytes }, () => Math.floor(random() * 256)));
    for (let block = 0; block < blocks; block++) {
      for (const at of scales) data.writeUInt16LE(scale, block * bytes + at);
      if (type === 'F32') data.writeFloatLE(random(), block * bytes);
    }
    return { name, type: id, shape, data };
  };
  const [width, kvWidth, inner] = [32, 16, 64];
  const layer = (index: number, type: TypeName): GgufTensor[] => [
    tensor(`blk.${index}.attn_norm.weight`, 'F32', width),
    tensor(`blk.${index}.attn_q.weight`, type, width, width),
    tensor(`blk.${index}.attn_k.weight`, type, kvWidth, width),
    tensor(`blk.${index}.attn_v.weight`, 'Q5_1', kvWidth, width),
    tensor(`blk.${index}.attn_output.weight`, type, width, width),
    tensor(`blk.${index}.ffn_norm.weight`, 'F32', width),
    tensor(`blk.${index}.ffn_gate.weight`, type, inner, width),
    tensor(`blk.${index}.ffn_up.weight`, type, inner, width),
    tensor(`blk.${index}.ffn_down.weight`, 'F16', width, inner),
  ];
  const metadata: Record<string, GgufValue | undefined> = {
    'general.architecture': 'llama',
    'llama.block_count': 2,
    'llama.context_length': 64,
    'llama.embedding_length': width,
    'llama.feed_forward_length': inner,
    'llama.attention.head_count': 4,
    'llama.attention.head_count_kv': 2,
    'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
    'llama.rope.freq_base': { f32: 10_000 },
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': Array.from({ length: vocab }, (_, id) =>
      id === 0 ? '<|end|>' : id === 39 ? 'AB' : String.fromCharCode(64 + id),
    ),
    'tokenizer.ggml.token_type': Array.from({ length: vocab }, (_, id) => (id === 0 ? 3 : 1)),
    'tokenizer.ggml.merges': ['A B'],
    'tokenizer.ggml.eos_token_id': 0,
    'tokenizer.chat_template': '{{ messages[0].content }}',
    ...changes,
  };
  return {
    metadata: Object.fromEntries(
      Object.entries(metadata).filter(([, value]) => value !== undefined),
    ) as GgufContent['metadata'],
    tensors: [
      tensor('token_embd.weight', 'Q8_0', vocab, width),
      ...layer(0, 'Q4_0'),
      ...layer(1, 'Q4_1'),
      tensor('output_norm.weight', 'F32', width),
    ],
  };
}
