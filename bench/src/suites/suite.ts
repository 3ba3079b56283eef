import type { Section } from '../report.js';

export interface SuiteContext {
  /** A number of repetitions, or a fifth of it for a quick run; at least 3. */
  times(count: number): number;
  /** Says on stderr what is being done. */
  say(text: string): void;
}

/** One question about speed or memory, and the tables that answer it. */
export interface Suite {
  /** As `--only` takes it. */
  readonly name: string;
  readonly about: string;
  run(context: SuiteContext): Promise<Section[]>;
}
