import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { connect } from './connect.js';
import { type ChatCall, scriptedGateway } from './testing/scripted-gateway.js';

const model = (name: string) => ({
  info: { name, revision: 'abc', weights: 2 },
  inputModalities: [1, 2],
  outputModalities: [1],
  contextTokens: 640,
});

test('models are listed over all pages, and again where a page fails', async () => {
  await using gateway = await scriptedGateway({
    listModels(pageToken, attempt) {
      if (attempt === 2) throw new TesseraError('STAGE_UNAVAILABLE', 'a moment');
      return pageToken === '' ? { models: [model('a')], nextPageToken: 'more' } : { models: [model('b')] };
    },
  });
  using client = connect(gateway.address, { retry: { firstPauseMs: 1 } });
  expect(await client.listModels()).toEqual(
    ['a', 'b'].map((name) => ({
      name,
      revision: 'abc',
      weights: 'int8',
      inputModalities: ['text', 'image'],
      outputModalities: ['text'],
      contextTokens: 640,
    })),
  );
});

test('a model is described with plain numbers', async () => {
  await using gateway = await scriptedGateway({
    describe: (name) => ({
      model: model(name),
      limits: { contextTokens: 640, mediaItems: 8, mediaBytes: 2n ** 25n, maxDeadline: { seconds: 90n } },
    }),
  });
  using client = connect(gateway.address);
  expect(await client.describe('demo')).toMatchObject({
    model: { name: 'demo' },
    limits: { contextTokens: 640, mediaItems: 8, mediaBytes: 33_554_432, maxDeadlineMs: 90_000 },
  });
});

test('metadata goes with every call', async () => {
  await using gateway = await scriptedGateway({
    // biome-ignore lint/correctness/useYield: it only fails
    async *chat({ context }: ChatCall) {
      throw new TesseraError('UNSUPPORTED', `the key is ${context.metadata.get('authorization')}`);
    },
  });
  using client = connect(gateway.address, { metadata: { authorization: 'Bearer secret' } });
  const answer = client.chat({ messages: [] }).answer();
  await expect(answer).rejects.toMatchObject({ message: 'the key is Bearer secret' });
});

test('certificates that are none are refused at once', () => {
  const tls = { ca: 'none', cert: 'none', key: 'none' };
  expect(() => connect('localhost:1', { tls })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});

test('a server that is not there is told as such', async () => {
  using client = connect('127.0.0.1:1', { retry: { maxAttempts: 1 } });
  await expect(client.describe()).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE', retryable: true });
});

test('a client that went out of use makes no calls', async () => {
  await using gateway = await scriptedGateway({ listModels: () => ({ models: [] }) });
  const open = () => {
    using client = connect(gateway.address);
    return client;
  };
  await expect(open().listModels()).rejects.toMatchObject({ code: 'CANCELLED', message: 'the client was closed' });
});
