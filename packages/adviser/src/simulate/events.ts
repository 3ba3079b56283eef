import FlatQueue from 'flatqueue';

/** Simulated time, in milliseconds, and what is to happen at which moment. What is due together goes in any order, the same each time. */
export class Events {
  readonly #queue = new FlatQueue<() => void>();
  #now = 0;
  #count = 0;

  get now(): number {
    return this.#now;
  }

  /** Events that have happened. */
  get count(): number {
    return this.#count;
  }

  in(ms: number, happen: () => void): void {
    this.#queue.push(happen, this.#now + ms);
  }

  at(moment: number, happen: () => void): void {
    this.#queue.push(happen, Math.max(this.#now, moment));
  }

  /** Lets everything happen that is due before `until`. @returns whether something is left */
  runUntil(until: number): boolean {
    const queue = this.#queue;
    for (let next = queue.peekValue(); next !== undefined && next <= until; next = queue.peekValue()) {
      this.#now = next;
      this.#count++;
      (queue.pop() as () => void)();
    }
    return queue.length > 0;
  }
}
