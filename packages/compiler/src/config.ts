import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/** How many problems of one file are told: who mends them sees the rest then, and a file of none but problems makes no log of its size. */
const toldProblems = 5;
const maxProblem = 500;

/** The beginning of a text: names that a file makes up can be as long as the file. */
export const clipped = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most)}...` : text;

/** The first problems, and how many more there are. */
export function fewProblems(problems: Iterable<string>): string {
  const told: string[] = [];
  let more = 0;
  for (const problem of problems) {
    if (told.length === toldProblems) more++;
    else told.push(clipped(problem, maxProblem));
  }
  return told.join('; ') + (more === 0 ? '' : `; and ${more} more`);
}

/**
 * A file of a checkpoint, or a part of one, as its schema reads it.
 * @throws TesseraError CHECKPOINT_INVALID naming the part and its wrong fields, a few at most
 */
export function parseConfig<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${[where, ...issue.path].join('.')}: ${issue.message}`);
  throw new TesseraError('CHECKPOINT_INVALID', fewProblems(problems));
}

/** The most that any size in a config can be; what no tensor could have is an error, not a long computation. */
export const maxSize = 2 ** 31 - 1;

export const positive = z.number().int().positive().max(maxSize);

/** Of layers, experts and the like, which graphs are built for one by one. */
export const pieces = positive.max(4096);

/** A field that decides no number of what is computed here. */
export const ofNoMatter = z.unknown().optional();

/** Any field that a schema does not name: null and false ask for nothing, all else for what is not built. */
export const notBuilt = z.union([z.null(), z.literal(false)], 'is not supported');

/** Newer files name every field that there may be, with null where nothing is said. */
export function withoutNulls(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
}
