import { type NatsServer, type NatsServerOptions, startNatsServer } from '@tessera/nats-server';
import { TesseraError } from '@tessera/protocol';
import { type ServiceName, Stack, type StackOptions, serviceNames } from '../up/stack.js';

const graceMs = 20_000;

export interface LocalDeploymentOptions extends Partial<Pick<StackOptions, 'flags' | 'later' | 'onLog' | 'onEnded'>> {
  /** The folder of a compiled model that has every stage. */
  readonly bundleDir: string;
  /** How nats-server is started. */
  readonly nats?: NatsServerOptions;
}

/** A nats-server and every service, each a process of its own, on free loopback ports. For tests and the bench. */
export class LocalDeployment implements AsyncDisposable {
  private stopped: Promise<Map<string, number>> | undefined;

  private constructor(
    readonly stack: Stack,
    private nats: NatsServer,
    private readonly natsOptions: NatsServerOptions,
  ) {}

  /** Starts all of it and waits until every service is ready; when one fails, nothing is left running. */
  static async start(options: LocalDeploymentOptions): Promise<LocalDeployment> {
    const { bundleDir, nats: natsOptions = {}, flags = {}, later = [] } = options;
    const nats = await startNatsServer(natsOptions);
    const stack = new Stack({
      bundleDir,
      natsUrl: nats.url,
      services: serviceNames,
      later,
      flags,
      graceMs,
      onReady: () => undefined,
      onLog: options.onLog ?? (() => undefined),
      onEnded: options.onEnded ?? (() => undefined),
    });
    const deployment = new LocalDeployment(stack, nats, natsOptions);
    try {
      await stack.start();
    } catch (reason) {
      await deployment.stop();
      throw reason;
    }
    return deployment;
  }

  /** host:port of the gateway's gRPC, which it keeps when it is started again. */
  get gateway(): string {
    return this.address('gateway').grpc;
  }

  get natsUrl(): string {
    return this.nats.url;
  }

  /** The process id of nats-server, or of a service as it was started last. @throws TesseraError when it is not up */
  pid(name: ServiceName | 'nats-server'): number {
    return name === 'nats-server' ? this.nats.pid : this.address(name).pid;
  }

  /** Kills nats-server, with all that its streams hold, and has a fresh one on the same port once `meanwhile` is done. */
  async restartNats(meanwhile?: () => Promise<void>): Promise<void> {
    const port = Number(new URL(this.nats.url).port);
    process.kill(this.nats.pid, 'SIGKILL');
    await this.nats.exited;
    await this.nats.stop();
    await meanwhile?.();
    this.nats = await startNatsServer({ ...this.natsOptions, port });
  }

  /** Drains the services, then ends nats-server. Returns the exit statuses. */
  stop(): Promise<Map<string, number>> {
    this.stopped ??= this.stack.stop().finally(() => this.nats.stop());
    return this.stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private address(name: ServiceName) {
    const address = this.stack.address(name);
    if (address === undefined) throw new TesseraError('INTERNAL', `${name} is not up`);
    return address;
  }
}
