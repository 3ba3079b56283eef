import { expect, test } from 'vitest';
import { connectQueue, encodeQueue, visualTokens } from './declarations.js';
import { headerNumber } from './headers.js';
import { defaultStreamLimits, maxStoredBytes, streamPlan, totalStreamBytes } from './streams.js';
import { inboxAddress, Subjects, shardOf } from './subjects.js';

const subjects = new Subjects('tessera', 'r1');
const address = inboxAddress(2, 'abcdef0123456789');

test('a job says what it is about, and is read back', () => {
  const at = { requestId: 'req_1-a', item: 2, tile: 3 };
  expect(subjects.job(encodeQueue, at)).toBe('tessera.v2.encode.r1.req_1-a.2.3');
  expect(subjects.parseJob('tessera.v2.encode.r1.req_1-a.2.3')).toEqual(at);
});

test('a product says for whom it is, and is read back', () => {
  const at = { requestId: 'req_1-a', item: 2, tile: 3, part: 4 };
  const subject = subjects.product(visualTokens, address, at);
  expect(subject).toBe('tessera.v2.tokens.2.r1.2-abcdef0123456789.req_1-a.2.3.4');
  expect(subjects.parseProduct(subject)).toEqual({ ...at, address });
  expect(subjects.parseProduct(subject.replace(/\d$/, 'failure'))).toMatchObject({ part: 'failure' });
  expect(subjects.shardOf(visualTokens, address)).toBe('tessera_v2_tokens_2');
});

test('what is no subject of ours is not read', () => {
  for (const subject of [
    '',
    'tessera.v2.encode.r1.a.2',
    'tessera.v2.encode.r1.a.2.3.4',
    'tessera.v2.encode.r1.a.x.3',
  ]) {
    expect(subjects.parseJob(subject)).toBeUndefined();
  }
  const head = `tessera.v2.tokens.2.r1.${address}.a`;
  for (const rest of ['2.3', '2.3.4.5', 'x.3.4', '2.-1.4', '2.03.4', '2.3.9999999999']) {
    expect(subjects.parseProduct(`${head}.${rest}`)).toBeUndefined();
  }
});

test('names that would change the meaning of a subject are refused', () => {
  for (const requestId of ['', 'a.b', '*', '>', 'a b', 'a\n', 'ä']) {
    const refused = expect.objectContaining({ code: 'REQUEST_INVALID' });
    expect(() => subjects.job(encodeQueue, { requestId, item: 0, tile: 0 })).toThrow(refused);
    expect(() => subjects.product(visualTokens, address, { requestId, item: 0, tile: 0, part: 0 })).toThrow(refused);
    expect(() => subjects.cancel(requestId)).toThrow(refused);
    expect(() => subjects.tombstone(requestId)).toThrow(refused);
    expect(() => subjects.part(0, requestId, 0)).toThrow(refused);
    expect(() => shardOf(`0-${requestId}`)).toThrow(refused);
  }
  for (const odd of ['', '0', 'x-abcdefgh', '0-short', '1234-abcdefgh']) expect(() => shardOf(odd)).toThrow();
});

test('prefixes and revisions that look alike share no name and no subject', () => {
  const names = ['a', 'a_b', 'a-b', 'a_v2'].flatMap((prefix) =>
    ['r1', 'r1_x'].flatMap((revision) => {
      const plan = streamPlan(new Subjects(prefix, revision), defaultStreamLimits);
      return plan.streams
        .filter(({ name }) => name.endsWith(revision))
        .flatMap(({ name, subjects: taken }) => [name, ...taken]);
    }),
  );
  expect(new Set(names).size).toBe(names.length);
});

test('the plan has a refusing queue for each kind of job and revision, and nothing but uploads outlives the longest deadline', () => {
  const plan = streamPlan(subjects, { ...defaultStreamLimits, shards: 2 });
  expect(plan.streams.map(({ name, retention, discard }) => [name, retention, discard])).toEqual([
    ['tessera_v2_encode_r1', 'workqueue', 'new'],
    ['tessera_v2_connect_r1', 'workqueue', 'new'],
    ['tessera_v2_generate_r1', 'workqueue', 'new'],
    ['tessera_v2_tokens_0', 'workqueue', 'new'],
    ['tessera_v2_tokens_1', 'workqueue', 'new'],
    ['tessera_v2_drawings_0', 'workqueue', 'new'],
    ['tessera_v2_drawings_1', 'workqueue', 'new'],
    ['tessera_v2_parts_0', 'limits', 'new'],
    ['tessera_v2_parts_1', 'limits', 'new'],
    ['tessera_v2_uploads_0', 'limits', 'new'],
    ['tessera_v2_uploads_1', 'limits', 'new'],
    ['tessera_v2_cancelled', 'limits', 'old'],
    ['tessera_v2_revisions', 'limits', 'old'],
  ]);
  for (const stream of plan.streams.slice(0, -1)) {
    const { uploadMs, maxDeadlineMs } = defaultStreamLimits;
    expect(stream.maxAgeMs).toBe(stream.name.includes('uploads') ? uploadMs : maxDeadlineMs);
    expect(stream.dedupWindowMs).toBeLessThanOrEqual(stream.maxAgeMs);
  }
  const planned = plan.streams.reduce((sum, { maxBytes }) => sum + maxBytes, 0);
  expect(planned).toBe(totalStreamBytes(defaultStreamLimits));
});

test('the queues of any revision are known by their names', () => {
  expect(subjects.revisionOfQueue(new Subjects('tessera', 'r2').queue(connectQueue))).toBe('r2');
  for (const name of ['tessera_v2_tokens_0', 'tessera_v2_cancelled', 'tessera_v2_encode_', 'other_v2_encode_r1']) {
    expect(subjects.revisionOfQueue(name)).toBeUndefined();
  }
});

test('a part and what is said about it fit the payload that a server takes unless told otherwise', () => {
  expect(maxStoredBytes(defaultStreamLimits)).toBeLessThanOrEqual(1024 * 1024);
});

test('header numbers are whole numbers or nothing', () => {
  expect(headerNumber('1764000000000')).toBe(1_764_000_000_000);
  for (const text of [undefined, '', '-1', '1.5', '1e3', 'x', '9'.repeat(16)])
    expect(headerNumber(text)).toBeUndefined();
});
