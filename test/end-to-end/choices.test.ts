import type { Answer, AnswerChoice, Picture } from '@tessera/client';
import { FinishReason, TesseraError } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AskOptions, ask } from '../support/ask.js';
import { atRest, leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { killAndAwaitRestart } from '../support/processes.js';
import { question, RawChat } from '../support/raw-chat.js';

const words = 'What is this? Say all that you can see of it, in as many words as you need.';
/** No choice of a token lies within rounding: see services/llm/src/testing/firm-answers.test.ts. */
const hot = { temperature: 10, seed: 4n, maxTokens: 300 };
/** Goes on until it is left, also where what is asked beside it comes late. */
const endless = { ...hot, minTokens: 1500, maxTokens: 1500 };

const textsOf = (choices: readonly AnswerChoice[]): string[] => choices.map(({ text }) => text);

function about(deployment: Deployment, picture: string, options: AskOptions = {}): Promise<Answer> {
  return ask(deployment.gateway, [{ says: [samplePicture(picture), words] }], options);
}

describe('choices', () => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await deploy();
  });
  afterAll(async () => {
    await deployment?.stop();
  });

  // The first of all, so that the counters are of it alone.
  test('have their prompt computed and their picture encoded once', async () => {
    const says = [samplePicture('cat'), `${words} ${'Take your time. '.repeat(20)}`];
    const { usage } = await ask(deployment.gateway, [{ says }], { choices: 4, text: { ...hot, maxTokens: 4 } });
    expect(usage).toMatchObject({ cachedInputTokens: 0, outputTokens: 16 });
    expect(usage.inputTokens).toBeGreaterThan(120);
    // The first token of each is of its prompt. Counters are sampled.
    const decoded = () => deployment.metric('llm', 'tessera_decode_tokens_total');
    await eventually(async () => (await decoded()) === 4 * 3, 'all tokens are counted');
    // Of each further choice only the end of the prompt: a drawing may be conditioned on it.
    const further = (await deployment.metric('llm', 'tessera_prefill_tokens_total')) - usage.inputTokens;
    expect(further).toBeGreaterThan(0);
    expect(further).toBeLessThanOrEqual(3 * 17);
    expect(await deployment.metric('encoder', 'tessera_tiles_total')).toBe(1);
  });

  test('are each the answer that their seed gives alone, the same each time', async () => {
    const alone: Answer[] = [];
    for (const seed of [4n, 5n, 6n]) alone.push(await about(deployment, 'rocket', { text: { ...hot, seed } }));
    const expected = textsOf(alone);
    expect(new Set(expected).size).toBe(3);
    for (let time = 0; time < 2; time++) {
      const answer = await about(deployment, 'rocket', { text: hot, choices: 3 });
      expect(textsOf(answer.choices)).toEqual(expected);
      expect(answer).toMatchObject({ seed: 4n, text: expected[0], finishReason: 'length' });
      const { inputTokens, inputByModality } = alone[0]?.usage ?? {};
      expect(answer.usage).toMatchObject({ inputTokens, inputByModality, outputTokens: 3 * hot.maxTokens });
    }
    await atRest(deployment);
  });

  test('of a greedy request are equal', async () => {
    const answer = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }], { choices: 2 });
    expect(textsOf(answer.choices)).toEqual(['This is a red apple.', 'This is a red apple.']);
    expect(answer.choices.map(({ finishReason }) => finishReason)).toEqual(['end', 'end']);
  });

  test('end each on its own: one is stopped, and the others go on', async () => {
    const free = await about(deployment, 'rocket', { text: hot, choices: 3 });
    const [first = '', second = '', third = ''] = textsOf(free.choices);
    // Characters that only the second one has, far from its end.
    const at = [...second].findIndex((_, start) => {
      const some = second.slice(start, start + 4);
      return start >= 20 && !first.includes(some) && !third.includes(some) && second.indexOf(some) === start;
    });
    const stop = [second.slice(at, at + 4)];
    const answer = await about(deployment, 'rocket', { text: { ...hot, stop }, choices: 3 });
    expect(textsOf(answer.choices)).toEqual([first, second.slice(0, at), third]);
    expect(answer.choices.map(({ finishReason }) => finishReason)).toEqual(['length', 'stop', 'length']);
  });

  test('tell their tokens and log-probabilities by their numbers, and how each ended before the answer does', async () => {
    using chat = new RawChat(deployment.gateway);
    const text = { ...hot, maxTokens: 12, logprobs: { top: 2 } };
    const value = question(words, ['a'], { text, choices: 3 });
    chat.send({ $case: 'start', value }).media('a', samplePicture('rocket')).close();
    expect(await chat.ended).toMatchObject({ status: 'OK' });
    const told = [0, 0, 0];
    const ends: unknown[] = [];
    for (const event of chat.events) {
      if (event.$case === 'textDelta') {
        const { choice, tokenCount, logprobs } = event.value;
        expect(logprobs).toHaveLength(tokenCount);
        told[choice] = (told[choice] ?? 0) + tokenCount;
      }
      if (event.$case === 'choiceFinished') ends[event.value.choice] = event.value;
    }
    expect(told).toEqual([12, 12, 12]);
    expect(ends).toMatchObject([0, 1, 2].map((choice) => ({ choice, reason: FinishReason.LENGTH, tokenCount: 12 })));
    expect(chat.events.filter(({ $case }) => $case === 'finished')).toHaveLength(1);
    expect(chat.events.at(-1)).toMatchObject({ $case: 'finished', value: { usage: { outputTokens: 36 } } });
  });

  test('may each hold a drawing, from a seed of its own', async () => {
    const says = ['Draw a red apple on a blue background.'];
    const draw = { steps: 2, seed: 3n };
    const answer = await ask(deployment.gateway, [{ says }], { draw, choices: 2 });
    const pictures = answer.choices.map((choice) => choice.pictures as readonly [Picture]);
    expect(pictures.map(({ length }) => length)).toEqual([1, 1]);
    expect(answer.usage.outputMedia).toBe(2);
    const [one, other] = pictures.map(([{ bytes }]) => Buffer.from(bytes));
    expect(one?.equals(other as Buffer)).toBe(false);
    await atRest(deployment);
  });

  test('go on where they were when their engine is killed', async () => {
    const undisturbed = await about(deployment, 'rocket', { text: hot, choices: 3 });
    using chat = new RawChat(deployment.gateway);
    const value = question(words, ['a'], { text: hot, choices: 3 });
    chat.send({ $case: 'start', value }).media('a', samplePicture('rocket')).close();
    await Promise.all([0, 1, 2].map((choice) => chat.event('textDelta', (delta) => delta.choice === choice)));
    const encoded = await deployment.metric('encoder', 'tessera_tiles_total');
    await killAndAwaitRestart(deployment, 'llm');
    expect(await chat.ended).toMatchObject({ status: 'OK' });
    expect([0, 1, 2].map((choice) => chat.textOf(choice))).toEqual(textsOf(undisturbed.choices));
    // One of them has the picture made again, and the others find it in the next engine's cache.
    expect((await deployment.metric('encoder', 'tessera_tiles_total')) - encoded).toBe(1);
    await atRest(deployment);
  });

  test('are all cancelled with their request', async () => {
    const written = await deployment.metric('llm', 'tessera_decode_tokens_total');
    await leavesNoTrace(deployment, async () => {
      using chat = new RawChat(deployment.gateway);
      chat.send({ $case: 'start', value: question('Hello!', ['a'], { text: endless, choices: 3 }) });
      chat.media('a', samplePicture('apple'));
      await Promise.all([0, 1, 2].map((choice) => chat.event('textDelta', (delta) => delta.choice === choice)));
      chat.leave();
      expect(await chat.ended).toMatchObject({ status: 'CANCELLED' });
    });
    const more = (await deployment.metric('llm', 'tessera_decode_tokens_total')) - written;
    expect(more).toBeLessThan(3 * endless.maxTokens);
  });
});

