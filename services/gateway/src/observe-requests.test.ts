import type { Bus, EngineDirectory } from '@tessera/bus';
import { encodeJob, toNobody } from '@tessera/bus/testing/messages';
import { testBus } from '@tessera/bus/testing/test-bus';
import { startNatsServer } from '@tessera/nats-server';
import { encodeQueue, RequestState, Stage, TesseraError } from '@tessera/protocol';
import { Metrics, type ServiceContext, type ServiceSettings } from '@tessera/service';
import { memoryLog } from '@tessera/service/testing/memory-log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { QueueAttendance } from './admission/queue-attendance.js';
import { RequestLifecycle } from './answer/request-lifecycle.js';
import { observeRequests, type RequestObserver } from './observe-requests.js';

let metrics: Metrics;
let lines: Record<string, unknown>[];
let observer: RequestObserver;
let attendance: QueueAttendance;
let bus: Bus;
let end: () => Promise<void>;
beforeEach(async () => {
  metrics = new Metrics();
  attendance = new QueueAttendance();
  const memory = memoryLog();
  lines = memory.lines;
  const stop = new AbortController();
  const server = await startNatsServer();
  bus = await testBus(server.url, { prefix: 't' });
  await bus.publish(encodeQueue, encodeJob('r'), toNobody());
  attendance.sampled(new Set(['encode']));
  attendance.sampled(new Set(['encode']));
  const directory = { size: 3 } as EngineDirectory;
  const context = { metrics, log: memory.log } as unknown as ServiceContext<ServiceSettings>;
  observer = observeRequests(context, { bus, directory, attendance, signal: stop.signal });
  end = async () => {
    stop.abort();
    await bus.close();
    await server.stop();
  };
});
afterEach(() => end());

/** What a metric shows under these labels, such as `name{state="queued"}`. */
async function shown(name: string): Promise<number | undefined> {
  const text = await metrics.registry.metrics();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

const inState = (state: string) => shown(`tessera_gateway_requests{state="${state}"}`);
const entered = (state: string) => shown(`tessera_gateway_transitions_total{state="${state}"}`);

test('a request is counted in the state that it is in, and in none once it has ended', async () => {
  // What no request is in yet is 0, not absent.
  expect(await Promise.all(['receiving', 'queued', 'decoding'].map(inState))).toEqual([0, 0, 0]);
  const request = new RequestLifecycle(observer.onState);
  expect(await inState('receiving')).toBe(1);
  request.enter(RequestState.QUEUED);
  expect(await Promise.all(['receiving', 'queued'].map(inState))).toEqual([0, 1]);
  request.enter(RequestState.FAILED);
  expect(await Promise.all(['receiving', 'queued', 'failed', 'unspecified'].map(inState))).toEqual([
    0,
    0,
    undefined,
    undefined,
  ]);
  expect(await Promise.all(['receiving', 'queued', 'failed'].map(entered))).toEqual([1, 1, 1]);
});

test('requests that wait for a stage count as long as they do', async () => {
  const awaiting = () => shown('tessera_gateway_requests_awaiting{stage="encoder"}');
  observer.onAwaited(Stage.ENCODER, true);
  observer.onAwaited(Stage.ENCODER, true);
  observer.onAwaited(Stage.ENCODER, false);
  expect(await awaiting()).toBe(1);
});

test.each<[why: string, end: { state: RequestState; error?: TesseraError }, code: string, level: string]>([
  ['is done', { state: RequestState.DONE }, 'OK', 'info'],
  ['was left', { state: RequestState.CANCELLED }, 'CANCELLED', 'info'],
  [
    'was left with an error',
    { state: RequestState.CANCELLED, error: new TesseraError('CANCELLED', 'left') },
    'CANCELLED',
    'info',
  ],
  ['fails', { state: RequestState.FAILED, error: new TesseraError('QUEUE_FULL', 'full') }, 'QUEUE_FULL', 'warn'],
])('one that %s is counted by its code and its time, and logged', async (_why, how, code, level) => {
  observer.onEnd({ requestId: 'r', durationMs: 1500, ...how });
  expect(await shown(`tessera_gateway_requests_total{code="${code}"}`)).toBe(1);
  expect(await shown('tessera_gateway_request_seconds_sum')).toBe(1.5);
  expect(lines).toMatchObject([{ level, event: 'request_ended', request_id: 'r', duration_ms: 1500 }]);
});

test('further attempts, the first text and the engines are shown', async () => {
  observer.onAttempt();
  observer.onFirstText(250);
  expect(await shown('tessera_gateway_attempts_total')).toBe(1);
  expect(await shown('tessera_time_to_first_token_seconds_sum')).toBe(0.25);
  expect(await shown('tessera_gateway_engines')).toBe(3);
});

test('queues and streams are shown as NATS has them, and which queue nobody takes jobs from', async () => {
  const attended = (kind: string) => shown(`tessera_queue_attended{kind="${kind}"}`);
  await expect.poll(() => attended('encode')).toBe(0);
  expect(await attended('connect')).toBe(1);
  expect(await shown('tessera_queue_depth{kind="encode"}')).toBe(1);
  expect(await shown('tessera_queue_depth{kind="connect"}')).toBe(0);
  expect(await shown('tessera_queue_oldest_seconds{kind="connect"}')).toBe(0);
  const ofStream = (name: string) => shown(`tessera_stream_${name}{stream="t_${bus.version}_encode_r1"}`);
  expect(await ofStream('messages')).toBe(1);
  const bytes = (await ofStream('bytes')) ?? 0;
  expect(bytes).toBeGreaterThan(0);
  expect(await ofStream('max_bytes')).toBeGreaterThan(bytes);
});
