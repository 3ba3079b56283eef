import { RequestState } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { noisyPng } from '../support/pictures.js';
import { question, RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy();
});
afterAll(async () => {
  await deployment?.stop();
});

/** Nearly every token is as likely as any other, so the answer goes on to its limit. */
const endless = { temperature: 10, seed: 4n, maxTokens: 1500 };

/** How often requests ended in a way: OK, or a code of the error table. */
function endedWith(code: string): Promise<number> {
  return deployment.metric('gateway', 'tessera_gateway_requests_total', { code });
}

/** Begins a request, waits until it is where it should be, leaves, and sees that every stage lets go of it. */
async function leaveWhen(begin: (chat: RawChat) => void, isThere: (chat: RawChat) => Promise<unknown>): Promise<void> {
  const before = await endedWith('CANCELLED');
  await leavesNoTrace(deployment, async () => {
    using chat = new RawChat(deployment.gateway);
    begin(chat);
    await isThere(chat);
    chat.leave();
    expect(await chat.ended).toMatchObject({ status: 'CANCELLED' });
    await eventually(async () => (await endedWith('CANCELLED')) === before + 1, 'the gateway notices');
  });
}

describe('a client that leaves', () => {
  test('while it sends media', async () => {
    await leaveWhen(
      (chat) => chat.ask('What is this?', ['a']).part('a', Buffer.alloc(500_000), false),
      () =>
        eventually(async () => (await deployment.metric('gateway', 'tessera_gateway_media_bytes')) > 0, 'bytes held'),
    );
  });

  test('without closing its side before the first event', async () => {
    const before = await deployment.metric('gateway', 'tessera_grpc_requests_total', { code: 'CANCELLED' });
    await leavesNoTrace(deployment, async () => {
      using chat = new RawChat(deployment.gateway);
      await eventually(
        async () => (await deployment.metric('gateway', 'tessera_grpc_requests_running')) > 0,
        'the call is open',
      );
      chat.leave();
      await eventually(
        async () =>
          (await deployment.metric('gateway', 'tessera_grpc_requests_total', { code: 'CANCELLED' })) === before + 1,
        'the gateway notices',
      );
    });
  });

  test('while its picture is encoded and its prompt prefilled', async () => {
    const large = await noisyPng(2500, 2000);
    await leaveWhen(
      (chat) => chat.ask('What is this?', ['a']).media('a', large),
      (chat) => chat.event('stateChanged', ({ state }) => state === RequestState.PREFILLING),
    );
  });

  test('while its text is written', async () => {
    const written = await deployment.metric('llm', 'tessera_decode_tokens_total');
    await leaveWhen(
      (chat) =>
        chat
          .send({ $case: 'start', value: question('Hello!', ['a'], { text: endless }) })
          .media('a', samplePicture('apple')),
      (chat) => chat.event('textDelta'),
    );
    // The sequence was stopped, not written to its end for nobody.
    expect((await deployment.metric('llm', 'tessera_decode_tokens_total')) - written).toBeLessThan(endless.maxTokens);
  });

  test('while its drawing is made', async () => {
    const drawn = await deployment.metric('generator', 'tessera_denoise_steps_total');
    const drawing = { steps: 200, seed: 1n };
    await leaveWhen(
      (chat) =>
        chat.send({ $case: 'start', value: question('Draw a red apple on a blue background.', [], { draw: drawing }) }),
      (chat) => chat.event('mediaProgress'),
    );
    expect((await deployment.metric('generator', 'tessera_denoise_steps_total')) - drawn).toBeLessThan(drawing.steps);
  });

  test('with many others, in every state at once, while one stays', async () => {
    await leavesNoTrace(deployment, async () => {
      const many = Array.from({ length: 24 }, () => new RawChat(deployment.gateway));
      using stays = new RawChat(deployment.gateway);
      try {
        many.forEach((chat, at) => {
          const value = question('Draw a red apple on a blue background.', ['a'], {
            text: at % 2 === 0 ? endless : undefined,
            draw: { steps: 100 },
          });
          chat.send({ $case: 'start', value }).part('a', samplePicture('cat'), at % 3 !== 0);
        });
        stays.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
        await Promise.all(many.map((chat) => chat.event('accepted')));
      } finally {
        for (const chat of many) chat[Symbol.dispose]();
      }
      expect(await stays.ended).toMatchObject({ status: 'OK' });
      expect(stays.text).toBe('This is a red apple.');
    });
  });
});

describe('a deadline', () => {
  test('of 1 ms is DEADLINE_EXCEEDED', async () => {
    const end = await leavesNoTrace(deployment, async () => {
      using chat = new RawChat(deployment.gateway, { timeoutMs: 1 });
      return await chat.ask('What is this?', ['a']).media('a', samplePicture('apple')).close().ended;
    });
    expect(end).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
  });

  test('that passes while text is written ends it in every stage', async () => {
    const written = await deployment.metric('llm', 'tessera_decode_tokens_total');
    const before = await endedWith('DEADLINE_EXCEEDED');
    await leavesNoTrace(deployment, async () => {
      // However fast or slow the machine is, one of these deadlines falls between the first word and the last.
      for (let timeoutMs = 300; ; timeoutMs *= 2) {
        using chat = new RawChat(deployment.gateway, { timeoutMs });
        chat.send({ $case: 'start', value: question('Hello!', [], { text: endless }) }).close();
        expect(await chat.ended).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
        if (chat.text !== '') return;
      }
    });
    await eventually(async () => (await endedWith('DEADLINE_EXCEEDED')) > before, 'it is counted as such');
    expect((await deployment.metric('llm', 'tessera_decode_tokens_total')) - written).toBeLessThan(endless.maxTokens);
  });

  test('that passes while media are awaited gives them back', async () => {
    const end = await leavesNoTrace(deployment, async () => {
      using chat = new RawChat(deployment.gateway, { timeoutMs: 700 });
      return await chat.ask('What is this?', ['a']).part('a', Buffer.alloc(100_000), false).ended;
    });
    expect(end).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
  });
});

test('a client that does not read slows itself down, and nobody else', async () => {
  await leavesNoTrace(deployment, async () => {
    using slow = new RawChat(deployment.gateway);
    slow.pause();
    slow.send({ $case: 'start', value: question('Hello!', [], { text: endless }) }).close();
    using quick = new RawChat(deployment.gateway);
    quick.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
    expect(await quick.ended).toMatchObject({ status: 'OK' });
    expect(quick.text).toBe('This is a red apple.');
    slow.leave();
  });
});