describe('choices for which there is little room', () => {
  let deployment: Deployment;
  beforeAll(async () => {
    const llm = ['--kv-reuse-prefixes', 'false', '--engine-max-running', '1', '--engine-max-waiting', '2'];
    deployment = await deploy({ flags: { llm, gateway: ['--clients-max-requests', '4'] } });
  });
  afterAll(async () => {
    await deployment?.stop();
  });

  test('are right all the same where the engine keeps nothing of the prompt, and runs one at a time', async () => {
    const answer = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }], { choices: 3 });
    expect(textsOf(answer.choices)).toEqual(Array(3).fill('This is a red apple.'));
    expect(answer.usage.outputMedia).toBe(0);
    await atRest(deployment);
  });

  test('are refused together where the engines have not room for all', async () => {
    using running = new RawChat(deployment.gateway);
    running.send({ $case: 'start', value: question('Hello!', [], { text: endless }) });
    await running.event('textDelta');
    const refused = ask(deployment.gateway, [{ says: ['Hello!'] }], { choices: 3 });
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_FULL', message: expect.stringContaining('every llm') });
    running.leave();
    await running.ended;
    await atRest(deployment);
  });

  test('are refused together also where an engine has had their pictures before', async () => {
    const says = [samplePicture('rocket'), `${words} ${'Take your time. '.repeat(20)}`];
    const text = { ...hot, maxTokens: 2 };
    await ask(deployment.gateway, [{ says }], { text });
    using running = new RawChat(deployment.gateway);
    running.send({ $case: 'start', value: question('Hello!', [], { text: endless }) });
    await running.event('textDelta');
    const refused = ask(deployment.gateway, [{ says }], { text, choices: 3 });
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_FULL', message: expect.stringContaining('every llm') });
    running.leave();
    await running.ended;
    await atRest(deployment);
  });

  test('for which the engines never have room are refused as such', async () => {
    const refused = ask(deployment.gateway, [{ says: ['Hello!'] }], { choices: 4 });
    await expect(refused).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('together admit 3'),
      options: { field: 'start.choices' },
    });
    await atRest(deployment);
  });

  test('are no more than one client may have in flight', async () => {
    const refused = ask(deployment.gateway, [{ says: ['Hello!'] }], { choices: 5 });
    await expect(refused).rejects.toMatchObject({ code: 'REQUEST_INVALID', options: { field: 'start.choices' } });
    // Each counts as one.
    using running = new RawChat(deployment.gateway);
    running.send({ $case: 'start', value: question('Hello!', [], { text: endless, choices: 2 }) });
    await running.event('textDelta');
    // Until the engine has told of both, the gateway may count one twice, and have no engine with room either.
    await eventually(async () => {
      const refusal = await ask(deployment.gateway, [{ says: ['Hello!'] }], { choices: 3 }).catch(TesseraError.from);
      expect(refusal).toMatchObject({ code: 'QUEUE_FULL' });
      return refusal instanceof TesseraError && refusal.message.includes('this client');
    }, 'the client is told that it has too many');
    running.leave();
    await running.ended;
    await atRest(deployment);
  });
});
