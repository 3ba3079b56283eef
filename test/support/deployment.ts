import { resolve } from 'node:path';
import { type ServiceName, Stack, serviceNames } from '@tessera/cli';
import { ensureBundle } from '@tessera/compiler';
import { startNatsServer } from '@tessera/runtime';

export const root = resolve(import.meta.dirname, '../..');
export const demoModel = resolve(root, 'models/demo');
export const bundleCache = resolve(root, '.cache/bundles');

export interface DeploymentOptions {
  /** A checkpoint other than the demo model. */
  readonly model?: string;
  readonly flags?: Partial<Record<ServiceName, readonly string[]>>;
}

/** A nats-server and every service as its own process, on free loopback ports. Dispose of it with `await using`. */
export interface Deployment extends AsyncDisposable {
  /** host:port of the gateway's gRPC. */
  readonly gateway: string;
  readonly natsUrl: string;
  readonly stack: Stack;
  /** One gauge or counter of a service, summed over its labels. */
  metric(service: ServiceName, name: string): Promise<number>;
  stop(): Promise<Map<ServiceName, number>>;
}

export async function deploy({ model = demoModel, flags = {} }: DeploymentOptions = {}): Promise<Deployment> {
  const { dir } = await ensureBundle(model, bundleCache, { weights: 'float32' });
  const nats = await startNatsServer();
  const logs: string[] = [];
  const stack = new Stack({
    bundleDir: dir,
    natsUrl: nats.url,
    services: serviceNames,
    flags,
    graceMs: 20_000,
    onReady: () => undefined,
    onLog: (service, line) => logs.push(`${service} ${line}`),
    onEnded: (service, status) => logs.push(`${service} ended with status ${status}`),
  });
  let stopped: Promise<Map<ServiceName, number>> | undefined;
  const stop = (): Promise<Map<ServiceName, number>> => {
    stopped ??= stack.stop().finally(() => nats.stop());
    return stopped;
  };
  try {
    await stack.start();
  } catch (reason) {
    await stop();
    throw reason;
  }
  return {
    gateway: stack.address('gateway')?.grpc ?? '',
    natsUrl: nats.url,
    stack,
    stop,
    async metric(service, name) {
      const response = await fetch(`http://${stack.address(service)?.metrics}/metrics`);
      return sumMetric(await response.text(), name);
    },
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

function sumMetric(text: string, name: string): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
