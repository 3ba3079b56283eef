import { expect, test } from 'vitest';
import { Merge } from './merge.js';

async function* numbers(values: number[]): AsyncGenerator<number> {
  for (const value of values) {
    await new Promise((resolve) => setImmediate(resolve));
    yield value;
  }
}

test('gives every item of every source, each source in its own order', async () => {
  const merge = new Merge<number>();
  merge.add(numbers([1, 2, 3]));
  merge.add(numbers([10, 20]));
  const seen: number[] = [];
  for await (const value of merge) seen.push(value);
  expect(seen.filter((value) => value < 10)).toEqual([1, 2, 3]);
  expect(seen.filter((value) => value >= 10)).toEqual([10, 20]);
});

test('takes a source while it runs', async () => {
  const merge = new Merge<number>();
  merge.add(numbers([1]));
  const seen: number[] = [];
  for await (const value of merge) {
    seen.push(value);
    if (value === 1) merge.add(numbers([2, 3]));
  }
  expect(seen).toEqual([1, 2, 3]);
});

test('holds at most one item of a source until it is asked for more', async () => {
  let made = 0;
  async function* eager(): AsyncGenerator<number> {
    for (;;) {
      made++;
      yield made;
    }
  }
  const merge = new Merge<number>();
  merge.add(eager());
  for await (const value of merge) {
    expect(made).toBe(value);
    if (value === 5) break;
  }
});

test('an error in one source ends the others', async () => {
  let closed = false;
  async function* patient(): AsyncGenerator<number> {
    try {
      yield 1;
      yield 2;
    } finally {
      closed = true;
    }
  }
  async function* failing(): AsyncGenerator<number> {
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('gone');
  }
  const merge = new Merge<number>();
  merge.add(patient());
  merge.add(failing());
  await expect(async () => {
    for await (const _ of merge) await new Promise((resolve) => setTimeout(resolve, 5));
  }).rejects.toThrow('gone');
  expect(closed).toBe(true);
});

test('leaving early closes every source, the one whose item is being handled too', async () => {
  const closed: string[] = [];
  async function* source(name: string): AsyncGenerator<string> {
    try {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        yield name;
      }
    } finally {
      closed.push(name);
    }
  }
  const merge = new Merge<string>();
  merge.add(source('one'));
  merge.add(source('two'));
  for await (const _ of merge) break;
  await expect.poll(() => closed.toSorted()).toEqual(['one', 'two']);
});
