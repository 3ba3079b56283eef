import type { Events } from './events.js';

export interface ReplicasOptions<Replica> {
  readonly events: Events;
  /** From a replica's creation until it takes work. */
  readonly startMs: number;
  make(): Replica;
  /** It takes work from now on. */
  joins(replica: Replica): void;
  /** It takes no more. @returns whether it has nothing left to do: else the stage calls `left` later */
  drains(replica: Replica): boolean;
}

/** A replica that is being started. */
interface Start {
  given: boolean;
}

/** The replicas of a stage, as they come and go, and what they cost. */
export class Replicas<Replica> {
  readonly ready: Replica[] = [];
  readonly #starting: Start[] = [];
  #draining = 0;
  #since = 0;
  #replicaMs = 0;
  #most = 0;

  constructor(private readonly options: ReplicasOptions<Replica>) {}

  /** Ready, and being started. */
  get wanted(): number {
    return this.ready.length + this.#starting.length;
  }

  /** The most that there were at one time. */
  get most(): number {
    return this.#most;
  }

  /** Milliseconds of all replicas so far, from the creation of each to its end. */
  get replicaMs(): number {
    return this.#replicaMs + this.#alive * (this.options.events.now - this.#since);
  }

  /** Has so many ready at once, as at the beginning. */
  begin(count: number): void {
    for (let made = 0; made < count; made++) this.#join();
    this.#count();
  }

  /** Starts replicas or drains some; those that are only being started go first. */
  scaleTo(count: number): void {
    this.#count();
    while (this.wanted < count) this.#start();
    while (this.wanted > count && this.#starting.length > 0) (this.#starting.pop() as Start).given = false;
    while (this.wanted > count) {
      const replica = this.ready.pop() as Replica;
      if (!this.options.drains(replica)) this.#draining++;
    }
    this.#count();
  }

  /** One that drained has nothing left. */
  left(): void {
    this.#count();
    this.#draining--;
  }

  get #alive(): number {
    return this.wanted + this.#draining;
  }

  #start(): void {
    const { events, startMs } = this.options;
    const start = { given: true };
    this.#starting.push(start);
    events.in(startMs, () => {
      if (!start.given) return;
      this.#starting.splice(this.#starting.indexOf(start), 1);
      this.#join();
    });
  }

  #join(): void {
    const replica = this.options.make();
    this.ready.push(replica);
    this.options.joins(replica);
  }

  #count(): void {
    const { now } = this.options.events;
    this.#replicaMs += this.#alive * (now - this.#since);
    this.#since = now;
    this.#most = Math.max(this.#most, this.#alive);
  }
}
