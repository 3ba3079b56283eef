import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle, type StageName } from '@tessera/bundle';
import { createSession, type Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SafetensorsFile } from './checkpoint/safetensors.js';
import { compileCheckpoint } from './compile-checkpoint.js';
import { Decoder, greedy, type MediaRows } from './testing/decoder.js';
import { demoDir, type GoldenCase, goldenCases, openGoldens, relativeError } from './testing/goldens.js';
import { sample } from './testing/sampler.js';

interface Tolerance {
  readonly max: number;
  readonly l2: number;
}

/** What the compiled model may differ from the reference by, at each seam, each fed the reference's own input. */
interface Promise_ {
  readonly features: Tolerance;
  readonly visualTokens: Tolerance;
  readonly hidden: Tolerance;
  readonly logits: Tolerance;
  readonly predicted: Tolerance;
  readonly image: Tolerance;
  /** Of the golden answers, how many must come out word for word. */
  readonly sameAnswers: number;
}
const float32: Tolerance = { max: 2e-3, l2: 2e-3 };
const X: Tolerance = { max: 9, l2: 9 };
const promises: Record<'float32' | 'int8', Promise_> = {
  float32: {
    features: float32,
    visualTokens: float32,
    hidden: float32,
    logits: float32,
    predicted: float32,
    image: float32,
    sameAnswers: 17,
  },
  int8: { features: X, visualTokens: X, hidden: X, logits: X, predicted: X, image: X, sameAnswers: 0 },
};

describe.each(['float32', 'int8'] as const)('the demo model compiled to %s', (weights) => {
  const promise = promises[weights];
  let root = '';
  let bundle: Bundle;
  let goldens: SafetensorsFile;
  let cases: GoldenCase[];
  const sessions = new Map<StageName, Session>();
  const session = (stage: StageName): Session => sessions.get(stage) as Session;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tessera-goldens-'));
    await compileCheckpoint(demoDir, join(root, 'demo'), { weights });
    bundle = await readBundle(join(root, 'demo'));
    goldens = await openGoldens();
    cases = await goldenCases();
    for (const stage of ['encoder', 'connector', 'llm', 'generator'] as const) {
      const path = bundle.file(bundle.stage(stage).graph);
      sessions.set(stage, await createSession(path, { threads: 1, device: 'cpu' }));
    }
  });

  afterAll(async () => {
    for (const opened of sessions.values()) await opened.release();
    await goldens.close();
    await rm(root, { recursive: true, force: true });
  });

  function expectClose(name: string, actual: Float32Array, expected: Float32Array, tolerance: Tolerance): void {
    const error = relativeError(actual, expected);
    if (process.env.SHOW) console.log(weights, name, error.max.toExponential(2), error.l2.toExponential(2));
    expect(error.max, `${name}, largest`).toBeLessThan(tolerance.max);
    expect(error.l2, `${name}, L2`).toBeLessThan(tolerance.l2);
  }

  const pictures = (): string[] => [
    ...new Set(cases.flatMap((one) => (one.image ? [one.id.split('.')[0] as string] : []))),
  ];

  test('features of every picture', async () => {
    const { inputSize, patches, width } = bundle.stage('encoder');
    for (const picture of pictures()) {
      const pixels = await goldens.read(`${picture}.pixel_values`);
      const input = tensor('float32', [1, 3, inputSize.height, inputSize.width], pixels);
      const { features } = await session('encoder').run({ pixel_values: input }, ['features']);
      expect(features?.shape).toEqual([1, patches, width]);
      expectClose(
        `${picture}.features`,
        (features as Float32Tensor).data,
        await goldens.read(`${picture}.features`),
        promise.features,
      );
    }
  });

  test('visual tokens of every picture, in one batch', async () => {
    const { patches, width, tokens, llmWidth } = bundle.stage('connector');
    const all = await Promise.all(pictures().map((picture) => goldens.read(`${picture}.features`)));
    const input = tensor('float32', [all.length, patches, width], Float32Array.from(all.flatMap((one) => [...one])));
    const { visual_tokens } = await session('connector').run({ features: input }, ['visual_tokens']);
    expect(visual_tokens?.shape).toEqual([all.length, tokens, llmWidth]);
    for (const [i, picture] of pictures().entries()) {
      const size = tokens * llmWidth;
      const actual = (visual_tokens as Float32Tensor).data.subarray(i * size, (i + 1) * size);
      expectClose(
        `${picture}.visual_tokens`,
        actual,
        await goldens.read(`${picture}.visual_tokens`),
        promise.visualTokens,
      );
    }
  });

  async function media(one: GoldenCase): Promise<MediaRows | undefined> {
    if (!one.image) return undefined;
    const pad = bundle.stage('llm').tokens.mediaPad;
    const columns = one.input_ids.flatMap((id, column) => (id === pad ? [column] : []));
    return { embeddings: await goldens.read(`${one.id.split('.')[0]}.visual_tokens`), columns };
  }

  test('hidden states of every position, logits, and the greedy answer, of every case', async () => {
    const llm = bundle.stage('llm');
    let same = 0;
    for (const one of cases) {
      const decoder = new Decoder(session('llm'), llm, 160, 1);
      const { ids, prefill } = await greedy(decoder, llm, one.input_ids, await media(one), 100);
      expectClose(`${one.id}.hidden`, prefill.hidden.data, await goldens.read(`${one.id}.hidden`), promise.hidden);
      expectClose(`${one.id}.logits`, prefill.logits.data, await goldens.read(`${one.id}.logits`), promise.logits);
      if (ids.join() === one.output_ids.join()) same++;
    }
    if (process.env.SHOW) console.log(weights, 'same answers', same, 'of', cases.length);
    expect(same).toBeGreaterThanOrEqual(promise.sameAnswers);
  });

  const drawings = ['text.2', 'text.3'];

  test('one call of the generator', async () => {
    const { channels, height, width, conditionLength, conditionWidth, numTrainTimesteps } = bundle.stage('generator');
    const sigma = 0.75;
    for (const id of drawings) {
      const [noise, image] = await Promise.all([goldens.read(`${id}.noise`), goldens.read(`${id}.image`)]);
      const { predicted } = await session('generator').run(
        {
          sample: tensor(
            'float32',
            [1, channels, height, width],
            noise.map((n, i) => sigma * n + (1 - sigma) * (image[i] as number)),
          ),
          timestep: tensor('float32', [1], Float32Array.of(sigma * numTrainTimesteps)),
          condition: tensor('float32', [1, conditionLength, conditionWidth], await goldens.read(`${id}.condition`)),
        },
        ['predicted'],
      );
      expectClose(
        `${id}.predicted`,
        (predicted as Float32Tensor).data,
        await goldens.read(`${id}.predicted_sigma_0.75`),
        promise.predicted,
      );
    }
  });

  test('a whole picture, twenty guided steps from the given noise', async () => {
    const section = bundle.stage('generator');
    const bytes = await readFile(bundle.file(section.nullCondition));
    const nullCondition = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    for (const id of drawings) {
      const [noise, condition] = await Promise.all([goldens.read(`${id}.noise`), goldens.read(`${id}.condition`)]);
      const options = { noise, condition, nullCondition, steps: 20, guidance: 1.5 };
      expectClose(
        `${id}.image`,
        await sample(session('generator'), section, options),
        await goldens.read(`${id}.image`),
        promise.image,
      );
    }
  });
});
