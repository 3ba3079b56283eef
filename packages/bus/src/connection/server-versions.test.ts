import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findNatsServer, startNatsServer } from '@tessera/nats-server';
import { TesseraError } from '@tessera/protocol';
import { memoryLog } from '@tessera/service/testing/memory-log';
import { expect, test } from 'vitest';
import { Bus } from '../bus.js';
import { checkServerVersion, noticesOf, serverNotices } from './server-versions.js';

test.each([['2.8.4'], ['1.4.1'], ['nonsense'], ['']])('"%s" is refused', (version) => {
  expect(() => checkServerVersion(version, 'nats://a')).toThrow(/lacks the consumers/);
  expect(() => checkServerVersion(version, 'nats://a')).toThrow(TesseraError);
});

test.each([
  ['2.9.0', 1],
  ['2.9.10', 1],
  ['2.9.11', 1],
  ['2.9.12', 0],
  ['2.9.25', 0],
  ['2.10.0-RC.1', 0],
  ['v2.12.1', 0],
  ['3.0.0', 0],
])('%s is taken, with %i notices', (version, count) => {
  const told = checkServerVersion(version, 'nats://a');
  expect(told).toHaveLength(count);
  for (const sentence of told)
    expect(sentence).toContain(`NATS at nats://a is of version ${version}: it never lets go`);
});

test('every notice says from which version on it does not hold', () => {
  for (const { before, says } of serverNotices) {
    expect(noticesOf(before.join('.'))).not.toContainEqual(expect.objectContaining({ before }));
    expect(says).toContain(before.slice(0, before[2] === 0 ? 2 : 3).join('.'));
  }
});

test('a bus says at connect what is known of its server', async () => {
  const nats = await startNatsServer();
  const { log, lines } = memoryLog();
  try {
    const bus = await Bus.connect({ url: nats.url, prefix: 't', revision: 'r1', name: 'test', log });
    await bus.close();
    const { stdout } = await promisify(execFile)(await findNatsServer(), ['--version']);
    const version = /v(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1] ?? '';
    const expected = checkServerVersion(version, nats.url);
    expect(lines.filter(({ level }) => level === 'info').map(({ msg }) => msg)).toEqual(expected);
  } finally {
    await nats.stop();
  }
});
