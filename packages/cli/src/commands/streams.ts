import { resolve } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { applyStreams, natsSettings, planStreams, type SetupStep, type StreamSettings, shownUrl } from '@tessera/bus';
import { TesseraError } from '@tessera/protocol';
import { commonSettings, loadSettings, type Settings, setting } from '@tessera/service';
import { z } from 'zod';
import { note, table } from '../terminal.js';

/** What `tessera streams` reads of the settings of the services; the others in a file are for those. */
export const streamsSettings = {
  'model.dir': setting(z.string().min(1).optional(), {
    description: 'Folder of the compiled model whose revision it is for; its bundle.json is enough.',
    example: 'models/demo',
  }),
  ...natsSettings,
  'grpc.maxDeadlineMs': commonSettings['grpc.maxDeadlineMs'],
};

export interface StreamsOptions {
  /** Instead of a model's folder. */
  readonly revision?: string;
  readonly json: boolean;
}

/** Makes the streams and durable consumers of a model's revision. @param flags as those of a service */
export async function applyStreamsCommand(
  flags: readonly string[],
  options: StreamsOptions,
  signal: AbortSignal,
): Promise<void> {
  const settings = streamsSettingsFrom(flags);
  const revision = await revisionOf(settings, options);
  const plan = planStreams(settings, revision);
  // As told last: an attempt that NATS did not see through is made again from its beginning.
  const steps = new Map<string, SetupStep>();
  await applyStreams(settings, revision, {
    signal,
    onStep: (step) => {
      const name = nameOf(step);
      steps.set(name, step);
      if (!options.json) note(`${step.outcome.padEnd(7)} ${step.what.padEnd(8)} ${name}`);
    },
    onWaiting: (reason) => note(`waiting for NATS: ${reason}`),
  });
  if (options.json) {
    writeJson({ revision, steps: [...steps.values()], ...bytesOf(plan) });
    return;
  }
  note(`NATS at ${shownUrl(settings['nats.url'])} has all that revision ${revision} needs`);
}

/** Prints what `apply` would make; asks nobody. @param flags as those of a service */
export async function planStreamsCommand(flags: readonly string[], options: StreamsOptions): Promise<void> {
  const settings = streamsSettingsFrom(flags);
  const revision = await revisionOf(settings, options);
  const plan = planStreams(settings, revision);
  if (options.json) {
    const streams = plan.streams.map(({ name, maxBytes, replicas }) => ({ name, maxBytes, replicas }));
    writeJson({ revision, streams, queues: plan.queues, ...bytesOf(plan) });
    return;
  }
  const streams = plan.streams.map(({ name, maxBytes }) => [name, mebibytes(maxBytes)]);
  const queues = plan.queues.map(({ stage, stream, consumer }) => [stage, stream, consumer]);
  const { maxMemBytes, maxMemBytesOfTwoRevisions } = bytesOf(plan);
  process.stdout.write(
    `${table(['stream', 'MiB'], streams)}\n\n${table(['scales', 'on stream', 'consumer'], queues)}\n\n` +
      `max_mem of NATS: ${maxMemBytes}; ${maxMemBytesOfTwoRevisions} while two revisions are served\n`,
  );
}

function streamsSettingsFrom(flags: readonly string[]): Settings<typeof streamsSettings> {
  return loadSettings('streams command', streamsSettings, flags, process.env, { otherKeys: 'ignore' });
}

async function revisionOf(
  settings: StreamSettings & { readonly 'model.dir'?: string | undefined },
  { revision }: StreamsOptions,
): Promise<string> {
  if (revision !== undefined) return revision;
  const dir = settings['model.dir'];
  if (dir === undefined) {
    throw new TesseraError(
      'CONFIG_INVALID',
      "whose streams? Say --revision, or --model-dir with a compiled model's folder (TESSERA_MODEL_DIR)",
    );
  }
  return (await readBundle(resolve(dir), [])).manifest.revision;
}

function nameOf({ stream, durable }: SetupStep): string {
  return durable === undefined ? stream : `${stream} ${durable}`;
}

function bytesOf(plan: ReturnType<typeof planStreams>): { maxMemBytes: number; maxMemBytesOfTwoRevisions: number } {
  return { maxMemBytes: plan.bytesFor(1), maxMemBytesOfTwoRevisions: plan.bytesFor(2) };
}

function writeJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

function mebibytes(bytes: number): string {
  return String(Math.round((bytes / 2 ** 20) * 10) / 10);
}
