export interface EventQueueOptions<T> {
  /** Makes one of two neighbours that the reader has not fetched yet; undefined where they stay two. */
  readonly join?: (last: T, next: T) => T | undefined;
  /** Whether the order of two is of no account, so that the next may be joined to what stands before the last. */
  readonly passes?: (last: T, next: T) => boolean;
  /** Unread events beyond which writers are asked to wait; without it they never are. */
  readonly most?: number;
  /** Its abort, before the end is put, is as if the reader left: the events end, without an error, and what is unread is dropped. */
  readonly signal?: AbortSignal;
  /** Called when the reader leaves before the end; not when the signal was aborted from the start. */
  readonly onAbandoned?: () => void;
}

/**
 * Events on their way from any number of writers to one reader. It is the iterator itself, so that an event costs one
 * promise; and what can be joined is, so that the queue stays short while the reader is slow and events that are ready
 * together leave together. The reader gets all that was put before an error, and then the error.
 */
export class EventQueue<T> implements AsyncIterableIterator<T, void> {
  readonly #events: T[] = [];
  readonly #options: EventQueueOptions<T>;
  #ending: { readonly error?: unknown } | undefined;
  #read: { resolve(result: IteratorResult<T, void>): void; reject(reason: unknown): void } | undefined;
  #roomier: (() => void)[] = [];

  constructor(options: EventQueueOptions<T> = {}) {
    this.#options = options;
    if (options.signal?.aborted) this.#ending = {};
    else options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** @returns false, and drops the event, after the end */
  put(event: T): boolean {
    if (this.#ending !== undefined) return false;
    if (this.#read !== undefined) {
      const { resolve } = this.#read;
      this.#read = undefined;
      resolve({ done: false, value: event });
      return true;
    }
    if (!this.#join(event)) this.#events.push(event);
    return true;
  }

  #join(event: T): boolean {
    const { join, passes } = this.#options;
    if (join === undefined) return false;
    for (let at = this.#events.length - 1; at >= 0; at--) {
      const earlier = this.#events[at] as T;
      const joined = join(earlier, event);
      if (joined !== undefined) {
        this.#events[at] = joined;
        return true;
      }
      if (passes?.(earlier, event) !== true) return false;
    }
    return false;
  }

  /** Resolves when the reader has fetched enough for more to be put; undefined when there is room now. */
  room(): Promise<void> | undefined {
    return this.#hasRoom ? undefined : new Promise((resolve) => this.#roomier.push(resolve));
  }

  get #hasRoom(): boolean {
    return this.#ending !== undefined || this.#events.length < (this.#options.most ?? Number.POSITIVE_INFINITY);
  }

  /** Ends the events. */
  end(): void {
    this.#close({});
  }

  /** Ends the events with an error. */
  fail(error: unknown): void {
    this.#close({ error });
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#events.length > 0) {
      const value = this.#events.shift() as T;
      this.#tellRoom();
      return Promise.resolve({ done: false, value });
    }
    const ending = this.#ending;
    if (ending === undefined) {
      return new Promise((resolve, reject) => {
        this.#read = { resolve, reject };
      });
    }
    // Told once; after that there is nothing more to say.
    this.#ending = {};
    return 'error' in ending ? Promise.reject(ending.error) : Promise.resolve({ done: true, value: undefined });
  }

  /** The reader leaves. */
  return(): Promise<IteratorResult<T, void>> {
    const abandoned = this.#ending === undefined;
    this.#ending = {};
    this.#events.length = 0;
    this.#finish();
    if (abandoned) this.#options.onAbandoned?.();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  readonly #onAbort = (): void => void this.return();

  #close(ending: { readonly error?: unknown }): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    if (this.#read !== undefined && 'error' in ending) {
      const { reject } = this.#read;
      this.#read = undefined;
      this.#ending = {};
      reject(ending.error);
    }
    this.#finish();
  }

  #finish(): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#read?.resolve({ done: true, value: undefined });
    this.#read = undefined;
    this.#tellRoom();
  }

  #tellRoom(): void {
    if (!this.#hasRoom) return;
    for (const resolve of this.#roomier.splice(0)) resolve();
  }
}
