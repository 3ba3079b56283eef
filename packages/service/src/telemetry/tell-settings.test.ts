import { expect, test } from 'vitest';
import { z } from 'zod';
import { setting } from '../settings/setting.js';
import { Metrics } from './metrics.js';
import { tellSettings } from './tell-settings.js';

test('numbers are told under their names; secrets, texts and what is not set are not', async () => {
  const description = 'Something.';
  const schema = {
    'jobs.slots': setting(z.int(), { default: 8, description }),
    'kv.maxBytes': setting(z.int().optional(), { description }),
    'grpc.host': setting(z.string(), { default: '127.0.0.1', description }),
    pin: setting(z.int(), { default: 1234, description, secret: true }),
  };
  const metrics = new Metrics();
  tellSettings(metrics, schema, { 'jobs.slots': 16, 'kv.maxBytes': undefined, 'grpc.host': '::1', pin: 4321 });
  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(lines).toEqual(['tessera_setting{name="jobs.slots"} 16']);
});
