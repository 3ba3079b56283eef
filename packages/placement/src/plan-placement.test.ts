import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { diffPlacements } from './diff-placements.js';
import { loadsOf } from './expert-load.js';
import type { ModelExperts, Placement, PlacementNode, RoutingCounts } from './model-experts.js';
import { planPlacement } from './plan-placement.js';
import { syntheticCounts } from './routing-counts.js';

const model = (layers: number, perLayer: number): ModelExperts => ({
  layers: Array.from({ length: layers }, (_, layer) => layer),
  perLayer,
  expertBytes: 10,
});

/** @param room experts that each node holds */
const nodes = (...room: number[]): PlacementNode[] =>
  room.map((experts, n) => ({ name: `n${n}`, memoryBytes: experts * 10 + 9, speed: 1 }));

function check(
  placement: Placement,
  { layers, perLayer, expertBytes }: ModelExperts,
  on: readonly PlacementNode[],
): void {
  for (const layer of layers.keys()) {
    const held = on.flatMap(({ name }) => placement.get(name)?.[layer] ?? []);
    expect(new Set(held)).toEqual(new Set(Array.from({ length: perLayer }, (_, expert) => expert)));
  }
  for (const { name, memoryBytes } of on) {
    const held = placement.get(name) ?? [];
    for (const experts of held) expect(experts).toEqual([...new Set(experts)].sort((a, b) => a - b));
    expect(held.flat().length * expertBytes).toBeLessThanOrEqual(memoryBytes);
  }
}

test('experts that are chosen alike lie evenly, each once', () => {
  const [shape, on] = [model(2, 8), nodes(8, 8)];
  const counts = [new Array(8).fill(5), new Array(8).fill(5)];
  const placement = planPlacement({ model: shape, nodes: on, counts });
  check(placement, shape, on);
  expect([...placement.values()].flat().flat()).toHaveLength(16);
  expect(loadsOf(placement, { model: shape, nodes: on, counts })).toMatchObject({ imbalance: 0, worstImbalance: 0 });
});

test('a hot expert gets copies, and no more than are needed', () => {
  const [shape, on] = [model(1, 4), nodes(4, 4)];
  const counts = [[90, 4, 3, 3]];
  const placement = planPlacement({ model: shape, nodes: on, counts });
  check(placement, shape, on);
  expect([...placement.values()].filter(([held]) => held?.includes(0))).toHaveLength(2);
  expect([...placement.values()].flat().flat()).toHaveLength(5);
  const load = loadsOf(placement, { model: shape, nodes: on, counts });
  expect(load.worstImbalance).toBeLessThan(0.1001);
  expect(load.shares.get('n0')).toBeCloseTo(0.5, 1);
});

test('without memory for copies the hot one stays alone, and what can be even is', () => {
  const [shape, on] = [model(1, 4), nodes(2, 2)];
  const placement = planPlacement({ model: shape, nodes: on, counts: [[90, 4, 3, 3]] });
  check(placement, shape, on);
  // One other expert must lie beside it: one of those chosen least.
  expect([...placement.values()].map(([held]) => held)).toContainEqual([0, expect.toBeOneOf([2, 3])]);
});

test('a node that is twice as fast gets twice as much', () => {
  const shape = model(3, 16);
  const on = [
    { name: 'slow', memoryBytes: 1000, speed: 1 },
    { name: 'fast', memoryBytes: 1000, speed: 2 },
  ];
  const counts = syntheticCounts(shape, 0.8, 3);
  const placement = planPlacement({ model: shape, nodes: on, counts });
  const load = loadsOf(placement, { model: shape, nodes: on, counts });
  expect(load.worstImbalance).toBeLessThan(0.1001);
  expect(load.shares.get('fast')).toBeCloseTo(2 / 3, 1);
});

test.each([
  ['Mixtral on two nodes', model(32, 8), 2, 1.5],
  ['Qwen3-MoE on four', model(48, 128), 4, 1.25],
  ['64 experts on eight', model(24, 64), 8, 1.5],
  ['256 experts on sixteen', model(58, 256), 16, 1.25],
])('%s: with room for copies every layer is even within a tenth', (_, shape, count, spare) => {
  const experts = Math.ceil((shape.layers.length * shape.perLayer * spare) / count);
  const on = nodes(...new Array(count).fill(experts));
  const counts = syntheticCounts(shape, 1, 7);
  const request = { model: shape, nodes: on, counts };
  const placement = planPlacement(request);
  check(placement, shape, on);
  expect(loadsOf(placement, request).worstImbalance).toBeLessThan(0.1001);
});

test('whatever is asked for, every expert is placed and no memory is exceeded', () => {
  const random = seededRandom(5);
  const pick = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  for (let round = 0; round < 60; round++) {
    const shape = model(pick(1, 6), pick(2, 24));
    const needed = shape.layers.length * shape.perLayer;
    const on = nodes(...Array.from({ length: pick(1, 6) }, () => pick(0, needed)));
    const counts: RoutingCounts = shape.layers.map(() =>
      Array.from({ length: shape.perLayer }, () => (pick(0, 3) === 0 ? 0 : pick(0, 1000))),
    );
    const room = on.reduce((sum, { memoryBytes }) => sum + Math.floor(memoryBytes / 10), 0);
    const plan = () => planPlacement({ model: shape, nodes: on, counts });
    if (room < needed) {
      expect(plan).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(`${room}`) }),
      );
      continue;
    }
    const placement = plan();
    check(placement, shape, on);
    // From there on, with other counts: still whole.
    const later = planPlacement({ model: shape, nodes: on, counts: counts.toReversed(), current: placement });
    check(later, shape, on);
  }
});

test('what may stay stays: the same counts move nothing, others little, a lost node the least part', () => {
  const shape = model(8, 16);
  const on = nodes(48, 48, 48, 48);
  const counts = syntheticCounts(shape, 0.9, 1);
  const first = planPlacement({ model: shape, nodes: on, counts });
  const same = planPlacement({ model: shape, nodes: on, counts, current: first });
  expect(diffPlacements(first, same, shape)).toEqual([]);
  // One expert becomes the hottest of its layer.
  const shifted = counts.map((layer, at) =>
    at === 3 ? layer.map((count, e) => (e === 5 ? 2_000_000 : count)) : layer,
  );
  const adapted = planPlacement({ model: shape, nodes: on, counts: shifted, current: first });
  expect(loadsOf(adapted, { model: shape, nodes: on, counts: shifted }).worstImbalance).toBeLessThan(0.1001);
  const changes = diffPlacements(first, adapted, shape).flatMap(({ adds, drops }) => [...adds, ...drops]);
  expect(changes.length).toBeGreaterThan(0);
  expect(new Set(changes.map(({ layer }) => layer))).toEqual(new Set([3]));
  const left = on.slice(1);
  const without = planPlacement({ model: shape, nodes: left, counts, current: first });
  check(without, shape, left);
  const loaded = diffPlacements(first, without, shape).reduce((sum, { loadBytes }) => sum + loadBytes, 0);
  expect(loaded / shape.expertBytes).toBeLessThan((8 * 16) / 4);
});

test('counts of another model are refused', () => {
  const plan = () => planPlacement({ model: model(2, 4), nodes: nodes(8), counts: [[1, 2, 3, 4]] });
  expect(plan).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(/1 layers.*2 layers/) }),
  );
});
