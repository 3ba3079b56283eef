import { defaultMediaLimits } from '@tessera/media';
import { loadSettings } from '@tessera/service';
import { expect, test } from 'vitest';
import { gatewaySettings } from './config.js';

function settings(...flags: string[]) {
  return loadSettings('gateway', gatewaySettings, ['--model-dir', 'models/demo', ...flags], {});
}

const invalid = expect.objectContaining({ code: 'CONFIG_INVALID' });

test.each<[flag: string, taken: number[], refused: number[]]>([
  ['--clients-max-priority', [0, 100], [-1, 101]],
  ['--requests-max-choices', [1, 1024], [0, 1025]],
  ['--requests-max-in-flight', [1], [0, 1.5]],
  ['--admission-safety', [0, 1.5], [-0.1]],
  ['--draw-max-guidance', [1, 1.5], [0.9]],
  ['--engines-wait-ms', [1], [0]],
  ['--engines-expect-ms', [0], [-1]],
])('%s may be from one limit to the other', (flag, taken, refused) => {
  for (const value of taken) expect(() => settings(`${flag}=${value}`), `${value}`).not.toThrow();
  for (const value of refused) expect(() => settings(`${flag}=${value}`), `${value}`).toThrow(invalid);
});

test.each(['--clients-key', '--engines-ca-file', '--engines-cert-file', '--engines-key-file', '--engines-server-name'])(
  '%s is left out or says something',
  (flag) => {
    expect(() => settings(`${flag}=x`)).not.toThrow();
    expect(() => settings(`${flag}=`)).toThrow(invalid);
  },
);

test('the defaults agree with each other, as their descriptions ask for', () => {
  const defaults = settings();
  expect(defaults['clients.maxRequests']).toBeLessThan(defaults['requests.maxInFlight']);
  expect(defaults['requests.maxChoices']).toBeLessThanOrEqual(defaults['clients.maxRequests']);
  expect(defaults['clients.maxHeldBytes']).toBeLessThan(defaults['media.maxHeldBytes']);
  expect(defaults['clients.maxHeldBytes']).toBeGreaterThanOrEqual(defaults['media.maxBytes']);
  expect(defaults['clients.maxUploadedBytes']).toBeGreaterThan(defaults['media.maxBytes']);
  expect(defaults['clients.maxUploadedBytes']).toBeLessThan(defaults['nats.uploadsBytes']);
  expect(defaults['engines.expectMs']).toBeGreaterThan(defaults['engines.waitMs']);
  // Nobody decodes more.
  expect(defaults['media.maxBytes']).toBeLessThanOrEqual(defaultMediaLimits.maxBytes);
  expect(defaults['media.maxPixels']).toBeLessThanOrEqual(defaultMediaLimits.maxPixels);
});
