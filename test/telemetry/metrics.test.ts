import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { type ServiceName, serviceNames } from '@tessera/cli';
import { generateQueue, Subjects } from '@tessera/protocol';
import { declaredMetrics } from '@tessera/service';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type AskOptions, ask, type Turn } from '../support/ask.js';
import { atRest } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { type Dashboard, dashboardQueries, type Rules } from '../support/monitoring-files.js';
import { signal } from '../support/processes.js';
import { selectors } from '../support/promql.js';

let deployment: Deployment;
/** The stream of drawings that wait. */
let queue: string;

beforeAll(async () => {
  // Spans have a metric too. Nobody listens there: what is lost is counted.
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:9';
  process.env.OTEL_EXPORTER_OTLP_TIMEOUT = '50';
  deployment = await deploy({ flags: { generator: ['--batch-max', '1'] } });
  const { manifest } = await readBundle(deployment.bundleDir);
  queue = new Subjects('tessera', manifest.revision).queue(generateQueue);
});

afterAll(() => deployment?.stop());

const drawing: readonly Turn[] = [{ says: ['Draw a red apple on a blue background.'] }];
const seeing: readonly Turn[] = [
  { says: [samplePicture('apple'), 'What is this?'] },
  { role: 'assistant', says: ['This is a red apple.'] },
  ...drawing,
];

/** A drawing under way, and how to leave it. */
function beginDrawing(options: AskOptions): { leave(): void; left: Promise<unknown> } {
  const controller = new AbortController();
  const left = ask(deployment.gateway, drawing, { ...options, signal: controller.signal }).catch((reason) => reason);
  return { leave: () => controller.abort(), left };
}

const metric = (service: ServiceName, name: string, labels?: Record<string, string>) =>
  deployment.metric(service, name, labels);

test('each metric is had by the services that its declaration says, and by no others', async () => {
  await ask(deployment.gateway, seeing, { draw: { steps: 2 } });
  const names = new Map<string, string[]>();
  for (const service of serviceNames) {
    const response = await fetch(`http://${deployment.stack.address(service)?.metrics}/metrics`);
    for (const [, name = ''] of (await response.text()).matchAll(/^# TYPE (\S+) /gm)) {
      names.set(name, [...(names.get(name) ?? []), service]);
    }
  }
  for (const { name, from } of declaredMetrics()) {
    const expected = from === 'every service' ? [...serviceNames] : from.split(', ');
    expect([...(names.get(name) ?? [])].sort(), name).toEqual(expected.sort());
  }
});

test('what alerts, dashboard and the document of monitoring name is there, with the labels that they look for', async () => {
  await ask(deployment.gateway, seeing, { draw: { steps: 2 } });
  const texts = await Promise.all(
    serviceNames.map(async (service) => {
      const response = await fetch(`http://${deployment.stack.address(service)?.metrics}/metrics`);
      return response.text();
    }),
  );
  const lines = texts.flatMap((text) => text.split('\n'));
  const types = lines.flatMap((line) => /^# TYPE (\S+) /.exec(line)?.[1] ?? []);
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  const named = read('docs/monitoring.md').match(/tessera_[a-z_]+/g) ?? [];
  const plain = (name: string) => (types.includes(name) ? name : name.replace(/_(bucket|sum|count)$/, ''));
  expect(named.map(plain).filter((name) => !types.includes(name))).toEqual([]);
  // The model server protocol asks for gauges.
  for (const name of ['requests_waiting', 'requests_running', 'kv_cache_usage_ratio', 'gateway_requests']) {
    expect(lines).toContain(`# TYPE tessera_${name} gauge`);
  }
  expect(lines).toContain('tessera_gateway_requests{state="queued"} 0');

  const { groups } = parse(read('deploy/monitoring/alerts.yaml')) as Rules;
  const queries = [
    ...groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
    ...dashboardQueries(JSON.parse(read('deploy/monitoring/dashboard.json')) as Dashboard).map(([, expr]) => expr),
  ];
  // Seen only where something fails, or where the model is shared out: other tests have these.
  const rare = /exhausted|RESOURCE_EXHAUSTED|STAGE_UNAVAILABLE|^OK$|^experts|tessera_v/;
  const unseen = queries.flatMap(selectors).flatMap(({ metric: name, matchers }) =>
    matchers
      .filter(({ label, op, value }) => label !== 'namespace' && !op.startsWith('!') && !rare.test(value))
      .filter(({ label, op, value }) => {
        const wanted = new RegExp(`^${name}{.*\\b${label}="${op === '=' ? value : `(?:${value})`}"`);
        return !lines.some((line) => wanted.test(line));
      })
      .map(({ label, op, value }) => `${name}{${label}${op}"${value}"}`),
  );
  expect(unseen).toEqual([]);
});

test('a queue whose stage stands still ages, its stream holds bytes, and both are 0 again when it goes on', async () => {
  signal(deployment, 'generator', 'SIGSTOP');
  let answer: Promise<unknown> | undefined;
  try {
    answer = ask(deployment.gateway, drawing, { draw: { steps: 2 } });
    answer.catch(() => undefined);
    await eventually(
      async () =>
        (await metric('gateway', 'tessera_queue_oldest_seconds', { kind: 'generate' })) > 2 &&
        (await metric('gateway', 'tessera_stream_bytes', { stream: queue })) > 0 &&
        (await metric('gateway', 'tessera_stream_messages', { stream: queue })) === 1,
      'the job ages on its stream',
    );
  } finally {
    signal(deployment, 'generator', 'SIGCONT');
  }
  const used = await metric('gateway', 'tessera_stream_bytes', { stream: queue });
  expect(await metric('gateway', 'tessera_stream_max_bytes', { stream: queue })).toBeGreaterThan(used);
  await answer;
  await eventually(
    async () =>
      (await metric('gateway', 'tessera_queue_oldest_seconds')) === 0 &&
      (await metric('gateway', 'tessera_stream_bytes', { stream: queue })) === 0,
    'nothing is left',
  );
});

test('drawings that wait for a place in the batch are seen, and what was drawn for those who left is counted', async () => {
  // On a busy machine six of them are not drawn within the usual deadline, and the last would be refused at the door.
  const drawings = Array.from({ length: 6 }, () => beginDrawing({ draw: { steps: 200 }, timeoutMs: 600_000 }));
  await eventually(async () => (await metric('generator', 'tessera_drawings_waiting')) >= 2, 'two wait for the one');
  const stepsBefore = await metric('generator', 'tessera_denoise_steps_total');
  await eventually(
    async () => (await metric('generator', 'tessera_denoise_steps_total')) > stepsBefore + 2,
    'one is being drawn',
  );
  for (const { leave } of drawings) leave();
  await Promise.all(drawings.map(({ left }) => left));
  await atRest(deployment);
  expect(await metric('generator', 'tessera_drawings_waiting')).toBe(0);
  expect(
    await metric('generator', 'tessera_wasted_seconds_total', { stage: 'generator', reason: 'cancelled' }),
  ).toBeGreaterThan(0);
});
