import type { StoredMsg } from '@nats-io/jetstream';
import {
  bytesPerElement,
  decodeTensor,
  type ErrorCode,
  elementCount,
  encodeTensor,
  Failure,
  type Float32Tensor,
  failurePart,
  isErrorCode,
  type JobKey,
  jobRoutes,
  type ProductKind,
  type StageTiming,
  TensorPart,
  type TensorRef,
  TesseraError,
} from '@tessera/protocol';
import { abortable } from '../abort.js';
import type { BusConnection } from './bus-connection.js';
import { messageOf } from './bus-connection.js';
import type { Publisher, PublishOptions } from './publisher.js';
import { readStream } from './stream-reader.js';
import { TensorAssembler } from './tensor-assembler.js';
import { splitRows } from './tensor-parts.js';

/** One tile's visual tokens, complete. */
export interface TileTokens {
  readonly kind: 'tile';
  readonly item: number;
  readonly tile: number;
  readonly attempt: number;
  /** [tokens, LLM width]. */
  readonly tokens: Float32Tensor;
  readonly timings: StageTiming[];
}

/** A stage's word that a product will not come. */
export interface StageFailure {
  readonly kind: 'failure';
  /** The media item, or the drawing. */
  readonly item: number;
  /** The tile; of an encode job, the first of its range. */
  readonly tile: number;
  readonly attempt: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly stage: string;
}

export interface PublishTensorOptions extends PublishOptions {
  readonly timings: StageTiming[];
}

export interface TokensOptions {
  /** Failures of earlier attempts than this are not told: they were dealt with. */
  readonly fromAttempt?: number;
}

/** Parts in flight at once: enough to hide the round trip, few enough not to crowd out others. */
const partsInFlight = 4;

/** Tensors that travel between stages: cut by rows, published, put together again. */
export class TensorStream {
  constructor(
    private readonly connection: BusConnection,
    private readonly publisher: Publisher,
    private readonly restore: (signal?: AbortSignal) => Promise<void>,
  ) {}

  /** @throws TesseraError MESSAGE_TOO_LARGE over maxTensorBytes, or when one row exceeds partBytes */
  async publish(
    kind: 'features' | 'tokens',
    key: JobKey,
    tile: number,
    tensor: Float32Tensor,
    options: PublishTensorOptions,
  ): Promise<number> {
    this.checkSize(tensor.shape);
    const parts = splitRows(tensor, this.connection.limits.partBytes);
    for (let first = 0; first < parts.length; first += partsInFlight) {
      await Promise.all(
        parts.slice(first, first + partsInFlight).map((rows, offset) => {
          const part = first + offset;
          const last = part === parts.length - 1;
          const payload = TensorPart.encode({
            key,
            tile,
            part,
            parts: parts.length,
            rows: encodeTensor(rows, 'float16'),
            timings: last ? options.timings : [],
          }).finish();
          return this.publisher.publish({ kind, key, tile, part, payload }, options);
        }),
      );
    }
    return parts.length;
  }

  /** The tensor in the reference itself where it fits a message, else on the stream `features`. */
  async reference(key: JobKey, tile: number, tensor: Float32Tensor, options: PublishOptions): Promise<TensorRef> {
    if (elementCount(tensor.shape) * bytesPerElement.float16 <= this.connection.limits.partBytes) {
      return { place: { $case: 'inline', value: encodeTensor(tensor, 'float16') } };
    }
    const parts = await this.publish('features', key, tile, tensor, { ...options, timings: [] });
    return { place: { $case: 'parts', value: parts } };
  }

  /**
   * @throws TesseraError TENSOR_INVALID when the reference is none or its tensor is malformed; STAGE_UNAVAILABLE
   * (retryable) when parts are not on the stream (any more)
   */
  async read(key: JobKey, tile: number, reference: TensorRef, signal: AbortSignal): Promise<Float32Tensor> {
    const { place } = reference;
    if (place === undefined) throw new TesseraError('TENSOR_INVALID', 'the job says nowhere where its features are');
    if (place.$case === 'inline') {
      this.checkSize(place.value.shape);
      return decodeTensor(place.value);
    }
    const { limits } = this.connection;
    const assembler = new TensorAssembler(limits);
    const maxParts = Math.ceil(limits.maxTensorBytes / limits.partBytes) * 2;
    if (place.value < 1 || place.value > maxParts) {
      throw new TesseraError('TENSOR_INVALID', `features in ${place.value} parts, where at most ${maxParts} may be`);
    }
    for (let part = 0; part < place.value; part++) {
      const at = { requestId: key.requestId, item: key.item, tile, part };
      const outcome = assembler.add(at, await this.partOf(key, tile, part, signal));
      if (outcome.kind === 'complete') return outcome.tensor.tensor;
      if (outcome.kind === 'dropped') throw new TesseraError('TENSOR_INVALID', `part ${part}: ${outcome.detail}`);
    }
    throw new TesseraError('TENSOR_INVALID', `the features have more parts than the ${place.value} that the job names`);
  }

