import { TesseraError } from '@tessera/protocol';
import { rawCall } from '@tessera/testing/grpc/raw-call';
import { expect, test } from 'vitest';
import { ask, startProbe } from '../testing/start-probe.js';

const path = '/tessera.v1.LlmService/Generate';

test('a call that is refused at its arrival meets no handler, and is told what a handler would have told', async () => {
  await using probe = await startProbe(
    {},
    {
      onArrival: () => {
        throw new TesseraError('QUEUE_FULL', 'no room', { retryAfterMs: 1500, stage: 'llm' });
      },
    },
  );
  const call = (async () => {
    for await (const _ of probe.client.generate(ask('text 1')));
  })();
  await expect(call).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    message: 'no room',
    options: { retryAfterMs: 1500, stage: 'llm' },
  });
  expect(probe.records).toEqual([]);
  const metrics = await probe.service.metrics.registry.metrics();
  expect(metrics).toMatch(/tessera_grpc_requests_total\{[^}]*code="RESOURCE_EXHAUSTED"[^}]*\} 1/);
  expect(metrics).not.toMatch(/tessera_grpc_requests_running\{[^}]*Generate[^}]*\} [1-9]/);
});

test('only the service that asks for it hears of arrivals, and health answers all the same', async () => {
  const paths: string[] = [];
  const onArrival = (at: string): undefined => void paths.push(at);
  await using probe = await startProbe({}, { onArrival });
  using health = await rawCall(probe.service.grpcAddress, '/grpc.health.v1.Health/Check', [Buffer.of()], {
    reads: true,
  });
  expect(await health.ended).toMatchObject({ status: 'OK' });
  expect(paths).toEqual([]);
  for await (const _ of probe.client.generate(ask('text 1')));
  expect(paths).toEqual([path]);
});

test('an arrival is disposed of when the call has ended, however it ends', async () => {
  let open = 0;
  const onArrival = (): Disposable => {
    open++;
    return { [Symbol.dispose]: () => void open-- };
  };
  await using probe = await startProbe({}, { onArrival });
  for await (const _ of probe.client.generate(ask('text 1')));
  await expect.poll(() => open).toBe(0);
  const leaving = new AbortController();
  const stream = probe.client.generate(ask('wait'), { signal: leaving.signal })[Symbol.asyncIterator]();
  await stream.next();
  expect(open).toBe(1);
  leaving.abort();
  await expect(stream.next()).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect.poll(() => open).toBe(0);
});

test('a client that goes on sending after its refusal has its stream closed', async () => {
  await using probe = await startProbe(
    {},
    {
      onArrival: () => {
        throw new TesseraError('QUEUE_FULL', 'no room', {});
      },
    },
  );
  using call = await rawCall(probe.service.grpcAddress, path, [Buffer.of()], { reads: true, ends: false });
  expect(await call.closed).toBe(0);
  expect(await call.ended).toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'QUEUE_FULL' });
});
