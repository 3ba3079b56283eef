import { GenerateRequest, type GenerateResponse, LlmServiceDefinition } from '@tessera/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type Probe, startProbe } from '../testing/start-probe.js';

const { generate } = LlmServiceDefinition.methods;

let probe: Probe;
beforeAll(async () => {
  probe = await startProbe();
});
afterAll(async () => probe[Symbol.asyncDispose]());

function request(what: string): GenerateRequest {
  return GenerateRequest.fromPartial(ask(what));
}

function textOf({ event }: GenerateResponse): string {
  return event?.$case === 'tokens' ? event.value.text : '';
}

/** The texts that come, until the stream ends. */
async function received(what: string, signal = new AbortController().signal, timeoutMs?: number): Promise<string[]> {
  const texts: string[] = [];
  const onMessage = (message: GenerateResponse): undefined => void texts.push(textOf(message));
  await probe.client.receive(generate, request(what), { signal, timeoutMs, onMessage });
  return texts;
}

test('all messages come, in order, and then the end', async () => {
  expect(await received('text 5')).toEqual(['0', '1', '2', '3', '4']);
});

test('the error of a service is thrown with all that it says', async () => {
  await expect(received('named fail QUEUE_FULL')).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    options: { retryAfterMs: 1500, field: 'request_id', requestId: 'the-request' },
  });
});

test('a deadline ends it, and so does its caller, whose service hears of it', async () => {
  const none = new AbortController().signal;
  await expect(received('wait', none, 200)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  const leaving = new AbortController();
  const seen = probe.records.length;
  const waiting = received('wait', leaving.signal);
  await expect.poll(() => probe.records.length).toBe(seen + 1);
  leaving.abort(new Error('enough'));
  await expect(waiting).rejects.toMatchObject({ message: expect.stringContaining('enough') });
  await expect.poll(() => probe.records.at(-1)?.abortedFor).toMatchObject({ code: 'CANCELLED' });
});

test('nothing is called where the signal has aborted already', async () => {
  const seen = probe.records.length;
  await expect(received('text 1', AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  expect(probe.records.length).toBe(seen);
});

test('no message is handed on while its reader is busy with the one before', async () => {
  let busy = false;
  let overlapped = false;
  const texts: string[] = [];
  const onMessage = async (message: GenerateResponse): Promise<void> => {
    overlapped ||= busy;
    busy = true;
    texts.push(textOf(message));
    await new Promise((resolve) => setTimeout(resolve, 5));
    busy = false;
  };
  const signal = new AbortController().signal;
  await probe.client.receive(generate, request('text 20'), { signal, onMessage });
  expect(texts).toHaveLength(20);
  expect(overlapped).toBe(false);
});
