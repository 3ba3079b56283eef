import { fileURLToPath } from 'node:url';
import { TesseraError } from '@tessera/protocol';
import { ChildService, type ServiceReady } from './child-service.js';

/** In the order of the stages, the gateway last: it is ready only when an engine answers. */
export const serviceNames = ['encoder', 'connector', 'llm', 'generator', 'gateway'] as const;
export type ServiceName = (typeof serviceNames)[number];

export interface StackOptions {
  readonly bundleDir: string;
  readonly natsUrl: string;
  /** Flags of single services, such as the gateway's port. */
  readonly flags: Partial<Record<ServiceName, readonly string[]>>;
  readonly services: readonly ServiceName[];
  readonly graceMs: number;
  readonly onReady: (service: ServiceName, ready: ServiceReady) => void;
  readonly onLog: (service: string, line: string) => void;
  readonly onEnded: (service: ServiceName, status: number, restartInMs: number | undefined) => void;
}

const restartDelaysMs = [500, 1000, 2000, 4000, 8000];
/** A service that ran this long before it ended begins anew with its restarts. */
const steadyMs = 60_000;

/** Every service of one model as child processes: started together, restarted when one dies, drained together. */
export class Stack {
  private readonly children = new Map<ServiceName, ChildService>();
  private readonly addresses = new Map<ServiceName, ServiceReady>();
  private stopping = false;
  private giveUp: (reason: Error) => void = () => undefined;
  /** Rejects when a service cannot be kept running. */
  readonly failed: Promise<never>;

  constructor(private readonly options: StackOptions) {
    this.failed = new Promise((_, reject) => {
      this.giveUp = reject;
    });
    this.failed.catch(() => undefined);
  }

  address(service: ServiceName): ServiceReady | undefined {
    return this.addresses.get(service);
  }

  /** Starts every service; when one fails, those already started are stopped again. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.options.services.map((name) => this.startOne(name, 0)));
    } catch (reason) {
      await this.stop();
      throw reason;
    }
  }

  /** Drains every service and waits for its end. Returns the exit statuses. */
  async stop(): Promise<Map<ServiceName, number>> {
    this.stopping = true;
    const statuses = new Map<ServiceName, number>();
    // The gateway first: what it has admitted needs the other stages until it is done.
    const order: ServiceName[][] = [['gateway'], ['llm'], ['encoder', 'connector', 'generator']];
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

  private async startOne(name: ServiceName, failures: number): Promise<void> {
    const child = new ChildService(name, mainPath(name), this.flagsOf(name), this.options.onLog);
    this.children.set(name, child);
    const ready = await child.start();
    this.addresses.set(name, ready);
    this.options.onReady(name, ready);
    const readyAt = performance.now();
    void child.ended.then((status) => {
      if (this.stopping) return;
      const count = performance.now() - readyAt > steadyMs ? 0 : failures;
      const delayMs = restartDelaysMs[count];
      this.options.onEnded(name, status, delayMs);
      if (delayMs === undefined) {
        this.giveUp(
          new TesseraError('STAGE_UNAVAILABLE', `${name} ended ${count + 1} times in a row; its log says why`),
        );
        return;
      }
      setTimeout(() => {
        if (!this.stopping) this.startOne(name, count + 1).catch((reason) => this.giveUp(reason as Error));
      }, delayMs).unref();
    });
  }

  private flagsOf(name: ServiceName): string[] {
    const { bundleDir, natsUrl, flags } = this.options;
    const own = ['--model-dir', bundleDir, '--nats-url', natsUrl, '--log-format', 'json', ...(flags[name] ?? [])];
    const known = this.addresses.get(name);
    // Clients know the gateway by its address: started again, it comes back to the port that it was given.
    if (name !== 'gateway' || known === undefined) return own;
    return [...withoutFlag(own, '--grpc-port'), '--grpc-port', known.grpc.slice(known.grpc.lastIndexOf(':') + 1)];
  }
}

function withoutFlag(flags: readonly string[], flag: string): string[] {
  return flags.filter((word, at) => word !== flag && flags[at - 1] !== flag);
}

function mainPath(name: ServiceName): string {
  return fileURLToPath(new URL('./main.js', import.meta.resolve(`@tessera/${name}`)));
}
