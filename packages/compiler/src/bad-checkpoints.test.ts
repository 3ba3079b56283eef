import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SafetensorsFile } from './checkpoint/safetensors.js';
import { compileCheckpoint } from './compile-checkpoint.js';
import { inspectCheckpoint } from './inspect-checkpoint.js';
import { copyCheckpoint } from './testing/conformance.js';
import { ones, type TensorContent, writeSafetensors } from './testing/write-safetensors.js';

type Tensors = Record<string, TensorContent>;

let root = '';
let next = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tessera-bad-'));
});

afterAll(() => rm(root, { recursive: true, force: true }));

/** A toy model of test/conformance with other tensors or another config. */
async function changed(
  name: string,
  { config = {}, change = () => {} }: { config?: object; change?: (tensors: Tensors) => void },
): Promise<string> {
  const dir = copyCheckpoint(name, join(root, String(next++)));
  const file = join(dir, 'config.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...config }));
  const path = join(dir, 'model.safetensors');
  const stored = await SafetensorsFile.open(path);
  const tensors: Tensors = {};
  for (const { name: tensor, shape } of stored.tensors.values()) {
    tensors[tensor] = { dtype: 'F32', shape, data: new Uint8Array((await stored.read(tensor)).buffer) };
  }
  await stored.close();
  change(tensors);
  await writeSafetensors(path, tensors);
  return dir;
}

const compiled = (dir: string) => compileCheckpoint(dir, join(dir, '..', 'bundle'), { weights: 'float32' });

const without =
  (name: string) =>
  (tensors: Tensors): void => {
    delete tensors[name];
  };
const withTensor =
  (name: string, tensor: TensorContent) =>
  (tensors: Tensors): void => {
    tensors[name] = tensor;
  };

const gate = 'model.layers.1.block_sparse_moe.gate.weight';
const wqkv = 'model.layers.2.attention.wqkv.weight';
const sharedGate = 'model.layers.1.mlp.shared_expert_gate.weight';

test.each<[string, string, Parameters<typeof changed>[1], RegExp]>([
  [
    'a tensor that is missing',
    'mixtral-top-2',
    { change: without(gate) },
    /mixtral-top-2: no file has the tensor model\.layers\.1\.block_sparse_moe\.gate\.weight/,
  ],
  [
    'a tensor of another shape',
    'internlm2-groups-dynamic',
    { change: withTensor(wqkv, ones(96, 48)) },
    /model.safetensors: model\.layers\.2\.attention\.wqkv\.weight is of shape \[96, 48\], but config.json asks for \[80, 48\]/,
  ],
  [
    'a bias that the config does not know',
    'qwen2-moe-layer-types',
    { change: withTensor('model.layers.0.self_attn.q_proj.bias', ones(64)) },
    /model.safetensors: model\.layers\.0\.self_attn\.q_proj\.bias is no tensor of what config.json describes: it would/,
  ],
  [
    'a config of fewer layers than there are',
    'internlm3-biases',
    { config: { num_hidden_layers: 1 } },
    /model.safetensors: model\.layers\.1\.\S+ is no tensor of what config.json describes \(nor are 12 more\)/,
  ],
  [
    'a config of more layers than there are',
    'internlm3-biases',
    { config: { num_hidden_layers: 3 } },
    /internlm3-biases: no file has the tensor model\.layers\.2\./,
  ],
  [
    'a config of other experts than there are',
    'mixtral-top-2',
    { config: { num_local_experts: 6 } },
    /model.safetensors: model\.layers\.0\.block_sparse_moe\.gate\.weight is of shape \[5, 64\], but .* \[6, 64\]/,
  ],
  [
    'a gate of an expert of all rows that is none',
    'qwen2-moe',
    { change: withTensor(sharedGate, ones(2, 64)) },
    /model.safetensors: \S+shared_expert_gate\.weight is of shape \[2, 64\], but config.json asks for \[1, 64\]/,
  ],
  [
    'experts in one tensor',
    'qwen3-moe-window',
    { change: withTensor('model.layers.1.mlp.experts.gate_up_proj', ones(5, 48, 64)) },
    /model\.layers\.1\.mlp\.experts\.gate_up_proj is no tensor .*; experts are read one by one/,
  ],
  [
    'a head of its own where none is tied, twice',
    'internlm3-dynamic',
    { change: withTensor('output.weight', ones(101, 64)) },
    /model.safetensors: output\.weight is no tensor of what config.json describes/,
  ],
  [
    'a model that nobody knows',
    'mixtral-top-2',
    { config: { model_type: 'mixtral2' } },
    /config.json.model_type is mixtral2; known are internlm2, internlm3, llama, mistral, mixtral, qwen, qwen2, qwen2_moe,/,
  ],
])('%s: refused by the names of file and tensor, and nothing is left behind', async (_, name, what, message) => {
  const dir = await changed(name, what);
  await expect(compiled(dir)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(message),
  });
  expect(await readdir(join(dir, '..'))).toEqual([name]);
});

test('a weight beyond float16 is named with its file', async () => {
  const name = 'model.layers.1.self_attn.o_proj.weight';
  const large = (tensors: Tensors): void => {
    const { data } = tensors[name] as TensorContent;
    new DataView(data.buffer, data.byteOffset).setFloat32(8, 70_000, true);
  };
  const dir = await changed('llama-mha', { change: large });
  await expect(compileCheckpoint(dir, join(dir, '..', 'bundle'), { weights: 'float16' })).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: `${join(dir, 'model.safetensors')}: ${name} has 70000, and float16 ends at 65504; compile the model with other weights`,
  });
});

test('buffers that say nothing are let be: angles, integers, a head that is tied to the embedding', async () => {
  const buffers: Tensors = {
    'model.layers.0.self_attn.rotary_emb.inv_freq': ones(12),
    'model.layers.1.attention.rope.inv_freq': ones(12),
    'model.embeddings.position_ids': { dtype: 'I64', shape: [1], data: new Uint8Array(8) },
    'lm_head.weight': ones(101, 64),
  };
  const dir = await changed('mixtral-top-2', { change: (tensors) => Object.assign(tensors, buffers) });
  expect((await inspectCheckpoint(dir)).differences).toEqual([]);
  expect((await compiled(dir)).parameters.llm).toBe((await inspectCheckpoint(dir)).parameters);
});

test('what an index does not name is not the model’s, such as the same weights under other names', async () => {
  const dir = await changed('internlm3-dynamic', {});
  await writeSafetensors(join(dir, 'consolidated.safetensors'), { 'layers.0.attention.wq.weight': ones(2, 2) });
  await expect(compiled(dir)).rejects.toThrow(/consolidated.safetensors: layers.0.attention.wq.weight is no tensor/);
  const stored = await SafetensorsFile.open(join(dir, 'model.safetensors'));
  const weight_map = Object.fromEntries([...stored.tensors.keys()].map((name) => [name, 'model.safetensors']));
  await stored.close();
  await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
  expect((await compiled(dir)).parameters.llm).toBeGreaterThan(0);
});
