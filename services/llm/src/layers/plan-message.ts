import { type CacheChange, type LayerPlan, type LayerRow, TesseraError } from '@tessera/protocol';
import type { CacheLoad, CacheOperation, PlannedRow, StepPlan } from '../model/step-plan.js';

type Change = CacheOperation | CacheLoad;

/** What a plan does to the cache, as it travels. */
export function encodePlan({ operations, slots, positions, loads }: StepPlan['cache']): Omit<LayerPlan, 'step'> {
  return { operations: operations.map(encodeChange), slots, positions, loads: loads.map(encodeChange) };
}

/** @throws TesseraError REQUEST_INVALID naming what is no operation, or no load */
export function decodePlan({ operations, slots, positions, loads }: LayerPlan): StepPlan['cache'] {
  return {
    operations: operations.map((message, at) => {
      const change = decodeChange(message);
      if (change !== undefined && change.type !== 'restore') return change;
      throw TesseraError.invalidField(`plan.operations[${at}]`, 'is no copy, swap, keep or drop');
    }),
    slots,
    positions,
    loads: loads.map((message, at) => {
      const change = decodeChange(message);
      if (change?.type === 'restore' || change?.type === 'copy') return change;
      throw TesseraError.invalidField(`plan.loads[${at}]`, 'is no restore or copy');
    }),
  };
}

function encodeChange(change: Change): CacheChange {
  switch (change.type) {
    case 'copy':
      return { change: { $case: 'copy', value: change } };
    case 'swap':
      return { change: { $case: 'swap', value: change } };
    case 'keep':
      return { change: { $case: 'keep', value: change } };
    case 'drop':
      return { change: { $case: 'drop', value: change.prefix } };
    case 'restore':
      return { change: { $case: 'restore', value: change } };
  }
}

function decodeChange({ change }: CacheChange): Change | undefined {
  switch (change?.$case) {
    case 'copy':
      return { type: 'copy', ...change.value };
    case 'swap':
      return { type: 'swap', ...change.value };
    case 'keep':
      return { type: 'keep', ...change.value };
    case 'drop':
      return { type: 'drop', prefix: change.value };
    case 'restore':
      return { type: 'restore', ...change.value };
    default:
      return undefined;
  }
}

export function encodeRows(rows: readonly PlannedRow[]): LayerRow[] {
  return rows.map(({ slot, position, tokenIds }) => ({ slot, position, count: tokenIds.length }));
}

/** Rows without their tokens, which a later piece does not see: what stands there came as hidden states. */
export function decodeRows(rows: readonly LayerRow[]): PlannedRow[] {
  return rows.map(({ slot, position, count }) => ({
    slot,
    position,
    tokenIds: new Array<number>(count).fill(0),
    media: [],
    wantedLogits: 0,
    wantsHidden: false,
  }));
}
