import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { ensureBundle } from '@tessera/compiler';
import { Bus, startNatsServer } from '@tessera/runtime';
import { bold, note, progress } from '../terminal.js';
import { type ServiceName, Stack, serviceNames } from '../up/stack.js';
import type { Weights } from './compile.js';

export interface UpOptions {
  readonly model: string;
  readonly weights: Weights;
  readonly cache: string;
  /** An existing NATS server; without it one is started and ended with the rest. */
  readonly natsUrl?: string;
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
  const bundleDir = await compiledBundle(options, signal);
  const nats = options.natsUrl === undefined ? await startNatsServer() : undefined;
  const natsUrl = options.natsUrl ?? (nats as { url: string }).url;
  let stack: Stack | undefined;
  try {
    report(options, { service: 'nats', address: natsUrl, ...(nats === undefined ? {} : { pid: nats.pid }) });
    await setUpStreams(natsUrl, bundleDir);
    const bundle = await readBundle(bundleDir);
    const services = serviceNames.filter((name) => name !== 'generator' || bundle.manifest.generator !== undefined);
    stack = new Stack({
      bundleDir,
      natsUrl,
      services,
      flags: { gateway: ['--grpc-port', String(options.port)] },
      graceMs: options.graceMs,
      onReady: (service, { grpc, metrics, pid }) => report(options, { service, address: grpc, metrics, pid }),
      onLog: (service, line) => logLine(options, service, line),
      onEnded: (service, status, restartInMs) =>
        note(
          `${service} ended with status ${status}; ${restartInMs === undefined ? 'giving up' : `starting it again in ${restartInMs} ms`}`,
        ),
    });
    await stack.start();
    announceReady(options, stack);
    await Promise.race([aborted(signal), stack.failed]);
    if (!options.json) note('draining …');
  } finally {
    await stack?.stop();
    await nats?.stop();
  }
}

async function compiledBundle(options: UpOptions, signal: AbortSignal): Promise<string> {
  const bar = progress('compiling the model');
  try {
    const { dir } = await ensureBundle(resolve(options.model), resolve(options.cache), {
      weights: options.weights,
      onProgress: ({ doneBytes, totalBytes, stage }) => bar.update(doneBytes, totalBytes, stage),
      signal,
    });
    return dir;
  } finally {
    bar.stop();
  }
}

async function setUpStreams(url: string, bundleDir: string): Promise<void> {
  const { manifest } = await readBundle(bundleDir);
  const bus = await Bus.connect({ url, prefix: 'tessera', revision: manifest.revision, name: 'tessera up' });
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

function announceReady(options: UpOptions, stack: Stack): void {
  const gateway = stack.address('gateway')?.grpc ?? '';
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ready: true, gateway })}\n`);
    return;
  }
  process.stdout.write(
    `\nready: tessera ask "What is this?" --image FILE --address ${gateway}   (Ctrl-C drains and stops)\n`,
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

export type { ServiceName };
