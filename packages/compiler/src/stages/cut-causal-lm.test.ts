import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { createSession, type Session } from '@tessera/inference';
import { elementCount, type Tensor, tensor } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileCheckpoint } from '../compile-checkpoint.js';

type Tensors = Record<string, Tensor>;

const floats = (tensors: Tensors, name: string): Float32Array => tensors[name]?.data as Float32Array;

describe.each(['float32', 'int8', 'int4-zp'] as const)(
  'the model in %s without its experts, and each of them',
  (weights) => {
    let root = '';
    let bundle: Bundle;
    const sessions = new Map<string, Session>();

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'tessera-cut-'));
      await compileCheckpoint(demoModelDir, join(root, 'whole'), { weights });
      await compileCheckpoint(demoModelDir, join(root, 'cut'), { weights, cut: 'experts' });
      bundle = await readBundle(join(root, 'cut'), ['llm']);
      await bundle.verify();
    });

    afterAll(async () => {
      for (const session of sessions.values()) await session.release();
      await rm(root, { recursive: true, force: true });
    });

    async function run(file: string, feeds: Tensors, fetches?: readonly string[]): Promise<Tensors> {
      const path = bundle.file(file);
      const session = sessions.get(file) ?? (await createSession(path, { threads: 1, device: 'cpu' }));
      sessions.set(file, session);
      const needed = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
      const wanted = session.outputNames.filter((name) => fetches?.includes(name) ?? !name.startsWith('present'));
      return session.run(Object.fromEntries(needed), wanted);
    }

    /** residual + the sum of share * answer, in the order of the experts' numbers, in float32. */
    async function withAnswers(outputs: Tensors, files: readonly string[]): Promise<Tensor> {
      const { hiddenSize } = bundle.stage('llm');
      const [rows, shares, residual] = ['rows', 'shares', 'residual'].map((name) => floats(outputs, name));
      const experts = outputs.experts?.data as Int32Array;
      const chosen = outputs.experts?.shape[1] as number;
      const sums = new Float32Array((residual as Float32Array).length);
      for (const [expert, file] of files.entries()) {
        const choices = [...experts.keys()].filter((choice) => experts[choice] === expert);
        const mine = choices.flatMap((choice) => {
          const row = Math.floor(choice / chosen);
          return [...(rows as Float32Array).subarray(row * hiddenSize, (row + 1) * hiddenSize)];
        });
        const given = tensor('float32', [choices.length, hiddenSize], Float32Array.from(mine));
        const answers = floats(await run(file, { rows: given }), 'answers');
        for (const [at, choice] of choices.entries()) {
          const share = (shares as Float32Array)[choice] as number;
          for (let i = 0; i < hiddenSize; i++) {
            const target = Math.floor(choice / chosen) * hiddenSize + i;
            const part = Math.fround(share * (answers[at * hiddenSize + i] as number));
            sums[target] = (sums[target] as number) + part;
          }
        }
      }
      const hidden = sums.map((sum, i) => sum + ((residual as Float32Array)[i] as number));
      return tensor('float32', outputs.residual?.shape ?? [], hidden);
    }

    test('give what the whole gives at every seam, bit for bit', async () => {
      const { graph, layers, kvHeads, headDim, hiddenSize, experts } = bundle.stage('llm');
      const cases = goldenCases.filter(({ image }) => !image).slice(0, 3);
      const [batch, seq] = [cases.length, Math.max(...cases.map(({ input_ids }) => input_ids.length))];
      const columns = <T>(make: (row: number, column: number) => T): T[] =>
        cases.flatMap((_, row) => Array.from({ length: seq }, (_, column) => make(row, column)));
      const empty = tensor('float32', [batch, kvHeads, 0, headDim], new Float32Array(0));
      const lengths = cases.map(({ input_ids }) => input_ids.length);
      const feeds: Tensors = {
        input_ids: tensor(
          'int64',
          [batch, seq],
          BigInt64Array.from(columns((row, at) => BigInt(cases[row]?.input_ids[at] ?? 0))),
        ),
        media_embeddings: tensor('float32', [0, hiddenSize], new Float32Array(0)),
        media_positions: tensor('int64', [0, 2], new BigInt64Array(0)),
        position_ids: tensor('int64', [batch, seq], BigInt64Array.from(columns((_, at) => BigInt(at)))),
        seqlens_k: tensor(
          'int32',
          [batch],
          Int32Array.from(lengths, (length) => length - 1),
        ),
        total_sequence_length: tensor('int32', [1], Int32Array.of(seq)),
        logit_positions: tensor(
          'int64',
          [batch + 1, 2],
          // The first column's too: a row may want several.
          BigInt64Array.from([0, 0, ...lengths.flatMap((length, row) => [row, length - 1])], BigInt),
        ),
      };
      for (let layer = 0; layer < layers; layer++) {
        feeds[`past_key.${layer}`] = empty;
        feeds[`past_value.${layer}`] = empty;
      }
      const whole = await run(graph, feeds);
      const cut: Tensors = {};
      const { sections, layers: routed } = experts ?? { sections: [], layers: [] };
      for (const [at, section] of sections.entries()) {
        const outputs = await run(section, feeds);
        Object.assign(cut, outputs);
        const files = routed[at]?.experts;
        if (files !== undefined) feeds.input_hidden = await withAnswers(outputs, files);
      }
      // The keys and values of a layer say what went into it.
      expect(Object.keys(whole)).toHaveLength(2 * layers + 2);
      for (const [name, { data, shape }] of Object.entries(whole)) {
        expect(cut[name]?.shape, name).toEqual(shape);
        expect(cut[name]?.data, name).toEqual(data);
      }
    });

    test('take no weights twice: they lie in the whole graph’s file, which is as it is without the cut', async () => {
      const { experts, graph } = bundle.stage('llm');
      const whole = await readBundle(join(root, 'whole'));
      for (const name of [graph, `${graph}.data`])
        expect(bundle.manifest.files[name]).toEqual(whole.manifest.files[name]);
      expect(whole.manifest.llm.experts).toBeUndefined();
      expect(whole.manifest.revision).not.toBe(bundle.manifest.revision);
      const files = [...(experts?.sections ?? []), ...(experts?.layers.flatMap((layer) => layer.experts) ?? [])];
      const sizes = await Promise.all(files.map(async (file) => (await stat(bundle.file(file))).size));
      expect(files.length).toBe(7 + 6 * 8);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(
        0.05 * (whole.manifest.files[graph]?.bytes ?? 0) + 512 * 1024,
      );
      expect(
        Object.keys(bundle.manifest.files).filter((name) => name.endsWith('.data') && name.startsWith('llm')),
      ).toEqual([`${graph}.data`]);
      expect(bundle.filesOf('llm')).toEqual(expect.arrayContaining(files));
    });

    test('an expert computes a row as it does among others, bit for bit', async () => {
      const { hiddenSize, experts } = bundle.stage('llm');
      const file = experts?.layers[3]?.experts[5] as string;
      const values = Float32Array.from({ length: 9 * hiddenSize }, (_, i) => Math.sin(i));
      const answersTo = async (rows: Float32Array): Promise<Float32Array> =>
        floats(await run(file, { rows: tensor('float32', [rows.length / hiddenSize, hiddenSize], rows) }), 'answers');
      const all = await answersTo(values);
      expect(elementCount([9, hiddenSize])).toBe(all.length);
      for (let row = 0; row < 9; row++) {
        const own = [row * hiddenSize, (row + 1) * hiddenSize] as const;
        expect(await answersTo(values.slice(...own))).toEqual(all.slice(...own));
      }
    });
  },
);
