import { setTimeout as pause } from 'node:timers/promises';
import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { ShardCalls } from './shard-calls.js';

const facts = (group: string, rows: number) => ({
  shard: { shardId: group, address: '127.0.0.1:1', group },
  layer: 3,
  experts: 1,
  rows,
});

test('of each group the longest call is told, and those that failed up to a bound; then it begins anew', async () => {
  const calls = new ShardCalls<ReturnType<typeof facts>>(({ shard }) => shard.group);
  await Promise.all([
    calls.follow(facts('a', 1), Promise.resolve()),
    calls.follow(facts('a', 2), pause(30)),
    calls.follow(facts('b', 3), Promise.resolve()),
  ]);
  for (let n = 0; n < 200; n++) {
    await calls.follow(facts('b', 4), Promise.reject(new TesseraError('STAGE_UNAVAILABLE', 'gone'))).catch(() => {});
  }
  const told = calls.take();
  expect(told.filter(({ failure }) => failure === undefined)).toMatchObject([
    { ...facts('a', 2), startedMs: expect.any(Number) },
    facts('b', 3),
  ]);
  const failed = told.filter(({ failure }) => failure !== undefined);
  expect(failed).toHaveLength(64);
  expect(failed[0]).toMatchObject({ rows: 4, failure: { code: 'STAGE_UNAVAILABLE' } });
  expect(calls.take()).toEqual([]);
});
