import type { ServiceName, Stack } from '@tessera/cli';
import { LocalDeployment } from '@tessera/cli/testing/local-deployment';
import { type Cut, ensureBundle } from '@tessera/compiler';
import type { NatsServerOptions } from '@tessera/nats-server';
import { bundleCacheDir, demoModelDir } from '@tessera/testing/demo-model/files';

export interface DeploymentOptions {
  /** A checkpoint other than the demo model. */
  readonly model?: string;
  /** How its LLM is cut besides. */
  readonly cut?: Cut;
  readonly flags?: Partial<Record<ServiceName, readonly string[]>>;
  /** Services that are not started with the others: `stack.startService` does. */
  readonly later?: readonly ServiceName[];
  /** How nats-server is started. */
  readonly nats?: NatsServerOptions;
}

/** A nats-server and every service as its own process, on free loopback ports. Dispose of it with `await using`. */
export interface Deployment extends AsyncDisposable {
  /** host:port of the gateway's gRPC. */
  readonly gateway: string;
  readonly natsUrl: string;
  readonly stack: Stack;
  /** The process id of a service as it was started last. @throws when it is not up */
  pid(service: ServiceName): number;
  /** A gauge or counter of a service, summed over its labels, or over those rows that have the labels given. */
  metric(service: ServiceName, name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** What the services have logged, line by line. */
  readonly logs: readonly string[];
  /** The folder of the compiled model. */
  readonly bundleDir: string;
  /** Kills nats-server, with all that its streams hold, and has a fresh one on the same port once `meanwhile` is done. */
  restartNats(meanwhile?: () => Promise<void>): Promise<void>;
  /** @throws when a service has given a warning of Node's */
  stop(): Promise<Map<string, number>>;
}

export async function deploy({
  model = demoModelDir,
  cut,
  flags = {},
  later,
  nats,
}: DeploymentOptions = {}): Promise<Deployment> {
  const { dir } = await ensureBundle(model, bundleCacheDir, { weights: 'float32', cut });
  const logs: string[] = [];
  const services = await LocalDeployment.start({
    bundleDir: dir,
    flags,
    later,
    nats,
    onLog: (service, line) => logs.push(`${service} ${line}`),
    onEnded: (service, status) => logs.push(`${service} ended with status ${status}`),
  });
  const { stack, gateway, natsUrl } = services;
  let stopped: Promise<Map<string, number>> | undefined;
  const stop = (): Promise<Map<string, number>> => {
    stopped ??= services.stop().then((statuses) => {
      refuseWarnings(logs);
      return statuses;
    });
    return stopped;
  };
  return {
    gateway,
    natsUrl,
    bundleDir: dir,
    stack,
    stop,
    logs,
    async metric(service, name, labels) {
      const response = await fetch(`http://${stack.address(service)?.metrics}/metrics`);
      return sumMetric(await response.text(), name, labels);
    },
    pid: (service) => services.pid(service),
    restartNats: (meanwhile) => services.restartNats(meanwhile),
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

/**
 * Node's own warnings (a leak of listeners, a deprecation, a promise handled late) come on a service's standard error, and
 * nobody looks there: a test whose services gave one fails.
 */
function refuseWarnings(logs: readonly string[]): void {
  const warnings = logs.filter((line) => /^\w+ \(node:\d+\)/.test(line));
  if (warnings.length > 0) throw new Error(`services gave warnings of Node:\n${warnings.join('\n')}`);
}

/** Adds up the rows of one metric in Prometheus' text format. */
export function sumMetric(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
