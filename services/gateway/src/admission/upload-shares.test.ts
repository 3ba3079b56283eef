import { expect, test } from 'vitest';
import { UploadShares } from './upload-shares.js';

const keptMs = 60_000;
const overheadBytes = 1024;

function shares(limitBytes: number) {
  let nowMs = 1_000_000;
  const uploads = new UploadShares({ bytes: limitBytes, now: () => nowMs });
  return {
    uploads,
    pass: (ms: number) => {
      nowMs += ms;
    },
    keep(name: string, digest: string, bytes: number): void {
      using claim = uploads.claim(name, { digest, bytes });
      claim.keep(nowMs + keptMs);
    },
  };
}

test('one client gets no more room than its share, is told when there will be some, and then has it', () => {
  const { uploads, keep, pass } = shares(3000 + 3 * overheadBytes);
  keep('a', 'one', 1000);
  pass(1000);
  keep('a', 'two', 1000);
  keep('a', 'three', 1000);
  expect(() => keep('a', 'four', 500)).toThrow(
    expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: keptMs - 1000 }),
  );
  // Two of them must go for so much.
  expect(() => keep('a', 'four', 2000)).toThrow(expect.objectContaining({ retryAfterMs: keptMs }));
  keep('b', 'four', 2000);
  pass(keptMs - 1000);
  keep('a', 'four', 500);
  pass(keptMs);
  expect(uploads.size).toBe(2);
  pass(1);
  keep('c', 'five', 1);
  expect(uploads.size).toBe(1);
});

test('an upload that comes again counts once, and lives longer', () => {
  const { keep, pass } = shares(2000 + 2 * overheadBytes);
  keep('a', 'one', 1000);
  pass(keptMs / 2);
  keep('a', 'two', 1000);
  keep('a', 'one', 1000);
  pass(keptMs / 2);
  expect(() => keep('a', 'three', 1000)).toThrow(expect.objectContaining({ retryAfterMs: keptMs / 2 }));
});

test('what could not be stored takes no room; what is being stored does', () => {
  const { uploads, keep } = shares(1000 + overheadBytes);
  {
    using _failed = uploads.claim('a', { digest: 'one', bytes: 1000 });
    expect(() => keep('a', 'two', 1000)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 }));
  }
  expect(uploads.size).toBe(0);
  keep('a', 'two', 1000);
  {
    // It is there from before, and stays.
    using _again = uploads.claim('a', { digest: 'two', bytes: 1000 });
  }
  expect(() => keep('a', 'three', 1)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }));
});

test('what fails beside others that are kept takes no room', () => {
  const { uploads, keep } = shares(2000 + 2 * overheadBytes);
  keep('a', 'one', 1000);
  uploads.claim('a', { digest: 'two', bytes: 1000 })[Symbol.dispose]();
  keep('a', 'three', 1000);
});

test('small uploads are bounded, too, and one that could never fit is no matter of waiting', () => {
  const { keep } = shares(10 * overheadBytes);
  for (let n = 0; n < 9; n++) keep('a', `small ${n}`, 1);
  expect(() => keep('a', 'small', 1)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL' }));
  expect(() => keep('b', 'large', 10 * overheadBytes)).toThrow(expect.objectContaining({ code: 'MEDIA_TOO_LARGE' }));
});
