import { fileURLToPath } from 'node:url';
import { ChildService, type ServiceReady } from '@tessera/cli';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { sumMetric } from './deployment.js';

/** A process of a service. */
export interface Started {
  readonly service: ChildService;
  readonly ready: ServiceReady;
}

export interface LayeredOptions {
  /** The folder of a bundle that is cut by layers. */
  readonly bundleDir: string;
  /** Into so many pieces; 1: one process has all of them, and there are no shards. */
  readonly pieces: number;
  /** Folders that have the files of one piece each; without them all have all. */
  readonly carried?: readonly string[];
  readonly engine?: readonly string[];
  readonly shard?: readonly string[];
}

/** A nats-server, an engine, a layer shard for each later piece, and a gateway, each a process of its own. */
export class LayeredDeployment implements AsyncDisposable {
  readonly logs: string[] = [];
  readonly shards = new Map<number, Started>();
  readonly #options: LayeredOptions;
  readonly #nats: NatsServer;
  readonly #others: ChildService[] = [];
  #engine: Started | undefined;
  #gateway: Started | undefined;

  private constructor(options: LayeredOptions, nats: NatsServer) {
    this.#options = options;
    this.#nats = nats;
  }

  /** The engine waits for the shards, so they start together. */
  static async start(options: LayeredOptions): Promise<LayeredDeployment> {
    const deployment = new LayeredDeployment(options, await startNatsServer());
    try {
      const pieces = Array.from({ length: options.pieces - 1 }, (_, index) => index + 1);
      await Promise.all([
        deployment.#begin(),
        ...pieces.map(async (piece) => deployment.shards.set(piece, await deployment.startShard(piece))),
      ]);
      return deployment;
    } catch (reason) {
      await deployment[Symbol.asyncDispose]();
      throw reason;
    }
  }

  /** host:port of the gateway's gRPC. */
  get gateway(): string {
    return this.#gateway?.ready.grpc ?? '';
  }

  get natsUrl(): string {
    return this.#nats.url;
  }

  /** A process of a layer shard. @param flags those of the deployment, unless others are given */
  async startShard(piece: number, flags = this.#options.shard ?? []): Promise<Started> {
    const own = ['--role', 'layers', '--layers-piece', String(piece), ...flags];
    const { service, started } = this.begin('llm', own, this.#options.carried?.[piece]);
    return { service, ready: await started };
  }

  /** Starts a process of a service, which ends with the deployment. */
  begin(name: 'llm' | 'gateway', flags: readonly string[], bundleDir = this.#options.bundleDir) {
    const main = fileURLToPath(new URL('./main.js', import.meta.resolve(`@tessera/${name}`)));
    const shared = ['--model-dir', bundleDir, '--nats-url', this.natsUrl, '--log-format', 'json'];
    const service = new ChildService(name, main, [...shared, ...flags], (_, line) => this.logs.push(line));
    this.#others.push(service);
    const started = service.start();
    started.catch(() => {});
    return { service, started };
  }

  /** A gauge or counter of the engine, or of another process, summed over the rows that have the labels. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}, of = this.#engine): Promise<number> {
    const response = await fetch(`http://${of?.ready.metrics}/metrics`);
    return sumMetric(await response.text(), name, labels);
  }

  /** What the engine, or another process, says of whether it takes work. */
  async readiness(metrics = this.#engine?.ready.metrics): Promise<string> {
    const response = await fetch(`http://${metrics}/readyz`);
    return await response.text();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The gateway first, then engines, then what they need.
    for (const service of this.#others.reverse()) if (service.running) await service.stop(10_000);
    await this.#nats.stop();
  }

  async #begin(): Promise<void> {
    const { pieces, engine: flags = [] } = this.#options;
    const { service: engine, started } = this.begin(
      'llm',
      ['--layers-remote', String(pieces > 1), ...flags],
      this.#options.carried?.[0],
    );
    const { service, started: gateway } = this.begin('gateway', []);
    this.#engine = { service: engine, ready: await started };
    this.#gateway = { service, ready: await gateway };
  }
}
