import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { cases, chartNames, helm } from './support/cases.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-charts-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const chartFile = (name: string) => parse(readFileSync(join(root, 'deploy/charts', name, 'Chart.yaml'), 'utf8'));

test.each(['library', ...chartNames()])('the chart %s has the version of the code, and takes others of it', (name) => {
  const { version: own, appVersion, dependencies = [] } = chartFile(name);
  expect({ own, appVersion }).toEqual({ own: version, appVersion: version });
  const ours = (dependencies as { repository?: string; version: string }[]).filter(({ repository }) =>
    repository?.startsWith('file://'),
  );
  for (const each of ours) expect(each.version).toBe(version);
});

test.each(chartNames())('the chart %s is packed whole: the package renders what the folder does', async (name) => {
  const packed = await helm('package', `deploy/charts/${name}`, '--destination', folder);
  expect(packed).toMatchObject({ status: 0 });
  const archive = join(folder, `${chartFile(name).name}-${version}.tgz`);
  const values = cases.find(({ chart }) => chart === `deploy/charts/${name}`)?.values ?? '';
  const render = (chart: string) => helm('template', 'packed', chart, '--values', values);
  expect(await render(archive)).toMatchObject({ status: 0, stdout: (await render(`deploy/charts/${name}`)).stdout });
});

test('the rendered examples are those of the charts as they are', async () => {
  const { status, stderr } = await runCommand(process.execPath, ['scripts/render-charts.mjs', '--check']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
