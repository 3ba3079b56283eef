import { type EngineStatus, LlmServiceDefinition, TesseraError } from '@tessera/protocol';
import { createClient, type EngineDirectory, type TesseraClient } from '@tessera/runtime';

export type LlmClient = TesseraClient<typeof LlmServiceDefinition>;

/** One engine, reserved for one attempt of one request. */
export interface EngineLease {
  readonly engineId: string;
  readonly client: LlmClient;
  release(): void;
  /** The engine did not answer: nobody is sent there before it announces itself again. */
  lost(): void;
}

interface Connection {
  readonly client: LlmClient;
  /** Attempts that this gateway runs there; announcements lag behind by half a second. */
  leases: number;
}

/** Picks the engine for a request: among those that announce themselves, the one with the least to do. */
export class EnginePool {
  private readonly connections = new Map<string, Connection>();

  constructor(
    private readonly directory: EngineDirectory,
    private readonly waitMs: number,
  ) {}

  /**
   * Reserves the least loaded engine; waits for one to appear.
   * @param avoid engines that failed this request already; they are taken only when there is no other
   * @throws TesseraError STAGE_UNAVAILABLE when none announces itself within the wait
   */
  async acquire(avoid: ReadonlySet<string>, signal: AbortSignal): Promise<EngineLease> {
    const giveUpAt = performance.now() + this.waitMs;
    for (;;) {
      signal.throwIfAborted();
      const engine = this.leastLoaded(avoid);
      if (engine !== undefined) return this.lease(engine);
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0) {
        throw new TesseraError(
          'STAGE_UNAVAILABLE',
          `no llm engine of this model announced itself within ${this.waitMs} ms; check that the llm service runs and reaches the same NATS`,
          { retryAfterMs: 1000 },
        );
      }
      await this.directory.changed(Math.min(leftMs, 1000), signal);
    }
  }

  /** Whether there is an engine that takes work and is none of these. */
  hasOther(avoid: ReadonlySet<string>): boolean {
    return this.directory.list().some(({ engineId, draining }) => !draining && !avoid.has(engineId));
  }

  close(): void {
    for (const connection of this.connections.values()) connection.client.close();
    this.connections.clear();
  }

  private leastLoaded(avoid: ReadonlySet<string>): EngineStatus | undefined {
    const live = this.directory.list();
    this.forgetSilent(live);
    const willing = live.filter((engine) => !engine.draining);
    const fresh = willing.filter((engine) => !avoid.has(engine.engineId));
    const candidates = fresh.length > 0 ? fresh : willing;
    return candidates.reduce<EngineStatus | undefined>(
      (best, engine) => (best === undefined || this.load(engine) < this.load(best) ? engine : best),
      undefined,
    );
  }

  /** Announced work or our own leases, whichever is more: the announcement may not know our newest ones yet. */
  private load(engine: EngineStatus): number {
    const announced = engine.running + engine.waiting;
    return Math.max(announced, this.connections.get(engine.engineId)?.leases ?? 0) / Math.max(1, engine.maxRunning);
  }

  private lease(engine: EngineStatus): EngineLease {
    let connection = this.connections.get(engine.engineId);
    if (connection === undefined) {
      const client = createClient(LlmServiceDefinition, engine.address);
      connection = { client, leases: 0 };
      this.connections.set(engine.engineId, connection);
    }
    const leased = connection;
    leased.leases++;
    let released = false;
    return {
      engineId: engine.engineId,
      client: leased.client,
      release: () => {
        if (released) return;
        released = true;
        leased.leases--;
      },
      lost: () => this.directory.forget(engine.engineId),
    };
  }

  /** A connection to an engine that fell silent is closed once its last stream has ended. */
  private forgetSilent(live: readonly EngineStatus[]): void {
    const ids = new Set(live.map((engine) => engine.engineId));
    for (const [id, connection] of this.connections) {
      if (ids.has(id) || connection.leases > 0) continue;
      connection.client.close();
      this.connections.delete(id);
    }
  }
}
