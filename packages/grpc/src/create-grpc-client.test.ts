import { ChatServiceDefinition, TesseraError } from '@tessera/protocol';
import { createServer, Metadata, type Server, ServerError, Status } from 'nice-grpc';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ChannelSettings, createGrpcClient } from './create-grpc-client.js';
import type { CallOpener } from './open-call.js';

const { listModels } = ChatServiceDefinition.methods;
const service = { name: 'ChatService', fullName: 'tessera.v1.ChatService', methods: { listModels } } as const;

let server: Server;
let address: string;
/** The headers of each call that came. */
let came: Metadata[];
const closers: (() => void)[] = [];
beforeEach(async () => {
  came = [];
  server = createServer({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.add(service, {
    async listModels({ pageSize, pageToken }, { metadata }) {
      came.push(metadata);
      if (pageToken === 'fail') throw new ServerError(Status.UNAVAILABLE, 'gone');
      return { models: [], nextPageToken: 'x'.repeat(pageSize) };
    },
  });
  address = `127.0.0.1:${await server.listen('127.0.0.1:0')}`;
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  server.forceShutdown();
});

/** What a call's opener is told, in order. */
class Told {
  readonly words: unknown[] = [];
  readonly stop = new AbortController();
  readonly error = new TesseraError('INTERNAL', 'what the opener makes of it');

  readonly open: CallOpener = (path, options) => {
    this.words.push(['open', path, options.timeoutMs]);
    return {
      signal: this.stop.signal,
      headers: [['x-own', 'of the opener']],
      succeeded: () => void this.words.push('succeeded'),
      failed: (reason) => {
        this.words.push(['failed', reason]);
        return this.error;
      },
      [Symbol.dispose]: () => void this.words.push('disposed'),
    };
  };
}

function clientWith(told: Told, settings: ChannelSettings = {}) {
  const { client, channel } = createGrpcClient(service, address, settings, told.open);
  closers.push(() => channel.close());
  return client;
}

const path = '/tessera.v1.ChatService/ListModels';

test('a call sends the headers of its opener beside those of its caller, and tells it how it ended', async () => {
  const told = new Told();
  const metadata = Metadata({ 'x-caller': 'of the caller' });
  const answer = await clientWith(told).listModels({ pageSize: 3 }, { metadata, timeoutMs: 60_000 });
  expect(answer.nextPageToken).toBe('xxx');
  expect(came.map((each) => [each.get('x-own'), each.get('x-caller')])).toEqual([['of the opener', 'of the caller']]);
  expect(metadata.get('x-own')).toBeUndefined();
  expect(told.words).toEqual([['open', path, 60_000], 'succeeded', 'disposed']);
});

test('a call that fails throws what its opener makes of it', async () => {
  const told = new Told();
  await expect(clientWith(told).listModels({ pageToken: 'fail' })).rejects.toBe(told.error);
  const reason = expect.objectContaining({ code: Status.UNAVAILABLE, details: 'gone' });
  expect(told.words).toEqual([['open', path, undefined], ['failed', reason], 'disposed']);
});

test('a call that is over before it begins reaches no server, and its reason is told', async () => {
  const told = new Told();
  const reason = new TesseraError('CANCELLED', 'enough');
  told.stop.abort(reason);
  await expect(clientWith(told).listModels({})).rejects.toBe(told.error);
  expect(told.words).toContainEqual(['failed', reason]);
  expect(came).toEqual([]);
});

test.each([
  ['that is set', { maxMessageBytes: 1000 }, 900, 1100],
  ['of 4 MiB', {}, 4_194_000, 4_194_400],
])('messages have a limit %s, in both directions', async (_what, settings, within, beyond) => {
  const client = clientWith(new Told(), settings);
  await client.listModels({ pageSize: within });
  await client.listModels({ pageToken: 'x'.repeat(within) });
  const told = new Told();
  const asking = clientWith(told, settings);
  // Only whether it came: a failure would print all of it.
  const answers = async (request: { pageSize?: number; pageToken?: string }) =>
    (await asking.listModels(request)) !== null;
  await expect(answers({ pageSize: beyond })).rejects.toBe(told.error);
  await expect(answers({ pageToken: 'x'.repeat(beyond) })).rejects.toBe(told.error);
  expect(came).toHaveLength(3);
});

test.each<[settings: ChannelSettings, connections: number]>([
  [{ apart: true }, 2],
  [{ apart: false }, 1],
  [{}, 1],
])('two clients of one address with %j have %d connections', async (settings, connections) => {
  const own = createServer();
  const peers = new Set<string>();
  own.add(service, {
    async listModels(_, { peer }) {
      peers.add(peer);
      return { models: [], nextPageToken: '' };
    },
  });
  address = `127.0.0.1:${await own.listen('127.0.0.1:0')}`;
  closers.push(() => own.forceShutdown());
  for (const client of [clientWith(new Told(), settings), clientWith(new Told(), settings)])
    await client.listModels({});
  expect(peers.size).toBe(connections);
});
