import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { demoModel } from './deployment.js';

export interface GoldenCase {
  readonly id: string;
  readonly image: string | null;
  readonly question: string;
  readonly answer: string;
  readonly output_ids: readonly number[];
}

/** The reference answers of the demo model, greedy and float32. */
export const goldenCases: readonly GoldenCase[] = JSON.parse(
  readFileSync(resolve(demoModel, 'goldens/cases.json'), 'utf8'),
).cases;

/** What the caller sees of an answer: the generation token is not text. */
export function visibleAnswer(golden: GoldenCase): string {
  return golden.answer.replace('<|gen_start|>', '');
}
