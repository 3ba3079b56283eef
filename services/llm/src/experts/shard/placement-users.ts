/** An engine's stream, and the placement that it uses. */
export interface PlacementUser extends Disposable {
  /** It has taken up the placement of this epoch. */
  uses(epoch: number): void;
}

/** Which placements are in use by the engines that have a stream open. */
export class PlacementUsers {
  readonly #epochs = new Map<symbol, number>();
  #waiting: { readonly epoch: number; readonly resolve: () => void }[] = [];

  begin(epoch: number): PlacementUser {
    const key = Symbol();
    this.#epochs.set(key, epoch);
    return {
      uses: (next) => {
        if (this.#epochs.has(key)) this.#epochs.set(key, next);
        this.#look();
      },
      [Symbol.dispose]: () => {
        this.#epochs.delete(key);
        this.#look();
      },
    };
  }

  /** Resolves when no engine with a stream open uses an earlier placement than that of this epoch. */
  async noneBefore(epoch: number): Promise<void> {
    if (this.#isPast(epoch)) return;
    await new Promise<void>((resolve) => this.#waiting.push({ epoch, resolve }));
  }

  /** Resolves when no engine has a stream open. */
  idle(): Promise<void> {
    return this.noneBefore(Number.POSITIVE_INFINITY);
  }

  #isPast(epoch: number): boolean {
    return [...this.#epochs.values()].every((used) => used >= epoch);
  }

  #look(): void {
    const past = this.#waiting.filter(({ epoch }) => this.#isPast(epoch));
    this.#waiting = this.#waiting.filter((each) => !past.includes(each));
    for (const { resolve } of past) resolve();
  }
}
