import { abortError } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';

export interface BatchLimits {
  /** The most items in one batch. */
  readonly maxBatch: number;
  /** How long the first item of a batch waits for others that were announced, in milliseconds; 0 never waits. */
  readonly waitMs: number;
  /** The most items that may wait; one more is refused with QUEUE_FULL. */
  readonly maxWaiting: number;
}

export interface BatcherOptions<Item, Result> extends BatchLimits {
  /** What is batched, in the words of an error: "tiles". */
  readonly what: string;
  /** Items of equal keys may share a batch. */
  key(item: Item): string;
  /** Computes a batch: as many results as items, in their order. Never called while it runs. */
  run(items: readonly Item[]): Promise<readonly Result[]>;
  /** Told of every batch that ran, before its results are handed out. */
  onBatch?(batch: { readonly size: number; readonly busyMs: number }): void;
}

/** A result, and what it took. */
export interface Batched<Result> {
  readonly result: Result;
  /** Milliseconds between `submit` and the start of the batch. */
  readonly queueMs: number;
  /** Milliseconds that the batch ran. */
  readonly busyMs: number;
  /** How many items the batch had. */
  readonly batchSize: number;
}

interface Entry<Item, Result> {
  readonly item: Item;
  readonly key: string;
  readonly enqueuedAt: number;
  resolve(value: Batched<Result>): void;
  reject(error: TesseraError): void;
}

/** The delay that a refused caller is told: a few batches later there is room again. */
const retryAfterMs = 250;

/**
 * Collects items of different requests into batches. One batch runs at a time, oldest item first; what arrives in the
 * meantime is the next batch, so under load nothing waits for the timer. Nor does a request that is alone: only items
 * that somebody announced are waited for.
 */
export class Batcher<Item, Result> {
  private readonly waiting: Entry<Item, Result>[] = [];
  private timer: NodeJS.Timeout | undefined;
  private turn: NodeJS.Immediate | undefined;
  private announced = 0;
  private running: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly options: BatcherOptions<Item, Result>) {}

  /** Items that wait for a batch. */
  get waitingCount(): number {
    return this.waiting.length;
  }

  /**
   * Says that an item is being made, so that a batch waits for it, `waitMs` at most. Dispose of it when the item is
   * submitted, or will not come.
   */
  announce(): Disposable {
    let isOpen = true;
    this.announced++;
    return {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.announced--;
        this.schedule();
      },
    };
  }

  /**
   * Puts an item into the next batch that has room for it.
   * @throws TesseraError QUEUE_FULL; DRAINING after `close`; what the batch failed with; CANCELLED or
   *   DEADLINE_EXCEEDED by the signal, at once: a waiting item leaves the queue, a running one's result is dropped
   */
  submit(item: Item, signal: AbortSignal): Promise<Batched<Result>> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(abortError(signal));
      if (this.closed) return reject(new TesseraError('DRAINING', 'this process is shutting down'));
      if (this.waiting.length >= this.options.maxWaiting) {
        const { what, maxWaiting } = this.options;
        const message = `${maxWaiting} ${what} are waiting, which is the limit`;
        return reject(new TesseraError('QUEUE_FULL', message, { retryAfterMs }));
      }
      const entry: Entry<Item, Result> = {
        item,
        key: this.options.key(item),
        enqueuedAt: performance.now(),
        resolve: (value) => {
          signal.removeEventListener('abort', leave);
          resolve(value);
        },
        reject: (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      };
      const leave = (): void => {
        const at = this.waiting.indexOf(entry);
        if (at >= 0) this.waiting.splice(at, 1);
        entry.reject(abortError(signal));
      };
      signal.addEventListener('abort', leave);
      this.waiting.push(entry);
      this.schedule();
    });
  }

  /** Refuses new items, runs what waits without further delay, and resolves when nothing is left. */
  async close(): Promise<void> {
    this.closed = true;
    this.schedule();
    while (this.running !== undefined) await this.running;
  }

  private schedule(): void {
    const head = this.waiting[0];
    if (this.running !== undefined || head === undefined) return;
    const { maxBatch, waitMs } = this.options;
    const leftMs = head.enqueuedAt + waitMs - performance.now();
    const full = this.waiting.filter((entry) => entry.key === head.key).length >= maxBatch;
    if (!full && !this.closed && leftMs > 0) {
      this.wait(leftMs);
      return;
    }
    this.start(head);
  }

  /** Announced items get their time; without any, the batch is what arrives in this turn of the event loop. */
  private wait(leftMs: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.schedule();
    }, Math.ceil(leftMs));
    this.turn ??= setImmediate(() => {
      this.turn = undefined;
      const [head] = this.waiting;
      if (this.announced === 0 && this.running === undefined && head !== undefined) this.start(head);
    });
  }

  private start(head: Entry<Item, Result>): void {
    clearTimeout(this.timer);
    clearImmediate(this.turn);
    this.timer = undefined;
    this.turn = undefined;
    this.running = this.runBatch(this.take(head.key)).finally(() => {
      this.running = undefined;
      this.schedule();
    });
  }

  private take(key: string): Entry<Item, Result>[] {
    const taken: Entry<Item, Result>[] = [];
    for (let at = 0; at < this.waiting.length && taken.length < this.options.maxBatch; ) {
      const entry = this.waiting[at] as Entry<Item, Result>;
      if (entry.key === key) {
        taken.push(entry);
        this.waiting.splice(at, 1);
      } else at++;
    }
    return taken;
  }

  private async runBatch(batch: readonly Entry<Item, Result>[]): Promise<void> {
    const startedAt = performance.now();
    try {
      const results = await this.options.run(batch.map((entry) => entry.item));
      if (results.length !== batch.length) {
        throw new TesseraError('INTERNAL', `a batch of ${batch.length} gave ${results.length} results`);
      }
      const busyMs = performance.now() - startedAt;
      this.options.onBatch?.({ size: batch.length, busyMs });
      for (const [row, entry] of batch.entries()) {
        entry.resolve({
          result: results[row] as Result,
          queueMs: startedAt - entry.enqueuedAt,
          busyMs,
          batchSize: batch.length,
        });
      }
    } catch (reason) {
      const error = TesseraError.from(reason);
      for (const entry of batch) entry.reject(error);
    }
  }
}
