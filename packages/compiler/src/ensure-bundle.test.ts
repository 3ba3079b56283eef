import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { thisHost } from '@tessera/flow';
import { captureOutput } from '@tessera/testing/processes/capture-output';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compileCheckpoint } from './compile-checkpoint.js';
import { declaredParameters } from './count-parameters.js';
import { ensureBundle } from './ensure-bundle.js';
import { planModel } from './models/plan-model.js';
import { temporarySibling } from './temporary-sibling.js';
import { openFilesIn, tellsOpenFiles } from './testing/open-files.js';
import { ones, writeSafetensors } from './testing/write-safetensors.js';
import { writeSparseLlama } from './testing/write-sparse-llama.js';

let root = '';
let checkpoint = '';
let cache = '';

const config = {
  model_type: 'qwen3_moe',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  num_experts: 2,
  num_experts_per_tok: 1,
  moe_intermediate_size: 8,
  norm_topk_prob: true,
  rope_theta: 10000,
  mlp_only_layers: [0],
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
  max_position_embeddings: 64,
  eos_token_id: [3, 4],
};

/** A text-only model of the smallest size, in two files. */
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tessera-cache-'));
  checkpoint = join(root, 'tiny');
  cache = join(root, 'cache');
  await mkdir(checkpoint);
  await writeFile(join(checkpoint, 'config.json'), JSON.stringify(config));
  await writeFile(join(checkpoint, 'tokenizer.json'), JSON.stringify(toyTokenizer([{ id: 7, content: '<|tile|>' }])));
  await writeFile(join(checkpoint, 'tokenizer_config.json'), '{}');
  const tensors = [...declaredParameters(planModel(config), 'llm')].map(
    ([name, shape]) => [name, ones(...shape)] as const,
  );
  await writeSafetensors(join(checkpoint, 'model-00001-of-00002.safetensors'), Object.fromEntries(tensors.slice(0, 9)));
  await writeSafetensors(join(checkpoint, 'model-00002-of-00002.safetensors'), Object.fromEntries(tensors.slice(9)));
});

afterEach(() => rm(root, { recursive: true, force: true }));

const bundles = async (): Promise<string[]> => (await readdir(cache)).filter((name) => name !== 'digests.json');

test('compiled once, found after; other weights and other contents are other bundles', async () => {
  const first = await ensureBundle(checkpoint, cache, { weights: 'float32' });
  expect(first.compiled).toBe(true);
  expect(await ensureBundle(checkpoint, cache, { weights: 'float32' })).toEqual({ dir: first.dir, compiled: false });
  const { manifest } = await readBundle(first.dir);
  expect(manifest).toMatchObject({
    name: 'tiny',
    weights: 'float32',
    llm: { eosTokenIds: [3, 4], tokens: { tile: 7 } },
  });
  expect(first.dir).toContain(manifest.revision);
  const int8 = await ensureBundle(checkpoint, cache, { weights: 'int8' });
  expect(int8.compiled).toBe(true);
  await writeFile(join(checkpoint, 'generation_config.json'), '{"max_new_tokens": 5}');
  const changed = await ensureBundle(checkpoint, cache, { weights: 'float32' });
  expect(changed.compiled).toBe(true);
  expect((await readBundle(changed.dir)).manifest.generation.maxNewTokens).toBe(5);
  expect(await bundles()).toHaveLength(3);
  await cp(checkpoint, join(root, 'elsewhere', 'tiny'), { recursive: true });
  expect(await ensureBundle(join(root, 'elsewhere', 'tiny'), cache, { weights: 'int8' })).toMatchObject({
    compiled: true,
  });
});

test('digests are remembered by path, size and time, and a memo that is damaged is done again', async () => {
  const memo = join(cache, 'digests.json');
  const { dir } = await ensureBundle(checkpoint, cache, { weights: 'float32' });
  const path = join(checkpoint, 'model-00001-of-00002.safetensors');
  const entries = JSON.parse(await readFile(memo, 'utf8'));
  expect(entries[path].sha256).toMatch(/^[0-9a-f]{64}$/);
  // A digest that the memo makes up is believed: the file was not read again.
  await writeFile(memo, JSON.stringify({ ...entries, [path]: { ...entries[path], sha256: '0'.repeat(64) } }));
  expect((await ensureBundle(checkpoint, cache, { weights: 'float32' })).dir).not.toBe(dir);
  await utimes(path, new Date(), new Date(Date.now() + 5000));
  expect(await ensureBundle(checkpoint, cache, { weights: 'float32' })).toEqual({ dir, compiled: false });
  await writeFile(memo, 'not json');
  expect(await ensureBundle(checkpoint, cache, { weights: 'float32' })).toEqual({ dir, compiled: false });
});

