import { expect, test } from 'vitest';
import { headerNumber, messageId } from './headers.js';
import { defaultStreamLimits, streamPlan, totalStreamBytes } from './streams.js';
import { Subjects } from './subjects.js';

const subjects = new Subjects('tessera', 'r1');

test('a message subject says where it belongs, and is read back', () => {
  const at = { requestId: 'req_1-a', item: 2, tile: 3, part: 4 };
  expect(subjects.message('tokens', at)).toBe('tessera.tokens.r1.req_1-a.2.3.4');
  expect(subjects.parse('tessera.tokens.r1.req_1-a.2.3.4')).toEqual(at);
  expect(subjects.parse('tessera.tokens.r1.a.2.3.failure')).toMatchObject({ part: 'failure' });
});

test('what is no message subject is not read', () => {
  for (const subject of [
    '',
    'tessera.tokens.r1.a.2.3',
    'tessera.tokens.r1.a.2.3.4.5',
    'tessera.tokens.r1.a.x.3.4',
    'tessera.tokens.r1.a.2.-1.4',
    'tessera.tokens.r1.a.2.03.4',
    'tessera.tokens.r1.a.2.3.9999999999',
  ]) {
    expect(subjects.parse(subject)).toBeUndefined();
  }
});

test('request ids that would change the meaning of a subject are refused', () => {
  for (const requestId of ['', 'a.b', '*', '>', 'a b', 'a\n', 'ä']) {
    const act = () => subjects.message('encode', { requestId, item: 0, tile: 0, part: 0 });
    expect(act).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }));
    expect(() => subjects.requestFilter('encode', requestId)).toThrow();
    expect(() => subjects.cancel(requestId)).toThrow();
  }
});

test('prefixes that look alike share no name and no subject', () => {
  const names = ['a', 'a_b', 'a-b', 'OBJ_a', 'KV_a'].flatMap((prefix) => {
    const plan = streamPlan(new Subjects(prefix, 'r1'), defaultStreamLimits);
    const streams = plan.streams.flatMap(({ name, subjects: taken }) => [name, ...taken]);
    return [...streams, `OBJ_${plan.blobs.bucket}`, `KV_${plan.tombstones.bucket}`];
  });
  expect(new Set(names).size).toBe(names.length);
});

test('the plan has a refusing queue for each kind of job, and nothing outlives the longest deadline by much', () => {
  const plan = streamPlan(subjects, defaultStreamLimits);
  expect(plan.streams.map(({ name, retention }) => [name, retention])).toEqual([
    ['tessera_encode', 'workqueue'],
    ['tessera_connect', 'workqueue'],
    ['tessera_generate', 'workqueue'],
    ['tessera_features', 'limits'],
    ['tessera_tokens', 'limits'],
    ['tessera_media', 'limits'],
  ]);
  for (const stream of plan.streams) {
    expect(stream).toMatchObject({ discard: 'new', maxAgeMs: defaultStreamLimits.maxDeadlineMs });
    expect(stream.dedupWindowMs).toBeLessThanOrEqual(stream.maxAgeMs);
  }
  const planned = plan.streams.reduce((sum, { maxBytes }) => sum + maxBytes, 0);
  expect(planned + plan.blobs.maxBytes + plan.tombstones.maxBytes).toBe(totalStreamBytes(defaultStreamLimits));
});

test('the message id differs by everything that makes a message another', () => {
  const base = { kind: 'tokens', requestId: 'a', item: 0, tile: 0, part: 0, attempt: 1, revision: 'r1' } as const;
  const ids = [
    base,
    { ...base, kind: 'features' as const },
    { ...base, requestId: 'b' },
    { ...base, item: 1 },
    { ...base, tile: 1 },
    { ...base, part: 1 },
    { ...base, attempt: 2 },
    { ...base, revision: 'r2' },
  ].map(messageId);
  expect(new Set(ids).size).toBe(ids.length);
});

test('header numbers are whole numbers or nothing', () => {
  expect(headerNumber('1764000000000')).toBe(1_764_000_000_000);
  for (const text of [undefined, '', '-1', '1.5', '1e3', 'x', '9'.repeat(16)])
    expect(headerNumber(text)).toBeUndefined();
});
