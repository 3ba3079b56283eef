import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle, type StageName, type WeightKind } from '@tessera/bundle';
import { createSession, type Session } from '@tessera/inference';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { type GoldenCase, goldenCases } from '@tessera/testing/demo-model/goldens';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SafetensorsFile } from './checkpoint/safetensors.js';
import { compileCheckpoint } from './compile-checkpoint.js';
import { Decoder, greedy, type MediaRows } from './testing/decoder.js';
import { openGoldens } from './testing/demo-model.js';
import { sample } from './testing/sampler.js';

/** Relative errors, as testing/relative-error.ts defines them. */
interface Tolerance {
  /** Of the largest difference, and of the L2 norm, for every tensor. */
  readonly max: number;
  readonly l2: number;
  /** Of the L2 norm, for the median tensor of the seam. */
  readonly median: number;
}

/** What a compiled model may differ from the reference by, at each seam, each fed with the reference's own input. */
interface Bounds {
  readonly features: Tolerance;
  readonly visualTokens: Tolerance;
  readonly hidden: Tolerance;
  readonly logits: Tolerance;
  readonly predicted: Tolerance;
  readonly image: Tolerance;
  /** Of the golden answers, how many must come out token for token. */
  readonly sameAnswers: number;
}

const exact: Tolerance = { max: 2e-3, l2: 2e-3, median: 2e-3 };

/** Of 8 bits: measured (largest, L2, median) 0.0076, 0.0076, 0.0072; 0.0068, 0.0066, 0.0058; 0.018, 0.011; 0.15, 0.0078. */
const eightBits = {
  features: { max: 0.02, l2: 0.02, median: 0.015 },
  visualTokens: { max: 0.02, l2: 0.02, median: 0.015 },
  predicted: { max: 0.05, l2: 0.03, median: 0.03 },
  image: { max: 0.5, l2: 0.02, median: 0.02 },
};

const asPublished = {
  features: exact,
  visualTokens: exact,
  hidden: exact,
  logits: exact,
  predicted: exact,
  image: exact,
  sameAnswers: 17,
};

const bounds = {
  // Measured: at most 9e-5 (a pixel of a picture), 6e-6 in L2, and every answer.
  float32: asPublished,
  float16: asPublished,
  // Measured: hidden 0.26, 0.099, 0.0075; logits 0.13, 0.39, 0.011; and every answer. In one case the rounding sends a row to
  // another expert: that row is far off, the median tells of all the others.
  int8: {
    ...eightBits,
    hidden: { max: 0.5, l2: 0.2, median: 0.02 },
    logits: { max: 0.3, l2: 0.8, median: 0.03 },
    sameAnswers: 15,
  },
  // Measured: hidden 0.22, 0.14, 0.058; logits 0.14, 0.38, 0.046; and every answer. The other stages have 8 bits.
  int4: {
    ...eightBits,
    hidden: { max: 0.5, l2: 0.3, median: 0.12 },
    logits: { max: 0.3, l2: 0.8, median: 0.1 },
    sameAnswers: 15,
  },
  'int4-g128-zp': {
    ...eightBits,
    hidden: { max: 0.5, l2: 0.3, median: 0.12 },
    logits: { max: 0.3, l2: 0.8, median: 0.1 },
    sameAnswers: 15,
  },
} as const satisfies Partial<Record<WeightKind, Bounds>>;

