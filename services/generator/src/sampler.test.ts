import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { createSession, type Session } from '@tessera/inference';
import { type Float32Tensor, TesseraError, tensor } from '@tessera/protocol';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { GeneratorEngine, type GeneratorModel } from './engine.js';
import { readModel } from './read-model.js';
import { type Drawing, Sampler, type SamplerLimits } from './sampler.js';

// By rounding at most: see "What is equal to what" in docs/architecture.md.
const rounding = 1e-4;

const never = new AbortController().signal;
const defaults: SamplerLimits = { maxBatch: 4, maxWaiting: 8, maxSteps: 50, maxGuidance: 10 };

let session: Session;
let model: GeneratorModel;
let condition: Float32Tensor;

function samplerOf(limits: Partial<SamplerLimits> = {}) {
  const batches: number[] = [];
  const onBatch = ({ size }: { size: number }) => batches.push(size);
  const sampler = new Sampler(new GeneratorEngine(session, model), { ...defaults, ...limits }, { onBatch });
  return { sampler, batches };
}

const seeded = (seed: bigint, options: Partial<Drawing> = {}): Drawing => ({
  condition,
  noise: { seed, index: 0 },
  steps: 3,
  ...options,
});

beforeAll(async () => {
  const bundle = await demoBundle();
  model = await readModel(bundle);
  session = await createSession(bundle.file(bundle.stage('generator').graph), { threads: 1, device: 'cpu' });
  condition = await goldenTensor('text.2.condition');
});

afterAll(() => session.release());

test.each(['text.2', 'text.3'])(
  '%s: one prediction, and the picture after the default steps, as the reference',
  async (name) => {
    const engine = new GeneratorEngine(session, model);
    const [given, noise, image] = await Promise.all(
      ['condition', 'noise', 'image'].map((what) => goldenTensor(`${name}.${what}`)),
    );
    const predicted = await goldenTensor(`${name}.predicted_sigma_0.75`);
    const [row] = await engine.predict([
      { sample: noise?.data as Float32Array, sigma: 0.75, condition: given?.data as Float32Array },
    ]);
    expect(relativeError(tensor('float32', predicted.shape, row as Float32Array), predicted)).toBeLessThan(2e-3);

    const drawn = await samplerOf().sampler.draw(
      { condition: given as Float32Tensor, noise: noise as Float32Tensor },
      { signal: never },
    );
    expect(relativeError(drawn.image, image as Float32Tensor)).toBeLessThan(2e-3);
  },
);

test('drawings join and leave the batch at any step, and none depends on its company', async () => {
  const requests = [
    seeded(1n, { steps: 6 }),
    seeded(2n, { steps: 2, guidance: 1 }),
    seeded(3n, { steps: 4, guidance: 3 }),
    seeded(1n, { steps: 3, noise: { seed: 1n, index: 1 } }),
  ];
  const alone: Float32Tensor[] = [];
  for (const request of requests) alone.push((await samplerOf().sampler.draw(request, { signal: never })).image);

  const { sampler, batches } = samplerOf({ maxBatch: 3 });
  let late: Promise<{ image: Float32Tensor }> | undefined;
  const first = sampler.draw(requests[0] as Drawing, {
    signal: never,
    onStep: (step) => {
      if (step === 1) late = sampler.draw(requests[3] as Drawing, { signal: never });
    },
  });
  const others = requests.slice(1, 3).map((request) => sampler.draw(request, { signal: never }));
  const together = [...(await Promise.all([first, ...others])), await late];
  expect(batches).toEqual([3, 3, 3, 3, 2, 1]);
  for (const [at, picture] of together.entries()) {
    const error = relativeError(picture?.image as Float32Tensor, alone[at] as Float32Tensor);
    expect(error, `drawing ${at}`).toBeLessThan(rounding);
  }
  expect(relativeError(alone[0] as Float32Tensor, alone[3] as Float32Tensor)).toBeGreaterThan(0.1);
});

test('the same seed gives the same picture, another seed or drawing number another one', async () => {
  const { sampler } = samplerOf();
  const draw = async (noise: Drawing['noise']) =>
    (await sampler.draw(seeded(0n, { steps: 1, noise }), { signal: never })).image.data;
  const picture = await draw({ seed: 7n, index: 0 });
  expect(await draw({ seed: 7n, index: 0 })).toEqual(picture);
  expect(await draw({ seed: 8n, index: 0 })).not.toEqual(picture);
  expect(await draw({ seed: 7n, index: 1 })).not.toEqual(picture);
});

test('a drawing that comes at whatever moment after the last one has ended is begun', async () => {
  const { sampler } = samplerOf();
  for (let turns = 0; turns < 8; turns++) {
    await sampler.draw(seeded(1n, { steps: 1 }), { signal: never });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    expect((await sampler.draw(seeded(2n, { steps: 1 }), { signal: never })).image.shape).toEqual([3, 96, 96]);
  }
});

