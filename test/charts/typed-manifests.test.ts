import { expect, test } from 'vitest';
import type { Manifest } from './support/manifest.js';
import { soundRelease } from './support/sound-release.js';
import { invalid, mistyped } from './support/typed-manifests.js';

const { manifests } = soundRelease();
const changed = (kind: string, change: object): Manifest =>
  ({ ...manifests.find((each) => each.kind === kind), ...change }) as Manifest;

test('a sound release is valid and well typed', async () => {
  expect((await Promise.all(manifests.map(invalid))).flat()).toEqual([]);
  expect(await mistyped(new Map([['sound', manifests]]))).toEqual([]);
});

test('a kind that no chart may render is refused', async () => {
  const pod = changed('Service', { kind: 'Pod' });
  const old = changed('Deployment', { apiVersion: 'apps/v1beta1' });
  expect(await invalid(pod)).toEqual(['Pod demo-engine: v1 Pod is no kind that charts may render']);
  expect(await invalid(old)).toEqual([
    'Deployment demo-encoder: apps/v1beta1 Deployment is no kind that charts may render',
  ]);
});

test('what is missing or of a wrong type is invalid', async () => {
  const service = changed('Service', { spec: { ports: [{ port: 'grpc' }] } });
  const budget = changed('PodDisruptionBudget', { spec: { selector: 'all' } });
  expect((await invalid(service)).join()).toContain('port must be integer');
  expect((await invalid(budget)).join()).toContain('selector must be object');
});

test('a field that a kind has not is mistyped, and said with its case, its object and its line', async () => {
  const misspelt = changed('PodDisruptionBudget', { spec: { minAvailabel: 1, selector: {} } });
  const cases = new Map([
    ['good', manifests],
    ['bad', [...manifests, misspelt]],
  ]);
  const [fault = '', ...others] = await mistyped(cases);
  expect(others).toEqual([]);
  expect(fault).toMatch(/^bad: PodDisruptionBudget demo-engine: .*minAvailabel.* \(at "minAvailabel": 1,\)$/);
});
