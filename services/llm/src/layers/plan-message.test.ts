import { LayerPlan } from '@tessera/protocol';
import { expect, test } from 'vitest';
import type { StepPlan } from '../model/step-plan.js';
import { decodePlan, decodeRows, encodePlan, encodeRows } from './plan-message.js';

test('a plan comes as it was sent, whatever it does', () => {
  const cache: StepPlan['cache'] = {
    operations: [
      { type: 'keep', slot: 0, rows: 30, prefix: 1 },
      { type: 'copy', from: 4, to: 2, rows: 16 },
      { type: 'swap', a: 0, b: 1, rows: 34 },
      { type: 'drop', prefix: 7 },
      { type: 'drop', prefix: 0 },
    ],
    slots: 6,
    positions: 90,
    loads: [
      { type: 'restore', prefix: 1, slot: 6, rows: 25 },
      { type: 'copy', from: 3, to: 5, rows: 60 },
    ],
  };
  const bytes = LayerPlan.encode({ step: 3, ...encodePlan(cache) }).finish();
  expect(decodePlan(LayerPlan.decode(bytes))).toMatchObject(cache);
});

test.each<[string, Partial<LayerPlan>, string]>([
  ['an operation that is none', { operations: [{ change: undefined }] }, 'plan.operations[0]'],
  [
    'a restore among the operations',
    { operations: [{ change: { $case: 'restore', value: { prefix: 1, slot: 0, rows: 1 } } }] },
    'plan.operations[0]',
  ],
  ['a load that drops', { loads: [{ change: { $case: 'drop', value: 1 } }] }, 'plan.loads[0]'],
])('%s is refused by its place', (_, changes, field) => {
  expect(() => decodePlan(LayerPlan.fromPartial({ slots: 1, positions: 1, ...changes }))).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', field }),
  );
});

test('rows come without their tokens', () => {
  const rows = [{ slot: 2, position: 9, tokenIds: [5, 6, 7], media: [], wantedLogits: 1, wantsHidden: true }];
  expect(decodeRows(encodeRows(rows))).toEqual([
    { slot: 2, position: 9, tokenIds: [0, 0, 0], media: [], wantedLogits: 0, wantsHidden: false },
  ]);
});
