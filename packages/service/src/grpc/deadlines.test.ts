import { LlmServiceDefinition, TesseraError } from '@tessera/protocol';
import { collect } from '@tessera/testing/async/collect';
import { createChannel, createClient, Metadata } from 'nice-grpc';
import { expect, test } from 'vitest';
import { ask, startProbe } from '../testing/start-probe.js';
import { callHeader } from './call-records.js';

test('a deadline of 1 ms is DEADLINE_EXCEEDED, and the next call is right', async () => {
  await using probe = await startProbe();
  const stream = probe.client.generate(ask('wait'), { timeoutMs: 1 })[Symbol.asyncIterator]();
  await expect(stream.next().then(() => stream.next())).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await expect(probe.client.describe({}, { timeoutMs: 1e4 })).resolves.toMatchObject({ contextTokens: 512 });
});

test('a deadline in the past fails without a call', async () => {
  await using probe = await startProbe();
  const call = probe.client.describe({}, { deadlineMs: Date.now() - 1 });
  await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(await probe.service.metrics.registry.metrics()).not.toContain('method="Describe"');
});

test("the handler learns the caller's deadline, and its signal aborts for DEADLINE_EXCEEDED", async () => {
  await using probe = await startProbe();
  const deadlineMs = Date.now() + 300;
  await expect(collect(probe.client.generate(ask('wait'), { deadlineMs }))).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  await expect.poll(() => probe.records[0]?.abortedFor).toBeInstanceOf(TesseraError);
  expect(probe.records[0]?.abortedFor).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  // The deadline travels as whole milliseconds from now, so it arrives a transit later; the default is two minutes.
  expect(probe.records[0]?.deadlineMs).toBeGreaterThanOrEqual(deadlineMs);
  expect(probe.records[0]?.deadlineMs).toBeLessThan(deadlineMs + 60_000);
});

test("a caller without a deadline gets the service's, even from a handler that is deaf to it", async () => {
  await using probe = await startProbe({ 'grpc.defaultDeadlineMs': 200 });
  const channel = createChannel(probe.service.grpcAddress);
  const plain = createClient(LlmServiceDefinition, channel);
  await expect(collect(plain.generate(ask('deaf')))).rejects.toThrow(/DEADLINE_EXCEEDED/);
  channel.close();
});

test('no caller gets more than the maximum, whatever it claims', async () => {
  await using probe = await startProbe({ 'grpc.maxDeadlineMs': 200, 'grpc.defaultDeadlineMs': 200 });
  const metadata = Metadata({ [callHeader]: '7' });
  await expect(collect(probe.client.generate(ask('wait'), { timeoutMs: 20_000, metadata }))).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  // Counted from when the server took the call, which is before its handler began: never more than that, on any machine.
  const [record] = probe.records;
  expect(record?.deadlineMs).toBeLessThanOrEqual((record?.begunMs ?? 0) + 200);
});
