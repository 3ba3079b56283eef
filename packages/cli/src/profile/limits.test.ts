import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { limitsInForce, readOverrides } from './limits.js';

/** The metrics of all stages: those of a gateway and of an engine, and of no other. */
const text = [
  'tessera_setting{name="requests.maxInFlight"} 256',
  'tessera_setting{name="engine.maxWaitingForTiles"} 8',
  'tessera_setting{name="engine.maxStepTokens"} 512',
  'tessera_setting{name="engine.maxChunkTokens"} 128',
  'tessera_setting{name="jobs.slots.of.something"} 3',
].join('\n');

async function serve() {
  const server = createServer((_, response) => response.end(text)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const metrics = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { address: { grpc: '127.0.0.1:1', metrics }, [Symbol.dispose]: () => server.close() };
}

const { signal } = new AbortController();

test('limits are what the metrics tell, for the stages that are there; what is set goes before it', async () => {
  using server = await serve();
  const stages = { gateway: server.address, llm: server.address };
  const limits = await limitsInForce({ stages }, readOverrides(['llm.engine.maxStepTokens=64']), signal);
  expect(limits).toEqual({
    gateway: { maxInFlight: 256 },
    llm: { maxWaitingForTiles: 8, maxStepTokens: 64, maxChunkTokens: 128 },
  });
});

test('a service that does not tell a limit is named, and what to say instead', async () => {
  using server = await serve();
  const stages = { gateway: server.address, llm: server.address, generator: server.address };
  await expect(limitsInForce({ stages }, new Map(), signal)).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: `the generator at ${server.address.metrics} does not tell its jobs.slots: it is of an earlier release`,
    hint: 'say it by --set generator.jobs.slots=NUMBER',
  });
  const said = await limitsInForce({ stages }, readOverrides(['generator.jobs.slots=3']), signal);
  expect(said.generator).toEqual({ slots: 3 });
});

test.each(['encoder.jobs.slots', 'encoder.slots=1', 'gateway.jobs.slots=1'])('%s sets no limit', (text) => {
  expect(() => readOverrides([text])).toThrow(/is no setting/);
});
