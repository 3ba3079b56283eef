import { RequestState, TesseraError } from '@tessera/protocol';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { picture, RoutingFixture, textOf } from '../testing/routing-fixture.js';
import { admitted, answer, finished, type Script, token } from '../testing/scripted-engine.js';

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await RoutingFixture.start();
});
afterEach(() => routing.reset());
afterAll(() => routing.close());

const goesOn: Script = { events: [admitted, token(7)], waits: true };

test('each choice is a sequence of its own, under its own id and seed, on the engine that has the prompt', async () => {
  const one = await routing.engine('one', answer);
  const idle = await routing.engine('idle', answer);
  const { events, error } = await routing.run({ choices: 3, items: [picture(2)], seed: 2n ** 64n - 2n });
  expect(error).toBeUndefined();
  expect(idle.calls).toHaveLength(0);
  const [first, ...others] = one.calls;
  const id = first?.requestId ?? '';
  expect(first).toMatchObject({ mediaOnDemand: false, text: { seed: 2n ** 64n - 2n }, draw: { seed: 2n ** 64n - 2n } });
  others.sort((a, b) => a.requestId.localeCompare(b.requestId));
  expect(others).toMatchObject([
    { requestId: `${id}-1`, mediaOnDemand: true, text: { seed: 2n ** 64n - 1n }, draw: { seed: 2n ** 64n - 1n } },
    { requestId: `${id}-2`, mediaOnDemand: true, text: { seed: 0n }, draw: { seed: 0n } },
  ]);
  expect([0, 1, 2].map((choice) => textOf(events, choice))).toEqual(['<7>', '<7>', '<7>']);
});

test('the answer ends once, with what all choices took', async () => {
  await routing.engine('one', answer);
  const { events } = await routing.run({ choices: 3 });
  const ends = events.flatMap((event) => (event.$case === 'choiceFinished' ? [event.value.choice] : []));
  expect(ends.sort()).toEqual([0, 1, 2]);
  expect(events.filter(({ $case }) => $case === 'finished')).toHaveLength(1);
  expect(events.at(-1)).toMatchObject({ $case: 'finished', value: { usage: { inputTokens: 3, outputTokens: 3 } } });
  expect(events.at(-2)).toMatchObject({ $case: 'stateChanged', value: { state: RequestState.DONE } });
});

test('no other choice begins before the prompt is computed, and none when the request ends', async () => {
  const one = await routing.engine('one', { events: [admitted], waits: true });
  const stop = new AbortController();
  const answering = routing.run({ choices: 3, signal: stop.signal });
  await expect.poll(() => one.calls.length).toBe(1);
  stop.abort(new TesseraError('CANCELLED', 'enough'));
  expect((await answering).error).toMatchObject({ code: 'CANCELLED' });
  expect(one.calls).toHaveLength(1);
  expect(routing.pool.outlook().load).toBe(0);
});

test('a choice that fails ends the others, and the request with its error', async () => {
  const fails: Script = { events: [admitted], fails: new TesseraError('PROMPT_TOO_LONG', 'this one') };
  const one = await routing.engine('one', goesOn, fails, goesOn);
  const { error, text } = await routing.run({ choices: 3 });
  expect(error).toMatchObject({ code: 'PROMPT_TOO_LONG', message: expect.stringContaining('this one') });
  // What was delivered stands.
  expect(text).toBe('<7>');
  expect(one.calls.length).toBeGreaterThan(1);
  expect(routing.pool.outlook().load).toBe(0);
});

test('a choice is taken over alone, and goes on after what was delivered of it', async () => {
  const died: Script = { events: [admitted, token(8)], fails: new TesseraError('STAGE_UNAVAILABLE', 'it died') };
  const dead = await routing.engine('dead', { events: [admitted, token(7), finished] }, died);
  const alive = await routing.engine('alive', { events: [admitted, token(9), finished] });
  const { events, error } = await routing.run({ choices: 2 });
  expect(error).toBeUndefined();
  expect(dead.calls).toHaveLength(2);
  const requestId = dead.calls[1]?.requestId;
  expect(alive.calls).toMatchObject([{ requestId, forcedTokenIds: [8], takenOver: true, text: { seed: 2n } }]);
  expect([0, 1].map((choice) => textOf(events, choice))).toEqual(['<7>', '<8><9>']);
});

test('of choices that lose their engine one computes the prompt on the next, and the others follow', async () => {
  const hung = await routing.engine('hung', goesOn);
  const answering = routing.run({ choices: 3, items: [picture(2)] });
  await expect.poll(() => hung.calls.length).toBe(3);
  const next: Script = { events: [admitted, token(9), finished] };
  const alive = [await routing.engine('one', next), await routing.engine('other', next)];
  // These have just spoken; the first one has not.
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const { status } of alive) routing.roster.heard(status);
  routing.roster.sweep(50);
  const { events, error } = await answering;
  expect(error).toBeUndefined();
  for (const choice of [0, 1, 2]) expect(textOf(events, choice)).toMatch(/<9>$/);
  const calls = alive.flatMap((engine) => (engine.calls.length > 0 ? [engine.calls] : []));
  expect(calls.map((ofOne) => ofOne.map(({ mediaOnDemand }) => mediaOnDemand))).toEqual([[false, true, true]]);
});

test('a further choice waits where it is refused: a part of the answer has left', async () => {
  const refused: Script = { fails: new TesseraError('QUEUE_FULL', 'full') };
  const one = await routing.engine('one', answer, refused, refused, refused, refused, answer);
  const announcing = setInterval(() => routing.roster.heard(one.status), 20);
  const { events, error } = await routing.run({ choices: 2 });
  clearInterval(announcing);
  expect(error).toBeUndefined();
  expect(textOf(events, 1)).toBe('<7>');
  // It asks as one that comes new: what is taken over goes before it.
  expect(one.calls.map(({ takenOver }) => takenOver)).toEqual([false, false, false, false, false, false]);
});

test('what an engine measured of a choice is told, however often it was refused before', async () => {
  const refused: Script = { fails: new TesseraError('QUEUE_FULL', 'full') };
  const one = await routing.engine('one', answer, refused, refused, answer);
  const announcing = setInterval(() => routing.roster.heard(one.status), 20);
  const { error, written, attempts } = await routing.run({ choices: 2 });
  clearInterval(announcing);
  expect(error).toBeUndefined();
  expect(one.calls).toHaveLength(4);
  // The second one's prefill says nothing of a prompt.
  expect(written.map(({ promptShared }) => promptShared)).toEqual([false, true]);
  expect(attempts).toBe(1);
});

test('of a choice that was taken over nothing is told', async () => {
  const died: Script = { events: [admitted, token(8)], fails: new TesseraError('STAGE_UNAVAILABLE', 'it died') };
  await routing.engine('dead', answer, died);
  await routing.engine('alive', answer);
  const { error, written, attempts } = await routing.run({ choices: 2 });
  expect(error).toBeUndefined();
  expect(written).toHaveLength(1);
  expect(attempts).toBe(2);
});

test('a further choice that finds no room by its deadline fails the request, and leaves nothing', async () => {
  const one = await routing.engine('one', goesOn, { fails: new TesseraError('QUEUE_FULL', 'full') });
  const { error } = await routing.run({ choices: 2, leftMs: 1500 });
  expect(error).toMatchObject({ code: 'QUEUE_FULL' });
  expect(one.calls).toHaveLength(2);
  routing.roster.heard(one.status);
  expect(routing.pool.outlook().load).toBe(0);
});
