import {
  ChatRequest,
  EncodeRequest,
  EncodeResponse,
  EncoderServiceDefinition,
  GenerateRequest,
} from '@tessera/protocol';
import type { CallEnd } from '@tessera/testing/grpc/call-end';
import { rawCall } from '@tessera/testing/grpc/raw-call';
import { expect, test } from 'vitest';
import type { Service } from '../service/service.js';
import { startService } from '../service/start-service.js';
import { type CommonSettings, commonSettings } from '../settings/common-settings.js';
import type { Settings } from '../settings/setting.js';
import { memoryLog } from '../testing/memory-log.js';
import { startProbe } from '../testing/start-probe.js';
import { hasUnknownFields, refuseUnknownFields } from '../unknown-fields.js';
import { type GrpcService, grpcService } from './grpc-service.js';

/** Field 99, length-delimited, holding one byte: no message of the contract has it. */
const field99 = Buffer.from([0x9a, 0x06, 0x01, 0x61]);

/** A length-delimited field. */
function wrap(number: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}

/** Of bytes: the generated client would drop the field. */
async function call(address: string, path: string, messages: readonly Buffer[]): Promise<CallEnd> {
  using raw = await rawCall(address, path, messages, { reads: true });
  return await raw.ended;
}

/** Counts the parts of its calls. */
async function startCounter(callers: GrpcService['callers'], settings: Partial<Settings<CommonSettings>> = {}) {
  const seen: number[] = [];
  const service: Service<CommonSettings> = {
    name: 'encoder',
    settings: commonSettings,
    start: async () => ({
      services: [
        grpcService(
          EncoderServiceDefinition,
          {
            describe: async () => ({}),
            async *encode(requests) {
              for await (const { mediaPart } of requests) seen.push(mediaPart?.data.length ?? 0);
              yield EncodeResponse.fromPartial({});
            },
          },
          { callers },
        ),
      ],
      stop: async () => {},
    }),
  };
  const running = await startService(service, { 'model.dir': 'none', ...settings }, { log: memoryLog().log });
  return { seen, running, [Symbol.asyncDispose]: () => running.stop() };
}

const encodePath = '/tessera.v1.EncoderService/Encode';
const part = (length: number) =>
  Buffer.from(EncodeRequest.encode({ mediaPart: { name: 'a', data: Buffer.alloc(length), last: false } }).finish());
const newerPart = (length: number) => Buffer.concat([part(length), field99]);
/** A part without data, whose media_part (field 1) has the unknown field. */
const innerPart = wrap(1, field99);

test('a known message passes', () => {
  const message = GenerateRequest.fromPartial({ requestId: 'a', media: [{ segments: [{ tokenCount: 3 }] }] });
  const decoded = GenerateRequest.decode(GenerateRequest.encode(message).finish());
  expect(() => refuseUnknownFields(decoded, 'it')).not.toThrow();
  expect(hasUnknownFields(decoded)).toBe(false);
});

test('an unknown field is refused by its number', () => {
  const message = GenerateRequest.decode(field99);
  expect(() => refuseUnknownFields(message, 'the request')).toThrow('the request has no field number 99');
  expect(hasUnknownFields(message)).toBe(true);
});

test('one in a nested message is refused by its path, in the names of the contract', () => {
  // media (field 5) of GenerateRequest holds segments (field 2), whose one message has the unknown field.
  const message = GenerateRequest.decode(wrap(5, wrap(2, field99)));
  expect(() => refuseUnknownFields(message, 'the request')).toThrow(
    'media[0].segments[0] in the request has no field number 99',
  );
  // media_part (field 2) is a case of a oneof.
  expect(() => refuseUnknownFields(ChatRequest.decode(wrap(2, field99)), 'it')).toThrow(
    'media_part in it has no field',
  );
});

test('a message nested without end is refused', () => {
  const endless: Record<string, unknown> = {};
  endless.self = endless;
  expect(() => refuseUnknownFields(endless, 'it')).toThrow(/nested deeper than 32 levels/);
});

test('a service for anyone refuses such a request as REQUEST_INVALID, and answers the next', async () => {
  await using probe = await startProbe();
  const ended = await call(probe.service.grpcAddress, '/tessera.v1.LlmService/Generate', [field99]);
  expect(ended).toMatchObject({
    status: 'INVALID_ARGUMENT',
    message: expect.stringContaining('field number 99'),
  });
  expect(probe.records).toEqual([]);
  await expect(probe.client.describe({})).resolves.toBeDefined();
});

test.each([
  ['the first message', [newerPart(1)], []],
  ['a later message', [part(1), part(2), newerPart(3), part(4)], [1, 2]],
  ['a message inside a later one', [part(1), innerPart, part(4)], [1]],
])('a stream is refused for a field in %s', async (_, messages, seen) => {
  await using counter = await startCounter('anyone');
  const ended = await call(counter.running.grpcAddress, encodePath, messages);
  expect(ended).toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('field number 99') });
  expect(counter.seen).toEqual(seen);
});

test('a service for services uses what it knows of such messages, and counts them', async () => {
  await using counter = await startCounter('services');
  const messages = [newerPart(1), part(2), newerPart(3), innerPart];
  expect(await call(counter.running.grpcAddress, encodePath, messages)).toMatchObject({ status: 'OK' });
  expect(counter.seen).toEqual([1, 2, 3, 0]);
  expect(await counter.running.metrics.registry.metrics()).toMatch(
    /unknown_fields_total\{message="tessera\.v1\.EncoderService\/Encode"\} 3/,
  );
});

test.each([
  ['ignore', 'anyone', 'OK'],
  ['refuse', 'services', 'INVALID_ARGUMENT'],
] as const)('the setting can %s where callers are %s', async (setting, callers, status) => {
  await using counter = await startCounter(callers, { 'grpc.unknownFields': setting });
  expect(await call(counter.running.grpcAddress, encodePath, [newerPart(1)])).toMatchObject({ status });
});
