import { errorTable } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { describeErrors, errorsMarkdown } from '../describe-errors.js';
import { describeMetrics, metricsMarkdown } from './describe-metrics.js';
import { Metrics } from './metrics.js';

test('every name keeps the rules: prefix, base unit, _total for counters only, no request ids', () => {
  for (const { name, type, unit, labels, buckets } of describeMetrics()) {
    expect(name).toMatch(/^tessera_[a-z_]+$/);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (unit === 'seconds' || unit === 'bytes' || unit === 'ratio') expect(name).toContain(`_${unit}`);
    expect(buckets !== undefined, name).toBe(type === 'histogram');
    expect(labels.join()).not.toContain('request');
  }
});

test('asking for a metric twice gives the same one, and a registry shows only what was asked for', async () => {
  const metrics = new Metrics();
  metrics.counter('tessera_tiles_total').inc({ stage: 'encoder' }, 2);
  metrics.counter('tessera_tiles_total').inc({ stage: 'encoder' });
  const text = await metrics.registry.metrics();
  expect(text).toContain('tessera_tiles_total{stage="encoder"} 3');
  expect(text).not.toContain('tessera_decode_tokens_total');
});

test('the documents have a line for each metric and each error', () => {
  for (const { name } of describeMetrics()) expect(metricsMarkdown()).toContain(`| \`${name}\` |`);
  expect(describeErrors().map((row) => row.code)).toEqual(Object.keys(errorTable));
  for (const { code, whatToDo } of describeErrors()) {
    expect(errorsMarkdown()).toMatch(new RegExp(`\\| \`${code}\` \\|.*\\|`));
    expect(errorsMarkdown()).toContain(whatToDo);
  }
});
