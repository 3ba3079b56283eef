import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileCheckpoint } from '../compile-checkpoint.js';
import { ensureBundle } from '../ensure-bundle.js';
import { inspectCheckpoint } from '../inspect-checkpoint.js';
import { openFilesIn, tellsOpenFiles } from '../testing/open-files.js';
import { toyGguf } from '../testing/toy-gguf.js';
import { type GgufContent, type GgufTensor, type GgufValue, ggufBytes, writeGguf } from '../testing/write-gguf.js';
import { GgufCheckpoint } from './gguf-checkpoint.js';

let dir = '';
let path = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-gguf-'));
  path = join(dir, 'toy.gguf');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

/** The toy model with some tensors changed, or left out. */
function withTensors(change: (tensor: GgufTensor) => GgufTensor | undefined): GgufContent {
  const { metadata, tensors } = toyGguf();
  return { metadata, tensors: tensors.flatMap((tensor) => change(tensor) ?? []) };
}

const only =
  (name: string, change: Partial<GgufTensor>) =>
  (tensor: GgufTensor): GgufTensor =>
    tensor.name === name ? { ...tensor, ...change } : tensor;

test('inspected: what it is, with nothing missing and nothing left over', async () => {
  await writeGguf(path, toyGguf());
  expect(await inspectCheckpoint(path)).toMatchObject({
    modelType: 'llama',
    countedFrom: 'weights',
    compilable: true,
    parameters: 19_872,
    differences: [],
  });
});

test('compiled: named and keyed by the file, with its tokenizer, its ends of turns and its context', async () => {
  await writeGguf(path, toyGguf({ 'tokenizer.ggml.padding_token_id': 1 }));
  const cache = join(dir, 'cache');
  const first = await ensureBundle(path, cache, { weights: 'auto' });
  const bundle = JSON.parse(await readFile(join(first.dir, 'bundle.json'), 'utf8')) as Record<string, unknown>;
  expect(bundle).toMatchObject({
    name: 'toy',
    weights: 'int8',
    llm: { layers: 2, heads: 4, kvHeads: 2, headDim: 8, maxPositions: 64, vocabSize: 40, eosTokenIds: [0] },
    generation: { padTokenId: 1, doSample: false },
  });
  const config = JSON.parse(await readFile(join(first.dir, 'tokenizer_config.json'), 'utf8')) as unknown;
  expect(config).toMatchObject({ chat_template: '{{ messages[0].content }}', eos_token: '<|end|>', pad_token: 'A' });
  const elsewhere = join(dir, 'elsewhere');
  await mkdir(elsewhere);
  await writeFile(join(elsewhere, 'toy.gguf'), await readFile(path));
  expect(await ensureBundle(join(elsewhere, 'toy.gguf'), cache, { weights: 'int8' })).toEqual({
    ...first,
    compiled: false,
  });
  await writeGguf(path, toyGguf());
  expect(await ensureBundle(path, cache, { weights: 'auto' })).toMatchObject({ compiled: true });
});

describe('a model in several files', () => {
  const part = (index: number, count = 2): string => join(dir, `toy-0000${index}-of-0000${count}.gguf`);

  async function write(tensorsOfFirst: number, counts = 2): Promise<void> {
    const { metadata, tensors } = toyGguf();
    await writeGguf(part(1), {
      metadata: { ...metadata, 'split.no': 0, 'split.count': counts },
      tensors: tensors.slice(0, tensorsOfFirst),
    });
    await writeGguf(part(2), {
      metadata: { 'split.no': 1, 'split.count': counts },
      tensors: tensors.slice(tensorsOfFirst),
    });
  }

  test('is the same as in one, whichever is named', async () => {
    await writeGguf(path, toyGguf());
    const whole = await compileCheckpoint(path, join(dir, 'whole'), { weights: 'int8' });
    await write(7);
    for (const index of [1, 2]) {
      const cut = await compileCheckpoint(part(index), join(dir, `cut${index}`), { weights: 'int8' });
      expect(cut).toMatchObject({ name: 'toy', files: whole.files });
      expect(cut.revision).not.toBe(whole.revision);
    }
  });

  const copyTo = async (from: string, to: string): Promise<void> => writeFile(to, await readFile(from));

  test.each<[string, number, () => Promise<void>, () => string, RegExp]>([
    ['one that is missing', 2, () => rm(part(2)), () => part(1), /toy-00002-of-00002.gguf: ENOENT/],
    ['another count', 3, async () => {}, () => part(1), /split.count is 3, but by its name it is one of 2/],
    [
      'a file that was not cut',
      2,
      async () => writeGguf(part(1), toyGguf()),
      () => part(1),
      /toy-00001-of-00002.gguf: split.count is 1, but by its name it is one of 2$/,
    ],
    [
      'another name',
      2,
      () => copyTo(part(1), path),
      () => path,
      /toy.gguf: split.count is 2, but by its name it is one of 1: they must lie beside each other, named \.\.\.-00001-of-00002\.gguf$/,
    ],
    [
      'the wrong order',
      2,
      () => copyTo(part(1), part(2)),
      () => part(1),
      /00002-of-00002.gguf: split.no is 0, but by its name it is 1/,
    ],
  ])('is refused where there is %s', async (_, counts, prepare, opened, message) => {
    await write(7, counts);
    await prepare();
    await expect(GgufCheckpoint.open(opened())).rejects.toThrow(message);
    if (tellsOpenFiles) expect(openFilesIn(dir)).toEqual([]);
  });
});

