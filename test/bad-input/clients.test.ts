import { connect } from '@tessera/client';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy({
    flags: {
      gateway: [
        ...['--requests-max-pause-ms', '500'],
        ...['--clients-max-requests', '3'],
        ...['--clients-max-uploaded-bytes', '8000'],
      ],
    },
  });
});
afterAll(async () => {
  await deployment?.stop();
});

test('a client that begins a request and then says nothing loses its place', async () => {
  await leavesNoTrace(deployment, async () => {
    const stalled = Array.from({ length: 3 }, () => new RawChat(deployment.gateway).ask('What is this?', ['a']));
    const mute = new RawChat(deployment.gateway);
    // A part that does not end the item is no end of the wait.
    stalled[0]?.part('a', new Uint8Array(10), false);
    for (const chat of [...stalled, mute]) {
      expect(await chat.ended).toMatchObject({ status: 'ABORTED', code: 'REQUEST_STALLED' });
      chat[Symbol.dispose]();
    }
    await expect(mute.event('accepted')).rejects.toThrow('no accepted');
  });
});

test('one client has no more requests in flight than its share', async () => {
  const endless = { text: { temperature: 10, seed: 4n, maxTokens: 1500 } };
  await leavesNoTrace(deployment, async () => {
    const open = Array.from({ length: 3 }, () => new RawChat(deployment.gateway).ask('Hello!', [], endless).close());
    try {
      await Promise.all(open.map((chat) => chat.event('accepted')));
      using refused = new RawChat(deployment.gateway).ask('Hello!').close();
      const end = await refused.ended;
      expect(end).toMatchObject({ status: 'RESOURCE_EXHAUSTED', code: 'QUEUE_FULL' });
      expect(end.message).toContain('the limit of one client');
    } finally {
      for (const chat of open) chat[Symbol.dispose]();
    }
  });
});

test('one client keeps no more uploads than its share, and what it has stays', async () => {
  using client = connect(deployment.gateway, { retry: { maxAttempts: 1 } });
  const { digest } = await client.upload({ bytes: samplePicture('apple') });
  const refusal = client.upload({ bytes: samplePicture('cat') });
  await expect(refusal).rejects.toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: expect.any(Number) });
  await expect(refusal).rejects.toThrow('the limit of one client');
  await client.upload({ bytes: samplePicture('apple') });
  const content = [{ image: { digest } }, 'What is this?'];
  const { text } = await client.chat({ messages: [{ role: 'user', content }] }).answer();
  expect(text).toBe('This is a red apple.');
});
