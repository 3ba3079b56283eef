import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { messageHeaders } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answersRight, atRest, leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { jobsUndone, signal } from '../support/processes.js';
import { RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
let nats: NatsConnection;
let revision: string;
beforeAll(async () => {
  deployment = await deploy({
    flags: { llm: ['--engine-tile-timeout-ms', '300'] },
  });
  nats = await connect({ servers: deployment.natsUrl });
  using chat = new RawChat(deployment.gateway);
  chat.ask('Hello!').close();
  revision = (await chat.event('accepted')).model?.revision ?? '';
});
afterAll(async () => {
  await nats?.close();
  await deployment?.stop();
});

/** How many jobs were ever queued for a stage, and how many are there still. */
async function queue(kind: string): Promise<{ queued: number; left: number }> {
  const { state } = await (await jetstreamManager(nats)).streams.info(`tessera_v2_${kind}_${revision}`);
  return { queued: state.last_seq, left: state.messages };
}

test('a tile that is only slow is asked for again and again, and made once', async () => {
  const before = await queue('encode');
  const tiles = await deployment.metric('encoder', 'tessera_tiles_total');
  signal(deployment, 'encoder', 'SIGSTOP');
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
  await jobsUndone(deployment, 'encode', 1);
  // Long enough for several askings.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  expect((await queue('encode')).queued).toBe(before.queued + 1);
  signal(deployment, 'encoder', 'SIGCONT');
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe('This is a red apple.');
  expect(chat.events.filter(({ $case }) => $case === 'segmentArrived')).toHaveLength(1);
  expect(await deployment.metric('encoder', 'tessera_tiles_total')).toBe(tiles + 1);
  await atRest(deployment);
});

test('a job that vanishes from its queue is sent again when its tile is asked for', async () => {
  const before = await queue('encode');
  signal(deployment, 'encoder', 'SIGSTOP');
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
  await jobsUndone(deployment, 'encode', 1);
  await (await jetstreamManager(nats)).streams.purge(`tessera_v2_encode_${revision}`);
  await eventually(async () => (await queue('encode')).queued > before.queued + 1, 'it is sent again');
  signal(deployment, 'encoder', 'SIGCONT');
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe('This is a red apple.');
  await atRest(deployment);
});

test('garbage on the queues is removed, and the workers go on', async () => {
  await leavesNoTrace(deployment, async () => {
    const js = jetstream(nats);
    const wellMarked = headers();
    wellMarked.set(messageHeaders.deadline, String(Date.now() + 60_000));
    wellMarked.set(messageHeaders.attempt, '1');
    wellMarked.set(messageHeaders.deliverTo, '0-nobodywaits');
    for (const kind of ['encode', 'connect', 'generate']) {
      const garbage = Buffer.from(`no ${kind} job`);
      await js.publish(`tessera.v2.${kind}.${revision}.nobody.0.0`, garbage);
      await js.publish(`tessera.v2.${kind}.${revision}.nobody.0.1`, garbage, { headers: wellMarked });
      await js.publish(`tessera.v2.${kind}.${revision}.not-a-subject`, garbage);
    }
    // Of those that are marked as a job someone is told; nobody reads it here, and it would be there until it is old.
    await eventually(async () => {
      const told = await Promise.all(
        (['encoder', 'connector', 'generator'] as const).map((service) =>
          deployment.metric(service, 'tessera_jobs_total', { outcome: 'failed' }),
        ),
      );
      return told.every((count) => count >= 3);
    }, 'each worker has dealt with it');
    await nats.request('$JS.API.STREAM.PURGE.tessera_v2_tokens_0');
    await nats.request('$JS.API.STREAM.PURGE.tessera_v2_drawings_0');
  });
});

test("garbage among a request's own messages is dropped, and the request is answered", async () => {
  signal(deployment, 'encoder', 'SIGSTOP');
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
  const { requestId } = await chat.event('accepted');
  await jobsUndone(deployment, 'encode', 1);
  const js = jetstream(nats);
  const manager = await jetstreamManager(nats);
  const [engine] = await manager.consumers.list('tessera_v2_tokens_0').next();
  const head = `tessera.v2.tokens.0.${revision}.${engine?.name}.${requestId}`;
  for (const part of ['0', '1', '99999999', 'failure', 'x']) {
    await js.publish(`${head}.0.0.${part}`, Buffer.from('no tensor part'));
  }
  await js.publish(`${head}.7.7.0`, Buffer.alloc(1000));
  signal(deployment, 'encoder', 'SIGCONT');
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe('This is a red apple.');
  expect(await deployment.metric('llm', 'tessera_nats_dropped_total', { reason: 'corrupt' })).toBeGreaterThan(0);
  await answersRight(deployment.gateway);
  await atRest(deployment);
});
