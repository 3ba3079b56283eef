import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { LlmServiceDefinition } from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { eventually } from '@tessera/testing/async/eventually';
import { captureOutput } from '@tessera/testing/processes/capture-output';
import { root } from '@tessera/testing/repository';
import { afterEach, expect, test } from 'vitest';
import { sumMetric } from '../support/deployment.js';
import { OtlpReceiver } from '../support/otlp-receiver.js';

// A small service with the frame's whole surroundings, as a process of its own: the variables are a process's.
const script = join(root, 'packages/service/dist/testing/run-probe.js');
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Probe {
  /** Makes one call, which is a span. */
  call(): Promise<void>;
  /** A metric's value; undefined when there is none of the name. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>;
  /** Drains; gives the exit status and the log. */
  drain(): Promise<{ readonly status: number | null; readonly log: string }>;
}

/** @param flags by default spans have as long as they need at the end of a drain */
async function probe(env: NodeJS.ProcessEnv, flags = ['--traces-flush-ms', '60000']): Promise<Probe> {
  const argv = ['--model-dir', 'none', ...flags];
  const child = fork(script, argv, {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: { PATH: process.env.PATH, ...env },
  });
  children.push(child);
  const { ended } = captureOutput(child);
  const [ready] = (await once(child, 'message')) as [{ grpc: string; metrics: string }];
  return {
    async call() {
      const client = createClient(LlmServiceDefinition, ready.grpc);
      await client.describe({});
      client.close();
    },
    async metric(name, labels) {
      const text = await (await fetch(`http://${ready.metrics}/metrics`)).text();
      return text.includes(`# TYPE ${name} `) ? sumMetric(text, name, labels) : undefined;
    },
    async drain() {
      child.kill('SIGTERM');
      const { status, stdout: log } = await ended;
      return { status, log };
    },
  };
}

const quick = { OTEL_BSP_SCHEDULE_DELAY: '20' };
const spans = 'tessera_spans_total';

/** A port of this machine where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('the standard variables are heeded: endpoint for traces, headers, service name, resource', async () => {
  await using receiver = await OtlpReceiver.start();
  const service = await probe({
    ...quick,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces`,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret',
    OTEL_SERVICE_NAME: 'my-engine',
    OTEL_RESOURCE_ATTRIBUTES: 'service.namespace=mine,team=vision',
  });
  await service.call();
  await eventually(() => receiver.spans.length === 1, 'the span arrives');
  expect(receiver.spans[0]).toMatchObject({
    name: 'tessera.v1.LlmService/Describe',
    kind: 2,
    attributes: { 'rpc.system.name': 'grpc', 'rpc.status_code': 'OK' },
    resource: { 'service.name': 'my-engine', 'service.namespace': 'mine', team: 'vision', 'tessera.service': 'llm' },
  });
  expect(receiver.headers[0]?.authorization).toBe('Bearer secret');
  await eventually(async () => (await service.metric(spans, { outcome: 'exported' })) === 1, 'it is counted');
});

test('what waits for its export leaves at the end of a drain', async () => {
  await using receiver = await OtlpReceiver.start();
  const service = await probe({ OTEL_BSP_SCHEDULE_DELAY: '600000', OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  for (let call = 0; call < 3; call++) await service.call();
  expect(receiver.spans).toEqual([]);
  expect((await service.drain()).status).toBe(0);
  expect(receiver.spans).toHaveLength(3);
});

test.each([
  ['no endpoint', {}],
  ['disabled', { OTEL_SDK_DISABLED: 'true' }],
  ['another exporter', { OTEL_TRACES_EXPORTER: 'none' }],
])('off (%s): nothing is exported, and the exporter is not even made', async (why, env) => {
  await using receiver = await OtlpReceiver.start();
  const endpoint = why === 'no endpoint' ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  const service = await probe({ ...quick, ...endpoint, ...env });
  await service.call();
  expect(await service.metric(spans)).toBeUndefined();
  expect((await service.drain()).status).toBe(0);
  expect(receiver.spans).toEqual([]);
});

test('a sampler that takes none takes none', async () => {
  await using receiver = await OtlpReceiver.start();
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
  const service = await probe({ ...quick, ...endpoint, OTEL_TRACES_SAMPLER: 'always_off' });
  await service.call();
  expect((await service.drain()).status).toBe(0);
  expect(receiver.spans).toEqual([]);
});

test('a collector that is away costs spans, not calls: one warning, a count, and a drain that ends', async () => {
  const endpoint = `http://127.0.0.1:${await closedPort()}`;
  const bounds = {
    OTEL_EXPORTER_OTLP_TIMEOUT: '50',
    OTEL_BSP_MAX_QUEUE_SIZE: '2',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2',
  };
  const service = await probe({ ...quick, ...bounds, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
  for (let call = 0; call < 20; call++) await service.call();
  await eventually(async () => ((await service.metric(spans, { outcome: 'failed' })) ?? 0) > 2, 'exports fail');
  const { status, log } = await service.drain();
  expect(status).toBe(0);
  expect(log.match(/spans cannot be exported/g)).toHaveLength(1);
});

test('a collector that never answers does not hold a drain', async () => {
  await using receiver = await OtlpReceiver.start({ isHanging: true });
  const flags = ['--traces-flush-ms', '200'];
  const service = await probe({ ...quick, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }, flags);
  await service.call();
  await eventually(() => receiver.headers.length > 0, 'an export is under way');
  expect((await service.drain()).status).toBe(0);
});
