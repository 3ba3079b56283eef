import { sleep } from '@tessera/flow';
import { expect, test } from 'vitest';
import { ask, startProbe } from '../testing/start-probe.js';
import { currentTraceId, currentTraceparent, parseTraceparent, withTraceparent } from './trace.js';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const traceparent = `00-${traceId}-b7ad6b7169203331-01`;

// What this service records nothing of is nobody's parent: the next service that exports spans hangs on to the sender's.
test('a traceparent goes on as it came where no spans are exported', async () => {
  expect(currentTraceparent()).toBeUndefined();
  await withTraceparent(traceparent, async () => {
    await sleep(1);
    expect(currentTraceparent()).toBe(traceparent);
  });
  expect(currentTraceId()).toBeUndefined();
});

test('what is not a traceparent begins a new trace', () => {
  for (const bad of [undefined, '', 'junk', traceparent.toUpperCase(), `00-${'0'.repeat(32)}-b7ad6b7169203331-01`]) {
    expect(parseTraceparent(bad)).toBeUndefined();
    withTraceparent(bad, () => expect(currentTraceId()).toMatch(/^[0-9a-f]{32}$/));
  }
});

test("a handler runs in its caller's trace, before and after it waits, and so do its log lines", async () => {
  await using probe = await startProbe();
  await withTraceparent(traceparent, async () => {
    for await (const _ of probe.client.generate(ask('text 3')));
  });
  expect(probe.records[0]?.traceIds).toEqual([traceId, traceId]);
  expect(probe.lines.find((line) => line.msg === 'generating')).toMatchObject({
    trace_id: traceId,
    request_id: 'text 3',
    service: 'llm',
  });
});

test('two calls at once keep their traces apart, and calls outside of a request get one each', async () => {
  await using probe = await startProbe();
  const drain = async () => {
    for await (const _ of probe.client.generate(ask('text 5')));
  };
  await Promise.all([drain(), drain(), withTraceparent(traceparent, drain)]);
  const traces = probe.records.map(({ traceIds: [begin, end] }) => {
    expect(begin).toBe(end);
    return begin;
  });
  expect(new Set(traces).size).toBe(3);
  expect(traces).toContain(traceId);
});
