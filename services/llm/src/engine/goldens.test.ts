import { goldenTensor } from '@tessera/compiler/testing/demo-model';
import { FinishReason, Modality } from '@tessera/protocol';
import { goldenCase, goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoEngine } from '../testing/demo-engine.js';

let demo: DemoEngine;
const drawToken = '<|gen_start|>';

beforeAll(async () => {
  demo = await DemoEngine.create();
});

afterAll(() => demo.close());

test('every case, one at a time: ids, text and the order of events', async () => {
  for (const golden of goldenCases) {
    const answer = await demo.start(golden);
    expect(answer.error).toBeUndefined();
    expect(answer.tokenIds, golden.id).toEqual(golden.output_ids);
    expect(answer.text, golden.id).toBe(golden.answer.replace(drawToken, ''));
    expect(answer.finished).toMatchObject({ reason: FinishReason.END, completionTokens: golden.output_ids.length });
    const kinds = answer.events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1]);
    const before = golden.image === null ? ['admitted'] : ['admitted', 'tileArrived'];
    const drawn = golden.answer.includes(drawToken) ? ['tokens', 'drawing'] : [];
    expect(kinds, golden.id).toEqual([...before, 'prefillStarted', ...drawn, 'tokens', 'finished']);
    expect(answer.events[0]).toMatchObject({
      promptTokens: golden.input_ids.length,
      byModality: [
        { modality: Modality.TEXT, tokenCount: golden.input_ids.length - (golden.image === null ? 0 : 9) },
        ...(golden.image === null ? [] : [{ modality: Modality.IMAGE, tokenCount: 9 }]),
      ],
    });
  }
  expect(demo.engine.stats()).toMatchObject({ running: 0, waiting: 0, slotsInUse: 0, heldTiles: 0 });
});

test('all cases at once give the same ids', async () => {
  const stepsBefore = demo.engine.stats().steps;
  const answers = await Promise.all(goldenCases.map((golden) => demo.start(golden)));
  for (const [index, golden] of goldenCases.entries())
    expect(answers[index]?.tokenIds, golden.id).toEqual(golden.output_ids);
  // Batched: one at a time they would take a step for each token.
  const tokens = goldenCases.reduce((sum, { output_ids }) => sum + output_ids.length + 1, 0);
  expect(demo.engine.stats().steps - stepsBefore).toBeLessThan(tokens / 3);
});

test.each(['text.2', 'text.3'])('the condition of %s', async (id) => {
  const golden = goldenCase(id);
  const reference = await goldenTensor(`${id}.condition`);
  const { drawings } = await demo.start(golden);
  expect(drawings).toHaveLength(1);
  const actual = drawings[0]?.data ?? new Float32Array();
  const expected = reference?.data ?? new Float32Array(1);
  // A sequence shorter than the window gives fewer rows; the reference has null rows in front.
  const skipped = expected.length - actual.length;
  expect(skipped).toBe(Math.max(0, 16 - (golden.input_ids.length + golden.output_ids.length)) * 256);
  let worst = 0;
  let peak = 0;
  for (let i = 0; i < actual.length; i++) {
    const value = expected[skipped + i] as number;
    worst = Math.max(worst, Math.abs((actual[i] as number) - value));
    peak = Math.max(peak, Math.abs(value));
  }
  expect(worst / peak).toBeLessThan(2e-3);
});

test.each([1, 3, 7, 64])('prefill in chunks of %i tokens gives the same ids', async (maxChunkTokens) => {
  const chunked = await DemoEngine.create({ maxChunkTokens });
  try {
    const answers = await Promise.all(goldenCases.map((golden) => chunked.start(golden)));
    for (const [index, golden] of goldenCases.entries())
      expect(answers[index]?.tokenIds, golden.id).toEqual(golden.output_ids);
  } finally {
    await chunked.close();
  }
});

test.each(['native', 'node'] as const)(
  'computed by %s, all cases at once in chunks give the same ids',
  async (backend) => {
    const other = await DemoEngine.create({ maxChunkTokens: 7 }, 'float32', backend);
    try {
      const answers = await Promise.all(goldenCases.map((golden) => other.start(golden)));
      for (const [index, golden] of goldenCases.entries())
        expect(answers[index]?.tokenIds, golden.id).toEqual(golden.output_ids);
    } finally {
      await other.close();
    }
  },
);

test('int8 weights write the same in most cases', async () => {
  const int8 = await DemoEngine.create({}, 'int8');
  try {
    const answers = await Promise.all(goldenCases.map((golden) => int8.start(golden)));
    const same = goldenCases.filter(({ output_ids }, index) => answers[index]?.tokenIds.join() === output_ids.join());
    expect(same.length / goldenCases.length).toBeGreaterThanOrEqual(0.75);
  } finally {
    await int8.close();
  }
});
