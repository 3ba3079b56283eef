import {
  bytesPerElement,
  decodeTensor,
  elementCount,
  encodeTensor,
  type Float32Tensor,
  type JobKey,
  type StageWork,
  type TensorRef,
  TesseraError,
  TokenRows,
} from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import type { Publisher, PublishOptions } from '../streams/publisher.js';
import type { PartStore } from './part-store.js';
import { splitRows } from './tensor-parts.js';

export interface PublishTensorOptions extends PublishOptions {
  /** The address of whoever waits for it. */
  readonly deliverTo: string;
  readonly timings: StageWork[];
}

/** Features on their way to a connector that is not known yet. */
export interface TakenTensor {
  readonly tensor: Float32Tensor;
  /** To be called once what was made of it is published: it leaves its stream. */
  taken(): Promise<void>;
}

/** Parts in flight at once: enough to hide the round trip, few enough not to crowd out others. */
const partsInFlight = 4;

/** Tensors that travel between stages, as float16. */
export class TensorStore {
  constructor(
    private readonly connection: BusConnection,
    private readonly publisher: Publisher,
    private readonly parts: PartStore,
  ) {}

  /**
   * Sends visual tokens to the process that waits for them, cut by rows.
   * @throws TesseraError MESSAGE_TOO_LARGE over maxTensorBytes, or when one row exceeds partBytes
   */
  async send(key: JobKey, tile: number, tensor: Float32Tensor, options: PublishTensorOptions): Promise<void> {
    const { limits, subjects } = this.connection;
    this.checkSize(tensor.shape);
    const parts = splitRows(tensor, limits.partBytes);
    const { requestId, item, attempt } = key;
    const { deliverTo } = options;
    const stream = subjects.shardOf('tokens', deliverTo);
    for (let first = 0; first < parts.length; first += partsInFlight) {
      await Promise.all(
        parts.slice(first, first + partsInFlight).map(async (rows, offset) => {
          const part = first + offset;
          const payload = TokenRows.encode({
            key,
            tile,
            part,
            parts: parts.length,
            rows: encodeTensor(rows, 'float16'),
            timings: part === parts.length - 1 ? options.timings : [],
          }).finish();
          const subject = subjects.product('tokens', deliverTo, { requestId, item, tile, part });
          await this.publisher.publish(
            { kind: 'tokens', stream, subject, id: `${subject}/${attempt}`, attempt, payload },
            options,
          );
        }),
      );
    }
  }

  /** The tensor in the reference itself where it fits a message, else in parts. */
  async reference(key: JobKey, tile: number, source: Float32Tensor, options: PublishOptions): Promise<TensorRef> {
    this.checkSize(source.shape);
    const tensor = encodeTensor(source, 'float16');
    if (tensor.data.length <= this.connection.limits.partBytes) return { tensor, stored: undefined };
    // Named by what it is, so that a job that is done twice stores it once.
    const name = `${key.requestId}-${key.item}-${tile}-${key.attempt}`;
    const stored = await this.parts.put(tensor.data, { ...options, name });
    return { tensor: { ...tensor, data: Buffer.alloc(0) }, stored };
  }

  /**
   * The features that a connect job refers to.
   * @throws TesseraError TENSOR_INVALID; STAGE_UNAVAILABLE (retryable) when parts are not there (any more)
   */
  async take({ tensor, stored }: TensorRef, signal: AbortSignal): Promise<TakenTensor> {
    if (tensor === undefined) throw new TesseraError('TENSOR_INVALID', 'the job says nothing of its features');
    this.checkSize(tensor.shape);
    if (stored === undefined) return { tensor: decodeTensor(tensor), taken: async () => {} };
    const { epoch } = this.connection;
    const data = await this.parts.get(stored, elementCount(tensor.shape) * bytesPerElement.float16, signal);
    return {
      tensor: decodeTensor({ ...tensor, data: Buffer.from(data.buffer, data.byteOffset, data.length) }),
      taken: () => this.parts.drop(stored, epoch),
    };
  }

  /** The features of a job that nobody will do. */
  async discard({ stored }: TensorRef): Promise<void> {
    if (stored !== undefined) await this.parts.purge(stored);
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
