import { BadRequest, ErrorInfo, Help, RequestInfo, RetryInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';
import { expect, test } from 'vitest';
import { decodeDetails, encodeStatus } from './error-details.js';

const details = [
  ErrorInfo.fromPartial({ reason: 'QUEUE_FULL', domain: 'tessera', metadata: { stage: 'llm' } }),
  RetryInfo.fromPartial({ retryDelay: { seconds: 1, nanos: 5 } }),
  BadRequest.fromPartial({ fieldViolations: [{ field: 'text', description: 'is long' }] }),
  RequestInfo.fromPartial({ requestId: 'request-1' }),
];

test('details that errors of the table are told with come as they were sent, in a status as others read it', () => {
  const bytes = encodeStatus(8, 'it is full', details);
  expect(decodeDetails(bytes)).toEqual(details);
  const status = Status.decode(bytes);
  expect(status).toMatchObject({ code: 8, message: 'it is full' });
  expect(status.details.map(({ typeUrl }) => typeUrl)).toContain('type.googleapis.com/google.rpc.ErrorInfo');
});

test('a detail of another type is passed over, and those beside it are read', () => {
  const [info] = details;
  if (info === undefined) throw new Error('there is no detail');
  const help = Help.fromPartial({ links: [{ description: 'more', url: 'https://example.org' }] });
  expect(decodeDetails(encodeStatus(8, 'it is full', [help, info]))).toEqual([info]);
});