  /** Every tile's tokens once, in the order in which they become complete, and failures; ends with the signal. */
  async *tokens(
    requestId: string,
    signal: AbortSignal,
    { fromAttempt = 0 }: TokensOptions = {},
  ): AsyncGenerator<TileTokens | StageFailure, void> {
    const { subjects, limits, log, observer } = this.connection;
    const assembler = new TensorAssembler(limits);
    const failures = new Set<string>();
    const filter = subjects.requestFilter('tokens', requestId);
    for await (const message of readStream(this.connection, subjects.stream('tokens'), filter, signal, this.restore)) {
      const at = subjects.parse(message.subject);
      if (at === undefined) {
        log.warn({ subject: message.subject }, 'a message with a malformed subject was dropped');
        observer.dropped?.('tokens', 'corrupt');
        continue;
      }
      if (at.part === failurePart) {
        const failure = readFailure(this.connection, 'tokens', at, message.data);
        if (failure === undefined || failure.attempt < fromAttempt) continue;
        // An encoder's failure speaks for a range of tiles, of which this is only the first.
        if (failure.stage === jobRoutes.connect.stage && assembler.has(at.item, at.tile)) continue;
        const name = `${at.item}/${at.tile}/${failure.attempt}/${failure.stage}`;
        // Read again after a reconnect: told once.
        if (failures.has(name)) continue;
        failures.add(name);
        yield failure;
        continue;
      }
      const outcome = assembler.add(at, message.data);
      if (outcome.kind === 'complete') {
        const { item, tile, attempt, tensor, timings } = outcome.tensor;
        yield { kind: 'tile', item, tile, attempt, tokens: tensor, timings };
      } else if (outcome.kind === 'dropped') {
        observer.dropped?.('tokens', outcome.why);
        if (outcome.why !== 'duplicate') {
          log.warn({ ...at, why: outcome.why, detail: outcome.detail }, 'a part of visual tokens was dropped');
        }
      }
    }
  }

  /** The first copy of a part that belongs to the key's attempt. */
  private async partOf(key: JobKey, tile: number, part: number, signal: AbortSignal): Promise<Uint8Array> {
    const { manager, subjects } = this.connection;
    const subject = subjects.message('features', { requestId: key.requestId, item: key.item, tile, part });
    for (let seq = 1; ; ) {
      let stored: StoredMsg | null;
      try {
        await this.connection.waitOnline(signal);
        const request = { seq, next_by_subj: subject };
        stored = await abortable(manager.direct.getMessage(subjects.stream('features'), request), signal);
      } catch (reason) {
        if (signal.aborted) throw reason;
        throw new TesseraError('STAGE_UNAVAILABLE', `the features cannot be read: ${messageOf(reason)}`, {
          cause: reason,
        });
      }
      if (stored === null) {
        throw new TesseraError(
          'STAGE_UNAVAILABLE',
          `part ${part} of the features of item ${key.item}, tile ${tile} is not on the stream (any more)`,
        );
      }
      if (attemptOf(stored.data) === key.attempt) return stored.data;
      seq = stored.seq + 1;
    }
  }

  private checkSize(shape: readonly number[]): void {
    const bytes = elementCount(shape) * bytesPerElement.float16;
    const { maxTensorBytes } = this.connection.limits;
    if (bytes > maxTensorBytes) {
      throw new TesseraError(
        'MESSAGE_TOO_LARGE',
        `a tensor of shape [${shape.join(', ')}] takes ${bytes} bytes: the limit is ${maxTensorBytes} bytes`,
      );
    }
  }
}

function attemptOf(payload: Uint8Array): number | undefined {
  try {
    return TensorPart.decode(payload).key?.attempt;
  } catch {
    return undefined;
  }
}

/** Reads a failure; undefined, and logged, when it is corrupt. */
export function readFailure(
  connection: BusConnection,
  kind: ProductKind,
  at: { requestId: string; item: number; tile: number },
  payload: Uint8Array,
): StageFailure | undefined {
  try {
    const { key, code, message, stage } = Failure.decode(payload);
    if (key === undefined || key.requestId !== at.requestId || key.item !== at.item) throw new Error('of another key');
    const { item, tile } = at;
    return {
      kind: 'failure',
      item,
      tile,
      attempt: key.attempt,
      code: isErrorCode(code) ? code : 'INTERNAL',
      message,
      stage,
    };
  } catch (reason) {
    connection.log.warn({ ...at, error: messageOf(reason) }, 'a corrupt failure message was dropped');
    connection.observer.dropped?.(kind, 'corrupt');
    return undefined;
  }
}
