import { once } from 'node:events';
import { Client, credentials, status } from '@grpc/grpc-js';
import { GenerateRequest } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { startProbe } from '../testing/start-probe.js';
import { refuseUnknownFields } from './unknown-fields.js';

/** Field 99, length-delimited, holding one byte: no message of the contract has it. */
const field99 = Buffer.from([0x9a, 0x06, 0x01, 0x61]);

/** A length-delimited field. */
function wrap(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
}

test('a known message passes', () => {
  const message = GenerateRequest.fromPartial({ requestId: 'a', media: [{ tiles: [{ tokens: 3 }] }] });
  expect(() =>
    refuseUnknownFields(GenerateRequest.decode(GenerateRequest.encode(message).finish()), 'it'),
  ).not.toThrow();
});

test('an unknown field is refused by its number', () => {
  const message = GenerateRequest.decode(field99);
  expect(() => refuseUnknownFields(message, 'GenerateRequest')).toThrow('GenerateRequest has no field number 99');
});

test('one in a nested message is refused by its path', () => {
  // media (field 4) of GenerateRequest holds tiles (field 2), whose one message has the unknown field.
  const message = GenerateRequest.decode(wrap(4, wrap(2, field99)));
  expect(() => refuseUnknownFields(message, 'GenerateRequest')).toThrow(
    'GenerateRequest.media[0].tiles[0] has no field',
  );
});

test('a message nested without end is refused', () => {
  const endless: Record<string, unknown> = {};
  endless.self = endless;
  expect(() => refuseUnknownFields(endless, 'it')).toThrow(/nested deeper than 32 levels/);
});

test('a server refuses such a request as REQUEST_INVALID and answers the next', async () => {
  await using probe = await startProbe();
  // Straight through gRPC: the generated client would drop the field.
  const client = new Client(probe.service.grpcAddress, credentials.createInsecure());
  const bytes = (value: Buffer) => value;
  const call = client.makeServerStreamRequest('/tessera.v1.LlmService/Generate', bytes, bytes, field99);
  const [error] = await once(call.resume(), 'error');
  expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('field number 99') });
  expect(probe.records).toEqual([]);
  await expect(probe.client.describe({})).resolves.toBeDefined();
  client.close();
});
