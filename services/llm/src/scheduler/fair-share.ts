/** A written token takes a step's time, a prompt's token a part of it. */
const writtenWeight = 2;
/** Clients without any sequence whose accounts are remembered. */
const maxRemembered = 4096;

/**
 * How much each client got of the engine, so that the one with the least comes next: a client that sends much waits behind
 * its own requests, not those of others. Who comes anew begins where the least served of the present ones is: nobody saves
 * up, and nobody is made to wait for what others got before. (Virtual token counters: Sheng and others, "Fairness in
 * Serving Large Language Models", 2024.)
 */
export class FairShare {
  readonly #served = new Map<string, number>();
  /** Sequences of each client that are here. */
  readonly #present = new Map<string, number>();

  /** What a client got, in tokens; to be compared with another one's. */
  servedOf(client: string): number {
    return this.#served.get(client) ?? 0;
  }

  /** A sequence of the client comes. */
  enter(client: string): void {
    const count = this.#present.get(client) ?? 0;
    if (count === 0) {
      const served = this.#served.get(client) ?? 0;
      const least = this.#leastPresent();
      this.#served.delete(client);
      this.#served.set(client, Math.max(served, least ?? served));
    }
    this.#present.set(client, count + 1);
  }

  /** It goes. */
  leave(client: string): void {
    const count = (this.#present.get(client) ?? 1) - 1;
    if (count > 0) {
      this.#present.set(client, count);
      return;
    }
    this.#present.delete(client);
    for (const known of this.#served.keys()) {
      if (this.#served.size - this.#present.size <= maxRemembered) break;
      if (!this.#present.has(known)) this.#served.delete(known);
    }
  }

  prefilled(client: string, tokens: number): void {
    this.#served.set(client, this.servedOf(client) + tokens);
  }

  decoded(client: string): void {
    this.prefilled(client, writtenWeight);
  }

  #leastPresent(): number | undefined {
    let least: number | undefined;
    for (const client of this.#present.keys()) {
      const served = this.servedOf(client);
      if (least === undefined || served < least) least = served;
    }
    return least;
  }
}