const names = 'tokenizer.ggml';

test.each<[Record<string, GgufValue | undefined>, RegExp]>([
  [{ 'general.architecture': undefined }, /general.architecture is missing/],
  [
    { 'general.architecture': 'gemma3' },
    /general.architecture is gemma3; known are internlm2, llama, qwen2, .*qwen3moe/,
  ],
  [{ 'general.architecture': 5 }, /general.architecture is not a text/],
  [{ 'llama.block_count': undefined }, /llama.block_count is missing/],
  [{ 'llama.block_count': 5000 }, /llama.block_count is 5000; at most 4096/],
  [{ 'llama.embedding_length': 64 }, /llama.embedding_length is 64, but token_embd.weight has 32 columns/],
  [{ 'llama.attention.head_count': 3 }, /toy.gguf: what it says would be a config.json.*head/],
  [{ 'llama.attention.head_count': [4, 2] }, /llama.attention.head_count differs from layer to layer/],
  [{ 'llama.attention.head_count_kv': 3 }, /toy.gguf: what it says would be a config.json.*num_key_value_heads/],
  [{ 'llama.attention.key_length': 16 }, /llama.attention.value_length|blk.0.attn_q.weight has 32 rows/],
  [{ 'llama.attention.value_length': 16 }, /llama.attention.value_length is 16, but keys have 8/],
  [{ 'llama.rope.dimension_count': 4 }, /llama.rope.dimension_count is 4: positions in a part of a head/],
  [{ 'llama.rope.scaling.type': 'longrope', 'llama.rope.scaling.factor': 4 }, /scaling.type is longrope.*none, linear/],
  [{ 'llama.logit_scale': { f32: 0.5 } }, /llama.logit_scale is 0.5, which is not supported/],
  [{ 'llama.attention.clamp_kqv': { f32: 8 } }, /llama.attention.clamp_kqv is 8, which is not supported/],
  [{ [`${names}.model`]: undefined }, /tokenizer.ggml.model is missing/],
  [{ [`${names}.model`]: 'rwkv' }, /tokenizer.ggml.model is rwkv, which is not supported/],
  [{ [`${names}.pre`]: undefined }, /tokenizer.ggml.pre is missing: how text is cut into words is not known/],
  [{ [`${names}.pre`]: 'constructor' }, /tokenizer.ggml.pre is constructor, which is not supported/],
  [{ [`${names}.pre`]: 'default' }, /tokenizer.ggml.pre is default, which is not supported; known are .*qwen2/],
  [{ [`${names}.merges`]: undefined }, /tokenizer.ggml.merges is missing/],
  [{ [`${names}.tokens`]: [1, 2] }, /tokenizer.ggml.tokens is not a list of texts/],
  [{ [`${names}.tokens`]: new Array(41).fill('a') }, /tokenizer.ggml.tokens has 41 tokens, but .* has 40 rows/],
  [{ [`${names}.tokens`]: new Array(40).fill('a') }, /tokenizer.ggml.tokens has "a" twice, as 0 and 1/],
  [{ [`${names}.token_type`]: [1] }, /tokenizer.ggml.token_type has 1 entries for 40 tokens/],
  [{ [`${names}.eos_token_id`]: 40 }, /tokenizer.ggml.eos_token_id is 40, but there are 40 tokens/],
])('%o is refused', async (changes, message) => {
  await writeGguf(path, toyGguf(changes));
  const opened = GgufCheckpoint.open(path);
  await expect(opened).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) });
  await expect(opened).rejects.toThrow(path);
  if (tellsOpenFiles) expect(openFilesIn(dir)).toEqual([]);
});

/** The toy's config, with what each frequency of positions is divided by. */
async function configWith(divisors: readonly number[], changes: Record<string, GgufValue> = {}): Promise<unknown> {
  const { metadata, tensors } = toyGguf(changes);
  const data = new Uint8Array(Float32Array.from(divisors).buffer);
  const stored = { name: 'rope_freqs.weight', type: 0, shape: [divisors.length], data };
  await writeGguf(path, { metadata, tensors: [...tensors, stored] });
  const checkpoint = await GgufCheckpoint.open(path);
  await checkpoint.close();
  return checkpoint.json('config.json');
}

