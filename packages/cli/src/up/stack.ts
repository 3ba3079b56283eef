import { fileURLToPath } from 'node:url';
import type { BundleManifest } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { steadyPort, withHugePages } from '@tessera/service';
import { ChildService, type ServiceReady } from './child-service.js';
import { RestartPauses } from './restart-pauses.js';

/** In the order of the stages, the gateway last. */
export const serviceNames = ['encoder', 'connector', 'llm', 'generator', 'gateway'] as const;
export type ServiceName = (typeof serviceNames)[number];

/** The services that a model needs: those of its stages, and the gateway. */
export function servicesOf(manifest: BundleManifest): ServiceName[] {
  return serviceNames.filter((name) => name === 'gateway' || manifest[name] !== undefined);
}

/** A process of the llm service besides the engine: an expert shard. */
export interface StackShard {
  /** Of its own among all that a stack starts. */
  readonly name: string;
  readonly flags: readonly string[];
}

export interface StackOptions {
  readonly bundleDir: string;
  readonly natsUrl: string;
  /** First word of every stream and subject. */
  readonly natsPrefix?: string;
  /** Flags of single services, such as the gateway's port; they go before those that every service is given. */
  readonly flags: Partial<Record<ServiceName, readonly string[]>>;
  readonly services: readonly ServiceName[];
  /** Those of them that are not started with the others. */
  readonly later?: readonly ServiceName[];
  readonly shards?: readonly StackShard[];
  readonly graceMs: number;
  /** @param name of the service, or of the shard */
  readonly onReady: (name: string, ready: ServiceReady) => void;
  readonly onLog: (service: string, line: string) => void;
  /** @param restartInMs undefined when it is given up */
  readonly onEnded: (name: string, status: number, restartInMs: number | undefined) => void;
}

/** Every service of one model as child processes: started together, restarted when one dies, drained together. */
export class Stack {
  private readonly children = new Map<string, ChildService>();
  private readonly addresses = new Map<string, ServiceReady>();
  private readonly pauses = new Map<string, RestartPauses>();
  private readonly timers = new Set<NodeJS.Timeout>();
  /** Services that are not to run. */
  private readonly absent: Set<string>;
  /** Clients know the gateway by its address: started again, it comes back to its port. */
  private gatewayPort = 0;
  private stopping = false;
  private giveUp: (reason: Error) => void = () => undefined;
  /** Rejects when a service cannot be kept running. */
  readonly failed: Promise<never>;

  constructor(private readonly options: StackOptions) {
    this.failed = new Promise((_, reject) => {
      this.giveUp = reject;
    });
    this.failed.catch(() => undefined);
    this.absent = new Set(options.later);
  }

  /** Of a service, or of a shard by its name. */
  address(name: string): ServiceReady | undefined {
    return this.addresses.get(name);
  }

  /** Starts every service; when one fails, those already started are stopped again. */
  async start(): Promise<void> {
    try {
      this.gatewayPort = await steadyPort();
      await Promise.all(this.names.filter((name) => !this.absent.has(name)).map((name) => this.startOne(name)));
    } catch (reason) {
      await this.stop();
      throw reason;
    }
  }

  /** Starts one that does not run, and waits until it is ready. */
  async startService(name: ServiceName): Promise<void> {
    if (!this.absent.delete(name)) return;
    await this.startOne(name);
  }

  /** Drains one, waits for its end and does not start it again. Returns its exit status. */
  async stopService(name: ServiceName): Promise<number> {
    this.absent.add(name);
    return (await this.children.get(name)?.stop(this.options.graceMs)) ?? 0;
  }

  /** Drains every service and waits for its end. Returns the exit statuses. */
  async stop(): Promise<Map<string, number>> {
    this.stopping = true;
    for (const timer of this.timers) clearTimeout(timer);
    const statuses = new Map<string, number>();
    // The gateway first: what it has admitted needs the other stages until it is done.
    const order = [['gateway'], ['llm'], this.names.filter((name) => name !== 'gateway' && name !== 'llm')];
    for (const names of order) {
      await Promise.all(
        names.map(async (name) => {
          const child = this.children.get(name);
          if (child !== undefined) statuses.set(name, await child.stop(this.options.graceMs));
        }),
      );
    }
    return statuses;
  }

  /** Of all that is started. */
  private get names(): readonly string[] {
    const { services, shards = [] } = this.options;
    return [...services, ...shards.map(({ name }) => name)];
  }

  private async startOne(name: string): Promise<void> {
    const child = new ChildService(
      name,
      mainPath(this.shardOf(name) ? 'llm' : name),
      this.flagsOf(name),
      this.options.onLog,
      name === 'gateway' ? process.env : withHugePages(process.env),
    );
    this.children.set(name, child);
    const ready = await child.start();
    this.addresses.set(name, ready);
    this.options.onReady(name, ready);
    const readyAt = performance.now();
    void child.ended.then((status) => this.restart(name, status, performance.now() - readyAt));
  }

  /** @param ranMs how long the service took work before it ended */
  private restart(name: string, status: number, ranMs: number, reason?: Error): void {
    if (this.stopping || this.absent.has(name)) return;
    const pauses = this.pauses.get(name) ?? new RestartPauses();
    this.pauses.set(name, pauses);
    const pauseMs = pauses.next(ranMs);
    this.options.onEnded(name, status, pauseMs);
    if (pauseMs === undefined) {
      const why = reason === undefined ? 'its log says why' : reason.message;
      this.giveUp(new TesseraError('STAGE_UNAVAILABLE', `${name} ended ${pauses.failures} times in a row: ${why}`));
      return;
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      // What it needs may be away just now: a start that fails is tried again like an end.
      this.startOne(name).catch(async (cause: Error) => {
        this.restart(name, (await this.children.get(name)?.ended) ?? 1, 0, cause);
      });
    }, pauseMs);
    this.timers.add(timer);
  }

  private shardOf(name: string): StackShard | undefined {
    return this.options.shards?.find((shard) => shard.name === name);
  }

  private flagsOf(name: string): string[] {
    const { bundleDir, natsUrl, natsPrefix, flags } = this.options;
    const given = (this.shardOf(name) ?? { flags: flags[name as ServiceName] }).flags ?? [];
    const shared: Readonly<Record<string, string>> = {
      '--model-dir': bundleDir,
      '--nats-url': natsUrl,
      '--log-format': 'json',
      ...(natsPrefix === undefined ? {} : { '--nats-prefix': natsPrefix }),
      ...(name === 'gateway' ? { '--grpc-port': String(this.gatewayPort) } : {}),
    };
    const notGiven = Object.entries(shared).filter(([flag]) => !given.includes(flag));
    return [...notGiven.flat(), ...given];
  }
}

/** The program of a service. @throws TesseraError CONFIG_INVALID where the services are not installed beside this command */
export function mainPath(name: string): string {
  try {
    return fileURLToPath(new URL('./main.js', import.meta.resolve(`@tessera/${name}`)));
  } catch (cause) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `this installation has no ${name}, as the image of the tools has not; in a cluster each service has an image of its own`,
      { cause },
    );
  }
}
