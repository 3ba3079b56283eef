import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type KvCacheType, readBundle } from '@tessera/bundle';
import { Bus, shownUrl } from '@tessera/bus';
import { ensureBundle, type WantedWeights } from '@tessera/compiler';
import { localModel } from '../model-source.js';
import { bold, note, progress } from '../terminal.js';
import { awaitWork } from '../up/await-work.js';
import { planLocalShards } from '../up/local-shards.js';
import { OwnNats } from '../up/own-nats.js';
import { requireFreePort } from '../up/require-free-port.js';
import { requireTemplate, templateFlags } from '../up/require-template.js';
import { Stack, servicesOf } from '../up/stack.js';

export interface UpOptions {
  readonly model: string;
  readonly weights: WantedWeights;
  readonly kvCache: KvCacheType;
  /** Expert shards to be started; without it the engine has the whole model. */
  readonly experts?: number;
  readonly cache: string;
  /** An existing NATS server; without it one is started and ended with the rest. */
  readonly natsUrl?: string;
  /** The client port of the NATS server that is started; 0 takes any free one. */
  readonly natsPort: number;
  /** As the setting prompt.chatTemplate of the LLM; by default the model's own. */
  readonly chatTemplate?: string;
  /** First word of every stream and subject. */
  readonly prefix: string;
  /** The gateway's gRPC port; 0 takes any free one. */
  readonly port: number;
  readonly json: boolean;
  readonly verbose: boolean;
  readonly graceMs: number;
}

/** Where compiled bundles are kept when nothing else is said. */
export function defaultCacheDir(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tessera', 'bundles');
}

/** Runs every service on this machine in the foreground until the signal says to stop; then drains them. */
export async function up(options: UpOptions, signal: AbortSignal): Promise<void> {
  await requireFreePort(options.port, 'the gateway', '--port');
  if (options.natsUrl === undefined) await requireFreePort(options.natsPort, 'NATS', '--nats-port');
  const bundle = await readBundle(await compiledBundle(options, signal));
  const { manifest, dir } = bundle;
  // Before anything is started: a base model has no template, and its engine would not start.
  await requireTemplate(bundle, options.chatTemplate);
  await using experts = options.experts === undefined ? undefined : await planLocalShards(bundle, options.experts);
  const nats = options.natsUrl === undefined ? await startNats(options) : undefined;
  const natsUrl = options.natsUrl ?? (nats as OwnNats).url;
  let stack: Stack | undefined;
  try {
    if (nats === undefined) report(options, { service: 'nats', address: shownUrl(natsUrl) });
    await setUpStreams(options, natsUrl, manifest.revision);
    stack = new Stack({
      bundleDir: dir,
      natsUrl,
      natsPrefix: options.prefix,
      services: servicesOf(manifest),
      shards: experts?.shards ?? [],
      flags: {
        llm: [...(experts?.engineFlags ?? []), ...templateFlags(options.chatTemplate)],
        gateway: options.port === 0 ? [] : ['--grpc-port', String(options.port)],
      },
      graceMs: options.graceMs,
      onReady: (service, { grpc, metrics, pid }) => {
        nats?.keepFor(pid);
        report(options, { service, address: grpc, metrics, pid });
      },
      onLog: (service, line) => logLine(options, service, line),
      onEnded: (service, status, restartInMs) => note(`${service} ended with status ${status}; ${next(restartInMs)}`),
    });
    if (experts !== undefined) report(options, { service: 'placement', address: experts.placementFile });
    await stack.start();
    const ended = Promise.race([aborted(signal), stack.failed, ...(nats === undefined ? [] : [nats.failed])]);
    // An engine whose experts are elsewhere is up before it has found them.
    if (experts !== undefined) await awaitWork('llm', stack.address('llm')?.metrics ?? '', ended);
    if (!signal.aborted) announceReady(options, stack, manifest.encoder !== undefined);
    await ended;
    if (!options.json) note('draining …');
  } finally {
    await stack?.stop();
    await nats?.stop();
  }
}

function startNats(options: UpOptions): Promise<OwnNats> {
  return OwnNats.start({
    port: options.natsPort,
    onReady: (url, pid) => report(options, { service: 'nats', address: url, pid }),
    onEnded: (restartInMs) => note(`nats ended; ${next(restartInMs)}`),
  });
}

function next(restartInMs: number | undefined): string {
  if (restartInMs === undefined) return 'giving up';
  return restartInMs === 0 ? 'starting it again' : `starting it again in ${restartInMs} ms`;
}

async function compiledBundle(options: UpOptions, signal: AbortSignal): Promise<string> {
  const { path, name } = await localModel(options.model, signal);
  const bar = progress('compiling the model');
  try {
    const { dir } = await ensureBundle(path, resolve(options.cache), {
      name,
      weights: options.weights,
      kvCache: options.kvCache,
      cut: options.experts === undefined ? undefined : 'experts',
      onProgress: ({ doneBytes, totalBytes, stage }) => bar.update(doneBytes, totalBytes, stage),
      onNote: note,
      signal,
    });
    return dir;
  } finally {
    bar.stop();
  }
}

async function setUpStreams({ prefix }: UpOptions, url: string, revision: string): Promise<void> {
  const bus = await Bus.connect({ url, prefix, revision, name: 'tessera up' });
  try {
    await bus.setup();
  } finally {
    await bus.close();
  }
}

function report(options: UpOptions, line: { service: string; address: string; metrics?: string; pid?: number }): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  const metrics = line.metrics === undefined ? '' : `  metrics http://${line.metrics}/metrics`;
  const pid = line.pid === undefined ? '' : `  pid ${line.pid}`;
  process.stdout.write(`${bold(line.service.padEnd(10))} ${line.address.padEnd(24)}${pid}${metrics}\n`);
}

function announceReady(options: UpOptions, stack: Stack, sees: boolean): void {
  const gateway = stack.address('gateway')?.grpc ?? '';
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ready: true, gateway })}\n`);
    return;
  }
  process.stdout.write(
    `\nready: tessera ask ${sees ? '"What is this?" --image FILE' : '"Hello!"'} --address ${gateway}   (Ctrl-C drains and stops)\n`,
  );
}

/** Warnings and worse are always shown; the rest with --verbose. */
function logLine(options: UpOptions, service: string, line: string): void {
  const level = /"level":"?(\w+)"?/.exec(line)?.[1] ?? 'unknown';
  const serious = ['warn', 'error', 'fatal', '40', '50', '60', 'unknown'].includes(level);
  if (options.verbose || serious) note(`${service.padEnd(10)} ${line}`);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
