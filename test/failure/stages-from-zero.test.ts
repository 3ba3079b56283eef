import type { ServiceName } from '@tessera/cli';
import { type JobKind, Stage } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answersRight, atRest } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { jobsUndone } from '../support/processes.js';
import { RawChat } from '../support/raw-chat.js';

const stages = ['encoder', 'connector', 'generator'] as const satisfies ServiceName[];

let deployment: Deployment;
beforeAll(async () => {
  // What an engine has in its cache it needs no encoder for.
  deployment = await deploy({ later: stages, flags: { llm: ['--kv-reuse-prefixes', 'false'] } });
});
afterAll(async () => {
  await deployment?.stop();
});

const drawing = { draw: { steps: 2, seed: 7n } };
const stageOf = { encoder: Stage.ENCODER, connector: Stage.CONNECTOR, generator: Stage.GENERATOR };

function askAbout(picture: 'apple' | 'cat', timeoutMs?: number): RawChat {
  const chat = new RawChat(deployment.gateway, { timeoutMs });
  return chat.ask('What is this?', ['a']).media('a', samplePicture(picture)).close();
}

/** Asks for what each stage has a part in. */
const work: Readonly<Record<(typeof stages)[number], (timeoutMs?: number) => RawChat>> = {
  encoder: (timeoutMs) => askAbout('apple', timeoutMs),
  connector: (timeoutMs) => askAbout('cat', timeoutMs),
  generator: (timeoutMs) =>
    new RawChat(deployment.gateway, { timeoutMs }).ask('Draw a red apple on a blue background.', [], drawing).close(),
};

/** What the client was told that it waits for, in order. */
function awaited(chat: RawChat): Stage[][] {
  return chat.events.flatMap((event) => (event.$case === 'stagesAwaited' ? [event.value.stages] : []));
}

const awaiting = (stage: string) => deployment.metric('gateway', 'tessera_gateway_requests_awaiting', { stage });
const queueOf = { encoder: 'encode', connector: 'connect', generator: 'generate' } as const satisfies Record<
  string,
  JobKind
>;
const attended = (kind: JobKind) => deployment.metric('gateway', 'tessera_queue_attended', { kind });

/** Starts a stage, or ends it, and waits until the gateway has seen that. */
async function scale(stage: (typeof stages)[number], replicas: 0 | 1): Promise<void> {
  if (replicas === 1) await deployment.stack.startService(stage);
  else await deployment.stack.stopService(stage);
  await eventually(async () => (await attended(queueOf[stage])) === replicas, `the gateway sees ${replicas} ${stage}`);
}

test('with encoder, connector and generator at zero a picture and a drawing wait, each stage is told, and both are done as it comes', async () => {
  await answersRightWithoutPictures();
  using looking = work.encoder();
  using drawn = work.generator();
  expect(await looking.event('stagesAwaited')).toMatchObject({ stages: [Stage.ENCODER, Stage.CONNECTOR] });
  expect(await drawn.event('stagesAwaited')).toMatchObject({ stages: [Stage.GENERATOR] });
  expect(await Promise.all(stages.map(awaiting))).toEqual([1, 1, 1]);
  await eventually(async () => (await attended('encode')) === 0, 'the queue is seen to have nobody');
  // Where KEDA looks.
  await jobsUndone(deployment, 'encode', 1);
  await jobsUndone(deployment, 'generate', 1);

  await deployment.stack.startService('encoder');
  await looking.event('stagesAwaited', ({ stages }) => stages.length === 1 && stages[0] === Stage.CONNECTOR);
  await jobsUndone(deployment, 'connect', 1);
  await scale('connector', 1);
  expect(await looking.ended).toMatchObject({ status: 'OK' });
  expect(looking.text).toBe('This is a red apple.');
  await scale('generator', 1);
  expect(await drawn.ended).toMatchObject({ status: 'OK' });
  expect((await drawn.event('finished')).usage?.outputMedia).toBe(1);
  expect(awaited(looking).slice(0, 2)).toEqual([[Stage.ENCODER, Stage.CONNECTOR], [Stage.CONNECTOR]]);
  await atRest(deployment);
  expect(await Promise.all(stages.map(awaiting))).toEqual([0, 0, 0]);
  await answersRight(deployment.gateway);
  // With everybody there nobody is told to wait.
  using plain = work.encoder();
  expect(await plain.ended).toMatchObject({ status: 'OK' });
  expect(awaited(plain)).toEqual([]);
});

test.each(stages)(
  'the %s goes to zero and nobody comes: the deadline is kept, and the error is its own',
  async (stage) => {
    await scale(stage, 0);
    // A busy machine may take ten seconds to send it and to see that nobody is there.
    using first = work[stage](20_000);
    expect(await first.event('stagesAwaited')).toMatchObject({ stages: [stageOf[stage]] });
    expect(await first.ended).toMatchObject({
      status: 'UNAVAILABLE',
      code: 'STAGE_UNAVAILABLE',
      stage,
      message: expect.stringContaining(`no ${stage} took up the request's work before its deadline`),
    });
    // What waited in vain is not in the way of what comes after it.
    using second = work[stage]();
    await second.event('stagesAwaited');
    await scale(stage, 1);
    expect(await second.ended).toMatchObject({ status: 'OK' });
    await atRest(deployment);
  },
);

test('a long queue at zero is no reason to refuse: all that waits is done by whoever comes', async () => {
  // What it takes while somebody is there is known, and that nothing leaves for a while is seen.
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      using chat = work.encoder();
      expect(await chat.ended).toMatchObject({ status: 'OK' });
    }),
  );
  await scale('encoder', 0);
  const waiting = Array.from({ length: 12 }, () => work.encoder(60_000));
  try {
    await Promise.all(waiting.map((chat) => chat.event('stagesAwaited')));
    await eventually(
      async () => (await deployment.metric('gateway', 'tessera_queue_oldest_seconds', { kind: 'encode' })) > 3,
      'nothing has left for a while',
    );
    using late = work.encoder(60_000);
    await late.event('stagesAwaited');
    // Text needs no encoder, however many pictures wait for one.
    await answersRightWithoutPictures();
    await deployment.stack.startService('encoder');
    for (const chat of [...waiting, late]) {
      expect(await chat.ended).toMatchObject({ status: 'OK' });
      expect(chat.text).toBe('This is a red apple.');
    }
  } finally {
    for (const chat of waiting) chat[Symbol.dispose]();
  }
  await atRest(deployment);
});

async function answersRightWithoutPictures(): Promise<void> {
  using chat = new RawChat(deployment.gateway);
  expect(await chat.ask('Hello!', [], { text: { maxTokens: 8 } }).close().ended).toMatchObject({ status: 'OK' });
}
