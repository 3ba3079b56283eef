import { errorTable } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { describeErrors, errorsMarkdown } from '../describe-errors.js';
import { counterMetric, gaugeMetric } from './metric.js';
import { Metrics } from './metrics.js';

const eaten = counterMetric('tessera_apples_eaten_total', {
  unit: 'count',
  help: 'Apples eaten.',
  labels: ['kind'],
  from: 'nobody',
});
const drunk = counterMetric('tessera_apples_drunk_total', { unit: 'count', help: 'As juice.', from: 'nobody' });

test('asking for a metric twice gives the same one, and a registry shows only what was asked for', async () => {
  const metrics = new Metrics();
  metrics.counter(eaten).inc({ kind: 'red' }, 2);
  metrics.counter(eaten).inc({ kind: 'red' });
  const text = await metrics.registry.metrics();
  expect(text).toContain('tessera_apples_eaten_total{kind="red"} 3');
  expect(text).not.toContain(drunk.name);
});

const ripe = gaugeMetric('tessera_apples_ripe', { unit: 'count', help: 'Apples on the tree.', from: 'nobody' });

test('a gauge that is set when somebody looks is never old', async () => {
  const metrics = new Metrics();
  let onTree = 1;
  metrics.gaugeAtScrape(ripe, async (gauge) => {
    await Promise.resolve();
    gauge.set(onTree);
  });
  expect(await metrics.registry.metrics()).toContain('tessera_apples_ripe 1');
  onTree = 7;
  expect(await metrics.registry.metrics()).toContain('tessera_apples_ripe 7');
});

test('a label that was not declared, and a metric of another type, do not compile', () => {
  const metrics = new Metrics();
  // @ts-expect-error: the label is `kind`
  expect(() => metrics.counter(eaten).inc({ colour: 'red' })).toThrow();
  // @ts-expect-error: it has no labels
  expect(() => metrics.counter(drunk).inc({ kind: 'red' })).toThrow();
  // @ts-expect-error: it is a counter
  metrics.gauge(eaten);
  // @ts-expect-error: counters end in _total
  counterMetric('tessera_apples', { unit: 'count', help: '', from: '' });
});

test('the document has a line for each error', () => {
  expect(describeErrors().map((row) => row.code)).toEqual(Object.keys(errorTable));
  for (const { code, whatToDo } of describeErrors()) {
    expect(errorsMarkdown()).toMatch(new RegExp(`\\| \`${code}\` \\|.*\\|`));
    expect(errorsMarkdown()).toContain(whatToDo);
  }
});
