import { RequestState } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { question, RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy({
    flags: {
      gateway: ['--requests-max-in-flight', '3'],
      llm: ['--engine-max-running', '1', '--engine-max-waiting', '1'],
    },
  });
});
afterAll(async () => {
  await deployment?.stop();
});

const endless = { temperature: 10, seed: 4n, maxTokens: 1500 };

/** Asks again while the engine is said to be full: for half a second the gateway may count what has just left it. */
async function busy(): Promise<RawChat> {
  for (let attempt = 1; ; attempt++) {
    const chat = new RawChat(deployment.gateway);
    chat.send({ $case: 'start', value: question('Hello!', [], { text: endless }) });
    try {
      await chat.event('stateChanged', ({ state }) => state === RequestState.PREFILLING);
      return chat;
    } catch (reason) {
      chat[Symbol.dispose]();
      if (attempt === 20) throw reason;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

test('a gateway with as many requests as it may have refuses one more, and says when to try again', async () => {
  await leavesNoTrace(deployment, async () => {
    // Requests whose media are still to come count as well.
    const open: RawChat[] = [];
    try {
      // One after another: of those that come at once no more are begun than the engine has room for, were they text.
      for (let index = 0; index < 3; index++) {
        const chat = new RawChat(deployment.gateway).ask('What is this?', ['a']);
        open.push(chat);
        await chat.event('accepted');
      }
      using refused = new RawChat(deployment.gateway);
      const end = await refused.ask('Hello!').close().ended;
      expect(end).toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'QUEUE_FULL', domain: 'tessera' });
      expect(end.message).toContain('3 requests in flight');
      expect(end.retryAfterMs).toBeGreaterThan(0);
    } finally {
      for (const chat of open) chat[Symbol.dispose]();
    }
  });
});

test('an engine whose queue is full refuses one more, and the others go on', async () => {
  await leavesNoTrace(deployment, async () => {
    using running = await busy();
    await running.event('textDelta');
    using waiting = await busy();
    using refused = new RawChat(deployment.gateway);
    const end = await refused.ask('Hello!').close().ended;
    expect(end).toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'QUEUE_FULL' });
    expect(end.retryAfterMs).toBeGreaterThan(0);
    // The one that waits gets the slot as soon as the one that runs leaves.
    running.leave();
    await waiting.event('textDelta');
    waiting.leave();
  });
});

test('one that leaves while it waits for a slot leaves its place', async () => {
  await leavesNoTrace(deployment, async () => {
    using running = await busy();
    await running.event('textDelta');
    using waiting = await busy();
    await eventually(async () => (await deployment.metric('llm', 'tessera_requests_waiting')) === 1, 'it waits');
    waiting.leave();
    await eventually(async () => (await deployment.metric('llm', 'tessera_requests_waiting')) === 0, 'it left');
    using next = new RawChat(deployment.gateway).ask('Hello!').close();
    running.leave();
    expect(await next.ended).toMatchObject({ status: 'OK' });
    expect(next.text).toBe('Hello! Show me a picture, or ask me to draw one.');
  });
});
