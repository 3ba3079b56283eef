import type { EngineEvent } from './engine.js';

/** Where a sequence's events go. */
export interface EventSink {
  event(event: EngineEvent): void;
  /** Ends the events with an error. */
  fail(error: unknown): void;
  /** Ends the events. */
  end(): void;
}

/**
 * A sequence's events on their way to one reader. Tokens that a slow reader has not fetched are joined, so the queue
 * stays short however long the answer is.
 */
export class EventQueue implements EventSink, AsyncIterable<EngineEvent> {
  readonly #events: EngineEvent[] = [];
  readonly #onAbandoned: () => void;
  #ending: { error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** @param onAbandoned called when the reader leaves before the end */
  constructor(onAbandoned: () => void) {
    this.#onAbandoned = onAbandoned;
  }

  event(event: EngineEvent): void {
    const last = this.#events.at(-1);
    if (event.type === 'tokens' && last?.type === 'tokens') {
      const tokenIds = [...last.tokenIds, ...event.tokenIds];
      this.#events[this.#events.length - 1] = { type: 'tokens', tokenIds, text: last.text + event.text };
    } else {
      this.#events.push(event);
    }
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#ending ??= { error };
    this.#wake?.();
  }

  end(): void {
    this.#ending ??= {};
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EngineEvent> {
    try {
      for (;;) {
        for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) yield event;
        if (this.#ending !== undefined) {
          if ('error' in this.#ending) throw this.#ending.error;
          return;
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      if (this.#ending === undefined) this.#onAbandoned();
    }
  }
}
