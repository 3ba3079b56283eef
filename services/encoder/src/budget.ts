interface Waiting {
  readonly amount: number;
  grant(): void;
}

/** A bounded amount of something, such as decoded pixels, that pieces of work take and give back; first come, first served. */
export class Budget {
  private free: number;
  private waiting: Waiting[] = [];

  constructor(private readonly total: number) {
    this.free = total;
  }

  /**
   * Waits until so much is free, and takes it; dispose of what is returned to give it back. More than the total is taken
   * as the total, so that a large piece runs alone instead of never.
   * @throws the signal's reason when it aborts first
   */
  async take(amount: number, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    const taken = Math.min(amount, this.total);
    if (this.waiting.length > 0 || taken > this.free) {
      await new Promise<void>((resolve, reject) => {
        const entry: Waiting = {
          amount: taken,
          grant: () => {
            signal.removeEventListener('abort', leave);
            resolve();
          },
        };
        const leave = (): void => {
          this.waiting = this.waiting.filter((other) => other !== entry);
          reject(signal.reason);
          // It may have been the large one in front that the others waited behind.
          this.grantNext();
        };
        signal.addEventListener('abort', leave, { once: true });
        this.waiting.push(entry);
      });
    } else {
      this.free -= taken;
    }
    return {
      [Symbol.dispose]: () => {
        this.free += taken;
        this.grantNext();
      },
    };
  }

  private grantNext(): void {
    for (let next = this.waiting[0]; next !== undefined && next.amount <= this.free; next = this.waiting[0]) {
      this.waiting.shift();
      this.free -= next.amount;
      next.grant();
    }
  }
}
