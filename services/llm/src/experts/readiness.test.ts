// Threads run built JavaScript, so the service under test is the built one.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { Bus } from '@tessera/bus';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { llm } from '@tessera/llm';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { type RunningService, startService } from '@tessera/service';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';

let nats: NatsServer;
let folder: string;
let bus: Bus;
let dir: string;
const ending = new AbortController();

beforeAll(async () => {
  nats = await startNatsServer();
  folder = await mkdtemp(join(tmpdir(), 'tessera-readiness-'));
  dir = await demoBundleDir('float32', 'experts');
  const { revision } = (await readBundle(dir)).manifest;
  const block = (experts: readonly number[]) => [{ layers: 'all', experts }];
  const groups = { a: block([0, 2, 4, 6]), b: block([1, 3, 5, 7]) };
  await writeFile(join(folder, 'placement.json'), JSON.stringify({ revision, epoch: 1, groups }));
  bus = await Bus.connect({ url: nats.url, prefix: 'tessera', revision, name: 'test' });
  await bus.setup();
});

afterAll(async () => {
  ending.abort();
  await bus?.close();
  await nats?.stop();
  await rm(folder, { recursive: true, force: true });
});

function start(settings: Partial<Parameters<typeof startService<typeof llm.settings>>[1]>): Promise<RunningService> {
  const placed = { 'model.dir': dir, 'nats.url': nats.url, 'experts.placementFile': join(folder, 'placement.json') };
  return startService(llm, { ...placed, 'log.level': 'silent', ...settings });
}

const shard = (group: string) => start({ role: 'experts', 'experts.group': group });

async function readyz({ metricsAddress }: RunningService): Promise<string> {
  const response = await fetch(`http://${metricsAddress}/readyz`);
  return `${response.status} ${(await response.text()).trim()}`;
}

test('an engine is ready once every expert is held, and unready only when one was away for longer than it may', async () => {
  const engines = bus.watchEngines(ending.signal);
  const [patient, hasty] = await Promise.all([start({}), start({ 'experts.missingMs': 0 })]);
  const willing = () => engines.ready.map(({ status }) => status.address).sort();
  expect(await readyz(patient)).toBe('503 not ready: waiting for a shard that holds expert 0 of layer 0 and 47 others');
  await eventually(() => engines.size === 2, 'both announce themselves');
  expect(willing()).toEqual([]);
  const says = (line: string) => async () => (await patient.metrics.registry.metrics()).includes(line);
  // The health service follows the same.
  await eventually(says('tessera_ready 0'), 'the gauge says so');

  const [a, b] = [await shard('a'), await shard('b')];
  for (const engine of [patient, hasty]) {
    await eventually(async () => (await readyz(engine)) === '200 ready', 'all are held');
    expect(await engine.metrics.registry.metrics()).toContain('tessera_experts_missing 0');
  }
  await eventually(() => willing().length === 2, 'both take work');
  await eventually(says('tessera_ready 1'), 'the gauge says so');

  await b.stop();
  await eventually(async () => (await readyz(hasty)).startsWith('503'), 'one does not wait for a successor');
  expect(await readyz(hasty)).toBe('503 not ready: waiting for a shard that holds expert 1 of layer 0 and 23 others');
  await eventually(says('tessera_experts_missing 24'), 'the other one knows it too');
  await eventually(() => willing().join() === patient.grpcAddress, 'requests go to that one only');
  expect(await readyz(patient)).toBe('200 ready');

  const successor = await shard('b');
  await eventually(async () => (await readyz(hasty)) === '200 ready', 'the successor is there');
  await eventually(() => willing().length === 2, 'both take work again');
  await Promise.all([patient, hasty].map((engine) => engine.stop()));
  await Promise.all([a, successor].map((each) => each.stop()));
});