test('divisors of frequencies are those of the rule of LLaMA 3.1, or stretch nothing', async () => {
  expect(await configWith([1, 1, 1, 1])).not.toHaveProperty('rope_scaling');
  // Of 1024 positions the third frequency, 0.01, turns 1.63 times: it is stretched by a part.
  const smooth = ((1024 * 0.01) / (2 * Math.PI) - 1) / 3;
  const rule = { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4, factor: 8 };
  expect(await configWith([1, 1, 1 / ((1 - smooth) / 8 + smooth), 8])).toMatchObject({
    rope_scaling: { ...rule, original_max_position_embeddings: 1024 },
  });
  expect(await configWith([1, 1, 1, 8])).toMatchObject({
    rope_scaling: { ...rule, original_max_position_embeddings: 4096 },
  });
  await expect(configWith([1, 2, 1, 8])).rejects.toThrow(/rope_freqs.weight has not the frequencies of LLaMA 3.1/);
  await expect(configWith([1, 1, 8])).rejects.toThrow(/rope_freqs.weight has 3 values, not 4/);
  const linear = { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': { f32: 2 } };
  await expect(configWith([1, 1, 1, 8], linear)).rejects.toThrow(/scaling.type is linear, .* beside rope_freqs.weight/);
});

test('a window as wide as the context is none; a narrower one is refused where no layers are named for it', async () => {
  const { metadata, tensors } = toyGguf();
  const qwen2 = Object.entries(metadata).map(([key, value]) => [key.replace(/^llama\./, 'qwen2.'), value]);
  const open = async (window: number): Promise<void> => {
    const changes = { 'general.architecture': 'qwen2', 'qwen2.attention.sliding_window': window };
    await writeGguf(path, { metadata: { ...Object.fromEntries(qwen2), ...changes }, tensors });
    await (await GgufCheckpoint.open(path)).close();
  };
  for (const window of [0, 64, 4096]) await open(window);
  for (const window of [1, 63]) {
    await expect(open(window)).rejects.toThrow(
      `qwen2.attention.sliding_window is ${window}: windows are not supported in models of type qwen2`,
    );
  }
});

const embedding = (type: number, blockBytes: number): Partial<GgufTensor> => ({
  type,
  data: new Uint8Array(40 * blockBytes),
});
const nan = Buffer.from([0x00, 0x7e]);
const infinite = Buffer.from([0x00, 0x7c]);

test.each<[string, GgufContent, RegExp]>([
  [
    'a tensor is missing',
    withTensors((one) => (one.name === 'blk.1.ffn_up.weight' ? undefined : one)),
    /has no tensor for model.layers.1.mlp.up_proj.weight/,
  ],
  [
    'the embedding is missing',
    withTensors((one) => (one.name === 'token_embd.weight' ? undefined : one)),
    /token_embd.weight is missing/,
  ],
  [
    'a tensor is not known',
    withTensors(only('blk.0.attn_norm.weight', { name: 'blk.0.attn_sinks.weight' })),
    /blk.0.attn_sinks.weight of shape \[32\] is no tensor that models of llama with 2 layers and 0 experts/,
  ],
  [
    'queries alone have a bias',
    {
      ...toyGguf(),
      tensors: [...toyGguf().tensors, { name: 'blk.0.attn_q.bias', type: 0, shape: [32], data: Buffer.alloc(128) }],
    },
    /blk.0.attn_k.bias is missing, but blk.0.attn_q.bias is there: models of type llama have both or none/,
  ],
  [
    'all that goes into attention has biases, and what comes out has none',
    {
      ...toyGguf(),
      tensors: [
        ...toyGguf().tensors,
        ...['q', 'k', 'v'].map((layer) => {
          const size = layer === 'q' ? 32 : 16;
          return { name: `blk.0.attn_${layer}.bias`, type: 0, shape: [size], data: Buffer.alloc(4 * size) };
        }),
      ],
    },
    /blk.0.attn_output.bias is missing, but blk.0.attn_q.bias is there: models of type llama have both or none/,
  ],
  [
    'a shape is another',
    withTensors(only('blk.1.ffn_up.weight', { shape: [32, 64] })),
    /blk.1.ffn_up.weight is of shape \[32, 64\], but .* asks for \[64, 32\]/,
  ],
  [
    'a type is not read',
    withTensors(only('token_embd.weight', embedding(20, 18))),
    /token_embd.weight is IQ4_NL; F32, F16, BF16, .* are read/,
  ],
  [
    'a scale is no number',
    withTensors(only('blk.0.attn_q.weight', { data: Buffer.concat([nan, Buffer.alloc(18 * 32 - 2)]) })),
    /toy.gguf: blk.0.attn_q.weight has a value or a scale of NaN/,
  ],
  [
    'a scale is infinite',
    withTensors(only('blk.1.attn_v.weight', { data: Buffer.concat([infinite, Buffer.alloc(24 * 16 - 2, 1)]) })),
    /toy.gguf: blk.1.attn_v.weight has a value or a scale of (Infinity|NaN)/,
  ],
])('%s: an error, and no bundle nor a part of one', async (_, content, message) => {
  await writeGguf(path, content);
  for (const weights of ['float32', 'int4'] as const) {
    const compiled = compileCheckpoint(path, join(dir, 'out'), { weights });
    await expect(compiled).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(message),
    });
    await expect(compiled).rejects.toThrow(path);
  }
  expect(await readdir(dir)).toEqual(['toy.gguf']);
  if (tellsOpenFiles) expect(openFilesIn(dir)).toEqual([]);
});

