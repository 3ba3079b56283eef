import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { LlmServiceDefinition } from '@tessera/protocol';
import { commonSettings, grpcService, type Service, startService, steadyPort } from '@tessera/service';
import { memoryLog } from '@tessera/service/testing/memory-log';
import { collect } from '@tessera/testing/async/collect';
import { createChannel, createClient } from 'nice-grpc';
import { HealthDefinition } from 'nice-grpc-server-health';
import { expect, test } from 'vitest';
import { connectBus } from './connect-bus.js';
import { natsSettings } from './nats-settings.js';

const settings = { ...commonSettings, ...natsSettings };

const [serving, notServing] = [1, 2];

/** A service whose bus is all it has. */
function busService(onlyForJobs: boolean): Service<typeof settings> {
  return {
    name: 'llm',
    settings,
    start: async (context) => {
      const bus = await connectBus(context, 'r1', { onlyForJobs });
      const never = () => {
        throw new Error('nobody calls this');
      };
      return {
        services: [grpcService(LlmServiceDefinition, { describe: never, generate: never })],
        stop: () => bus.close(),
      };
    },
  };
}

/** What /readyz answers, as `200 ready`. */
async function readyz(address: string): Promise<string> {
  const response = await fetch(`http://${address}/readyz`).catch(() => undefined);
  return response === undefined ? 'no answer' : `${response.status} ${(await response.text()).trim()}`;
}

test('a service that starts while NATS is away says so and waits; then readiness follows NATS and its streams', async () => {
  const [natsPort, metricsPort] = [await steadyPort(), await steadyPort()];
  const url = `nats://127.0.0.1:${natsPort}`;
  const address = `127.0.0.1:${metricsPort}`;
  const given = { 'model.dir': 'none', 'nats.url': url, 'metrics.port': metricsPort };
  const { log, lines } = memoryLog();
  const starting = startService(busService(false), given, { log });
  await expect.poll(() => readyz(address)).toBe(`503 not ready: starting, waiting for NATS at ${url}`);

  let nats: NatsServer | undefined = await startNatsServer({ port: natsPort });
  const service = await starting;
  const channel = createChannel(service.grpcAddress);
  const health = createClient(HealthDefinition, channel);
  const status = async (of: string) => (await health.check({ service: of })).status;
  try {
    expect(await readyz(address)).toBe('200 ready');
    expect(await service.metrics.registry.metrics()).toContain('tessera_ready 1');

    // An operator deletes a stream: whoever asks has it made again.
    const connection = await connect({ servers: url });
    const manager = await jetstreamManager(connection);
    await manager.streams.delete('tessera_v2_tokens_0');
    const names = async () => {
      await readyz(address);
      return await collect(manager.streams.names());
    };
    await expect.poll(names).toContain('tessera_v2_tokens_0');
    await expect.poll(() => readyz(address)).toBe('200 ready');
    await connection.close();

    await nats.stop();
    nats = undefined;
    await expect.poll(() => readyz(address)).toBe(`503 not ready: waiting for NATS at ${url}`);
    await expect.poll(() => status('')).toBe(notServing);
    expect(await status('tessera.v1.LlmService')).toBe(notServing);
    expect(await service.metrics.registry.metrics()).toContain('tessera_ready 0');

    nats = await startNatsServer({ port: natsPort });
    await expect.poll(() => readyz(address)).toBe('200 ready');
    await expect.poll(() => status('tessera.v1.LlmService')).toBe(serving);
    const told = lines.flatMap(({ event }) => (event === 'not_ready' || event === 'ready_again' ? [event] : []));
    expect(told).toEqual(['not_ready', 'ready_again']);
  } finally {
    channel.close();
    await service.stop();
    await nats?.stop();
  }
});

test('a stage whose calls need no NATS stays SERVING for calls while it takes no jobs', async () => {
  const nats = await startNatsServer();
  const given = { 'model.dir': 'none', 'nats.url': nats.url };
  const service = await startService(busService(true), given, { log: memoryLog().log });
  const channel = createChannel(service.grpcAddress);
  const health = createClient(HealthDefinition, channel);
  try {
    await nats.stop();
    await expect.poll(async () => (await health.check({ service: '' })).status).toBe(notServing);
    expect((await health.check({ service: 'tessera.v1.LlmService' })).status).toBe(serving);
  } finally {
    channel.close();
    await service.stop();
    await nats.stop();
  }
});

test('a start that waits for NATS ends after nats.waitMs, or when it is told to', async () => {
  const given = { 'model.dir': 'none', 'nats.url': `nats://127.0.0.1:${await steadyPort()}` };
  const { log } = memoryLog();
  await expect(startService(busService(false), { ...given, 'nats.waitMs': 1 }, { log })).rejects.toMatchObject({
    code: 'STAGE_UNAVAILABLE',
  });
  const stop = new AbortController();
  const starting = startService(busService(false), given, { log, signal: stop.signal });
  stop.abort(new Error('told to end'));
  await expect(starting).rejects.toThrow('told to end');
});

test('a password in the URL of NATS is refused at the start, and not shown', async () => {
  const given = { 'model.dir': 'none', 'nats.url': 'nats://someone:secret@127.0.0.1:4222' };
  const error = await startService(busService(false), given, { log: memoryLog().log }).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('nats.passwordFile') });
  expect(error.message).not.toContain('secret');
});
