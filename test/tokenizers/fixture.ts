import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const fixtures = join(import.meta.dirname, 'fixtures');

/** The kinds of tokenizers that generate.py has written. */
export const fixtureNames: readonly string[] = readdirSync(fixtures)
  .filter((name) => existsSync(join(fixtures, name, 'tokenizer.json')))
  .sort();

/** What the published libraries make of texts: see generate.py. */
export interface Reference {
  readonly texts: readonly { readonly text: string; readonly ids: number[]; readonly decoded: string }[];
  readonly plain?: readonly number[][];
  readonly pieces?: readonly number[][];
  readonly prefixes: readonly string[][];
  readonly prefixed: readonly number[];
  readonly random: readonly { readonly ids: number[]; readonly decoded: string }[];
}

export function fixturePath(...names: string[]): string {
  return join(fixtures, ...names);
}

export function fixtureJson(name: string, file: string): Record<string, unknown> {
  return JSON.parse(readFileSync(fixturePath(name, file), 'utf8')) as Record<string, unknown>;
}

export function referenceOf(name: string): Reference {
  return fixtureJson(name, 'reference.json') as unknown as Reference;
}
