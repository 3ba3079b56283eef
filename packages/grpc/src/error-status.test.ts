import { type ErrorCode, TesseraError } from '@tessera/protocol';
import { ClientError, Status } from 'nice-grpc-common';
import { ErrorInfo, RetryInfo, RichClientError, type RichServerError } from 'nice-grpc-error-details';
import { expect, test } from 'vitest';
import { decodeDetails, encodeStatus } from './error-details.js';
import { fromClientError, maxMessageBytes, toServerError } from './error-status.js';

const target = '127.0.0.1:7000';

/** What a caller has of a server's error, after its way as bytes. */
function arrived({ code, details, extra }: RichServerError): TesseraError {
  const bytes = encodeStatus(code, details, extra);
  return fromClientError(new RichClientError('/a/B', code, details, decodeDetails(bytes)), target);
}

test.each<[what: string, options: TesseraError['options']]>([
  ['nothing more', {}],
  ['a delay', { retryAfterMs: 61_234 }],
  ['a delay of nothing', { retryAfterMs: 0 }],
  ['a field', { field: 'media[0].name' }],
  ['a stage', { stage: 'encoder' }],
  ['all', { retryAfterMs: 100, field: 'text', stage: 'llm', requestId: 'request-1' }],
])('an error with %s is the same on the other side', (_what, options) => {
  const { requestId, ...own } = options;
  const {
    code,
    message,
    options: told,
  } = arrived(toServerError(new TesseraError('QUEUE_FULL', 'it is full', own), requestId));
  expect({ code, message }).toEqual({ code: 'QUEUE_FULL', message: 'it is full' });
  const absent = { retryAfterMs: undefined, field: undefined, stage: undefined, requestId: undefined };
  expect({ ...told, cause: undefined }).toEqual({ ...absent, ...options, cause: undefined });
});

test.each([
  [1500, 1, 500_000_000],
  [999.6, 1, 0],
  [61_000.2, 61, 0],
])('a delay of %d ms is told as whole seconds and less than one more', (retryAfterMs, seconds, nanos) => {
  const { extra } = toServerError(new TesseraError('QUEUE_FULL', 'it is full', { retryAfterMs }));
  expect(extra).toContainEqual(RetryInfo.fromPartial({ retryDelay: { seconds, nanos } }));
});

test('what a caller wrote himself does not make the status longer than headers may be', () => {
  const error = new TesseraError('REQUEST_INVALID', '\u20ac'.repeat(5000), { field: '\u20ac'.repeat(5000) });
  const { message, field } = arrived(toServerError(error));
  expect(Buffer.byteLength(message)).toBeLessThanOrEqual(maxMessageBytes);
  expect(Buffer.byteLength(message)).toBeGreaterThan(maxMessageBytes / 2);
  expect(Buffer.byteLength(field ?? '')).toBeLessThanOrEqual(200);
  expect(field).toMatch(/^\u20ac{50}/);
});

test.each<[status: Status, details: string, code: ErrorCode]>([
  [Status.CANCELLED, 'x', 'CANCELLED'],
  [Status.DEADLINE_EXCEEDED, 'x', 'DEADLINE_EXCEEDED'],
  [Status.UNAVAILABLE, 'x', 'STAGE_UNAVAILABLE'],
  [Status.UNIMPLEMENTED, 'x', 'UNSUPPORTED'],
  [Status.INVALID_ARGUMENT, 'x', 'REQUEST_INVALID'],
  [Status.OUT_OF_RANGE, 'x', 'REQUEST_INVALID'],
  [Status.RESOURCE_EXHAUSTED, 'x', 'QUEUE_FULL'],
  [Status.RESOURCE_EXHAUSTED, 'Received message larger than max (5 vs 4)', 'MESSAGE_TOO_LARGE'],
  [Status.DATA_LOSS, 'x', 'INTERNAL'],
])('a server of another kind that says %s (%s) gets the nearest code', (status, details, code) => {
  const error = fromClientError(new ClientError('/a/B', status, details), target);
  expect(error.code).toBe(code);
  expect(error.message).toBe(`${target} answers ${Status[status]}: ${details}`);
});

test.each([
  ['of another domain', { reason: 'QUEUE_FULL', domain: 'example.org' }],
  ['that the table does not have', { reason: 'NO_SUCH_CODE', domain: 'tessera' }],
])('a code %s is not taken for one of the table', (_what, info) => {
  const details = [ErrorInfo.fromPartial(info)];
  const error = fromClientError(new RichClientError('/a/B', Status.UNAVAILABLE, 'x', details), target);
  expect(error.code).toBe('STAGE_UNAVAILABLE');
});
