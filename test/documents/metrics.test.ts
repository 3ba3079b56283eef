import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import '@tessera/connector';
import '@tessera/encoder';
import '@tessera/gateway';
import '@tessera/generator';
import '@tessera/llm';
import { declaredMetrics, metricsMarkdown } from '@tessera/service';
import { expect, test } from 'vitest';
import { isForTests, sourcesOf, workspaces } from '../support/imports.js';

// Whoever sets a metric declares it, and what a process has loaded it has declared: the services together have them all.
// That each is set where it says is seen in test/telemetry.
const metrics = declaredMetrics();

test('no metric is declared twice', () => {
  const names = metrics.map(({ name }) => name);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
});

test('what the sources declare is loaded with the services, so that no document lacks it', () => {
  const inSources = workspaces.flatMap((folder) =>
    sourcesOf(folder)
      .filter((file) => !isForTests(file))
      .flatMap((file) => [
        ...readFileSync(join(root, folder, 'src', file), 'utf8').matchAll(
          /(?:counter|gauge|histogram)Metric\(\s*'(\w+)'/g,
        ),
      ])
      .map(([, name]) => name),
  );
  expect(inSources.length).toBeGreaterThan(40);
  expect(inSources.toSorted()).toEqual(metrics.map(({ name }) => name).toSorted());
});

test('every name keeps the rules: prefix, base unit, _total for counters only, no request ids', () => {
  for (const { name, type, unit, labels } of metrics) {
    expect(name).toMatch(/^tessera_[a-z_]+$/);
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    if (unit === 'seconds' || unit === 'bytes' || unit === 'ratio') expect(name).toContain(`_${unit}`);
    expect(labels.join()).not.toContain('request');
  }
});

test('the document has a line for each', () => {
  for (const { name } of metrics) expect(metricsMarkdown()).toContain(`| \`${name}\` |`);
});
