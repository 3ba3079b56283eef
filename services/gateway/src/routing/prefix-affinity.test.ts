import { type PromptMessage, Role } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { beginnings, PrefixAffinity } from './prefix-affinity.js';

const says = (role: Role, ...parts: (string | number)[]): PromptMessage => ({
  role,
  content: parts.map((value) => ({
    part: typeof value === 'string' ? { $case: 'text', value } : { $case: 'media', value },
  })),
});
const conversation = (...messages: PromptMessage[]) => ({ messages, templateArguments: undefined });
const system = says(Role.SYSTEM, 'You help.');
const asked = says(Role.USER, 0, 'What is this?');
const answered = says(Role.ASSISTANT, 'A cat.');
const askedOn = says(Role.USER, 'Of which colour?');

test('the next turn of a conversation, and the same one again, go where the last one was answered', () => {
  const affinity = new PrefixAffinity(10);
  const first = beginnings('anna', conversation(system, asked), ['cat']);
  expect(affinity.find(first)).toBeUndefined();
  affinity.note(first, 'one', 20);
  expect(affinity.find(first)).toEqual({ engine: 'one', holdsPictures: false });
  const next = conversation(system, asked, answered, askedOn);
  expect(affinity.find(beginnings('anna', next, ['cat']))).toEqual({ engine: 'one', holdsPictures: true });
  affinity.note(first, 'one', 64);
  expect(affinity.find(first)).toEqual({ engine: 'one', holdsPictures: true });
  // Another picture, another client, other words, other arguments.
  expect(affinity.find(beginnings('anna', next, ['dog']))).toBeUndefined();
  expect(affinity.find(beginnings('bert', next, ['cat']))).toBeUndefined();
  const others = conversation(system, says(Role.USER, 0, 'What is that?'), answered, askedOn);
  expect(affinity.find(beginnings('anna', others, ['cat']))).toBeUndefined();
  const argued = { ...next, templateArguments: { think: true } };
  expect(affinity.find(beginnings('anna', argued, ['cat']))).toBeUndefined();
});

test('a picture is known by its bytes, whatever its number', () => {
  const affinity = new PrefixAffinity(10);
  affinity.note(beginnings('anna', conversation(asked), ['cat']), 'one', 20);
  const renumbered = conversation(says(Role.USER, 1, 'What is this?'), answered, says(Role.USER, 0, 'And this?'));
  expect(affinity.find(beginnings('anna', renumbered, ['dog', 'cat']))?.engine).toBe('one');
});

test('a beginning that many conversations have is no reason to send them to one engine', () => {
  const affinity = new PrefixAffinity(10);
  affinity.note(beginnings('anna', conversation(system), []), 'one', 20);
  const long = conversation(system, asked, answered, askedOn);
  expect(affinity.find(beginnings('anna', long, ['cat']))).toBeUndefined();
});

test('what was used least recently is forgotten', () => {
  const affinity = new PrefixAffinity(2);
  const digests = ['a', 'b', 'c'].map((text) => beginnings('anna', conversation(says(Role.USER, text)), []));
  const [a, b, c] = digests as [readonly string[], readonly string[], readonly string[]];
  affinity.note(a, 'one', 20);
  affinity.note(b, 'two', 20);
  affinity.note(a, 'three', 20);
  affinity.note(c, 'one', 20);
  expect([a, b, c].map((each) => affinity.find(each)?.engine)).toEqual(['three', undefined, 'one']);
});