test('a cancelled drawing leaves at the next step; the others are finished', async () => {
  const { sampler, batches } = samplerOf();
  const leaving = new AbortController();
  const steps: number[] = [];
  const cancelled = sampler.draw(seeded(1n, { steps: 50 }), {
    signal: leaving.signal,
    onStep: (step) => {
      steps.push(step);
      if (step === 2) leaving.abort();
    },
  });
  const staying = sampler.draw(seeded(2n, { steps: 5 }), { signal: never });
  await expect(cancelled).rejects.toMatchObject({ code: 'CANCELLED' });
  expect((await staying).image.shape).toEqual([3, 96, 96]);
  expect(steps).toEqual([1, 2]);
  expect(batches).toEqual([2, 2, 1, 1, 1]);
});

test('a waiting drawing that is cancelled is never begun, and a full queue refuses', async () => {
  const { sampler, batches } = samplerOf({ maxBatch: 1, maxWaiting: 1 });
  const first = sampler.draw(seeded(1n), { signal: never });
  await new Promise((resolve) => setImmediate(resolve));
  const leaving = new AbortController();
  const waiting = sampler.draw(seeded(2n), { signal: leaving.signal });
  await expect(sampler.draw(seeded(3n), { signal: never })).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    options: { retryAfterMs: expect.any(Number) },
  });
  leaving.abort(new TesseraError('DEADLINE_EXCEEDED', 'too late'));
  await expect(waiting).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await first;
  // Only now it is sure that nothing more is begun.
  await sampler.close();
  expect(batches).toEqual([1, 1, 1]);
});

test('closing finishes what was admitted and refuses what comes later', async () => {
  const { sampler } = samplerOf();
  const admitted = sampler.draw(seeded(1n), { signal: never });
  const closed = sampler.close();
  await expect(sampler.draw(seeded(2n), { signal: never })).rejects.toMatchObject({ code: 'DRAINING' });
  expect((await admitted).image.shape).toEqual([3, 96, 96]);
  await closed;
});

test('a condition shorter than the model takes has null rows in front', async () => {
  const { sampler } = samplerOf();
  const rows = tensor('float32', [4, 256], condition.data.slice(-4 * 256));
  const padded = tensor('float32', [16, 256], model.nullCondition.data.slice());
  padded.data.set(rows.data, 12 * 256);
  const [short, full] = await Promise.all(
    [rows, padded].map((given) => sampler.draw(seeded(1n, { condition: given }), { signal: never })),
  );
  expect(relativeError(short?.image as Float32Tensor, full?.image as Float32Tensor)).toBeLessThan(rounding);
});

test.each<[string, string, Partial<Drawing>]>([
  ['no steps', 'REQUEST_INVALID', { steps: 0 }],
  ['too many steps', 'REQUEST_INVALID', { steps: 51 }],
  ['too much guidance', 'REQUEST_INVALID', { guidance: 11 }],
  ['guidance that is no number', 'REQUEST_INVALID', { guidance: Number.NaN }],
  ['no rows', 'TENSOR_INVALID', { condition: tensor('float32', [0, 256], new Float32Array(0)) }],
  ['too many rows', 'TENSOR_INVALID', { condition: tensor('float32', [17, 256], new Float32Array(17 * 256)) }],
  ['rows of another width', 'TENSOR_INVALID', { condition: tensor('float32', [16, 128], new Float32Array(2048)) }],
  [
    'an infinite condition',
    'TENSOR_INVALID',
    { condition: tensor('float32', [1, 256], new Float32Array(256).fill(1 / 0)) },
  ],
  ['noise of another size', 'TENSOR_INVALID', { noise: tensor('float32', [3, 8, 8], new Float32Array(192)) }],
])('refuses %s', async (_, code, options) => {
  await expect(samplerOf().sampler.draw(seeded(1n, options), { signal: never })).rejects.toMatchObject({ code });
});

test('a drawing whose turn comes too late for its steps is not begun, and the others go on', async () => {
  const { sampler, batches } = samplerOf({ maxBatch: 1 });
  await sampler.draw(seeded(1n), { signal: never });
  const takesMs = sampler.leastMs(50);
  expect(takesMs).toBeGreaterThan(0);
  const first = sampler.draw(seeded(2n), { signal: never });
  const late = sampler.draw(seeded(3n, { steps: 50 }), { signal: never, deadlineMs: Date.now() + takesMs / 4 });
  const next = sampler.draw(seeded(4n, { steps: 1 }), { signal: never, deadlineMs: Date.now() + 600_000 });
  await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', options: { stage: 'generator' } });
  await Promise.all([first, next]);
  expect(batches).toHaveLength(3 + 3 + 1);
});
