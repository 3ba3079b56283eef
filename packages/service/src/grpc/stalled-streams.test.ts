import { constants } from 'node:http2';
import { GenerateRequest } from '@tessera/protocol';
import { rawCall } from '@tessera/testing/grpc/raw-call';
import { expect, test } from 'vitest';
import { ask, type Probe, startProbe } from '../testing/start-probe.js';

const path = '/tessera.v1.LlmService/Generate';
const patient = { timeout: 60_000 };

/**
 * Asks for far more tokens than any window holds, and reads none. Deadlines leave a busy machine the time to fill the window
 * first: a call whose first word is its status ends as any other.
 */
function neverRead(probe: Probe, headers: Record<string, string> = {}) {
  const message = GenerateRequest.encode(GenerateRequest.fromPartial(ask('text 1000000000'))).finish();
  return rawCall(probe.service.grpcAddress, path, [message], { headers, reads: false });
}

async function isLetGo(probe: Probe, reason: string): Promise<void> {
  await expect.poll(() => probe.records[0]?.ended, patient).toBe(true);
  const metrics = await probe.service.metrics.registry.metrics();
  expect(metrics).toMatch(/tessera_grpc_requests_running\{.*method="Generate"\} 0/);
  expect(metrics).toMatch(new RegExp(`streams_reset_total\\{.*method="Generate",reason="${reason}"\\} 1`));
}

test("the service's deadline ends a stream whose caller never reads, and a drain does not wait for it", async () => {
  await using probe = await startProbe({ 'grpc.defaultDeadlineMs': 2000 });
  using call = await neverRead(probe);
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
  await isLetGo(probe, 'deadline');
  expect(probe.records[0]?.abortedFor).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  // Rejects when the grace runs out.
  call.session.destroy();
  await probe.service.stop();
});

test("the caller's own deadline does too", async () => {
  await using probe = await startProbe();
  using call = await neverRead(probe, { 'grpc-timeout': '2000m' });
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
  await isLetGo(probe, 'deadline');
});

test('a caller that takes nothing for the longest stall is let go before its deadline', async () => {
  await using probe = await startProbe({ 'grpc.maxStallMs': 200 });
  using call = await neverRead(probe);
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
  await isLetGo(probe, 'stalled');
  expect(probe.records[0]?.abortedFor).toMatchObject({ code: 'CANCELLED' });
});

test('a drain goes on when the stalled stream is gone', async () => {
  const probe = await startProbe({ 'grpc.maxStallMs': 500, 'drain.graceMs': 60_000 });
  using call = await neverRead(probe);
  await expect.poll(() => probe.records.length, patient).toBe(1);
  const stopped = probe.service.stop();
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
  await stopped;
  probe.client.close();
});

test('an answer that is computed for longer than the longest stall is not taken for one', async () => {
  await using probe = await startProbe({ 'grpc.maxStallMs': 2000 });
  const call = (async () => {
    for await (const _ of probe.client.generate(ask('wait'), { timeoutMs: 4000 }));
  })();
  // Its own deadline ends it, long after the stall would have.
  await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(await probe.service.metrics.registry.metrics()).not.toMatch(/streams_reset_total\{/);
});
