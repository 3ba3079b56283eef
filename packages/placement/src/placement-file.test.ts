import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import {
  formatPlacement,
  type PlacementFile,
  parsePlacementFile,
  placementFileOf,
  placementOf,
} from './placement-file.js';
import { planPlacement } from './plan-placement.js';
import { syntheticCounts } from './routing-counts.js';

const model = { layers: [1, 3, 4], perLayer: 8, expertBytes: 10 };
const invalid = (why: string): TesseraError => new TesseraError('CONFIG_INVALID', why);

test('what is written is read as it was, in few words', () => {
  const nodes = ['engine', 'a', 'b'].map((name) => ({ name, memoryBytes: 200, speed: 1 }));
  const placement = planPlacement({ model, nodes, counts: syntheticCounts(model, 1, 2) });
  const text = formatPlacement(placementFileOf(placement, { revision: 'abc', epoch: 4, model }));
  const file = parsePlacementFile(text, invalid);
  expect(file).toMatchObject({ revision: 'abc', epoch: 4 });
  expect(Object.keys(file.groups)).toEqual(['a', 'b']);
  expect(placementOf(file, model)).toEqual(placement);

  const everything = new Map([['a', model.layers.map(() => [0, 1, 2, 3, 4, 5, 6, 7])]]);
  const { groups } = placementFileOf(everything, { revision: 'r', epoch: 1, model });
  expect(groups).toEqual({ a: [{ layers: 'all', experts: 'all' }] });
  for (const groups of [{}, { a: [] }] as PlacementFile['groups'][]) {
    const file: PlacementFile = { revision: 'r', epoch: 1, engine: [{ layers: [1], experts: [0, 2] }], groups };
    expect(parsePlacementFile(formatPlacement(file), invalid)).toEqual(file);
  }
});

test('a placement of 94 layers of 128 experts, each of them twice, is well below what a ConfigMap holds', () => {
  const large = { layers: Array.from({ length: 94 }, (_, n) => n), perLayer: 128, expertBytes: 10 };
  const nodes = Array.from({ length: 16 }, (_, n) => ({ name: `node-${n}`, memoryBytes: 94 * 16 * 10, speed: 1 }));
  const placement = planPlacement({ model: large, nodes, counts: syntheticCounts(large, 1, 2) });
  const text = formatPlacement(placementFileOf(placement, { revision: '0123456789ab', epoch: 1, model: large }));
  expect(text.length).toBeLessThan(2 ** 18);
});

test.each([
  ['{', 'not JSON'],
  ['{"revision":"a","epoch":0,"groups":{}}', 'epoch'],
  ['{"revision":"a","epoch":1,"groups":{"a b":[]}}', 'a b'],
  ['{"revision":"a","epoch":1,"groups":{},"group":{}}', 'group'],
])('%s is refused', (text, why) => {
  expect(() => parsePlacementFile(text, invalid)).toThrow(
    expect.objectContaining({ message: expect.stringContaining(why) }),
  );
});
