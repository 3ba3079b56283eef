import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { helm } from './support/cases.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-packages-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const packageCharts = (...args: string[]) =>
  promisify(execFile)(process.execPath, [join(root, 'scripts/package-charts.mjs'), ...args]);

const shared = [
  '--set',
  'global.model.source.pvc.claimName=demo',
  '--set-string',
  'global.model.revision=0123456789ab',
];

test('the charts are packaged under one version, which the images have too', async () => {
  const out = join(folder, 'plain');
  await packageCharts('--out', out, '--version', '1.2.3-rc.1');
  expect(readdirSync(out).sort()).toEqual(
    ['', '-connector', '-encoder', '-gateway', '-generator', '-llm']
      .map((name) => `tessera${name}-1.2.3-rc.1.tgz`)
      .sort(),
  );
  const umbrella = join(out, 'tessera-1.2.3-rc.1.tgz');
  const { stdout, status, stderr } = await helm(
    'template',
    'tessera',
    umbrella,
    ...shared,
    '--set',
    'global.nats.url=nats://nats:4222',
  );
  expect(status, stderr).toBe(0);
  const images = [...stdout.matchAll(/^ *image: (.*)$/gm)].map(([, image]) => image);
  expect(images).toHaveLength(6);
  for (const image of images) expect(image).toMatch(/^tessera-[a-z]+:1\.2\.3-rc\.1$/);

  const { stderr: refused } = await helm('template', 'tessera', umbrella, ...shared, '--set', 'nats.enabled=true');
  expect(refused).toContain('the chart of NATS is not in this copy of the chart');
});

/** A chart of the name and version that the umbrella asks for, which shows the values that it is given. */
function natsChart(): string {
  const chart = join(folder, 'nats');
  mkdirSync(join(chart, 'templates'), { recursive: true });
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: nats\nversion: 2.12.3\n');
  writeFileSync(
    join(chart, 'templates/values.yaml'),
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nats-values}\ndata: {values: {{ .Values | toJson | quote }}}\n',
  );
  return chart;
}

test('with NATS the umbrella has its chart, by condition, and finds it; a small one is refused by the sum', async () => {
  const out = join(folder, 'with-nats');
  await packageCharts('--out', out, '--with-nats', '--nats-repository', `file://${natsChart()}`);
  const template = (...set: string[]) =>
    helm('template', 'demo', join(out, 'tessera-0.1.0.tgz'), '--namespace', 'serving', ...shared, ...set);
  const without = await template('--set', 'global.nats.url=nats://elsewhere:4222');
  expect(without.stdout).not.toContain('nats-values');

  const { stdout, status, stderr } = await template(
    '--set',
    'nats.enabled=true',
    '--set',
    'encoder.autoscaling.type=keda',
  );
  expect(status, stderr).toBe(0);
  const manifests = parseAllDocuments(stdout).map((document) => document.toJS());
  const { config } = JSON.parse(manifests.find(({ metadata }) => metadata.name === 'nats-values').data.values);
  expect(config.jetstream).toMatchObject({ enabled: true, memoryStore: { enabled: true, maxSize: '2Gi' } });
  const urls = new Set(
    [...stdout.matchAll(/name: TESSERA_NATS_URL\n *value: (.*)/g)].map(([, url]) => parse(url as string)),
  );
  expect([...urls]).toEqual(['nats://demo-nats.serving.svc:4222']);
  expect(stdout).toContain('natsServerMonitoringEndpoint: demo-nats-headless.serving.svc:8222');

  const small = await template('--set', 'nats.enabled=true', '--set', 'nats.config.jetstream.memoryStore.maxSize=1Gi');
  expect(small.stderr).toMatch(/NATS is too small for the streams: .*maxSize lets it hold 1073741824 bytes/);
  const cluster = [
    '--set',
    'nats.config.cluster.enabled=true',
    '--set',
    'nats.config.jetstream.memoryStore.maxSize=500Mi',
  ];
  expect((await template('--set', 'nats.enabled=true', ...cluster)).status).toBe(0);
  const copies = await template('--set', 'nats.enabled=true', ...cluster, '--set', 'global.config.nats.replicas=3');
  expect(copies.stderr).toContain('each on 3 servers');
  const payload = await template('--set', 'nats.enabled=true', '--set', 'global.config.nats.partBytes=1048576');
  expect(payload.stderr).toContain('nats.config.merge.max_payload is 1048576 bytes, and the largest message 1081344');
});

test('without the chart of NATS packaging says what was not found', async () => {
  const wrong = join(folder, 'nats-wrong');
  mkdirSync(wrong);
  writeFileSync(join(wrong, 'Chart.yaml'), 'apiVersion: v2\nname: nats\nversion: 1.0.0\n');
  const args = ['--out', join(folder, 'none'), '--with-nats', '--nats-repository', `file://${wrong}`];
  await expect(packageCharts(...args)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('has no chart of NATS of version 2.12.3'),
  });
});
