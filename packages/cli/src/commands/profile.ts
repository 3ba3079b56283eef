import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Profile, stagesOf } from '@tessera/adviser';
import { readBundle } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { requireWritable } from '../chat/output-file.js';
import { readAddresses } from '../profile/deployment.js';
import { readOverrides } from '../profile/limits.js';
import { measureProfile } from '../profile/measure-profile.js';
import { requireServices } from '../profile/measure-starts.js';
import { note, table } from '../terminal.js';
import { readTls, type TlsFlags } from '../tls-flags.js';

export interface ProfileCommandOptions extends TlsFlags {
  readonly bundle: string;
  readonly deployment?: string;
  readonly stage: readonly string[];
  readonly out?: string;
  readonly set: readonly string[];
  readonly drawingPrompt: string;
  readonly cores?: number;
  readonly effort: number;
  readonly starts: boolean;
  readonly placeSeconds: number;
  readonly timeoutS: number;
  readonly json: boolean;
}

/** Measures the stages of a running deployment, and writes what `tessera advise` reads. */
export async function profile(options: ProfileCommandOptions, signal: AbortSignal): Promise<void> {
  if (!(options.effort > 0 && options.effort <= 100))
    throw new TesseraError('CONFIG_INVALID', '--effort must be above 0 and at most 100');
  if (options.starts) requireServices();
  if (options.out !== undefined) await requireWritable(resolve(options.out));
  const addresses = await readAddresses(options.deployment, options.stage);
  // Its files are for the replicas that are started here; what is measured elsewhere needs the manifest alone.
  const bundle = await readBundle(resolve(options.bundle), options.starts ? undefined : []);
  const timeout = AbortSignal.timeout(options.timeoutS * 1000);
  const startedAt = performance.now();
  const tell = (what: string): void => {
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    if (options.json) process.stderr.write(`${JSON.stringify({ seconds, measuring: what })}\n`);
    else note(`${seconds.toFixed(1).padStart(6)} s  ${what}`);
  };
  let measured: Profile;
  try {
    measured = await measureProfile({
      ...options,
      bundle,
      addresses,
      tls: await readTls(options),
      overrides: readOverrides(options.set),
      signal: AbortSignal.any([signal, timeout]),
      tell,
    });
  } catch (reason) {
    if (!timeout.aborted || signal.aborted) throw reason;
    throw new TesseraError(
      'DEADLINE_EXCEEDED',
      `the profile was not complete after ${options.timeoutS} s (--timeout-s)`,
      { cause: reason },
    );
  }
  const text = `${JSON.stringify(measured, undefined, 2)}\n`;
  if (options.out === undefined) {
    process.stdout.write(text);
    return;
  }
  await writeFile(resolve(options.out), text);
  if (options.json) return;
  process.stdout.write(`${summary(measured)}\n`);
  note(`written: ${options.out}`);
}

/** The first figures of each stage, for people. */
function summary(profile: Profile): string {
  const { encoder, connector, llm, generator } = profile;
  const curve = (points: Profile['llm']['prefillMs']): string =>
    points.map(({ size, ms }) => `${size}: ${ms.toFixed(ms < 10 ? 2 : 1)}`).join('  ');
  const rows: string[][] = [];
  if (encoder !== undefined) rows.push(['encoder', 'ms a batch, by its tiles', curve(encoder.batchMs)]);
  if (connector !== undefined) rows.push(['connector', 'ms a batch, by its tiles', curve(connector.batchMs)]);
  rows.push(['llm', 'ms a chunk of a prompt, by its tokens', curve(llm.prefillMs)]);
  rows.push(['llm', 'ms a step, by the answers that it advances', curve(llm.decodeMs)]);
  if (llm.joinMs !== undefined)
    rows.push(['llm', 'ms more of a step with a prompt, by the answers beside it', curve(llm.joinMs)]);
  if (generator !== undefined)
    rows.push(['generator', 'ms a step, by the drawings that it advances', curve(generator.stepMs)]);
  for (const name of ['request', 'token', 'picture', 'megapixel', 'drawing'] as const) {
    const { ms, cpuMs } = profile[name];
    rows.push(['all', `a ${name}, beside that`, `${ms.toFixed(2)} ms, ${cpuMs.toFixed(2)} ms of processor time`]);
  }
  if (profile.besideMs !== undefined)
    rows.push(['all', "ms more of a request's way, by the answers beside it", curve(profile.besideMs)]);
  rows.push(['all', 'the end of an answer', `${profile.finishMs.toFixed(2)} ms`]);
  for (const stage of stagesOf(profile)) {
    const { startSeconds = 0 } = profile[stage] ?? {};
    if (startSeconds > 0) rows.push([stage, 'seconds until a new replica takes work', startSeconds.toFixed(1)]);
  }
  return table(['stage', 'what', 'measured'], rows);
}
