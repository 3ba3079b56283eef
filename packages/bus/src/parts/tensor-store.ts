import {
  bytesPerElement,
  checkTensorBytes,
  decodeTensor,
  elementCount,
  encodeTensor,
  type Float32Tensor,
  type JobKey,
  type TensorRef,
  TesseraError,
} from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import type { PublishOptions } from '../streams/publisher.js';
import type { PartStore } from './part-store.js';

/** A tensor on its way to a worker that is not known yet. */
export interface TakenTensor {
  readonly tensor: Float32Tensor;
  /** To be called once what was made of it is published: it leaves its stream. */
  taken(): Promise<void>;
}

/** Tensors that jobs refer to, as float16. */
export class TensorStore {
  constructor(
    private readonly connection: BusConnection,
    private readonly parts: PartStore,
  ) {}

  /**
   * A tensor as a job carries it: in the reference itself where it fits a message, else in parts.
   * @throws TesseraError MESSAGE_TOO_LARGE over maxTensorBytes; DEADLINE_EXCEEDED, CANCELLED
   */
  async store(key: JobKey, tile: number, source: Float32Tensor, options: PublishOptions): Promise<TensorRef> {
    checkTensorBytes(source.shape, this.connection.limits.maxTensorBytes);
    const tensor = encodeTensor(source, 'float16');
    if (tensor.data.length <= this.connection.limits.partBytes) return { tensor, stored: undefined };
    // Named by what it is, so that a job that is done twice stores it once.
    const name = `${key.requestId}-${key.item}-${tile}-${key.attempt}`;
    const stored = await this.parts.put(tensor.data, { ...options, name });
    return { tensor: { ...tensor, data: Buffer.alloc(0) }, stored };
  }

  /**
   * The tensor that a job refers to.
   * @throws TesseraError TENSOR_INVALID; STAGE_UNAVAILABLE (retryable) when parts are not there (any more)
   */
  async take({ tensor, stored }: TensorRef, signal: AbortSignal): Promise<TakenTensor> {
    if (tensor === undefined) throw new TesseraError('TENSOR_INVALID', 'the job says nothing of its tensor');
    checkTensorBytes(tensor.shape, this.connection.limits.maxTensorBytes);
    if (stored === undefined) return { tensor: decodeTensor(tensor), taken: async () => {} };
    const { epoch } = this.connection;
    const data = await this.parts.get(stored, elementCount(tensor.shape) * bytesPerElement.float16, signal);
    return {
      tensor: decodeTensor({ ...tensor, data: Buffer.from(data.buffer, data.byteOffset, data.length) }),
      taken: () => this.parts.drop(stored, epoch),
    };
  }

  /** Removes the tensor of a job that nobody will do. */
  async discard({ stored }: TensorRef): Promise<void> {
    if (stored !== undefined) await this.parts.purge(stored);
  }
}
