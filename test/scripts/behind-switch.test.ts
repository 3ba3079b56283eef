import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';
// @ts-expect-error The scripts have no types.
import * as switches from '../../scripts/mutation/behind-switch.mjs';
// @ts-expect-error The scripts have no types.
import * as mutants from '../../scripts/mutation/mutants.mjs';

interface Mutant {
  readonly from: string;
  readonly to: string;
}
const {
  mutantsOf,
  mutated,
}: { mutantsOf(name: string, source: string): Mutant[]; mutated(source: string, mutant: Mutant): string } = mutants;
const { behindSwitch }: { behindSwitch(source: string, own: (Mutant & { id: number })[], switchPath: string): string } =
  switches;

const numbered = (source: string) => mutantsOf('a.ts', source).map((mutant, id) => ({ ...mutant, id }));

/** What a body of a function does: what it returns, or throws, and whom it called. */
function run(body: string, on = -1): unknown {
  const calls: unknown[] = [];
  const list = {
    some: (f: (n: number) => boolean) => [1, 2].some(f),
    every: (f: (n: number) => boolean) => [1, 2].every(f),
  };
  const call = (value: unknown) => {
    calls.push(value);
    if (calls.length > 20) throw new Error('a loop without an end');
    return value;
  };
  try {
    const result = new Function('__mutantIsOn', 'call', 'list', body)((id: number) => id === on, call, list);
    return { result, calls };
  } catch (error) {
    return { error: String(error), calls };
  }
}

test.each([
  'let a = 3; if (a < 4 && a !== 2) call(a); else call(7); return a + 1 * 2',
  'let sum = 0; for (let i = 0; i < 5; i++) sum += Number(call(i)) + i % 2 === 0 ? i : -i; return sum',
  'let n = 0; while (n < 3) { n++; if (n === 2) call("two"); else call(n - 1) } return !n || [n, 1n, true]',
  'return Math.min(3, Math.max(1, call(2))) + Math.floor(2.5) + Number(list?.some((n) => n > 1))',
  'const f = (x = 3) => x - 1; const { a = 2 } = {}; let b = a; b -= f(); return { 1: b, b: f(4) >= 3 ? [b + 1] : null }',
  'let a; a = 2; const g = () => call(a * 2); g(); return a++ + a--',
])('with a mutant on it does what the mutant does, with none what it did: %s', (body) => {
  const whole = `const f = () => { ${body} }`;
  const own = numbered(whole);
  expect(own.length).toBeGreaterThan(5);
  const inner = (text: string) => `${text.replace(/^import [^;]*;/, '').replaceAll(' as never', '')}; return f()`;
  const switched = behindSwitch(whole, own, './switch.mjs');
  expect(run(inner(switched))).toEqual(run(body));
  for (const mutant of own) {
    expect(run(inner(switched), mutant.id), `${mutant.from} -> ${mutant.to}`).toEqual(
      run(inner(mutated(whole, mutant))),
    );
  }
});

test('every source of the tree can be read with all its mutants in it', () => {
  const sources = ['packages', 'services'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /^[^/]+\/src\/.*\.ts$/.test(name) && !/\.test\.ts$|\.d\.ts$/.test(name))
      .map((name) => join(folder, name)),
  );
  expect(sources.length).toBeGreaterThan(300);
  for (const path of sources) {
    const source = readFileSync(join(root, path), 'utf8');
    const { errors } = parseSync(path, behindSwitch(source, numbered(source), '../switch.mjs'));
    expect(errors, path).toEqual([]);
  }
});
