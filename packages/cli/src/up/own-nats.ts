import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { TesseraError } from '@tessera/protocol';
import { RestartPauses } from './restart-pauses.js';

export interface OwnNatsOptions {
  /** The client port; 0 takes any free one. */
  readonly port: number;
  readonly onReady: (url: string, pid: number) => void;
  /** @param restartInMs undefined when it is given up */
  readonly onEnded: (restartInMs: number | undefined) => void;
}

/** The nats-server of `tessera up`: started again, on its port, when it dies, and ended when `up` is killed. */
export class OwnNats {
  private readonly pauses = new RestartPauses();
  /** Processes that need the server for their drain, should this one be killed. */
  private readonly users = new Set<number>();
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;
  private starting: Promise<void> = Promise.resolve();
  private giveUp: (reason: Error) => void = () => undefined;
  /** Rejects when the server cannot be kept running. */
  readonly failed: Promise<never>;

  private constructor(
    private server: NatsServer,
    private readonly options: OwnNatsOptions,
  ) {
    this.failed = new Promise((_, reject) => {
      this.giveUp = reject;
    });
    this.failed.catch(() => undefined);
    this.watch(server);
  }

  /** @throws TesseraError CONFIG_INVALID when there is no nats-server or its port is taken; STAGE_UNAVAILABLE */
  static async start(options: OwnNatsOptions): Promise<OwnNats> {
    return new OwnNats(await startNatsServer({ port: options.port }), options);
  }

  get url(): string {
    return this.server.url;
  }

  get pid(): number {
    return this.server.pid;
  }

  /** Should this process be killed, the server stays until that one has ended. */
  keepFor(pid: number): void {
    this.users.add(pid);
    this.server.keepFor(pid);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.timer);
    await this.starting;
    await this.server.stop();
  }

  private watch(server: NatsServer): void {
    const readyAt = performance.now();
    this.options.onReady(server.url, server.pid);
    void server.exited.then(() => this.restart(performance.now() - readyAt));
  }

  private restart(ranMs: number, reason?: unknown): void {
    if (this.stopping) return;
    const pauseMs = this.pauses.next(ranMs);
    this.options.onEnded(pauseMs);
    if (pauseMs === undefined) {
      const why = reason instanceof Error ? `: ${reason.message}` : '';
      this.giveUp(
        new TesseraError('STAGE_UNAVAILABLE', `nats-server ended ${this.pauses.failures} times in a row${why}`),
      );
      return;
    }
    this.timer = setTimeout(() => {
      this.starting = this.startAgain().catch((cause: unknown) => this.restart(0, cause));
    }, pauseMs);
  }

  private async startAgain(): Promise<void> {
    if (this.stopping) return;
    const port = Number(new URL(this.server.url).port);
    // What is left of the old one.
    await this.server.stop();
    this.server = await startNatsServer({ port });
    for (const pid of this.users) this.server.keepFor(pid);
    this.watch(this.server);
  }
}
