import { expect, test } from 'vitest';
import { chart } from './support/charts.js';
import { Namespace } from './support/namespace.js';

const set = (values: Readonly<Record<string, string>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]);

const minimal = { 'nats.url': 'nats://nats:4222', 'model.source.pvc.claimName': 'model' };
const credentials = { 'nats.existingSecret': 'nats-encoder', 'nats.secretKeys.token': 'token' };

test('a Secret that is not there, or lacks its key, is said by helm install, and nothing is made', async () => {
  await using namespace = await Namespace.create('secrets');
  const install = (...more: readonly string[]): Promise<string> =>
    namespace.helm(['install', 'encoder', chart('encoder'), ...set(minimal), ...set(credentials), ...more]);

  await expect(install()).rejects.toThrow(
    'nats.existingSecret names the Secret nats-encoder, and the namespace secrets has none',
  );
  await namespace.kubectl(['create', 'secret', 'generic', 'nats-encoder', '--from-literal=tokne=abc']);
  await expect(install()).rejects.toThrow(
    'nats.existingSecret names the Secret nats-encoder, which has no key token; it has tokne',
  );
  expect(await namespace.kubectl(['get', 'deployments', '--output=name'])).toBe('');

  await namespace.kubectl(['delete', 'secret', 'nats-encoder']);
  await namespace.kubectl(['create', 'secret', 'generic', 'nats-encoder', '--from-literal=token=abc']);
  expect(await install()).toContain('STATUS: deployed');
});

test('a Secret that something makes later holds nothing up where the values say so', async () => {
  await using namespace = await Namespace.create('secrets-later');
  const told = await namespace.helm([
    ...['install', 'encoder', chart('encoder'), '--set', 'checkSecrets=false'],
    ...set({ ...minimal, ...credentials }),
  ]);
  expect(told).toContain('STATUS: deployed');
});
