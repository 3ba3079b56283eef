import { deferred } from '@tessera/testing/async/deferred';
import { createChannel, createClient, Status } from 'nice-grpc';
import { HealthDefinition } from 'nice-grpc-server-health';
import { expect, test } from 'vitest';
import { startService } from '../service/start-service.js';
import { steadyPort } from '../steady-port.js';
import { memoryLog } from '../testing/memory-log.js';
import { probeService } from '../testing/probe-service.js';
import { ask, startProbe } from '../testing/start-probe.js';

const [serving, notServing, unknown] = [1, 2, 3];

test('SERVING only once the service is ready; NOT_SERVING while it drains', async () => {
  const { promise: ready, resolve: becomeReady } = deferred();
  const port = await steadyPort();
  const starting = startService(
    probeService([], { ready }),
    { 'model.dir': 'none', 'grpc.port': port },
    { log: memoryLog().log },
  );
  const channel = createChannel(`127.0.0.1:${port}`);
  const health = createClient(HealthDefinition, channel);
  const early = () => health.check({ service: '' }).catch(() => undefined);
  await expect.poll(early).toMatchObject({ status: notServing });

  const seen: number[] = [];
  const watching = (async () => {
    for await (const { status } of health.watch({ service: 'tessera.v1.LlmService' })) seen.push(status);
  })();
  await expect.poll(() => seen).toEqual([notServing]);
  becomeReady();
  const service = await starting;
  await expect.poll(() => seen).toEqual([notServing, serving]);
  expect(await health.check({ service: 'tessera.v1.LlmService' })).toMatchObject({ status: serving });

  await service.stop();
  await watching;
  expect(seen).toEqual([notServing, serving, notServing]);
  channel.close();
});

test('each service has a status; an unknown one is NOT_FOUND, and watched it is SERVICE_UNKNOWN', async () => {
  await using probe = await startProbe();
  const channel = createChannel(probe.service.grpcAddress);
  const health = createClient(HealthDefinition, channel);
  expect(await health.check({ service: '' })).toMatchObject({ status: serving });
  await expect(health.check({ service: 'nobody' })).rejects.toMatchObject({ code: Status.NOT_FOUND });
  for await (const { status } of health.watch({ service: 'nobody' })) {
    expect(status).toBe(unknown);
    break;
  }
  channel.close();
});

test('while it drains, open streams go on, new calls are refused as DRAINING, and health still answers', async () => {
  const probe = await startProbe();
  const channel = createChannel(probe.service.grpcAddress);
  const health = createClient(HealthDefinition, channel);
  const stream = probe.client.generate(ask('wait'))[Symbol.asyncIterator]();
  await stream.next();
  const stopped = probe.service.stop();
  expect(await health.check({ service: '' })).toMatchObject({ status: notServing });
  await expect(probe.client.describe({})).rejects.toMatchObject({ code: 'DRAINING' });
  expect(probe.records[0]?.abortedFor).toBeUndefined();
  await stream.return?.();
  await stopped;
  channel.close();
  probe.client.close();
});

test('a stream that heeds the drain ends by itself, with its own event', async () => {
  const probe = await startProbe();
  const events: string[] = [];
  for await (const { event } of probe.client.generate(ask('drain'))) {
    events.push(event?.$case ?? '');
    if (event?.$case === 'tokens') void probe.service.stop();
  }
  expect(events).toEqual(['tokens', 'drain']);
  await probe.service.stop();
  probe.client.close();
});
