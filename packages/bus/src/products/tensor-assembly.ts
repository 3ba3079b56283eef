import type { Float32Tensor, ProductKind, StageWork } from '@tessera/protocol';
import type { BusConnection } from '../connection/bus-connection.js';
import { type Assembly, drop } from './assembly.js';
import { TensorAssembler } from './tensor-assembler.js';

/** One tile's tensor, complete. */
export interface ReceivedTensor {
  readonly kind: 'tensor';
  readonly item: number;
  readonly tile: number;
  readonly attempt: number;
  /** [rows, ...]. */
  readonly tensor: Float32Tensor;
  readonly timings: StageWork[];
}

/** Puts together the tensors of all requests of a process, whose parts count against one limit. */
export function tensorAssemblies(
  connection: BusConnection,
  kind: ProductKind,
): (requestId: string) => Assembly<ReceivedTensor> {
  const onUnknownFields = (): void => connection.observer.unknownFields?.(kind);
  const assembler = new TensorAssembler(connection.limits, onUnknownFields);
  return (requestId) => ({
    add(at, payload) {
      const outcome = assembler.add(at, payload);
      if (outcome.kind === 'complete') return [{ kind: 'tensor', ...outcome.tensor }];
      if (outcome.kind === 'dropped') drop(connection, kind, at, outcome);
      return [];
    },
    has: (at) => assembler.has(at),
    close: () => assembler.forgetRequest(requestId),
  });
}
