import type { DType, Tensor } from '@tessera/protocol';
import type { InferenceBackend } from './bound-session.js';
import type { TensorPort } from './placed-tensor.js';

/** A backend's own handle on memory of the device. */
export interface DriverMemory {
  free(): void;
}

/** A tensor as a driver takes it. */
export type DriverTensor =
  | Tensor
  | {
      readonly dtype: DType;
      readonly shape: readonly number[];
      readonly memory: DriverMemory;
      readonly byteOffset: number;
    };

/** One way to run a graph over memory that stays in place. What callers can do wrong was checked before: see CheckedSession. */
export interface GraphDriver {
  readonly backend: InferenceBackend;
  readonly inputs: readonly TensorPort[];
  readonly outputs: readonly TensorPort[];
  createBinding(): DriverBinding;
  allocate(bytes: number): DriverMemory;
  /** Frees the graph; its bindings and memory are free by then, and nothing runs. */
  release(): Promise<void>;
}

/** Where the tensors of a run lie. Whoever binds keeps the arrays. */
export interface DriverBinding {
  bindInput(name: string, tensor: DriverTensor): void;
  bindOutput(name: string, tensor: DriverTensor): void;
  /** @throws TesseraError INTERNAL when the graph fails */
  run(): Promise<void>;
  release(): void;
}
