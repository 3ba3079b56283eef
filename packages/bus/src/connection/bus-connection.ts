import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { AuthorizationError, connect, deferred, type NatsConnection } from '@nats-io/transport-node';
import { abortable } from '@tessera/flow';
import { inboxPrefix, maxStoredBytes, Subjects, TesseraError } from '@tessera/protocol';
import { type BusLimits, type BusObserver, type BusOptions, defaultBusLimits } from '../bus-options.js';
import { credentialOptions, refuseSecretsIn } from './bus-credentials.js';
import { type BusLogger, silentLogger } from './bus-logger.js';
import { allObservers, busMetrics } from './bus-metrics.js';
import { type BusTrace, serviceTrace } from './bus-trace.js';
import { isForbidden } from './is-forbidden.js';
import { checkServerVersion } from './server-versions.js';

/** A URL as it may be shown: without what stands before the `@`. */
export function shownUrl(url: string): string {
  return url.replaceAll(/\/\/[^/@]*@/g, '//');
}

/** One connection to NATS, with everything that the parts of the bus share. It reconnects for ever. */
export class BusConnection {
  private readonly reconnectListeners = new Set<() => void>();
  private online = true;
  private onlineAgain = deferred<void>();
  private lives = 1;

  private constructor(
    readonly nc: NatsConnection,
    readonly js: JetStreamClient,
    readonly manager: JetStreamManager,
    readonly url: string,
    readonly subjects: Subjects,
    readonly limits: BusLimits,
    readonly log: BusLogger,
    readonly observer: BusObserver,
    readonly trace: BusTrace,
    /** Where answers to this process come in. */
    readonly inboxPrefix: string,
  ) {
    this.onlineAgain.resolve();
    void this.watch();
  }

  /**
   * @throws TesseraError STAGE_UNAVAILABLE when nothing answers; CONFIG_INVALID when the server has no JetStream or
   * takes only smaller messages
   */
  static async open(options: BusOptions): Promise<BusConnection> {
    const subjects = new Subjects(options.prefix, options.revision);
    const limits: BusLimits = { ...defaultBusLimits, ...options.limits };
    const { url } = options;
    refuseSecretsIn(url);
    const log = options.log ?? silentLogger;
    let nc: NatsConnection;
    try {
      nc = await connect({
        ...credentialOptions(options.credentials ?? {}, log),
        servers: url.split(',').map((server) => server.trim()),
        name: `tessera ${options.name}`,
        inboxPrefix: inboxPrefix(options.name),
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        reconnectJitter: 250,
        pingInterval: 10_000,
        maxPingOut: 2,
        timeout: 5000,
        // Stack traces of every request cost more than they tell.
        noAsyncTraces: true,
      });
    } catch (reason) {
      if (reason instanceof TesseraError) throw reason;
      // A server, or a process, that is too busy to say who it is in time is no wrong secret: it is tried again.
      if (reason instanceof AuthorizationError && !/timeout/i.test(reason.message)) {
        throw new TesseraError(
          'CONFIG_INVALID',
          `NATS at ${url} does not let this service in (${reason.message}); see its user and the nats. settings of secrets`,
        );
      }
      throw new TesseraError('STAGE_UNAVAILABLE', `NATS at ${url} cannot be reached: ${messageOf(reason)}`, {
        cause: reason,
      });
    }
    try {
      for (const notice of checkServerVersion(nc.info?.version ?? '0', url)) log.info({ url }, notice);
      const maxPayload = nc.info?.max_payload ?? 0;
      const needed = maxStoredBytes(limits);
      if (maxPayload < needed) {
        throw new TesseraError(
          'CONFIG_INVALID',
          `NATS at ${url} takes messages of at most ${maxPayload} bytes; set its max_payload to ${needed} or more, or lower nats.partBytes`,
        );
      }
      const manager = await jetstreamManager(nc).catch((reason: unknown) => {
        const why = isForbidden(reason)
          ? `does not let this user see JetStream: ${messageOf(reason)}; docs/permissions.md lists what each user needs`
          : `does not offer JetStream: ${messageOf(reason)}; start it with --jetstream`;
        throw new TesseraError('CONFIG_INVALID', `NATS at ${url} ${why}`, { cause: reason });
      });
      const observer = allObservers([
        options.metrics === undefined ? undefined : busMetrics(options.metrics),
        options.observer,
      ]);
      observer.connection?.('connected');
      return new BusConnection(
        nc,
        jetstream(nc),
        manager,
        url,
        subjects,
        limits,
        log,
        observer,
        options.trace ?? serviceTrace,
        inboxPrefix(options.name),
      );
    } catch (reason) {
      await nc.close();
      throw reason;
    }
  }

  get isOnline(): boolean {
    return this.online && !this.nc.isClosed();
  }

  /**
   * Which life of the connection this is. Sequence numbers and deliveries of an earlier one mean nothing in this one: a
   * restarted server counts from 1 again, and what is settled under an old number is another request's.
   */
  get epoch(): number {
    return this.lives;
  }

  /** Whether what was heard in that life may still be answered. */
  isCurrent(epoch: number): boolean {
    return epoch === this.lives && this.isOnline;
  }

  /** Calls the listener each time the connection is back, when pull requests and memory streams may be gone. */
  onReconnect(listener: () => void): () => void {
    this.reconnectListeners.add(listener);
    return () => this.reconnectListeners.delete(listener);
  }

  /** Resolves while connected; otherwise waits. Throws the signal's reason if that comes first. */
  async waitOnline(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.nc.isClosed()) throw this.closedError();
    if (!this.online) await abortable(this.onlineAgain, signal);
  }

  /** What whoever still waits on this connection is told once it is closed. */
  closedError(cause?: unknown): TesseraError {
    if (cause instanceof TesseraError) return cause;
    return new TesseraError('DRAINING', 'the connection to NATS was closed by this process', { cause });
  }

  async close(): Promise<void> {
    if (this.nc.isClosed()) return;
    // Drain flushes what was published; it cannot while the server is away.
    if (this.online) await this.nc.drain().catch(() => this.nc.close());
    else await this.nc.close();
  }

  private async watch(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect') {
        if (!this.online) continue;
        this.online = false;
        this.lives++;
        this.onlineAgain = deferred<void>();
        this.log.warn({ url: this.url }, 'the connection to NATS is lost; trying again until it is back');
        this.observer.connection?.('disconnected');
      } else if (status.type === 'reconnect') {
        this.online = true;
        this.log.info({ url: this.url }, 'connected to NATS again');
        this.observer.connection?.('connected');
        this.onlineAgain.resolve();
        for (const listener of [...this.reconnectListeners]) listener();
      } else if (status.type === 'error') {
        this.log.error({ url: this.url, error: status.error.message }, 'NATS reports an error');
      }
    }
    // Nobody may wait for a connection that was closed for good.
    this.onlineAgain.catch(() => {});
    this.onlineAgain.reject(this.closedError());
  }
}

export function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
