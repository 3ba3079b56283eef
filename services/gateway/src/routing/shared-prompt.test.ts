import { expect, test } from 'vitest';
import { type PromptTurn, SharedPrompt } from './shared-prompt.js';

const never = new AbortController().signal;
const none: ReadonlySet<string> = new Set();

/** Turns in the order in which they are given. */
class Turns {
  readonly given: string[] = [];

  constructor(private readonly prompt: SharedPrompt) {}

  async ask(name: string, failed: ReadonlySet<string> = none, signal = never): Promise<PromptTurn> {
    const turn = await this.prompt.turn(failed, signal);
    this.given.push(turn.known === undefined ? name : `${name} to ${turn.known.engine}`);
    return turn;
  }
}

test('one computes it, and the others follow to where it lies', async () => {
  const turns = new Turns(new SharedPrompt(undefined));
  const first = await turns.ask('a');
  const others = [turns.ask('b'), turns.ask('c')];
  await new Promise(setImmediate);
  expect(turns.given).toEqual(['a']);
  first.computed('one');
  first.computed('one');
  for (const turn of await Promise.all(others)) expect(turn.known).toEqual({ engine: 'one', holdsPictures: true });
  first[Symbol.dispose]();
  await turns.ask('d');
  expect(turns.given).toEqual(['a', 'b to one', 'c to one', 'd to one']);
});

test('where its engine is lost one of those that go on computes it, and the rest follow', async () => {
  const turns = new Turns(new SharedPrompt(undefined));
  const first = await turns.ask('a');
  first.computed('one');
  first[Symbol.dispose]();
  const failed = new Set(['one']);
  const again = await turns.ask('b', failed);
  const others = [turns.ask('a', failed), turns.ask('c')];
  await new Promise(setImmediate);
  again.computed('two');
  await Promise.all(others);
  expect(turns.given).toEqual(['a', 'b', 'a to two', 'c to two']);
});

test('an attempt that ends before the prompt was computed leaves it to the next in line', async () => {
  const turns = new Turns(new SharedPrompt(undefined));
  const first = await turns.ask('a');
  const others = [turns.ask('b'), turns.ask('c')];
  first[Symbol.dispose]();
  first.computed('late');
  const second = await Promise.race(others);
  expect(turns.given).toEqual(['a', 'b']);
  second?.computed('two');
  await Promise.all(others);
  expect(turns.given).toEqual(['a', 'b', 'c to two']);
});

test('who leaves waits no more, and keeps nobody', async () => {
  const turns = new Turns(new SharedPrompt(undefined));
  const first = await turns.ask('a');
  const leaving = new AbortController();
  const left = turns.ask('b', none, leaving.signal);
  const stays = turns.ask('c');
  leaving.abort(new Error('gone'));
  await expect(left).rejects.toThrow('gone');
  first[Symbol.dispose]();
  await stays;
  expect(turns.given).toEqual(['a', 'c']);
});

test('an earlier request may have left it on an engine, which is asked for its pictures once', async () => {
  const prompt = new SharedPrompt({ engine: 'one', holdsPictures: true });
  const first = await prompt.turn(none, never);
  expect(first.known).toEqual({ engine: 'one', holdsPictures: true });
  first[Symbol.dispose]();
  expect((await prompt.turn(none, never)).known).toEqual({ engine: 'one', holdsPictures: false });
});