describe.each(Object.keys(bounds) as (keyof typeof bounds)[])('the demo model compiled to %s', (weights) => {
  const bound: Bounds = bounds[weights];
  let root = '';
  let bundle: Bundle;
  let reference: SafetensorsFile;
  const sessions = new Map<StageName, Session>();
  const session = (stage: StageName): Session => sessions.get(stage) as Session;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tessera-goldens-'));
    await compileCheckpoint(demoModelDir, join(root, 'demo'), { weights });
    bundle = await readBundle(join(root, 'demo'));
    reference = await openGoldens();
    for (const stage of ['encoder', 'connector', 'llm', 'generator'] as const) {
      const path = bundle.file(bundle.stage(stage).graph);
      sessions.set(stage, await createSession(path, { threads: 1, device: 'cpu' }));
    }
  });

  afterAll(async () => {
    for (const opened of sessions.values()) await opened.release();
    await reference.close();
    await rm(root, { recursive: true, force: true });
  });

  /** Collects a seam's tensors, then holds them all against the bounds. */
  class Seam {
    private readonly errors: { name: string; max: number; l2: number }[] = [];

    async compare(name: string, actual: Float32Array): Promise<void> {
      this.errors.push({ name, ...relativeErrors(actual, await reference.read(name)) });
    }

    expectWithin(tolerance: Tolerance): void {
      const l2 = this.errors.map((error) => error.l2).sort((a, b) => a - b);
      for (const error of this.errors) {
        expect(error.max, `${error.name}, largest`).toBeLessThan(tolerance.max);
        expect(error.l2, `${error.name}, L2`).toBeLessThan(tolerance.l2);
      }
      expect(l2[Math.floor(l2.length / 2)], 'median L2').toBeLessThan(tolerance.median);
    }
  }

  const pictures = (): string[] => [
    ...new Set(goldenCases.flatMap((one) => (one.image ? [one.id.split('.')[0] as string] : []))),
  ];

  test('features of every picture', async () => {
    const { inputSize, patches, width } = bundle.stage('encoder');
    const seam = new Seam();
    for (const picture of pictures()) {
      const pixels = await reference.read(`${picture}.pixel_values`);
      const input = tensor('float32', [1, 3, inputSize.height, inputSize.width], pixels);
      const { features } = await session('encoder').run({ pixel_values: input }, ['features']);
      expect(features?.shape).toEqual([1, patches, width]);
      await seam.compare(`${picture}.features`, (features as Float32Tensor).data);
    }
    seam.expectWithin(bound.features);
  });

  test('visual tokens of every picture, in one batch', async () => {
    const { patches, width, tokens, llmWidth } = bundle.stage('connector');
    const all = await Promise.all(pictures().map((picture) => reference.read(`${picture}.features`)));
    const input = tensor('float32', [all.length, patches, width], Float32Array.from(all.flatMap((one) => [...one])));
    const { visual_tokens } = await session('connector').run({ features: input }, ['visual_tokens']);
    expect(visual_tokens?.shape).toEqual([all.length, tokens, llmWidth]);
    const size = tokens * llmWidth;
    const seam = new Seam();
    for (const [i, picture] of pictures().entries()) {
      const actual = (visual_tokens as Float32Tensor).data.subarray(i * size, (i + 1) * size);
      await seam.compare(`${picture}.visual_tokens`, actual);
    }
    seam.expectWithin(bound.visualTokens);
  });

  async function media(one: GoldenCase): Promise<MediaRows | undefined> {
    if (!one.image) return undefined;
    const pad = bundle.stage('llm').tokens.mediaPad;
    const positions = one.input_ids.flatMap((id, column) => (id === pad ? [[0, column]] : []));
    return { embeddings: await reference.read(`${one.id.split('.')[0]}.visual_tokens`), positions };
  }

  test('hidden states of every position, logits, and the greedy answer, of every case', async () => {
    const llm = bundle.stage('llm');
    const [hidden, logits] = [new Seam(), new Seam()];
    const same: string[] = [];
    for (const one of goldenCases) {
      const decoder = new Decoder(session('llm'), llm, { sequences: 1, capacity: 160 });
      const { ids, prefill } = await greedy(decoder, one.input_ids, { media: await media(one), maxTokens: 100 });
      await hidden.compare(`${one.id}.hidden`, prefill.hidden.data);
      await logits.compare(`${one.id}.logits`, prefill.logits.data);
      if (ids.join() === one.output_ids.join()) same.push(one.id);
    }
    hidden.expectWithin(bound.hidden);
    logits.expectWithin(bound.logits);
    expect(same.length).toBeGreaterThanOrEqual(bound.sameAnswers);
  });

  const drawings = (): string[] =>
    goldenCases.map((one) => one.id).filter((id) => reference.tensors.has(`${id}.image`));

  test('one call of the generator, from noise at sigma 0.75', async () => {
    const { channels, height, width, conditionLength, conditionWidth, numTrainTimesteps } = bundle.stage('generator');
    const seam = new Seam();
    for (const id of drawings()) {
      const [noise, condition] = await Promise.all([reference.read(`${id}.noise`), reference.read(`${id}.condition`)]);
      const { predicted } = await session('generator').run(
        {
          sample: tensor('float32', [1, channels, height, width], noise),
          timestep: tensor('float32', [1], Float32Array.of(0.75 * numTrainTimesteps)),
          condition: tensor('float32', [1, conditionLength, conditionWidth], condition),
        },
        ['predicted'],
      );
      await seam.compare(`${id}.predicted_sigma_0.75`, (predicted as Float32Tensor).data);
    }
    seam.expectWithin(bound.predicted);
  });

  test('a whole picture, twenty guided steps from the given noise', async () => {
    const section = bundle.stage('generator');
    const bytes = await readFile(bundle.file(section.nullCondition));
    const nullCondition = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const seam = new Seam();
    for (const id of drawings()) {
      const [noise, condition] = await Promise.all([reference.read(`${id}.noise`), reference.read(`${id}.condition`)]);
      const options = { noise, condition, nullCondition, steps: 20, guidance: 1.5 };
      await seam.compare(`${id}.image`, await sample(session('generator'), section, options));
    }
    seam.expectWithin(bound.image);
  });
});