test('two callers at once compile once', async () => {
  const results = await Promise.all([1, 2, 3].map(() => ensureBundle(checkpoint, cache, { weights: 'float32' })));
  expect(new Set(results.map(({ dir }) => dir)).size).toBe(1);
  expect(results.filter(({ compiled }) => compiled)).toHaveLength(1);
  expect(await bundles()).toHaveLength(1);
});

test('two processes at once compile once', async () => {
  const script = `
    const { ensureBundle } = await import('@tessera/compiler');
    const { compiled } = await ensureBundle(${JSON.stringify(checkpoint)}, ${JSON.stringify(cache)}, { weights: 'int8' });
    process.stdout.write(String(compiled));`;
  const said = await Promise.all(
    [1, 2].map(async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        cwd: import.meta.dirname,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      return (await captureOutput(child).ended).stdout;
    }),
  );
  expect(said.sort()).toEqual(['false', 'true']);
  expect(await bundles()).toHaveLength(1);
});

test('a damaged bundle is compiled again', async () => {
  const { dir } = await ensureBundle(checkpoint, cache, { weights: 'float32' });
  await truncate(join(dir, 'llm.onnx.data'), 10);
  expect(await ensureBundle(checkpoint, cache, { weights: 'float32' })).toEqual({ dir, compiled: true });
  await (await readBundle(dir)).verify();
});

test('what a killed process left behind is removed, and its lock broken; what a living one writes stays', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  const { dir } = await ensureBundle(checkpoint, cache, { weights: 'float32' });
  await rm(dir, { recursive: true });
  const dead = `${dir}.part-${thisHost}-${child.pid}-00000000`;
  const alive = temporarySibling(`${dir}-other`);
  await mkdir(dead);
  await mkdir(alive);
  await writeFile(`${dir}.lock`, `${thisHost} ${child.pid}`);
  expect(await ensureBundle(checkpoint, cache, { weights: 'float32' })).toEqual({ dir, compiled: true });
  expect((await bundles()).map((name) => join(cache, name)).sort()).toEqual([dir, alive].sort());
});

test('a killed process that had the id of this one, as in a container, or a living one long ago, is no living one', async () => {
  const { dir } = await ensureBundle(checkpoint, cache, { weights: 'float32' });
  await rm(dir, { recursive: true });
  const dead = `${dir}.part-${thisHost}-${process.pid}-00000000`;
  const old = `${dir}.part-${thisHost}-${process.ppid}-00000000`;
  const recent = `${dir}.part-${thisHost}-${process.ppid}-22222222`;
  const anothers = `${dir}.part-${thisHost}-${process.ppid}-11111111`;
  const notOurs = `${dir}.part-one-1-two`;
  // Around a day.
  const hoursAgo = (hours: number): Date => new Date(Date.now() - hours * 60 * 60 * 1000);
  const [longAgo, lately] = [hoursAgo(24.2), hoursAgo(23.8)];
  for (const each of [dead, old, recent, anothers, notOurs]) await mkdir(each);
  await writeFile(join(anothers, 'llm.onnx.data'), 'on its way');
  for (const each of [old, anothers, notOurs]) await utimes(each, longAgo, longAgo);
  await utimes(recent, lately, lately);
  await writeFile(`${dir}.lock`, `${thisHost} ${process.pid}`);
  expect(await ensureBundle(checkpoint, cache, { weights: 'float32' })).toEqual({ dir, compiled: true });
  expect((await bundles()).map((name) => join(cache, name)).sort()).toEqual([dir, recent, anothers, notOurs].sort());
});

