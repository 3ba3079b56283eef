import { constants } from 'node:http2';
import {
  ComputeRequest,
  type ComputeResponse,
  ExpertServiceDefinition,
  ExpertServiceDescribeResponse,
  TesseraError,
} from '@tessera/protocol';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { rawCall } from '@tessera/testing/grpc/raw-call';
import { expect, test } from 'vitest';
import type { Service } from '../service/service.js';
import { startService } from '../service/start-service.js';
import { type CommonSettings, commonSettings } from '../settings/common-settings.js';
import type { Settings } from '../settings/setting.js';
import { memoryLog } from '../testing/memory-log.js';
import { createClient } from './create-client.js';
import { grpcService } from './grpc-service.js';
import { exchange, type StreamListener } from './serve-exchange.js';

const path = '/tessera.v1.ExpertService/Compute';
const { methods } = ExpertServiceDefinition;

/** Says `n`, as the contract of expert shards lets it. */
const say = (n: number): ComputeRequest => ({ message: { $case: 'placementEpoch', value: n } });
const saidBy = ({ message }: ComputeRequest): number => (message?.$case === 'placementEpoch' ? message.value : 0);
const answer = (call: number): ComputeResponse => ({
  message: { $case: 'failure', value: { call, code: 'INTERNAL', message: 'x'.repeat(call < 1000 ? 0 : 60_000) } },
});
const heardIn = ({ message }: ComputeResponse): number => (message?.$case === 'failure' ? message.value.call : 0);

/**
 * A service that answers each number with itself. 400 is refused with an error of the table, 500 is a fault, 600 waits until
 * `release` is called; from 1000 on answers are long.
 */
async function startEcho(settings: Partial<Settings<CommonSettings>> = {}) {
  const { log, lines } = memoryLog();
  const gate = deferred();
  const heard: number[] = [];
  let closed = 0;
  const compute = exchange<ComputeRequest, ComputeResponse>((stream): StreamListener<ComputeRequest> => {
    return {
      onMessage(message) {
        const n = saidBy(message);
        heard.push(n);
        if (n === 400) throw TesseraError.invalidField('message', 'is not to be 400');
        if (n === 500) return Promise.reject(new RangeError('a secret'));
        if (n === 600) return gate.promise.then(() => stream.send(answer(n)));
        stream.send(answer(n));
        return undefined;
      },
      onHalfClose: () => stream.end(),
      onClose: () => closed++,
    };
  });
  const describe = async () => ExpertServiceDescribeResponse.fromPartial({ group: 'a' });
  const service: Service<CommonSettings> = {
    name: 'llm',
    settings: commonSettings,
    start: async () => ({
      services: [grpcService(ExpertServiceDefinition, { describe, compute }, { callers: 'services', staysOpen: true })],
      stop: async () => {},
    }),
  };
  const running = await startService(service, { 'model.dir': 'none', 'drain.graceMs': 60_000, ...settings }, { log });
  const client = createClient(ExpertServiceDefinition, running.grpcAddress);
  return {
    running,
    client,
    lines,
    heard,
    release: () => gate.resolve(),
    closed: () => closed,
    open() {
      const seen: number[] = [];
      const ended = deferred<TesseraError | undefined>();
      const stream = client.exchange(methods.compute, {
        onMessage: (message) => seen.push(heardIn(message)),
        onEnd: (error) => ended.resolve(error),
      });
      return { seen, stream, ended: ended.promise };
    },
    metrics: () => running.metrics.registry.metrics(),
    async [Symbol.asyncDispose]() {
      client.close();
      await running.stop();
    },
  };
}

test('messages go to and fro in their order, and what was sent before the caller ends is answered', async () => {
  await using echo = await startEcho();
  const { seen, stream, ended } = echo.open();
  for (let n = 1; n <= 100; n++) stream.send(say(n));
  stream.end();
  expect(await ended).toBeUndefined();
  expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
  expect(echo.closed()).toBe(1);
  const metrics = await echo.metrics();
  expect(metrics).toMatch(/tessera_grpc_requests_total\{.*method="Compute",code="OK"\} 1/);
  expect(metrics).toMatch(/tessera_grpc_requests_running\{.*method="Compute"\} 0/);
  // Other methods of the service are answered as ever.
  expect(await echo.client.describe({})).toMatchObject({ group: 'a' });
});

