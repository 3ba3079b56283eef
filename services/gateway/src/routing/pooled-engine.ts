import { setMaxListeners } from 'node:events';
import type { KnownEngine } from '@tessera/bus';
import { LlmServiceDefinition, TesseraError } from '@tessera/protocol';
import { type ClientOptions, createClient, type TesseraClient } from '@tessera/service';

export type LlmClient = TesseraClient<typeof LlmServiceDefinition>;

/** How engines are called. */
export type EngineCalls = Pick<ClientOptions, 'credentials' | 'serverName'>;

/** What an engine has and holds of sequences. */
export interface EngineShare {
  slots: number;
  places: number;
  load: number;
  awaitingTiles: number;
}

const nothing: EngineShare = { slots: 0, places: 0, load: 0, awaitingTiles: 0 };

/** An engine with what this gateway knows of it besides its announcements: its own attempts there. */
export class PooledEngine {
  /** What it has in the pool's totals. */
  counted: EngineShare = nothing;
  private client: LlmClient | undefined;
  private readonly life = new AbortController();
  /** Attempts of this gateway that run there. */
  private leases = 0;
  /** Those begun less those ended since the last announcement, which does not know of them. */
  private sinceHeard = 0;
  /** Of our attempts, those whose visual tokens are still to come: an engine has room of its own for them. */
  private incomplete = 0;
  private refused = false;
  private removed = false;

  constructor(
    private readonly engine: KnownEngine,
    private readonly calls: EngineCalls = {},
  ) {
    // Each lease listens.
    setMaxListeners(0, this.life.signal);
  }

  get id(): string {
    return this.engine.status.engineId;
  }

  /** Where visual tokens for it are sent. */
  get inbox(): string {
    return this.engine.status.inbox;
  }

  get isReady(): boolean {
    return !this.removed && !this.engine.status.draining;
  }

  /** Sequences that run there at once. */
  get slots(): number {
    return Math.max(1, this.engine.status.maxRunning);
  }

  /** Sequences that it admits, those that wait included. */
  get places(): number {
    return this.slots + this.engine.status.maxWaiting;
  }

  /** Sequences that it has, as far as can be known: never fewer than are there for this gateway. */
  get load(): number {
    const { running, waiting } = this.engine.status;
    const load = Math.max(running + waiting + this.sinceHeard, this.leases - this.incomplete);
    return this.refused ? Math.max(load, this.places) : load;
  }

  /** The share of its slots that is in use, or will be; over 1 where sequences wait. */
  get pressure(): number {
    return (this.load + this.incomplete) / this.slots;
  }

  get isFull(): boolean {
    return this.load >= this.places;
  }

  /** Whether it said, since its last announcement, that it is full. */
  get hasRefused(): boolean {
    return this.refused;
  }

  /** Aborts with STAGE_UNAVAILABLE when it has fallen silent: what runs there is to move, though the connection stands. */
  get silence(): AbortSignal {
    return this.life.signal;
  }

  /** What it can be counted on for; nothing once it takes no work. */
  share(): EngineShare {
    if (!this.isReady) return nothing;
    const { slots, places, load, incomplete } = this;
    return { slots, places, load, awaitingTiles: incomplete };
  }

  /** Its announcement knows what we added so far. */
  heard(): void {
    this.sinceHeard = 0;
    this.refused = false;
  }

  /** It has no room whatever it announced. */
  refuse(): void {
    this.refused = true;
  }

  /** An attempt begins there, which may have to wait for visual tokens first. */
  begin({ isComplete }: { readonly isComplete: boolean }): LlmClient {
    this.client ??= createClient(LlmServiceDefinition, this.engine.status.address, this.calls);
    this.leases++;
    if (isComplete) this.sinceHeard++;
    else this.incomplete++;
    return this.client;
  }

  /** One that waited for visual tokens has them all. */
  complete(): void {
    this.incomplete--;
    this.sinceHeard++;
  }

  end({ isComplete }: { readonly isComplete: boolean }): void {
    this.leases--;
    if (isComplete) this.sinceHeard--;
    else this.incomplete--;
    this.closeWhenUnused();
  }

  /** It is not offered any more; the connection stands until its last stream has ended. */
  remove(cause: 'silent' | 'forgotten'): void {
    this.removed = true;
    if (cause === 'silent') {
      this.life.abort(new TesseraError('STAGE_UNAVAILABLE', `the llm engine ${this.id} fell silent`));
    }
    this.closeWhenUnused();
  }

  close(): void {
    this.client?.close();
    this.client = undefined;
  }

  private closeWhenUnused(): void {
    if (this.removed && this.leases === 0) this.close();
  }
}
