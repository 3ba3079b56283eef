import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { beforeAll, expect, test } from 'vitest';
import { ExpertSet } from './expert-set.js';
import { parsePlacement, readPlacement } from './placement.js';

let bundle: Bundle;
let revision = '';

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  revision = bundle.manifest.revision;
});

const even = { layers: 'all', experts: [0, 2, 4, 6] };
const odd = { layers: 'all', experts: [1, 3, 5, 7] };

test('says who holds what, some of it several', () => {
  const hot = { layers: [2, 3], experts: [5] };
  const placement = parsePlacement(
    { revision, epoch: 4, engine: [hot], groups: { a: [even, hot], b: [odd] } },
    bundle,
    'p',
  );
  expect(placement.epoch).toBe(4);
  expect(placement.groupsOf({ layer: 2, expert: 5 })).toEqual(['a', 'b']);
  expect(placement.groupsOf({ layer: 1, expert: 5 })).toEqual(['b']);
  expect(placement.engine.has({ layer: 3, expert: 5 })).toBe(true);
  expect([...placement.engine]).toEqual([
    { layer: 2, expert: 5 },
    { layer: 3, expert: 5 },
  ]);
  expect([...(placement.groups.get('a') ?? [])]).toHaveLength(6 * 4 + 2);
});

test.each<[string, () => unknown, RegExp]>([
  ['another revision', () => ({ revision: '0123456789ab', epoch: 1, groups: {} }), /is for revision 0123456789ab/],
  ['no epoch', () => ({ revision, groups: {} }), /epoch/],
  ['a field that is unknown', () => ({ revision, epoch: 1, groups: {}, shards: [] }), /shards/],
  ['a layer that is unknown', () => placing([even, odd, { layers: [6], experts: [0] }]), /names layer 6.* in groups.a/],
  ['an expert that is unknown', () => placing([even, odd, { layers: [1], experts: [8] }]), /names expert 8, of 8/],
  [
    'experts left to nobody',
    () => placing([even, { ...odd, layers: [0, 1, 2, 3, 4] }]),
    /leaves 4 .* expert 1 of layer 5/,
  ],
  ['a group’s name', () => ({ revision, epoch: 1, groups: { 'a b': [even, odd] } }), /groups\["a b"/],
])('%s is refused', (_, value, message) => {
  expect(() => parsePlacement(value(), bundle, 'p')).toThrow(message);
});

function placing(blocks: unknown): unknown {
  return { revision, epoch: 1, groups: { a: blocks } };
}

test('what is not JSON is refused by the name of the file; a bundle without pieces by how to compile it', async () => {
  expect(() => readPlacement('/etc/p.json', '{', bundle)).toThrow('/etc/p.json is not JSON');
  const whole = await readBundle(await demoBundleDir(), ['llm']);
  const of = { revision: whole.manifest.revision, epoch: 1, groups: {} };
  expect(() => parsePlacement(of, whole, 'p')).toThrow('--cut experts');
});

test('a set as bits, and back', () => {
  const cut = bundle.manifest.llm.experts;
  if (cut === undefined) throw new Error('the bundle has no pieces');
  const places = [
    { layer: 0, expert: 0 },
    { layer: 3, expert: 7 },
    { layer: 5, expert: 1 },
  ];
  const set = ExpertSet.of(cut, places);
  expect([...new ExpertSet(cut, set.toBytes())]).toEqual(places);
  expect([...set.toBytes()]).toEqual([1, 0, 0, 128, 0, 2]);
  set.delete({ layer: 3, expert: 7 });
  for (const place of [
    { layer: 3, expert: 7 },
    { layer: 6, expert: 0 },
    { layer: 0, expert: 8 },
  ])
    expect(set.has(place)).toBe(false);
});
