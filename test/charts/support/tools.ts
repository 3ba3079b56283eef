import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tessera } from '../../support/tessera.js';
import { containers, type PlacedContainer, type Release } from './manifest.js';
import { surroundingsOf } from './service-settings.js';

/** What `tessera COMMAND --help` prints, by the command; it is asked once. */
const helps = new Map<string, string>();

async function helpOf(words: readonly string[]): Promise<string> {
  const command = words.join(' ');
  const known = helps.get(command);
  if (known !== undefined) return known;
  const { status, stdout } = await tessera([...words, '--help']);
  const help = status === 0 ? stdout : '';
  helps.set(command, help);
  return help;
}

/** The containers that run the `tessera` command. */
function tools(release: Release): PlacedContainer[] {
  return containers(release).filter(({ container }) => /(^|\/)tessera-tools[:@]/.test(container.image ?? ''));
}

/** The commands that a release's pods run, such as `streams apply`. */
export function toolCommands(release: Release): string[] {
  return tools(release).map(({ container }) => wordsOf(container.args ?? []).join(' '));
}

/** Commands and flags in a release's pods that the `tessera` command does not have. */
export async function unknownToTools(release: Release): Promise<string[]> {
  const faults: string[] = [];
  for (const { container, where } of tools(release)) {
    const args = container.args ?? [];
    const command = wordsOf(args).join(' ');
    const help = await helpOf(wordsOf(args));
    if (!help.includes(`tessera ${command}`)) faults.push(`${where} runs tessera ${command}, which is no command`);
    for (const flag of args.filter((each) => each.startsWith('--'))) {
      if (!help.includes(`${flag} `)) faults.push(`${where} runs tessera ${command} ${flag}, which has no such flag`);
    }
  }
  return faults;
}

/** What stands before the first flag or folder. */
function wordsOf(args: readonly string[]): string[] {
  const end = args.findIndex((each) => /^[-/]/.test(each));
  return args.slice(0, end < 0 ? args.length : end);
}

export interface PlannedQueue {
  readonly stream: string;
  readonly consumer: string;
}

/**
 * The queues that the Job of the streams would make, by its own settings and flags; undefined where there is no such Job, or
 * where it reads the revision from a bundle.
 */
export async function plannedQueues(release: Release): Promise<readonly PlannedQueue[] | undefined> {
  const job = tools(release).find(({ container }) => container.args?.includes('--revision'));
  if (job === undefined) return undefined;
  const { env, file } = surroundingsOf(release, job);
  const folder = mkdtempSync(join(tmpdir(), 'tessera-chart-streams-'));
  try {
    const config = join(folder, 'config.yaml');
    writeFileSync(config, file ?? '');
    const [, , ...flags] = job.container.args ?? [];
    const settings = { ...env, TESSERA_CONFIG: config };
    const { status, stdout, stderr } = await tessera(['streams', 'plan', '--json', ...flags], settings);
    if (status !== 0) throw new Error(stderr);
    return (JSON.parse(stdout) as { queues: PlannedQueue[] }).queues;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
