import { maxBytesOf } from '@tessera/protocol';
import type { Settings } from '@tessera/service';
import { expect, test } from 'vitest';
import { busLimits, credentialsFrom, type NatsSettings, natsSettings } from './nats-settings.js';

type Key = keyof NatsSettings;
const keys = Object.keys(natsSettings) as Key[];

const takes = (key: Key, value: unknown): boolean => natsSettings[key].schema.safeParse(value).success;

/** Every setting as it is where nobody gives one, but for these. */
function settingsWith(given: Partial<Record<Key, unknown>>): Settings<NatsSettings> {
  const defaults = keys.map((key) => [key, natsSettings[key].default]);
  return { ...Object.fromEntries(defaults), ...given } as Settings<NatsSettings>;
}

test.each(keys)('%s takes its own default and example', (key) => {
  const { default: byDefault, example } = natsSettings[key];
  expect(takes(key, byDefault)).toBe(true);
  if (example !== undefined) expect(takes(key, example)).toBe(true);
});

const none = Number.MAX_SAFE_INTEGER;

test.each([
  ['nats.waitMs', 1, none],
  ['nats.partBytes', 1024, none],
  ['nats.shards', 1, 256],
  ['nats.replicas', 1, 5],
  ['nats.maxJobs', 1, none],
  ...keys
    .filter((key) => /^nats\.(?!part|maxTensor|maxPending)\w+Bytes$/.test(key))
    .map((key) => [key, 65_536, none] as const),
  ['nats.uploadMs', 1000, none],
  ['nats.queueWaitMs', 1, none],
  ['nats.ackWaitMs', 1000, none],
  ['nats.stallMs', 1000, none],
  ['nats.maxDeliveries', 1, 100],
  ['nats.maxTensorBytes', 1, none],
  ['nats.maxPendingBytes', 1, none],
  ['nats.revisionIdleMs', 60_000, none],
] as const)('%s is an integer from %i to %i', (key, least, most) => {
  expect([least, most, least - 1, most + 1, least + 0.5].map((value) => takes(key, value))).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('each limit of the bus is that of the setting of its name', () => {
  const names = ['partBytes', 'shards', 'replicas', 'maxJobs', 'uploadMs', 'queueWaitMs', 'ackWaitMs', 'stallMs'];
  names.push('maxDeliveries', 'maxTensorBytes', 'maxPendingBytes', 'revisionIdleMs');
  const wanted = Object.fromEntries(names.map((name, index) => [name, 1000 + index]));
  const given = Object.fromEntries(names.map((name) => [`nats.${name}`, wanted[name]]));
  const bytes = { 'nats.visualTokensBytes': 70_001, 'nats.encodeBytes': 70_002, 'nats.uploadsBytes': 70_003 };
  expect(busLimits(settingsWith({ ...given, ...bytes }), 77)).toEqual({
    ...wanted,
    maxDeadlineMs: 77,
    maxBytes: {
      ...maxBytesOf(({ maxBytes }) => maxBytes),
      visual_tokens: 70_001,
      encode: 70_002,
      uploads: 70_003,
    },
  });
});

test('what proves a service to NATS is what its settings name; TLS is required where they say so', () => {
  const names = ['user', 'passwordFile', 'tokenFile', 'nkeyFile', 'credentialsFile', 'caFile', 'certFile', 'keyFile'];
  const wanted = Object.fromEntries([...names, 'serverName'].map((name) => [name, `of ${name}`]));
  const given = Object.fromEntries(Object.entries(wanted).map(([name, value]) => [`nats.${name}`, value]));
  expect(credentialsFrom(settingsWith(given))).toEqual({ ...wanted, requireTls: false });
  expect(credentialsFrom(settingsWith({ ...given, 'nats.tls': 'require' }))).toEqual({ ...wanted, requireTls: true });
  expect(Object.values(credentialsFrom(settingsWith({}))).filter(Boolean)).toEqual([]);
});
