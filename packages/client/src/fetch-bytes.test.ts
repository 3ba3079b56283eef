import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deferred } from '@tessera/testing/async/deferred';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchBytes } from './fetch-bytes.js';

let server: Server;
let base: string;
let refusedClosed: () => void = () => undefined;
beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/ten') response.end(Buffer.alloc(10, 1));
    else if (request.url === '/moved') response.writeHead(302, { location: '/ten' }).end();
    else if (request.url === '/chunks') {
      // Of no declared length, and without an end.
      const more = () => response.write(Buffer.alloc(1000)) && setImmediate(more);
      more();
      response.on('drain', more);
    } else if (request.url === '/refused') {
      // A refusal whose words never end.
      response.writeHead(404);
      response.write('no');
      response.on('close', refusedClosed);
    } else if (request.url !== '/silent') response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const never = new AbortController().signal;

test('bytes come over http, also from where a redirect leads, and from data URLs', async () => {
  expect(await fetchBytes(`${base}/ten`, {}, never)).toEqual(Buffer.alloc(10, 1));
  expect(await fetchBytes(new URL(`${base}/moved`), { maxBytes: 10 }, never)).toEqual(Buffer.alloc(10, 1));
  expect(await fetchBytes('data:image/png;base64,AQID', {}, never)).toEqual(Buffer.from([1, 2, 3]));
});

test.each([
  ['of a declared length', '/ten', 9],
  ['of an endless body', '/chunks', 5000],
])('more than may be fetched is refused: %s', async (_what, path, maxBytes) => {
  await expect(fetchBytes(base + path, { maxBytes }, never)).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: expect.stringContaining(`more than ${maxBytes} bytes`),
  });
});

test.each([
  ['what is not there', () => `${base}/none`, 'the server answers 404'],
  ['a server that is not there', () => 'http://127.0.0.1:1/', 'cannot be fetched'],
  ['another scheme', () => 'file:///etc/hostname', 'file: is none of http:, https:, data:'],
  ['what is no URL', () => 'apple.png', 'it is no URL'],
  ['a data URL that is none', () => 'data:nothing', 'cannot be fetched'],
])('%s is refused with its URL and the reason', async (_what, url, message) => {
  await expect(fetchBytes(url(), {}, never)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: expect.stringContaining(message),
  });
});

test('a server that says nothing is waited for until the time is over', async () => {
  await expect(fetchBytes(`${base}/silent`, { timeoutMs: 50 }, never)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: expect.stringContaining('it took longer than 50 ms'),
  });
});

test('an abort ends it with its own reason', async () => {
  const controller = new AbortController();
  const fetched = fetchBytes(`${base}/silent`, {}, controller.signal);
  controller.abort('enough');
  await expect(fetched).rejects.toBe('enough');
});

test('a refusal is not read, and keeps no connection', async () => {
  const closed = deferred();
  refusedClosed = closed.resolve;
  await expect(fetchBytes(`${base}/refused`, {}, never)).rejects.toThrow('the server answers 404');
  await closed.promise;
});
