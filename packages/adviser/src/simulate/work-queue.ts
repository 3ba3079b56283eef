import type { Events } from './events.js';
import { Fifo } from './fifo.js';

/** Who takes jobs off a queue. */
export interface Puller<Job> {
  /** Jobs that it would take now. */
  free: number;
  draining: boolean;
  /** Whether it stands in the line of those that wait for jobs. */
  inLine: boolean;
  take(job: Job): void;
}

/** A work queue on NATS: jobs in their order, to those by turns that have room for one. */
export class WorkQueue<Job> {
  readonly #jobs = new Fifo<{ readonly job: Job; readonly sinceMs: number }>();
  readonly #line = new Fifo<Puller<Job>>();
  #inWork = 0;
  #waitedMs = 0;

  constructor(private readonly events: Events) {}

  /** Jobs that wait or are in work: the lag that KEDA sees. */
  get lag(): number {
    return this.#jobs.length + this.#inWork;
  }

  get waiting(): number {
    return this.#jobs.length;
  }

  /** Milliseconds that all jobs together waited for somebody to take them. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  push(job: Job): void {
    this.#jobs.push({ job, sinceMs: this.events.now });
    this.#match();
  }

  /** A puller has come, or has room again. */
  offer(puller: Puller<Job>): void {
    this.#stand(puller);
    this.#match();
  }

  /** A job is done. */
  settled(puller: Puller<Job>): void {
    this.#inWork--;
    puller.free++;
    this.offer(puller);
  }

  #stand(puller: Puller<Job>): void {
    if (puller.inLine || puller.draining || puller.free === 0) return;
    puller.inLine = true;
    this.#line.push(puller);
  }

  #match(): void {
    while (this.#jobs.length > 0) {
      const puller = this.#line.shift();
      if (puller === undefined) return;
      puller.inLine = false;
      if (puller.draining || puller.free === 0) continue;
      const { job, sinceMs } = this.#jobs.shift() as { job: Job; sinceMs: number };
      this.#waitedMs += this.events.now - sinceMs;
      this.#inWork++;
      puller.free--;
      this.#stand(puller);
      puller.take(job);
    }
  }
}
