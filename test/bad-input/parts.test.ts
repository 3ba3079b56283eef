import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { mediaTokens, question, RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy({
    flags: { gateway: ['--media-max-bytes', '700000', '--media-max-held-bytes', '900000'] },
  });
});
afterAll(async () => {
  await deployment?.stop();
});

const picture = samplePicture('apple');
const half = Math.floor(picture.length / 2);

const outOfContract: readonly [name: string, code: string, named: string, say: (chat: RawChat) => void][] = [
  ['a stream without a message', 'REQUEST_INVALID', 'send `start` first', (chat) => chat.close()],
  ['a part before start', 'REQUEST_INVALID', 'must be `start`', (chat) => chat.part('a', picture)],
  ['a message without content', 'REQUEST_INVALID', 'must be `start`', (chat) => chat.send(undefined)],
  [
    'a part of media that are not declared',
    'REQUEST_INVALID',
    '"b", which is not declared',
    (chat) => chat.ask('What?', ['a']).part('b', picture),
  ],
  [
    'a part after the last while others are missing',
    'REQUEST_INVALID',
    'after its last part',
    (chat) => chat.ask('What?', ['a', 'b']).part('a', picture).part('a', picture),
  ],
  [
    'a second start while media are missing',
    'REQUEST_INVALID',
    'only `media_part`',
    (chat) => chat.ask('What?', ['a']).ask('What?', ['a']),
  ],
  [
    'a part over its limit',
    'MESSAGE_TOO_LARGE',
    '524288',
    (chat) => chat.ask('What?', ['a']).part('a', Buffer.alloc(524_289)),
  ],
  [
    'an item over its limit',
    'MEDIA_TOO_LARGE',
    '700000',
    (chat) => chat.ask('What?', ['a']).media('a', Buffer.alloc(700_001)),
  ],
  ['media of which nothing came', 'MEDIA_MISSING', '"a"', (chat) => chat.ask('What?', ['a']).close()],
  [
    'media whose last part is missing',
    'MEDIA_MISSING',
    `after ${half} bytes`,
    (chat) => chat.ask('What?', ['a']).part('a', picture.subarray(0, half), false).close(),
  ],
];

test.each(outOfContract)('%s is %s', async (_, code, named, say) => {
  let accepted: string | undefined;
  const end = await leavesNoTrace(deployment, async () => {
    using chat = new RawChat(deployment.gateway);
    say(chat);
    const ended = await chat.ended;
    accepted = chat.events.map((event) => (event.$case === 'accepted' ? event.value.requestId : undefined))[0];
    return ended;
  });
  expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code, domain: 'tessera' });
  expect(end.message).toContain(named);
  expect(end.field).toMatch(/^(start$|start\.media\[0\]$|media_part)/);
  // Once the request has an id, its error tells it.
  expect(end.requestId).toBe(accepted);
});

test.each([
  ['a part after all media are complete', (chat: RawChat) => chat.part('a', picture)],
  ['a second start after all media are complete', (chat: RawChat) => chat.ask('What?', ['a'])],
])('%s ends the request', async (_, sayMore) => {
  const end = await leavesNoTrace(deployment, async () => {
    using chat = new RawChat(deployment.gateway);
    // A long answer, so that the request is still there when more is said.
    const text = { temperature: 10, seed: 4n, maxTokens: 1500 };
    chat.send({ $case: 'start', value: question('Hello!', ['a'], { text }) }).part('a', picture);
    await chat.event('textDelta');
    sayMore(chat);
    return await chat.ended;
  });
  expect(end).toMatchObject({ status: 'INVALID_ARGUMENT', code: 'REQUEST_INVALID' });
});

test('media of all requests together over the limit are QUEUE_FULL, and may be sent again later', async () => {
  await leavesNoTrace(deployment, async () => {
    using holder = new RawChat(deployment.gateway);
    holder.ask('What?', ['a']).part('a', Buffer.alloc(500_000), false);
    await holder.event('accepted');
    using other = new RawChat(deployment.gateway);
    other.ask('What?', ['a']).part('a', Buffer.alloc(500_000), false);
    // Whichever part came second is refused; the other request goes on to hold its own.
    const end = await Promise.race([holder.ended, other.ended]);
    expect(end).toMatchObject({
      status: 'RESOURCE_EXHAUSTED',
      code: 'QUEUE_FULL',
      message: expect.stringContaining('900000'),
    });
    expect(end.retryAfterMs).toBeGreaterThan(0);
    holder.leave();
    other.leave();
  });
});

test('a picture sent byte by byte is answered as any other', async () => {
  const text = await leavesNoTrace(deployment, async () => {
    using chat = new RawChat(deployment.gateway);
    chat.ask('What is this?', ['a']);
    for (let at = 0; at < picture.length; at++) chat.part('a', picture.subarray(at, at + 1), at === picture.length - 1);
    expect(await chat.close().ended).toMatchObject({ status: 'OK' });
    return chat.text;
  });
  expect(text).toBe('This is a red apple.');
});

test('parts of several items may come mixed', async () => {
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is on the left?', ['a', 'b']);
  chat.part('b', picture.subarray(0, half), false).part('a', picture.subarray(0, half), false);
  chat.part('b', picture.subarray(half)).part('a', picture.subarray(half));
  expect(await chat.close().ended).toMatchObject({ status: 'OK' });
  expect(mediaTokens((await chat.event('finished')).usage)).toBe(18);
});