test('compiling to a folder removes what killed processes left of it, and nothing of others', async () => {
  const out = join(root, 'bundle');
  const dead = `${out}.part-${thisHost}-${process.pid}-00000000`;
  const ofAnother = `${out}-2.part-${thisHost}-${process.pid}-00000000`;
  for (const each of [dead, ofAnother]) await mkdir(each);
  await compileCheckpoint(checkpoint, out, { weights: 'float32' });
  expect((await readdir(root)).map((name) => join(root, name)).sort()).toEqual([out, ofAnother, checkpoint].sort());
});

test('a process that is killed while it compiles leaves nothing that looks finished, and the next one compiles', async () => {
  // Large enough that there is a while between the first weights and the last.
  const large = join(root, 'large');
  await writeSparseLlama(large, { vocabulary: 16_384, hidden: 1024, inner: 64, layers: 1, tied: true });
  const script = `
    const { ensureBundle } = await import('@tessera/compiler');
    await ensureBundle(${JSON.stringify(large)}, ${JSON.stringify(cache)}, {
      weights: 'int4',
      onProgress: () => process.kill(process.pid, 'SIGKILL'),
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname });
  await once(child, 'exit');
  expect(child.signalCode).toBe('SIGKILL');
  const left = await bundles();
  expect(left.toSorted()).toEqual([expect.stringMatching(/\.lock$/), expect.stringMatching(/\.part-/)]);
  const { dir, compiled } = await ensureBundle(large, cache, { weights: 'int4' });
  expect(compiled).toBe(true);
  await (await readBundle(dir)).verify();
  expect((await bundles()).map((name) => join(cache, name))).toEqual([dir]);
});

test('a cancelled compilation leaves nothing', async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  const onProgress = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }): void => {
    seen.push(doneBytes / totalBytes);
    controller.abort();
  };
  const options = { weights: 'float32', onProgress, signal: controller.signal } as const;
  await expect(ensureBundle(checkpoint, cache, options)).rejects.toThrow(/abort/i);
  expect(seen).toHaveLength(1);
  expect(await bundles()).toEqual([]);
  const progress: number[] = [];
  await ensureBundle(checkpoint, cache, {
    weights: 'float32',
    onProgress: (one) => progress.push(one.doneBytes / one.totalBytes),
  });
  expect(progress.at(-1)).toBe(1);
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  ['no such folder', () => rm(checkpoint, { recursive: true }), /config.json: is missing/],
  ['a missing shard', () => rm(join(checkpoint, 'model-00002-of-00002.safetensors')), /no file has the tensor/],
  ['a shard cut short', () => truncate(join(checkpoint, 'model-00001-of-00002.safetensors'), 500), /00001-of-00002/],
  [
    'no tokenizer',
    () => rm(join(checkpoint, 'tokenizer.json')),
    /tokenizer.json: is missing, and so is tokenizer.model/,
  ],
  [
    'the tokenizer of a model with more words',
    () => writeFile(join(checkpoint, 'tokenizer.json'), JSON.stringify(toyTokenizer([{ id: 32, content: '<x>' }]))),
    /tokenizer.json: the token "<x>" has the id 32, but config.json's vocab_size is 32; it is the vocabulary of another/,
  ],
  [
    'a config that asks for other shapes',
    () => writeFile(join(checkpoint, 'config.json'), JSON.stringify({ ...config, vocab_size: 33 })),
    /embed_tokens.weight is of shape \[32, 16\], but/,
  ],
  [
    'an index that the files do not follow',
    () =>
      writeFile(
        join(checkpoint, 'model.safetensors.index.json'),
        '{"weight_map":{"lm_head.weight":"model-00003-of-00003.safetensors"}}',
      ),
    /model-00003-of-00003.safetensors: lm_head.weight is missing/,
  ],
  ...['../tiny/model-00002-of-00002.safetensors', '/etc/passwd', './model-00002-of-00002.safetensors', 7].map(
    (place): [string, () => Promise<unknown>, RegExp] => [
      `an index that names ${place}`,
      () =>
        writeFile(
          join(checkpoint, 'model.safetensors.index.json'),
          JSON.stringify({ weight_map: { 'lm_head.weight': place } }),
        ),
      /index.json: says that lm_head.weight is in .*, which is no name of a file beside it/,
    ],
  ),
  [
    'a tensor that is in two files',
    () => writeSafetensors(join(checkpoint, 'more.safetensors'), { 'model.norm.weight': ones(16) }),
    /more.safetensors: model.norm.weight is in .*00002.safetensors too/,
  ],
  [
    'a weight that is no number',
    async () => {
      const path = join(checkpoint, 'model-00002-of-00002.safetensors');
      const bytes = await readFile(path);
      bytes.writeFloatLE(Number.NaN, bytes.length - 4);
      await writeFile(path, bytes);
    },
    /model-00002-of-00002.safetensors: element \d+ of \S+weight is NaN/,
  ],
])('%s is an error that names the file, and leaves nothing', async (_, damage, why) => {
  await damage();
  await expect(ensureBundle(checkpoint, cache, { weights: 'int8' })).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(why),
  });
  expect(await bundles().catch(() => [])).toEqual([]);
});

test('a GGUF file that is not there is named', async () => {
  const path = join(root, 'nowhere.gguf');
  for (const weights of ['int8', 'auto'] as const) {
    await expect(ensureBundle(path, cache, { weights })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: `${path}: is no file that can be read`,
    });
  }
});

test('what would be refused is refused before its gigabytes are hashed, and after leftovers made room', async () => {
  await mkdir(join(cache, `large.part-${thisHost}-${process.pid}-00000000`), { recursive: true });
  // Eight terabytes: to read them would take longer than any test may.
  const shape = { vocabulary: 2 ** 30, hidden: 2048, inner: 64, layers: 1, tied: true };
  const large = join(root, 'large');
  await writeSparseLlama(large, shape);
  await expect(ensureBundle(large, cache, { weights: 'int4' })).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  const config = JSON.parse(await readFile(join(large, 'config.json'), 'utf8'));
  await writeFile(join(large, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 2 }));
  await expect(ensureBundle(large, cache, { weights: 'int4' })).rejects.toThrow(/no file has the tensor/);
  await writeFile(join(large, 'config.json'), JSON.stringify({ ...config, attention_bias: 'yes' }));
  await expect(ensureBundle(large, cache, { weights: 'int4' })).rejects.toThrow(/config.json.attention_bias/);
  expect(await bundles()).toEqual([]);
});

test('what ends a compilation is told, though its folder is gone already', async () => {
  const out = join(root, 'bundle');
  const stop = (): void => {
    const [work] = readdirSync(root).filter((name) => name.startsWith('bundle.part-'));
    rmSync(join(root, work as string), { recursive: true });
    throw new Error('the end of it');
  };
  const options = { weights: 'float32', onProgress: stop } as const;
  await expect(compileCheckpoint(checkpoint, out, options)).rejects.toThrow('the end of it');
  expect((await readdir(root)).sort()).toEqual(['tiny']);
});

test.runIf(tellsOpenFiles)('no file stays open, of a bundle that is made or of one that is not', async () => {
  for (const cut of [undefined, 'experts', 'layers=2'] as const) {
    await ensureBundle(checkpoint, cache, { weights: 'int8', ...(cut && { cut }) });
    expect(openFilesIn(root)).toEqual([]);
  }
  const onProgress = (): void => {
    throw new Error('the end of it');
  };
  await expect(ensureBundle(checkpoint, cache, { weights: 'int4', onProgress })).rejects.toThrow('the end of it');
  expect(openFilesIn(root)).toEqual([]);
  await writeSafetensors(join(checkpoint, 'more.safetensors'), { 'model.norm.weight': ones(16) });
  await expect(ensureBundle(checkpoint, cache, { weights: 'int8' })).rejects.toThrow(/is in .* too/);
  expect(openFilesIn(root)).toEqual([]);
});

test('compiling to a folder that exists is refused, and the folder left as it is', async () => {
  const out = join(root, 'out');
  await mkdir(out);
  await writeFile(join(out, 'mine.txt'), 'mine');
  await expect(compileCheckpoint(checkpoint, out, { weights: 'float32' })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  });
  expect(await readdir(out)).toEqual(['mine.txt']);
  expect((await readdir(root)).sort()).toEqual(['out', 'tiny']);
});
