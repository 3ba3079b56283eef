import {
  bytesPerElement,
  type DType,
  elementCount,
  type Tensor,
  TesseraError,
  tensorFromBytes,
} from '@tessera/protocol';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { DriverBinding, DriverMemory, DriverTensor, GraphDriver } from '../bound/graph-driver.js';
import type { TensorPort } from '../bound/placed-tensor.js';
import type { SessionOptions } from '../session-options.js';
import { openSession } from './open-session.js';
import { ortTensor } from './ort-tensor.js';

/** Runs a graph by onnxruntime-node, which writes bound outputs in place and makes a copy of each that nobody reads. */
export class NodeDriver implements GraphDriver {
  readonly backend = 'node';
  readonly inputs: readonly TensorPort[];
  readonly outputs: readonly TensorPort[];

  private constructor(private readonly session: InferenceSession) {
    this.inputs = session.inputMetadata.map(portOf);
    this.outputs = session.outputMetadata.map(portOf);
  }

  /** @throws TesseraError CHECKPOINT_INVALID when the graph cannot be loaded, CONFIG_INVALID when the device is not there */
  static async open(graphPath: string, options: SessionOptions): Promise<NodeDriver> {
    let session: InferenceSession;
    try {
      session = await openSession(graphPath, options);
    } catch (cause) {
      const { message } = cause as Error;
      if (message.includes('ExecutionProvider')) {
        throw new TesseraError('CONFIG_INVALID', `the device ${options.device} cannot be used: ${message}`, { cause });
      }
      throw new TesseraError('CHECKPOINT_INVALID', message, { cause });
    }
    try {
      return new NodeDriver(session);
    } catch (reason) {
      await session.release();
      throw reason;
    }
  }

  createBinding(): DriverBinding {
    return new NodeBinding(this.session);
  }

  allocate(bytes: number): DriverMemory {
    try {
      return new ArrayMemory(bytes);
    } catch (cause) {
      throw new TesseraError('INTERNAL', `there is no memory for ${bytes} bytes: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

class NodeBinding implements DriverBinding {
  readonly #feeds: Record<string, OrtTensor> = {};
  readonly #fetches: Record<string, OrtTensor> = {};

  constructor(private readonly session: InferenceSession) {}

  bindInput(name: string, tensor: DriverTensor): void {
    this.#feeds[name] = placed(tensor);
  }

  bindOutput(name: string, tensor: DriverTensor): void {
    this.#fetches[name] = placed(tensor);
  }

  async run(): Promise<void> {
    try {
      await this.session.run(this.#feeds, this.#fetches);
    } catch (cause) {
      throw new TesseraError('INTERNAL', `the graph failed: ${(cause as Error).message}`, { cause });
    }
  }

  release(): void {
    // The collector frees what was bound, once this is not used any more.
  }
}

/** The binding has no devices: its memory is an array's. */
class ArrayMemory implements DriverMemory {
  #buffer: ArrayBuffer | undefined;

  constructor(bytes: number) {
    this.#buffer = new ArrayBuffer(bytes);
  }

  bytes(offset: number, length: number): Uint8Array {
    return new Uint8Array(this.#buffer ?? new ArrayBuffer(0), offset, length);
  }

  free(): void {
    this.#buffer = undefined;
  }
}

function placed(tensor: DriverTensor): OrtTensor {
  return ortTensor('data' in tensor ? tensor : viewOf(tensor));
}

function viewOf({ dtype, shape, memory, byteOffset }: Exclude<DriverTensor, Tensor>): Tensor {
  const bytes = (memory as ArrayMemory).bytes(byteOffset, elementCount(shape) * bytesPerElement[dtype]);
  return tensorFromBytes(dtype, shape, bytes);
}

function portOf(metadata: InferenceSession.ValueMetadata): TensorPort {
  const { name } = metadata;
  if (!metadata.isTensor || !(metadata.type in bytesPerElement)) {
    throw new TesseraError('CHECKPOINT_INVALID', `${name} of the graph is no tensor of a type that is known here`);
  }
  return { name, dtype: metadata.type as DType, shape: metadata.shape };
}
