import { open } from 'node:fs/promises';
import { elementCount } from '@tessera/protocol';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { smolLm2, tensorsOf } from './shape.js';

/** How GGUF calls its types of tensors, and those of values in its header. */
const tensorTypes = { F32: 0, Q4_0: 2, Q8_0: 8 } as const;
const fileTypes = { Q4_0: 2, Q8_0: 7 } as const;
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

export type GgufWeights = keyof typeof fileTypes;

/** Bytes of a block of 32: a float16 scale, then 4 or 8 bits a weight. */
const blockBytes = { Q4_0: 18, Q8_0: 34 } as const;
/** Float16 bits of scales that give weights of the size that the checkpoint's have: about 0.01 and 0.0006. */
const scaleBits = { Q4_0: 0x211f, Q8_0: 0x10ea } as const;
const alignment = 32;

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const uint64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const float32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
};

type Entry = readonly [key: string, type: keyof typeof valueTypes, value: Buffer];
const arrayOf = (type: keyof typeof valueTypes, items: readonly Buffer[]): Buffer =>
  Buffer.concat([uint32(valueTypes[type]), uint64(items.length), ...items]);

/** A vocabulary that llama.cpp and the compiler take: the 256 letters of byte-level BPE, what they merge to, then words that no text has. */
function vocabulary(): Entry[] {
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let hidden = 0;
  const letters = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : 256 + hidden++),
  );
  const words = Array.from({ length: smolLm2.vocab_size - 259 }, (_, i) => `word${i}`);
  const tokens = ['<|endoftext|>', ...letters, 'th', 'in', ...words];
  return [
    ['tokenizer.ggml.model', 'string', text('gpt2')],
    ['tokenizer.ggml.pre', 'string', text('gpt-2')],
    ['tokenizer.ggml.tokens', 'array', arrayOf('string', tokens.map(text))],
    [
      'tokenizer.ggml.token_type',
      'array',
      arrayOf(
        'int32',
        tokens.map((_, i) => uint32(i === 0 ? 3 : 1)),
      ),
    ],
    ['tokenizer.ggml.merges', 'array', arrayOf('string', ['t h', 'i n'].map(text))],
    ['tokenizer.ggml.bos_token_id', 'uint32', uint32(0)],
    ['tokenizer.ggml.eos_token_id', 'uint32', uint32(0)],
    ['tokenizer.ggml.add_bos_token', 'bool', Buffer.from([0])],
  ];
}

function metadata(weights: GgufWeights): Entry[] {
  const number = (key: string, value: number): Entry => [`llama.${key}`, 'uint32', uint32(value)];
  return [
    ['general.architecture', 'string', text('llama')],
    ['general.name', 'string', text('random')],
    ['general.file_type', 'uint32', uint32(fileTypes[weights])],
    number('context_length', smolLm2.max_position_embeddings),
    number('embedding_length', smolLm2.hidden_size),
    number('block_count', smolLm2.num_hidden_layers),
    number('feed_forward_length', smolLm2.intermediate_size),
    number('rope.dimension_count', smolLm2.hidden_size / smolLm2.num_attention_heads),
    number('attention.head_count', smolLm2.num_attention_heads),
    number('attention.head_count_kv', smolLm2.num_key_value_heads),
    number('vocab_size', smolLm2.vocab_size),
    ['llama.attention.layer_norm_rms_epsilon', 'float32', float32(smolLm2.rms_norm_eps)],
    ['llama.rope.freq_base', 'float32', float32(smolLm2.rope_theta)],
    ...vocabulary(),
  ];
}

function norm(count: number): Buffer {
  return Buffer.from(new Float32Array(count).fill(1).buffer);
}

function blocks(count: number, weights: GgufWeights, random: () => number): Buffer {
  const size = blockBytes[weights];
  const words = new Uint32Array(Math.ceil((count / 32) * (size / 4)));
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32;
  const bytes = Buffer.from(words.buffer, 0, (count / 32) * size);
  for (let at = 0; at < bytes.length; at += size) bytes.writeUInt16LE(scaleBits[weights], at);
  return bytes;
}

const padding = (bytes: number): Buffer => Buffer.alloc((alignment - (bytes % alignment)) % alignment);

/**
 * Writes a GGUF file of SmolLM2's shape with random blocks, for what reads no other file. They are not the weights of
 * `writeCheckpoint`: what a step costs depends on shapes and formats alone. The embedding, which is the head too, has 8 bits.
 */
export async function writeGguf(path: string, weights: GgufWeights): Promise<void> {
  const tensors = tensorsOf(smolLm2).map(({ ggufName, shape }) => {
    // A tied head never has less than 8 bits, as in a bundle.
    const finer = ggufName === 'token_embd.weight' ? 'Q8_0' : weights;
    const type = shape.length === 1 ? 'F32' : finer;
    const count = elementCount(shape);
    return {
      ggufName,
      shape,
      type,
      count,
      bytes: type === 'F32' ? 4 * count : (count / 32) * blockBytes[type],
    } as const;
  });
  let offset = 0;
  const infos = tensors.map(({ ggufName, shape, type, bytes }) => {
    const at = offset;
    offset += bytes + padding(bytes).length;
    const sizes = [uint32(shape.length), ...[...shape].reverse().map(uint64)];
    return Buffer.concat([text(ggufName), ...sizes, uint32(tensorTypes[type]), uint64(at)]);
  });
  const entries = metadata(weights);
  const header = Buffer.concat([
    ...[Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(entries.length)],
    ...entries.flatMap(([key, type, value]) => [text(key), uint32(valueTypes[type]), value]),
    ...infos,
  ]);
  const random = seededRandom(135);
  const file = await open(path, 'w');
  try {
    await file.writeFile(header);
    await file.writeFile(padding(header.length));
    for (const { type, count, bytes } of tensors) {
      await file.writeFile(type === 'F32' ? norm(count) : blocks(count, type, random));
      await file.writeFile(padding(bytes));
    }
  } finally {
    await file.close();
  }
}
