import { randomBytes } from 'node:crypto';
import type { Announcer, Bus, ProductInbox, ReceivedTensor } from '@tessera/bus';
import {
  type DrawOptions,
  type ErrorCode,
  encodeTensor,
  errorTable,
  type Float32Tensor,
  generateQueue,
  TesseraError,
} from '@tessera/protocol';
import type { Engine, EngineLimits, EngineRequest } from './engine/engine.js';

/** What the engine says of itself besides its load. */
export interface EngineFacts {
  /** host:port. */
  readonly address: string;
  readonly contextTokens: number;
  readonly limits: EngineLimits;
  /** Whether new requests are to come here. */
  readonly takesWork: () => boolean;
}

/** The engine's door to NATS: visual tokens and cancels come in, generate jobs and its own load go out. */
export class EngineLinks {
  readonly #bus: Bus;
  readonly #inbox: ProductInbox<ReceivedTensor>;
  readonly #engine: Engine;
  readonly #forgetCancels: () => void;

  constructor(bus: Bus, inbox: ProductInbox<ReceivedTensor>, engine: Engine) {
    this.#bus = bus;
    this.#inbox = inbox;
    this.#engine = engine;
    this.#forgetCancels = bus.onCancel((requestId) => engine.cancel(requestId));
  }

  /**
   * Opens the way for a request's visual tokens, and hands them to the engine, once that has admitted the sequence, until
   * the signal aborts. Never rejects: failures go to the engine.
   */
  async feedTiles({ requestId, attempt }: EngineRequest, admitted: Promise<void>, signal: AbortSignal): Promise<void> {
    const news = this.#inbox.receive(requestId, signal, { fromAttempt: attempt });
    await admitted;
    try {
      for await (const event of news) {
        if (event.kind === 'tensor') {
          const { item, tile, tensor: tokens, timings } = event;
          this.#engine.provideTile({ requestId, item, tile, tokens, timings });
        } else {
          const { item, attempt: failed, code, message } = event;
          const tile = event.of === 'tile' ? event.tile : undefined;
          this.#engine.failTile({ requestId, item, tile, attempt: failed, error: itemError(code, message, item) });
        }
      }
    } catch (reason) {
      if (!signal.aborted) this.#engine.cancel(requestId, { attempt, reason: TesseraError.from(reason) });
    }
  }

  /** Queues a drawing for the generator. @throws TesseraError QUEUE_FULL, DEADLINE_EXCEEDED, CANCELLED */
  async queueDrawing(
    { requestId, attempt, deadlineMs }: EngineRequest,
    drawing: {
      readonly index: number;
      readonly condition: Float32Tensor;
      readonly options: DrawOptions | undefined;
      /** Who waits for it. */
      readonly deliverTo: string;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const key = { requestId, attempt, item: drawing.index };
    const condition = encodeTensor(drawing.condition, 'float32');
    const { options, deliverTo } = drawing;
    await this.#bus.publish(generateQueue, { key, condition, options }, { deadlineMs, signal, deliverTo });
  }

  /** Announces the engine until the signal aborts. */
  announce({ address, contextTokens, limits, takesWork }: EngineFacts, signal: AbortSignal): Announcer {
    const engineId = randomBytes(8).toString('hex');
    const { maxRunning, maxWaiting } = limits;
    const facts = { engineId, address, inbox: this.#inbox.address, maxRunning, maxWaiting, contextTokens };
    return this.#bus.announce(() => {
      const { running, waiting } = this.#engine.stats();
      return { ...facts, running, waiting, draining: !takesWork() };
    }, signal);
  }

  close(): void {
    this.#forgetCancels();
  }
}

/** A stage's failure. Where the media are at fault, it names their field of the engine's request. */
function itemError(code: ErrorCode, message: string, item: number): TesseraError {
  const isOfMedia = errorTable[code].grpc === 'INVALID_ARGUMENT';
  return new TesseraError(code, message, { field: isOfMedia ? `media[${item}]` : undefined });
}
