import { TesseraError } from '@tessera/protocol';

/** Where a tokenizer's file asks for what is not built, or is none: the part of it, and what is wrong there. */
export function invalid(where: string, what: string, cause?: unknown): TesseraError {
  return new TesseraError('CHECKPOINT_INVALID', `${where}: ${what}`, { cause });
}

/** A part of a file that must be an object with a `type`. @throws TesseraError CHECKPOINT_INVALID */
export function typedPart(
  value: unknown,
  where: string,
): { readonly type: string } & Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(where, 'is not an object');
  const { type } = value as { type?: unknown };
  if (typeof type !== 'string') throw invalid(`${where}.type`, 'is not a string');
  return value as { type: string };
}

/** A list of parts, at most so many. @throws TesseraError CHECKPOINT_INVALID */
export function partList(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(where, 'is not a list');
  if (value.length > mostParts) throw invalid(where, `has ${value.length} entries; at most ${mostParts} are taken`);
  return value;
}

/**
 * How deep a part lies in others of its kind, for the one within it.
 * @throws TesseraError CHECKPOINT_INVALID where it lies too deep
 */
export function deeper(depth: number, where: string): number {
  if (depth === deepest) throw invalid(where, `lies within more than ${deepest} others of its kind`);
  return depth + 1;
}

/** Sequences within sequences; published files have two. */
const deepest = 16;
/** Of a sequence of steps; published ones have fewer than ten. */
const mostParts = 64;

/** @throws TesseraError CHECKPOINT_INVALID */
export function textOf(value: unknown, where: string): string {
  if (typeof value !== 'string') throw invalid(where, 'is not a string');
  return value;
}
