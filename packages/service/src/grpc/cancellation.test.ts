import { expect, test } from 'vitest';
import { ask, startProbe } from '../testing/start-probe.js';

test("a caller that leaves a stream aborts the handler's signal for CANCELLED and ends the handler", async () => {
  await using probe = await startProbe();
  for await (const _ of probe.client.generate(ask('wait'))) break;
  await expect.poll(() => probe.records[0]?.ended).toBe(true);
  expect(probe.records[0]?.abortedFor).toMatchObject({ code: 'CANCELLED' });
  await expect
    .poll(() => probe.service.metrics.registry.metrics())
    .toMatch(/tessera_grpc_requests_running\{service="tessera\.v1\.LlmService",method="Generate"\} 0/);
});

test("a caller's signal ends the call with its reason on one side and CANCELLED on the other", async () => {
  await using probe = await startProbe();
  const caller = new AbortController();
  const call = (async () => {
    for await (const _ of probe.client.generate(ask('wait'), { signal: caller.signal })) caller.abort();
  })();
  await expect(call).rejects.toMatchObject({ name: 'TesseraError', code: 'CANCELLED' });
  await expect.poll(() => probe.records[0]?.abortedFor).toMatchObject({ code: 'CANCELLED' });
});

test('a stream that is read to its end aborts nothing', async () => {
  await using probe = await startProbe();
  const texts: string[] = [];
  for await (const { event } of probe.client.generate(ask('text 3'))) {
    if (event?.$case === 'tokens') texts.push(event.value.text);
  }
  expect(texts).toEqual(['0', '1', '2']);
  expect(probe.records[0]).toMatchObject({ ended: true });
  expect(probe.records[0]?.abortedFor).toBeUndefined();
  expect(await probe.service.metrics.registry.metrics()).toMatch(/requests_total\{.*method="Generate",code="OK"\} 1/);
});
