/** A written token takes a step's time, a prompt's token a part of it. */
const writtenWeight = 2;
/** Clients of which nothing waits whose accounts are remembered. */
const maxRemembered = 4096;

/**
 * How much each client got of the engine, so that the one with the least comes next: a client that sends much waits behind
 * its own requests, not those of others. Whoever has nothing waiting saves nothing up: with the next sequence that waits
 * it begins where the least served of those are of whom something does, or where the last of them was; and nobody is made
 * to wait for what others got before. (Virtual token counters: Sheng and others, "Fairness in Serving Large Language
 * Models", 2024.)
 */
export class FairShare {
  readonly #served = new Map<string, number>();
  /** Sequences of each client that wait. */
  readonly #waiting = new Map<string, number>();
  /** Where the last one was of whom anything waited. */
  #last = 0;

  /** What a client got, in tokens; to be compared with another one's. */
  servedOf(client: string): number {
    return this.#served.get(client) ?? 0;
  }

  /** A sequence of the client waits from now on. */
  enter(client: string): void {
    const count = this.#waiting.get(client) ?? 0;
    if (count === 0) {
      const served = Math.max(this.servedOf(client), this.#leastWaiting() ?? this.#last);
      // The last one to come is the last to be forgotten.
      this.#served.delete(client);
      this.#served.set(client, served);
    }
    this.#waiting.set(client, count + 1);
  }

  /** It waits no more. */
  leave(client: string): void {
    const count = (this.#waiting.get(client) ?? 1) - 1;
    if (count > 0) {
      this.#waiting.set(client, count);
      return;
    }
    this.#waiting.delete(client);
    this.#last = this.servedOf(client);
    for (const known of this.#served.keys()) {
      if (this.#served.size - this.#waiting.size <= maxRemembered) break;
      if (!this.#waiting.has(known)) this.#served.delete(known);
    }
  }

  prefilled(client: string, tokens: number): void {
    this.#served.set(client, this.servedOf(client) + tokens);
  }

  decoded(client: string): void {
    this.prefilled(client, writtenWeight);
  }

  #leastWaiting(): number | undefined {
    let least: number | undefined;
    for (const client of this.#waiting.keys()) {
      const served = this.servedOf(client);
      if (least === undefined || served < least) least = served;
    }
    return least;
  }
}
