import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Names of suites; empty for all. */
  readonly only: readonly string[];
  readonly json: boolean;
  /** A fifth of the repetitions: to see that it works, not to quote. */
  readonly quick: boolean;
  readonly help: boolean;
}

/** @throws TypeError naming an option that there is not */
export function readOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      json: { type: 'boolean' },
      quick: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const { only = [], json = false, quick = false, help = false } = values;
  return { only: only.flatMap((names) => names.split(',')), json, quick, help };
}

export function helpText(suites: readonly { readonly name: string; readonly about: string }[]): string {
  const width = Math.max(...suites.map(({ name }) => name.length));
  return `Usage: npm run bench -- [options]

Measures Tessera on the demo model, on this machine. Tables go to stdout, progress to stderr.

Options:
  --only NAME  run this suite only; may be given several times, or as NAME,NAME
  --quick      a fifth of the repetitions: shows that it works, too few to quote
  --json       one JSON document instead of tables
  -h, --help   this text

Suites:
${suites.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`).join('\n')}
`;
}
