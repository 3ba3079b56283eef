import type { DriverMemory } from '../bound/graph-driver.js';
import type { OrtApi } from './ort-api.js';
import type { Pointer } from './ort-functions.js';

/** Memory from an allocator of ONNX Runtime. */
export class NativeMemory implements DriverMemory {
  readonly address: bigint;

  /** @throws OrtError when there is no memory */
  constructor(
    private readonly api: OrtApi,
    private readonly allocator: Pointer,
    bytes: number,
  ) {
    this.address = api.make((out) => api.functions.AllocatorAlloc(allocator, bytes, out)) as bigint;
  }

  free(): void {
    this.api.check(this.api.functions.AllocatorFree(this.allocator, this.address));
  }
}
