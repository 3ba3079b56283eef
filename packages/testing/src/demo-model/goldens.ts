import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { demoModelDir, samplePicture } from './files.js';

const ids = z.array(z.int());
const schema = z.object({
  tokenizer: z.array(z.object({ text: z.string(), ids })).nonempty(),
  cases: z
    .array(
      z.object({
        id: z.string(),
        image: z.string().nullable(),
        question: z.string(),
        input_ids: ids,
        output_ids: ids,
        answer: z.string(),
      }),
    )
    .nonempty(),
});

const goldens = schema.parse(JSON.parse(readFileSync(join(demoModelDir, 'goldens/cases.json'), 'utf8')));

/** A question to the demo model, and its answer: greedy, in float32, by another implementation. */
export type GoldenCase = (typeof goldens.cases)[number];

export const goldenCases: readonly GoldenCase[] = goldens.cases;

/** Texts with their tokens, by another implementation of the tokenizer. */
export const goldenTokens: readonly { readonly text: string; readonly ids: readonly number[] }[] = goldens.tokenizer;

/**
 * The case of this id, such as `apple.0`: the first question about that picture, or `text.0`: the first without one.
 * @throws when there is none
 */
export function goldenCase(id: string): GoldenCase {
  const found = goldenCases.find((one) => one.id === id);
  if (found === undefined) throw new Error(`the goldens have no case ${id}`);
  return found;
}

/** The files of the pictures that the question is about: one or none. */
export function picturesOf({ image }: GoldenCase): Buffer[] {
  return image === null ? [] : [samplePicture(image.replace('.png', ''))];
}

/** What a caller sees of the answer: the generation token is not text. */
export function visibleAnswer({ answer }: GoldenCase): string {
  return answer.replace('<|gen_start|>', '');
}
