import type { PlacementFile } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { placementFromText, placementManifest } from './config-map.js';

const invalid = (why: string): TesseraError => new TesseraError('CONFIG_INVALID', why);
const placement: PlacementFile = {
  revision: '0123456789ab',
  epoch: 3,
  engine: [],
  groups: { warm: [{ layers: 'all', experts: [0, 1] }] },
};
const options = { configmap: 'placement', namespace: 'serving', labels: { team: 'a' } };

test.each(['yaml', 'json'] as const)('a placement goes into a ConfigMap and comes out of it: %s', (form) => {
  const text = placementManifest(placement, options, form);
  expect(placementManifest(placement, options, form)).toBe(text);
  expect(parse(text)).toMatchObject({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'placement',
      namespace: 'serving',
      labels: { team: 'a', 'app.kubernetes.io/component': 'placement' },
      annotations: { 'tessera/epoch': '3' },
    },
  });
  expect(placementFromText(text, invalid)).toEqual(placement);
});

test('one that is larger than a ConfigMap may be is refused, with what to do', () => {
  const experts = Array.from({ length: 250_000 }, (_, n) => n);
  const large = { ...placement, groups: { warm: [{ layers: [1], experts }] } };
  expect(() => placementManifest(large, options, 'yaml')).toThrow(/holds 1048576: plan fewer copies/);
});

test.each([
  ['another manifest', 'kind: Secret\ndata: {placement.json: ""}', 'no ConfigMap'],
  ['a ConfigMap of something else', 'kind: ConfigMap\ndata: {a: b}', 'a key placement.json'],
  ['no placement', 'kind: ConfigMap\ndata: {placement.json: "{}"}', 'is wrong'],
  ['no JSON', '{', 'not JSON'],
])('%s is refused', (_, text, why) => {
  expect(() => placementFromText(text, invalid)).toThrow(why);
});
