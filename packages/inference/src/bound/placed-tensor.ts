import type { DType, Tensor } from '@tessera/protocol';

/** Memory of a session's device. JavaScript sees nothing of it: graphs write it and graphs read it. */
export interface DeviceMemory {
  readonly bytes: number;
  /** Gives it back, once no run uses it. A second call does nothing. */
  release(): void;
}

/** Part of a device's memory, seen as a dense row-major tensor. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** From `BoundSession.allocate` of the session that it is bound to. */
  readonly memory: DeviceMemory;
  /** Where it begins; a multiple of the element's size. */
  readonly byteOffset: number;
}

/**
 * A tensor where it lies. A `Tensor` is used in place: its array may be a view into a larger buffer, and the buffer must
 * stay with this thread. One that was transferred away is found out at the next run.
 */
export type PlacedTensor = Tensor | DeviceTensor;

/** An input or output of a graph. */
export interface TensorPort {
  readonly name: string;
  readonly dtype: DType;
  /** A size, or the name of one that is known only when the graph runs; that name may be empty. */
  readonly shape: readonly (number | string)[];
}
