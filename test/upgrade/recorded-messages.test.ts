import { describe, expect, test } from 'vitest';
import { codecOf, plain, recordedMessages, withAddedFields } from '../support/recorded.js';

const cases = recordedMessages().map((each, index) => ({ ...each, index }));

describe('messages of an earlier release', () => {
  test('there are some', () => {
    expect(cases.length).toBeGreaterThan(20);
  });

  test.each(cases)('$release $message $index means what it meant', ({ message, bytes, value }) => {
    const decoded = codecOf(message).decode(bytes);
    expect(plain(decoded)).toMatchObject(value);
    expect(JSON.stringify(plain(decoded))).not.toContain('_unknownFields');
  });

  test.each(cases)(
    '$release $message $index means the same with fields of a newer one',
    ({ message, bytes, value }) => {
      const newer = withAddedFields(message, bytes);
      expect(newer.includes(Buffer.from([0x9a, 0x06, 0x01, 0x61]))).toBe(true);
      expect(plain(codecOf(message).decode(newer))).toMatchObject(value);
    },
  );
});
