import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LlmSection, readBundle } from '@tessera/bundle';
import { createSession, type Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileCheckpoint } from '../compile-checkpoint.js';
import { argmax, Decoder } from '../testing/decoder.js';
import { openGoldens } from '../testing/demo-model.js';

const capacity = 64;
const steps = 3;

/** One sequence's logits when nothing else is in the batch: after the prompt, and after each of its next tokens. */
interface Alone {
  readonly prompt: readonly number[];
  readonly next: readonly number[];
  readonly logits: readonly Float32Array[];
}

describe.each(['float32', 'int8', 'int4', 'int4-zp'] as const)(
  'llm.onnx in %s gives each sequence what it gets alone',
  (weights) => {
    let root = '';
    let llm: LlmSection;
    let session: Session;
    let alone: Alone[];
    const decoder = (sequences: number): Decoder => new Decoder(session, llm, { sequences, capacity });
    const row = (logits: Float32Tensor, index: number): Float32Array =>
      logits.data.subarray(index * llm.vocabSize, (index + 1) * llm.vocabSize);
    const all = (): number[] => alone.map((_, index) => index);
    const longest = (): Alone => alone.reduce((a, b) => (b.prompt.length > a.prompt.length ? b : a));

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'tessera-llm-'));
      await compileCheckpoint(demoModelDir, join(root, 'demo'), { weights });
      const bundle = await readBundle(join(root, 'demo'));
      llm = bundle.stage('llm');
      session = await createSession(bundle.file(llm.graph), { threads: 1, device: 'cpu' });
      alone = [];
      for (const { input_ids: prompt } of goldenCases.filter((one) => !one.image)) {
        const single = decoder(1);
        const logits = [(await single.step([0], [prompt])).logits.data];
        const next: number[] = [];
        for (let step = 0; step < steps; step++) {
          next.push(argmax(logits.at(-1) as Float32Array));
          logits.push((await single.step([0], [[next.at(-1) as number]])).logits.data);
        }
        alone.push({ prompt, next, logits });
      }
      expect(new Set(alone.map(({ prompt }) => prompt.length)).size).toBeGreaterThan(2);
    });

    afterAll(async () => {
      await session.release();
      await rm(root, { recursive: true, force: true });
    });

    test('prompts of several lengths in one prefill, padded on the right, then decoded together, bit for bit', async () => {
      const batch = decoder(alone.length);
      const prompts = alone.map(({ prompt }) => prompt);
      const prefill = await batch.step(all(), prompts);
      for (const index of all()) expect(row(prefill.logits, index)).toEqual(alone[index]?.logits[0]);
      for (let step = 0; step < steps; step++) {
        const { logits } = await batch.step(
          all(),
          alone.map(({ next }) => [next[step] as number]),
        );
        for (const index of all()) expect(row(logits, index)).toEqual(alone[index]?.logits[step + 1]);
      }
    });

    test('a sequence that joins others half-way', async () => {
      const batch = decoder(2);
      const [first, second] = alone as [Alone, Alone];
      await batch.step([0], [first.prompt]);
      await batch.step([0], [[first.next[0] as number]]);
      await batch.step([1], [second.prompt]);
      const { logits } = await batch.step([1, 0], [[second.next[0] as number], [first.next[1] as number]]);
      expect(row(logits, 0)).toEqual(second.logits[1]);
      expect(row(logits, 1)).toEqual(first.logits[2]);
    });

    test.each([1, 5, 12, 16])('a prompt in chunks, the first of %i tokens', async (cut) => {
      const { prompt, logits } = longest();
      const single = decoder(1);
      await single.step([0], [prompt.slice(0, cut)]);
      const rest = await single.step([0], [prompt.slice(cut)]);
      // A chunk of one token takes the attention kernel of decoding, which rounds in another order.
      expect(relativeErrors(rest.logits.data, logits[0] as Float32Array).max).toBeLessThan(
        weights === 'float32' ? 1e-5 : 2e-3,
      );
    });

    test('logits at several positions of a row are those after each of them', async () => {
      const { prompt, next, logits } = longest();
      const single = decoder(1);
      await single.step([0], [prompt]);
      const several = await single.step([0], [next], { logitsAt: next.map((_, column) => [0, column]) });
      expect(several.logits.shape).toEqual([steps, llm.vocabSize]);
      for (const column of next.keys()) {
        const { max } = relativeErrors(row(several.logits, column), logits[column + 1] as Float32Array);
        expect(max, `after token ${column}`).toBeLessThan(weights === 'float32' ? 1e-5 : 2e-3);
      }
    });

    test('sequences of one call may want different numbers of logits, in any order, bit for bit', async () => {
      const [first, second] = alone as [Alone, Alone];
      const [last, other] = [first.prompt.length - 1, second.prompt.length - 1];
      const wanted = [
        [1, other],
        [0, last - 1],
        [0, last],
      ];
      const { logits } = await decoder(2).step([0, 1], [first.prompt, second.prompt], { logitsAt: wanted });
      expect(row(logits, 0)).toEqual(second.logits[0]);
      expect(row(logits, 2)).toEqual(first.logits[0]);
      const shorter = await decoder(1).step([0], [first.prompt.slice(0, last)]);
      expect(row(logits, 1)).toEqual(shorter.logits.data);
    });

    test('a cache is shown with as many rows as it holds, or more', async () => {
      const { prompt, next, logits } = longest();
      for (const shown of [prompt.length, prompt.length + 1, capacity]) {
        const single = decoder(1);
        await single.step([0], [prompt], { capacity: 0 });
        const decoded = await single.step([0], [[next[0] as number]], { capacity: shown });
        expect(relativeErrors(decoded.logits.data, logits[1] as Float32Array).max).toBeLessThan(1e-5);
      }
      const single = decoder(1);
      await single.step([0], [prompt]);
      await expect(single.step([0], [[next[0] as number]], { capacity: prompt.length - 1 })).rejects.toThrow(/past/);
    });

    test('several sequences with more than one token each over a past are refused, not miscomputed', async () => {
      const batch = decoder(2);
      const { prompt } = longest();
      await batch.step([0, 1], [prompt.slice(0, 8), prompt.slice(0, 8)]);
      await expect(batch.step([0, 1], [prompt.slice(8), prompt.slice(8)])).rejects.toThrow(/batch_size must be 1/);
    });

    test('media rows stand where media_positions says, in any sequence of the batch', async () => {
      const reference = await openGoldens();
      const [picture] = goldenCases.filter((one) => one.image);
      const visual = await reference.read(`${picture?.id.split('.')[0]}.visual_tokens`);
      await reference.close();
      const ids = picture?.input_ids ?? [];
      const columns = ids.flatMap((id, column) => (id === llm.tokens.mediaPad ? [column] : []));
      const single = await decoder(1).step([0], [ids], {
        media: { embeddings: visual, positions: columns.map((c) => [0, c]) },
      });
      const other = longest();
      const both = await decoder(2).step([0, 1], [other.prompt, ids], {
        media: { embeddings: visual, positions: columns.map((column) => [1, column]) },
      });
      expect(row(both.logits, 0)).toEqual(other.logits[0]);
      expect(row(both.logits, 1)).toEqual(row(single.logits, 0));
    });

    test('the present is the past with the new rows behind it', async () => {
      const { kvHeads, headDim, layers, hiddenSize } = llm;
      const { prompt } = longest();
      const seq = prompt.length;
      const empty = tensor('float32', [1, kvHeads, 0, headDim], new Float32Array(0));
      const caches = Array.from({ length: layers }, (_, layer) => ({
        [`past_key.${layer}`]: empty,
        [`past_value.${layer}`]: empty,
      }));
      const results = await session.run(
        {
          input_ids: tensor('int64', [1, seq], BigInt64Array.from(prompt, BigInt)),
          media_embeddings: tensor('float32', [0, hiddenSize], new Float32Array(0)),
          media_positions: tensor('int64', [0, 2], new BigInt64Array(0)),
          position_ids: tensor(
            'int64',
            [1, seq],
            BigInt64Array.from(prompt, (_, i) => BigInt(i)),
          ),
          seqlens_k: tensor('int32', [1], Int32Array.of(seq - 1)),
          total_sequence_length: tensor('int32', [1], Int32Array.of(seq)),
          logit_positions: tensor('int64', [1, 2], BigInt64Array.of(0n, BigInt(seq - 1))),
          ...Object.assign({}, ...caches),
        },
        ['new_key.2', 'present_key.2', 'new_value.2', 'present_value.2'],
      );
      for (const kind of ['key', 'value']) {
        const present = results[`present_${kind}.2`] as Float32Tensor;
        const fresh = results[`new_${kind}.2`] as Float32Tensor;
        expect(present.shape).toEqual([1, kvHeads, seq, headDim]);
        expect(fresh.shape).toEqual([1, seq, kvHeads * headDim]);
        const asComputed = fresh.data.map((_, at) => {
          const [row, head] = [Math.floor(at / (kvHeads * headDim)), Math.floor(at / headDim) % kvHeads];
          return present.data[(head * seq + row) * headDim + (at % headDim)] as number;
        });
        expect(fresh.data).toEqual(asComputed);
      }
    });
  },
);