/** The toy model, and tensors of one value each beside it. */
const beside = (shape: readonly number[], ...names: readonly string[]): GgufContent => {
  const { metadata, tensors } = toyGguf({ 'llama.expert_count': 2, 'llama.expert_used_count': 1 });
  const data = Buffer.alloc(4 * shape.reduce((product, size) => product * size, 1));
  return { metadata, tensors: [...tensors, ...names.map((name) => ({ name, type: 0, shape, data }))] };
};

test.each<[string, GgufContent, RegExp]>([
  [
    'experts without a byte',
    beside([4096, 0, 32], ...Array.from({ length: 400 }, (_, layer) => `blk.${layer}.ffn_gate_exps.weight`)),
    /blk.0.ffn_gate_exps.weight is of shape \[4096, 0, 32\]: a dimension of 0 holds nothing/,
  ],
  [
    'more experts than its metadata says',
    beside([4096, 1, 1], 'blk.0.ffn_gate_exps.weight'),
    /blk.0.ffn_gate_exps.weight of shape \[4096, 1, 1\] is no tensor .* with 2 layers and 2 experts/,
  ],
  [
    'an expert behind the last',
    beside([1, 1], 'blk.0.ffn_gate.2.weight'),
    /ffn_gate.2.weight of shape .* is no tensor/,
  ],
  ['a tensor of no layer that is not known', beside([1], 'token_types.weight'), /token_types.weight .* is no tensor/],
  ['an expert of no layer', beside([1], 'output_norm.0.weight'), /output_norm.0.weight of shape .* is no tensor/],
  ['a layer behind the last', beside([1], 'blk.2.attn_norm.weight'), /blk.2.attn_norm.weight of shape .* is no tensor/],
  ['a layer written another way', beside([1], 'blk.00.attn_norm.weight'), /blk.00.attn_norm.weight .* is no tensor/],
  [
    'an expert alone and among all',
    {
      ...beside([2, 1, 1], 'blk.0.ffn_gate_exps.weight'),
      tensors: [
        ...beside([2, 1, 1], 'blk.0.ffn_gate_exps.weight').tensors,
        { name: 'blk.0.ffn_gate.0.weight', type: 0, shape: [1, 1], data: Buffer.alloc(4) },
      ],
    },
    /blk.0.ffn_gate.0.weight and blk.0.ffn_gate_exps.weight are both model.layers.0.block_sparse_moe.experts.0.w1.weight/,
  ],
])('%s: refused by name', async (_, content, message) => {
  await writeGguf(path, content);
  const opened = GgufCheckpoint.open(path);
  await expect(opened).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) });
  await expect(opened).rejects.toThrow(path);
});

test('a file that is none, and a path where there is none', async () => {
  await writeFile(path, 'words');
  await expect(inspectCheckpoint(path)).rejects.toThrow(/toy.gguf: is no GGUF file/);
  await rm(path);
  await expect(inspectCheckpoint(path)).rejects.toThrow(/toy.gguf: is no file that can be read/);
});

test.each<[string, number, number, string]>([
  ['Q4_0', 2, 18, 'int4'],
  ['Q8_0', 8, 34, 'int8'],
  ['Q5_1', 7, 24, 'int8'],
  ['F16', 1, 64, 'float16'],
  ['F32', 0, 128, 'float32'],
])('weights of %s alone', async (_, type, rowBytes, weights) => {
  const content = withTensors((one) => {
    const [rows, columns] = one.shape as [number, number];
    if (!/^blk.*(attn|ffn)_(q|k|v|output|gate|up|down)\./.test(one.name)) return one;
    return { ...one, type, data: new Uint8Array((rows * columns * rowBytes) / 32) };
  });
  await writeFile(path, ggufBytes(content));
  expect(await compileCheckpoint(path, join(dir, 'out'), { weights: 'auto' })).toMatchObject({ weights });
});