test('the next message comes when the one before is done with', async () => {
  await using echo = await startEcho();
  const { seen, stream, ended } = echo.open();
  for (const n of [1, 600, 2]) stream.send(say(n));
  await eventually(() => echo.heard.length === 2, 'the one that waits has come');
  const other = echo.open();
  other.stream.send(say(3));
  await eventually(() => other.seen.length === 1, 'another stream is answered meanwhile');
  expect(echo.heard).toEqual([1, 600, 3]);
  echo.release();
  stream.end();
  await ended;
  expect(seen).toEqual([1, 600, 2]);
  other.stream.end();
});

test('an error of the table ends the stream with all that it says; a fault is logged, not told', async () => {
  await using echo = await startEcho();
  const refused = echo.open();
  refused.stream.send(say(1));
  refused.stream.send(say(400));
  expect(await refused.ended).toMatchObject({ code: 'REQUEST_INVALID', field: 'message' });
  expect(refused.seen).toEqual([1]);
  const failed = echo.open();
  failed.stream.send(say(500));
  const error = await failed.ended;
  expect(error).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('trace_id') });
  expect(error?.message).not.toContain('secret');
  expect(echo.lines.find(({ msg }) => msg === 'call failed by a fault')).toMatchObject({
    rpc: path,
    err: { message: 'a secret' },
  });
  expect(echo.closed()).toBe(2);
  expect(await echo.metrics()).toMatch(/requests_total\{.*method="Compute",code="INVALID_ARGUMENT"\} 1/);
});

test('a caller that lets go, or whose deadline passes, ends it for the service', async () => {
  await using echo = await startEcho();
  const { seen, stream } = echo.open();
  stream.send(say(1));
  await eventually(() => seen.length === 1, 'it is open');
  stream.cancel();
  await eventually(() => echo.closed() === 1, 'the service hears of it');
  using late = await rawCall(echo.running.grpcAddress, path, [], {
    reads: true,
    ends: false,
    headers: { 'grpc-timeout': '50m' },
  });
  expect(await late.ended).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
  await eventually(() => echo.closed() === 2, 'the service hears of it');
  expect(await echo.metrics()).toMatch(/tessera_grpc_requests_running\{.*method="Compute"\} 0/);
});

test('bytes that are no message are refused; fields of a newer release are counted', async () => {
  await using echo = await startEcho();
  using bad = await rawCall(echo.running.grpcAddress, path, [Buffer.from([0x0a, 0x7f])], { reads: true });
  expect(await bad.ended).toMatchObject({ status: 'INVALID_ARGUMENT' });
  const field99 = Buffer.from([0x9a, 0x06, 0x01, 0x61]);
  const newer = Buffer.concat([ComputeRequest.encode(say(7)).finish(), field99]);
  using good = await rawCall(echo.running.grpcAddress, path, [newer], { reads: true });
  expect(await good.ended).toMatchObject({ status: 'OK' });
  expect(echo.heard).toEqual([7]);
  expect(await echo.metrics()).toMatch(/tessera_unknown_fields_total\{.*Compute"\} 1/);
});

test('from a caller that takes no answer little is read, and its stream is reset', async () => {
  await using echo = await startEcho({ 'grpc.maxStallMs': 500 });
  const messages = Array.from({ length: 200 }, (_, n) => ComputeRequest.encode(say(1000 + n)).finish());
  using call = await rawCall(echo.running.grpcAddress, path, messages, { reads: false, ends: false });
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
  await eventually(() => echo.closed() === 1, 'the service hears of it');
  expect(echo.heard).toHaveLength(16);
  expect(await echo.metrics()).toMatch(/streams_reset_total\{.*method="Compute",reason="stalled"\} 1/);
});

test('a drain refuses what is opened then, and lets what is open go on', async () => {
  await using echo = await startEcho();
  const { seen, stream, ended } = echo.open();
  stream.send(say(1));
  await eventually(() => seen.length === 1, 'it is open');
  const stopped = echo.running.stop();
  const late = echo.open();
  expect(await late.ended).toMatchObject({ code: expect.stringMatching(/DRAINING|STAGE_UNAVAILABLE/) });
  stream.send(say(2));
  await eventually(() => seen.length === 2, 'it is answered during the drain');
  stream.end();
  expect(await ended).toBeUndefined();
  await stopped;
});
