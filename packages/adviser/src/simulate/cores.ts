import FlatQueue from 'flatqueue';
import type { Events } from './events.js';

/** Something that one thread computes. */
export interface Task {
  /** @returns milliseconds of its work that are left */
  left(): number;
  /** Makes it end after so much work from now on, no later than it would have. */
  shorten(leftMs: number): void;
}

/** What computes. */
export interface Cores {
  /** Has a thread do so much work, in milliseconds of a core that does nothing else. */
  run(ms: number, done: () => void): Task;
  /** Takes so many threads' worth of cores on the side; a negative number gives them back. */
  load(threads: number): void;
  /** Milliseconds of all threads that were computed so far. */
  readonly busyMs: number;
}

/** Cores enough for every thread, as where each replica has a machine for itself: everything takes what it takes. */
export class OwnCores implements Cores {
  #busyMs = 0;
  #load = 0;
  #loadSince = 0;

  constructor(private readonly events: Events) {}

  get busyMs(): number {
    return this.#busyMs + this.#load * (this.events.now - this.#loadSince);
  }

  load(threads: number): void {
    const { now } = this.events;
    this.#busyMs += this.#load * (now - this.#loadSince);
    this.#loadSince = now;
    this.#load += threads;
  }

  run(ms: number, done: () => void): Task {
    const { events } = this;
    let endsAt = events.now + ms;
    this.#busyMs += ms;
    const end = (): void => {
      // One that was shortened has ended before.
      if (events.now === endsAt) {
        endsAt = Number.NEGATIVE_INFINITY;
        done();
      }
    };
    events.at(endsAt, end);
    return {
      left: () => endsAt - events.now,
      shorten: (leftMs) => {
        const sooner = events.now + Math.max(0, leftMs);
        if (sooner >= endsAt) return;
        this.#busyMs -= endsAt - sooner;
        endsAt = sooner;
        events.at(endsAt, end);
      },
    };
  }
}

interface Shared {
  /** The moment of the cores' own clock at which it is done. */
  finish: number;
  readonly done: () => void;
  ended: boolean;
}

/** What sums of threads may be off by. */
const tiny = 1e-9;
/** What a moment may be off by, of the time that has passed: more than doubles round, so that no event comes again and again. */
const rounding = 1e-12;

/**
 * Cores that threads share evenly, each on one of them at most (processor sharing). With more threads than cores all go
 * slower alike; so the cores have a clock of their own, which goes slower too, and on which every task's end is known when it
 * begins.
 */
export class SharedCores implements Cores {
  readonly #tasks = new FlatQueue<Shared>();
  #clock = 0;
  #updatedAt = 0;
  #active = 0;
  #load = 0;
  #busyMs = 0;
  /** Of the event that is to come; those before it are void. */
  #version = 0;

  constructor(
    private readonly events: Events,
    readonly cores: number,
  ) {}

  get busyMs(): number {
    this.#advance();
    return this.#busyMs;
  }

  load(threads: number): void {
    this.#advance();
    this.#load = Math.abs(this.#load + threads) < tiny ? 0 : this.#load + threads;
    this.#plan();
  }

  run(ms: number, done: () => void): Task {
    this.#advance();
    let task: Shared = { finish: this.#clock + ms, done, ended: false };
    this.#active++;
    this.#tasks.push(task, task.finish);
    this.#plan();
    return {
      left: () => {
        this.#advance();
        return task.finish - this.#clock;
      },
      shorten: (leftMs) => {
        this.#advance();
        const finish = this.#clock + leftMs;
        if (task.ended || finish >= task.finish) return;
        task.ended = true;
        task = { finish, done, ended: false };
        this.#tasks.push(task, finish);
        this.#plan();
      },
    };
  }

  /** How fast a thread goes: 1 is a core for itself. */
  get #speed(): number {
    const threads = this.#active + this.#load;
    return threads <= this.cores ? 1 : this.cores / threads;
  }

  #advance(): void {
    const passed = this.events.now - this.#updatedAt;
    if (passed === 0) return;
    this.#updatedAt = this.events.now;
    this.#clock += passed * this.#speed;
    this.#busyMs += passed * Math.min(this.cores, this.#active + this.#load);
  }

  #plan(): void {
    const version = ++this.#version;
    while (this.#tasks.peek()?.ended === true) this.#tasks.pop();
    const next = this.#tasks.peekValue();
    if (next === undefined) return;
    this.events.in(Math.max(0, next - this.#clock) / this.#speed, () => {
      if (version === this.#version) this.#finish();
    });
  }

  #finish(): void {
    this.#advance();
    const done: (() => void)[] = [];
    const until = this.#clock + Math.max(tiny, rounding * this.events.now);
    for (let task = this.#tasks.peek(); task !== undefined; task = this.#tasks.peek()) {
      if (!task.ended && task.finish > until) break;
      this.#tasks.pop();
      if (task.ended) continue;
      task.ended = true;
      this.#active--;
      done.push(task.done);
    }
    for (const each of done) each();
    this.#plan();
  }
}
